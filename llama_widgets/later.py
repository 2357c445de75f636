"""What may take a while and is done soon, in a thread of its own, once for all who asked for it meanwhile."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Later:
    """Runs an action after each call, soon and never twice at once.

    Parameters
    ----------
    action : callable
        What is done; what it raises is logged.
    delay : float
        Seconds to wait for more calls before it is done.
    """

    def __init__(self, action: Callable[[], None], delay: float = 0.0) -> None:
        self._action = action
        self._delay = delay
        self._lock = threading.Lock()
        self._acting = threading.Lock()
        self._hurry = threading.Event()
        self._wanted = False
        self._thread: threading.Thread | None = None
        _all.add(self)

    def __call__(self, delay: float | None = None) -> None:
        """See that it is done, after ``delay`` if it is not already to be done; return at once."""
        with self._lock:
            self._wanted = True
            if self._thread is None or not self._thread.is_alive():
                self._hurry.clear()
                wait = self._delay if delay is None else delay
                self._thread = threading.Thread(target=self._run, args=[wait], name="llama-widgets-later", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Do now what is still to be done, and wait for what is being done."""
        self._hurry.set()
        while self._act():
            pass

    def _run(self, wait: float) -> None:
        while True:
            self._hurry.wait(wait)
            self._act()
            with self._lock:
                if not self._wanted:
                    self._thread = None
                    return

    def _act(self) -> bool:
        with self._acting:
            with self._lock:
                wanted, self._wanted = self._wanted, False
            if wanted:
                try:
                    self._action()
                except Exception:  # in a thread it would be printed into some cell
                    logger.exception("something that was to be done later failed")
            return wanted


_all: weakref.WeakSet[Later] = weakref.WeakSet()


@atexit.register
def _flush_all() -> None:
    for each in list(_all):
        each.flush()
