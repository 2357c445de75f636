"""JSON schemas to GBNF.

llama-cpp-python has a function for this. It is not used: it lets control characters into strings, does not escape
backslashes, and ignores without a word ``minimum`` and ``maximum``, required names that are no properties, ``minItems``
of tuples, ``uniqueItems``, and that the alternatives of ``oneOf`` may overlap. Here, what comes out fulfils the schema,
and what cannot be held to is refused by its name. Not all that fulfils a schema can come out: properties that it does
not name are left away unless ``additionalProperties`` is given, and white space is one blank at most.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from ...errors import GrammarError
from .keywords import Impossible, Schema, bare, check, impossible, kinds_of, merge, refusal, tell_apart, types_of
from .pattern import char_class, literal
from .rulebook import RuleBook
from .scalars import bounds, number, text, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_TEXT = 1_000_000
_PLAIN = r'[^"\\\x00-\x1F]'


def compile_schema(schema: dict[str, Any], name: str) -> str:
    """Return GBNF rules for JSON that fulfils ``schema``; see ``grammar.schema_rules``."""
    try:
        plain = json.dumps(schema, allow_nan=False)
        if len(plain) > _MOST_TEXT:
            msg = f"The JSON schema has {len(plain):,} characters, more than the {_MOST_TEXT:,} that are read."
            raise GrammarError(msg, "Use a smaller one.")
        return _Compiler(json.loads(plain), name).rules()
    except Impossible as error:
        raise GrammarError(str(error), error.hint) from error
    except (TypeError, ValueError) as error:
        if isinstance(error, GrammarError):
            raise
        msg = f"The JSON schema is not JSON: {error}."
        raise GrammarError(msg, "Give it as a dict of texts, numbers, lists and dicts.") from error
    except RecursionError as error:
        msg = "The JSON schema is nested too deeply, or its references lead into themselves without end."
        raise GrammarError(msg, "Use a flatter one.") from error


class _Compiler:
    """Compiles one schema; each method returns GBNF for a value, most often the name of a rule."""

    def __init__(self, schema: Any, name: str) -> None:  # noqa: ANN401 - whatever JSON holds
        self._root = schema
        self._name = name
        self._book = RuleBook(name)
        self._targets: dict[str, str] = {}

    def rules(self) -> str:
        self._book.rules[self._name] = self._value(self._root, "")
        return str(self._book)

    # Values

    def _value(self, schema: Any, where: str) -> str:  # noqa: ANN401
        """Return GBNF for a value; ``where`` leads to its schema from the root."""
        if schema is False:
            raise impossible("has false as a schema", where)
        if schema is True:
            return self._book.any
        check(schema, where)
        schema = bare(schema)
        if "$ref" in schema or "allOf" in schema:
            return self._named(schema, where)
        return self._resolved_value(schema, where)

    def _named(self, schema: Schema, where: str) -> str:
        """Return the rule of a schema that leads to others, and maybe back to itself: it has one before it is done."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._targets:
            self._targets[key] = rule = self._book.free(schema.get("$ref", where).rpartition("/")[2])
            self._book.rules[rule] = ""
            try:
                self._book.rules[rule] = self._named_value(schema, where)
            except Impossible:
                del self._targets[key]
                raise
        return self._targets[key]

    def _named_value(self, schema: Schema, where: str) -> str:
        if set(schema) == {"$ref"}:
            reference = schema["$ref"]
            return self._value(self._target(reference, where), reference.removeprefix("#"))
        return self._resolved_value(self._resolved(schema, where), where)

    def _resolved_value(self, schema: Schema, where: str) -> str:
        if "anyOf" in schema or "oneOf" in schema:
            return self._union(schema, where)
        if "enum" in schema:
            return self._enumeration(schema, where)
        kinds = types_of(schema)
        if kinds is None:
            return self._book.any
        if not kinds:
            raise impossible("demands types that exclude each other", where)
        return self._either([self._kind(kind, schema, where) for kind in kinds], where)

    def _kind(self, kind: str, schema: Schema, where: str) -> str:
        if kind == "object":
            return self._object(schema, where)
        if kind == "array":
            return self._array(schema, where)
        if kind == "string":
            return text(schema, self._book, where)
        if kind == "integer":
            return whole_number(schema, self._book, where)
        if kind == "number":
            return number(schema, self._book, where)
        return '"null"' if kind == "null" else '("true" | "false")'

    def _either(self, values: Sequence[str], where: str) -> str:
        values = list(dict.fromkeys(values))
        return values[0] if len(values) == 1 else self._book.add(where, " | ".join(values))

    def _target(self, reference: str, where: str) -> Any:  # noqa: ANN401
        if reference != "#" and not reference.startswith("#/"):
            raise refusal(f"refers to {reference!r}, outside of itself", where, "Put it under $defs.")
        found = self._root
        try:
            for key in map(_unescape, reference.split("/")[1:]):
                found = found[int(key) if isinstance(found, list) else key]
        except (LookupError, TypeError, ValueError) as error:
            raise refusal(f"refers to {reference!r}, which is not there", where) from error
        return found

    def _resolved(self, schema: Schema, where: str, seen: tuple[str, ...] = ()) -> Schema:
        """Return one schema instead of references and ``allOf``, which then has neither."""
        parts = list(schema.get("allOf", ()))
        if "$ref" in schema:
            if schema["$ref"] in seen:
                raise refusal(f"leads from {schema['$ref']!r} back to it", where)
            seen = (*seen, schema["$ref"])
            parts.append(self._target(schema["$ref"], where))
        whole: Schema = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        for part in parts:
            if part is False:
                raise impossible("has false as a schema", where)
            if part is not True:
                check(part, where)
                whole = merge(whole, self._resolved(bare(part), where, seen), where)
        return whole

    def _union(self, schema: Schema, where: str) -> str:
        key = "anyOf" if "anyOf" in schema else "oneOf"
        rest = {name: value for name, value in schema.items() if name != key}
        parts = [{"allOf": [rest, part]} if rest else part for part in schema[key]]
        if key == "oneOf":
            parts = tell_apart(parts, [self._seen_through(part, where) for part in parts], where)
        found, faults = [], []
        for index, part in enumerate(parts):
            try:
                found.append(self._value(part, f"{where}/{key}/{index}"))
            except Impossible as error:
                faults.append(error)
        if not found:
            raise faults[0]
        return self._either(found, where)

    def _seen_through(self, schema: Any, where: str) -> Any:  # noqa: ANN401
        if isinstance(schema, bool):
            return schema
        check(schema, where)
        try:
            return self._resolved(bare(schema), where)
        except Impossible:
            return False

    def _enumeration(self, schema: Schema, where: str) -> str:
        kinds = types_of(schema)
        others = set(schema) - {"enum", "type", "format"}
        if others:
            raise refusal(f"has {min(others)!r} beside fixed values", where, "List only the values that fulfil it.")
        values = [value for value in schema["enum"] if kinds is None or not kinds_of(value).isdisjoint(kinds)]
        if not values:
            raise impossible("leaves no value to choose from", where)
        return self._book.one_of([json.dumps(value, ensure_ascii=False) for value in values], where)

    # Objects and arrays

    def _object(self, schema: Schema, where: str) -> str:
        """Return an object: its properties in their order, required or not, then others if any may be there."""
        extra = schema.get("additionalProperties")
        properties, required = self._properties(schema, where)
        if extra is None and not properties:
            extra = True
        least, most = bounds(schema, "Properties", where)
        if extra is True and not properties and (least, most) == (0, None):
            return self._book.object
        for name in properties:  # some of those that may be there must be
            if len(required) < least and name not in required:
                required.append(name)
        if most is not None and len(required) > most:
            raise impossible(f"demands more properties than it allows, {len(required)} and {most}", where)
        if most is not None and len(properties) > most:
            properties = {name: value for name, value in properties.items() if name in required}
        missing = least - len(required)
        if missing > (extra not in (None, False)):
            raise refusal(f"demands {least} properties, and names {len(properties)}", where, "Name them all.")
        extras = None
        if extra not in (None, False) and (most is None or len(properties) < most):
            room = None if most is None else most - len(properties)
            extras = _Extras(self._extra(extra, properties, where), max(0, missing), room)
        pairs = [(self._pair(name, value, where), name in required) for name, value in properties.items()]
        inside = [f"{body} {self._book.space}" for body in self._members(pairs, extras, where)]
        optional = "" if missing > 0 or any(must for _, must in pairs) else "?"
        members = f"({' | '.join(inside)}){optional}" if inside else ""
        return self._book.add(where or "object", f'"{{" {self._book.space} {members} "}}"')

    def _properties(self, schema: Schema, where: str) -> tuple[dict[str, Any], list[str]]:
        """Return the properties by their names, those that are only demanded too, and the names that are required."""
        required = list(dict.fromkeys(schema.get("required", ())))
        named = schema.get("properties", {})
        properties = {name: value for name, value in named.items() if value is not False or name in required}
        extra = schema.get("additionalProperties", True)
        for name in required:
            if name not in properties and extra is False:
                raise impossible(f"demands a property {name!r} that it does not allow", where)
            properties.setdefault(name, extra)
        return properties, required

    def _pair(self, name: str, schema: Any, where: str) -> str:  # noqa: ANN401
        value = self._value(schema, f"{where}/properties/{name}")
        key = literal(json.dumps(name, ensure_ascii=False) + ":")
        return self._book.add(f"{where}-{name}-pair", f"{key} {self._book.space} {value}")

    def _extra(self, schema: Any, properties: dict[str, Any], where: str) -> str:  # noqa: ANN401
        """Return a property that is none of those that have names: their values could be others."""
        value = self._value(schema, f"{where}/additionalProperties")
        plain = [name for name in properties if json.dumps(name, ensure_ascii=False)[1:-1] == name]
        return self._book.add(f"{where}-extra", rf'"\"" {self._other(plain, where)} "\":" {self._book.space} {value}')

    def _other(self, names: list[str], where: str) -> str:
        """Return GBNF for a text, not empty and without escapes, that is none of ``names``."""
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(name[:1], []).append(name[1:])
        groups.pop("", None)
        if not groups:
            return f"{_PLAIN}+"
        firsts = "".join(char_class(((ord(first), ord(first)),))[1:-1] for first in groups)
        parts = [f"{_PLAIN[:-1]}{firsts}] {_PLAIN}*"]
        for first, rest in groups.items():
            optional = "" if "" in rest else "?"
            parts.append(f"{literal(first)} ({self._other(rest, where)}){optional}")
        return self._book.add(f"{where}-name", " | ".join(parts))

    def _members(self, pairs: list[tuple[str, bool]], extras: _Extras | None, where: str) -> list[str]:
        """Return what may stand in an object: there is a choice for each property that may come first."""
        after = ["" if extras is None else self._book.more(*extras)]  # what follows each property, from the last on
        for pair, required in reversed(pairs[1:]):
            rest = self._book.add(f"{where}-rest", after[-1]) if after[-1] else ""
            after.append(f"{self._book.more(pair, int(required), 1)} {rest}")
        begins = []
        for (pair, required), rest in zip(pairs, reversed(after), strict=False):
            begins.append(f"{pair} {rest}")
            if required:
                return begins
        if extras is not None:
            begins.append(self._book.several(extras.pair, extras.least, extras.most))
        return begins

    def _array(self, schema: Schema, where: str) -> str:
        prefix, items = schema.get("prefixItems", []), schema.get("items", True)
        least, most = bounds(schema, "Items", where)
        if schema.get("uniqueItems") and (most is None or most > 1):
            raise refusal("demands 'uniqueItems', which no grammar can", where, "Allow one item, or take it out.")
        if items is False and least > len(prefix):
            raise impossible(f"demands more items than it allows, {least} and {len(prefix)}", where)
        firsts = [self._value(item, f"{where}/prefixItems/{index}") for index, item in enumerate(prefix[:most])]
        room = None if most is None else most - len(firsts)
        inside = f' "," {self._book.space} '.join(firsts)
        # Items that only might follow a tuple are left away where nothing is said of them.
        if items is not False and room != 0 and ("items" in schema or least > len(firsts) or not firsts):
            item = self._value(items, f"{where}/items")
            if firsts:
                inside += f" {self._book.more(item, least - len(firsts), room)}"
            else:
                inside = self._book.several(item, least, room)
        optional = "?" if not firsts and not least else ""
        inside = f"({inside} {self._book.space}){optional}" if inside else ""
        return self._book.add(where or "array", f'"[" {self._book.space} {inside} "]"')


class _Extras(NamedTuple):
    """Properties that have no names: one of them, and how many there may be."""

    pair: str
    least: int
    most: int | None


def _unescape(part: str) -> str:
    return unquote(part).replace("~1", "/").replace("~0", "~")
