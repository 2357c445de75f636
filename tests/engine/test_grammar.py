"""A real model held to grammars: what it writes follows them, and nothing it could draw ends the process."""

from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import llama_cpp  # noqa: TID253 - tests of the engine need it
import numpy as np
import pytest
from llama_cpp import llama_grammar  # noqa: TID253 - its grammars are tests

from llama_widgets.engines.constraint import Constraint
from llama_widgets.engines.grammar import Grammar, schema_rules
from llama_widgets.errors import GrammarError
from llama_widgets.options import GenerationOptions
from tests.engine import tiny
from tests.engine.desk import LAST, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Schema = dict[str, Any]

PERSON: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["name", "age"],
}
SHORT: Schema = {"type": "string", "maxLength": 8}
CAT: Schema = {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"enum": [1, 7, 9]}}}
DOG: Schema = {"type": "object", "properties": {"kind": {"const": "dog"}, "good": {"type": "boolean"}}}
TREE: Schema = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {
                "v": {"type": "boolean"},
                "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 1},
            },
            "required": ["v"],
        }
    },
}


@pytest.fixture(scope="module")
def desk(demo_model: Path) -> Iterator[Desk]:
    desk = Desk(demo_model)
    yield desk
    desk.close()


@pytest.fixture
def asked(desk: Desk) -> Desk:
    """After a question that wants no JSON."""
    desk.chat("Who was the first man on the moon?")
    return desk


# What is written


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": 1.5, "seed": 3, "top_k": 0, "min_p": 0.0}])
@pytest.mark.parametrize(
    "schema",
    [
        PERSON,
        {"type": "string", "maxLength": 10},
        {"type": "string", "minLength": 5, "maxLength": 6},
        {"type": "string", "pattern": "^[A-Z][a-z]{1,6} [A-Z][a-z]{1,8}$"},
        {"type": "string", "pattern": r"^\+\d{1,3} \d{3}-\d{4}$"},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "uuid"},
        {"type": "string", "format": "date-time"},
        {"type": "integer", "minimum": 0, "maximum": 10},
        {"type": "integer", "minimum": -1200, "maximum": -37},
        {"type": "integer", "minimum": 1000, "maximum": 9000, "multipleOf": 500},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "number", "exclusiveMinimum": 2.5, "exclusiveMaximum": 2.75},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["red", "green", "blue", 3, None]},
        {"const": {"a": [1, "é\n"]}},
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "minItems": 3, "maxItems": 3},
        {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
        {"type": "array", "items": {"type": "array", "items": {"type": "null"}, "maxItems": 2}, "maxItems": 2},
        {"type": "array", "prefixItems": [SHORT, {"type": "integer", "minimum": 0, "maximum": 9}], "items": False},
        {"type": "array", "items": PERSON, "minItems": 1, "maxItems": 2},
        {"type": "object", "properties": {"a": {"type": "null"}, "b": SHORT, "c": {"type": "boolean"}}},
        {"type": "object", "properties": {"a": SHORT}, "required": ["a"], "additionalProperties": False},
        {"type": "object", "properties": {'näme "x"': SHORT, "b/c": SHORT}, "required": ['näme "x"', "b/c"]},
        {"type": "object", "properties": {"in": PERSON}, "required": ["in"]},
        {"type": "object", "properties": {"a": SHORT}, "additionalProperties": {"type": "null"}, "maxProperties": 2},
        {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9}},
        {"anyOf": [SHORT, {"type": "null"}]},
        {"type": ["boolean", "string"], "maxLength": 5},
        {"oneOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": 9}]},
        {"oneOf": [CAT, DOG]},
        {"allOf": [PERSON, {"properties": {"name": {"minLength": 2}}}]},
        TREE,
    ],
    ids=lambda schema: json.dumps(schema)[:50],
)  # fmt: skip
def test_what_the_model_writes_fulfils_the_schema(asked: Desk, schema: Schema, options: dict[str, Any]) -> None:
    grammar = Grammar.of(GenerationOptions(json_schema=schema))
    written = asked.write(150, grammar, **options)
    assert written.ended, written.text
    jsonschema.Draft202012Validator(schema).validate(json.loads(written.text))


