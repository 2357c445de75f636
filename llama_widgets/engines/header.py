"""What the header of a GGUF file says. What a damaged one raises here would end the process in llama.cpp."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InvalidModelError

if TYPE_CHECKING:
    from pathlib import Path

# enum gguf_type of ggml's gguf.h, as letters of struct
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
UINT32, FLOAT32 = 4, 6
_ALIGNED = 32
TOKENS = "tokenizer.ggml.tokens"
_ARCHITECTURE, _ALIGNMENT = "general.architecture", "general.alignment"
_VOCABULARY = "tokenizer."
_MOST_DIMENSIONS = 4
_MOST_NUMBERS = 2**63
# No model comes near these, and what claims more is refused before it can take memory or time: all that is read stays
# below 64 MB and a second. A vocabulary of 262,144 tokens and its merges are 0.8 million texts in 16 MB; the largest
# models have some 1,100 tensors, and all have less than 200 keys.
_LONGEST = 2**26
_LONGEST_HEAD = 2**19
"""Bytes before the vocabulary, where no more than that is wanted; pieces that get larger come to less than 1 MB."""
_LONGEST_LOOK = 24 * 2**20
"""Bytes in all, where no more than that is wanted and the vocabulary is in the way."""
_LONGEST_KEY = 2**10
_LONGEST_NAME = 63  # GGML_MAX_NAME of ggml.h, without the byte that ends it
_MOST_TEXT = 2**22
"""Bytes of keys and texts that are kept; one of 4 MB can take 20 MB while it is decoded."""
_MOST_KEYS = 2**14
_MOST_TENSORS = 2**15
_MOST_ITEMS = 2**20
"""Texts in arrays."""
_SHORT = 512
"""Numbers of an array that is read and not passed over, as those with one for each layer are."""
_MOST_SHORT = 2**16
"""Numbers in such arrays; those behind them are passed over."""
_BLOCK = 2**16
_BITS = 8  # numbers in a byte, at most: no type of ggml's has less than a bit for each


class Readable(Protocol):
    """What a header is read from: a file, or the parts of one that are fetched as they are asked for."""

    def read(self, size: int, /) -> bytes:
        """Return the next ``size`` bytes, or fewer at the end."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Pass over ``offset`` bytes; ``whence`` is ``os.SEEK_CUR``."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array that was passed over: the ``enum gguf_type`` of its items, and how many there are."""

    kind: int
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """Shape, the fastest dimension first as in llama.cpp, and ``enum ggml_type``."""

    shape: tuple[int, ...]
    type: int


@dataclass(frozen=True)
class Header:
    """Values by their key, long arrays and texts' as ``Array``; their types by their key; tensors by their name."""

    values: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


