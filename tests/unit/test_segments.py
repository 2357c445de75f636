"""Thoughts, text and calls: told apart however the answer is cut, whatever the tags are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llama_widgets.engines.templates.segments import Segmenter, Tags
from llama_widgets.engines.templates.text import AnswerText

if TYPE_CHECKING:
    from llama_widgets.engines.templates.segments import Segment

Pieces = list[tuple["Segment", str]]

HERMES = ("<tool_call>", "</tool_call>")
THINK = Tags(call=HERMES)
FORMATS = {
    "think": THINK,
    "thinking": Tags.of("<thinking>"),
    "reasoning": Tags.of("<reasoning>"),
    "mistral": replace(Tags.of("[THINK][/THINK]"), call=("[TOOL_CALLS]", "")),
    "seed": Tags.of("<seed:think></seed:think>"),
    "command": replace(
        Tags.of("<|START_THINKING|><|START_RESPONSE|><|END_RESPONSE|>"), call=("<|START_ACTION|>", "<|END_ACTION|>")
    ),
    "granite": Tags.of("<think></think><response></response>"),
    "gemma": Tags.of("<|channel>thought\n<channel|>"),
    "gpt-oss": Tags.of("<|channel|><|message|>"),
    "llama": Tags(call=("<|python_tag|>", ""), starts=('{"name":', '{"type":"function"')),
    "nothing": Tags(None, None),
}
GPT_OSS = FORMATS["gpt-oss"]


def segments(tags: Tags, *pieces: str, prompt: str = "", tools: bool = False) -> Pieces:
    """The segments of an answer that comes in these pieces, each joined to the one before where it is the same."""
    segmenter = Segmenter(tags, prompt, tools=tools)
    out: Pieces = []
    for segment, text in [pair for piece in pieces for pair in segmenter.feed(piece)] + segmenter.flush():
        assert text
        if out and out[-1][0] == segment:
            out[-1] = (segment, out[-1][1] + text)
        else:
            out.append((segment, text))
    return out


def vocabulary(tags: Tags) -> list[str]:
    """What answers are made of to be difficult: tags, halves of tags, and what is around them."""
    texts = [*tags.texts(), *tags.starts, "<|call|>", "analysis", " to=functions.f", "final", "{", '"', "to"]
    halves = [half for text in texts for half in (text[: len(text) // 2], text[len(text) // 2 :])]
    return [*texts, *halves, " ", "\n", "a", "x" * 300, "é", "<", "</", "[", "|"]


@given(st.data(), st.sampled_from(sorted(FORMATS)), st.booleans())
def test_random_cuts_give_the_same_segments_as_one_piece(data: st.DataObject, name: str, tools: bool) -> None:
    tags = FORMATS[name]
    words = st.lists(st.sampled_from(vocabulary(tags)), max_size=12)
    text, prompt = "".join(data.draw(words)), "".join(data.draw(st.one_of(st.just([]), words)))
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20))), len(text)]

    whole = segments(tags, text, prompt=prompt, tools=tools)
    pieces = segments(tags, *(text[start:end] for start, end in pairwise(edges)), prompt=prompt, tools=tools)
    single = segments(tags, *text, prompt=prompt, tools=tools)

    assert whole == pieces == single


@given(st.text(" \na<>/", max_size=20), st.text(" \nb</", max_size=20), st.sampled_from(["", " ", "\n\n"]))
@example("", "", "")
def test_a_thought_and_an_answer_are_what_is_between_and_after_the_tags(thought: str, answer: str, space: str) -> None:
    expected: Pieces = [("thought", thought.strip()), ("text", answer.lstrip())]
    text = f"{space}<think>{thought}</think>{answer}"
    assert segments(THINK, *text) == [pair for pair in expected if pair[1]]


@given(st.text("ab <>/think\n", max_size=30))
def test_text_without_a_tag_at_its_beginning_is_text_as_it_is(text: str) -> None:
    text = "a" + text
    assert segments(THINK, *text) == [("text", text)]
    assert segments(THINK, *text, tools=True) == [("text", text)]


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("think", "<think>\nhm\n</think>\n\nYes.", [("thought", "hm"), ("text", "Yes.")]),
        ("think", "\n <think>hm</think>Yes.\n", [("thought", "hm"), ("text", "Yes.\n")]),
        ("think", "The tag <think> opens </think> it.", [("text", "The tag <think> opens </think> it.")]),
        (
            "think",
            "<think>a <think> in it</think>b <think>c</think>",
            [
                ("thought", "a <think> in it"),
                ("text", "b <think>c</think>"),
            ],
        ),
        ("think", "<think>\nnever closed\n", [("thought", "never closed\n")]),
        ("think", "<think>\n\n</think>\n\nYes.", [("text", "Yes.")]),
        ("think", "<think>hm</think>\n\n", [("thought", "hm")]),
        ("think", " Paris", [("text", " Paris")]),
        ("think", "<thi", [("text", "<thi")]),
        ("think", "<think", [("text", "<think")]),
        ("think", "</think>\n\nYes.", [("text", "Yes.")]),  # the template had opened it, in a way that was not seen
        ("thinking", "<thinking>hm</thinking> Yes.", [("thought", "hm"), ("text", "Yes.")]),
        ("reasoning", "<reasoning>hm</reasoning>Yes.", [("thought", "hm"), ("text", "Yes.")]),
        ("reasoning", "<think>hm</think>Yes.", [("text", "<think>hm</think>Yes.")]),
        ("mistral", "[THINK]hm[/THINK]Yes.", [("thought", "hm"), ("text", "Yes.")]),
        ("seed", "<seed:think>hm</seed:think>Yes.", [("thought", "hm"), ("text", "Yes.")]),
        (
            "command",
            "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
            [("thought", "hm"), ("text", "Yes.")],
        ),
        ("granite", "<think>hm</think>\n<response>Yes.\n</response>\n", [("thought", "hm"), ("text", "Yes.")]),
        ("granite", "No <response> here", [("text", "No <response> here")]),
        ("gemma", "<|channel>thought\nhm\n<channel|>Yes.", [("thought", "hm"), ("text", "Yes.")]),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
            [("thought", "hm"), ("text", "Yes.")],
        ),
        ("gpt-oss", '<|channel|>final <|constrain|>json<|message|>{"a": 1}', [("text", '{"a": 1}')]),
        ("gpt-oss", "Yes, without a header.", [("text", "Yes, without a header.")]),
        ("gpt-oss", "<|channel|>ana", []),
        ("gpt-oss", "No header<|message|>at all", [("text", "No header<|message|>at all")]),
        ("gpt-oss", f"<|channel|>{'x' * 300}<|message|>y", [("text", f"<|channel|>{'x' * 300}<|message|>y")]),
        ("nothing", "<think>hm</think>Yes.", [("text", "<think>hm</think>Yes.")]),
    ],
)
def test_an_answer_in_each_format(name: str, answer: str, expected: Pieces) -> None:
    assert segments(FORMATS[name], *answer) == expected


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        (
            "think",
            'I look.\n<tool_call>\n{"a": 1}\n</tool_call>',
            [
                ("text", "I look."),
                ("call", '<tool_call>\n{"a": 1}\n</tool_call>'),
            ],
        ),
        (
            "think",
            "<think>hm</think>\n<tool_call>a</tool_call>\n<tool_call>b</tool_call>\ndone",
            [
                ("thought", "hm"),
                ("call", "<tool_call>a</tool_call><tool_call>b</tool_call>"),
                ("text", "done"),
            ],
        ),
        ("think", "<think>shall I <tool_call>?</think>No.", [("thought", "shall I <tool_call>?"), ("text", "No.")]),
        ("think", "<tool_call>cut", [("call", "<tool_call>cut")]),
        ("mistral", "I look.[TOOL_CALLS]f[ARGS]{}", [("text", "I look."), ("call", "[TOOL_CALLS]f[ARGS]{}")]),
        ("llama", ' {\n "name" : "f"}', [("call", '{\n "name" : "f"}')]),
        ("llama", '{"type": "function", "name": "f"}', [("call", '{"type": "function", "name": "f"}')]),
        ("llama", '<|python_tag|>{"name": "f"}', [("call", '<|python_tag|>{"name": "f"}')]),
        ("llama", '{"names": []}', [("text", '{"names": []}')]),
        ("llama", '{"na', [("text", '{"na')]),
        ("llama", 'Like {"name": 1}', [("text", 'Like {"name": 1}')]),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>1",
            [("thought", "hm"), ("call", "<|start|>assistant<|channel|>commentary to=functions.f<|message|>1")],
        ),
        ("gpt-oss", " to=functions.f<|message|>{}<|call|>", [("call", " to=functions.f<|message|>{}")]),
    ],
)
def test_calls_in_each_format(name: str, answer: str, expected: Pieces) -> None:
    assert segments(FORMATS[name], *answer, tools=True) == expected


def test_without_tools_a_call_is_text() -> None:
    assert segments(THINK, "I <tool_call>x</tool_call>") == [("text", "I <tool_call>x</tool_call>")]
    assert segments(FORMATS["llama"], '{"name": 1}') == [("text", '{"name": 1}')]


@pytest.mark.parametrize(
    ("prompt", "segment", "first"),
    [
        ("<|im_start|>assistant\n", "text", ("text", " x")),
        ("<|im_start|>assistant\n<think>\n", "thought", ("thought", "x")),
        ("<|im_start|>assistant\n<think>\nSo far so", "thought", ("thought", " x")),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", "text", ("text", "x")),
        ("<|im_start|>assistant\n</think>", "text", ("text", "x")),
        ("<|im_start|>assistant\nThe capital is", "text", ("text", " x")),
        ("<|im_start|>user\nWhat is <think><|im_end|>\n<|im_start|>assistant\n", "text", ("text", " x")),
    ],
)
def test_the_prompt_says_where_the_answer_begins(prompt: str, segment: str, first: tuple[str, str]) -> None:
    segmenter = Segmenter(Tags(header="<|im_start|>assistant\n"), prompt)
    assert segmenter.segment == segment
    assert (segmenter.feed(" x") + segmenter.flush())[0] == first


def test_without_a_known_header_only_an_opening_at_the_end_of_the_prompt_counts() -> None:
    assert Segmenter(Tags(), "[INST] Hi [/INST]<think>\n").segment == "thought"
    assert Segmenter(Tags(), "[INST] What is <think>? [/INST]").segment == "text"
    assert Segmenter(Tags(), "a thought <think> that is said").segment == "text"


def test_the_segment_of_the_next_token_is_known() -> None:
    segmenter = Segmenter(THINK, "", tools=True)
    seen = []
    for piece in ("<th", "ink>", "hm", "</think>", "Yes", "<tool_call>", "x", "</tool_call>"):
        segmenter.feed(piece)
        seen.append(segmenter.segment)
    assert seen == ["text", "thought", "thought", "text", "text", "call", "call", "text"]


def test_nothing_is_held_back_for_longer_than_needed() -> None:
    segmenter = Segmenter(THINK, "", tools=True)
    assert segmenter.feed("Yes") == [("text", "Yes")]
    assert segmenter.feed(", it") == [("text", ", it")]
    assert segmenter.feed(" <") == []
    assert segmenter.feed("3") == [("text", " <3")]
    plain = Segmenter(THINK, "")
    assert plain.feed("Yes <") == [("text", "Yes <")]


@pytest.mark.parametrize("name", ["think", "thinking", "mistral", "seed", "command", "gemma", "gpt-oss"])
def test_the_closing_text_closes_an_open_thought(name: str) -> None:
    tags = FORMATS[name]
    assert tags.thought is not None
    answer = segments(tags, f"{tags.thought[0]}hm", Segmenter(tags, "").closing, "Yes.")
    assert answer == [("thought", "hm"), ("text", "Yes.")]


def test_the_closing_text_is_written_as_the_template_would() -> None:
    assert Tags.of("").closing == "\n</think>\n\n"
    assert Tags.of(r"{{ '<think>\n' + thought + '\n</think>\n\n' }}{{ '<think>\n\n</think>\n\n' }}").closing == (
        "\n</think>\n\n"
    )
    assert Tags.of(r"{{ '<think>' + thought + '</think>\n' }}").closing == "</think>\n"
    assert Tags.of("{{ '[THINK]' + thought + '[/THINK]' }}").closing == "[/THINK]"


def test_texts_are_all_that_must_be_seen() -> None:
    assert FORMATS["mistral"].texts() == ["[THINK]", "[/THINK]", "[TOOL_CALLS]"]
    assert FORMATS["mistral"].texts(tools=False) == ["[THINK]", "[/THINK]"]
    assert {"<|channel|>", "<|message|>", "<|start|>", "<|end|>"} <= set(GPT_OSS.texts())
    assert FORMATS["nothing"].texts() == []
    marked = Tags(call=("<tool_call>", ""), marks=("<arg_key>",))
    assert marked.texts() == ["<think>", "</think>", "<tool_call>", "<arg_key>"]
    assert marked.texts(tools=False) == ["<think>", "</think>"]


# With the bytes of tokens and stop strings


def read(answer: str, stop: list[str], *cuts: int, tools: bool = False) -> tuple[dict[str, str], bool]:
    text = AnswerText(stop, THINK, "", tools)
    data = answer.encode()
    edges = [0, *sorted(cuts), len(data)]
    found = {"text": "", "thought": "", "call": ""}
    for segment, piece in [
        pair for start, end in pairwise(edges) for pair in text.feed(data[start:end])
    ] + text.flush():
        found[segment] += piece
    return found, text.stopped


@given(st.data(), st.booleans())
def test_random_cuts_of_bytes_give_the_same_answer(data: st.DataObject, tools: bool) -> None:
    words = st.sampled_from(["<think>", "</think>", *HERMES, " ", "\n", "a", "é", "😀", "END", "E", "<"])
    answer = "".join(data.draw(st.lists(words, max_size=12)))
    stop = data.draw(st.lists(st.sampled_from(["END", "a", "\n", "é😀", "<"]), max_size=2))
    cuts = data.draw(st.lists(st.integers(0, len(answer.encode())), max_size=20))
    assert read(answer, stop, *cuts, tools=tools) == read(answer, stop, tools=tools)


def test_a_stop_string_ends_the_text_and_neither_a_thought_nor_a_call() -> None:
    answer = "<think>\na\n\nb\n</think>\n\nYes\nNo"
    assert read(answer, ["\n"]) == ({"text": "Yes", "thought": "a\n\nb", "call": ""}, True)
    answer = "I look<tool_call>\n{}\n</tool_call>"
    assert read(answer, ["\n"], tools=True) == (
        {"text": "I look", "thought": "", "call": "<tool_call>\n{}\n</tool_call>"},
        False,
    )


def test_after_a_stop_string_nothing_comes() -> None:
    text = AnswerText(["END"], THINK, "")
    assert text.feed(b"The EN") == [("text", "The ")]
    assert (text.feed(b"D<think>"), text.stopped) == ([], True)
    assert text.feed(b"more") == text.flush() == []


def test_what_was_held_back_comes_at_the_end_unless_a_stop_string_came() -> None:
    text = AnswerText(["END"], THINK, "", tools=True)
    assert text.feed(b"Yes <too") == [("text", "Yes")]
    assert text.flush() == [("text", " <too")]
    text = AnswerText(["END"], THINK, "", tools=True)
    assert text.feed(b"Yes END <too") == [("text", "Yes ")]
    assert text.flush() == []


def test_what_did_not_become_a_stop_string_comes_in_order() -> None:
    text = AnswerText(["ENDING"], THINK, "", tools=True)
    out = text.feed(b"The END") + text.feed(b"<tool_call>x") + text.flush()
    assert out == [("text", "The "), ("text", "END"), ("call", "<tool_call>x")]


def test_half_a_character_waits_and_is_dropped_at_the_end() -> None:
    text = AnswerText([], THINK, "<think>")
    assert [text.feed(bytes([byte])) for byte in "😀".encode()] == [[], [], [], [("thought", "😀")]]
    assert text.feed("😀".encode()[:2]) == text.flush() == []
    assert text.segment == "thought"
    assert text.closing == "\n</think>\n\n"
