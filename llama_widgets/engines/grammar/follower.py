"""Follows a grammar character by character."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import GrammarError
from .gbnf import Chars, Repeat

if TYPE_CHECKING:
    from .gbnf import Rules, Sequence

_MOST_STATES = 512
_MOST_MEMORY = 50_000


class _Node:
    """A place in a sequence, and the place where to go on after the sequence."""

    __slots__ = ("after", "at", "items")

    def __init__(self, items: Sequence, at: int, after: _Node | None) -> None:
        self.items, self.at, self.after = items, at, after


State = frozenset[_Node | None]
"""All places where a text may be within a grammar; None is its end. Empty: the grammar does not allow the text."""


class Follower:
    """Says what may follow.

    A text that could be read in more than 512 ways at once counts as not allowed, since their number may double with
    each character; no grammar for anything useful comes near that.

    Parameters
    ----------
    rules : Rules
        What to follow.

    Attributes
    ----------
    start : State
        Where to begin.

    Raises
    ------
    GrammarError
        If there are too many ways to begin.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules.alternatives
        self._nodes: dict[tuple[int, int, int], _Node] = {}
        self._pairs: dict[Repeat, Sequence] = {}
        self._steps: dict[tuple[State, str], State] = {}
        self.start: State = frozenset(self._expand([((rules.root,), 0, None)]))
        if not self.start:
            msg = "The grammar can be read in too many ways."
            raise GrammarError(msg, "Let no two of its alternatives allow the same text.")

    def read(self, state: State, text: str) -> State:
        """Return where ``text`` leads to from ``state``."""
        steps = self._steps
        for char in text:
            after = steps.get((state, char))
            state = self._step(state, char) if after is None else after
            if not state:
                break
        return state

    def _step(self, state: State, char: str) -> State:
        if len(self._steps) > _MOST_MEMORY:
            self._steps.clear()
            self._nodes.clear()
            self._pairs.clear()
        code = ord(char)
        passed = [(node.items, node.at + 1, node.after) for node in state if node is not None and _top(node).has(code)]
        found: State = frozenset(self._expand(passed))
        self._steps[state, char] = found
        return found

    def _expand(self, todo: list[tuple[Sequence, int, _Node | None]]) -> set[_Node | None]:
        """Go on from these places until each stands before a character or at the end."""
        found: set[_Node | None] = set()
        seen: set[_Node] = set()
        while todo:
            items, at, after = todo.pop()
            if at < len(items):
                node = self._node(items, at, after)
            elif after is not None:
                node = after
            else:
                found.add(None)
                continue
            if node in seen:
                continue
            seen.add(node)
            if isinstance(node.items[node.at], Chars):
                found.add(node)
            else:
                todo += self._inside(node)
            if len(found) > _MOST_STATES or len(seen) > 100 * _MOST_STATES:
                return set()
        return found

    def _inside(self, node: _Node) -> list[tuple[Sequence, int, _Node | None]]:
        """Return the places where a rule or a repetition begins."""
        items, at, after = node.items, node.at, node.after
        rest = self._node(items, at + 1, after) if at + 1 < len(items) else after
        item = items[at]
        if not isinstance(item, Repeat):
            assert isinstance(item, int)  # noqa: S101 - _expand stops at characters
            return [(sequence, 0, rest) for sequence in self._rules[item]]
        begins: list[tuple[Sequence, int, _Node | None]] = [] if item.least else [((), 0, rest)]
        if item.most != 0:
            begins.append((self._pair(item), 0, rest))
        return begins

    def _node(self, items: Sequence, at: int, after: _Node | None) -> _Node:
        key = (id(items), at, id(after))
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = _Node(items, at, after)
        return node

    def _pair(self, repeat: Repeat) -> Sequence:
        """Return a repetition as its item and what is left of it."""
        pair = self._pairs.get(repeat)
        if pair is None:
            most = None if repeat.most is None else repeat.most - 1
            left = Repeat(repeat.item, max(0, repeat.least - 1), most)
            pair = self._pairs[repeat] = (repeat.item,) if most == 0 else (repeat.item, left)
        return pair


def _top(node: _Node) -> Chars:
    item = node.items[node.at]
    assert isinstance(item, Chars)  # noqa: S101 - what _expand stops at
    return item


def ends(state: State) -> bool:
    """Return whether the text may end here."""
    return None in state


def nexts(state: State) -> list[Chars]:
    """Return what the next character may be."""
    return [_top(node) for node in state if node is not None]
