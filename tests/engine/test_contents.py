"""What is kept of conversations is what a fresh context would hold: the same tokens, with the same meaning.

Held to logits, within what batches of other shapes round differently. Without flash attention that is little; with it,
llama.cpp adds up in half precision on a CPU, in the order that tokens have in the memory.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, ClassVar

import llama_cpp  # noqa: TID253 - this module is about nothing else
import numpy as np
import pytest
from hypothesis import Phase
from hypothesis.stateful import rule

from llama_widgets.engines.context import Context
from llama_widgets.options import LoadOptions
from llama_widgets.protocol import Progress

from . import tiny
from .conftest import completion
from .operations import ARCHITECTURES, SMALL, Operations, Request, operations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from llama_widgets.engines.cache import Sequence
    from llama_widgets.engines.model import Model
    from llama_widgets.protocol import CompletionDone, Event, Generate

    from .conftest import Bench

    Logits = NDArray[np.float32]

EXACT: dict[str, Any] = {**SMALL, "flash_attn": False}
PROBES = (10, 60, 120, 200, 33, 77)
"""Each attends to other tokens, so that what is wrong anywhere is seen by one of them."""
ROUNDING = 3e-3
"""Seen were 4e-4 between batch shapes, and 8e-3 or more where one token of the memory is another."""
EXAMPLES = 6


class Reader:
    """A context beside the engine's, in which tokens are read afresh or a memory is looked into."""

    def __init__(self, model: Model) -> None:
        self._context = Context(model, LoadOptions(**EXACT, n_batch=512), 1024, 2)
        self._n_vocab = model.n_vocab

    def close(self) -> None:
        self._context.close()

    def after(self, tokens: list[int], slices: int = 512, beside: int = 0) -> Logits:
        """Return what is expected after ``tokens``, read in slices and together with others."""
        self._context.clear()
        for start in range(0, len(tokens), slices):
            part = tokens[start : start + slices]
            self._context.add(part, start, 0, draw=True)
            if beside:
                self._context.add([start % 256] * beside, start // slices * beside, 1, draw=True)
            assert self._context.decode() == "done"
        return self._probe(len(tokens))

    def kept(self, context: Context, sequence: Sequence) -> Logits:
        """Return what is expected after what ``context`` holds of a sequence."""
        size = llama_cpp.llama_state_seq_get_size(context.handle, sequence.id)
        state = (ctypes.c_uint8 * size)()
        assert llama_cpp.llama_state_seq_get_data(context.handle, state, size, sequence.id) == size
        self._context.clear()
        assert llama_cpp.llama_state_seq_set_data(self._context.handle, state, size, 0) == size
        return self._probe(len(sequence.tokens))

    def _probe(self, position: int) -> Logits:
        found = []
        for number, token in enumerate(PROBES):
            index = self._context.add([token], position + number, 0, draw=True)
            assert self._context.decode() == "done"
            pointer = llama_cpp.llama_get_logits_ith(self._context.handle, index)
            found.append(np.ctypeslib.as_array(pointer, (self._n_vocab,)).copy())
        return np.stack(found)


def difference(left: Logits, right: Logits) -> float:
    return float(np.abs(left - right).max())


class Contents(Operations):
    """Also looks at what the memory means, while answers are made and when all have ended."""

    load: ClassVar[dict[str, Any]] = EXACT

    @rule()
    def look_inside(self) -> None:
        self.counts["looked inside"] += look_inside(self.bench)

    def teardown(self) -> None:
        self.look_inside()
        super().teardown()
        self.look_inside()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_after_any_operations_the_memory_means_what_a_fresh_one_does(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = operations(Contents, arch, tmp_path, monkeypatch, EXAMPLES)
    assert counts["looked inside"] >= 3 * EXAMPLES


def ask(bench: Bench, command: Generate, stops_at: type[Event] | None = None) -> Request:
    request = Request(command, bench.context.n_ctx, stops_at)
    bench.engine.submit(command, request.hear, request.cancel)
    return request


def answer(bench: Bench, command: Generate, stops_at: type[Event] | None = None) -> CompletionDone:
    request = ask(bench, command, stops_at)
    while bench.engine.active:
        bench.engine.step()
    assert request.done is not None
    return request.done


def look_inside(bench: Bench) -> int:
    """Compare all that is kept with the same read afresh; return how many sequences there were."""
    assert bench.engine.scheduler is not None
    reader, count = Reader(bench.model), 0
    try:
        for sequence in bench.engine.scheduler.cache.sequences:
            if sequence.tokens:
                assert difference(reader.kept(bench.context, sequence), reader.after(sequence.tokens)) < ROUNDING
                count += 1
    finally:
        reader.close()
    return count


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_an_abort_cuts_off_leaves_the_others_right(empty: Bench, tmp_path: Path, arch: str) -> None:
    """Running states are moved about while a batch is evaluated: also of those that take no part in it."""
    empty.load(tiny.write(tmp_path / "tiny.gguf", arch), **EXACT, n_ctx=512, n_batch=16, n_seq_max=4)
    for name in "abc":
        answer(empty, completion(f"{name} is kept", max_tokens=1, conversation=name))
    asked = {"a": "a is kept, for b", "b": "b is kept, for a while", "d": "a is kept, and copied"}  # "d" finds no room
    requests = [ask(empty, completion(text, max_tokens=3, conversation=name)) for name, text in asked.items()]
    requests[0].stops_at = Progress
    empty.engine.step()
    look_inside(empty)
    while empty.engine.active:
        empty.engine.step()
    look_inside(empty)
    assert [request.done and request.done.stop_reason for request in requests] == ["abort", "max_tokens", "max_tokens"]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_abort_of_another_does_not_change_a_reproducible_answer(empty: Bench, tmp_path: Path, arch: str) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", arch), **SMALL, n_ctx=512, n_batch=64)
    exact = completion("What is it? " * 10, max_tokens=40, top_logprobs=1, reproducible=True)
    undisturbed = answer(empty, exact)
    request, disturbed = ask(empty, exact), 0
    while empty.engine.active:
        if len(request.chunks) >= disturbed + 5:
            disturbed = len(request.chunks)
            waiting = [ask(empty, completion("Another")) for _ in range(2)]
            waiting[0].then = waiting[1].cancel.request  # within the step, before the batch is evaluated
            waiting[0].cancel.request()
            empty.engine.step()
        empty.engine.step()

    assert disturbed > 5
    assert request.done is not None
    assert request.done.logprobs == undisturbed.logprobs


def test_what_slid_out_of_the_window_is_not_gone_on_from(empty: Bench, tmp_path: Path) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", "gemma2"), **EXACT, n_ctx=512, n_batch=16, n_seq_max=1)
    answer(empty, completion("abcdefgh" * 50, max_tokens=1))
    assert empty.positions()[0] > 50
    edited = answer(empty, completion("abcdefgh" * 6 + "z", max_tokens=1))
    assert edited.usage.cached_tokens == 0
    assert look_inside(empty) == 1


def test_what_the_window_still_holds_is_gone_on_from(empty: Bench, tmp_path: Path) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", "gemma2"), **EXACT, n_ctx=512, n_batch=16, n_seq_max=1)
    first = answer(empty, completion("abcdefgh" * 40, max_tokens=1))
    second = answer(empty, completion("abcdefgh" * 41, max_tokens=1))
    assert second.usage.cached_tokens == first.usage.prompt_tokens
    assert look_inside(empty) == 1


def _copies_another(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Context.copy

    def wrong(context: Context, source: int, target: int, length: int) -> int:
        others = [other for other in range(context.n_seq_max) if other not in (source, target)]
        long = [other for other in others if context.positions(other)[1] >= length - 1]
        return copy(context, (long or [source])[0], target, length)

    monkeypatch.setattr(Context, "copy", wrong)


def _trusts_what_is_left_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "_holds", lambda *_: True)


FAULTS: list[tuple[str, Callable[[pytest.MonkeyPatch], None]]] = [
    ("llama", _copies_another),
    ("gemma2", _trusts_what_is_left_of_a_window),
]


@pytest.mark.parametrize(("arch", "fault"), FAULTS, ids=[fault.__name__ for _, fault in FAULTS])
def test_faults_are_found(
    arch: str, fault: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        operations(Contents, arch, tmp_path, monkeypatch, 30, phases=[Phase.generate], report_multiple_bugs=False)
