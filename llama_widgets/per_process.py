"""What a process has one of."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    """What can be shut down."""

    @property
    def closed(self) -> bool:
        """Whether it was."""

    def close(self) -> None:
        """Shut it down; safe to call twice."""


C = TypeVar("C", bound=Closable)


class PerProcess(Generic[C]):
    """Makes one when it is first wanted, and another where that was closed; it is closed when the interpreter ends.

    A forked child makes its own: it has no threads of the parent's, nor whoever held a lock, and what the parent began
    is the parent's to end.

    Parameters
    ----------
    make : callable
        Makes one; gets the one before, which was closed, or None.
    """

    def __init__(self, make: Callable[[C | None], C]) -> None:
        self._make = make
        self._held: C | None = None
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
            os.register_at_fork(after_in_child=self._forget)

    def get(self) -> C:
        """Return the one."""
        with self._lock:
            if self._held is None or self._held.closed:
                self._held = self._make(self._held)
                atexit.register(self._held.close)
            return self._held

    def _forget(self) -> None:
        if self._held is not None:
            atexit.unregister(self._held.close)
        self._held, self._lock = None, threading.Lock()
