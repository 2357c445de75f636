"""Numbers between two bounds, in GBNF."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

_DIGITS = 15
"""Digits of a number that has no bound; more than these, and a double cannot tell two numbers apart."""

_FRACTION = 6
"""Digits behind the point of a number that has a bound, if the bound has no more."""


class Bound(NamedTuple):
    """A bound of a number, which may be that number itself unless it is ``strict``."""

    value: Decimal
    strict: bool = False


def whole_numbers(low: int | None, high: int | None) -> str:
    """Return GBNF for the whole numbers from ``low`` to ``high``; ``None`` is no bound."""
    largest = 10 ** max(_DIGITS, *(len(str(abs(bound))) + 1 for bound in (low, high) if bound is not None), 0) - 1
    low = -largest if low is None else low
    high = largest if high is None else high
    parts = []
    if low < 0:
        parts.append(f'"-" ({_whole(max(1, -high), -low)})')
    if high >= 0:
        parts.append(_whole(max(0, low), high))
    return " | ".join(parts)


def numbers(low: Bound | None, high: Bound | None) -> str:
    """Return GBNF for the numbers from ``low`` to ``high``, with a fraction or without; ``None`` is no bound.

    Empty if there is no such number.
    """
    zero = Bound(Decimal(0))
    parts = []
    if low is None or low.value < 0:
        least = zero if high is None or high.value > 0 else Bound(-high.value, high.strict)
        if negative := _between(least, None if low is None else Bound(-low.value, low.strict)):
            parts.append(f'"-" ({negative})')
    if high is None or high.value >= 0:
        parts.append(_between(zero if low is None or low.value < 0 else low, high))
    return " | ".join(part for part in parts if part)


def any_number() -> str:
    """Return GBNF for any number."""
    return f'"-"? ("0" | [1-9] [0-9]{{0,{_DIGITS - 1}}}) ("." [0-9]{{1,{_DIGITS}}})? ([eE] [-+]? [1-9] [0-9]?)?'


def multiples(of: int, name: str) -> dict[str, str]:
    """Return rules for the multiples of a whole number above 1; the rule to enter by is ``name``.

    There is a rule for each remainder: what may follow digits that leave it.
    """
    digits = [[f'"{digit}" {name}--{(10 * rest + digit) % of}' for digit in range(10)] for rest in range(of)]
    rules = {f"{name}--{rest}": ("" if rest else '"" | ') + " | ".join(after) for rest, after in enumerate(digits)}
    return {name: f'"0" | "-"? ({" | ".join(digits[0][1:])})', **rules}


def _whole(low: int, high: int) -> str:
    """Return the whole numbers between two that are not negative."""
    parts = []
    while low <= high:
        end = min(high, 10 ** len(str(low)) - 1)  # the last with as many digits
        parts.append(_digits(str(low), str(end)))
        low = end + 1
    return " | ".join(parts)


def _digits(low: str, high: str) -> str:
    """Return the texts of digits between two of the same length."""
    if not low:
        return '""'
    if low == high:
        return f'"{low}"'
    rest = len(low) - 1
    if set(low[1:]) <= {"0"} and set(high[1:]) <= {"9"}:
        return f"[{low[0]}-{high[0]}]" + (f" [0-9]{{{rest}}}" if rest else "")
    if low[0] == high[0]:
        return f'"{low[0]}" ({_digits(low[1:], high[1:])})'
    first, last = int(low[0]) + 1, int(high[0]) - 1
    parts = [f'"{low[0]}" ({_digits(low[1:], "9" * rest)})', f'"{high[0]}" ({_digits("0" * rest, high[1:])})']
    if first <= last:
        parts.append(f"[{first}-{last}] [0-9]{{{rest}}}")
    return " | ".join(parts)


def _between(low: Bound, high: Bound | None) -> str:
    """Return the numbers between two that are not negative; empty if there is none."""
    whole, fraction = _split(low.value)
    if high is not None and _split(high.value)[0] == whole:
        return _within(whole, low, high)
    room = max(_FRACTION, *(len(_split(bound.value)[1]) + 2 for bound in (low, high) if bound is not None))
    parts = [f'"{whole}" {_above(fraction, low.strict, room)}']
    last = None if high is None else _split(high.value)[0]
    if last is None or whole + 1 < last:
        largest = 10 ** max(_DIGITS, len(str(whole)) + 1) - 1 if last is None else last - 1
        parts.append(f'({_whole(whole + 1, largest)}) ("." [0-9]{{1,{room}}})?')
    if high is not None and (below := _below(_split(high.value)[1], high.strict, room)) is not None:
        parts.append(f'"{last}" {below}')
    return " | ".join(parts)


def _within(whole: int, low: Bound, high: Bound) -> str:
    """Return the numbers between two that differ in their fractions at most."""
    size = max(len(_split(low.value)[1]), len(_split(high.value)[1]), 1)
    least, most = (int((bound.value - whole) * 10**size) for bound in (low, high))
    parts = [f'"{whole}"'] if least == 0 and not low.strict and not (most == 0 and high.strict) else []
    if least + low.strict < most:
        first, last = f"{least + low.strict:0{size}}", f"{most - 1:0{size}}"
        parts.append(f'"{whole}." ({_digits(first, last)}) [0-9]{{0,{_FRACTION}}}')
    if low.strict and least < most:
        parts.append(f'"{whole}.{least:0{size}}" [0-9]{{0,{_FRACTION}}} [1-9]')
    if not high.strict and (least < most or not low.strict):
        parts.append(_exactly(high.value))
    return " | ".join(parts)


def _exactly(value: Decimal) -> str:
    """Return one number, however many zeros it ends in."""
    whole, fraction = _split(value)
    return f'"{whole}.{fraction}" "0"{{0,{_FRACTION}}}' if fraction else f'"{whole}" ("." "0"{{1,{_FRACTION}}})?'


def _split(value: Decimal) -> tuple[int, str]:
    """Return a number's whole part and the digits of its fraction, as few as possible."""
    whole, _, fraction = f"{value:f}".partition(".")
    return int(whole), fraction.rstrip("0")


