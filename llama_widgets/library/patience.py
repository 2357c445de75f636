"""How often, and after which waits, a hub that fails is asked again."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

from . import hub

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_IN_A_ROW = 5
_IN_ALL = 50
_LONG_WAY = 100_000_000
"""Bytes after which failures are counted anew, as a long way has more of them."""
_LONGEST_WAIT = 60.0


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
    """

    def __init__(self, first_wait: float, note: Callable[[str], None], done: Callable[[], int]) -> None:
        self._first_wait = first_wait
        self._note = note
        self._done = done
        self._answered = False
        self._failures = 0
        self._counted_from = 0
        self._mutex = threading.Lock()

    def ask(self, question: Callable[[], T], progress: Callable[[], int] = int) -> T:
        """Return what ``question`` returns; a failure after ``progress`` has grown is the first in a row again."""
        in_a_row, before = 0, progress()
        while True:
            try:
                answer = question()
            except Exception as error:
                if progress() > before:
                    in_a_row, before = 0, progress()
                in_a_row += 1
                wait = self._wait(error, in_a_row)
                if wait is None:
                    raise
                code = hub.status(error)
                why = f"The hub answers {code}" if code else "The connection broke"
                self._note(f"{why}; trying again in {wait:g} s.")
                time.sleep(wait)
            else:
                self._answered = True
                return answer

    def _wait(self, error: Exception, in_a_row: int) -> float | None:
        """Return the seconds to wait after a failure; none if to ask again is of no use."""
        # Without a network the first request fails, and to wait would only hide that.
        self._answered = self._answered or hub.status(error) is not None
        if not self._answered or not hub.is_temporary(error):
            return None
        with self._mutex:
            if self._done() >= self._counted_from + _LONG_WAY:
                self._failures, self._counted_from = 0, self._done()
            self._failures += 1
            hopeless = in_a_row > _IN_A_ROW or self._failures > _IN_ALL
        asked = hub.retry_after(error)
        wait = min(self._first_wait * 2 ** (in_a_row - 1), _LONGEST_WAIT) if asked is None else asked
        return None if hopeless or wait > _LONGEST_WAIT else wait