def test_a_grammar_is_followed_to_its_end(asked: Desk) -> None:
    written = asked.write(40, Grammar('root ::= "The answer is " ("yes" | "no") "."'), temperature=0.0)
    assert written.ended
    assert written.text in ("The answer is yes.", "The answer is no.")


def test_what_the_model_would_write_anyway_is_not_changed(asked: Desk) -> None:
    free = asked.write(20, temperature=0.0)
    assert asked.write(20, Grammar("root ::= [^{}]*"), temperature=0.0) == free


def test_a_random_model_follows_too(tmp_path: Path) -> None:
    """It draws bytes: half characters, and such as are none."""
    desk = Desk(tiny.write(tmp_path / "tiny.gguf"))
    desk.read("Hello")
    schema = {
        "type": "array",
        "items": {"type": "string", "minLength": 3, "maxLength": 5},
        "minItems": 3,
        "maxItems": 3,
    }
    grammar = Grammar.of(GenerationOptions(json_schema=schema))
    found = [desk.write(400, grammar, temperature=2.0, top_k=0, min_p=0.0, top_p=1.0, seed=seed) for seed in range(5)]
    desk.close()
    assert all(written.ended for written in found)
    for written in found:
        jsonschema.Draft202012Validator(schema).validate(json.loads(written.text))
    assert not all(written.text.isascii() for written in found)


# Token by token


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        (llama_grammar.JSON_GBNF, '{"name": "Ünï😀", "a": [1.5e3, true'),
        (llama_grammar.ARITHMETIC_GBNF, "(1 +2 )= 3\n"),
        (schema_rules(PERSON, "root"), '{"name": "Bo", "age": 17'),
        ('root ::= [^a-z]+ ("end" | .{3})?', "ÄÖ 12 end"),
        ('root ::= ("a" | "ab" | "abc"){1,4} "d"', "abcab"),
        ('root ::= "a" root "b" | [\\u0400-\\u04ff]', "aaЖb"),
    ],
)
def test_the_same_tokens_are_allowed_as_llama_cpp_allows(desk: Desk, grammar: str, text: str) -> None:
    """Where llama.cpp's own sampler can be trusted with a grammar, it says the same of every token."""
    model = desk.model
    constraint = Constraint(Grammar(grammar), model)
    theirs = llama_cpp.llama_sampler_init_grammar(
        llama_cpp.llama_model_get_vocab(model.handle), grammar.encode(), b"root"
    )
    assert theirs
    # Those that are not seen in an answer and NUL are never allowed, whatever the grammar says of their text.
    shown = np.array([model.pieces[token] not in (b"", b"\0") for token in range(model.n_vocab)])
    for token in [*model.tokens(text), None]:
        mine = np.array([constraint.allows(each) for each in range(model.n_vocab)])
        candidates = np.zeros(model.n_vocab, bool)
        candidates[constraint.candidates()] = True
        np.testing.assert_array_equal(mine & shown, _allowed(theirs, model.n_vocab) & shown)
        assert not (mine & ~candidates).any()
        if token is not None:
            assert constraint.accept(token)
            llama_cpp.llama_sampler_accept(theirs, token)
    llama_cpp.llama_sampler_free(theirs)


def _allowed(grammar: Any, n_vocab: int) -> np.ndarray[Any, np.dtype[np.bool]]:  # noqa: ANN401
    data = np.zeros(n_vocab, [("id", np.int32), ("logit", np.float32), ("p", np.float32)])
    data["id"] = np.arange(n_vocab)
    pointer = data.ctypes.data_as(llama_cpp.llama_token_data_p)
    array = llama_cpp.llama_token_data_array(data=pointer, size=n_vocab, selected=-1, sorted=False)
    llama_cpp.llama_sampler_apply(grammar, ctypes.byref(array))
    return np.asarray(np.isfinite(data["logit"]))


