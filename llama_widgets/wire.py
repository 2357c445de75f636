"""Plain dicts to frozen dataclasses and back: how every message of this package is checked.

A message class names its ``type`` and declares its fields with the types that JSON has. ``decode`` checks what comes in
against those declarations, so that a handler never sees a half-right message.
"""

from __future__ import annotations

import difflib
import functools
import math
import types
import typing
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from .errors import ParameterError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FEW = 20

T = TypeVar("T")
MessageT = TypeVar("MessageT", bound="Message")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message. ``request_id`` is made by the caller and comes back on every answer."""

    type: ClassVar[str]

    request_id: str

    def to_dict(self) -> dict[str, Any]:
        """Return the message as it travels: plain data, with its ``type``."""
        return {"type": self.type, **_plain(self)}

    def to_short_dict(self) -> dict[str, Any]:
        """Return the message without the fields that have their defaults: who reads it fills them in."""
        default = {f.name for f in fields(self) if getattr(self, f.name) == _default_of(f)}
        return {key: value for key, value in self.to_dict().items() if key not in default}


def param(default: T, low: float | None = None, high: float | None = None) -> T:
    """Declare a number with its range, both ends included; ``decode`` refuses what lies outside."""
    return field(default=default, metadata={"range": (low, high)})


def secret(default: T) -> T:
    """Declare a field that is read from the wire, but never printed and never sent back."""
    return field(default=default, repr=False, metadata={"secret": True})


def decode(data: object, kinds: dict[str, type[MessageT]]) -> MessageT:
    """Turn a plain dict into the message that its ``type`` names.

    Raises
    ------
    ProtocolError
        If ``data`` is not a message of one of ``kinds``.
    ParameterError
        If an option within it is unknown, of the wrong type or out of range.
    """
    if not isinstance(data, dict):
        msg = f"A message must be a dict with a type, not {type(data).__name__}."
        raise ProtocolError(msg, known("", sorted(kinds)))
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        msg = f"There is no message of type {_shown(kind)}."
        raise ProtocolError(msg, known(str(kind), sorted(kinds)))
    values = {key: value for key, value in data.items() if key != "type"}
    return build(kinds[kind], values, where=f"message {kind}", error=ProtocolError)


def table(*classes: type[MessageT]) -> dict[str, type[MessageT]]:
    """Return the classes by their ``type``, as ``decode`` takes them."""
    return {cls.type: cls for cls in classes}


def build(cls: type[T], values: dict[str, Any], *, where: str, error: type[ProtocolError | ParameterError]) -> T:
    """Make a ``cls`` from ``values``, checking names, types and ranges; ``error`` is raised for the first fault."""
    declared = _declared(typing.cast("Any", cls))
    for name in values:
        if name not in declared:
            msg = f"{_shown(name)} is not a field of {where}."
            raise error(msg, known(name, declared))
    checked = {}
    for name, declaration in declared.items():
        spec = declaration.spec
        if name in values:
            checked[name] = _check(values[name], declaration, where, error)
        elif spec.default is MISSING and spec.default_factory is MISSING:
            msg = f"{name!r} is missing in {where}."
            raise error(msg, _default(spec))
    return cls(**checked)


class _Declared(typing.NamedTuple):
    """A field, its hint, the class if it holds an object, and what tells whether anything else fits."""

    spec: Field[Any]
    hint: Any
    inner: type | None
    fits: Callable[[object], bool]


@functools.cache  # evaluates the hints as source code: a saved conversation has thousands of messages
def _declared(cls: type) -> dict[str, _Declared]:
    hints = typing.get_type_hints(cls)
    return {f.name: _Declared(f, hint := hints[f.name], _dataclass_of(hint), _fitting(hint)) for f in fields(cls)}


def _check(
    value: Any,  # noqa: ANN401 - whatever JSON holds
    declared: _Declared,
    where: str,
    error: type[ProtocolError | ParameterError],
) -> Any:  # noqa: ANN401
    spec, hint, inner, fits = declared
    name = spec.name
    if inner is not None and (value is not None or hint is inner):
        if isinstance(value, inner):
            return value
        if isinstance(value, dict):
            return build(inner, value, where=name, error=ParameterError)
        msg = f"{name!r} of {where} must be an object, not {_shown(value)}."
        raise error(msg, _default(spec))
    if not fits(value):
        given = type(value).__name__ if spec.metadata.get("secret") else _shown(value)
        msg = f"{name!r} of {where} must be {_words(hint)}, not {given}."
        raise error(msg, _default(spec))
    _check_range(value, spec, error)
    return float(value) if hint is float else value


def _dataclass_of(hint: Any) -> type | None:  # noqa: ANN401
    """Return the dataclass that a value is of, which may also be ``None``, if ``hint`` says that."""
    options = [each for each in typing.get_args(hint) or (hint,) if is_dataclass(each) and isinstance(each, type)]
    return options[0] if len(options) == 1 and set(typing.get_args(hint)) <= {*options, type(None)} else None


def _fitting(hint: Any) -> Callable[[object], bool]:  # noqa: ANN401
    """Return what tells whether a value is as ``hint`` says."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        options = [_fitting(option) for option in inner]
        return lambda value: any(fits(value) for fits in options)
    if origin is Literal:
        return lambda value: any(value == option and type(value) is type(option) for option in inner)
    if origin in (list, tuple):
        item_fits = _fitting(inner[0])
        return lambda value: isinstance(value, (list, tuple)) and all(map(item_fits, value))
    if origin is dict:
        item_fits = _fitting(inner[1])
        return lambda value: (
            isinstance(value, dict)
            and all(isinstance(key, str) for key in value)
            and all(map(item_fits, value.values()))
        )
    if hint is Any:
        return lambda _: True
    if hint is float:
        return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    return lambda value: isinstance(value, hint)


