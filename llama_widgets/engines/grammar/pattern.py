"""Regular expressions, as JSON schemas have them, to GBNF for the inside of a JSON string."""

from __future__ import annotations

import json
from typing import NamedTuple

from .keywords import Impossible

_LAST = 0x10FFFF
_LEAST_RAW = 0x20  # what comes before must be escaped in JSON
_ESCAPED = (0x22, 0x5C)
_SURROGATES = (0xD800, 0xDFFF)
_LINE_ENDS = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_ASCII = (0x20, 0x7E)
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}

Ranges = tuple[tuple[int, int], ...]

# Python takes other digits, letters and spaces for these too, and the complements of those; none of that is written.
_CATEGORIES: dict[str, Ranges] = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": ((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x20)),
}


class Pattern(NamedTuple):
    """A pattern in GBNF, and how many characters it may have; ``None`` is without end."""

    text: str
    least: int
    most: int | None


def compile_pattern(source: str) -> Pattern:
    """Return GBNF for the texts in which ``source`` is found, without the quotes around them.

    As everywhere in JSON schemas, the pattern may be found anywhere in the text unless ``^`` and ``$`` hold it.

    Raises
    ------
    Impossible
        If it is no regular expression, or has something that no grammar can follow, such as a look-ahead.
    """
    reader = _Reader(source)
    found = reader.alternatives(top=True)
    if not reader.done:
        raise reader.fault("a ) closes nothing")
    return found


def literal(text: str) -> str:
    """Return GBNF for exactly ``text``."""
    escaped = "".join(_code(ord(char)) if char in '"\\' or not char.isprintable() else char for char in text)
    return f'"{escaped}"'


def char_class(ranges: Ranges) -> str:
    """Return GBNF for one of these characters within a JSON string, escaped where JSON wants that."""
    raw = _minus(ranges, ((0, _LEAST_RAW - 1), *((code, code) for code in _ESCAPED), _SURROGATES))
    parts = []
    if raw:
        parts.append("[" + "".join(_code(a) if a == b else f"{_code(a)}-{_code(b)}" for a, b in raw) + "]")
    escaped = [code for code in (*range(_LEAST_RAW), *_ESCAPED) if any(low <= code <= high for low, high in ranges)]
    parts += [literal(json.dumps(chr(code))[1:-1]) for code in escaped]
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def _code(code: int) -> str:
    """Return a character as a literal or a class of GBNF may have it, whatever it is."""
    char = chr(code)
    if char.isascii() and char.isalnum():
        return char
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"  # noqa: PLR2004


def _minus(ranges: Ranges, others: Ranges) -> Ranges:
    """Return the characters of ``ranges`` that are not of ``others``."""
    left = list(ranges)
    for first, last in others:
        left = [
            (low, high) for a, b in left for low, high in ((a, min(b, first - 1)), (max(a, last + 1), b)) if low <= high
        ]
    return tuple(sorted(set(left)))


