"""Answers: what is drawn, where it ends, what it costs, and every prompt that has no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.engines import answer
from llama_widgets.errors import ContextOverflowError, EngineError, ParameterError

from . import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from llama_widgets.protocol import StopReason

    from .conftest import Bench

COUNT = "Count from 1 to 10."
REPEATING = "one two three four five one two three four five one two"


def test_a_chat_is_answered(bench: Bench) -> None:
    done = bench.chat("What is the capital of France? Answer in one word.", max_tokens=64)

    assert "Paris" in done.text
    assert done.stop_reason == "eos"
    assert "<|im_end|>" not in done.text
    assert done.usage.completion_tokens >= bench.chunks[-1].tokens


def test_usage_and_timings_are_those_of_the_answer(bench: Bench) -> None:
    done = bench.chat(COUNT, max_tokens=24)

    assert done.stop_reason == "max_tokens"
    assert (done.usage.prompt_tokens, done.usage.cached_tokens, done.usage.completion_tokens) == (39, 0, 24)
    assert [chunk.tokens for chunk in bench.chunks] == list(range(1, 25))
    # The last token was drawn and needed not be read.
    assert len(bench.tokens) == 39 + 23
    assert done.timings.ttft_s is not None
    assert done.timings.prefill_tps is not None
    assert done.timings.decode_tps is not None
    assert min(done.timings.ttft_s, done.timings.prefill_tps, done.timings.decode_tps) > 0
    assert (bench.progress[0].done, bench.progress[-1].done) == (0, 39)
    assert all(event.total == 39 for event in bench.progress)


def test_one_token_has_no_decode_speed(bench: Bench) -> None:
    done = bench.chat(COUNT, max_tokens=1)
    assert done.timings.ttft_s is not None
    assert done.timings.decode_tps is None


def test_greedy_answers_of_fresh_contexts_are_equal(bench: Bench) -> None:
    answers = []
    for _ in range(2):
        bench.fresh()
        answers.append(bench.chat(COUNT, max_tokens=32).text)
    assert answers[0] == answers[1]


def test_a_seed_draws_the_same_answer_and_another_one_another(bench: Bench) -> None:
    def answer(seed: int | None) -> str:
        bench.fresh()
        return bench.chat("Tell me a story.", max_tokens=24, temperature=1.5, top_k=0, seed=seed).text

    assert answer(7) == answer(7)
    assert answer(7) != answer(8)
    assert answer(2**32 - 1) == answer(2**32 - 1)  # llama.cpp's own word for a random seed
    assert len({answer(None) for _ in range(3)}) > 1


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}])
def test_each_way_to_narrow_the_choice_to_one_is_greedy(bench: Bench, narrow: dict[str, Any]) -> None:
    wide = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
    greedy = bench.chat(COUNT, max_tokens=16).text
    bench.fresh()

    assert bench.chat(COUNT, max_tokens=16, temperature=1.0, **{**wide, **narrow}).text == greedy


def test_the_repeat_penalty_breaks_a_repetition(bench: Bench) -> None:
    assert bench.complete(REPEATING, max_tokens=12).text.count(" six") > 5
    bench.fresh()
    assert bench.complete(REPEATING, max_tokens=12, repeat_penalty=5.0).text.count(" six") <= 1


def test_a_stop_string_across_tokens_ends_the_answer_and_is_not_part_of_it(bench: Bench) -> None:
    whole = bench.chat(COUNT, max_tokens=40).text
    assert "\n4. 4" in whole
    bench.fresh()

    done = bench.chat(COUNT, max_tokens=40, stop=["nowhere", "\n4. 4"])

    assert done.stop_reason == "stop"
    assert done.text == whole[: whole.index("\n4. 4")]


def test_what_does_not_become_a_stop_string_is_given_after_all(bench: Bench) -> None:
    whole = bench.chat(COUNT, max_tokens=24)
    bench.fresh()

    done = bench.chat(COUNT, max_tokens=24, stop=[whole.text[-3:] + "!", "\n4. 5"])

    assert done.text == whole.text
    assert done.stop_reason == "max_tokens"
    assert len(bench.chunks) < 24  # some were held back and came together


def test_characters_of_several_tokens_come_whole(bench: Bench) -> None:
    done = bench.complete("😀" * 8, max_tokens=20)

    assert done.text == "😀" * 6  # and two thirds of a seventh
    assert [chunk.text for chunk in bench.chunks] == ["😀"] * 6
    assert [chunk.tokens for chunk in bench.chunks] == [3, 6, 9, 12, 15, 18]


def test_bytes_that_are_not_utf8_are_shown_as_such(empty: Bench, tmp_path: Path) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf"))
    done = empty.complete("random weights", max_tokens=200, temperature=2.0, seed=1)
    assert "\N{REPLACEMENT CHARACTER}" in done.text


def test_a_full_context_ends_the_answer(bench: Bench) -> None:
    bench.fresh(n_ctx=256)
    done = bench.complete(REPEATING)

    assert done.stop_reason == "context_full"
    assert len(bench.tokens) == 256
    assert done.usage.completion_tokens == 256 - done.usage.prompt_tokens + 1
    assert bench.complete("Hello", max_tokens=2).usage.completion_tokens == 2


def test_a_prefix_is_continued(bench: Bench) -> None:
    assert (
        bench.chat("What is the capital of France?", prefix="The capital of France is", max_tokens=1).text == " Paris"
    )


def test_a_system_message_is_heard(bench: Bench) -> None:
    with_system = [{"role": "system", "content": "Hi"}, {"role": "user", "content": COUNT}]
    assert bench.chat_messages(with_system, max_tokens=1).usage.prompt_tokens < 39  # it replaces the longer default


def test_thinking_is_passed_to_the_template(empty: Bench, tmp_path: Path) -> None:
    template = "{{ enable_thinking is defined }} {{ enable_thinking }}{{ messages[-1]['content'] }}"
    empty.load(tiny.write(tmp_path / "tiny.gguf", template=template))

    def prompt(thinking: object) -> str:
        empty.chat("?", thinking=thinking, max_tokens=1)
        return "".join(chr(33 + token) if token < 94 else " " for token in empty.tokens[1:])

    assert prompt("auto") == "False ?"
    assert prompt(True) == "True True?"
    assert prompt(False) == "True False?"


@pytest.mark.parametrize("template", ["{{ messages[0]['content'] }}", "{{ bos_token }}{{ messages[0]['content'] }}"])
def test_the_token_that_begins_a_text_is_there_once(empty: Bench, tmp_path: Path, template: str) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", template=template))
    empty.chat("abc", max_tokens=1)
    assert empty.tokens == [256, *(ord(letter) - 33 for letter in "abc")]


def test_a_plain_template_has_its_stop_strings(empty: Bench, tmp_path: Path) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf"))
    empty.chat(" Hi ", max_tokens=1)
    assert len(empty.tokens) == len("_User: Hi\nAssistant:")
    assert "\nUser:" in empty.model.template.stop


def test_a_template_that_refuses_says_why(empty: Bench, tmp_path: Path) -> None:
    template = "{{ raise_exception('no system role here') }}"
    empty.load(tiny.write(tmp_path / "tiny.gguf", template=template))
    with pytest.raises(ParameterError, match="no system role here"):
        empty.chat("Hello")


@pytest.mark.parametrize("template", ["{{ messages[99]['content'] }}", "{{ 1 / 0 }}", "{{ ''.__class__.__mro__ }}"])
def test_a_template_that_fails_is_an_error(empty: Bench, tmp_path: Path, template: str) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", template=template))
    with pytest.raises(ParameterError, match="template"):
        empty.chat("Hello")


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " \n"}],
        [{"role": "user"}],
        [{"content": "Hello"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": ["Hello"]}],
        [{"role": "wizard", "content": "Hello"}],
        [{"role": ["user"], "content": "Hello"}],
        ["Hello"],
    ],
    ids=str,
)
def test_messages_of_the_wrong_shape_are_refused(bench: Bench, messages: list[Any]) -> None:
    with pytest.raises(ParameterError) as error:
        bench.chat_messages(messages)
    assert error.value.hint


def test_an_empty_prompt_is_refused(bench: Bench) -> None:
    with pytest.raises(ParameterError, match="empty"):
        bench.complete("")


def test_a_template_that_leaves_everything_out_is_refused(empty: Bench, tmp_path: Path) -> None:
    template = "{% if messages | length > 1 %}{{ messages[0]['content'] }}{% endif %}"
    empty.load(tiny.write(tmp_path / "tiny.gguf", template=template, add_bos=False))
    empty.chat("Hello", "there", "all", max_tokens=1)
    with pytest.raises(ParameterError, match="Nothing of the prompt"):
        empty.chat("Hello", max_tokens=1)


def test_a_prompt_that_is_too_long_is_refused_with_numbers_and_changes_nothing(bench: Bench) -> None:
    bench.fresh(n_ctx=256)
    bench.complete("Hello", max_tokens=4)
    tokens = bench.tokens

    with pytest.raises(ContextOverflowError, match=r"256 tokens.* 256") as error:
        bench.complete(" a" * 256)
    assert error.value.hint
    assert bench.tokens == tokens
    assert bench.complete(" a" * 255, max_tokens=1).usage.prompt_tokens == 255


@pytest.mark.parametrize("text", ["word ", "a", "é", " ", "\n", "😀", "\0"])
def test_a_prompt_of_a_megabyte_is_refused(bench: Bench, text: str) -> None:
    with pytest.raises(ContextOverflowError, match=r"about [\d,]+ tokens"):
        bench.complete(text * (1_000_000 // len(text.encode())))
    assert bench.complete("Hello", max_tokens=1).usage.completion_tokens == 1


def test_nul_and_surrogates_are_characters_like_others(bench: Bench) -> None:
    def tokens(prompt: str) -> list[int]:
        bench.complete(prompt, max_tokens=1)
        return bench.tokens

    assert tokens("a\0b")[0] == tokens("a")[0]
    assert tokens("a\0b")[-1] == tokens("b")[-1]
    assert len(tokens("a\0b")) > 2
    assert tokens("a\ud83db") == tokens("a\N{REPLACEMENT CHARACTER}b")
    assert tokens("\ud83d\ude00") == tokens("😀")  # as two halves, the way JavaScript counts
    assert bench.chat("a\0b\udc00", max_tokens=2).usage.completion_tokens == 2


def test_tokens_that_come_faster_than_they_are_seen_are_told_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one = bench.chat(COUNT, max_tokens=24)
    monkeypatch.setattr(answer, "PAUSE_S", 3600.0)
    together = bench.chat(COUNT, max_tokens=24, conversation="other")

    assert [chunk.tokens for chunk in bench.chunks] == [1, 24]
    assert together.text == one_by_one.text


def test_what_was_not_told_yet_comes_before_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bench.chat(COUNT, max_tokens=24).text
    monkeypatch.setattr(answer, "PAUSE_S", 3600.0)
    draw = answer.Answer.draw

    def fail(one: answer.Answer, *where: Any) -> StopReason | None:  # noqa: ANN401 - as it is
        reason = draw(one, *where)
        if len(one.tokens) > 50:
            msg = "Broken."
            raise EngineError(msg, "Try again.")
        return reason

    monkeypatch.setattr(answer.Answer, "draw", fail)
    with pytest.raises(EngineError, match="Broken"):
        bench.chat(COUNT, max_tokens=24, conversation="other")

    assert len(bench.chunks) == 2
    told = "".join(chunk.text for chunk in bench.chunks)
    assert told
    assert whole.startswith(told)
    assert bench.chunks[-1].tokens > 2
