"""What comes out of a JSON schema's grammar fulfils it; what cannot be held to is refused by its name."""

from __future__ import annotations

import contextlib
import datetime as dt  # noqa: TC003 - pydantic looks at annotations
import enum
import json
import re
import uuid  # noqa: TC003
from random import Random
from typing import Annotated, Any, Literal

import jsonschema
import pydantic
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from llama_widgets.engines.grammar import Grammar, schema_rules
from llama_widgets.engines.grammar.pattern import compile_pattern
from llama_widgets.errors import GrammarError, ParameterError
from llama_widgets.options import GenerationOptions
from tests.unit.walks import allows, begins, follower, walk

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
THREE: Schema = {"type": "object", "properties": {"a": NULL, "b": NULL, "c": NULL}}
KEYWORDS = [
    *("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "not", "properties", "required", "items", "minItems"),
    *("additionalProperties", "prefixItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum"),
    *("exclusiveMinimum", "multipleOf", "minProperties", "maxProperties", "title", "a", "format"),
]
LIST: Schema = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, NULL]}},
            "required": ["v"],
            "additionalProperties": False,
        }
    },
}
TREE: Schema = {
    "$defs": {
        "leaf": {"type": "object", "properties": {"t": {"const": "leaf", "default": "leaf"}, "v": {"type": "integer"}}},
        "fork": {"type": "object", "properties": {"t": {"const": "fork"}, "left": {"$ref": "#/$defs/tree"}}},
        "tree": {
            "oneOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/fork"}],
            "discriminator": {"propertyName": "t"},
        },
    },
    "$ref": "#/$defs/tree",
}