_BEGINS, _ENDS = ("^", "\\A"), ("$", "\\Z", "\\z")
_ANY: Ranges = ((_LEAST_RAW, _LAST),)
_ANYTHING = Pattern(f"{char_class(_ANY)}*", 0, None)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._source)

    @property
    def _over(self) -> bool:
        return self.done or self._source[self._at] in "|)"

    def alternatives(self, *, top: bool = False) -> Pattern:
        found = [self._sequence(top=top)]
        while self._take("|"):
            found.append(self._sequence(top=top))
        if len(found) == 1:
            return found[0]
        most = [part.most for part in found]
        return Pattern(
            f"({' | '.join(part.text for part in found)})",
            min(part.least for part in found),
            None if None in most else max(number for number in most if number is not None),
        )

    def _sequence(self, *, top: bool) -> Pattern:
        parts = [_ANYTHING] if top and not self._take_any(_BEGINS) else []
        while not self._over and not (top and self._source.startswith(_ENDS, self._at)):
            parts.append(self._repeated(self._atom()))
        if top and not self._take_any(_ENDS):
            parts.append(_ANYTHING)
        if not self._over:
            raise self.fault("a $ stands before the end")
        most = [part.most for part in parts]
        return Pattern(
            " ".join(part.text for part in parts) or '""',
            sum(part.least for part in parts),
            None if None in most else sum(number for number in most if number is not None),
        )

    def _repeated(self, atom: Pattern) -> Pattern:
        times = self._times()
        if times is None:
            return atom
        if self._take("+"):
            raise self.fault("a possessive repetition cannot be followed")
        self._take("?")  # a lazy one allows the same texts
        least, most = times
        longest = None if most is None or atom.most is None else atom.most * most
        if atom.most == 0:
            longest = 0
        bounds = f"{least},{'' if most is None else most}"
        return Pattern(f"({atom.text}){{{bounds}}}", atom.least * least, longest)

    def _times(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        end = self._source.find("}", self._at)
        if self.done or self._source[self._at] != "{" or end < 0:
            return None
        least, comma, most = self._source[self._at + 1 : end].partition(",")
        if not all(number.isascii() and number.isdigit() for number in (least, most) if number) or not least + most:
            return None  # it stands for itself
        self._at = end + 1
        times = int(least or 0), int(least) if not comma else int(most) if most else None
        if times[1] is not None and times[1] < times[0]:
            raise self.fault("a repetition is at least more than at most")
        return times

    def _atom(self) -> Pattern:
        if self._take("("):
            return self._group()
        if self._take("["):
            return self._one(self._class())
        if self._take("."):
            return self._one(_minus(_ANY, _LINE_ENDS))
        char = self._source[self._at]
        if char in "*+?":
            raise self.fault("there is nothing to repeat")
        if char in "^$":
            raise self.fault("^ and $ can be followed only at the ends of the whole pattern")
        if char == "\\":
            return self._one(self._escape(inside=False))
        self._at += 1
        return self._one(((ord(char), ord(char)),))

    def _one(self, ranges: Ranges) -> Pattern:
        if not ranges:
            raise self.fault("a class has no character")
        return Pattern(char_class(ranges), 1, 1)

    def _group(self) -> Pattern:
        if self._take("?"):
            if self._take("P<") or (self._take("<") and self._source[self._at : self._at + 1] not in ("=", "!")):
                self._at = self._source.find(">", self._at) + 1 or len(self._source)
            elif not self._take(":"):
                raise self.fault("look-around, flags and references cannot be followed")
        found = self.alternatives()
        if not self._take(")"):
            raise self.fault("a ) is missing")
        return Pattern(f"({found.text})", found.least, found.most)

    def _class(self) -> Ranges:
        negated = self._take("^")
        found: list[tuple[int, int]] = []
        categories = False
        first = True
        while first or not self._take("]"):
            if self.done:
                raise self.fault("a ] is missing")
            first = False
            low = self._member()
            found += low
            categories |= len(low) > 1 or low[0][0] != low[0][1]
            if self._source[self._at : self._at + 1] == "-" and self._source[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                high = self._member()
                if len(low) > 1 or len(high) > 1 or low[0][0] > high[0][1]:
                    raise self.fault("a range of a class is none")
                found[-1] = (low[0][0], high[0][1])
        if not negated:
            return tuple(found)
        return _minus((_ASCII,) if categories else _ANY, tuple(found))

    def _member(self) -> Ranges:
        if self.done:
            raise self.fault("a ] is missing")
        if self._source[self._at] == "\\":
            return self._escape(inside=True)
        self._at += 1
        code = ord(self._source[self._at - 1])
        return ((code, code),)

    def _escape(self, *, inside: bool) -> Ranges:
        kind = self._source[self._at + 1 : self._at + 2]
        self._at += 2
        if ranges := _CATEGORIES.get(kind.lower()):
            return ranges if kind.islower() else _minus((_ASCII,), ranges)
        if kind in _CONTROLS:
            code = _CONTROLS[kind]
        elif kind == "b" and inside:
            code = 8
        elif kind in ("x", "u"):
            digits = self._source[self._at : self._at + (2 if kind == "x" else 4)]
            self._at += len(digits)
            try:
                code = int(digits, 16)
            except ValueError as error:
                raise self.fault(f"\\{kind} is not followed by digits") from error
        elif not kind or kind.isalnum():
            raise self.fault(f"\\{kind} cannot be followed")
        else:
            code = ord(kind)
        return ((code, code),)

    def _take(self, text: str) -> bool:
        if self._source.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _take_any(self, texts: tuple[str, ...]) -> bool:
        return any(self._take(text) for text in texts)

    def fault(self, what: str) -> Impossible:
        return Impossible(
            f"The pattern {self._source!r} of the JSON schema cannot be followed: {what} (character {self._at + 1}).",
            "Use a simpler one: characters, classes, groups and repetitions.",
        )
