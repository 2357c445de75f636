"""GBNF, llama.cpp's format of grammars: read and checked.

llama.cpp can read and follow grammars too, but not what a user may type. Its reader prints faults to the process's
stderr; a rule that begins with itself behind another that may be empty fills the memory; a chain of forty rules takes
for ever, and a deep one overflows the stack; a repetition above 2,000 is silently without end; and a token that the
grammar does not allow ends the process. The language is the same: a test compares what both allow, token by token.
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import GrammarError

_MOST_NESTED = 100
_MOST_TEXT = 1_000_000
_LAST = 0x10FFFF
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
_HEX = {"x": 2, "u": 4, "U": 8}
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
_HINT = "The format is GBNF, described in llama.cpp's grammars/README.md."


class Chars(NamedTuple):
    """One character: of the ranges, or of none of them if ``negated``."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def has(self, char: int) -> bool:
        """Return whether ``char`` is one of them."""
        return any(low <= char <= high for low, high in self.ranges) != self.negated

    def meets(self, first: int, last: int) -> bool:
        """Return whether any character from ``first`` to ``last`` is one of them."""
        if not self.negated:
            return any(low <= last and first <= high for low, high in self.ranges)
        for low, high in sorted(self.ranges):
            if first < low:
                break
            first = max(first, high + 1)
        return first <= last


class Repeat(NamedTuple):
    """An item ``least`` to ``most`` times; ``None`` is without end."""

    item: Chars | int
    least: int
    most: int | None


Item = Chars | int | Repeat  # a number is a rule
Sequence = tuple[Item, ...]


class Rules:
    """A grammar that was read and found sound.

    Parameters
    ----------
    text : str
        Rules in GBNF.
    root : str
        Name of the rule to begin with.
    of_schema : bool
        Whether it was made of a JSON schema, which is then what errors speak of.

    Attributes
    ----------
    root : int
        Number of that rule.
    alternatives : list of list of tuple
        For each rule, by its number, the sequences that it may be.

    Raises
    ------
    GrammarError
        If the text is not GBNF, if rules are missing, or if no answer could follow them.
    """

    def __init__(self, text: str, root: str = "root", *, of_schema: bool = False) -> None:
        reader = _Reader(text)
        reader.read()
        self.names = reader.names
        self.alternatives = reader.rules
        if root not in reader.numbers or not self.alternatives[reader.numbers[root]]:
            msg = f"The grammar has no rule {root!r}." if any(self.alternatives) else "The grammar is empty."
            raise GrammarError(msg, f"It begins with a rule of that name, as in: {root} ::= ...")
        self.root = reader.numbers[root]
        self._check_names()
        self._check_ends(of_schema=of_schema)

    def _check_names(self) -> None:
        if missing := [name for name, rule in zip(self.names, self.alternatives, strict=True) if not rule]:
            msg = f"The grammar uses rules that it does not have: {', '.join(missing[:5])}."
            raise GrammarError(msg, "Add them, or check their names.")

    def _check_ends(self, *, of_schema: bool) -> None:
        empty = self._solve(chars=False)
        looping = self._left_recursive(empty)
        endless = self.root not in self._solve(chars=True)
        if of_schema and (endless or looping is not None):
            msg = "The JSON schema demands a value within itself without end, so nothing can fulfil it."
            raise GrammarError(msg, "Let what refers to itself be optional, or one of several alternatives.")
        if looping is not None:
            msg = f"The rule {self.names[looping]!r} of the grammar begins with itself, so it would never get on."
            raise GrammarError(msg, 'Let it begin with something else: x ::= y ("," y)* instead of x ::= x "," y | y.')
        if endless:
            msg = f"The rule {self.names[self.root]!r} of the grammar never ends."
            raise GrammarError(msg, "Let each rule that uses itself have an alternative that does not.")

    def _solve(self, *, chars: bool) -> set[int]:
        """Return the rules that have an alternative of which all items hold: characters if ``chars``, and such rules.

        With characters these are the rules that can end; without them, those that may be empty.
        """
        solved: set[int] = set()
        queue: list[int] = []
        users: dict[int, list[list[int]]] = {}  # for each rule, the alternatives that wait for it
        for rule, alternatives in enumerate(self.alternatives):
            for sequence in alternatives:
                needed = {number for item in sequence if (number := _needed(item, chars=chars)) is not None}
                waiting = [rule, len(needed)]
                for number in needed:
                    users.setdefault(number, []).append(waiting)
                if not needed:
                    queue.append(rule)
        while queue:
            rule = queue.pop()
            if rule not in solved:
                solved.add(rule)
                for waiting in users.get(rule, ()):
                    waiting[1] -= 1
                    if not waiting[1]:
                        queue.append(waiting[0])
        return solved

    def _left_recursive(self, empty: set[int]) -> int | None:
        """Return a rule that begins with itself, if there is one."""
        done: set[int] = set()
        for start in range(len(self.alternatives)):
            path, open_ = [(start, iter(self._begins(start, empty)))], {start}
            while path and start not in done:
                rule, begins = path[-1]
                for number in begins:
                    if number in open_:
                        return number
                    if number not in done:
                        path.append((number, iter(self._begins(number, empty))))
                        open_.add(number)
                        break
                else:
                    path.pop()
                    open_.discard(rule)
                    done.add(rule)
        return None

    def _begins(self, rule: int, empty: set[int]) -> set[int]:
        """Return the rules that ``rule`` may begin with."""
        found = set()
        for sequence in self.alternatives[rule]:
            for item in sequence:
                number = item.item if isinstance(item, Repeat) else item
                if isinstance(number, int):
                    found.add(number)
                if not (isinstance(item, Repeat) and item.least == 0) and number not in empty:
                    break
        return found


