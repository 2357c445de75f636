"""Random texts that a grammar allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_widgets.engines.grammar.follower import Follower, ends, nexts
from llama_widgets.engines.grammar.gbnf import Rules

if TYPE_CHECKING:
    from random import Random

    from llama_widgets.engines.grammar.follower import State
    from llama_widgets.engines.grammar.gbnf import Chars

_LONG, _TOO_LONG = 100, 2_000
_OTHERS = 'abz 09"é😀\\'


def follower(grammar: str, root: str = "root") -> Follower:
    return Follower(Rules(grammar, root))


def allows(grammar: Follower, text: str) -> bool:
    """Return whether ``text`` is a whole answer of the grammar."""
    return ends(grammar.read(grammar.start, text))


def begins(grammar: Follower, text: str) -> bool:
    """Return whether an answer of the grammar may begin with ``text``."""
    return bool(grammar.read(grammar.start, text))


def walk(grammar: Follower, random: Random) -> str | None:
    """Return a text that the grammar allows; None where it goes on for too long."""
    state, text = grammar.start, ""
    while len(text) < _TOO_LONG:
        choice = sorted(nexts(state))  # the order of a set is not the same each time
        if ends(state) and (not choice or random.random() < 0.3):
            return text
        char = _char(random.choice(_closing(choice) if len(text) > _LONG else choice), random)
        state = _read(grammar, state, text, char)
        text += char
    return None


def _read(grammar: Follower, state: State, text: str, char: str) -> State:
    after = grammar.read(state, char)
    assert after, f"{char!r} may come after {text!r}, and does not"
    return after


def _closing(choice: list[Chars]) -> list[Chars]:
    """Prefer what ends texts, lists and objects."""
    return [chars for chars in choice if not chars.negated and any(chars.has(ord(char)) for char in '"]}')] or choice


def _char(chars: Chars, random: Random) -> str:
    if chars.negated:
        return random.choice([char for char in _OTHERS if chars.has(ord(char))])
    low, high = random.choice(chars.ranges)
    return chr(random.randint(low, min(high, low + 100)))
