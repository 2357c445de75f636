"""What the model keeps between two answers, and after an abort: the same as a fresh context would hold.

Held to tokens, positions and logits. Equal texts are not asked for: llama.cpp rounds differently for batches of other
shapes, which can turn a close choice.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import llama_cpp  # noqa: TID253 - this module is about nothing else
import numpy as np
import pytest

from llama_widgets.cancel import Cancel
from llama_widgets.engines import native
from llama_widgets.errors import LlamaWidgetsError
from llama_widgets.options import LoadOptions
from llama_widgets.protocol import CompletionChunk, Progress

from . import tiny

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from llama_widgets.engines.cache import Cache

    from .conftest import Bench

LONG = " ".join(f"Item {number} is blue." for number in range(600))  # about 4,700 tokens
QUESTION = "What is the capital of France? Answer in one word."
BEGINNING = "Be brief and kind. "
MESSAGES = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
ROUNDING = 1.0  # logits range over 40; up to 0.6 was seen between batch shapes


def _logits(bench: Bench) -> NDArray[np.float32]:
    """Return what the model expects after the last prompt, of which one token was asked."""
    pointer = llama_cpp.llama_get_logits_ith(bench.context.handle, -1)
    return np.ctypeslib.as_array(pointer, (bench.model.n_vocab,)).copy()


def _cache(bench: Bench) -> Cache:
    assert bench.engine.scheduler is not None
    return bench.engine.scheduler.cache


def _assert_as_fresh(bench: Bench, ask: Callable[[], object]) -> None:
    """Ask, and ask a fresh context the same: tokens, positions and expectation are equal."""
    ask()
    tokens, positions, logits = bench.tokens, bench.positions(), _logits(bench)
    bench.fresh()
    ask()
    assert tokens == bench.tokens
    assert positions == bench.positions()
    assert np.abs(logits - _logits(bench)).max() < ROUNDING


def test_the_second_turn_reuses_the_first(bench: Bench) -> None:
    first = bench.chat("Hello", max_tokens=16)
    kept = len(bench.tokens)
    second = bench.chat("Hello", first.text, QUESTION, max_tokens=32)

    assert first.usage.cached_tokens == 0
    assert kept - 1 <= second.usage.cached_tokens <= kept
    assert "Paris" in second.text
    assert bench.progress[0].done == second.usage.cached_tokens


def test_a_reused_beginning_is_as_good_as_a_fresh_one(bench: Bench) -> None:
    first = bench.chat("Hello", max_tokens=16)
    _assert_as_fresh(bench, lambda: bench.chat("Hello", first.text, QUESTION, max_tokens=1))


def test_another_conversation_reuses_only_what_is_the_same(bench: Bench) -> None:
    bench.chat(QUESTION, max_tokens=8)
    _assert_as_fresh(bench, lambda: bench.chat("What is the capital of Spain?", max_tokens=1))


def test_the_same_prompt_again_reads_its_last_token_only(bench: Bench) -> None:
    first = bench.chat(QUESTION, max_tokens=1)
    again = bench.chat(QUESTION, max_tokens=1)

    assert again.usage.cached_tokens == first.usage.prompt_tokens - 1
    _assert_as_fresh(bench, lambda: bench.chat(QUESTION, max_tokens=1))


def test_a_wrong_memory_would_be_noticed(bench: Bench) -> None:
    bench.chat(QUESTION, max_tokens=1)
    right = _logits(bench)
    bench.chat("What is the capital of Spain? Answer in one word.", max_tokens=1)
    assert np.abs(right - _logits(bench)).max() > ROUNDING


@pytest.mark.parametrize("n_batch", [512, 8192])
def test_an_abort_while_the_prompt_is_read_stops_it(bench: Bench, n_batch: int) -> None:
    bench.fresh(n_batch=n_batch)
    begun = threading.Event()
    bench.on_event = lambda event: begun.set() if isinstance(event, Progress) else None

    def stop() -> None:
        begun.wait()
        bench.cancel.request()

    thread = threading.Thread(target=stop)
    thread.start()
    done = bench.chat(LONG)
    thread.join()

    assert done.stop_reason == "abort"
    assert (done.text, done.usage.completion_tokens) == ("", 0)
    assert done.usage.prompt_tokens > 4000
    assert len(bench.tokens) < done.usage.prompt_tokens
    bench.cancel = Cancel()
    _assert_as_fresh(bench, lambda: bench.chat(QUESTION, max_tokens=1))


def test_the_deeper_a_prompt_the_less_is_read_before_an_abort_is_seen(
    empty: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "has_gpu", lambda: False)
    empty.load(tiny.write(tmp_path / "tiny.gguf", n_ctx_train=8192), n_ctx=8192, n_batch=2048)
    empty.complete("x" * 6000, max_tokens=1)
    read = [report.done for report in empty.progress]

    assert read[-1] > 6000
    steps = list(pairwise(read))
    assert max(after - before for before, after in steps) == 256
    assert max(after - before for before, after in steps if before > 2048) == 128
    assert max(after - before for before, after in steps if before > 4096) == 64


def test_an_aborted_evaluation_leaves_no_trace(bench: Bench) -> None:
    """The native flag alone, in a batch of many parts of which some are finished before it is seen."""
    bench.fresh(n_batch=8192)
    bench.complete("Hello", max_tokens=1)
    context, cache, sequence = bench.context, _cache(bench), bench.sequence
    assert context.abortable
    tokens = bench.tokens

    context.flag.set()
    context.add(range(1000, 3000), len(tokens), sequence.id, draw=True)
    assert context.decode() == "aborted"
    cache.cut(sequence, len(tokens))

    assert bench.tokens == tokens
    bench.assert_memory_agrees()
    _assert_as_fresh(bench, lambda: bench.chat(QUESTION, max_tokens=1))


def test_a_prompt_that_was_aborted_goes_on_where_it_stopped(bench: Bench) -> None:
    bench.on_event = lambda event: bench.cancel.request() if isinstance(event, Progress) and event.done >= 512 else None
    prompt = LONG[:4000]
    bench.chat(prompt)
    assert len(bench.tokens) == 512

    bench.cancel, bench.on_event = Cancel(), lambda _: None
    assert bench.chat(prompt, max_tokens=1).usage.cached_tokens == 512


def test_an_abort_while_the_answer_is_made_keeps_its_beginning(bench: Bench) -> None:
    whole = bench.chat("Count from 1 to 10.", max_tokens=40).text
    bench.fresh()
    bench.on_event = lambda event: (
        bench.cancel.request() if isinstance(event, CompletionChunk) and event.seq == 9 else None
    )
    done = bench.chat("Count from 1 to 10.")

    assert done.stop_reason == "abort"
    assert done.usage.completion_tokens == 10
    assert whole.startswith(done.text)
    bench.cancel, bench.on_event = Cancel(), lambda _: None
    _assert_as_fresh(bench, lambda: bench.chat("Count from 1 to 10.", done.text, QUESTION, max_tokens=1))


def test_an_abort_gives_what_was_held_back(bench: Bench) -> None:
    bench.on_event = lambda event: bench.cancel.request() if isinstance(event, CompletionChunk) else None
    # The first token is " six". Its beginning is shown, which brings the abort; its end could have become "ixty".
    done = bench.complete("one two three four five one two three four five one two", stop=["ixty"])

    assert done.stop_reason == "abort"
    assert [chunk.text for chunk in bench.chunks] == [" s", "ix"]


def test_an_abort_that_comes_too_early_or_too_late_hits_only_its_own_request(bench: Bench) -> None:
    late = bench.cancel
    assert bench.chat(QUESTION, max_tokens=2).stop_reason == "max_tokens"
    bench.cancel = Cancel()
    bench.on_event = lambda _: late.request()
    assert bench.chat(QUESTION, max_tokens=2).stop_reason == "max_tokens"

    bench.cancel.request()
    early = bench.chat("Something else", max_tokens=2)
    assert (early.stop_reason, early.usage.completion_tokens) == ("abort", 0)


def test_what_a_listener_raises_leaves_the_memory_right(bench: Bench) -> None:
    def fail(event: object) -> None:
        if isinstance(event, CompletionChunk) and event.seq == 3:
            msg = "listener"
            raise KeyError(msg)

    bench.on_event = fail
    with pytest.raises(LlamaWidgetsError, match="listener"):
        bench.chat("Count from 1 to 10.")
    bench.assert_memory_agrees()
    bench.on_event = lambda _: None
    _assert_as_fresh(bench, lambda: bench.chat(QUESTION, max_tokens=1))


def test_tokens_that_find_no_room_leave_no_trace(bench: Bench) -> None:
    bench.fresh(n_ctx=256)
    bench.complete(" a" * 200, max_tokens=1)
    tokens = bench.tokens
    bench.context.add(range(1000, 1100), len(tokens), bench.sequence.id, draw=True)
    assert bench.context.decode() == "no_room"

    assert bench.tokens == tokens
    bench.assert_memory_agrees()


def test_a_recurrent_model_goes_on_but_is_never_cut_back(empty: Bench, tmp_path: Path) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", arch="mamba"))

    def cached(prompt: str) -> int:
        usage = empty.complete(prompt, max_tokens=1).usage
        assert len(empty.tokens) == usage.prompt_tokens
        return usage.cached_tokens

    assert cached("abc") == 0
    assert cached("abcdef") == 4  # with the token that begins the text
    after = _logits(empty)
    assert cached("abcxyz") == 0
    assert cached("abcdef") == 0
    assert np.abs(after - _logits(empty)).max() < ROUNDING

    context, sequence = empty.context, empty.sequence
    context.flag.set()
    context.add([1, 2, 3], len(sequence.tokens), sequence.id, draw=True)
    assert context.decode() == "aborted"
    context.flag.clear()
    _cache(empty).cut(sequence, len(sequence.tokens))
    assert empty.tokens == []
    assert cached("abcdef") == 0
    assert np.abs(after - _logits(empty)).max() < ROUNDING


def test_the_first_question_finds_the_beginning_that_all_chats_share(empty: Bench, demo_model: Path) -> None:
    empty.load(demo_model, n_ctx=512)
    there = empty.tokens
    found = empty.chat("Hello", max_tokens=12)
    empty.engine.create_context(LoadOptions(n_ctx=512), Cancel())
    alone = empty.chat("Hello", max_tokens=12)

    assert b"You are a helpful AI assistant" in b"".join(empty.model.pieces[token] or b"" for token in there)
    assert (found.usage.cached_tokens, alone.usage.cached_tokens) == (len(there), 0)
    assert found.text == alone.text


@pytest.mark.parametrize("arch", ["mamba", "lfm2", "gemma2"])
def test_memories_that_cannot_be_cut_are_read_ahead_too(empty: Bench, tmp_path: Path, arch: str) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", arch, template=BEGINNING + MESSAGES))
    found = [empty.chat(text, max_tokens=1, conversation=text).usage.cached_tokens for text in ("Hello", "Why?")]
    assert min(found) >= len(BEGINNING)


@pytest.mark.parametrize(
    "template", [BEGINNING * 20 + MESSAGES, "{{ raise_exception('never') }}", "{{ messages[0].content }}"]
)
def test_nothing_is_read_ahead_that_does_not_fit_or_is_not_shared(empty: Bench, tmp_path: Path, template: str) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", template=template), n_ctx=16, n_seq_max=1)
    assert max(len(sequence.tokens) for sequence in _cache(empty).sequences) <= 1  # the token that begins a text
    assert empty.complete("a", max_tokens=1).usage.completion_tokens == 1


def test_what_is_read_ahead_can_be_stopped(bench: Bench) -> None:
    cancel = Cancel()
    cancel.request()
    scheduler = bench.engine.scheduler
    assert scheduler is not None
    scheduler.read_ahead(list(range(100, 400)), cancel)

    assert not any(sequence.tokens or sequence.busy for sequence in scheduler.cache.sequences)
    assert bench.chat("Hello", max_tokens=2).usage.cached_tokens == 0
