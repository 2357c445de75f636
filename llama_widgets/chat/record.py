"""What was said, which answer is being made, and who hears of it: what all threads of a conversation share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..errors import BusyError
from ..listeners import Listeners
from .book import Book
from .changes import BookChanged, Branched, Change, Snapshot, TurnChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .. import protocol as p
    from .answer import Answer
    from .turns import Turn


class Record:
    """The state of a conversation.

    Attributes
    ----------
    lock : RLock
        Held while something changes and is told, so that changes are told in their order.
    book : Book
        The conversations; ``turns`` are those of the open one.
    answer : Answer or None
        The answer that is being made.
    watchers : Listeners
        Who hears of changes and of the events of answers.
    """

    def __init__(self, turns: Sequence[Turn] = ()) -> None:
        self.lock = threading.RLock()
        self.book = Book()
        self.book.current.tree.path = list(turns)
        self.answer: Answer | None = None
        self.watchers: Listeners[p.Event | Change] = Listeners()
        self._teller = 0  # the thread that calls the watchers
        self._told: list[tuple[str, list[str]]] = self._outline()
        self._told_book: tuple[list[dict[str, Any]], bool] = (self.book.to_list(), False)

    @property
    def turns(self) -> list[Turn]:
        """What is shown of the conversation. Replaced, never changed in place."""
        return self.book.current.tree.path

    @turns.setter
    def turns(self, turns: Sequence[Turn]) -> None:
        self.book.current.tree.path = list(turns)

    def tell(self, change: p.Event | Change) -> None:
        """Call the watchers; the lock must be held."""
        before, self._teller = self._teller, threading.get_ident()
        try:
            self.watchers.tell(change)
        finally:
            self._teller = before

    def plain(self, turn: Turn) -> dict[str, Any]:
        """Return a turn of the conversation as plain data, with the ids of what was said in its place, if any was."""
        siblings = self.book.current.tree.siblings(turn.id)
        return {**turn.to_dict(), "siblings": siblings} if len(siblings) > 1 else turn.to_dict()

    def messages(self) -> list[dict[str, Any]]:
        """Return the turns as plain data."""
        with self.lock:
            return [self.plain(turn) for turn in self.turns]

    def earlier(self, turn: str) -> list[dict[str, Any]] | None:
        """Return the turns before the one with the id ``turn`` as plain data; ``None`` if that is not here."""
        with self.lock:
            turns = self.turns
            ids = [each.id for each in turns]
            return [self.plain(each) for each in turns[: ids.index(turn)]] if turn in ids else None

    def tell_turn(self, request_id: str, turn: Turn) -> None:
        """Tell of a turn that was added or has changed."""
        self.tell(TurnChanged(request_id=request_id, turn=self.plain(turn)))
        self._told = self._outline()
        self.tell_book(request_id)

    def tell_branch(self, request_id: str = "") -> None:
        """Tell from where on the conversation is another one now."""
        now = self._outline()
        same = 0
        for before, after in zip(self._told, now, strict=False):
            if before != after:
                break
            same += 1
        if same < max(len(now), len(self._told)):
            turns = [self.plain(turn) for turn in self.turns[same:]]
            self.tell(Branched(request_id=request_id, after=now[same - 1][0] if same else "", turns=turns))
        self._told = now
        self.tell_book(request_id)

    def tell_book(self, request_id: str = "") -> None:
        """Tell of the conversations, if there are others or their names are."""
        now = self.book.to_list(), self.book.can_undo
        if now != self._told_book:
            self._told_book = now
            self.tell(BookChanged(request_id=request_id, conversations=now[0], can_undo=now[1]))

    def restore(self, before: Sequence[Turn], added: Sequence[Turn]) -> None:
        """Give the conversation back as it was before something was added of which nothing came."""
        tree = self.book.current.tree
        tree.path = before
        for turn in added:
            if turn.id in tree:
                tree.remove(turn.id)

    def _outline(self) -> list[tuple[str, list[str]]]:
        tree = self.book.current.tree
        return [(turn.id, tree.siblings(turn.id)) for turn in tree.path]

    def size(self) -> int:
        """Return how many characters there are in all conversations."""
        with self.lock:
            return self.book.size()

    def snapshot(self, last: int | None = None) -> Snapshot:
        """Return the conversation as it stands, or its ``last`` turns. ``seq`` is for who sends it to fill in."""
        with self.lock:
            answer, turns = self.answer, self.turns
            earlier = 0 if last is None else max(0, len(turns) - last)
            return Snapshot(
                request_id="",
                turns=[self.plain(turn) for turn in turns[earlier:]],
                earlier=earlier,
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
