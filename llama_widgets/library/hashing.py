"""The hash of a file that is still coming."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .partial import Partial

_PIECE = 2**20
_PAUSE = 0.02


class Hash(threading.Thread):
    """Reads a partial file from its beginning, as far as it is there, so that little is left to do at the end.

    Attributes
    ----------
    done : int
        Bytes that have been read.
    """

    def __init__(self, partial: Partial) -> None:
        super().__init__(name="hash", daemon=True)
        self.done = 0
        self._partial = partial
        self._digest = hashlib.sha256()
        self._error: OSError | None = None

    def run(self) -> None:
        """Read until all is there."""
        try:
            while self._keep_up():
                pass
        except OSError as error:
            self._error = error

    def result(self) -> str:
        """Wait for the end, and return the hash."""
        self.join()
        if self._error:
            raise self._error
        return self._digest.hexdigest()

    def _keep_up(self) -> bool:
        """Read until all is there, or until the file begins anew."""
        restarts = self._partial.restarts
        self.done, self._digest = 0, hashlib.sha256()
        with self._partial.path.open("rb", buffering=0) as file:
            while self.done < self._partial.size:
                piece = file.read(min(_PIECE, max(0, self._partial.prefix - self.done)))
                if restarts != self._partial.restarts:
                    return True
                self._digest.update(piece)
                self.done += len(piece)
                if not piece:
                    time.sleep(_PAUSE)
        return False


def sha256(path: Path) -> str:
    """Return the hash of a finished file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
