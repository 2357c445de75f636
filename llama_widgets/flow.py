"""Events that are told later than they came: evenly, also while the thread that makes them is busy for longer."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from .listeners import tell

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_threads: WeakSet[threading.Thread] = WeakSet()


def tells() -> bool:
    """Return whether this is the thread of a flow, which nobody may keep waiting."""
    return threading.current_thread() in _threads


class Flow:
    """Tells what waits in its lanes, in a thread of its own that begins when the first event has to wait.

    From then on everything is told under one lock: in a lane nothing overtakes, and nobody hears of two at a time.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: set[Lane[Any]] = set()
        self.thread: threading.Thread | None = None
        self._closed = False

    def lane(self, emit: Callable[[T], object]) -> Lane[T]:
        """Return a lane to ``emit``."""
        return Lane(self, emit)

    def start(self) -> None:
        """Begin to tell what waits."""
        if self.thread is None:
            self.thread = threading.Thread(target=self._run, name="llama-widgets-flow", daemon=True)
            _threads.add(self.thread)
            self.thread.start()

    def close(self) -> None:
        """Drop what waits, and end."""
        with self.changed:
            self._closed = True
            self.waiting.clear()
            self.changed.notify()

    def _run(self) -> None:
        with self.changed:
            while not self._closed:
                lane = min(self.waiting, key=_due, default=None)
                if lane is None:
                    self.changed.wait()
                elif (seconds := lane.due - time.perf_counter()) > 0:
                    self.changed.wait(seconds)
                else:
                    lane.tell_next()


class Lane(Generic[T]):
    """The events of one answer, told in their order. To be used by one thread.

    Parameters
    ----------
    flow : Flow
        What tells the events that wait.
    emit : callable
        Takes them.
    """

    def __init__(self, flow: Flow, emit: Callable[[T], object]) -> None:
        self._flow, self._emit = flow, emit
        self._events: deque[tuple[float, T]] = deque()
        self._last = 0.0

    def __call__(self, event: T) -> None:
        """Tell what waits, and ``event``."""
        if self._flow.thread is None:
            self._emit(event)
            return
        with self._flow.changed:
            while self._events:
                self.tell_next()
            self._last = 0.0
            self._emit(event)

    def later(self, event: T, gap: float) -> None:
        """Tell ``event`` not sooner than ``gap`` seconds after the one before it."""
        flow = self._flow
        with flow.changed:
            flow.start()
            self._last = max(time.perf_counter(), self._last + gap)
            self._events.append((self._last, event))
            flow.waiting.add(self)
            flow.changed.notify()

    @property
    def ahead(self) -> float:
        """Seconds until all is told."""
        return self._last - time.perf_counter()

    @property
    def due(self) -> float:
        """When the next event is to be told, by ``time.perf_counter``."""
        return self._events[0][0]

    def tell_next(self) -> None:
        """Tell the first that waits; the lock is held."""
        event = self._events.popleft()[1]
        if not self._events:
            self._flow.waiting.discard(self)
        tell(self._emit, event)


def _due(lane: Lane[Any]) -> float:
    return lane.due