@pytest.mark.parametrize(
    "grammar", ["root ::= [^ ] .*", "root ::= [0-9]+", 'root ::= "No" | "Ye" .* | "Maybe"', "root ::= .{1,2}"]
)
def test_the_likeliest_of_what_is_allowed_is_drawn(asked: Desk, grammar: str) -> None:
    model, logits = asked.model, asked.logits
    constraint = Constraint(Grammar(grammar), model)
    allowed = [token for token in range(model.n_vocab) if constraint.allows(token)]
    best = max(allowed, key=lambda token: logits[token])
    for options in ({"temperature": 0.0}, {"top_k": 1}, {"temperature": 0.0, "repeat_penalty": 1.0001}):
        assert asked.draws(1, Grammar(grammar), **options) == [best]


def test_what_is_refused_is_not_counted_as_drawn(asked: Desk) -> None:
    """The penalties know only what is in the answer."""
    zebra = asked.token(" zebra")
    options: dict[str, Any] = {"temperature": 0.0, "logit_bias": {" zebra": 60}, "presence_penalty": 100.0}
    with asked.sampler(Grammar("root ::= [0-9]+"), **options) as sampler:
        digits = [sampler.draw(asked.context, LAST) for _ in range(3)]
        assert asked.text(digits).isdigit()
        sampler.constrained = False
        assert sampler.draw(asked.context, LAST) == zebra


def test_control_tokens_are_no_text(asked: Desk) -> None:
    constraint = Constraint(Grammar("root ::= .*"), asked.model)
    assert constraint.allows(asked.token("hello"))
    assert not constraint.allows(asked.token("<|im_start|>"))
    assert constraint.allows(asked.token("<|im_end|>"))  # it ends the answer


def test_bytes_become_characters_or_are_refused(asked: Desk) -> None:
    model = asked.model
    first, *others = model.tokens("😎")
    assert others
    constraint = Constraint(Grammar('root ::= [a-z😀-😿]+ "!"'), model)
    assert constraint.accept(first)
    assert not constraint.allows(asked.token("a"))
    assert not constraint.ended
    for token in others:
        assert token in constraint.candidates()
        assert constraint.accept(token)
    assert constraint.allows(asked.token("a"))
    assert not Constraint(Grammar("root ::= [a-z]+"), model).allows(first)


# Prefixes, thoughts, ends


def test_a_prefix_belongs_to_the_answer(asked: Desk) -> None:
    schema = {"type": "object", "properties": {"moon": {"type": "boolean"}}, "required": ["moon"]}
    with asked.sampler(Grammar.of(GenerationOptions(json_schema=schema)), temperature=0.0) as sampler:
        prefix = asked.model.tokens('{"mo')
        asked.evaluate(prefix)
        for token in prefix:
            sampler.accept(token)
        written = asked.go_on(sampler, 20)
    assert isinstance(json.loads('{"mo' + written.text)["moon"], bool)


def test_a_prefix_that_begins_no_answer_is_refused(asked: Desk) -> None:
    with asked.sampler(Grammar('root ::= "yes" | "no"'), temperature=0.0) as sampler:
        with pytest.raises(GrammarError, match="prefix"):
            sampler.accept(asked.token("maybe"))
        assert asked.go_on(sampler, 5).text in ("yes", "no")


def test_a_thought_is_free_and_not_seen(asked: Desk) -> None:
    with asked.sampler(Grammar('root ::= "no"'), temperature=0.0) as sampler:
        sampler.constrained = False
        sampler.accept(asked.token("hello"))
        thought = [sampler.draw(asked.context, LAST) for _ in range(3)]
        assert asked.text(thought) not in "nonono"
        sampler.constrained = True
        assert asked.text([sampler.draw(asked.context, LAST)]) in ("n", "no")


def test_an_answer_that_is_complete_can_only_end(asked: Desk) -> None:
    with asked.sampler(Grammar('root ::= "no" "!"?'), temperature=0.0) as sampler:
        sampler.accept(asked.token("no"))
        ended = [sampler.ended]
        sampler.accept(asked.token("!"))
        assert [*ended, sampler.ended] == [False, True]
        assert asked.model.pieces[sampler.draw(asked.context, LAST)] is None
        with pytest.raises(GrammarError):
            sampler.accept(asked.token("a"))
    with asked.sampler() as sampler:
        assert not sampler.ended


