"""The rules of a grammar in the making, and those that all JSON has in common."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .pattern import literal
from .ranges import any_number

if TYPE_CHECKING:
    from collections.abc import Iterable

_FEW = 20
_EMPTY = '""'
_HEX = "[0-9a-fA-F]"
_CHAR = (
    r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" '
    rf"([0-9a-cA-CeEfF] {_HEX}{{3}} | [dD] [0-7] {_HEX}{{2}}))"  # surrogates mean nothing alone
)


class RuleBook:
    """Rules by their names, which all begin with ``name``, that of the first.

    Most methods return GBNF that stands for a value: the name of a rule, or something in parentheses.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.rules: dict[str, str] = {name: ""}

    def __str__(self) -> str:
        """Return GBNF, a rule to a line."""
        # A rule of an alternative that turned out to be impossible stays empty, and nothing leads to it.
        return "\n".join(f"{name} ::= {body or _EMPTY}" for name, body in self.rules.items())

    def add(self, hint: str, body: str) -> str:
        """Add a rule with a name like ``hint``."""
        name = self.free(hint)
        self.rules[name] = body
        return name

    def free(self, hint: str) -> str:
        """Return a name like ``hint`` that no rule has."""
        base = f"{self._name}-{re.sub('[^a-zA-Z0-9]+', '-', hint)[:40].strip('-') or 'value'}"
        name, number = base, 1
        while name in self.rules:
            number += 1
            name = f"{base}-{number}"
        return name

    def shared(self, kind: str, body: str) -> str:
        """Return the one rule of this kind, made when it is first needed."""
        name = self._own(kind)
        self.rules.setdefault(name, body)
        return name

    def _own(self, kind: str) -> str:
        return f"{self._name}--{kind}"  # no name that is made of a hint has two hyphens

    def one_of(self, texts: Iterable[str], hint: str) -> str:
        """Return GBNF for one of these texts."""
        texts = list(dict.fromkeys(texts))
        if len(texts) > _FEW:
            return self._tree(sorted(texts), 0, hint)
        return literal(texts[0]) if len(texts) == 1 else f"({' | '.join(map(literal, texts))})"

    def _tree(self, texts: list[str], at: int, hint: str) -> str:
        """Return one of many texts so that few of them are followed at a time: each character decides."""
        begin = at
        while len({text[at : at + 1] for text in texts}) == 1:
            if at == len(texts[0]):
                return literal(texts[0][begin:])
            at += 1
        groups: dict[str, list[str]] = {}
        for text in texts:
            groups.setdefault(text[at : at + 1], []).append(text)
        bodies = [self._tree(group, at, hint) if first else '""' for first, group in groups.items()]
        rule = self.add(hint, " | ".join(bodies))
        return f"{literal(texts[0][begin:at])} {rule}" if at > begin else rule

    # JSON

    @property
    def space(self) -> str:
        """White space: one blank, or none, so that no model gets lost in it."""
        return self.shared("space", '" "?')

    @property
    def char(self) -> str:
        """A character of a text."""
        return self.shared("char", _CHAR)

    @property
    def text(self) -> str:
        """Any text in quotes."""
        return self.shared("string", rf'"\"" {self.char}* "\""')

    @property
    def number(self) -> str:
        """Any number."""
        return self.shared("number", any_number())

    @property
    def object(self) -> str:
        """Any object."""
        pair = f'{self.text} ":" {self.space} {self.any}'
        return self.shared("object", f'"{{" {self.space} ({self.several(pair)})? "}}"')

    @property
    def any(self) -> str:
        """Any value."""
        name = self._own("value")
        if name not in self.rules:
            self.rules[name] = ""  # objects and arrays have values in them
            array = self.shared("array", f'"[" {self.space} ({self.several(name)})? "]"')
            self.rules[name] = f'{self.object} | {array} | {self.text} | {self.number} | "true" | "false" | "null"'
        return name

    def several(self, item: str, least: int = 1, most: int | None = None) -> str:
        """Return items with commas between, and white space after the last; at least one of them."""
        return f"{item} {self.more(item, least - 1, None if most is None else most - 1)} {self.space}"

    def more(self, item: str, least: int = 0, most: int | None = None) -> str:
        """Return items with a comma before each."""
        return f'("," {self.space} {item}){{{max(0, least)},{"" if most is None else most}}}'
