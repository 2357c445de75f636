"""Calls of tools: how they are described, held to their schema, written and read, in each format."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets.engines.grammar.follower import Follower, ends
from llama_widgets.engines.templates.segments import Segmenter, Tags
from llama_widgets.engines.templates.toolcalls import DESCRIBED, check_tools, describe, format_of
from llama_widgets.errors import GrammarError, ParameterError

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tells the weather.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer"},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "where": {"type": "object", "properties": {"lat": {"type": "number"}}},
                },
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now"}},
]
CALLS: list[dict[str, Any]] = [
    {"name": "get_weather", "arguments": {"city": 'São "P" <b>', "days": 2, "unit": "C"}},
    {"name": "now", "arguments": {}},
]
SOURCES = {  # words by which a template is known
    "hermes": "<tool_call>",
    "qwen coder": "<tool_call> <function=",
    "glm": "<tool_call> <arg_key>",
    "seed": "<seed:tool_call> <function=",
    "minimax": "<minimax:tool_call>",
    "mistral": "[TOOL_CALLS]",
    "mistral, newer": "[TOOL_CALLS] [ARGS]",
    "llama": '<|start_header_id|> {"name": f, "parameters": a}',
    "gpt-oss": "<|channel|> <|message|>",
    "nemotron": "<TOOLCALL>",
    "command": "<|START_ACTION|>",
    "phi": "<|tool_call|> <|/tool_call|>",
    "granite": "<|tool_call|>",
    "described": "",
}
WITHOUT_QUOTES = ("qwen coder", "glm", "seed", "minimax")
ALL = pytest.mark.parametrize("name", SOURCES)


def allowed(
    name: str, text: str, choice: Literal["auto", "required"] = "required", tools: list[dict[str, Any]] = TOOLS
) -> tuple[bool, bool]:
    """Whether the grammar lets an answer begin like ``text``, and end so."""
    grammar = format_of(SOURCES[name]).grammar(tools, choice)
    follower = Follower(grammar.rules())
    state = follower.read(follower.start, text)
    return bool(state), ends(state)


@pytest.mark.parametrize(
    ("name", "written"),  # with | for a line break
    [
        ("hermes", '<tool_call>|{"name": "f", "arguments": {"a": "x", "b": 1}}|</tool_call>'),
        (
            "qwen coder",
            "<tool_call>|<function=f>|<parameter=a>|x|</parameter>|<parameter=b>|1|</parameter>|</function>|</tool_call>",
        ),
        (
            "glm",
            "<tool_call>f|<arg_key>a</arg_key>|<arg_value>x</arg_value>|<arg_key>b</arg_key>|<arg_value>1</arg_value>|</tool_call>",
        ),
        ("mistral", '[TOOL_CALLS][{"name": "f", "arguments": {"a": "x", "b": 1}}]'),
        ("mistral, newer", '[TOOL_CALLS]f[ARGS]{"a": "x", "b": 1}'),
        ("llama", '{"name": "f", "parameters": {"a": "x", "b": 1}}'),
        ("gpt-oss", ' to=functions.f<|message|>{"a": "x", "b": 1}'),
        ("command", '<|START_ACTION|>[{"tool_name": "f", "parameters": {"a": "x", "b": 1}}]<|END_ACTION|>'),
    ],
)
def test_a_call_is_written_as_the_model_would(name: str, written: str) -> None:
    call = format_of(SOURCES[name]).write([{"name": "f", "arguments": {"a": "x", "b": 1}}])
    assert call.replace("\n", "|") == written


@ALL
def test_what_is_written_is_read(name: str) -> None:
    form = format_of(SOURCES[name])
    assert form.parse(form.write(CALLS), TOOLS) == CALLS
    assert form.parse(form.write(CALLS[1:]), TOOLS) == CALLS[1:]


@ALL
def test_the_grammar_allows_calls_and_nothing_else(name: str) -> None:
    form = format_of(SOURCES[name])
    call = form.write(CALLS[:1])
    assert allowed(name, call) == (True, True)
    assert allowed(name, call[:-3]) == (True, False)
    assert allowed(name, call.replace("get_weather", "get_money")) == (False, False)
    assert allowed(name, call.replace("city", "town")) == (False, False)
    assert allowed(name, call.replace("2", "two")) == (False, False)
    other = re.sub(r'(["\n>])C(["\n<])', r"\1K\2", call)
    assert other != call
    assert allowed(name, other) == (False, False)
    assert allowed(name, "Hello") == (False, False)


@ALL
def test_the_grammar_allows_calls_without_line_breaks(name: str) -> None:
    call = format_of(SOURCES[name]).write(CALLS[:1]).replace("\n", "")
    assert allowed(name, call) == (True, True)
    assert format_of(SOURCES[name]).parse(call, TOOLS) == CALLS[:1]


@ALL
def test_the_grammar_allows_several_calls(name: str) -> None:
    if name == "llama":  # its template knows one at a time
        assert allowed(name, format_of(SOURCES[name]).write(CALLS)) == (False, False)
    else:
        assert allowed(name, format_of(SOURCES[name]).write(CALLS)) == (True, True)


@ALL
def test_the_grammar_allows_no_calls_without_end(name: str) -> None:
    many = format_of(SOURCES[name]).write(CALLS[1:] * 9)
    assert not allowed(name, many)[1]


@ALL
def test_auto_binds_from_where_a_call_begins(name: str) -> None:
    form = format_of(SOURCES[name])
    grammar = form.grammar(TOOLS, "auto")
    call = form.write(CALLS[:1])
    assert all(call.startswith(trigger) for trigger in grammar.triggers)
    assert allowed(name, call, "auto") == (True, True)
    assert allowed(name, call.replace("get_weather", "get_money"), "auto") == (False, False)
    assert bool(grammar.triggers) == (name != "llama")


@pytest.mark.parametrize("text", ["Hello", "", " Hi", '{"names": 1}', "{}", '{\n"n', "{name}", 'See {"name": "x"}'])
def test_without_a_tag_an_answer_that_does_not_begin_like_a_call_is_free(text: str) -> None:
    assert allowed("llama", text, "auto") == (True, True)


@pytest.mark.parametrize("text", ['{"name": "x', '{\n "name" : "x', ' {"name":"get_weather", "parameters": []'])
def test_without_a_tag_an_answer_that_begins_like_a_call_is_held_to_it(text: str) -> None:
    assert allowed("llama", text, "auto") == (False, False)
    assert allowed("llama", '{\n "name" : "now', "auto") == (True, False)


def test_a_required_call_may_follow_the_header_of_a_thought() -> None:
    # The thought itself is not shown to the grammar, nor the tag that ends it.
    text = "<|channel|>analysis<|message|><|start|>assistant<|channel|>commentary to=functions.now <|constrain|>json"
    assert allowed("gpt-oss", text + "<|message|>{}") == (True, True)
    assert allowed("gpt-oss", " to=functions.now<|channel|>commentary json<|message|>{}") == (True, True)
    assert allowed("gpt-oss", "<|channel|>final<|message|>") == (False, False)


def test_ids_that_models_write_are_allowed_and_left_out() -> None:
    for name, text in (
        ("mistral", '[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "abc123DEF"}]'),
        ("mistral, newer", "[TOOL_CALLS]now[CALL_ID]abc123DEF[ARGS]{}"),
        ("command", '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "now", "parameters": {}}]<|END_ACTION|>'),
    ):
        assert allowed(name, text) == (True, True)
        assert format_of(SOURCES[name]).parse(text) == CALLS[1:]


@ALL
def test_no_parameters_at_all(name: str) -> None:
    form = format_of(SOURCES[name])
    tools = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]
    assert allowed(name, form.write(CALLS[1:]), tools=tools) == (True, True)


@ALL
@pytest.mark.parametrize("schema", [True, {}, {"description": "Anything."}], ids=str)
def test_an_argument_that_may_be_anything(name: str, schema: object) -> None:
    parameters = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    form = format_of(SOURCES[name])
    call = form.write([{"name": "f", "arguments": {"a": "x"}}])
    assert allowed(name, call, tools=[{"type": "function", "function": {"name": "f", "parameters": parameters}}])[1]


@ALL
def test_shared_definitions_reach_the_grammar(name: str) -> None:
    schema = {
        "type": "object",
        "properties": {"where": {"$ref": "#/$defs/Place"}},
        "required": ["where"],
        "$defs": {"Place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}},
    }
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    form = format_of(SOURCES[name])
    good = form.write([{"name": "f", "arguments": {"where": {"lat": 1.5}}}])
    assert allowed(name, good, tools=tools) == (True, True)
    assert allowed(name, good.replace("1.5", '"x"'), tools=tools) == (False, False)
    assert form.parse(good, tools) == [{"name": "f", "arguments": {"where": {"lat": 1.5}}}]


@ALL
def test_a_schema_that_cannot_be_compiled_is_refused(name: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "gibberish"}}, "required": ["a"]}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    with pytest.raises(GrammarError):
        format_of(SOURCES[name]).grammar(tools, "required").rules()


# Reading what models write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", '<tool_call>{"name":"now","arguments":{}}</tool_call>'),
        ("hermes", '<tool_call>\n{"name": "now", "arguments": "{}"}\n</tool_call>'),
        ("hermes", '<tool_call>\n{"name": "now", "parameters": {}}\n</tool_call>'),
        ("hermes", '<tool_call>\n{"name": "now"}\n</tool_call>'),
        ("hermes", '<tool_call>\n{"arguments": {}, "name": "now"}'),
        ("hermes", '<tool_call>[{"name": "now", "arguments": {}}]</tool_call>'),
        ("llama", '<|python_tag|>{"type": "function", "name": "now", "parameters": {}}'),
        ("mistral", '[TOOL_CALLS] {"name": "now", "arguments": {}}'),
        ("gpt-oss", "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}<|call|>"),
        ("gpt-oss", " to=functions.now<|channel|>analysis json<|message|> {}\n"),
        ("qwen coder", "<tool_call><function=now></function></tool_call>"),
        ("glm", "<tool_call>now</tool_call>"),
    ],
)
def test_what_models_make_of_a_format_is_read(name: str, text: str) -> None:
    assert format_of(SOURCES[name]).parse(text, TOOLS) == CALLS[1:]


def test_several_calls_of_gpt_oss_are_read() -> None:
    text = (
        '<|channel|>commentary to=functions.a <|constrain|>json<|message|>{"x": 1}'
        "<|start|>assistant to=functions.b<|channel|>commentary json<|message|>{}"
    )
    calls = format_of(SOURCES["gpt-oss"]).parse(text)
    assert calls == [{"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": {}}]


@pytest.mark.parametrize("name", WITHOUT_QUOTES)
def test_texts_and_numbers_without_quotes_are_told_apart_by_the_schema(name: str) -> None:
    form = format_of(SOURCES[name])
    text = form.write([{"name": "get_weather", "arguments": {"city": "12345", "days": 2, "where": {"lat": 1.5}}}])
    expected = {"city": "12345", "days": 2, "where": {"lat": 1.5}}
    assert form.parse(text, TOOLS)[0]["arguments"] == expected
    assert form.parse(text)[0]["arguments"] == {**expected, "city": 12345}
    assert form.parse(text.replace("2", "True"), TOOLS)[0]["arguments"]["days"] is True


@pytest.mark.parametrize("name", WITHOUT_QUOTES)
def test_a_text_of_many_lines_and_tags_is_an_argument(name: str) -> None:
    form = format_of(SOURCES[name])
    calls = [{"name": "get_weather", "arguments": {"city": "a\n\n<function=now>\n  <x>b</x>\n"}}, CALLS[1]]
    assert form.parse(form.write(calls), TOOLS) == calls
    assert allowed(name, form.write(calls)) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<tool_call>",
        "<tool_call>now</tool_call>",
        '<tool_call>{"name": "now", "arguments": {</tool_call>',
        '<tool_call>{"name": "now", "arguments": {}} and more</tool_call>',
        '<tool_call>{"name": "now", "arguments": {}}</tool_call><tool_call>{"name": "no',
        '<tool_call>{"name": "now", "arguments": []}</tool_call>',
        '<tool_call>{"name": "now", "arguments": "many"}</tool_call>',
        '<tool_call>{"name": "now", "arguments": {"a": NaN}}</tool_call>',
        '<tool_call>{"name": "", "arguments": {}}</tool_call>',
        '<tool_call>{"name": 7, "arguments": {}}</tool_call>',
        '<tool_call>{"arguments": {}}</tool_call>',
        "<tool_call>7</tool_call>",
        "<tool_call>" + "[" * 100_000,
        '<tool_call>{"name": "now", "arguments": {"a": ' + "9" * 5_000 + "}}</tool_call>",
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_call_is_read_as_none(text: str) -> None:
    assert format_of(SOURCES["hermes"]).parse(text, TOOLS) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mistral, newer", "[TOOL_CALLS]now"),
        ("mistral, newer", "[TOOL_CALLS]now[ARGS]{} and more"),
        ("mistral, newer", "[TOOL_CALLS][ARGS]{}"),
        ("gpt-oss", "<|channel|>commentary to=functions.now"),
        ("gpt-oss", "<|channel|>commentary to=browser.search<|message|>{}"),
        ("qwen coder", "<tool_call>\n<function=get_weather>\n<parameter=city>\ncut off"),
        ("qwen coder", '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'),
        ("qwen coder", "<tool_call>\n<function=now>\nand more\n</function>\n</tool_call>"),
        ("glm", "<tool_call>\n<arg_key>a</arg_key>\n<arg_value>b</arg_value>"),
    ],
)
def test_what_is_no_call_in_other_formats_is_read_as_none(name: str, text: str) -> None:
    assert format_of(SOURCES[name]).parse(text, TOOLS) == []


@given(st.sampled_from(sorted(SOURCES)), st.data())
def test_nothing_that_a_model_writes_is_raised(name: str, data: st.DataObject) -> None:
    form = format_of(SOURCES[name])
    words = [form.open, form.close, *form.marks, *form.starts, form.trigger, "<function=", "<|message|>", "{", "}", "["]
    words += ["]", '"name"', '"arguments"', ":", ",", "now", '"', "1", "\\ud800", "\n", "<parameter=a>", "</parameter>"]
    text = "".join(data.draw(st.lists(st.sampled_from(words), max_size=12)))
    for call in form.parse(text, TOOLS):
        assert call["name"]
        json.dumps(call["arguments"], allow_nan=False)


@given(st.dictionaries(st.sampled_from(["city", "where"]), st.text(max_size=10) | st.integers() | st.booleans()))
@pytest.mark.parametrize("name", [name for name in SOURCES if name not in WITHOUT_QUOTES])
def test_all_arguments_survive(name: str, arguments: dict[str, Any]) -> None:
    form = format_of(SOURCES[name])
    calls = [{"name": "get_weather", "arguments": arguments}]
    tags = [tag for tag in (form.open, form.close, "<|") if tag]
    if not any(tag in str(arguments) for tag in tags):
        assert form.parse(form.write(calls), TOOLS) == calls


@ALL
def test_calls_are_found_in_the_answer(name: str) -> None:
    form = format_of(SOURCES[name])
    tags = Tags(call=(form.open, form.close), starts=form.starts, channels=name == "gpt-oss")
    segmenter = Segmenter(tags, "", tools=True)
    before = "" if form.starts or tags.channels else "I look. "
    out = [pair for letter in before + form.write(CALLS) for pair in segmenter.feed(letter)] + segmenter.flush()
    assert "".join(text for segment, text in out if segment == "text") == before.strip()
    assert form.parse("".join(text for segment, text in out if segment == "call"), TOOLS) == CALLS


# Describing tools


def test_tools_are_described_with_all_that_a_model_must_know() -> None:
    text = describe(TOOLS)
    for tool in TOOLS:
        assert f'"name": "{tool["function"]["name"]}"' in text
    assert '"required": ["city"]' in text
    assert "Tells the weather." in text
    assert DESCRIBED.open in text
    assert "<tool_response>" in text


def test_tools_in_good_order_are_taken() -> None:
    check_tools(TOOLS)
    check_tools([])
    check_tools([{"function": {"name": "f", "description": None, "parameters": None}}])


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        (["f"], "not a function"),
        ([{"type": "function"}], "not a function"),
        ([{"type": "retrieval", "function": {"name": "f"}}], "not a function"),
        ([{"name": "f", "parameters": {}}], "not a function"),
        ([{"type": "function", "function": {}}], "no name"),
        ([{"type": "function", "function": {"name": "get weather"}}], "no name"),
        ([{"type": "function", "function": {"name": "f" * 65}}], "no name"),
        ([{"type": "function", "function": {"name": 'f"'}}], "no name"),
        ([TOOLS[0], TOOLS[0]], "two tools"),
        ([{"type": "function", "function": {"name": "f", "description": 7}}], "description"),
        ([{"type": "function", "function": {"name": "f", "parameters": ["a"]}}], "parameters"),
        ([{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}], "parameters"),
        ([{"type": "function", "function": {"name": "f", "parameters": {"properties": ["a"]}}}], "parameters"),
        ([{"type": "function", "function": {"name": "f", "parameters": {"required": "a"}}}], "parameters"),
        ([{"type": "function", "function": {"name": "f", "parameters": {"default": {1, 2}}}}], "parameters"),
        ([{"type": "function", "function": {"name": "f", "parameters": {"default": math.nan}}}], "parameters"),
    ],
    ids=str,
)
def test_tools_of_the_wrong_shape_are_refused(tools: list[Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words) as error:
        check_tools(tools)
    assert error.value.hint
