"""What a widget has done for it that may wait for the model or a disk: in a thread, one thing after the other."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from ..errors import LlamaWidgetsError
from ..requests import SLICE_S

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Jobs:
    """A queue of things to do.

    Parameters
    ----------
    changed : callable
        Called when ``names`` are others.
    failed : callable
        Called with what a job raised.
    """

    def __init__(self, changed: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        self._changed = changed
        self._failed = failed
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Callable[[], object]]] = []
        self._thread: threading.Thread | None = None

    @property
    def names(self) -> list[str]:
        """What is being done or still to be done."""
        with self._lock:
            return list(dict.fromkeys(name for name, _ in self._waiting))

    def add(self, name: str, action: Callable[[], object]) -> None:
        """See that it is done, and return at once."""
        with self._lock:
            self._waiting.append((name, action))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="llama-widgets-tokens", daemon=True)
                self._thread.start()
        self._changed()

    def wait(self) -> None:
        """Wait until all is done; interrupting the kernel ends the waiting only."""
        while self.names:
            time.sleep(SLICE_S / 5)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                _, action = self._waiting[0]
            try:
                action()
            except Exception as error:  # raised, it would be printed into some cell
                if not isinstance(error, LlamaWidgetsError):
                    logger.exception("a job failed")
                self._failed(error)
            with self._lock:
                self._waiting.pop(0)
            self._changed()
