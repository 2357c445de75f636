"""The keywords of JSON schemas: which are known, what they hold, and how two schemas become one."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from ...errors import GrammarError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Schema = dict[str, Any]

_KINDS = ("object", "array", "string", "integer", "number", "boolean", "null")
_IMPLIED = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""Which keywords are about which type."""

_ANNOTATIONS = {
    *("title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "discriminator"),
    *("contentMediaType", "contentEncoding", "contentSchema"),
}
_REFUSED = {
    *("not", "if", "then", "else", "dependencies", "dependentRequired", "dependentSchemas"),
    *("patternProperties", "propertyNames", "unevaluatedProperties"),
    *("contains", "minContains", "maxContains", "unevaluatedItems", "$dynamicRef", "$recursiveRef"),
}
_MOST_CROSSED = 100


def refusal(what: str, where: str, hint: str = "") -> GrammarError:
    """Return the error that says what is wrong with the schema at ``where``."""
    return GrammarError(f"The JSON schema {what} (at #{where}).", hint)


class Impossible(Exception):  # noqa: N818 - it may be right within one of several alternatives
    """Nothing can come out of a schema; another alternative may do."""

    def __init__(self, message: str, hint: str = "Take out what contradicts.") -> None:
        self.hint = hint
        super().__init__(message)


def impossible(what: str, where: str) -> Impossible:
    """Return the error that says why nothing fulfils the schema at ``where``."""
    return Impossible(f"The JSON schema {what}, so nothing can fulfil it (at #{where}).")


def check(schema: Any, where: str) -> None:  # noqa: ANN401 - whatever JSON holds
    """Raise ``GrammarError`` if a keyword of ``schema`` is unknown, cannot be followed, or holds what it must not."""
    if not isinstance(schema, dict):
        raise refusal(f"has {json.dumps(schema)[:40]} where a schema should be", where)
    for key, value in schema.items():
        if key in _REFUSED:
            if key == "not" and value in ({}, True):
                raise impossible("excludes everything", where)
            raise refusal(f"uses {key!r}, which no grammar can follow here", where, "Say it in another way.")
        if key in _HOLDS:
            fits, words = _HOLDS[key]
            if not fits(value):
                raise refusal(f"has {json.dumps(value)[:40]} as {key!r}, which must be {words}", where)
        elif key not in _ANNOTATIONS and not key.startswith("x-"):
            raise refusal(
                f"has {key!r}, which is not a keyword that is known", where, "Check its name, or take it out."
            )


def bare(schema: Schema) -> Schema:
    """Return ``schema`` without what only describes, and in the words of the latest draft."""
    found = {key: value for key, value in schema.items() if key not in _ANNOTATIONS and not key.startswith("x-")}
    if "const" in found:
        value = found.pop("const")
        found["enum"] = [value] if "enum" not in found else [other for other in found["enum"] if _same(other, value)]
    rest = found.pop("additionalItems", None)
    if isinstance(found.get("items"), list):
        found["prefixItems"] = found.pop("items")
        if rest is not None:
            found["items"] = rest
    return found


def types_of(schema: Schema) -> list[str] | None:
    """Return the types that ``schema`` allows, or is about; None if it says nothing of that."""
    if "type" in schema:
        named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return [kind for kind in dict.fromkeys(named) if kind != "integer" or "number" not in named]
    return [kind for kind, keys in _IMPLIED.items() if any(key in schema for key in keys)] or None


def kinds_of(value: Any) -> set[str]:  # noqa: ANN401
    """Return the types that a value has."""
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, (int, float)):
        return {"integer", "number"} if value == int(value) else {"number"}
    return {"string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"}


# Two schemas that both hold


def merge(one: Schema, other: Schema, where: str) -> Schema:
    """Return a schema that allows what both allow; neither may have ``$ref`` or ``allOf``."""
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if one[key] != other[key]:
            both[key] = _merged(key, one[key], other[key], where)
    if "enum" in both and not both["enum"]:
        raise impossible("leaves no value to choose from", where)
    if "properties" in both or "additionalProperties" in both:
        both |= _merged_properties(one, other, both, where)
    return both


def _merged(key: str, one: Any, other: Any, where: str) -> Any:  # noqa: ANN401
    if key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
        return max(one, other)
    if key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
        return min(one, other)
    if key == "required":
        return list(dict.fromkeys([*one, *other]))
    if key == "enum":
        return [value for value in one if any(_same(value, kept) for kept in other)]
    if key == "type":
        return _common_types(one, other)
    if key in ("properties", "additionalProperties"):
        return None  # together, below
    if key == "uniqueItems":
        return True
    if key == "items":
        return {"allOf": [one, other]}
    if key == "anyOf" and len(one) * len(other) <= _MOST_CROSSED:
        return [{"allOf": [left, right]} for left, right in itertools.product(one, other)]
    raise refusal(f"joins two schemas that differ in {key!r}", where, "Write them as one.")


def _common_types(one: Any, other: Any) -> list[str]:  # noqa: ANN401
    left, right = ([kinds] if isinstance(kinds, str) else kinds for kinds in (one, other))
    found = [kind for kind in left if kind in right]
    if "integer" not in found and "integer" in {*left, *right} and "number" in {*left, *right}:
        found.append("integer")
    return found


