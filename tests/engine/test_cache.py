"""Which sequence is taken for a prompt, and what becomes of the others: over a memory that follows a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets.engines.cache import Cache, Sequence, common

if TYPE_CHECKING:
    from llama_widgets.engines.context import Context


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