def read(path: Path) -> Header:
    """Return the header of a file that ``gguf.check`` found to be GGUF.

    Raises
    ------
    InvalidModelError
        If it cannot be read to its end.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return parse(file, os.fstat(file.fileno()).st_size, path.name)


def parse(file: Readable, size: int, name: str, *, vocabulary: bool = True) -> Header:
    """Return the header that ``file`` begins with.

    Keys, the architecture and the names of tensors must be UTF-8, since llama.cpp looks them up. Other texts, as names
    and templates, have replacement characters in place of what is not.

    Parameters
    ----------
    file : binary file
        Read from where it stands, forwards only.
    size : int
        Bytes of the whole file.
    name : str
        How errors call it.
    vocabulary : bool
        If False, reading ends where the tokens begin, of which only the number is given, if what makes a model large or
        small stands before them: it does in most files, in a hundredth of the bytes. There are no tensors then.

    Raises
    ------
    InvalidModelError
        If it cannot be read to its end, claims what no model has, or tells of weights that begin behind the end of the
        file. At most 64 MiB are read, and without the vocabulary 512 KiB before it and 24 MiB in all.
    """
    reader = _Reader(name, file, size, _LONGEST if vocabulary else _LONGEST_HEAD)
    n_tensors, n_values = reader.begin()
    header = Header()
    for _ in range(n_values):
        key, kind = reader.key()
        if key.startswith(_VOCABULARY) and not vocabulary:
            reader.longest = _LONGEST_LOOK
        tokens = key == TOKENS and not vocabulary and _knows_shape(header.values)
        header.values[key], header.kinds[key] = reader.value(kind, key, pass_over=not tokens), kind
        if tokens:
            return header
    reach = 0
    for _ in range(n_tensors if vocabulary else 0):
        tensor = reader.name()
        shape = reader.shape()
        kind, offset = reader.numbers("IQ")
        header.tensors[tensor] = Tensor(shape, kind)
        reach = max(reach, offset + math.prod(shape) // _BITS)
    if header.tensors:
        reader.expect(reach, header.values[_ALIGNMENT] if header.kinds.get(_ALIGNMENT) == UINT32 else _ALIGNED)
    return header


def _knows_shape(values: dict[str, Any]) -> bool:
    return f"{values.get(_ARCHITECTURE)}.attention.head_count" in values


def find(path: Path, *keys: str) -> dict[str, Any]:
    """Return the values of ``keys`` as ``read`` does, without reading on behind the last of them; of some, nothing."""
    found: dict[str, Any] = {}
    with path.open("rb") as file:
        reader = _Reader(path.name, file, os.fstat(file.fileno()).st_size)
        for _ in range(reader.begin()[1]):
            key, kind = reader.key()
            if key in keys:
                found[key] = reader.value(kind, key, pass_over=len(found) + 1 < len(keys))
                if len(found) == len(keys):
                    break
            else:
                reader.value(kind, key)
    return found


class _Reader:
    def __init__(self, name: str, file: Readable, size: int, longest: int = _LONGEST) -> None:
        self.longest = longest
        self._name = name
        self._file = file
        self._size = size
        self._at = 0
        self._text = _MOST_TEXT
        self._items = _MOST_ITEMS
        self._short = _MOST_SHORT

    def begin(self) -> tuple[int, int]:
        """Read what a GGUF file begins with; return how many tensors and values there are."""
        if self._take(4) != b"GGUF":
            raise self._damaged("it does not begin as a GGUF file does")
        version = self.number("I")
        if version not in (2, 3):
            raise self._damaged(f"its version is {version}")
        n_tensors, n_values = self.numbers("QQ")
        if n_tensors > _MOST_TENSORS:
            raise self._damaged(f"it claims to have {n_tensors:,} tensors")
        if n_values > _MOST_KEYS:
            raise self._damaged(f"it claims to have {n_values:,} keys")
        return n_tensors, n_values

    def key(self) -> tuple[str, int]:
        """Read a key and the type of its value."""
        return self._strict(self._kept(_LONGEST_KEY, "a key"), "a key"), self.number("I")

    def name(self) -> str:
        """Read the name of a tensor."""
        length = self.number("Q")
        if length > _LONGEST_NAME:
            raise self._damaged(f"the name of a tensor has {length:,} bytes")
        return self._strict(self._take(length), "the name of a tensor")

    def value(self, kind: int, key: str, *, pass_over: bool = True) -> Any:  # noqa: ANN401 - whatever the file holds
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _STRING:
            found = self._kept(_MOST_TEXT, "a text")
            return self._strict(found, "its architecture") if key == _ARCHITECTURE else found.decode("utf-8", "replace")
        if kind != _ARRAY:
            raise self._damaged(f"there is no type {kind}")
        array = Array(*self.numbers("IQ"))
        if array.kind in _NUMBERS and array.count <= min(_SHORT, self._short):
            self._short -= array.count
            return self.numbers(f"{array.count}{_NUMBERS[array.kind]}")
        if array.kind == _STRING or not pass_over:
            self._items -= array.count
            if self._items < 0:
                raise self._damaged(f"it claims to list more than {_MOST_ITEMS:,} texts")
        if pass_over:
            self._pass_over(array)
        return array

    def number(self, letter: str) -> Any:  # noqa: ANN401 - int, float or bool
        return self.numbers(letter)[0]

    def numbers(self, letters: str) -> tuple[Any, ...]:
        letters = f"<{letters}"
        return struct.unpack(letters, self._take(struct.calcsize(letters)))

    def shape(self) -> tuple[int, ...]:
        count = self.number("I")
        if count > _MOST_DIMENSIONS:
            raise self._damaged(f"a tensor has {count} dimensions")
        shape = self.numbers(f"{count}Q")
        if max(math.prod(shape), *shape, 0) >= _MOST_NUMBERS:
            raise self._damaged("a tensor has more numbers than can be counted")
        return shape

    def expect(self, reach: int, alignment: int) -> None:
        """Refuse data that reach further behind the aligned end of the header than the file does."""
        if alignment < 1 or alignment & (alignment - 1):
            raise self._damaged(f"its alignment is {alignment}, not a power of two")
        missing = self._at + -self._at % alignment + reach - self._size
        if missing > 0:
            raise self._damaged(f"{missing:,} bytes of its weights at least are missing")

    def _strict(self, name: bytes, what: str) -> str:
        try:
            return name.decode()
        except UnicodeDecodeError:
            raise self._damaged(f"{what} is not UTF-8") from None

    def _kept(self, longest: int, what: str) -> bytes:
        length = self.number("Q")
        if length > longest:
            raise self._damaged(f"{what} has {length:,} bytes")
        self._text -= length
        if self._text < 0:
            raise self._damaged(f"its texts have more than {_MOST_TEXT:,} bytes")
        return self._take(length)

    def _pass_over(self, array: Array) -> None:
        if array.kind in _NUMBERS:
            self._skip(array.count * struct.calcsize(f"<{_NUMBERS[array.kind]}"))
        elif array.kind == _STRING:
            self._pass_over_texts(array.count)
        else:
            raise self._damaged(f"there are no arrays of type {array.kind}")

    def _pass_over_texts(self, count: int) -> None:
        """Read blocks instead of each length: what is left has eight bytes a text at least, so none ends behind it."""
        length_of = struct.Struct("<Q").unpack_from
        while count:
            block = self._take(min(8 * count, _BLOCK))
            at = 0
            while at <= len(block) - 8:
                at += 8 + length_of(block, at)[0]
                count -= 1
            if at < len(block):  # within the length of a text
                rest = self._take(at + 8 - len(block))
                at += 8 + length_of(block[at:] + rest)[0]
                count -= 1
                self._skip(at - len(block) - len(rest))
            else:
                self._skip(at - len(block))

    def _take(self, count: int) -> bytes:
        self._pass(count)
        data = self._file.read(count)
        if len(data) < count:
            raise self._damaged("it ends within its header")
        return data

    def _skip(self, count: int) -> None:
        self._pass(count)
        self._file.seek(count, os.SEEK_CUR)

    def _pass(self, count: int) -> None:
        self._at += count
        if self._at > self._size:
            raise self._damaged("it ends within its header")
        if self._at > self.longest:
            raise self._damaged(f"there are more than {self.longest:,} bytes before {self._behind()}")

    def _behind(self) -> str:
        return "its vocabulary" if self.longest == _LONGEST_HEAD else "the end of its header"

    def _damaged(self, why: str) -> InvalidModelError:
        msg = f"{self._name} is cut short or damaged: {why}."
        return InvalidModelError(msg, "Download it again, or choose another file.")
