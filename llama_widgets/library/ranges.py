"""A file somewhere else, of which only the bytes that are read are fetched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST, _MOST = 2**16, 2**20


class Ranges:
    """Reads forwards. What is passed over is not fetched; pieces get larger as long as all of them are read.

    Parameters
    ----------
    fetch : callable
        Returns the bytes from a first one up to, and without, a last one.
    size : int
        Bytes of the file.

    Attributes
    ----------
    fetched : int
        Bytes that were fetched so far.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._at = 0
        self._start, self._piece = 0, b""
        self._next = _FIRST
        self.fetched = 0

    def read(self, size: int, /) -> bytes:
        """Return the next ``size`` bytes, or fewer at the end."""
        size = max(0, min(size, self._size - self._at))
        found = self._held(size)
        if len(found) < size:
            begin = self._at + len(found)
            end = min(self._size, begin + max(self._next, size - len(found)))
            self._start, self._piece = begin, self._fetch(begin, end)
            self.fetched += len(self._piece)
            self._next = min(2 * self._next, _MOST)
            found += self._piece[: size - len(found)]
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_CUR, /) -> int:
        """Pass over ``offset`` bytes."""
        if whence != os.SEEK_CUR:
            msg = "what is fetched in pieces is read forwards only"
            raise ValueError(msg)
        self._at += offset
        return self._at

    def _held(self, size: int) -> bytes:
        first = self._at - self._start
        return self._piece[first : first + size] if first >= 0 else b""
