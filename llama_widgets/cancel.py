"""A small handle that is passed down so that whoever works can be stopped from any thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Cancel:
    """A flag that can be set once, from any thread, with callbacks for those who cannot look at it.

    Setting it again does nothing. A callback that is added after the flag was set is called at once, so nothing can
    slip between a look at the flag and the start of the work.

    Attributes
    ----------
    requested : bool
        Whether the work should stop. Only to be read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self.requested = False
        self._callbacks: list[Callable[[], object]] = []

    def request(self) -> None:
        """Ask the work to stop."""
        with self._lock:
            if self.requested:
                return
            self.requested = True
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag for at most ``timeout`` seconds; return whether it is set."""
        return self._event.wait(timeout)

    def on_request(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the flag is set: in the thread that sets it, or now if it is set already."""
        with self._lock:
            if not self.requested:
                self._callbacks.append(callback)
                return
        callback()