FINE: list[tuple[Schema, list[str], list[str]]] = [
    # Anything
    ({}, ["1", '"a"', "null", '{"a": [1, {}]}', "[]"], ["'a'", "", "tru"]),
    ({"title": "x", "description": "d", "default": 3, "examples": [1], "x-foo": 1}, ["1", "[[]]"], []),
    ({"type": "object"}, ["{}", '{"a": 1, "b": [{"c": null}]}'], ["[]", '{"a": 1,}', "{a: 1}"]),
    ({"type": "array"}, ["[]", '[1, "a", [], {}]'], ["{}", "[1,]"]),
    ({"type": "boolean"}, ["true", "false"], ["1", "True"]),
    (NULL, ["null"], ["None", '""']),
    # Texts
    ({"type": "string"}, ['""', '"aé😀"', r'"\n\u00e9\"\\"'], ['"', '"\n"', '"\t"', r'"\x"', r'"\ud800"', "'a'"]),
    ({"type": "string", "minLength": 2, "maxLength": 4}, ['"ab"', r'"\n\"é😀"'], ['"a"', '"abcde"']),
    ({"type": "string", "maxLength": 0}, ['""'], ['"a"']),
    ({"type": "string", "minLength": 3}, ['"abc"', '"abcdefgh"'], ['"ab"']),
    ({"type": "string", "maxLength": 10**7}, ['"abc"'], []),
    ({"type": "string", "pattern": r"^[A-Z]{3}-\d{2}$"}, ['"ABC-12"'], ['"ABC-123"', '"abc-12"']),
    ({"type": "string", "pattern": "b+"}, ['"b"', '"abba"'], ['"aaa"']),
    ({"type": "string", "pattern": "^[a-z]{2,4}$", "minLength": 2, "maxLength": 5}, ['"abcd"'], ['"a"']),
    ({"type": "string", "pattern": r'^["\\/]$'}, [r'"\""', r'"\\"', '"/"'], ['"""', '"a"']),
    ({"type": "string", "format": "date"}, ['"2024-02-28"'], ['"2024-13-01"', '"2024-02-30"']),
    ({"type": "string", "format": "time"}, ['"23:59:01Z"', '"00:00:00.5+01:00"'], ['"24:00:00Z"', '"12:00:00"']),
    ({"type": "string", "format": "date-time"}, ['"2024-12-31T23:59:59Z"'], ['"2024-12-31"']),
    ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123"']),
    ({"type": "string", "format": "email"}, ['"a.b@c-d.org"'], ['"a"', '"a@b"']),
    ({"type": "string", "format": "ipv4"}, ['"192.168.0.255"'], ['"256.1.1.1"', '"1.2.3"']),
    ({"type": "string", "format": "hostname"}, ['"anything"'], ["1"]),
    ({"type": "string", "format": "date", "maxLength": 5}, ['"abc"'], ['"2024-02-28"']),
    # Numbers
    ({"type": "integer"}, ["0", "-12", "999999999999999"], ["1.5", "01", "+1", "-0", "1e3"]),
    ({"type": "number"}, ["0", "-1.50", "2e10", "1.5E-3", "-0.0"], ["01", ".5", "1.", "NaN", "1e"]),
    ({"type": "integer", "minimum": -3, "maximum": 12}, ["-3", "0", "12"], ["-4", "13", "1.0"]),
    ({"type": "integer", "exclusiveMinimum": 5}, ["6", "10000"], ["5", "-6"]),
    ({"type": "integer", "minimum": 0.5, "exclusiveMaximum": 2.5}, ["1", "2"], ["0", "3"]),
    ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "0.5", "1", "1.0", "0.123456"], ["-0.1", "1.1", "2"]),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, ["0.5", "0.01"], ["0", "0.0", "1", "1.0"]),
    ({"type": "number", "minimum": 0.1, "maximum": 0.9}, ["0.1", "0.5", "0.9", "0.123"], ["0", "0.95", "1"]),
    ({"type": "number", "maximum": -2.5}, ["-2.5", "-3", "-100.25"], ["-2.4", "0", "2.5"]),
    ({"type": "integer", "multipleOf": 7}, ["0", "49", "-700"], ["1", "48", "007"]),
    ({"type": "number", "multipleOf": 5, "minimum": 3, "maximum": 98}, ["5", "95"], ["0", "4", "100"]),
    ({"type": "integer", "multipleOf": 1000, "minimum": 0, "maximum": 10**6}, ["0", "1000", "999000"], ["1"]),
    # Values
    ({"enum": ["a", 1, None, True, {"x": [1]}]}, ['"a"', "1", "null", "true", '{"x": [1]}'], ["2", '"b"']),
    ({"const": 'a\\b"c\n\u2028é'}, [json.dumps('a\\b"c\n\u2028é', ensure_ascii=False)], ['"a"']),
    ({"type": "integer", "enum": [1, 2.0, "x", 2.5]}, ["1", "2.0"], ['"x"', "2.5"]),
    ({"enum": [f"country {number}" for number in range(300)]}, ['"country 7"', '"country 299"'], ['"country"']),
    ({"enum": ["a" * number for number in range(60)]}, ['""', f'"{"a" * 59}"'], [f'"{"a" * 60}"']),
    # Objects
    (
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": NULL}, "required": ["a"]},
        ['{"a": 1}', '{"a": 1, "b": null}', '{"a":1,"b":null}', '{ "a": 1 }'],
        ["{}", '{"b": null}', '{"a": 1, "c": 1}', '{"a": 1,}'],
    ),
    (THREE, ["{}", '{"b": null}', '{"a": null, "c": null}'], ['{"b": null,}', '{"c": null, "a": null}']),
    (THREE | {"minProperties": 2}, ['{"a": null, "b": null}'], ["{}", '{"a": null}']),
    (THREE | {"maxProperties": 1, "required": ["b"]}, ['{"b": null}'], ['{"a": null}', '{"a": null, "b": null}']),
    (THREE | {"required": ["c"]}, ['{"c": null}', '{"a": null, "c": null}'], ["{}", '{"a": null}']),
    (
        {"type": "object", "properties": {"a b": NULL, "a-b": NULL, 'é"\\': NULL}, "required": ["a b", "a-b", 'é"\\']},
        ['{"a b": null, "a-b": null, "é\\"\\\\": null}'],
        ['{"a b": null}'],
    ),
    (
        {
            "type": "object",
            "properties": {"abc": {"type": "integer"}, "ab": {"type": "integer"}},
            "required": ["ab"],
            "additionalProperties": {"type": "string"},
        },
        ['{"ab": 1}', '{"abc": 1, "ab": 2, "a": "x", "abcd": "y", "b": "z"}'],
        ['{"ab": 1, "abc": "x"}', '{"ab": 1, "ab": "x"}', '{"ab": 1, "z": 1}', r'{"ab": 1, "\u0061b": "x"}'],
    ),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, ["{}", '{"x": 1, "y": 2}'], ['{"x": ""}']),
    (
        {"type": "object", "additionalProperties": NULL, "minProperties": 1, "maxProperties": 2},
        ['{"x": null}', '{"x": null, "y": null}'],
        ["{}", '{"x": null, "y": null, "z": null}'],
    ),
    ({"type": "object", "additionalProperties": False}, ["{}", "{ }"], ['{"a": 1}']),
    ({"type": "object", "properties": {"a": NULL}, "additionalProperties": True}, ['{"b": 1}', "{}"], ['{"a": 1}']),
    ({"type": "object", "required": ["q", "r"]}, ['{"q": 1, "r": []}'], ['{"q": 1}']),
    ({"type": "object", "properties": {"a": False, "b": NULL}}, ["{}", '{"b": null}'], ['{"a": 1}']),
    ({"type": "object", "maxProperties": 0}, ["{}"], ['{"a": 1}']),
    ({"type": "object", "properties": {f"p{number}": NULL for number in range(120)}}, ["{}", '{"p119": null}'], []),
    ({"properties": {"json-char": {"type": "string"}, "json char": {"type": "string"}}}, ['{"json-char": "a"}'], ["1"]),
    # Arrays
    ({"type": "array", "items": NULL, "minItems": 2, "maxItems": 3}, ["[null, null]", "[null,null,null]"], ["[null]"]),
    ({"type": "array", "maxItems": 0}, ["[]", "[ ]"], ["[1]"]),
    ({"type": "array", "items": False}, ["[]"], ["[1]"]),
    ({"type": "array", "prefixItems": [NULL, {"type": "string"}], "items": False}, ['[null, "a"]'], ["[null, 1]"]),
    (
        {"type": "array", "prefixItems": [{"type": "string"}], "items": NULL, "minItems": 3, "maxItems": 4},
        ['["a", null, null]', '["a", null, null, null]'],
        ['["a", null]', '["a", null, null, null, null]'],
    ),
    ({"type": "array", "prefixItems": [NULL], "minItems": 2}, ["[null, 1]"], ["[null]"]),
    ({"type": "array", "prefixItems": [NULL, NULL, NULL], "maxItems": 2}, ["[null, null]"], ["[null, null, null]"]),
    ({"type": "array", "uniqueItems": True, "maxItems": 1}, ["[1]", "[]"], ["[1, 1]"]),
    ({"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}}, ["[[true], []]"], ["[[1]]"]),
    # Combinations
    ({"anyOf": [{"type": "string"}, NULL]}, ['"a"', "null"], ["1"]),
    ({"anyOf": [False, NULL, {"type": "integer", "minimum": 2, "maximum": 1}]}, ["null"], ["1"]),
    ({"type": ["integer", "null", "string"], "minimum": 3, "maxLength": 2}, ["3", "null", '"ab"'], ["2", '"abc"']),
    ({"minLength": 2, "minimum": 5}, ["5", '"ab"'], ["4", '"a"', "null"]),
    ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, ['"a"', "1"], ["null"]),
    ({"oneOf": [NULL, {"allOf": [{"enum": [1]}, {"enum": [2]}]}]}, ["null"], ["1", "2"]),
    ({"anyOf": [NULL, {"type": "string", "pattern": "(?!a)"}]}, ["null"], ['"b"']),
    (
        {
            "oneOf": [
                {"type": "object", "properties": {"k": {"const": "a"}, "v": NULL}},
                {"type": "object", "properties": {"k": {"const": "b"}, "w": NULL}},
            ]
        },
        ['{"k": "a"}', '{"k": "b", "w": null}'],
        ["{}", '{"v": null}', '{"k": "a", "w": null}'],
    ),
    (
        {
            "oneOf": [
                {"type": "object", "properties": {"a": NULL}, "required": ["a"], "additionalProperties": False},
                {"type": "object", "properties": {"b": NULL}, "required": ["b"], "additionalProperties": False},
            ]
        },
        ['{"a": null}', '{"b": null}'],
        ["{}"],
    ),
    (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": NULL, "a": {"minimum": 4}}, "required": ["b"]},
            ]
        },
        ['{"a": 4, "b": null}'],
        ['{"a": 3, "b": null}', '{"a": 4}'],
    ),
    ({"allOf": [{"type": ["integer", "string"]}, {"type": "number"}, {"minimum": 3}]}, ["3"], ["2", "3.5", '"a"']),
    ({"allOf": [{"enum": [1, 2, True]}, {"enum": [2, 3, True]}]}, ["2", "true"], ["1", "3"]),
    (
        {"allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"minimum": 3}, NULL]}]},
        ["3"],
        ["2"],
    ),
    (
        {"type": "object", "properties": {"a": NULL}, "anyOf": [{"required": ["a"]}, {"properties": {"b": NULL}}]},
        ['{"a": null}', "{}", '{"b": null}'],
        ['{"a": 1}'],
    ),
    # References
    (LIST, ['{"v": 1}', '{"v": 1, "next": {"v": 2, "next": null}}'], ['{"v": 1, "next": {}}', "null"]),
    (TREE, ['{"t": "fork", "left": {"t": "leaf", "v": 1}}'], ["{}", '{"t": "leaf", "left": null}']),
    ({"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}, ['{"kids": [{}]}'], []),
    ({"$defs": {"a/b~c d": {"type": "boolean"}}, "$ref": "#/$defs/a~1b~0c%20d"}, ["true"], ["null"]),
    ({"prefixItems": [NULL, {"$ref": "#/prefixItems/0"}]}, ["[null, null]"], ["[null, 1]"]),
    (
        {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n", "minimum": 3}}},
        ['{"a": 3}'],
        ['{"a": 2}'],
    ),
]


@pytest.mark.parametrize(("schema", "whole", "refused"), FINE, ids=lambda value: json.dumps(value)[:60])
def test_what_comes_out_fulfils_the_schema(schema: Schema, whole: list[str], refused: list[str]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    grammar = follower(schema_rules(schema, "root"))
    for text in whole:
        assert allows(grammar, text), text
        validator.validate(json.loads(text))
    for text in refused:
        assert not allows(grammar, text), text
    random = Random(0)
    found = [walked for _ in range(40) if (walked := walk(grammar, random)) is not None]
    assert len(found) >= 15
    for text in found:
        validator.validate(json.loads(text))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = pydantic.Field(gt=0, le=9)


class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"
    friends: list[Pet] = pydantic.Field(default=[], max_length=2)


Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Person(pydantic.BaseModel):
    """Of all that pydantic writes into schemas."""

    model_config = pydantic.ConfigDict(extra="forbid")
    name: Annotated[str, pydantic.StringConstraints(min_length=1, max_length=8)]
    code: Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z]{2}\d$")]
    age: int | None = pydantic.Field(None, ge=0, le=150, description="In years.")
    share: float = pydantic.Field(ge=0, lt=1)
    colour: Colour
    born: dt.date
    seen: dt.datetime
    nap: dt.timedelta
    id: uuid.UUID
    home: pydantic.HttpUrl
    pet: Pet
    point: tuple[int, str]
    counts: dict[str, int]
    parent: Person | None = None


def test_models_of_pydantic_take_what_comes_out_of_their_schemas() -> None:
    grammar, random = follower(schema_rules(Person.model_json_schema(), "root")), Random(0)
    found = [walked for _ in range(60) if (walked := walk(grammar, random)) is not None]
    assert len(found) >= 20
    people = [Person.model_validate_json(text) for text in found]
    assert {type(person.pet) for person in people} == {Cat, Dog}


def test_lists_of_items_in_older_drafts_are_tuples() -> None:
    schema = {"type": "array", "items": [{"type": "integer"}, {"const": "x"}], "additionalItems": False}
    grammar = follower(schema_rules(schema, "root"))
    assert allows(grammar, '[1, "x"]')
    assert not begins(grammar, '[1, "x",')


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        # Nothing fulfils these
        ({"not": {}}, "excludes everything"),
        ({"enum": []}, "no value to choose from"),
        ({"type": "integer", "enum": ["a"]}, "no value to choose from"),
        ({"const": 1, "enum": [2]}, "no value to choose from"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "at least 5 and at most 3"),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "at least 2 and at most 1"),
        ({"type": "number", "minimum": 5, "maximum": 3}, "'minimum' above its 'maximum'"),
        ({"type": "number", "exclusiveMinimum": 3, "maximum": 3}, "'minimum' above its 'maximum'"),
        ({"type": "integer", "multipleOf": 10, "minimum": 11, "maximum": 19}, "a multiple of 10 from 11 to 19"),
        ({"type": "string", "minLength": 3, "maxLength": 1}, "'minLength' 3 above 'maxLength' 1"),
        ({"type": "array", "minItems": 3, "maxItems": 1}, "'minItems' 3 above 'maxItems' 1"),
        ({"type": "array", "prefixItems": [{}], "items": False, "minItems": 2}, "more items than it allows"),
        ({"type": "object", "minProperties": 3, "maxProperties": 1}, "'minProperties' 3 above 'maxProperties' 1"),
        ({"type": "object", "maxProperties": 0, "required": ["a"]}, "more properties than it allows"),
        ({"type": "object", "required": ["b"], "additionalProperties": False}, "a property 'b' that it does not allow"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "false as a schema"),
        ({"anyOf": [False, {"enum": []}]}, "false as a schema"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "types that exclude each other"),
        ({"allOf": [True, False]}, "false as a schema"),
        ({"allOf": [{"additionalProperties": False}, {"properties": {"a": {}}, "required": ["a"]}]}, "property 'a'"),
        ({"$ref": "#"}, "within itself without end"),
        ({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}, "$ref": "#/$defs/a"}, "without end"),
        ({"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"]}, "within itself without end"),
        ({"allOf": [{"$ref": "#"}]}, "leads from '#' back to it"),
        # No grammar can be held to these
        ({"not": {"type": "string"}}, "'not'"),
        ({"if": {}, "then": {}}, "'if'"),
        ({"patternProperties": {"a": {}}}, "'patternProperties'"),
        ({"type": "array", "uniqueItems": True}, "'uniqueItems'"),
        ({"type": "array", "contains": {}}, "'contains'"),
        ({"$dynamicRef": "#x"}, "'$dynamicRef'"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "alternatives 1 and 2 of 'oneOf'"),
        ({"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "that may both hold"),
        ({"type": "number", "multipleOf": 0.1}, "a multiple of 0.1"),
        ({"type": "integer", "multipleOf": 7, "minimum": 0}, "multiples of 7, too many"),
        ({"type": "object", "minProperties": 3}, "3 properties, and names 0"),
        ({"enum": ["a", "bb"], "maxLength": 1}, "'maxLength' beside fixed values"),
        ({"type": "string", "pattern": "^a+$", "maxLength": 3}, "other lengths"),
        ({"type": "string", "pattern": "(?=a)"}, "look-around"),
        ({"type": "string", "pattern": r"\bfoo"}, r"\b"),
        ({"type": "string", "pattern": r"(a)\1"}, r"\1"),
        ({"type": "string", "pattern": "^a$b"}, "before the end"),
        ({"type": "string", "pattern": "[z-a]"}, "a range of a class"),
        ({"type": "string", "pattern": "(a"}, "a ) is missing"),
        ({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "differ in 'pattern'"),
        ({"$ref": "https://example.org/schema"}, "outside of itself"),
        ({"$ref": "other.json#/a"}, "outside of itself"),
        # These are no schemas
        ({"$ref": "#/$defs/none"}, "which is not there"),
        ({"$ref": "#/prefixItems/1", "prefixItems": [{}]}, "which is not there"),
        ({"requird": ["a"]}, "'requird', which is not a keyword"),
        ({"type": "strin"}, "\"strin\" as 'type'"),
        ({"type": []}, "[] as 'type'"),
        ({"minLength": "3"}, "\"3\" as 'minLength'"),
        ({"minLength": -1}, "-1 as 'minLength'"),
        ({"exclusiveMinimum": True}, "true as 'exclusiveMinimum'"),
        ({"multipleOf": 0}, "0 as 'multipleOf'"),
        ({"anyOf": []}, "[] as 'anyOf'"),
        ({"properties": {"a": 3}}, "as 'properties'"),
        ({"properties": {"a": {"items": {"type": "no"}}}}, "(at #/properties/a/items)"),
        ({"const": float("nan")}, "is not JSON"),
        ({"enum": [{1, 2}]}, "is not JSON"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_held_to_is_refused_by_its_name(schema: Schema, reason: str) -> None:
    with pytest.raises(GrammarError) as caught:
        schema_rules(schema, "root")
    assert reason in caught.value.message


def test_a_schema_that_is_nested_too_deeply_or_too_large_is_refused() -> None:
    schema: Schema = {}
    for _ in range(400):
        schema = {"items": schema}
    with pytest.raises(GrammarError, match="nested too deeply"):
        schema_rules(schema, "root")
    with pytest.raises(GrammarError, match="characters"):
        schema_rules({"description": "x" * 1_000_000}, "root")


def test_all_rules_carry_the_name_so_that_two_schemas_fit_into_one_grammar() -> None:
    first, second = schema_rules(LIST, "args-0"), schema_rules({"type": "string"}, "args-1")
    assert all(line.split()[0] == "args-0" or line.startswith("args-0-") for line in first.splitlines())
    both = follower(f'root ::= "a" args-0 | "b" args-1\n{first}\n{second}')
    assert allows(both, 'a{"v": 1}')
    assert allows(both, 'b"x"')
    assert not begins(both, 'a"')


def test_a_request_follows_one_grammar() -> None:
    assert Grammar.of(GenerationOptions()) is None
    assert Grammar.of(GenerationOptions(grammar='root ::= "a"')) == Grammar('root ::= "a"')
    with pytest.raises(ParameterError, match="both"):
        Grammar.of(GenerationOptions(grammar='root ::= "a"', json_schema={}))
    with pytest.raises(GrammarError):
        Grammar.of(GenerationOptions(grammar=""))
    with pytest.raises(GrammarError):
        Grammar.of(GenerationOptions(json_schema={"enum": []}))


@pytest.mark.parametrize(
    "pattern",
    [
        "", "^$", "abc", "^abc$", "^a|b$", "^(foo|bar)+$", "^[a-z]{2,5}$", r"^\d{3}-\d{4}$", r"^\w+@\w+\.com$",
        "^a{2}b?c*$", "^.{3}$", "^(?:a(?:b|c))*$", r"^(?P<year>\d{4})$", "^a*?b+?$", "^a{x}$", "a{,2}b", r"\Aa\Z",
        r'^[^"]*$', r'^"\\$', r"^\t\n$", r"^[\w.-]+$", r"^[^\s]+$", r"\S", r"\D\W", "^[]a]+$", r"^[a\-z]+$", r"^[\b]$",
        r"^é\u00e9\x41$", "^😀$", "[😀-😎]", r"^-?(0|[1-9]\d*)(\.\d+)?$", "^[^a-z]$",
        "^" + "x" * 90 + "$", "(" * 30 + "a" + ")" * 30,
    ],
)  # fmt: skip
def test_patterns_are_found_as_python_finds_them(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    grammar, random = follower(f'root ::= "\\"" {compiled.text} "\\""'), Random(0)
    found = [walked for _ in range(40) if (walked := walk(grammar, random)) is not None]
    assert len(found) >= 15
    for text in map(json.loads, found):
        assert re.search(pattern, text), text
        assert compiled.least <= len(text)
        assert compiled.most is None or len(text) <= compiled.most


# Any schema


_randoms = st.integers(0, 10_000).map(Random)


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**4), st.data())
def test_whole_numbers_keep_to_their_bounds(low: int, width: int, data: st.DataObject) -> None:
    grammar = follower(schema_rules({"type": "integer", "minimum": low, "maximum": low + width}, "root"))
    number = data.draw(st.integers(low - 5, low + width + 5))
    assert allows(grammar, str(number)) == (low <= number <= low + width)


_bound = st.decimals(-1000, 1000, places=3).map(float)


@given(_bound, _bound, st.booleans(), st.booleans(), _randoms, _bound)
def test_numbers_keep_to_their_bounds(
    one: float, other: float, strict_low: bool, strict_high: bool, random: Random, between: float
) -> None:
    low, high = min(one, other), max(one, other)
    schema = {
        "type": "number",
        "exclusiveMinimum" if strict_low else "minimum": low,
        "exclusiveMaximum" if strict_high else "maximum": high,
    }
    if low == high and (strict_low or strict_high):
        with pytest.raises(GrammarError):
            schema_rules(schema, "root")
        return
    grammar, validator = follower(schema_rules(schema, "root")), jsonschema.Draft202012Validator(schema)
    for _ in range(5):
        text = walk(grammar, random)
        assert text is not None
        assert validator.is_valid(json.loads(text)), text
    shown = f"{between:.3f}"
    assert allows(grammar, shown) == validator.is_valid(json.loads(shown)), shown


_names = st.text('ab"\\é', min_size=1, max_size=3)
_scalars = st.one_of(
    st.just({"type": "null"}),
    st.just({"type": "boolean"}),
    st.just({"type": "string", "maxLength": 3}),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(), st.integers(0)
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.one_of(_names, st.integers(0, 9)), min_size=1, max_size=3)),
)


def _larger(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    properties = st.dictionaries(_names, inner, max_size=3)
    objects = st.builds(
        lambda known, rest, count: {
            "type": "object",
            "properties": known,
            "required": list(known)[:count],
            **({} if rest is None else {"additionalProperties": rest}),
        },
        properties,
        st.one_of(st.none(), st.booleans(), inner),
        st.integers(0, 3),
    )
    arrays = st.builds(
        lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
        inner,
        st.integers(0, 2),
        st.integers(0, 2),
    )
    return st.one_of(
        objects,
        arrays,
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one, other: {"allOf": [one, other]}, objects, objects),
    )


@given(st.recursive(_scalars, _larger, max_leaves=6), _randoms)
def test_what_comes_out_of_any_schema_fulfils_it(schema: Schema, random: Random) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    try:
        grammar = follower(schema_rules(schema, "root"))
    except GrammarError:
        event("refused")  # two schemas that contradict each other
        return
    for _ in range(5):
        text = walk(grammar, random)
        if text is not None:
            validator.validate(json.loads(text))


_json = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 9), st.floats(-2, 2), st.sampled_from(["a", "#", "string", "^a"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), _json, max_size=4), _randoms)
def test_any_json_is_a_schema_or_is_refused(schema: Schema, random: Random) -> None:
    try:
        grammar = follower(schema_rules(schema, "root"))
    except GrammarError:
        event("refused")
        return
    text = walk(grammar, random)
    with contextlib.suppress(jsonschema.SchemaError):  # lists of items are those of an older draft
        jsonschema.Draft202012Validator.check_schema(schema)
        if text is not None:
            jsonschema.Draft202012Validator(schema).validate(json.loads(text))


@given(st.text('ab^$|()[]{}*+?\\\\.-,12dDwsSbux:<P=!é"', max_size=16), _randoms)
def test_any_text_is_a_pattern_or_is_refused(pattern: str, random: Random) -> None:
    try:
        grammar = follower(schema_rules({"type": "string", "pattern": pattern}, "root"))
    except GrammarError:
        event("refused")
        return
    text = walk(grammar, random)
    if text is None:
        return
    try:
        compiled = re.compile(pattern)
    except re.error:
        event("not one for Python")  # whose dialect has a few things more, and is stricter with others
        return
    assert compiled.search(json.loads(text)), text
