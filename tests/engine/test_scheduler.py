"""Many answers at once: they join, leave and stop, and none of them disturbs the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from llama_widgets.cancel import Cancel
from llama_widgets.protocol import CompletionChunk, CompletionDone, Error, Progress

from . import tiny
from .conftest import completion

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llama_widgets.protocol import Event, Generate

    from .conftest import Bench

ENDLESS = {"<|im_end|>": -100, "<|endoftext|>": -100}
COUNT = "one, two, three, four, five, six, seven,"
LONG = " ".join(f"Item {number} is blue." for number in range(150))  # about 1,200 tokens
SYSTEM = "You know the names of all the items, their colours, shapes and sizes. " * 8


STARTS = (11, 31, 51)


def counting(start: int, count: int) -> str:
    """A prompt of four tokens a number that everybody goes on with in the same way."""
    return " ".join(f"{number}," for number in range(start, start + count))


@dataclass
class Asked:
    """A request that was submitted, and what came of it."""

    events: list[Event] = field(default_factory=list)
    cancel: Cancel = field(default_factory=Cancel)
    on_event: Callable[[Event], None] = lambda _: None

    def emit(self, event: Event) -> None:
        assert not self.ended, "there was an end already"
        self.events.append(event)
        self.on_event(event)

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], (CompletionDone, Error))

    @property
    def done(self) -> CompletionDone:
        assert isinstance(self.events[-1], CompletionDone), self.events
        return self.events[-1]

    @property
    def chunks(self) -> int:
        return sum(isinstance(event, CompletionChunk) for event in self.events)


def ask(bench: Bench, command: Generate) -> Asked:
    asked = Asked()
    bench.engine.submit(command, asked.emit, asked.cancel)
    return asked


def steps_until(bench: Bench, condition: Callable[[], bool], most: int = 5_000) -> int:
    for taken in range(most):
        if condition():
            return taken
        bench.engine.step()
    pytest.fail("it never came to that")


def finish(bench: Bench) -> None:
    steps_until(bench, lambda: not bench.engine.active)
    bench.assert_memory_agrees()


def test_many_are_answered_at_once_and_each_gets_its_own(bench: Bench) -> None:
    lists = {COUNT: "eight", "A, B, C, D, E, F,": "G", "2, 4, 6, 8, 10, 12,": "14", "May, June, July,": "August"}
    asked = [ask(bench, completion(start, max_tokens=3)) for start in lists]
    taken = steps_until(bench, lambda: not bench.engine.active)

    assert taken < 8  # one after the other they would take 12
    for word, one in zip(lists.values(), asked, strict=True):
        assert word in one.done.text
    bench.assert_memory_agrees()


def test_one_that_comes_later_joins_and_one_that_ends_leaves(bench: Bench) -> None:
    first = ask(bench, completion(COUNT, max_tokens=30))
    steps_until(bench, lambda: first.chunks >= 5)
    second = ask(bench, completion("red " * 20 + "red", max_tokens=3, conversation="d"))
    steps_until(bench, lambda: second.ended)

    assert not first.ended
    assert second.done.text.split() == ["red"] * 3
    finish(bench)
    assert first.done.usage.completion_tokens == 30


def test_an_answer_is_drawn_on_in_one_step_while_nobody_wants_anything(bench: Bench) -> None:
    first = ask(bench, completion(COUNT, max_tokens=40, conversation="a", logit_bias=ENDLESS))
    steps_until(bench, lambda: first.chunks > 0)
    answers = bench.engine.scheduler.running  # type: ignore[union-attr]
    drawn = len(answers[0].tokens)
    bench.engine.step(iter([True] * 9 + [False]).__next__)
    assert len(answers[0].tokens) == drawn + 10

    def stop() -> bool:
        first.cancel.request()
        return True

    bench.engine.step(stop)
    assert len(answers[0].tokens) == drawn + 11, "what was asked meanwhile is seen to in the next step"
    bench.engine.step()
    assert first.done.stop_reason == "abort"
    bench.assert_memory_agrees()


def test_who_reads_is_seen_to_between_any_two_batches(bench: Bench) -> None:
    first = ask(bench, completion(COUNT, max_tokens=200, conversation="a", logit_bias=ENDLESS))
    steps_until(bench, lambda: first.chunks > 0)
    second = ask(bench, completion("red " * 20 + "red", max_tokens=3, conversation="b"))
    while not second.ended:
        bench.engine.step(lambda: True)

    assert second.done.text.split() == ["red"] * 3
    assert not first.ended, "it is only drawn on where there is nothing else to do"
    bench.engine.step(lambda: True)
    assert first.done.stop_reason == "max_tokens"
    bench.assert_memory_agrees()


def test_an_answer_keeps_flowing_while_a_long_prompt_is_read(bench: Bench) -> None:
    """It draws ahead of what is told, and what it has drawn is told while a slice of the prompt is read."""
    first = ask(bench, completion(COUNT, max_tokens=1_000, conversation="a", logit_bias=ENDLESS))
    steps_until(bench, lambda: first.chunks >= 10)
    second = ask(bench, completion(LONG, max_tokens=1, conversation="b"))
    drawn = len(bench.engine.scheduler.running[0].tokens)  # type: ignore[union-attr]
    slices: list[int] = []
    told = []
    decode = bench.context.decode

    def watched() -> str:
        size, before = bench.context.n_batch - bench.context.room, first.chunks
        result = decode()
        if size > 1:
            slices.append(size)
            told.append(first.chunks - before)
        return result

    with mock.patch.object(bench.context, "decode", watched):
        taken = steps_until(bench, lambda: second.ended)

    assert len(bench.engine.scheduler.running[0].tokens) - drawn >= taken - 1, "a token in each step"  # type: ignore[union-attr]
    assert slices[0] <= 10, "nobody knew yet how long they take"
    assert max(slices) > 64, "where llama.cpp computes attention in tiles"
    assert taken > 5 * len(slices), "tokens were drawn between them"
    assert max(told) > 5, "and told within them"
    first.cancel.request()
    finish(bench)
    tokens = [event.tokens for event in first.events if isinstance(event, CompletionChunk)]
    assert tokens == sorted(tokens)
    assert "".join(event.text for event in first.events if isinstance(event, CompletionChunk)) == first.done.text


def test_a_prompt_does_not_wait_for_ever_for_an_answer_that_says_nothing(bench: Bench) -> None:
    """All that it draws may be the beginning of a stop string, and is held back."""
    first = ask(bench, completion("1 1 1 1 1 1 1 1", max_tokens=1_500, stop=[" 1" * 3_000], conversation="a"))
    steps_until(bench, lambda: first.events != [] and bench.engine.scheduler.running[0].drawing)  # type: ignore[union-attr]
    second = ask(bench, completion(LONG, max_tokens=1, conversation="b"))
    steps_until(bench, lambda: second.ended)

    assert not first.ended
    first.cancel.request()
    finish(bench)


def test_an_abort_ends_one_and_leaves_the_others_as_they_are(bench: Bench) -> None:
    alone = bench.complete(COUNT, max_tokens=20, conversation="").text
    asked = [ask(bench, completion(COUNT, max_tokens=20, conversation=name)) for name in "abc"]
    steps_until(bench, lambda: all(one.chunks >= 4 for one in asked))
    asked[1].cancel.request()
    finish(bench)

    assert asked[1].done.stop_reason == "abort"
    assert alone.startswith(asked[1].done.text)
    assert [asked[0].done.text, asked[2].done.text] == [alone, alone]


def test_what_an_abort_cut_off_for_others_is_evaluated_again(bench: Bench) -> None:
    """The flag ends the batch, whoever is in it: here it is set between filling a batch and evaluating it."""
    first = ask(bench, completion(COUNT, max_tokens=12, conversation="a"))
    steps_until(bench, lambda: first.chunks >= 3)
    tokens = first.chunks
    second = ask(bench, completion(LONG, max_tokens=1, conversation="b"))
    second.on_event = lambda event: second.cancel.request() if isinstance(event, Progress) else None
    bench.engine.step()

    assert first.chunks == tokens  # cut off
    assert not first.ended
    finish(bench)
    assert second.done.stop_reason == "abort"
    assert first.done.usage.completion_tokens == 12
    assert first.done.text == bench.complete(COUNT, max_tokens=12).text


def test_one_that_waits_can_be_stopped(bench: Bench) -> None:
    bench.fresh(n_seq_max=1)
    first, second = (ask(bench, completion(COUNT, max_tokens=50, conversation=name)) for name in "ab")
    steps_until(bench, lambda: first.chunks >= 2)
    second.cancel.request()
    bench.engine.step()

    assert second.done.stop_reason == "abort"
    assert not first.ended
    finish(bench)


def test_more_than_there_are_sequences_wait_their_turn(bench: Bench) -> None:
    bench.fresh(n_seq_max=2)
    start = counting(11, 26)  # COUNT's fifth token is a near thing, which batches of another shape round otherwise
    asked = [ask(bench, completion(start, max_tokens=5, conversation=str(number))) for number in range(5)]
    ended: list[int] = []
    for number, one in enumerate(asked):
        one.on_event = lambda event, number=number: (  # type: ignore[misc]
            ended.append(number) if isinstance(event, CompletionDone) else None
        )
    finish(bench)

    assert sorted(ended) == ended == [0, 1, 2, 3, 4]
    assert len({one.done.text for one in asked}) == 1


def test_those_that_do_not_fit_together_take_turns_and_lose_nothing(bench: Bench) -> None:
    bench.fresh(n_ctx=256)
    asked = [ask(bench, completion(counting(start, 26), max_tokens=60, conversation=str(start))) for start in STARTS]
    finish(bench)

    for start, one in zip(STARTS, asked, strict=True):
        assert one.done.stop_reason == "max_tokens"
        assert one.done.text.startswith(f" {start + 26}, {start + 27}, {start + 28},")


def test_one_that_must_make_room_is_read_again_and_goes_on(bench: Bench) -> None:
    """They fit when they begin, and grow."""
    bench.fresh(n_ctx=256)
    asked = [
        ask(bench, completion(counting(start, 15), max_tokens=90, conversation=str(start))) for start in STARTS[:2]
    ]
    finish(bench)

    assert [one.done.stop_reason for one in asked] == ["max_tokens"] * 2
    assert [one.done.usage.evaluated_tokens > one.done.usage.prompt_tokens for one in asked] == [False, True]
    assert asked[1].done.text.startswith(f" {STARTS[1] + 15}, {STARTS[1] + 16}, {STARTS[1] + 17},")


def test_prompts_that_begin_alike_are_read_once(bench: Bench) -> None:
    asked = [
        ask(bench, completion(f"{SYSTEM}The colour of item {number} is", max_tokens=1, conversation=str(number)))
        for number in range(6)
    ]
    finish(bench)

    evaluated = [one.done.usage.evaluated_tokens for one in asked]
    assert evaluated[0] > 120
    assert max(evaluated[1:]) < 10


def test_two_conversations_in_turns_evaluate_what_each_would_alone(bench: Bench) -> None:
    def talk(names: str) -> dict[str, list[int]]:
        bench.fresh()
        said: dict[str, list[str]] = {name: [] for name in names}
        evaluated: dict[str, list[int]] = {name: [] for name in names}
        for turn in range(4):
            for name in names:
                said[name].append(f"Say {name} {turn} times.")
                done = bench.chat_messages(
                    [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said[name])],
                    max_tokens=12,
                    conversation=name,
                )
                said[name].append(done.text)
                evaluated[name].append(done.usage.evaluated_tokens)
        return evaluated

    together, alone = talk("ab"), {name: talk(name)[name] for name in "ab"}
    # The template's own beginning is the same for both, and is copied.
    assert together["a"] == alone["a"]
    assert all(ours <= theirs for ours, theirs in zip(together["b"], alone["b"], strict=True))
    assert max(together["a"][1:]) < 20


def test_the_least_recently_used_conversation_gives_way(bench: Bench) -> None:
    bench.fresh(n_ctx=256)
    for name in ("red", "green", "red", "blue"):
        bench.complete(f"{name} " * 100, max_tokens=1, conversation=name)

    kept = {sequence.conversation for sequence in bench.engine.scheduler.cache.sequences if sequence.tokens}  # type: ignore[union-attr]
    assert kept == {"red", "blue"}


def test_editing_an_early_turn_keeps_what_stands_before_it(bench: Bench) -> None:
    bench.complete(LONG, max_tokens=1)
    half = LONG[: len(LONG) // 2]
    done = bench.complete(f"{half} And nothing else.", max_tokens=1)
    assert done.usage.cached_tokens > 500
    assert done.usage.evaluated_tokens < 20


def test_a_reproducible_answer_runs_alone_and_is_equal_bit_by_bit(bench: Bench) -> None:
    def exact() -> CompletionDone:
        return bench.complete(
            COUNT, max_tokens=12, temperature=1.5, seed=7, reproducible=True, top_logprobs=3, conversation="x"
        )

    first = exact()
    bench.complete(COUNT + " eight", max_tokens=20, conversation="y")
    beside = ask(bench, completion(LONG, max_tokens=40, conversation="z"))
    bench.engine.step()
    later = Asked()
    bench.engine.submit(
        completion(
            COUNT, max_tokens=12, temperature=1.5, seed=7, reproducible=True, top_logprobs=3, request_id="later"
        ),
        later.emit,
        later.cancel,
    )
    after = ask(bench, completion(COUNT, max_tokens=2, conversation="w"))
    order: list[str] = []
    for name, one in {"beside": beside, "later": later, "after": after}.items():
        one.on_event = lambda event, name=name: order.append(name) if isinstance(event, CompletionChunk) else None  # type: ignore[misc]
    finish(bench)

    assert (later.done.text, later.done.logprobs) == (first.text, first.logprobs)
    assert later.done.usage.cached_tokens == 0
    assert list(dict.fromkeys(order)) == ["beside", "later", "after"]


def test_what_a_listener_raises_ends_its_own_request_only(bench: Bench) -> None:
    first, second = (ask(bench, completion(COUNT, max_tokens=10, conversation=name)) for name in "ab")

    def fail(event: object) -> None:
        if isinstance(event, CompletionChunk) and event.seq == 3:
            msg = "listener"
            raise KeyError(msg)

    first.on_event = fail
    finish(bench)
    assert isinstance(first.events[-1], Error)
    assert second.done.usage.completion_tokens == 10


def test_a_failure_in_llama_cpp_ends_those_it_hit_and_the_next_is_right(bench: Bench) -> None:
    alone = bench.complete(COUNT, max_tokens=4).text
    first = ask(bench, completion(COUNT, max_tokens=10))
    steps_until(bench, lambda: first.chunks >= 2)
    assert bench.engine.scheduler is not None
    bench.engine.scheduler.running[0].tokens[-1] = 10**6  # there is no such token
    finish(bench)

    assert isinstance(first.events[-1], Error)
    assert first.events[-1].code == "engine"
    assert bench.complete(COUNT, max_tokens=4).text == alone


@pytest.mark.parametrize("arch", ["llama", "mamba"])
def test_models_of_any_memory_answer_many_at_once(empty: Bench, tmp_path: Path, arch: str) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", arch=arch), n_threads=1)
    alone = [empty.complete(f"{name}bcdefgh" * 3, max_tokens=6, conversation="").text for name in "xyz"]
    asked = [ask(empty, completion(f"{name}bcdefgh" * 3, max_tokens=6, conversation=name)) for name in "xyz"]
    steps_until(empty, lambda: all(one.chunks >= 1 for one in asked))
    asked.append(ask(empty, completion("another", max_tokens=100, conversation="w")))
    empty.engine.step()
    asked[-1].cancel.request()
    steps_until(empty, lambda: not empty.engine.active)

    assert [one.done.text for one in asked[:3]] == alone
    assert asked[-1].done.stop_reason == "abort"
