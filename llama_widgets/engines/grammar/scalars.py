"""Texts and numbers of a JSON schema, in GBNF."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from .keywords import impossible, refusal
from .pattern import compile_pattern
from .ranges import Bound, multiples, numbers, whole_numbers

if TYPE_CHECKING:
    from .keywords import Schema
    from .rulebook import RuleBook

_MOST_LISTED = 1_000
_MOST_REMAINDERS = 200

_DAY = r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
_DATE = rf"[12]\d{{3}}-{_DAY}"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_FORMATS = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "email": r"^[a-z0-9]+([._-][a-z0-9]+)*@[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*\.[a-z]{2,10}$",
    "uri": r"^https?://([a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,2}\.){1,3}[a-z]{2,10}(/[A-Za-z0-9._~-]{0,40}){0,5}$",
    "duration": r"^P(\d{1,4}D|T\d{1,3}[HMS])$",
    "ipv4": r"^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$",
}


def text(schema: Schema, book: RuleBook, where: str) -> str:
    """Return a text of this length, pattern or format."""
    least, most = bounds(schema, "Length", where)
    if "pattern" in schema:
        found = compile_pattern(schema["pattern"])
        if found.least < least or (most is not None and (found.most is None or found.most > most)):
            what = "has a pattern that allows other lengths than 'minLength' and 'maxLength'"
            raise refusal(what, where, "Say in the pattern how long the text may be, as in ^[a-z]{1,10}$.")
        return book.add(f"{where}-pattern", rf'"\"" {found.text} "\""')
    if (source := _FORMATS.get(schema.get("format", ""))) is not None:
        found = compile_pattern(source)
        if found.least >= least and (most is None or (found.most is not None and found.most <= most)):
            return book.shared(f"format-{schema['format']}", rf'"\"" {found.text} "\""')
    if (least, most) == (0, None):
        return book.text
    return book.add(f"{where}-string", rf'"\"" {book.char}{{{least},{"" if most is None else most}}} "\""')


def number(schema: Schema, book: RuleBook, where: str) -> str:
    """Return a number within these bounds."""
    if "multipleOf" in schema:
        return whole_number(schema, book, where)
    low, high = _range(schema)
    if low is None and high is None:
        return book.number
    found = "" if low and high and low.value > high.value else numbers(low, high)
    if not found:
        raise impossible("has a 'minimum' above its 'maximum'", where)
    return book.add(f"{where}-number", found)


def whole_number(schema: Schema, book: RuleBook, where: str) -> str:
    """Return a whole number within these bounds."""
    low, high = _range(schema)
    least = None if low is None else math.floor(low.value) + 1 if low.strict else math.ceil(low.value)
    most = None if high is None else math.ceil(high.value) - 1 if high.strict else math.floor(high.value)
    if least is not None and most is not None and least > most:
        raise impossible(f"demands a whole number of at least {least} and at most {most}", where)
    of = schema.get("multipleOf", 1)
    if of != int(of):
        raise refusal(f"demands a multiple of {of}", where, "Only multiples of whole numbers can be followed.")
    if of == 1:
        return book.add(f"{where}-integer", whole_numbers(least, most))
    return _multiple(int(of), least, most, book, where)


def bounds(schema: Schema, what: str, where: str) -> tuple[int, int | None]:
    """Return the least and the most of ``what``: "Length", "Items" or "Properties"."""
    least, most = int(schema.get(f"min{what}", 0)), schema.get(f"max{what}")
    if most is not None and least > most:
        raise impossible(f"has 'min{what}' {least} above 'max{what}' {int(most)}", where)
    return least, None if most is None else int(most)


def _multiple(of: int, least: int | None, most: int | None, book: RuleBook, where: str) -> str:
    if least is not None and most is not None and (most - least) // of <= _MOST_LISTED:
        found = range(-(-least // of) * of, most + 1, of)
        if not found:
            raise impossible(f"demands a multiple of {of} from {least} to {most}", where)
        return book.one_of(map(str, found), where)
    if least is not None or most is not None or of > _MOST_REMAINDERS:
        hint = f"Give a minimum and a maximum with at most {_MOST_LISTED:,} multiples between them."
        raise refusal(f"demands multiples of {of}, too many to follow", where, hint)
    name = book.free(f"{where}-multiple")
    book.rules.update(multiples(of, name))
    return name


def _range(schema: Schema) -> tuple[Bound | None, Bound | None]:
    lows = [_bound(schema[key], strict=key != "minimum") for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [_bound(schema[key], strict=key != "maximum") for key in ("maximum", "exclusiveMaximum") if key in schema]
    # Of two bounds the tighter one holds: the strict one, if they are the same number.
    return max(lows, default=None), min(highs, key=lambda bound: (bound.value, not bound.strict), default=None)


def _bound(value: float, *, strict: bool) -> Bound:
    return Bound(Decimal(repr(value)), strict)
