"""Templates in real files and answers of a real model: variants, thoughts, calls of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.errors import ParameterError

from . import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Bench

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
        },
    },
}
VARIANTS: Any = [
    {"name": "default", "template": "default:{{ messages[0].content }}"},
    {"name": "tool_use", "template": "tool_use:{{ messages[0].content }}"},
    {"name": "rag", "template": "rag:{{ messages[0].content }}"},
]


def prompt(bench: Bench) -> str:
    """What the tiny model has read: its tokens are the printable characters from "!" on."""
    return "".join(chr(33 + token) for token in bench.tokens if token < 94)


@pytest.mark.parametrize(("given", "origin"), [(None, "model"), ("rag", "given"), ("{{ 'mine:' }}Hi", "given")])
def test_the_variants_of_a_file_are_found(empty: Bench, tmp_path: Path, given: str | None, origin: str) -> None:
    loaded = empty.load(tiny.write(tmp_path / "tiny.gguf", template=VARIANTS), chat_template=given, n_ctx=1024)

    assert loaded.template == origin
    empty.chat("Hi", max_tokens=1)
    assert prompt(empty) == {None: "default:Hi", "rag": "rag:Hi"}.get(given, "mine:Hi")
    before = prompt(empty)[:4]
    empty.chat_messages([{"role": "user", "content": "Hi"}], tools=[TOOL], max_tokens=1)
    assert prompt(empty).startswith("tool" if given is None else before)


def test_a_template_that_is_none_is_refused_when_the_model_is_loaded(empty: Bench, tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "tiny.gguf", template=VARIANTS)
    with pytest.raises(ParameterError, match="'rga'") as error:
        empty.load(path, chat_template="rga")
    assert "default, rag, tool_use" in error.value.hint
    assert not empty.engine.loaded


def test_a_required_call_is_one_that_the_tool_can_take(bench: Bench) -> None:
    done = bench.chat_messages(
        [{"role": "user", "content": "What is the weather in Rome?"}],
        tools=[TOOL],
        tool_choice="required",
        max_tokens=400,
    )

    assert done.stop_reason == "tool_calls"
    assert [call["name"] for call in done.tool_calls] == ["get_weather"] * len(done.tool_calls)
    for call in done.tool_calls:
        assert set(call["arguments"]) == {"city", "unit"}
        assert call["arguments"]["unit"] in ("C", "F")
    assert "<tool_call>" not in done.text


def test_a_result_is_read_and_answered(bench: Bench) -> None:
    call = {"id": "1", "name": "get_weather", "arguments": {"city": "Rome", "unit": "C"}}
    messages = [
        {"role": "user", "content": "What is the weather in Rome?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "1", "content": "It rains frogs."},
    ]
    assert "rain" in bench.chat_messages(messages, tools=[TOOL], max_tokens=24).text


def test_a_thought_that_the_template_opens_is_one(empty: Bench, demo_model: Path) -> None:
    template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    )
    loaded = empty.load(demo_model, n_ctx=512, n_threads=1, chat_template=template)
    assert loaded.supports["thinking"]

    empty.chat("Hello", max_tokens=8)
    assert empty.chunks[0].segment == "thought"
    done = empty.chat("Hello", max_tokens=8, thinking=False)
    assert (done.thoughts, done.usage.thought_tokens) == ("", 0)
    assert {chunk.segment for chunk in empty.chunks} == {"text"}
    done = empty.chat("Tell me a story.", max_tokens=24, thinking_budget=2)
    assert empty.chunks[0].segment == "thought"
    assert "</think>" not in done.thoughts + done.text
    assert done.text
