"""The header of a GGUF file: read from real ones, and hostile ones refused before they take memory or time."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llama_widgets.engines import header
from llama_widgets.errors import InvalidModelError
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 64 * 2**20
MOST_CALLS = 4_000_000
"""Of a file's ``read`` and ``seek``: some 0.2 s in C, and what is claimed could ask for 10^18."""
STRING, ARRAY = 8, 9


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tiny.write(tmp_path_factory.mktemp("models") / "tiny.gguf", template="{{ messages }}")
    return path.read_bytes()


class Counted(io.BytesIO):
    calls = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.calls += 1
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.calls += 1
        return super().seek(offset, whence)


def parse(data: bytes, size: int | None = None) -> header.Header:
    file = Counted(data)
    try:
        return header.parse(file, len(data) if size is None else size, "m.gguf")
    finally:
        assert file.calls < MOST_CALLS


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def of(*entries: bytes, tensors: int = 0, values: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries) if values is None else values) + b"".join(entries)


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return text(b"key") + struct.pack("<IIQ", ARRAY, kind, count) + items


def test_what_a_real_header_says(real: bytes) -> None:
    found = parse(real)
    assert found.values["general.architecture"] == "llama"
    assert found.values["tokenizer.chat_template"] == "{{ messages }}"
    assert found.values["tokenizer.ggml.tokens"] == header.Array(STRING, 258)
    assert found.tensors["token_embd.weight"].shape == (tiny.WIDTH, 258)


def test_without_its_vocabulary_a_header_is_short(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "large.gguf", n_vocab=100_000, template="{{ messages }}")
    with path.open("rb") as file:
        found = header.parse(file, path.stat().st_size, path.name, vocabulary=False)
        assert file.tell() < 2_000
    assert found.values[header.TOKENS] == header.Array(STRING, 100_000)
    assert found.values["llama.block_count"] == 1
    assert not found.tensors


HOSTILE = {
    "a quintillion tensors": of(tensors=10**18),
    "a quintillion values": of(values=10**18),
    "a million values that are not there": of(values=10**6),
    "a text of an exabyte": of(struct.pack("<Q", 10**18)),
    "a text that goes on behind the file": of(struct.pack("<Q", 4000) + b"x"),
    "a value of an unknown type": of(text(b"key") + struct.pack("<I", 77)),
    "arrays within arrays": of(array(ARRAY, 2, struct.pack("<IQ", ARRAY, 2) * 50)),
    "an array of numbers as long as a disk": of(array(4, 2**62)),
    "an array of texts as long as a disk": of(array(STRING, 2**62)),
    "ten arrays of many empty texts": of(*[array(STRING, 900_000, bytes(8 * 900_000))] * 10),
    "a text of 60 MB": of(text(bytes(60 * 10**6))),
    "a tensor with a thousand dimensions": of(text(b"t") + struct.pack("<I", 1000), tensors=1, values=0),
    "another kind of file": b"PK\3\4" + bytes(100),
    "an old version": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "nothing": b"",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("size", [None, 10**18])
def test_a_hostile_header_is_refused(data: bytes, size: int | None) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidModelError, match=r"m\.gguf is cut short or damaged") as raised:
            parse(data, size)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert len(raised.value.message) < 200


def test_texts_that_are_not_utf8_are_shown_as_far_as_they_are() -> None:
    found = parse(of(text(b"\xff\xfekey") + struct.pack("<I", STRING) + text(b"a\xc3(b")))
    assert found.values == {"\N{REPLACEMENT CHARACTER}" * 2 + "key": "a\N{REPLACEMENT CHARACTER}(b"}


@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@example(None)
def test_a_mutated_header_is_read_or_refused(real: bytes, data: st.DataObject | None) -> None:
    mutated = bytearray(real[:12_000])
    if data is not None:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(mutated) - 8))
            new = data.draw(st.one_of(st.binary(min_size=1, max_size=8), st.integers(0, 2**64 - 1).map(_number)))
            mutated[at : at + len(new)] = new
        del mutated[data.draw(st.integers(len(mutated) // 2, len(mutated))) :]
    with contextlib.suppress(InvalidModelError):
        parse(bytes(mutated), data.draw(st.sampled_from([len(mutated), 10**12])) if data is not None else None)


def _number(value: int) -> bytes:
    return struct.pack("<Q", value)