def _check_range(value: object, spec: Field[Any], error: type[ProtocolError | ParameterError]) -> None:
    bounds: tuple[float | None, float | None] | None = spec.metadata.get("range")
    if bounds is None or isinstance(value, (str, bool)) or not isinstance(value, (int, float)):
        return
    low, high = bounds
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"at least {low:,}" if high is None else f"between {low:,} and {high:,}"
        msg = f"{spec.name!r} must be {allowed}, not {_shown(value)}."
        raise error(msg, _default(spec))


def known(name: str, names: Iterable[str]) -> str:
    """Return a hint for somebody who wrote ``name`` and must have meant one of ``names``."""
    names = list(names)
    if close := difflib.get_close_matches(name, names, 1):
        return f"Did you mean {close[0]!r}?"
    few = names if len(names) <= _FEW else [*names[:_FEW], "..."]
    return f"Known: {', '.join(few)}."


def _default_of(spec: Field[Any]) -> Any:  # noqa: ANN401
    return spec.default if spec.default_factory is MISSING else spec.default_factory()


def _default(spec: Field[Any]) -> str:
    """Return what to say to somebody who does not know what to give."""
    if spec.default_factory is not MISSING:
        return f"The default is {spec.default_factory()!r}."
    return "There is no default." if spec.default is MISSING else f"The default is {spec.default!r}."


def _words(hint: Any) -> str:  # noqa: ANN401
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(option) for option in typing.get_args(hint))
    if origin is Literal:
        return " or ".join(repr(option) for option in typing.get_args(hint))
    if origin in (list, tuple):
        return f"a list of {_words(typing.get_args(hint)[0])}"
    if origin is dict:
        inner = typing.get_args(hint)[1]
        return "an object" if inner is Any else f"an object that gives each name {_words(inner)}"
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    return names.get(hint, str(hint))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - one line of an error text


def _plain(value: object) -> Any:  # noqa: ANN401
    if value is None or isinstance(value, (str, int, float)):  # first, as most are
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if not f.metadata.get("secret")}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
