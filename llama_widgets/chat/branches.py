"""What can be done to a conversation beside asking: other branches, taking away and bringing back, other ones."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ParameterError
from ..requests import new_id
from .turns import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .book import Book
    from .record import Record
    from .turns import Turn

_LONGEST_NAME = 200


class Branches:
    """Changes of what is shown; needs ``record``.

    All raise ``BusyError`` while the conversation is answering, and ``ParameterError`` for what there is not.
    """

    @property
    def record(self) -> Record:
        """What was said."""
        raise NotImplementedError

    def switch(self, turn: str) -> None:
        """Show another branch: the one in which ``turn`` is, one of the ``siblings`` of a message."""
        with self._changing():
            self._book.current.tree.show(turn)

    def delete(self, turn: str) -> None:
        """Delete the turn with this id and all that follows it; the branch beside it is shown, if there is one."""
        with self._changing():
            self._book.remember(self._book.current.tree.remove(turn))

    def clear(self) -> None:
        """Empty the conversation."""
        with self._changing():
            if self.record.turns:
                self._book.remember(self._book.current.tree.clear())

    def undo(self) -> bool:
        """Bring back what was deleted or cleared last; return whether there was something."""
        with self._changing():
            return self._book.undo()

    def new_conversation(self, name: str = "") -> str:
        """Open a new conversation and return its id. With no name it is called by its first question."""
        with self._changing():
            return self._book.new(_name(name)).id

    def open_conversation(self, which: str) -> None:
        """Open the conversation with this id or name."""
        with self._changing():
            self._book.open(which)

    def rename_conversation(self, which: str, name: str) -> None:
        """Name the conversation with this id or name; "" calls it by its first question."""
        with self.record.lock:
            self._book.rename(which, _name(name))
            self.record.tell_book()

    def delete_conversation(self, which: str) -> None:
        """Delete the conversation with this id or name; ``undo`` brings it back."""
        with self._changing():
            self._book.delete(which)

    def graft(self, turns: Sequence[Turn]) -> dict[str, str]:
        """Let copies of ``turns`` follow what is shown, and return their ids by those of the originals."""
        copies = [replace(turn, id=new_id()) for turn in turns]
        with self._changing():
            self.record.turns = [*self.record.turns, *copies]
        return {turn.id: copy.id for turn, copy in zip(turns, copies, strict=True)}

    @property
    def _book(self) -> Book:
        return self.record.book

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change what is shown, while no answer is being made, and tell of it."""
        with self.record.lock:
            self.record.forbid_busy()
            yield
            self.record.tell_branch()


def _name(name: object) -> str:
    if not isinstance(name, str):
        msg = f"The name of a conversation must be text, not {type(name).__name__}."
        raise ParameterError(msg, "For example chat.new_conversation('Outliers').")
    return without_lone_surrogates(name.strip())[:_LONGEST_NAME]
