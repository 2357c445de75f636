"""What was said, which answer is being made, and who hears of it: what all threads of a conversation share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..errors import BusyError
from ..listeners import Listeners
from .changes import Change, Snapshot

if TYPE_CHECKING:
    from .. import protocol as p
    from .answer import Answer
    from .turns import Turn


class Record:
    """The state of a conversation.

    Attributes
    ----------
    lock : RLock
        Held while something changes and is told, so that changes are told in their order.
    turns : list of Turn
        What was said. Replaced, never changed in place.
    answer : Answer or None
        The answer that is being made.
    watchers : Listeners
        Who hears of changes and of the events of answers.
    """

    def __init__(self, turns: list[Turn]) -> None:
        self.lock = threading.RLock()
        self.turns = turns
        self.answer: Answer | None = None
        self.watchers: Listeners[p.Event | Change] = Listeners()
        self._teller = 0  # the thread that calls the watchers

    def tell(self, change: p.Event | Change) -> None:
        """Call the watchers; the lock must be held."""
        before, self._teller = self._teller, threading.get_ident()
        try:
            self.watchers.tell(change)
        finally:
            self._teller = before

    def messages(self) -> list[dict[str, Any]]:
        """Return the turns as plain data."""
        with self.lock:
            return [turn.to_dict() for turn in self.turns]

    def snapshot(self) -> Snapshot:
        """Return the whole conversation as it stands. ``seq`` is for who sends it to fill in."""
        with self.lock:
            answer = self.answer
            return Snapshot(
                request_id="",
                turns=self.messages(),
                running=answer.request_id if answer else "",
                tokens=answer.tokens if answer else 0,
            )

    def forbid_busy(self) -> None:
        """Raise ``BusyError`` while an answer is being made."""
        if self.answer is not None:
            msg = "This conversation is still answering."
            raise BusyError(msg, "Wait for it, or stop it first.")

    def forbid_waiting(self) -> None:
        """Raise ``BusyError`` inside callbacks, where waiting for an answer would wait for ever."""
        if self._teller == threading.get_ident():
            msg = "An answer cannot be waited for inside a callback of its conversation."
            raise BusyError(msg, "Start it without waiting, with submit(), or from another thread.")
