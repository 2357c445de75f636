"""What is kept of conversations is what a fresh context would hold: the same tokens, with the same meaning.

Held to logits, within what batches of other shapes round differently. Without flash attention that is little; with it,
llama.cpp adds up in half precision on a CPU, in the order that tokens have in the memory.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, ClassVar, cast

import llama_cpp  # noqa: TID253 - this module is about nothing else
import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st
from hypothesis.stateful import rule

from llama_widgets.engines.cache import Cache, Sequence, common
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


# The content of the memory


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


# Which sequence is taken, over a memory that follows a script


class Memory:
    """What ``Cache`` asks of a context: the tokens of each sequence, of which a window may be left."""

    def __init__(self, n_seq_max: int = 3, *, can_cut: bool = True, window: int = 0) -> None:
        self.n_seq_max, self.can_cut, self.window = n_seq_max, can_cut, window
        self.tokens: dict[int, list[int]] = {number: [] for number in range(n_seq_max)}
        self.done: list[str] = []

    def cut(self, sequence: int, length: int) -> int:
        there = self.tokens[sequence]
        kept = length == len(there) or (self.can_cut and not (self.window and len(there) > self.window))
        self.tokens[sequence] = there[:length] if kept else []
        self.done.append(f"cut {sequence} to {len(self.tokens[sequence])}")
        return len(self.tokens[sequence])

    def copy(self, source: int, target: int, length: int) -> int:
        assert self.tokens[target] == []
        assert self.can_cut or length == len(self.tokens[source])
        if self.window and length < len(self.tokens[source]) > self.window:
            return 0
        self.tokens[target] = self.tokens[source][:length]
        self.done.append(f"copy {length} from {source} to {target}")
        return length

    def clear(self) -> None:
        self.tokens = {number: [] for number in self.tokens}


def cache_of(memory: Memory, *kept: tuple[str, str]) -> Cache:
    """Return a cache in which these conversations, of a text each, were answered in this order."""
    cache = Cache(cast("Context", memory))
    for conversation, text in kept:
        read(cache, memory, conversation, text)
    memory.done = []
    return cache


def read(cache: Cache, memory: Memory, conversation: str, text: str, *, release: bool = True) -> Sequence:
    prompt = list(text.encode())
    sequence = cache.take(prompt, conversation)
    assert sequence.busy
    assert sequence.tokens == memory.tokens[sequence.id] == prompt[: len(sequence.tokens)]
    assert len(sequence.tokens) < len(prompt)
    sequence.tokens.extend(prompt[len(sequence.tokens) :])
    memory.tokens[sequence.id] = list(sequence.tokens)
    if release:
        cache.release(sequence)
    return sequence


def test_a_conversation_goes_on_in_its_own_sequence() -> None:
    memory = Memory()
    cache = cache_of(memory, ("a", "hello"), ("b", "other"))
    assert read(cache, memory, "a", "hello you").id == 0
    assert memory.done == []


def test_an_edited_conversation_is_cut_back_to_what_is_the_same() -> None:
    memory = Memory()
    assert read(cache_of(memory, ("a", "hello you")), memory, "a", "hello me").id == 0
    assert memory.done == ["cut 0 to 6"]


def test_the_last_token_is_always_read_again() -> None:
    memory = Memory()
    read(cache_of(memory, ("a", "hello")), memory, "a", "hello")
    assert memory.done == ["cut 0 to 4"]


def test_what_another_conversation_shares_is_copied_and_stays() -> None:
    memory = Memory()
    cache = cache_of(memory, ("a", "system: hello"))
    assert read(cache, memory, "b", "system: bye").id == 1
    assert memory.done[-1] == "copy 8 from 0 to 1"
    assert bytes(memory.tokens[0]) == b"system: hello"


def test_a_longer_beginning_of_another_replaces_the_own() -> None:
    memory = Memory()
    cache = cache_of(memory, ("a", "system: hello"), ("b", "sys"))
    assert read(cache, memory, "b", "system: bye").id == 1
    assert memory.done == ["cut 1 to 0", "copy 8 from 0 to 1"]


def test_what_is_in_use_is_copied_from_but_not_taken() -> None:
    memory = Memory(2)
    cache = cache_of(memory)
    first = read(cache, memory, "a", "hello", release=False)
    second = read(cache, memory, "a", "hello you", release=False)
    assert (first.id, second.id) == (0, 1)
    assert memory.done == ["cut 1 to 0", "copy 5 from 0 to 1"]
    assert not cache.free


def test_nobodys_sequence_is_gone_on_with_by_nobody() -> None:
    memory = Memory()
    assert read(cache_of(memory, ("", "hello")), memory, "", "hello you").id == 0
    assert memory.done == []


def test_the_least_recently_used_gives_way_and_none_in_use() -> None:
    memory = Memory()
    cache = cache_of(memory, ("a", "1"), ("b", "2"), ("c", "3"), ("a", "1 and more"))
    assert read(cache, memory, "d", "4").id == 1
    busy = read(cache, memory, "c", "3 and more", release=False)
    assert [cache.make_room(), cache.make_room(), cache.make_room()] == [True, True, False]
    assert [len(sequence.tokens) for sequence in cache.sequences] == [0, 0, 10]
    assert busy.id == 2


def test_a_running_state_is_gone_on_from_whole_or_not_at_all() -> None:
    memory = Memory(can_cut=False)
    cache = cache_of(memory, ("a", "hello"))
    read(cache, memory, "b", "hello you")
    assert memory.done[-1] == "copy 5 from 0 to 1"
    read(cache, memory, "a", "help")
    assert memory.done[-1] == "cut 0 to 0"
    read(cache, memory, "c", "hello me")
    assert bytes(memory.tokens[2]) == b"hello me"


@st.composite
def _operations(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    texts = st.text("ab", min_size=1, max_size=8)
    kinds = st.sampled_from(["take", "take", "release", "make room", "clear"])
    return draw(st.lists(st.tuples(kinds, st.sampled_from(["", "x", "y", "z"]), texts), max_size=30))


@given(_operations(), st.booleans(), st.sampled_from([0, 4]))
def test_books_and_memory_agree_whatever_is_done(
    operations: list[tuple[str, str, str]], can_cut: bool, window: int
) -> None:
    memory = Memory(can_cut=can_cut, window=window)
    cache = cache_of(memory)
    busy: list[Sequence] = []
    for kind, conversation, text in operations:
        if kind == "take" and cache.free:
            before = {sequence.id: list(sequence.tokens) for sequence in busy}
            taken = read(cache, memory, conversation, text, release=False)
            assert taken not in busy
            assert all(before[sequence.id] == sequence.tokens for sequence in busy)
            busy.append(taken)
        elif kind == "release" and busy:
            cache.release(busy.pop(0))
        elif kind == "make room":
            idle = [sequence for sequence in cache.sequences if sequence.tokens and not sequence.busy]
            assert cache.make_room() == bool(idle)
        elif kind == "clear" and not busy:
            cache.clear()
        assert {sequence.id: sequence.tokens for sequence in cache.sequences} == memory.tokens


TOKENS = st.lists(st.integers(0, 2), max_size=600)


@given(TOKENS, TOKENS, TOKENS)
def test_the_common_beginning_is_the_longest(same: list[int], left: list[int], right: list[int]) -> None:
    left, right = same + left, same + right
    length = common(left, right)
    assert left[:length] == right[:length]
    assert length >= len(same)
    assert length in (len(left), len(right)) or left[length] != right[length]


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 511, 512, 513])
def test_the_common_beginning_is_found_at_the_ends_of_blocks(length: int) -> None:
    same = list(range(length))
    assert common(same, same) == length
    assert common([*same, 1, 2], [*same, 2, 2]) == length
    assert common(same, [*same, 1]) == length
