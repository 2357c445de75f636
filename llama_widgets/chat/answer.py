"""An answer on its way, from the question to its end."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from typing import TYPE_CHECKING

from ..requests import wait
from .turns import Reply

if TYPE_CHECKING:
    from ..protocol import CompletionDone
    from .turns import Turn


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

    def settle(self, done: CompletionDone) -> None:
        """Give the reply to those who wait."""
        self.pieces.put(None)
        self.future.set_result(
            Reply(
                text=done.text,
                stop_reason=done.stop_reason,
                usage=done.usage,
                timings=done.timings,
                thoughts=done.thoughts,
                model=self.model,
            )
        )

    def fail(self, error: Exception) -> None:
        """Raise ``error`` where someone waits."""
        self.pieces.put(None)
        self.future.set_exception(error)
