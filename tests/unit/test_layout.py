"""Where messages are in what published templates make of them."""

from __future__ import annotations

from typing import Any

import pytest

from llama_widgets.tokens.layout import Layout

from .test_templates import ALL, ASKED, template

TALK = [
    {"role": "system", "content": "Be terse."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "  Hello "},
    {"role": "user", "content": "e"},
]


def laid_out(name: str, messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return for each message what the template writes before it, what it says, and what is written after it."""
    chat = template(ALL[name])
    text = chat.render(messages, "auto")
    places = Layout(chat, "auto", []).places(messages, text)
    marks = [mark for place in places for mark in (place.start, place.content_start, place.content_end)]
    assert [*marks, places[-1].end, len(text)] == sorted([*marks, places[-1].end, len(text)])
    assert [place.end for place in places[:-1]] == [place.start for place in places[1:]]
    cuts = [(p.start, p.content_start, p.content_end, p.end) for p in places]
    return [(text[a:b], text[b:c], text[c:d]) for a, b, c, d in cuts]


@pytest.mark.parametrize("name", ALL)
def test_each_message_is_found_in_every_template(name: str) -> None:
    found = laid_out(name, TALK)
    assert [content.strip() for _, content, _ in found] == ["Be terse.", "Hello", "Hello", "e"]
    assert [content.strip() for _, content, _ in laid_out(name, TALK[1:])] == ["Hello", "Hello", "e"]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("chatml", "<|im_start|>user\n", "<|im_end|>\n"),
        ("llama", "<|start_header_id|>user<|end_header_id|>\n", "<|eot_id|>"),
        ("mistral", "[INST]", "[/INST]"),
        ("phi", "<|user|>\n", "<|end|>\n"),
        ("gpt-oss", "<|start|>user<|message|>", "<|end|>"),
    ],
)
def test_what_is_written_around_a_message_is_part_of_it(name: str, before: str, after: str) -> None:
    assert laid_out(name, TALK)[-1] == (before, "e", after)
    assert laid_out(name, TALK[1:])[0] == (before, "Hello", after)  # not what the template says before


def test_what_a_template_makes_of_calls_and_results_is_part_of_them() -> None:
    found = laid_out("qwen3", ASKED)
    calls, results = next(each for each in found if "<tool_call>" in each[2]), found[-1]
    assert "weather" in calls[2]
    assert results[1] == "rain"


def test_a_template_that_changes_what_is_said_is_searched() -> None:
    upper = template("{% for message in messages %}[{{ message.content | replace('l', 'L') }}]{% endfor %}")
    text = upper.render(TALK[1:], "auto")
    places = Layout(upper, "auto", []).places(TALK[1:], text)
    assert text == "[HeLLo][  HeLLo ][e]"
    assert [text[place.content_start : place.content_end] for place in places] == ["HeLLo", "  HeLLo ", "e"]

    never = template("{% for message in messages %}{{ message.content[:1] }}{% endfor %}")
    text = never.render(TALK[1:], "auto")
    assert [place.end <= len(text) for place in Layout(never, "auto", []).places(TALK[1:], text)] == [True] * 3
