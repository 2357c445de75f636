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
    from collections.abc import Callable, Iterator
    from pathlib import Path

MOST_BYTES = 64 * 2**20
MOST_CALLS = 300_000
"""Of a file's ``read`` and ``seek``: five for each tensor, seven for each key, a few thousand for texts in arrays."""
MOST_TENSORS, MOST_KEYS, MOST_ITEMS, MOST_SHORT, MOST_TEXT = 2**15, 2**14, 2**20, 2**16, 2**22
UINT32, STRING, ARRAY, UINT64 = 4, 8, 9, 10


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tiny.write(tmp_path_factory.mktemp("models") / "tiny.gguf", template="{{ messages }}")
    return path.read_bytes()


class Counted(io.BytesIO):
    calls = taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.calls += 1
        found = super().read(size)
        self.taken += len(found)
        return found

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.calls += 1
        return super().seek(offset, whence)


def parse(data: bytes, size: int | None = None, *, vocabulary: bool = True) -> header.Header:
    file = Counted(data)
    try:
        found = header.parse(file, len(data) if size is None else size, "m.gguf", vocabulary=vocabulary)
        assert len(found.tensors) <= MOST_TENSORS
        assert len(found.values) <= MOST_KEYS
        assert sum(len(value) for value in found.values.values() if isinstance(value, tuple)) <= MOST_SHORT
        return found
    finally:
        assert file.calls < MOST_CALLS
        assert file.taken <= MOST_BYTES


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def of(*entries: bytes, tensors: int = 0, values: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries) if values is None else values) + b"".join(entries)


def array(kind: int, count: int, items: bytes = b"", key: bytes = b"key") -> bytes:
    return text(key) + struct.pack("<IIQ", ARRAY, kind, count) + items


def numbered(count: int, value: bytes, key: bytes = b"key") -> bytes:
    return b"".join(text(key + b"%d" % number) + value for number in range(count))


def tensor(*shape: int, offset: int = 0, kind: int = 0, name: bytes = b"t") -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def tensors(count: int, name: bytes = b"t") -> bytes:
    shape = struct.pack("<IQQQQIQ", 4, 300, 300, 300, 300, 0, 0)
    return b"".join(text(name + b"%d" % number) + shape for number in range(count))


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


