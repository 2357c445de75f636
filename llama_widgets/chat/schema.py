"""Python's annotations as JSON schemas, and what a model gives for them as the values that a function expects."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import math
import types
import typing
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

_BASIC: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    None: {"type": "null"},
}
_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class NoSchemaError(TypeError):
    """An annotation has no form in JSON."""


def schema_of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - whatever an annotation is
    """Return the JSON schema of ``hint``; what it refers to by name is put into ``definitions``."""
    hint, said = _bare(hint)
    schema = _schema_of(hint, definitions)
    return {**schema, "description": said} if said else schema


def _schema_of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in (Any, object):
        return {}
    if _is_basic(hint):
        return dict(_BASIC[hint])
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(option, definitions) for option in inner]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in _LISTS:
        return {"type": "array", "items": schema_of(inner[0], definitions) if inner else {}}
    if origin in _DICTS:
        values = schema_of(inner[1], definitions) if inner else {}
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": list(_choices(hint))}
    if isinstance(hint, type) and hasattr(hint, "model_json_schema"):
        schema: dict[str, Any] = hint.model_json_schema()
        definitions |= schema.pop("$defs", {})
        return schema
    if typing.is_typeddict(hint) or _is_dataclass(hint):
        names, required = _members(hint)
        properties = {name: schema_of(member, definitions) for name, member in names.items()}
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    msg = f"{_named(hint)} has no form in JSON"
    raise NoSchemaError(msg)


def fit(hint: Any, value: Any, name: str) -> Any:  # noqa: ANN401 - JSON in, an argument out
    """Return ``value``, which a model gave for ``name``, as ``hint`` wants it.

    What is meant without doubt is taken: "3" for a number, 3 for a text. Raises ``ValueError`` for anything else.
    """
    hint, _ = _bare(hint)
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in (Any, object):
        return value
    if _is_basic(hint):
        return _BASIC_FITS[hint](value, name)
    if origin in (typing.Union, types.UnionType):
        return _first_that_fits(inner, value, name)
    if origin is Literal:
        return _one_of({option: option for option in inner}, value, name)
    if origin in _LISTS or origin in _DICTS:
        return _container(origin, inner, value, name)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _one_of(_choices(hint), value, name)
    if isinstance(hint, type) and hasattr(hint, "model_validate"):
        return hint.model_validate(value)  # its ValidationError is a ValueError
    return _object(hint, value, name)


def _container(origin: Any, inner: tuple[Any, ...], value: Any, name: str) -> Any:  # noqa: ANN401
    if origin in _DICTS:
        if not isinstance(value, dict):
            raise _wrong(name, "an object", value)
        return {key: fit(inner[1], item, f"{name}.{key}") if inner else item for key, item in value.items()}
    if not isinstance(value, list):
        raise _wrong(name, "a list", value)
    items = [fit(inner[0], item, f"{name}[{at}]") if inner else item for at, item in enumerate(value)]
    return origin(items) if origin in (tuple, set, frozenset) else items


def _object(hint: Any, value: Any, name: str) -> Any:  # noqa: ANN401
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    names, required = _members(hint)
    if missing := [key for key in required if key not in value]:
        msg = f"{name} lacks {missing[0]!r}"
        raise ValueError(msg)
    if unknown := [key for key in value if key not in names]:
        msg = f"{name} has no {unknown[0]!r}; it has {', '.join(names)}"
        raise ValueError(msg)
    made = {key: fit(names[key], item, f"{name}.{key}") for key, item in value.items()}
    return made if typing.is_typeddict(hint) else hint(**made)


def _text(value: Any, name: str) -> str:  # noqa: ANN401
    if isinstance(value, str) or _is_number(value):
        return str(value)
    raise _wrong(name, "text", value)


def _number(value: Any, name: str) -> float:  # noqa: ANN401
    if isinstance(value, str) or _is_number(value):
        try:
            made = float(value)
        except (ValueError, OverflowError):
            made = math.nan
        if math.isfinite(made):
            return made
    raise _wrong(name, "a number", value)


def _whole(value: Any, name: str) -> int:  # noqa: ANN401
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        return int(value)
    try:
        made = _number(value, name)
    except ValueError:
        made = math.nan
    if made.is_integer():
        return int(made)
    raise _wrong(name, "a whole number", value)


def _flag(value: Any, name: str) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _wrong(name, "true or false", value)


def _null(value: Any, name: str) -> None:  # noqa: ANN401
    if value is not None:
        raise _wrong(name, "null", value)


_BASIC_FITS: dict[Any, Callable[[Any, str], Any]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _flag,
    type(None): _null,
    None: _null,
}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _choices(kind: type[enum.Enum]) -> dict[Any, enum.Enum]:
    """Return what a model can say for each member: the values where they are texts, or else the names."""
    members = list(kind)
    texts = all(isinstance(member.value, str) for member in members)
    return {member.value if texts else member.name: member for member in members}


def _first_that_fits(options: tuple[Any, ...], value: Any, name: str) -> Any:  # noqa: ANN401
    """Return ``value`` as one of ``options``: as it is where one takes it so, or else as the first that can take it."""
    made: list[Any] = []
    faults: list[str] = []
    for option in options:
        try:
            made.append(fit(option, value, name))
        except ValueError as error:
            faults.append(str(error))
    if not made:
        raise ValueError("; or ".join(faults))
    return next((one for one in made if type(one) is type(value) and one == value), made[0])


def _one_of(options: dict[Any, Any], value: Any, name: str) -> Any:  # noqa: ANN401
    for key, option in options.items():
        if type(key) is type(value) and key == value:
            return option
    for key, option in options.items():
        if str(key) == str(value):
            return option
    raise _wrong(name, " or ".join(map(repr, options)), value)


def _bare(hint: Any) -> tuple[Any, str]:  # noqa: ANN401
    """Return ``hint`` without what ``Annotated`` says of it, and the description in that."""
    if typing.get_origin(hint) is not typing.Annotated:
        return hint, ""
    bare, *notes = typing.get_args(hint)
    said = (note if isinstance(note, str) else getattr(note, "description", None) for note in notes)
    return bare, next((text for text in said if isinstance(text, str)), "")


def _members(hint: Any) -> tuple[dict[str, Any], list[str]]:  # noqa: ANN401
    """Return the members of a TypedDict or dataclass by name, and the names of those that must be given."""
    hints = typing.get_type_hints(hint, include_extras=True)
    if typing.is_typeddict(hint):
        return hints, [name for name in hints if name in hint.__required_keys__]
    spec = [f for f in dataclasses.fields(hint) if f.init]
    given = [f.name for f in spec if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    return {f.name: hints[f.name] for f in spec}, given


def _is_basic(hint: Any) -> bool:  # noqa: ANN401
    return isinstance(hint, (type, type(None))) and hint in _BASIC


def _is_dataclass(hint: Any) -> bool:  # noqa: ANN401
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _wrong(name: str, wanted: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {wanted}, not {value!r:.80}")


def _named(hint: Any) -> str:  # noqa: ANN401
    return hint.__name__ if isinstance(hint, type) else str(hint)
