"""How often, and after which waits, a hub that fails is asked again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..errors import NetworkError
from . import hub
from .process import OUTAGE

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_IN_A_ROW = 5
_IN_ALL = 50
_LONG_WAY = 100_000_000
"""Bytes after which failures are counted anew, as a long way has more of them."""
_LONGEST_WAIT = 60.0


class DeclinedError(NetworkError):
    """A server answered, but not with what was asked for. It counts as an error of the server's does."""

    code = NetworkError.code


@dataclass
class _Row:
    """Failures in a row, and how many of them were answers of a server."""

    began: float
    failures: int = 0
    answers: int = 0


class Patience:
    """Asks again after failures that pass, within bounds that all connections of a download share.

    Parameters
    ----------
    first_wait : float
        Seconds after the first failure; each further one waits twice as long.
    note : callable
        Takes a sentence before each wait.
    done : callable
        Returns the bytes that have arrived in all.
    outage : float
        Seconds for which a network that is gone is waited for, if it was there before.
    """

    def __init__(
        self, first_wait: float, note: Callable[[str], None], done: Callable[[], int], outage: float = OUTAGE
    ) -> None:
        self._outage = outage
        self._first_wait = first_wait
        self._note = note
        self._done = done
        self._answered = False
        self._failures = 0
        self._counted_from = 0
        self._mutex = threading.Lock()

    def ask(self, question: Callable[[], T], progress: Callable[[], int] = int) -> T:
        """Return what ``question`` returns; a failure after ``progress`` has grown is the first in a row again."""
        row, before = _Row(time.monotonic()), progress()
        while True:
            try:
                answer = question()
            except Exception as error:
                if progress() > before or not row.failures:
                    row, before = _Row(time.monotonic()), progress()
                row.failures += 1
                wait = self._wait(error, row)
                if wait is None:
                    raise
                code = hub.status(error)
                why = f"The hub answers {code}" if code else "The connection broke"
                self._note(f"{why}; trying again in {wait:g} s.")
                time.sleep(wait)
            else:
                self._answered = True
                return answer

    def _wait(self, error: Exception, row: _Row) -> float | None:
        """Return the seconds to wait after a failure; none if to ask again is of no use."""
        # Without a network the first request fails, and to wait would only hide that.
        self._answered = self._answered or hub.status(error) is not None
        if not self._answered or not hub.is_temporary(error):
            return None
        answer = hub.status(error) is not None or isinstance(error, DeclinedError)
        row.answers += answer
        with self._mutex:
            if self._done() >= self._counted_from + _LONG_WAY:
                self._failures, self._counted_from = 0, self._done()
            # A network that is gone is one failure, however often it is looked for.
            self._failures += answer or row.failures == 1
            hopeless = row.answers > _IN_A_ROW or self._failures > _IN_ALL
        if not answer and time.monotonic() - row.began >= self._outage:
            return None
        asked = hub.retry_after(error)
        wait = min(self._first_wait * 2 ** min(row.failures - 1, 30), _LONGEST_WAIT) if asked is None else asked
        return None if hopeless or wait > _LONGEST_WAIT else wait
