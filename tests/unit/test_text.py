"""Stop strings and half characters: what is held back, and what comes out in the end."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets.engines.templates.segments import Tags
from llama_widgets.engines.templates.text import AnswerText

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from llama_widgets.engines.templates.segments import Segment

LETTERS = "abé€😀"


class TextStream:
    """An answer without thoughts and calls: all of it is text."""

    def __init__(self, stop: Iterable[str] = ()) -> None:
        self._answer = AnswerText(stop, Tags(None, None), "")

    @property
    def stopped(self) -> bool:
        return self._answer.stopped

    def feed(self, piece: bytes, *, hold: bool = False) -> str:
        return _text(self._answer.feed(piece, hold=hold))

    def flush(self) -> str:
        return _text(self._answer.flush())


def _text(pieces: list[tuple[Segment, str]]) -> str:
    assert {segment for segment, _ in pieces} <= {"text"}
    return "".join(text for _, text in pieces)


def _feed(data: bytes, stop: list[str], cuts: list[int], held: Container[int] = ()) -> tuple[list[str], bool]:
    stream = TextStream(stop)
    edges = [0, *sorted(cuts), len(data)]
    texts = [stream.feed(data[start:end], hold=start in held) for start, end in pairwise(edges)]
    return [*texts, stream.flush()], stream.stopped


@given(st.data())
def test_random_cuts_give_the_same_text_as_one_piece(data: st.DataObject) -> None:
    text = data.draw(st.one_of(st.binary(max_size=40), st.text(LETTERS, max_size=40).map(str.encode)))
    stop = data.draw(st.lists(st.text(LETTERS, max_size=4), max_size=3))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20))
    held = data.draw(st.sets(st.sampled_from(cuts or [0])))

    whole, stopped = _feed(text, stop, [])
    pieces, pieces_stopped = _feed(text, stop, cuts, held)

    assert "".join(pieces) == "".join(whole)
    assert pieces_stopped == stopped


@given(st.text(LETTERS, max_size=40), st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=3))
def test_the_stop_string_that_is_complete_first_ends_the_text(text: str, stop: list[str]) -> None:
    ends = [text.find(one) + len(one) for one in stop if one in text]
    expected = text
    if ends:
        until = text[: min(ends)]
        expected = min((until.removesuffix(one) for one in stop if until.endswith(one)), key=len)

    pieces, stopped = _feed(text.encode(), stop, [])

    assert "".join(pieces) == expected
    assert stopped == bool(ends)


def test_a_character_is_held_until_its_last_byte() -> None:
    stream = TextStream()
    assert [stream.feed(bytes([byte])) for byte in "😀".encode()] == ["", "", "", "😀"]


def test_what_may_wait_comes_with_what_follows() -> None:
    stream = TextStream()
    assert stream.feed(b"a") == "a"
    assert stream.feed(b"b", hold=True) == stream.feed("😀".encode()[:2], hold=True) == ""
    assert stream.feed("😀".encode()[2:]) == "b😀"
    assert stream.feed("c😀".encode()[:3], hold=True) == ""
    assert stream.flush() == "c"


def test_the_beginning_of_a_stop_string_is_held_until_it_is_decided() -> None:
    stream = TextStream(["END"])
    assert stream.feed(b"the E") == "the "
    assert stream.feed(b"N") == ""
    assert stream.feed(b"Gine") == "ENGine"
    assert (stream.feed(b" EN"), stream.stopped) == (" ", False)
    assert (stream.feed(b"D of it"), stream.stopped) == ("", True)
    assert stream.feed(b"more") == stream.flush() == ""


def test_flush_gives_what_did_not_become_a_stop_string_but_no_half_character() -> None:
    stream = TextStream(["END"])
    assert stream.feed(b"the EN" + "😀".encode()[:2]) == "the "
    assert stream.flush() == "EN"


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    stream = TextStream()
    assert stream.feed(b"a\xff") + stream.feed(b"b") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("stop", [[], [""]])
def test_without_stop_strings_nothing_is_held(stop: list[str]) -> None:
    stream = TextStream(stop)
    assert stream.feed(b"all of it") == "all of it"
    assert not stream.stopped
