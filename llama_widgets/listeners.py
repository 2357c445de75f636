"""Who listens to what happens. None of them can harm the others, nor the thread that tells them."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")


def tell(listener: Callable[[T], object], news: T) -> None:
    """Call a listener and log what it raises, even an ``exit()``: it would end the thread that tells, and no other."""
    try:
        listener(news)
    except (Exception, SystemExit):
        logger.exception("a listener failed on %s", type(news).__name__)


class Listeners(Generic[T]):
    """A list of callbacks that any thread may change while another one goes through it."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[T], object]] = []

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._listeners)

    def add(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Add a listener; return what takes it away again."""
        self._listeners.append(listener)
        return partial(self.remove, listener)

    def remove(self, listener: Callable[[T], object]) -> None:
        """Take a listener away; nothing happens if it is gone already."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    def tell(self, news: T) -> None:
        """Call every listener in turn."""
        for listener in tuple(self._listeners):
            tell(listener, news)