def _needed(item: Item, *, chars: bool) -> int | None:
    """Return the rule on which it depends whether ``item`` holds; None if it does, -1 if it never will."""
    if isinstance(item, Repeat):
        if item.least == 0:
            return None
        item = item.item
    return item if isinstance(item, int) else None if chars else -1


class _Reader:
    """Reads the text of a grammar; what stands in parentheses becomes a rule of its own."""

    def __init__(self, text: str) -> None:
        if len(text) > _MOST_TEXT:
            msg = f"The grammar has {len(text):,} characters, more than the {_MOST_TEXT:,} that are read."
            raise GrammarError(msg, "Use a smaller one.")
        self._text = text + "\0"  # an end that is not any character a grammar may have
        self._at = 0
        self._nested = 0
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}
        self.rules: list[list[Sequence]] = []

    def read(self) -> None:
        self._space(lines=True)
        while self._at < len(self._text) - 1:
            self._rule()

    def _rule(self) -> None:
        begin = self._at
        if self._char == "|":
            raise self._fault("the rule has ended with its line; put the | at the end of the line before")
        name = self._word("the name of a rule")
        number = self._number(name)
        if self.rules[number]:
            self._at = begin
            raise self._fault(f"the rule {name!r} is there already")
        self._space()
        if not self._text.startswith("::=", self._at):
            raise self._fault("'::=' is missing after the name of a rule")
        self._at += 3
        self._space(lines=True)
        self.rules[number] = self._alternatives(name)
        if self._char not in "\r\n\0" or (self._char == "\0" and self._at < len(self._text) - 1):
            raise self._fault("the rule should end here")
        self._space(lines=True)

    def _alternatives(self, name: str) -> list[Sequence]:
        found = [self._sequence(name)]
        while self._char == "|":
            self._at += 1
            self._space(lines=True)
            found.append(self._sequence(name))
        return found

    def _sequence(self, name: str) -> Sequence:
        items: list[Item] = []
        last = 0  # where the items begin that an operator would repeat
        while True:
            if self._char in "*+?{":
                if last == len(items):
                    raise self._fault("there is nothing to repeat")
                least, most = self._times()
                items[last:] = [Repeat(self._single(items[last:], name), least, most)]
            else:
                more = self._item(name)
                if more is None:
                    return tuple(items)
                last = len(items)
                items += more
            self._space(lines=self._nested > 0)

    def _item(self, name: str) -> list[Item] | None:
        """Read what an operator may follow; None where nothing does."""
        char = self._char
        if char == '"':
            return self._literal()
        if char == "[":
            return [self._class()]
        if char == "(":
            return [self._group(name)]
        if char == ".":
            self._at += 1
            return [Chars(((0, _LAST),))]
        if char in _WORD:
            return [self._number(self._word("a rule"))]
        if char in "<!":
            raise self._fault("tokens cannot be named; write their text in quotes instead")
        return None

    def _literal(self) -> list[Item]:
        self._at += 1
        found: list[Item] = []
        while self._char != '"':
            code = self._code('a closing "')
            found.append(Chars(((code, code),)))
        self._at += 1
        return found

    def _class(self) -> Chars:
        self._at += 1
        negated = self._char == "^"
        self._at += negated
        ranges = []
        while self._char != "]":
            low = high = self._code("a closing ]")
            if self._char == "-" and self._text[self._at + 1] != "]":
                self._at += 1
                high = self._code("a closing ]")
                if high < low:
                    raise self._fault("a range of characters is the wrong way round")
            ranges.append((low, high))
        self._at += 1
        if not ranges:
            raise self._fault("there is no character between the brackets")
        return Chars(tuple(ranges), negated)

    def _group(self, name: str) -> int:
        self._at += 1
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise self._fault(f"there are more than {_MOST_NESTED} parentheses within each other")
        self._space(lines=True)
        found = self._alternatives(name)
        if self._char != ")":
            raise self._fault("a closing ) is missing")
        self._at += 1
        self._nested -= 1
        return self._new(name, found)

    def _single(self, items: list[Item], name: str) -> Chars | int:
        if len(items) == 1 and not isinstance(items[0], Repeat):
            return items[0]
        return self._new(name, [tuple(items)])

    def _times(self) -> tuple[int, int | None]:
        char = self._char
        self._at += 1
        if char != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        self._spaced()
        least: int = self._count()
        most: int | None = least
        if self._spaced() == ",":
            self._at += 1
            most = None if self._spaced() == "}" else self._count()
        if self._spaced() != "}":
            raise self._fault("a closing } is missing")
        self._at += 1
        if most is not None and most < least:
            raise self._fault(f"at least {least} and at most {most} times is never")
        return least, most

    def _count(self) -> int:
        begin = self._at
        while self._char in "0123456789" and self._at - begin < 10:  # noqa: PLR2004 - more than anybody can count to
            self._at += 1
        if begin == self._at:
            raise self._fault("a number is missing")
        return int(self._text[begin : self._at])

    def _code(self, end: str) -> int:
        """Read one character, which may be escaped."""
        char = self._char
        if char == "\0":
            raise self._fault(f"{end} is missing")
        self._at += 1
        if char != "\\":
            return ord(char)
        kind = self._char
        self._at += 1
        if kind in _ESCAPES:
            return ord(_ESCAPES[kind])
        digits = self._text[self._at : self._at + _HEX.get(kind, 0)]
        try:
            code = int(digits, 16) if digits.isalnum() and len(digits) == _HEX[kind] else -1
        except (KeyError, ValueError):
            code = -1
        if code < 0:
            raise self._fault(f"there is no escape \\{kind}")
        self._at += len(digits)
        return code

    def _number(self, name: str) -> int:
        if name not in self.numbers:
            self.numbers[name] = self._new(name, [])
        return self.numbers[name]

    def _new(self, name: str, alternatives: list[Sequence]) -> int:
        self.names.append(name)
        self.rules.append(alternatives)
        return len(self.rules) - 1

    def _word(self, what: str) -> str:
        begin = self._at
        while self._char in _WORD:
            self._at += 1
        if begin == self._at:
            raise self._fault(f"{what} is missing; names have letters, digits and hyphens")
        return self._text[begin : self._at]

    def _spaced(self) -> str:
        self._space(lines=self._nested > 0)
        return self._char

    def _space(self, *, lines: bool = False) -> None:
        while self._char in (" \t\r\n#" if lines else " \t#"):
            if self._char == "#":
                while self._char not in "\r\n\0":
                    self._at += 1
            else:
                self._at += 1

    @property
    def _char(self) -> str:
        return self._text[self._at]

    def _fault(self, what: str) -> GrammarError:
        line = self._text.count("\n", 0, self._at) + 1
        here = self._text[self._at : self._at + 30].split("\n")[0].rstrip("\0")
        where = f"line {line}, at {here!r}" if here else f"line {line}, at its end"
        return GrammarError(f"The grammar cannot be read: {what} ({where}).", _HINT)