def _merged_properties(one: Schema, other: Schema, both: Schema, where: str) -> Schema:
    """Return the properties of both; what one names must fulfil what the other says of all others."""
    rests = [schema["additionalProperties"] for schema in (one, other) if "additionalProperties" in schema]
    properties = {}
    for name in [*one.get("properties", ()), *(name for name in other.get("properties", ()))]:
        held = [
            schema["properties"][name]
            if name in schema.get("properties", ())
            else schema.get("additionalProperties", True)
            for schema in (one, other)
        ]
        if False not in held:
            wanted = [schema for schema in held if schema not in (True, {})]
            properties[name] = {"allOf": wanted} if len(wanted) > 1 else wanted[0] if wanted else {}
        elif name in both.get("required", ()):
            raise impossible(f"demands a property {name!r} that it does not allow", where)
    found: Schema = {"properties": properties}
    if rests:
        wanted = [rest for rest in rests if rest not in (True, {})]
        found["additionalProperties"] = (
            False if False in rests else True if not wanted else wanted[0] if len(wanted) == 1 else {"allOf": wanted}
        )
    return found


# Alternatives of which only one may hold


def tell_apart(parts: list[Any], resolved: list[Any], where: str) -> list[Any]:
    """Return the alternatives of a ``oneOf`` so that nothing fulfils two of them.

    Two are apart if their types are, their fixed values, or those of a property of both, as in a tagged union; there
    the property becomes one that must be present.

    Raises
    ------
    GrammarError
        If two cannot be told apart: what fulfils both must not come out.
    """
    parts = list(parts)
    for (i, one), (j, other) in itertools.combinations(enumerate(resolved), 2):
        if (
            False in (one, other)
            or _kinds(one).isdisjoint(_kinds(other))
            or _values_differ(one, other)
            or _excluded(one, other)
        ):
            continue
        tag = _tag(one, other)
        if tag is None:
            hint = "Use 'anyOf', or give both a property with a different 'const'."
            raise refusal(f"has alternatives {i + 1} and {j + 1} of 'oneOf' that may both hold", where, hint)
        for index in (i, j):
            required = list(parts[index].get("required", ()))
            parts[index] = {**parts[index], "required": list(dict.fromkeys([*required, tag]))}
    return parts


def _kinds(schema: Any) -> set[str]:  # noqa: ANN401
    if not isinstance(schema, dict):
        return set(_KINDS)
    if "enum" in schema:
        return set().union(*map(kinds_of, schema["enum"]))
    kinds = set(types_of(schema) or _KINDS) if "type" in schema else set(_KINDS)
    return kinds | {"integer"} if "number" in kinds else kinds


def _values_differ(one: Any, other: Any) -> bool:  # noqa: ANN401
    if not (isinstance(one, dict) and isinstance(other, dict) and "enum" in one and "enum" in other):
        return False
    return not any(_same(left, right) for left, right in itertools.product(one["enum"], other["enum"]))


def _excluded(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Return whether one of two objects must have what the other must not."""
    return any(
        a.get("additionalProperties") is False and set(b.get("required", ())) - set(a.get("properties", ()))
        for a, b in ((one, other), (other, one))
        if isinstance(a, dict) and isinstance(b, dict) and _kinds(a) == _kinds(b) == {"object"}
    )


def _tag(one: Any, other: Any) -> str | None:  # noqa: ANN401
    """Return a property whose values tell two objects apart."""
    if not (isinstance(one, dict) and isinstance(other, dict) and _kinds(one) == _kinds(other) == {"object"}):
        return None
    left, right = one.get("properties", {}), other.get("properties", {})
    shared = (name for name in left if isinstance(left[name], dict) and isinstance(right.get(name), dict))
    return next((name for name in shared if _values_differ(bare(left[name]), bare(right[name]))), None)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Return whether two values are the same in JSON, where true is not 1, and 1.0 is."""
    return bool(one == other) and kinds_of(one) == kinds_of(other)


# What the keywords hold


def _is_schema(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (dict, bool))


def _is_count(value: Any) -> bool:  # noqa: ANN401
    return _is_number(value) and value >= 0 and value == int(value)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:  # noqa: ANN401
    return isinstance(value, list) and all(map(fits, value))


def _are_schemas(value: Any) -> bool:  # noqa: ANN401
    return _is_list(value, _is_schema)


def _is_type(value: Any) -> bool:  # noqa: ANN401
    return value in _KINDS if isinstance(value, str) else _is_list(value, lambda kind: kind in _KINDS) and bool(value)


def _held(
    keys: str, fits: Callable[[Any], bool], words: str
) -> Iterable[tuple[str, tuple[Callable[[Any], bool], str]]]:
    return ((key, (fits, words)) for key in keys.split())


_HOLDS: dict[str, tuple[Callable[[Any], bool], str]] = dict(
    [
        *_held("type", _is_type, f"one or several of {', '.join(_KINDS)}"),
        *_held("$ref pattern format", lambda value: isinstance(value, str), "a text"),
        *_held("enum", lambda value: isinstance(value, list), "a list"),
        *_held("const", lambda _: True, "a value"),
        *_held("allOf prefixItems", _are_schemas, "a list of schemas"),
        *_held("anyOf oneOf", lambda value: _are_schemas(value) and bool(value), "a list of schemas that is not empty"),
        *_held("items", lambda value: _is_schema(value) or _are_schemas(value), "a schema"),
        *_held("additionalProperties additionalItems", _is_schema, "a schema"),
        *_held(
            "properties",
            lambda value: isinstance(value, dict) and all(map(_is_schema, value.values())),
            "an object of schemas",
        ),
        *_held("required", lambda value: _is_list(value, lambda name: isinstance(name, str)), "a list of names"),
        *_held("uniqueItems", lambda value: isinstance(value, bool), "true or false"),
        *_held(
            "minLength maxLength minItems maxItems minProperties maxProperties", _is_count, "a whole number from 0 on"
        ),
        *_held("minimum maximum exclusiveMinimum exclusiveMaximum", _is_number, "a number"),
        *_held("multipleOf", lambda value: _is_number(value) and value > 0, "a number above 0"),
    ]
)
