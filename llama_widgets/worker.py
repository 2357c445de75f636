"""One thread, one queue, one engine.

Everybody who wants something of the model submits a command and gets events back. The thread is the only owner of the
engine, so nothing native is ever called from two threads; aborts do not go through the queue. Downloads need no engine
and run beside it, each in a child process of its own, but keep the same contract: every request ends exactly once.
"""

from __future__ import annotations

import atexit
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from . import flow
from . import protocol as p
from .activity import Status
from .cancel import Cancel
from .errors import BusyError, ClosedError, LlamaWidgetsError, ProtocolError, from_code
from .execution import Execution
from .listeners import tell
from .per_process import PerProcess
from .requests import aborted, error_event, wait
from .resident import ModelState, Resident

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .engines.base import Engine
    from .options import LoadOptions

    Listener = Callable[[p.Event], None]

_ANSWERS = ("generate_completion", "generate_chat_completion")


@dataclass(eq=False)
class _Request:
    command: p.Command
    listener: Listener
    cancel: Cancel = field(default_factory=Cancel)
    state: str = "queued"  # then "running", then "ended"

    @property
    def id(self) -> str:
        return self.command.request_id


class Worker:
    """Runs commands on one engine, one after the other, in a thread of its own.

    Parameters
    ----------
    engine : callable
        Makes the engine; called on the worker's thread when the first command needs it.
    find : callable, optional
        Turns what ``load_model`` names into a path. By default ``llama_widgets.library.local.find``.

    Notes
    -----
    All methods may be called from any thread and return at once, except ``close``. Listeners are called on the
    worker's thread, on that of its flow, on a download's, or on the one that aborts; they must return soon.
    """

    def __init__(
        self, engine: Callable[[], Engine] | None = None, *, find: Callable[[str], Path] | None = None
    ) -> None:
        self._find = find or _find
        self._resident = Resident(self._find)
        self._execution = Execution(engine, self._resident)
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._requests: dict[str, _Request] = {}
        self._held: _Request | None = None  # waits for the answers that are being made: it needs another model
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._closed = False
        # A daemon thread, ended by hand at exit: the interpreter waits for other threads before it runs atexit hooks,
        # and would wait for ever for one that waits for work.
        atexit.register(self.close)

    @property
    def loaded(self) -> p.ModelLoaded | None:
        """The model in memory."""
        return self._resident.state.loaded

    @property
    def model_state(self) -> ModelState:
        """What the engine holds and loads at this moment."""
        return self._resident.state

    @property
    def load_options(self) -> LoadOptions | None:
        """What the model in memory was loaded with."""
        return self._resident.options

    @property
    def about(self) -> dict[str, Any]:
        """Versions, backend and devices of what answers; empty before it has loaded a model."""
        about: dict[str, Any] = self._held_by_engine().get("about", {})
        return about

    @property
    def busy(self) -> bool:
        """Whether any request is queued or running."""
        return bool(self._requests)

    @property
    def closed(self) -> bool:
        """Whether the worker was shut down."""
        return self._closed

    def is_loaded(self, model: str, options: LoadOptions | None = None) -> bool:
        """Return whether ``model``, a path or reference, is in memory, loaded with ``options`` if they are given."""
        return self._resident.holds(model, options)

    def find(self, model: str) -> Path:
        """Return the file that ``model``, a path or reference, names, or raise why there is none."""
        return self._find(model)

    def status(self) -> Status:
        """Return what is going on, from any thread."""
        with self._lock:
            requests = tuple(self._requests.values())
        held = self._held_by_engine()
        return Status(
            model=self.loaded,
            loading=self.model_state.model if self.model_state.loading else "",
            memory=held.get("memory", 0),
            freed=held.get("freed", (0, 0)),
            n_ctx=held.get("n_ctx", 0),
            n_seq_max=held.get("n_seq_max", 0),
            sequences=held.get("sequences", []),
            running=[request.id for request in requests if request.state == "running"],
            queued=[request.id for request in requests if request.state == "queued"],
        )

    def _held_by_engine(self) -> dict[str, Any]:
        engine = self._execution.engine
        return engine.status() if engine is not None else {}

    def watch(self, watcher: Callable[[ModelState], object]) -> Callable[[], None]:
        """Call ``watcher`` with every new ``ModelState``; return a function that ends that."""
        return self._resident.watchers.add(watcher)

    def handle(self, data: object, listener: Listener) -> None:
        """Take a command as plain data. What is not one is answered with ``error`` and changes nothing."""
        try:
            command = p.decode_command(data)
        except LlamaWidgetsError as error:
            request_id = data.get("request_id") if isinstance(data, dict) else None
            tell(listener, error_event(request_id if isinstance(request_id, str) else "", error))
        else:
            self.submit(command, listener)

    def submit(self, command: p.Command, listener: Listener) -> None:
        """Take a command; ``listener`` hears its events, the last of which is its only end."""
        if isinstance(command, p.Abort):
            self._acknowledge(command, listener)
            return
        request = _Request(command, listener)
        with self._lock:
            refusal = self._refusal(request)
            if refusal is None:
                self._requests[request.id] = request
                if isinstance(command, p.DownloadModel):
                    request.state = "running"
                else:
                    self._start_thread()
                    self._queue.put(request)
        if refusal is not None:
            tell(listener, error_event(request.id, refusal))
        elif isinstance(command, p.DownloadModel):
            self._download(request, command)

    def run(self, command: p.Command, hear: Listener | None = None) -> p.Event:
        """Submit a command, wait for its end and return it; interrupting the kernel aborts it.

        Parameters
        ----------
        command : Command
            What to do.
        hear : callable, optional
            Hears all its events, as ``submit`` says.

        Raises
        ------
        LlamaWidgetsError
            The error in which the command ended.
        """
        self.forbid_own_thread()
        future: Future[p.Event] = Future()
        ends = (p.ENDS[command.type], p.Error)

        def listen(event: p.Event) -> None:
            if hear is not None:
                tell(hear, event)
            if isinstance(event, ends):
                future.set_result(event)

        self.submit(command, listen)
        try:
            end = wait(future)
        except KeyboardInterrupt:
            self.abort(command.request_id)
            raise
        if isinstance(end, p.Error):
            raise from_code(end.code, end.message, end.hint)
        return end

    def abort(self, target: str) -> list[str]:
        """Stop the request ``target``, or all of a kind; return the ids it acted on.

        A queued request ends here and now, a running one as soon as it looks; a finished or unknown one is left alone.
        """
        with self._lock:
            kinds = p.ABORT_KINDS.get(target)
            found = [r for r in self._requests.values() if (r.command.type in kinds if kinds else r.id == target)]
            waiting = [r for r in found if r.state == "queued"]
            for request in waiting:
                request.state = "running"  # claimed: the thread passes over what is no longer queued
        for request in found:
            request.cancel.request()
        for request in waiting:
            self._end(request, aborted(request.command))
        return [r.id for r in found]

    def close(self, timeout: float = 10.0) -> None:
        """Abort everything, free the model and end the thread; safe to call twice.

        Parameters
        ----------
        timeout : float
            Seconds to wait for the thread. It ends within milliseconds unless native code hangs.
        """
        with self._lock:
            first, self._closed = not self._closed, True
            thread = self._thread
        if first:
            atexit.unregister(self.close)
            self.abort("all")
            self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def forbid_own_thread(self) -> None:
        """Raise ``BusyError`` on the worker's own thread, where waiting for an answer would wait for ever."""
        if threading.current_thread() is self._thread or flow.tells():
            msg = "An answer cannot be waited for inside a callback of the worker."
            raise BusyError(msg, "Start it without waiting, with submit(), or from another thread.")

    def _refusal(self, request: _Request) -> LlamaWidgetsError | None:
        if self._closed:
            return ClosedError("The worker has been shut down.", "Make a new one, or restart the kernel.")
        if request.id in self._requests:
            return ProtocolError(f"Request id {request.id!r} is in use.", "Give every request an id of its own.")
        return None

    def _start_thread(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="llama-widgets-worker", daemon=True)
            thread.start()  # it may fail: then the next request tries again
            self._thread = thread

    def _run(self) -> None:
        while not self._stopping:
            while self._begin_next():
                pass
            if self._execution.active:  # the last time too: it ends what was aborted by a close
                self._step()
        self._execution.close()

    def _begin_next(self) -> bool:
        """Begin the next request, and wait for one if there is nothing else to do; return False if none can begin."""
        if self._held is None:
            if self._execution.active and self._queue.empty():  # asked after each token: quicker than to try
                return False
            try:
                self._held = self._take()
            except queue.Empty:
                return False
        request = self._held
        if request is None:
            self._stopping = True
            return False
        waits = self._execution.active and not self._execution.joins(request.command)
        if waits and request.state == "queued":
            return False
        self._held = None
        with self._lock:
            if request.state != "queued":
                return True
            request.state = "running"
        self._resident.touch()
        try:
            end = self._execution.begin(request.command, partial(self._hear, request), request.cancel)
        except BaseException as error:  # noqa: BLE001 - the thread outlives whatever a request does
            end = error_event(request.id, error)
        if end is not None:
            self._end(request, end)
        return True

    def _take(self) -> _Request | None:
        """Return what is next in the queue, or wait for it."""
        try:
            return self._queue.get(timeout=self._resident.spare_s)
        except queue.Empty:
            self._execution.unload()
            raise

    def _step(self) -> None:
        """Work on the answers, for as long as nobody asks for something."""
        try:
            self._execution.started().step(self._queue.empty)
        except BaseException as error:  # noqa: BLE001 - it should not: nothing it holds can be trusted
            self._execution.unload()
            with self._lock:
                lost = [r for r in self._requests.values() if r.state == "running" and r.command.type in _ANSWERS]
            for request in lost:
                self._end(request, error_event(request.id, error))
        self._resident.touch()

    def _download(self, request: _Request, command: p.DownloadModel) -> None:
        from .library import downloads

        registry = downloads.shared()
        try:
            registry.start(command, partial(self._hear, request))
        except Exception as error:  # noqa: BLE001 - exactly one end, whatever happens
            self._end(request, error_event(request.id, error))
            return
        request.cancel.on_request(lambda: registry.abort(request.id))

    def _acknowledge(self, command: p.Abort, listener: Listener) -> None:
        acted = self.abort(command.target)
        message = "stopping" if acted else "nothing was running"
        data: dict[str, Any] = {"target": command.target, "acted": acted}
        tell(listener, p.Info(request_id=command.request_id, message=message, data=data))

    def _hear(self, request: _Request, event: p.Event) -> None:
        """Take what comes of a request, its end too."""
        if isinstance(event, (p.ENDS[request.command.type], p.Error)):
            self._end(request, event)
        elif request.state != "ended":
            tell(request.listener, event)

    def _end(self, request: _Request, event: p.Event) -> None:
        with self._lock:
            if request.state == "ended":
                return
            request.state = "ended"
            self._requests.pop(request.id, None)
        tell(request.listener, event)


def _find(model: str) -> Path:
    from .library import local

    return local.find(model)


def _make_shared(before: Worker | None) -> Worker:
    worker = Worker()
    if before is not None:  # widgets that show the model of all go on showing it
        worker._resident.watchers = before._resident.watchers  # noqa: SLF001
    return worker


_shared = PerProcess(_make_shared)


def shared() -> Worker:
    """Return the worker of this process, which all conversations share: one model in memory."""
    return _shared.get()