ALIGNMENT = text(b"general.alignment") + struct.pack("<I", UINT32)
NUMBER = struct.pack("<II", UINT32, 10**9)
TEXT = struct.pack("<I", STRING)
SHORT = struct.pack("<IIQ", ARRAY, UINT64, 512) + b"\xff" * 512 * 8
WIDE = "\N{GRINNING FACE}".encode()  # makes all characters of a text take four bytes
ACCEPTED: dict[str, Callable[[], bytes]] = {
    "tensors": lambda: of(tensors(MOST_TENSORS, WIDE + b"t" * 54), tensors=MOST_TENSORS, values=0),
    "keys": lambda: of(numbered(MOST_KEYS, NUMBER, b"k" * 200), values=MOST_KEYS),
    "keys of empty arrays": lambda: of(numbered(MOST_KEYS, struct.pack("<IIQ", ARRAY, STRING, 0)), values=MOST_KEYS),
    "a text": lambda: of(text(b"key") + TEXT + text(WIDE + b"x" * (MOST_TEXT - 7))),
    "a text of what is no text": lambda: of(text(b"key") + TEXT + text(WIDE + b"\xff" * (MOST_TEXT - 7))),
    "texts": lambda: of(numbered(4, TEXT + text(WIDE + b"x" * (MOST_TEXT // 4 - 20))), values=4),
    "short arrays": lambda: of(numbered(8_000, SHORT), values=8_000),
    "a vocabulary": lambda: of(array(STRING, MOST_ITEMS, (text(b"x" * 8) * MOST_ITEMS))),
    "a vocabulary of empty texts": lambda: of(array(STRING, MOST_ITEMS, text(b"") * MOST_ITEMS)),
    "a vocabulary of long texts": lambda: of(array(STRING, 500, text(b"x" * 2**17) * 500)),
    "an array of numbers": lambda: of(array(UINT64, 8 * 10**6, bytes(64 * 10**6))),
}
"""Each as large as its kind may be."""
ACCEPTED["everything"] = lambda: of(
    array(STRING, MOST_ITEMS, text(b"x" * 8) * MOST_ITEMS),
    text(b"text") + TEXT + text(WIDE + b"\xff" * (3 * MOST_TEXT // 4)),
    numbered(MOST_SHORT // 512 + 10, SHORT),
    numbered(10_000, NUMBER),
    tensors(MOST_TENSORS, WIDE + b"t" * 54),
    tensors=MOST_TENSORS,
    values=10_002 + MOST_SHORT // 512 + 10,
)

HOSTILE: dict[str, Callable[[], bytes]] = {
    "too many tensors": lambda: of(tensors(MOST_TENSORS + 1), tensors=MOST_TENSORS + 1, values=0),
    "a million tensors": lambda: of(tensors=10**6),
    "too many keys": lambda: of(numbered(MOST_KEYS + 1, NUMBER), values=MOST_KEYS + 1),
    "too long a key": lambda: of(text(b"k" * 1025) + NUMBER),
    "too long a name": lambda: of(tensors(1, b"t" * 63), tensors=1, values=0),
    "too long a text": lambda: of(text(b"key") + TEXT + text(bytes(MOST_TEXT + 1))),
    "too many texts": lambda: of(numbered(5, TEXT + text(WIDE + b"x" * (MOST_TEXT // 4 - 20))), values=5),
    "too many items": lambda: of(array(STRING, MOST_ITEMS, text(b"") * MOST_ITEMS), array(STRING, 1, text(b""))),
    "too many bytes": lambda: of(array(UINT64, 8 * 10**6, bytes(64 * 10**6)), array(UINT64, 10**6, bytes(8 * 10**6))),
    "a quintillion tensors": lambda: of(tensors=10**18),
    "a quintillion values": lambda: of(values=10**18),
    "a million values that are not there": lambda: of(values=10**6),
    "a text of an exabyte": lambda: of(text(b"key") + TEXT + struct.pack("<Q", 10**18)),
    "a text that goes on behind the file": lambda: of(text(b"key") + TEXT + struct.pack("<Q", 4000) + b"x"),
    "a value of an unknown type": lambda: of(text(b"key") + struct.pack("<I", 77)),
    "arrays within arrays": lambda: of(array(ARRAY, 2, struct.pack("<IQ", ARRAY, 2) * 50)),
    "an array of numbers as long as a disk": lambda: of(array(4, 2**62)),
    "an array of texts as long as a disk": lambda: of(array(STRING, 2**62)),
    "ten arrays of many empty texts": lambda: of(*[array(STRING, 900_000, bytes(8 * 900_000))] * 10),
    "a text of 60 MB": lambda: of(text(b"key") + TEXT + text(bytes(60 * 10**6))),
    "a tensor with a thousand dimensions": lambda: of(text(b"t") + struct.pack("<I", 1000), tensors=1, values=0),
    "a tensor behind the end of any disk": lambda: of(tensor(offset=10**18), tensors=1, values=0),
    "a tensor that ends behind any number": lambda: of(tensor(2**20, offset=2**64 - 1), tensors=1, values=0),
    "a tensor of more numbers than can be counted": lambda: of(tensor(2**32, 2**31), tensors=1, values=0),
    "an empty tensor of too large a shape": lambda: of(tensor(2**63, 0), tensors=1, values=0),
    "an alignment of 0": lambda: of(ALIGNMENT + _number(0)[:4], tensor(), tensors=1, values=1) + bytes(99),
    "an alignment of 48": lambda: of(ALIGNMENT + _number(48)[:4], tensor(), tensors=1, values=1) + bytes(99),
    "another kind of file": lambda: b"PK\3\4" + bytes(100),
    "an old version": lambda: b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "nothing": lambda: b"",
}


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_header_as_large_as_any_may_be_takes_little(kind: str) -> None:
    data = ACCEPTED[kind]()
    with little_memory():
        parse(data, 10**18)


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("size", [None, 10**18])
def test_a_hostile_header_is_refused(kind: str, size: int | None) -> None:
    data = HOSTILE[kind]()
    with little_memory(), pytest.raises(InvalidModelError, match=r"m\.gguf is cut short or damaged") as raised:
        parse(data, size)
    assert len(raised.value.message) < 200


@pytest.mark.parametrize(
    ("alignment", "begin"),
    [(None, 96), (struct.pack("<II", UINT32, 256), 256), (TEXT + text(b"x"), 128)],
    ids=["default", "256", "of another type"],
)
def test_weights_that_begin_behind_the_end_of_the_file_are_refused(alignment: bytes | None, begin: int) -> None:
    entry = (text(b"general.alignment") + alignment,) if alignment else ()
    data = of(*entry, tensor(800, offset=1000), tensor(0, offset=1100), tensors=2, values=len(entry))
    for size in (begin + 1100, begin + 10**9):
        assert parse(data, size).tensors["t"].shape == (0,)
    for size in (len(data), begin + 1099):
        with pytest.raises(
            InvalidModelError, match=f"{begin + 1100 - size:,} bytes of its weights at least are missing"
        ):
            parse(data, size)


def test_weights_that_cannot_fit_behind_where_they_begin_are_refused() -> None:
    data = of(tensor(800, offset=1000), tensors=1, values=0)
    assert parse(data, 64 + 1100).tensors
    with pytest.raises(InvalidModelError, match="1 bytes of its weights at least are missing"):
        parse(data, 64 + 1099)


def test_of_many_short_arrays_the_first_are_kept() -> None:
    found = list(parse(of(numbered(200, SHORT), values=200)).values.values())
    assert found == [(2**64 - 1,) * 512] * 128 + [header.Array(UINT64, 512)] * 72


@pytest.mark.parametrize("length", [*range(20), 2**16 - 8, 2**16 - 1, 2**16])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 9000])
def test_what_stands_behind_an_array_of_texts_is_read(count: int, length: int) -> None:
    count = min(count, 60_000_000 // (8 + length))
    found = parse(of(array(STRING, count, text(b"x" * length) * count), text(b"next") + NUMBER))
    assert found.values == {"key": header.Array(STRING, count), "next": 10**9}


@pytest.mark.parametrize("key", [b"general.x", b"tokenizer.x"])
def test_without_its_vocabulary_a_header_is_read_to_a_lower_limit(key: bytes) -> None:
    most = 24 * 2**20 if key.startswith(b"tokenizer.") else 2**19
    below = of(array(UINT64, most // 8 - 20, bytes(most - 160), key))
    above = of(array(UINT64, most // 8, bytes(most), key))
    assert parse(below, vocabulary=False).values == {key.decode(): header.Array(UINT64, most // 8 - 20)}
    assert parse(above).values
    with pytest.raises(
        InvalidModelError, match=f"more than {most:,} bytes before its vocabulary|the end of its header"
    ):
        parse(above, vocabulary=False)


def test_texts_that_are_not_utf8_are_shown_as_far_as_they_are() -> None:
    found = parse(of(text(b"general.name") + TEXT + text(b"\xff\xfea\xc3(b")))
    assert found.values == {"general.name": "\N{REPLACEMENT CHARACTER}" * 2 + "a\N{REPLACEMENT CHARACTER}(b"}


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (of(text(b"\xffkey") + NUMBER), "a key"),
        (of(text(b"general.architecture") + TEXT + text(b"llama\xff")), "its architecture"),
        (of(tensor(name=b"t\xc3("), tensors=1, values=0), "the name of a tensor"),
    ],
    ids=["key", "architecture", "tensor"],
)
def test_what_llama_cpp_looks_up_must_be_utf8(data: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(InvalidModelError, match=rf"^m\.gguf is cut short or damaged: {what} is not UTF-8\."):
        parse(data)
    if "tensor" not in what:
        with pytest.raises(InvalidModelError, match="is not UTF-8"):
            header.find(path, "general.architecture")


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
        sizes = [len(mutated), len(real), 10**12]
        parse(bytes(mutated), data.draw(st.sampled_from(sizes)) if data is not None else len(real))


def near(*limits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 9), *[st.integers(max(0, limit - 2), limit + 2) for limit in limits])


CLAIMED = st.sampled_from([None] * 8 + [0, 2**31, 2**32, 2**63, 2**64 - 1])
"""Counts and lengths in place of the right ones, in some."""


@st.composite
def entries(draw: st.DrawFn, key: bytes) -> tuple[int, bytes]:
    """Return some keys with values of one kind, as many as are said, with counts and texts near each limit."""
    match draw(st.sampled_from(["numbers", "texts", "short", "long", "vocabulary", "tokens", "unknown"])):
        case "numbers":
            count = draw(near(1000, MOST_KEYS - 2, MOST_KEYS))
            return count, numbered(count, NUMBER, draw(st.sampled_from([key, key * 100, key * 300])))
        case "texts":
            count, length = draw(near()), draw(near(2**10, MOST_TEXT // 4, MOST_TEXT))
            return count, numbered(count, TEXT + text((WIDE + b"\xff" * length)[:length]), key)
        case "short":
            count, length = draw(near(128, 1000)), draw(near(511, 1024))
            numbers = struct.pack("<IIQ", ARRAY, UINT64, length) + b"\xff" * 8 * length
            return count, numbered(count, numbers, key)
        case "long":
            length = draw(near(2**19, 3 * 2**20, 8 * 2**20))
            claimed = draw(CLAIMED)
            return 1, array(UINT64, length if claimed is None else claimed, bytes(8 * length), key)
        case "vocabulary" | "tokens" as kind:
            length, size = draw(st.sampled_from([(MOST_ITEMS, 0), (MOST_ITEMS, 8), (1000, 2**15), (60_000, 1000)]))
            count = draw(near(length // 2, length))
            claimed = draw(CLAIMED)
            name = header.TOKENS.encode() if kind == "tokens" else key
            return 1, array(STRING, count if claimed is None else claimed, text(b"x" * size) * count, name)
    return 1, text(key) + struct.pack("<I", draw(near(2**32 - 3))) + draw(st.binary(max_size=20))


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    names = st.sampled_from([b"general.", b"llama.", b"tokenizer."])
    found = [draw(entries(draw(names) + b"%d" % number)) for number in range(draw(st.integers(0, 4)))]
    n_tensors = draw(near(1000, MOST_TENSORS))
    n_values = sum(count for count, _ in found)
    behind = tensors(n_tensors, draw(st.sampled_from([b"t", WIDE + b"t" * 54, b"t" * 61])))
    shape = text(b"general.architecture") + TEXT + text(b"llama"), text(b"llama.attention.head_count") + NUMBER
    if draw(st.booleans()):
        found.insert(0, (2, b"".join(shape)))
        n_values += 2
    claimed = draw(CLAIMED)
    return of(
        *[entry for _, entry in found], behind, tensors=n_tensors, values=n_values if claimed is None else claimed
    )


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(headers(), st.sampled_from([None, 10**18]), st.booleans())
def test_a_large_header_takes_little_whatever_it_holds(data: bytes, size: int | None, vocabulary: bool) -> None:
    with little_memory(), contextlib.suppress(InvalidModelError):
        parse(data, size, vocabulary=vocabulary)


def _number(value: int) -> bytes:
    return struct.pack("<Q", value)
