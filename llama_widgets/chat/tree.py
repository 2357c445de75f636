"""A conversation with all that was said instead: each turn follows another one, and of its followers one is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .turns import Turn

ROOT = ""
"""What first turns follow."""


class Tree:
    """The turns of a conversation and its branches.

    Whoever makes a turn sets ``path`` to what was said up to it and the turn itself; what stood there before stays as a
    branch beside it.
    """

    def __init__(self, path: Iterable[Turn] = ()) -> None:
        self._turns: dict[str, Turn] = {}
        self._parents: dict[str, str] = {}
        self._followers: dict[str, list[str]] = {ROOT: []}
        self._shown: dict[str, str] = {}
        self._path: list[Turn] = []
        self.path = list(path)

    @property
    def path(self) -> list[Turn]:
        """What is shown, from the first turn to the last: a new list with each change."""
        return self._path

    @path.setter
    def path(self, turns: Sequence[Turn]) -> None:
        parent = ROOT
        for turn in turns:
            self._put(turn, parent)
            self._shown[parent] = parent = turn.id
        self._shown.pop(parent, None)
        self._follow()

    def __len__(self) -> int:
        """Return the number of turns in all branches."""
        return len(self._turns)

    def __contains__(self, turn: object) -> bool:
        """Return whether there is a turn with this id."""
        return turn in self._turns

    def size(self) -> int:
        """Return how many characters there are in all branches."""
        return sum(len(turn.content) + len(turn.thoughts) for turn in self._turns.values())

    def siblings(self, turn: str) -> list[str]:
        """Return the ids of what was said in the place of a turn, itself among them, oldest first."""
        return list(self._followers[self._parents[turn]])

    def show(self, turn: str) -> None:
        """Show the branch in which a turn is, to where it was last followed.

        Raises
        ------
        ParameterError
            If there is no such turn.
        """
        self._known(turn)
        while turn != ROOT:
            parent = self._parents[turn]
            self._shown[parent] = turn
            turn = parent
        self._follow()

    def remove(self, turn: str) -> Callable[[], None]:
        """Take a turn and all that follows it away, and return what brings it back.

        In its place the branch beside it is shown, if there is one.
        """
        parent = self._parents[self._known(turn)]
        return self._take(parent, [turn])

    def clear(self) -> Callable[[], None]:
        """Take everything away, and return what brings it back."""
        return self._take(ROOT, list(self._followers[ROOT]))

    def to_list(self) -> list[dict[str, Any]]:
        """Return all turns as plain data, each after the one that it follows.

        ``parent`` is that one's id, "" for first turns; ``shown`` is there and true where the shown path, or the path
        to be shown when somebody comes to its parent, goes through it.
        """
        plain: list[dict[str, Any]] = []
        waiting = list(reversed(self._followers[ROOT]))
        while waiting:
            turn = waiting.pop()
            parent = self._parents[turn]
            plain.append({**self._turns[turn].to_dict(), "parent": parent})
            if (made := self._turns[turn].made) is not None:
                plain[-1]["made"] = made.kept()
            if self._shown.get(parent) == turn:
                plain[-1]["shown"] = True
            waiting += reversed(self._followers[turn])
        return plain

    @classmethod
    def of(cls, turns: Iterable[tuple[Turn, str, bool]]) -> Tree:
        """Return the tree of turns that are given with their parents' ids and whether they are shown.

        Raises
        ------
        ParameterError
            If one has no parent before it, or an id comes twice.
        """
        tree = cls()
        for turn, parent, shown in turns:
            if turn.id in tree or (parent != ROOT and parent not in tree):
                msg = f"The turn {turn.id!r:.80} comes twice, or before the one that it follows."
                raise ParameterError(msg, "Export the conversation again: this file was changed.")
            tree._put(turn, parent)
            if shown:
                tree._shown[parent] = turn.id
        tree._follow()
        return tree

    def _put(self, turn: Turn, parent: str) -> None:
        if turn.id not in self._turns:
            self._parents[turn.id] = parent
            self._followers[parent].append(turn.id)
            self._followers[turn.id] = []
        self._turns[turn.id] = turn

    def _follow(self) -> None:
        path, turn = [], self._shown.get(ROOT)
        while turn is not None:
            path.append(self._turns[turn])
            turn = self._shown.get(turn)
        self._path = path

    def _take(self, parent: str, gone: list[str]) -> Callable[[], None]:
        """Take turns that follow ``parent`` away with all that follows them."""
        followers, shown = list(self._followers[parent]), self._shown.get(parent)
        left = [turn for turn in followers if turn not in gone]
        taken: dict[str, tuple[Turn, str, list[str], str | None]] = {}
        waiting = list(gone)
        while waiting:
            turn = waiting.pop()
            waiting += self._followers[turn]
            above, below, next_shown = self._parents.pop(turn), self._followers.pop(turn), self._shown.pop(turn, None)
            taken[turn] = self._turns.pop(turn), above, below, next_shown
        self._followers[parent] = list(left)
        if shown in gone:
            self._shown.pop(parent)
            if left:
                self._shown[parent] = left[min(followers.index(gone[0]), len(left) - 1)]
        self._follow()

        def bring_back() -> None:
            for turn, (whole, above, below, next_shown) in taken.items():
                self._turns[turn], self._parents[turn], self._followers[turn] = whole, above, below
                if next_shown is not None:
                    self._shown[turn] = next_shown
            later = [turn for turn in self._followers[parent] if turn not in left]
            # What was said meanwhile stays, as the newest.
            self._followers[parent] = [turn for turn in followers if turn in self._turns] + later
            if shown in gone:
                self.show(shown)
            else:
                self._follow()

        return bring_back

    def _known(self, turn: str) -> str:
        if turn not in self._turns:
            msg = f"There is no turn {turn!r:.80} in this conversation."
            raise ParameterError(msg, "It may have been deleted: undo brings it back.")
        return turn
