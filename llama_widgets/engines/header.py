"""What the header of a GGUF file says. What a damaged one raises here would end the process in llama.cpp."""

from __future__ import annotations

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
TOKENS = "tokenizer.ggml.tokens"
_MOST_DIMENSIONS = 4
# No model comes near these, and what claims more is refused before it can take memory or time. A vocabulary of 262,144
# tokens and its merges are 0.8 million items in 16 MB.
_LONGEST = 2**26
_LONGEST_TEXT = 2**22
_MOST_ITEMS = 2**20
_SHORT = 1024
"""Numbers of an array that is read and not passed over, as those with one for each layer are."""


class Readable(Protocol):
    """What a header is read from: a file, or the parts of one that are fetched as they are asked for."""

    def read(self, size: int, /) -> bytes:
        """Return the next ``size`` bytes, or fewer at the end."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Pass over ``offset`` bytes; ``whence`` is ``os.SEEK_CUR``."""


@dataclass(frozen=True)
class Array:
    """An array that was passed over: the ``enum gguf_type`` of its items, and how many there are."""

    kind: int
    count: int


@dataclass(frozen=True)
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
        If it cannot be read to its end, or claims what no model has: then at most 64 MiB were read.
    """
    reader = _Reader(name, file, size)
    n_tensors, n_values = reader.begin()
    header = Header()
    for _ in range(n_values):
        key, kind = reader.string(), reader.number("I")
        tokens = key == TOKENS and not vocabulary and _knows_shape(header.values)
        header.values[key], header.kinds[key] = reader.value(kind, pass_over=not tokens), kind
        if tokens:
            return header
    for _ in range(n_tensors):
        tensor = reader.string()
        shape = reader.shape()
        header.tensors[tensor] = Tensor(shape, reader.number("I"))
        reader.number("Q")  # where its data are
    return header


def _knows_shape(values: dict[str, Any]) -> bool:
    return f"{values.get('general.architecture')}.attention.head_count" in values


def find(path: Path, *keys: str) -> dict[str, Any]:
    """Return the values of ``keys`` as ``read`` does, without reading on behind the last of them; of some, nothing."""
    found: dict[str, Any] = {}
    with path.open("rb") as file:
        reader = _Reader(path.name, file, os.fstat(file.fileno()).st_size)
        for _ in range(reader.begin()[1]):
            key, kind = reader.string(), reader.number("I")
            if key in keys:
                found[key] = reader.value(kind, pass_over=len(found) + 1 < len(keys))
                if len(found) == len(keys):
                    break
            else:
                reader.value(kind)
    return found


class _Reader:
    def __init__(self, name: str, file: Readable, size: int) -> None:
        self._name = name
        self._file = file
        self._left = min(size, _LONGEST)
        self._items = _MOST_ITEMS

    def begin(self) -> tuple[int, int]:
        """Read what a GGUF file begins with; return how many tensors and values there are."""
        if self._take(4) != b"GGUF":
            raise self._damaged("it does not begin as a GGUF file does")
        version = self.number("I")
        if version not in (2, 3):
            raise self._damaged(f"its version is {version}")
        return self._count(), self._count()

    def value(self, kind: int, *, pass_over: bool = True) -> Any:  # noqa: ANN401 - whatever the file holds
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            raise self._damaged(f"there is no type {kind}")
        array = Array(self.number("I"), self.number("Q"))
        if array.kind in _NUMBERS and array.count <= _SHORT:
            letters = f"<{array.count}{_NUMBERS[array.kind]}"
            return struct.unpack(letters, self._take(struct.calcsize(letters)))
        if pass_over:
            self._pass_over(array)
        return array

    def number(self, letter: str) -> Any:  # noqa: ANN401 - int, float or bool
        return struct.unpack(f"<{letter}", self._take(struct.calcsize(letter)))[0]

    def string(self) -> str:
        length = self.number("Q")
        if length > _LONGEST_TEXT:
            raise self._damaged(f"a text has {length:,} bytes")
        return self._take(length).decode("utf-8", "replace")

    def shape(self) -> tuple[int, ...]:
        count = self.number("I")
        if count > _MOST_DIMENSIONS:
            raise self._damaged(f"a tensor has {count} dimensions")
        return tuple(self.number("Q") for _ in range(count))

    def _pass_over(self, array: Array) -> None:
        if array.kind in _NUMBERS:
            self._skip(array.count * struct.calcsize(_NUMBERS[array.kind]))
        elif array.kind == _STRING:
            self._spend(array.count)
            for _ in range(array.count):
                self._skip(self.number("Q"))
        else:
            raise self._damaged(f"there are no arrays of type {array.kind}")

    def _count(self) -> int:
        count = int(self.number("Q"))
        self._spend(count)
        return count

    def _spend(self, items: int) -> None:
        self._items -= items
        if self._items < 0:
            raise self._damaged("it claims to list millions of things")

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
        if count > self._left:
            raise self._damaged("it ends within its header")
        self._left -= count

    def _damaged(self, why: str) -> InvalidModelError:
        msg = f"{self._name} is cut short or damaged: {why}."
        return InvalidModelError(msg, "Download it again, or choose another file.")
