"""An answer on its way, from the question to its end."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from typing import TYPE_CHECKING

from ..requests import wait

if TYPE_CHECKING:
    from .turns import Reply, Turn


class Answer:
    """An answer that is being made.

    Attributes
    ----------
    request_id : str
        What to name in an ``abort``.
    future : concurrent.futures.Future of Reply
        Done when the answer has ended.
    """

    def __init__(self, request_id: str, question: Turn, turn: Turn, model: str) -> None:
        self.request_id = request_id
        self.question = question
        self.turn = turn
        self.model = model
        self.tokens = 0
        self.future: Future[Reply] = Future()
        self.future.set_running_or_notify_cancel()  # a cancelled waiter must not cancel the answer's own end
        self.pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def wait(self) -> Reply:
        """Wait for the end; a KeyboardInterrupt is raised at once, and ends the waiting only."""
        return wait(self.future)
