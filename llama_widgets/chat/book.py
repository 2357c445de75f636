"""Several conversations with names, one of them open, and what was taken away from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from ..requests import new_id
from .tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_LENGTH = 48
_UNDO_STEPS = 100


@dataclass(kw_only=True)
class Conversation:
    """One conversation.

    Attributes
    ----------
    id : str
        What the engine knows it by, so that nothing of it is read twice.
    given_name : str
        What somebody named it; "" names it by its first question.
    tree : Tree
        What was said.
    """

    id: str = field(default_factory=new_id)
    given_name: str = ""
    tree: Tree = field(default_factory=Tree)

    @property
    def name(self) -> str:
        """The name to show."""
        first = next((turn for turn in self.tree.path if turn.role == "user"), None)
        words = " ".join((self.given_name or ((first.typed or first.content)[:1000] if first else "")).split())
        cut = len(words) > _NAME_LENGTH and not self.given_name
        return (f"{words[: _NAME_LENGTH - 1].rstrip()}…" if cut else words) or "New conversation"


class Book:
    """The conversations, oldest first. There is always one, and one of them is open."""

    def __init__(self) -> None:
        self.conversations: list[Conversation] = [Conversation()]
        self.current = self.conversations[0]
        self._undo: list[tuple[Conversation, Callable[[], None]]] = []

    def size(self) -> int:
        """Return how many characters there are in all conversations."""
        return sum(each.tree.size() for each in self.conversations)

    def new(self, name: str = "") -> Conversation:
        """Open a new conversation; one that is open and empty is taken, so that no empty ones pile up."""
        if len(self.current.tree) or self.current.given_name:
            self.current = Conversation()
            self.conversations.append(self.current)
        self.current.given_name = name
        return self.current

    def open(self, which: str) -> None:
        """Open the conversation with this id, or else with this name."""
        self.current = self.find(which)

    def rename(self, which: str, name: str) -> None:
        """Give a conversation a name; "" names it by its first question again."""
        self.find(which).given_name = name

    def delete(self, which: str) -> None:
        """Take a conversation away; if it is open, the one before it is opened, or else a new one."""
        gone = self.find(which)
        at = self.conversations.index(gone)
        before = self.current
        self.conversations.remove(gone)
        if not self.conversations:
            self.conversations.append(Conversation())
        if gone is before:
            self.current = self.conversations[max(at - 1, 0)]
        self.remember(lambda: self.conversations.insert(min(at, len(self.conversations)), gone), of=gone)

    def take(self, other: Book) -> None:
        """Add the conversations of another book, and open the one that is open there."""
        mine = {each.id for each in self.conversations}
        for each in other.conversations:
            if each.id in mine:
                each.id = new_id()
        written = [each for each in self.conversations if len(each.tree) or each.given_name]
        self.conversations = [*written, *other.conversations]
        self.current = other.current

    def remember(self, bring_back: Callable[[], None], *, of: Conversation | None = None) -> None:
        """Remember how what was just taken away comes back."""
        self._undo = [*self._undo[1 - _UNDO_STEPS :], (of or self.current, bring_back)]

    @property
    def can_undo(self) -> bool:
        """Whether something was taken away that can come back."""
        return bool(self._undo)

    def undo(self) -> bool:
        """Bring back what was taken away last, and open its conversation; return whether there was something."""
        if not self._undo:
            return False
        self.current, bring_back = self._undo.pop()
        bring_back()
        return True

    def find(self, which: str) -> Conversation:
        """Return the conversation with this id, or else the newest with this name.

        Raises
        ------
        ParameterError
            If there is none.
        """
        for each in self.conversations:
            if each.id == which:
                return each
        for each in reversed(self.conversations):
            if each.name == which:
                return each
        msg = f"There is no conversation {which!r:.80}."
        raise ParameterError(msg, f"There are {', '.join(repr(each.name) for each in self.conversations[-5:])}.")

    def to_list(self) -> list[dict[str, Any]]:
        """Return the conversations as plain data: ``id``, ``name`` and whether it is ``current``."""
        return [{"id": each.id, "name": each.name, "current": each is self.current} for each in self.conversations]