def _above(fraction: str, strict: bool, room: int) -> str:
    """Return a fraction that is at least this one, or more if ``strict``."""
    if not fraction:
        return f'"." [0-9]{{0,{room - 1}}} [1-9]' if strict else f'("." [0-9]{{1,{room}}})?'
    return f'"." ({_at_least(fraction, strict, room)})'


def _at_least(digits: str, strict: bool, room: int) -> str:
    digit, rest = digits[0], digits[1:]
    parts = [f"[{int(digit) + 1}-9] [0-9]{{0,{room - 1}}}"] if digit != "9" else []
    if rest:
        parts.append(f'"{digit}" ({_at_least(rest, strict, room - 1)})')
    elif not strict:
        parts.append(f'"{digit}" [0-9]{{0,{room - 1}}}')
    else:
        parts.append(f'"{digit}" [0-9]{{0,{room - 2}}} [1-9]')
    return " | ".join(parts)


def _below(fraction: str, strict: bool, room: int) -> str | None:
    """Return a fraction that is at most this one, or less if ``strict``; None if there is none."""
    if not fraction:
        return None if strict else f'("." "0"{{1,{_FRACTION}}})?'
    return f'("." ({_at_most(fraction, strict, room)}))?'


def _at_most(digits: str, strict: bool, room: int) -> str:
    digit, rest = digits[0], digits[1:]
    parts = [f"[0-{int(digit) - 1}] [0-9]{{0,{room - 1}}}"] if digit != "0" else []
    if rest:
        parts.append(f'"{digit}" ({_at_most(rest, strict, room - 1)})?')
    elif not strict:
        parts.append(f'"{digit}" "0"{{0,{room - 1}}}')
    return " | ".join(parts)
