"""All downloads of this process: started from Python, from a widget or by a message, watched in one place."""

from __future__ import annotations

import logging
import os
import re
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..errors import ClosedError, LlamaWidgetsError, ParameterError, UnknownReferenceError
from ..listeners import Listeners
from ..per_process import PerProcess
from ..protocol import DownloadDone, Error, Info, Progress
from .job import Job
from .local import cache_folder, web_folder
from .process import OUTAGE, Order
from .references import Reference, absolute, parse
from .unfinished import unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol import DownloadModel, Event

__all__ = ["Downloads", "download", "shared", "unfinished"]

logger = logging.getLogger("llama_widgets.downloads")

_TOKEN = re.compile(r"[\w.~+/=-]+", re.ASCII)  # RFC 6750, 2.1


class Downloads:
    """The downloads of this process, and who watches them.

    Attributes
    ----------
    retry_delay : float
        Seconds before the first new attempt after a failure of the hub; each further one waits twice as long.
    outage : float
        Seconds for which a download waits for a network that is gone.
    at_once : int
        How many are at work at the same time; the others wait in the order in which they were asked for.
    large : int
        Bytes of a file from which on more than one connection is tried.
    """

    def __init__(
        self, *, retry_delay: float = 1.0, outage: float = OUTAGE, at_once: int = 3, large: int = 64_000_000
    ) -> None:
        self.retry_delay = retry_delay
        self.outage = outage
        self.at_once = at_once
        self.large = large
        self.closed = False
        self._lock = threading.RLock()
        self._jobs: dict[tuple[object, ...], Job] = {}
        self._requests: dict[str, Job] = {}
        self._line: list[Job] = []
        self._line_lock = threading.Lock()
        self._listeners: Listeners[Job] = Listeners()
        self._news = threading.Condition()
        self._changed: dict[Job, None] = {}
        self._thread: threading.Thread | None = None

    @property
    def jobs(self) -> list[Job]:
        """All downloads that were asked for, the oldest first; of the same file only the last."""
        with self._lock:
            return list(self._jobs.values())

    def download(
        self,
        reference: str,
        *,
        revision: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        token: str | None = None,
    ) -> Job:
        """Start a download, or resume it, and return at once; see ``llama_widgets.download``."""
        text = (str, type(None))
        for name, value, types in (
            ("reference", reference, str),
            ("revision", revision, text),
            ("directory", directory, (*text, os.PathLike)),
            ("token", token, text),
        ):
            if not isinstance(value, types):
                msg = f"The {name} of a download must be text, not {type(value).__name__}."
                raise ParameterError(msg, 'For example download("hf:user/repo:Q4_K_M").')
        parsed = parse(reference)
        if parsed.path is not None:
            msg = f"{reference!r} is a path on this machine, not a model of the hub."
            raise UnknownReferenceError(msg, "Write hf:user/repo/file.gguf or hf:user/repo:Q4_K_M.")
        if directory is None and parsed.url:
            directory = web_folder(parsed.url)
        token = (token or "").strip() or None
        if token is not None and not _TOKEN.fullmatch(token):
            msg = "The token has characters that no token has."
            raise ParameterError(msg, "Copy it anew, as one line of letters and digits.")
        if revision is not None:
            # Read again, as it becomes part of paths in the cache.
            parsed = parse(str(replace(parsed, revision=revision)))
        order = Order(
            reference=parsed,
            cache=str(cache_folder()),
            directory=None if directory is None else str(absolute(directory)),
            token=token,
            retry_delay=self.retry_delay,
            outage=self.outage,
            large=self.large,
        )
        with self._lock:
            if self.closed:
                msg = "Downloads have been shut down."
                raise ClosedError(msg)
            job = self._jobs.get(order.key)
            if job is None or job.ended:
                self._jobs.pop(order.key, None)
                job = self._jobs[order.key] = Job(order, self._tell, self._next)
            job.start(order)
        return job

    def recover(self, *folders: str | os.PathLike[str]) -> list[Job]:
        """Add a paused job for each download that an earlier kernel left unfinished, and return these.

        Nothing is asked of a server. ``Job.resume`` goes on with one, ``Job.cancel(keep_partial=False)`` deletes it.

        Parameters
        ----------
        *folders : path
            More folders to look in; see ``unfinished``.
        """
        added = []
        for there in unfinished(*folders):
            order = Order(
                reference=parse(there.reference),
                cache=str(cache_folder()),
                directory=there.directory,
                retry_delay=self.retry_delay,
                outage=self.outage,
                large=self.large,
            )
            with self._lock:
                if self.closed or order.key in self._jobs or any(job.holds(there.partials) for job in self.jobs):
                    continue
                job = self._jobs[order.key] = Job(order, self._tell, self._next)
            job.found(there)
            added.append(job)
        return added

    def start(self, command: DownloadModel, emit: Callable[[Event], None]) -> Job:
        """Do what a message asks: emit ``progress`` and, exactly once, ``download_done`` or ``error``.

        A reference that cannot be downloaded is such an error too, and a job that failed.
        """
        reporter = _Reporter(command.request_id, emit)
        try:
            job = self.download(
                command.model, revision=command.revision, directory=command.directory, token=command.token
            )
        except LlamaWidgetsError as error:
            job = Job(Order(Reference(), cache=""), self._tell, self._next)
            job.model = job.name = command.model
            job.error, job.state = error, "failed"
            reporter(job)
            return job

        def forget() -> None:
            job.listeners.remove(reporter)
            with self._lock:
                self._requests.pop(command.request_id, None)

        reporter.forget = forget
        with self._lock:
            self._requests[command.request_id] = job
        job.watch(reporter)
        # It may have ended before it was watched.
        self._tell(job)
        return job

    def job(self, target: str) -> Job | None:
        """Return the download with this id, or for which there is a request with this id."""
        with self._lock:
            return self._requests.get(target) or next((job for job in self.jobs if job.id == target), None)

    def pause(self, target: str) -> bool:
        """Pause a download by its id; return whether it was running."""
        job = self.job(target)
        if job is None or not job.running:
            return False
        job.pause()
        return True

    def resume(self, target: str) -> bool:
        """Resume a download by its id; return whether it was paused, failed or cancelled."""
        job = self.job(target)
        if job is None or job.running or job.state == "done":
            return False
        job.resume()
        return True

    def abort(self, target: str) -> bool:
        """Cancel a download by its id or the id of a request for it; return whether there was something to cancel."""
        job = self.job(target)
        if job is None or job.state in ("done", "cancelled"):
            return False
        job.cancel()
        return True

    def watch(self, listener: Callable[[Job], None]) -> Callable[[], None]:
        """Call ``listener`` with each job that changes, as ``Job.watch`` does."""
        return self._listeners.add(listener)

    def close(self) -> None:
        """End all downloads, keeping what has arrived."""
        with self._lock, self._line_lock:
            self.closed = True
            jobs = self.jobs
        runs = [job._process for job in jobs if job._process]  # noqa: SLF001
        for job in jobs:
            if not job.ended:
                job.cancel()
        for run in runs:
            run.join(2)
        with self._news:
            thread, self._thread = self._thread, None
            self._news.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(2)

    def _next(self, job: Job) -> None:
        """Let those begin whose turn it is, after a job has been asked for or has ended."""
        if not job.running:
            for other in self.jobs:
                other.follow(job)
        with self._line_lock:
            if job.running and job not in self._line:
                self._line.append(job)
            self._line = [job for job in self._line if job.running]
            for position, waiting in enumerate(self._line):
                if position < self.at_once and not self.closed:
                    waiting.begin()
                else:
                    waiting.stand_in_line(self.at_once)
            late = [waiting for waiting in self._line if not waiting.working] if self.closed else []
        for waiting in late:
            waiting.cancel()

    def _tell(self, job: Job) -> None:
        # Only a note of what changed: listeners are called one at a time on a thread of their own, under no lock, so
        # they may do anything, and a slow one gets fewer calls instead of late ones.
        with self._news:
            self._changed[job] = None
            if self._thread is None and not self.closed:
                self._thread = threading.Thread(target=self._announce, name="download news", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def _announce(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._changed or self._thread is None)
                if not self._changed:
                    return
                jobs, self._changed = list(self._changed), {}
            for job in jobs:
                job.listeners.tell(job)
                self._listeners.tell(job)


class _Reporter:
    """Turns the changes of a job into the events of one request."""

    def __init__(self, request_id: str, emit: Callable[[Event], None]) -> None:
        self._id = request_id
        self._emit = emit
        self._ended = False
        self._note = ""
        self.forget: Callable[[], None] = lambda: None

    def __call__(self, job: Job) -> None:
        state, note = job.state, job.note
        if self._ended:
            return
        if note != self._note:
            self._note = note
            if note:
                self._emit(Info(request_id=self._id, level="warning", message=note))
        if state in ("downloading", "verifying"):
            operation: Literal["download", "verify"] = "download" if state == "downloading" else "verify"
            progress = partial(Progress, request_id=self._id, operation=operation)
            self._emit(progress(done=job.done, total=job.total, rate=job.rate, eta_s=job.eta_s))
        elif end := self._end(job, state):
            self._ended = True
            self.forget()
            self._emit(end)

    def _end(self, job: Job, state: str) -> Event | None:
        error = job.error
        if state == "done":
            return DownloadDone(request_id=self._id, path=str(job.path), sha256=job.sha256)
        if state == "cancelled":
            return DownloadDone(request_id=self._id, cancelled=True)
        # Without an error it has been resumed in this moment.
        if state != "failed" or error is None:
            return None
        return Error(
            request_id=self._id,
            code=error.code,
            message=error.message,
            hint=error.hint,
            recoverable=error.recoverable,
        )


_shared = PerProcess[Downloads](lambda _: Downloads())


def shared() -> Downloads:
    """Return the downloads that all widgets, cells and workers of this process share."""
    return _shared.get()


def downloads() -> Downloads:
    """Return the downloads of this process: their ``jobs``, and how many of them work ``at_once``.

    Its ``recover`` adds those that earlier kernels left unfinished, paused, as each selector does.

    Examples
    --------
    >>> [job for job in lw.downloads().recover()]  # doctest: +SKIP
    >>> lw.downloads().at_once = 5  # doctest: +SKIP
    """
    return shared()


def download(
    reference: str,
    *,
    revision: str | None = None,
    directory: str | os.PathLike[str] | None = None,
    token: str | None = None,
) -> Job:
    """Download a model from the hub, and return at once: ``job.wait()`` waits for it.

    What has arrived of an earlier download of the same file is not fetched again, also after a restart of the kernel.
    Asking for a file that is being downloaded returns the same job. The file goes into the cache that all tools of the
    model hub share; one that is not of the hub, into a folder for its address in the first folder that
    ``LLAMA_WIDGETS_MODELS`` names, or else in ``llama-widgets/models`` where this user's data is. Three downloads are
    at work at the same time; more of them wait.

    Parameters
    ----------
    reference : str
        Such as "hf:user/repo:Q4_K_M", "hf:user/repo/file.gguf" or "https://.../file.gguf". For the last, nobody
        promises a hash: ``Job.sha256`` is that of what has arrived.
    revision : str, optional
        Branch, tag or commit.
    directory : path, optional
        Where the file is put in place of the cache.
    token : str, optional
        For gated and private models of the hub, where the one that you logged in with does not do.

    Raises
    ------
    UnknownReferenceError
        If ``reference`` is not one. All else is found out in the background: see ``Job.error``.
    """
    return shared().download(reference, revision=revision, directory=directory, token=token)