@pytest.mark.parametrize("grammar", ['root ::= "\\uD800"', 'root ::= [\\U00110000-\\U00120000] "a"'])
def test_a_grammar_that_demands_what_cannot_be_written_ends_the_answer_with_its_reason(
    asked: Desk, grammar: str
) -> None:
    with pytest.raises(GrammarError, match="leaves no token"):
        asked.write(5, Grammar(grammar), temperature=0.0)
    assert asked.write(3, temperature=0.0).tokens


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "a" root "b" | "a" root "c" | "a"',
        'root ::= " " root "-" | " " root "=" | " x"',
        'root ::= ([a-z]* " "?)* "."',
        'root ::= (("a" | "aa" | "aaa")* "b"?)*',
        'root ::= "a"{1,1000000}',
        'root ::= ((([a-z]{500} " "?){500}){500})?',
        "\n".join(f'r{i} ::= "a" r{i + 1} | r{i + 1}' for i in range(300)) + '\nr300 ::= "b"\nroot ::= r0',
        "root ::= (" + " | ".join(f'"{number}"' for number in range(400)) + ")*",
        "root ::= " + "(" * 90 + "[a-z]" + ")*" * 90,
    ],
    ids=lambda grammar: grammar[:40],
)  # fmt: skip
def test_a_hostile_grammar_neither_hangs_nor_ends_the_engine(asked: Desk, grammar: str) -> None:
    for options in ({"temperature": 0.0}, {"temperature": 2.0, "top_k": 0, "min_p": 0.0, "seed": 1}):
        try:
            asked.write(12, Grammar(grammar), **options)
        except GrammarError as error:
            assert "leaves no token" in error.message  # noqa: PT017 - either is right
    assert asked.write(3, temperature=0.0).tokens


# Grammars that wait for a trigger


TOOL = Grammar('root ::= "<call>" [0-9]{2} "</call>"', triggers=("<call>",))


def test_before_its_trigger_a_grammar_binds_nothing(asked: Desk) -> None:
    free = asked.write(20, temperature=0.0)
    assert asked.write(20, TOOL, temperature=0.0) == free


@pytest.mark.parametrize("before", ["Well: <call>", "x <call>4", "<call>", "a <call <call>"])
def test_from_its_trigger_on_it_binds(asked: Desk, before: str) -> None:
    with asked.sampler(TOOL, temperature=0.0) as sampler:
        tokens = asked.model.tokens(before)
        asked.evaluate(tokens)
        for token in tokens:
            sampler.accept(token)
        text = before + asked.go_on(sampler, 20).text
    call = text[text.index("<call>") :]
    assert call[6:8].isdigit()
    assert call[8:] == "</call>"


def test_what_goes_on_from_a_trigger_as_the_grammar_cannot_is_not_drawn(asked: Desk) -> None:
    paris = asked.token(" Paris")
    grammar = Grammar('root ::= "Par" "k"', triggers=("Par",))
    with asked.sampler(grammar, temperature=0.0, logit_bias={" Paris": 100}) as sampler:
        first = sampler.draw(asked.context, LAST)
        assert first != paris
        with pytest.raises(GrammarError):
            sampler.accept(paris)
    assert asked.draws(1, temperature=0.0, logit_bias={" Paris": 100}) == [paris]


def test_of_several_triggers_the_first_in_the_text_counts(asked: Desk) -> None:
    constraint = Constraint(Grammar('root ::= ("<b>" | "[a]") "!"', triggers=("[a]", "<b>")), asked.model)
    waited = []
    for token in asked.model.tokens("so [a <b>"):
        waited.append(constraint.waiting)
        assert constraint.accept(token)
    assert all(waited)
    assert constraint.waiting is False
    assert constraint.allows(asked.token("!"))
    assert not constraint.allows(asked.token("a"))
    both_in_one_token = Grammar('root ::= " Paris!"', triggers=("ris", " P"))
    assert Constraint(both_in_one_token, asked.model).accept(asked.token(" Paris"))
