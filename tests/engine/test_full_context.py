"""A context that is full never ends a chat: the oldest turns leave, visibly, and the rest goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets.engines.prompt import first_kept
from llama_widgets.errors import ContextOverflowError
from llama_widgets.protocol import Info

if TYPE_CHECKING:
    from .conftest import Bench

N_CTX = 256
WORDS = "red green blue black white grey pink brown " * 3


def conversation(turns: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are terse."}]
    for number in range(turns):
        messages += [
            {"role": "user", "content": f"Question {number}: {WORDS}"},
            {"role": "assistant", "content": f"Answer {number}."},
        ]
    return [*messages, {"role": "user", "content": "What is the capital of France?"}]


def left(bench: Bench) -> list[int]:
    return [event.data["dropped"] for event in bench.events if isinstance(event, Info)]


def test_the_oldest_turns_leave_and_the_system_prompt_and_the_question_stay(bench: Bench) -> None:
    bench.fresh(n_ctx=N_CTX)
    done = bench.chat_messages(conversation(12), max_tokens=8)

    assert done.stop_reason == "max_tokens"
    assert done.dropped > 0
    assert done.dropped % 2 == 0  # whole turns
    assert left(bench) == [done.dropped]
    text = "".join((bench.model.pieces[token] or b"").decode("utf-8", "replace") for token in bench.tokens)
    assert "You are terse." in text
    assert "capital of France" in text
    assert "Question 11" in text
    assert "Question 0:" not in text


def test_the_same_turns_leave_for_many_questions_so_that_little_is_read_again(bench: Bench) -> None:
    bench.fresh(n_ctx=512)
    evaluated, dropped = [], []
    for turns in range(8, 30):
        done = bench.chat_messages(conversation(turns), max_tokens=4)
        evaluated.append(done.usage.evaluated_tokens)
        dropped.append(done.dropped)

    assert dropped == sorted(dropped)
    assert len(set(dropped[2:])) < len(dropped[2:]) / 2
    assert sum(count < 100 for count in evaluated) > len(evaluated) / 2


def test_an_answer_that_outgrows_the_context_goes_on(bench: Bench) -> None:
    bench.fresh(n_ctx=N_CTX)
    messages = conversation(2)
    messages[-1]["content"] = "Write the numbers from one to one hundred in words."
    done = bench.chat_messages(messages, max_tokens=150, logit_bias={"<|im_end|>": -100})

    assert done.stop_reason == "max_tokens"
    assert done.usage.completion_tokens == 150
    assert left(bench)[-1] == done.dropped > 0


def test_an_answer_with_nothing_before_it_ends_when_the_context_is_full(bench: Bench) -> None:
    bench.fresh(n_ctx=N_CTX)
    done = bench.chat("Write the numbers from one to one thousand.", logit_bias={"<|im_end|>": -100})

    assert done.stop_reason == "context_full"
    assert done.usage.prompt_tokens + done.usage.completion_tokens == N_CTX + 1


def test_the_policy_stop_lets_nothing_leave(bench: Bench) -> None:
    bench.fresh(n_ctx=N_CTX)
    with pytest.raises(ContextOverflowError, match="256"):
        bench.chat_messages(conversation(12), context_overflow="stop")
    done = bench.chat_messages(
        conversation(3), context_overflow="stop", logit_bias={"<|im_end|>": -100}, max_tokens=300
    )
    assert done.stop_reason == "context_full"
    assert done.dropped == 0


def test_a_message_that_is_too_long_alone_is_refused_with_numbers_before_anything_is_read(bench: Bench) -> None:
    bench.fresh(n_ctx=N_CTX)
    with pytest.raises(ContextOverflowError, match=r"last message alone .* [4-6]\d\d tokens.* 256") as error:
        bench.chat_messages([*conversation(3)[:-1], {"role": "user", "content": "word " * 500}])
    assert error.value.hint
    assert bench.tokens == []


def test_a_long_last_message_may_have_the_room_of_the_answer(bench: Bench) -> None:
    bench.fresh(n_ctx=N_CTX)
    done = bench.chat_messages([*conversation(3)[:-1], {"role": "user", "content": "word " * 215}])
    assert done.dropped == 6
    assert done.stop_reason in ("eos", "context_full")


SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=40)


@given(SIZES, st.integers(0, 100), st.integers(1, 400))
def test_what_stays_fits_or_is_the_last_turn(sizes: list[int], fixed: int, room: int) -> None:
    first = first_kept(sizes, fixed, room)
    assert first == len(sizes) - 1 or fixed + sum(sizes[first:]) <= room


@given(SIZES, st.integers(0, 100), st.integers(1, 400))
def test_turns_never_come_back_while_the_conversation_grows(sizes: list[int], fixed: int, room: int) -> None:
    kept = [first_kept(sizes[:count], fixed, room) for count in range(1, len(sizes) + 1)]
    assert kept == sorted(kept)


@given(SIZES, st.integers(0, 100), st.integers(1, 400))
def test_nothing_leaves_while_all_fits(sizes: list[int], fixed: int, room: int) -> None:
    if fixed + sum(sizes) <= room:
        assert first_kept(sizes, fixed, room) == 0
