"""Files that are fetched in pieces: the same bytes as of the whole, and no more of them than are needed."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets.library.ranges import Ranges

DATA = os.urandom(5_000_000)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 700_000)), max_size=20), st.integers(0, len(DATA)))
def test_it_reads_as_a_file_does(steps: list[tuple[bool, int]], size: int) -> None:
    ranges, file = Ranges(lambda first, last: DATA[first:last], size), io.BytesIO(DATA[:size])
    for reads, count in steps:
        if reads:
            assert ranges.read(count) == file.read(count)
        else:
            assert ranges.seek(count, os.SEEK_CUR) == file.seek(count, os.SEEK_CUR)
    assert ranges.fetched <= size


def test_it_asks_seldom_and_for_little() -> None:
    asked: list[tuple[int, int]] = []

    def fetch(first: int, last: int) -> bytes:
        asked.append((first, last))
        return DATA[first:last]

    ranges = Ranges(fetch, len(DATA))
    for _ in range(100):
        ranges.read(24)
    assert asked == [(0, 2**16)]
    ranges.seek(3_000_000, os.SEEK_CUR)
    ranges.read(8)
    assert asked[1:] == [(3_002_400, 3_002_400 + 2**17)]
    assert ranges.fetched == 3 * 2**16


def test_an_answer_that_is_too_short_is_the_end() -> None:
    assert Ranges(lambda first, _: DATA[first : first + 10], 100).read(50) == DATA[:10]


def test_it_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="forwards only"):
        Ranges(lambda *_: b"", 1).seek(0, os.SEEK_SET)
