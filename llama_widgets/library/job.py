"""One download as the kernel sees it: its state, its progress, and the handles to pause, resume and cancel it."""

from __future__ import annotations

import itertools
import logging
import math
import shutil
import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import DownloadError, LlamaWidgetsError, from_code
from ..listeners import Listeners
from .partial import Partial
from .process import Order, Process
from .unfinished import left_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .unfinished import Unfinished

logger = logging.getLogger("llama_widgets.downloads")

State = Literal["waiting", "downloading", "verifying", "paused", "done", "failed", "cancelled"]

_RUNNING: tuple[State, ...] = ("waiting", "downloading", "verifying")
_ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
_RATE_SPAN = 5.0
"""Seconds over which the speed is averaged."""
_SHORTEST_SPAN = 0.25
"""Seconds before there is a speed: two reports may be heard right after one another."""
_PACE_SPAN = 15.0
"""Seconds over which the speed is averaged that the time left is reckoned with, which should not jump about."""

_numbers = itertools.count(1)


class Job:
    """One download. Made by ``download``; every attribute can be read at any time, from any thread.

    Attributes
    ----------
    id : str
        Its name among the downloads of this process.
    model : str
        The reference it was asked for.
    name : str
        The name of the file, as soon as it is known.
    state : str
        "waiting" (for its turn, or for the hub's answer), "downloading", "verifying", "paused", "done", "failed" or
        "cancelled".
    done, total : int, int or None
        Bytes, including those that were there before.
    rate, eta_s : float or None
        Bytes per second over the last five seconds, and the seconds that are left, which follow it more slowly.
    note : str
        The last thing to know, such as that the hub asked to wait.
    error : LlamaWidgetsError or None
        Why it failed.
    path, sha256 : Path or None, str
        The finished file (the first, of a model in parts) and its hash.
    """

    def __init__(self, order: Order, changed: Callable[[Job], None], moved: Callable[[Job], None]) -> None:
        self.id = f"download-{next(_numbers)}"
        self.model = str(order.reference)
        self.name = Path(order.reference.file).name if order.reference.file else self.model
        self.state: State = "paused"
        self.done = 0
        self.total: int | None = None
        self.rate: float | None = None
        self.note = ""
        self.error: LlamaWidgetsError | None = None
        self.path: Path | None = None
        self.sha256 = ""
        self._order = order
        self._changed = changed
        self._moved = moved
        self.listeners: Listeners[Job] = Listeners()
        self._condition = threading.Condition()
        self._process: Process | None = None
        self._partials: list[Partial] = []
        self._seen: deque[tuple[float, int]] = deque(maxlen=100)
        self._pace: float | None = None
        self._paced_s = 0.0

    def __repr__(self) -> str:
        """Return what it is and how far."""
        return f"<Job {self.id} {self.name!r}: {self.state}, {self.done} of {self.total} bytes>"

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left; unknown while nothing arrives."""
        if not self.rate or not self._pace or self.total is None:
            return None
        return max(0, self.total - self.done) / self._pace

    @property
    def free_after(self) -> int | None:
        """Bytes that will be free on its disk when it is done; None until it is known how large it is, and where."""
        if self.total is None or not self._partials:
            return None
        try:
            free = shutil.disk_usage(self._partials[0].path.parent).free
        except OSError:
            return None
        return max(0, free + self.done - self.total)

    @property
    def running(self) -> bool:
        """Whether it is at work, or waits for that."""
        return self.state in _RUNNING

    @property
    def working(self) -> bool:
        """Whether it has a process."""
        return self._process is not None

    @property
    def ended(self) -> bool:
        """Whether it is over: done, failed or cancelled. A paused download is not."""
        return self.state in _ENDED

    def to_dict(self) -> dict[str, Any]:
        """Return what a widget shows, as plain data."""
        names = ("id", "name", "model", "state", "done", "total", "rate", "eta_s", "free_after", "note")
        with self._condition:
            error = self.error and {"code": self.error.code, "message": self.error.message, "hint": self.error.hint}
            return {name: getattr(self, name) for name in names} | {"error": error}

    def pause(self) -> None:
        """Stop for now, at once; ``resume`` goes on from the same byte. Nothing happens if it is not running."""
        self._stop("paused", _RUNNING)

    def resume(self) -> None:
        """Go on after a pause, a failure or a cancel. Nothing happens if it is running or done."""
        self.start(self._order)

    def cancel(self, *, keep_partial: bool = True) -> None:
        """Give up, at once, also after a failure. Nothing happens if it is done.

        Parameters
        ----------
        keep_partial : bool
            Whether what has arrived stays on disk, so that a later download of the same file goes on from there.
        """
        self._stop("cancelled", (*_RUNNING, "paused", "failed"))
        if not keep_partial and self.state == "cancelled":
            self._discard()

    def wait(self, timeout: float | None = None, *, progress: bool | None = None) -> Path:
        """Wait until it is over, and return the path of the file. An interrupt ends the waiting, not the download.

        Parameters
        ----------
        timeout : float, optional
            The longest wait, in seconds.
        progress : bool, optional
            Whether a line on stderr shows how far it is; by default, if that is a terminal and there is no notebook.

        Raises
        ------
        DownloadError
            If it failed, in its own class, or was cancelled.
        TimeoutError
            If it takes longer than ``timeout`` seconds.
        """
        from .progress import ProgressLine, is_wanted

        end = None if timeout is None else time.monotonic() + timeout
        with ExitStack() as stack:
            shown = is_wanted() if progress is None else progress
            line = stack.enter_context(ProgressLine(self)) if shown else None
            while not self.ended:
                if end is not None and time.monotonic() >= end:
                    msg = f"{self.name} is not there after {timeout:g} s; the download goes on."
                    raise TimeoutError(msg)
                with self._condition:
                    # In slices, as an interrupt is not noticed within a long wait on every platform.
                    self._condition.wait_for(lambda: self.ended, 0.1)
                if line is not None:
                    line.show(self)
        with self._condition:
            if self.error is not None:
                raise self.error
            if self.path is None:
                msg = f"The download of {self.name} was cancelled."
                raise DownloadError(msg, "Call resume() to go on from where it was.")
            return self.path

    def watch(self, listener: Callable[[Job], None]) -> Callable[[], None]:
        """Call ``listener`` with this job, on a background thread, whenever it changes.

        That is at once for its state and five to seven times a second for its bytes. Returns a function that ends it.
        """
        return self.listeners.add(listener)

    # One run of the process

    def start(self, order: Order) -> None:
        """Do what ``order`` says, which is what it said before, except that the token may be another."""
        with self._condition:
            if self.running or self.state == "done":
                return
            self._order = order
            self.error, self.note = None, ""
            self._set("waiting")
        self._moved(self)

    def begin(self) -> None:
        """Start the process, now that it is its turn."""
        with self._condition:
            if self.state == "waiting" and not self.working:
                self.note = ""
                self._process = Process(self._order, self._heard, self._gone)
                self._changed(self)

    def stand_in_line(self, number: int) -> None:
        """Say that it is not its turn, as ``number`` others are at work."""
        note = f"Waits for its turn: {number} downloads are at work."
        with self._condition:
            if self.state == "waiting" and not self.working and self.note != note:
                self.note = note
                self._changed(self)

    def found(self, there: Unfinished) -> None:
        """Take over, paused, what an earlier kernel left."""
        with self._condition:
            self.name, self.done, self.total = there.name, there.done, there.size
            self._partials = list(there.partials)
            self._changed(self)

    def follow(self, other: Job) -> None:
        """Take over how far another job is that has come to rest, if it was for the same file, and this one rests."""
        with self._condition:
            mine = {partial.path for partial in self._partials}
            theirs = {partial.path for partial in other._partials}
            if self is other or self.running or self.state == "done" or not mine or not mine <= theirs:
                return
            if other.state == "done":
                self.done, self.total = other.done, other.total
                self.path, self.sha256, self.error, self.note = other.path, other.sha256, None, ""
                self._set("done")
            elif mine == theirs and (self.done, self.total) != (other.done, other.total):
                self.done, self.total = other.done, other.total
                self._changed(self)

    def holds(self, partials: Iterable[Partial]) -> bool:
        """Return whether one of these files is what it would go on with."""
        mine = {partial.path for partial in self._partials}
        return self.state != "done" and any(partial.path in mine for partial in partials)

    def _stop(self, state: State, states: tuple[State, ...]) -> None:
        with self._condition:
            if self.state not in states:
                return
            run, self._process = self._process, None
            self.error = None
            self._set(state)
        if run is not None:
            run.stop()
        self._moved(self)

    def _set(self, state: State) -> None:
        if state != self.state or state == "waiting":
            self.state = state
            self.rate = self._pace = None
            self._seen.clear()
            self._condition.notify_all()
            self._changed(self)

    def _fail(self, error: LlamaWidgetsError) -> None:
        self.error = error
        self._process = None
        self._set("failed")

    def _heard(self, run: Process, event: dict[str, Any]) -> None:
        with self._condition:
            if run is not self._process:
                return
            kind = event["event"]
            if kind == "progress":
                self.done, self.total = event["done"], event["total"]
                self._set("downloading" if event["operation"] == "download" else "verifying")
                self._measure()
            elif kind == "file":
                self.name = event["name"]
                self._partials = [Partial(Path(path), Path(lock)) for path, lock in event["partials"]]
            elif kind == "note":
                self.note = event["message"]
            elif kind == "done":
                self.path, self.sha256 = Path(event["path"]), event["sha256"]
                self._process = None
                self._set("done")
            elif kind == "error":
                self._fail(from_code(event["code"], event["message"], event["hint"]))
            self._changed(self)
        if self.ended:
            self._moved(self)

    def _gone(self, run: Process, why: str) -> None:
        """Note that a process is over; if nobody knows why, that is a failure."""
        with self._condition:
            if run is self._process:
                logger.warning("the download of %s ended by itself: %s", self.name, why)
                msg = f"The process that downloads {self.name} ended by itself ({why})."
                self._fail(DownloadError(msg, "What has arrived is kept: resume to go on from there."))
        self._moved(self)

    def _measure(self) -> None:
        now = time.monotonic()
        passed = now - self._seen[-1][0] if self._seen else 0.0
        self._seen.append((now, self.done))
        while now - self._seen[0][0] > _RATE_SPAN:
            self._seen.popleft()
        then, done = self._seen[0]
        self.rate = max(0, self.done - done) / (now - then) if now - then >= _SHORTEST_SPAN else None
        if self.rate is not None:
            # A mean of all at first, then one in which the past fades.
            self._paced_s = self._paced_s + passed if self._pace is not None else passed
            weight = max(1 - math.exp(-passed / _PACE_SPAN), passed / self._paced_s if self._paced_s else 1)
            self._pace = self.rate * weight + (self._pace or 0) * (1 - weight)

    def _discard(self) -> None:
        # Before the hub has answered, only an earlier run can have left something.
        partials = self._partials or left_of(str(self._order.reference), self._order.directory)
        # Another process that downloads the same file goes on with it. Ours has just been ended.
        gone = [partial.discard(timeout=2) for partial in partials]
        if all(gone):
            with self._condition:
                if self.state == "cancelled":
                    self.done = 0
                    self._changed(self)
            self._moved(self)
