"""The thread that keeps the worker busy with the runs of a sweep, a model at a time."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
import weakref
from collections import deque
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..chat.classrooms import current
from ..chat.provenance import Provenance
from ..chat.reply import Reply
from ..errors import ClosedError, LlamaWidgetsError, from_code
from ..library import fingerprint
from ..options import LoadOptions
from ..requests import SLICE_S, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..chat.settings import Settings
    from ..worker import Worker
    from .plan import Plan, Row

logger = logging.getLogger(__name__)

_TOLD_S = 0.05

_turns: weakref.WeakKeyDictionary[Worker, threading.Lock] = weakref.WeakKeyDictionary()
"""Sweeps of the same worker run one after the other: two with different models would load them in turn."""


class Runner(threading.Thread):
    """Makes runs until all have ended, or until it is stopped.

    Parameters
    ----------
    plan : Plan
        What they are asked with.
    rows : sequence of dict
        The runs to make, in order.
    worker : Worker
        Who makes them.
    settle : callable
        Takes each row when its run has ended.
    finish : callable
        Called after the last of them.
    tell : callable
        Takes the indices of rows that have changed, now and then, and at the end.
    """

    def __init__(
        self,
        plan: Plan,
        rows: Sequence[Row],
        worker: Worker,
        settle: Callable[[Row], None],
        finish: Callable[[], None],
        tell: Callable[[list[int]], None],
    ) -> None:
        super().__init__(name="llama-widgets-sweep", daemon=True)
        self.stopping = False
        self.ended = threading.Event()  # waited for: an interrupted join() takes the thread for ended
        self._plan, self._rows, self._worker = plan, rows, worker
        self._settle, self._finish, self._tell = settle, finish, tell
        self._running: dict[str, _Run] = {}
        self._loading = ""
        self._ends: queue.SimpleQueue[tuple[_Run, p.Event]] = queue.SimpleQueue()
        self._changed: set[int] = set()
        self._next_told = 0.0
        self._from = self._until = 0.0
        self._made = self._tokens = 0

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest takes if it goes on like this; runs that are under way are taken for half made."""
        if not self._made:
            return None
        made = self._made + len(self._running) / 2
        return self._elapsed / made * (len(self._rows) - made)

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens that all runs together make in a second."""
        tokens = self._tokens + sum(run.tokens for run in tuple(self._running.values()))
        return tokens / self._elapsed if tokens else None

    @property
    def _elapsed(self) -> float:
        return (self._until or time.perf_counter()) - self._from

    def stop(self) -> None:
        """Begin no runs any more, and stop those that are made; return at once."""
        self.stopping = True
        for request in (self._loading, *tuple(self._running)):
            self._worker.abort(request)

    def run(self) -> None:
        """Make the runs of one model after those of another."""
        turn = _turns.setdefault(self._worker, threading.Lock())
        try:
            while not turn.acquire(timeout=SLICE_S):
                if self.stopping:
                    return
            try:
                self._from = time.perf_counter()
                for model, rows in itertools.groupby(self._rows, key=lambda row: row["model"]):
                    self._make(model, deque(rows))
            finally:
                self._until = time.perf_counter()
                turn.release()
            self._finish()
        except Exception:  # in a thread it would be printed into some cell
            logger.exception("a sweep ended unexpectedly")
            for row in self._rows:
                if row["state"] == "running":
                    row["state"] = "stopped"
                    self._changed.add(row["index"])
        finally:
            self.ended.set()
            self._tell(sorted(self._changed))

    def _make(self, model: str, waiting: deque[Row]) -> None:
        if self.stopping:
            return
        try:
            sha256 = self._load(model)
        except LlamaWidgetsError as error:
            for row in waiting:
                row["state"], row["error"] = "failed", str(error)
                self._end(row)
            return
        # One sequence is left to whoever chats meanwhile: that is answered at once, and its memory stays.
        loaded = self._worker.loaded
        slots = list(range(max(1, (loaded.n_seq_max if loaded else 0) - 1)))
        while self._running or (waiting and not self.stopping):
            while waiting and slots and not self.stopping:
                self._begin(waiting.popleft(), slots.pop())
            try:
                run, end = self._ends.get(timeout=_TOLD_S)
            except queue.Empty:
                pass
            else:
                del self._running[run.id]
                slots.append(run.slot)
                run.row["model_sha256"] = sha256
                self._take(run, end)
            self._tell_now_and_then()
        self._tell_now_and_then(at_once=True)

    def _load(self, model: str) -> str | None:
        """Load the model if it is not there, and return the hash of its file."""
        if not self._worker.is_loaded(model):
            self._loading = new_id()
            loaded = self._worker.run(
                p.LoadModel(request_id=self._loading, model=model, options=current().load or LoadOptions())
            )
            self.stopping = self.stopping or getattr(loaded, "cancelled", False)
        return fingerprint.of(str(self._worker.find(model))) or None

    def _begin(self, row: Row, slot: int) -> None:
        settings = self._plan.settings(row["params"], row["seed"])
        run = _Run(row, slot, settings)
        self._running[run.id] = run
        row["state"], row["text"] = "running", settings.response_prefix
        self._changed.add(row["index"])
        command = p.GenerateChatCompletion(
            request_id=run.id,
            messages=row["messages"],
            options=settings.options,
            model=row["model"],
            conversation=f"sweep {slot}",  # the memory of its place is used again, and not that of a chat
            thinking=settings.thinking,
            response_prefix=settings.response_prefix,
        )
        self._worker.submit(command, partial(self._hear, run, command))
        if self.stopping:  # stop() may have looked just before
            self._worker.abort(run.id)

    def _hear(self, run: _Run, command: p.Generate, event: p.Event) -> None:
        """Take in what the worker tells, on its thread."""
        if isinstance(event, p.CompletionChunk):
            run.tokens = event.tokens
            if event.segment == "text":
                run.row["text"] += event.text
                self._changed.add(run.row["index"])
        elif isinstance(event, (p.CompletionDone, p.Error)):
            run.seconds = time.perf_counter() - run.begun
            if isinstance(event, p.CompletionDone):
                run.row["made"] = Provenance.of(command, self._worker).known()
            self._ends.put((run, event))

    def _take(self, run: _Run, end: p.Event) -> None:
        row = run.row
        if isinstance(end, p.CompletionDone):
            row.update(cast("Row", _results(run, end)))
            self._tokens += end.usage.completion_tokens
        elif isinstance(end, p.Error):
            error = from_code(end.code, end.message, end.hint)
            row["state"], row["error"] = "failed", str(error)
            if isinstance(error, ClosedError):
                row["state"], self.stopping = "stopped", True
        self._end(row)

    def _end(self, row: Row) -> None:
        self._made += 1
        self._settle(row)
        self._changed.add(row["index"])

    def _tell_now_and_then(self, *, at_once: bool = False) -> None:
        now = time.perf_counter()
        if not self._changed or (now < self._next_told and not at_once):
            return
        self._next_told = now + _TOLD_S
        changed, self._changed = self._changed, set()
        self._tell(sorted(changed))


class _Run:
    """A run that is being made."""

    def __init__(self, row: Row, slot: int, settings: Settings) -> None:
        self.id = new_id()
        self.row, self.slot, self.settings = row, slot, settings
        self.begun = time.perf_counter()
        self.seconds = 0.0
        self.tokens = 0


def _results(run: _Run, done: p.CompletionDone) -> dict[str, Any]:
    """Return what came of a run."""
    settings = run.settings
    reply = Reply(text=settings.response_prefix + done.text, stop_reason=done.stop_reason, schema=settings.schema)
    stopped = done.stop_reason == "abort"
    return {
        "state": "stopped" if stopped else "done",
        "text": reply.text,
        "thoughts": done.thoughts,
        "parsed": None if stopped else reply.parsed,
        "parse_error": "" if stopped else reply.parse_error,
        "stop_reason": done.stop_reason,
        "prompt_tokens": done.usage.prompt_tokens,
        "cached_tokens": done.usage.cached_tokens,
        "completion_tokens": done.usage.completion_tokens,
        "ttft_s": done.timings.ttft_s,
        "decode_tps": done.timings.decode_tps,
        "seconds": run.seconds,
        "mean_logprob": fmean(each["logprob"] for each in done.logprobs) if done.logprobs else None,
        "logprobs": done.logprobs if settings.options.top_logprobs else [],
    }
