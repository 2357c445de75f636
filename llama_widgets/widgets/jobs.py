"""What a widget has done for it that may wait for the model or a disk: in threads, one for what has the same name."""

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
    """Things to do, which wait for those of the same name.

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
        self._telling = threading.RLock()  # else an older list of names could be the last that is told
        self._waiting: dict[str, list[Callable[[], object]]] = {}

    @property
    def names(self) -> list[str]:
        """What is being done or still to be done."""
        with self._lock:
            return list(self._waiting)

    def add(self, name: str, action: Callable[[], object]) -> None:
        """See that it is done, and return at once."""
        with self._lock:
            known = name in self._waiting
            self._waiting.setdefault(name, []).append(action)
        if not known:
            threading.Thread(target=self._run, args=(name,), name="llama-widgets-tokens", daemon=True).start()
        self._tell()

    def wait(self) -> None:
        """Wait until all is done; interrupting the kernel ends the waiting only."""
        while self.names:
            time.sleep(SLICE_S / 5)

    def _run(self, name: str) -> None:
        while True:
            with self._lock:
                action = self._waiting[name][0]
            try:
                action()
            except Exception as error:  # raised, it would be printed into some cell
                if not isinstance(error, LlamaWidgetsError):
                    logger.exception("a job failed")
                self._failed(error)
            with self._lock:
                done = self._waiting[name]
                done.pop(0)
                if not done:
                    del self._waiting[name]
            self._tell()
            if not done:
                return

    def _tell(self) -> None:
        with self._telling:
            self._changed()
