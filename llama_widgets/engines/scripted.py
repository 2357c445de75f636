"""An engine that follows a script: for tests of races, and for benchmarks of everything but the model."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from .. import protocol as p

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ..cancel import Cancel
    from ..options import LoadOptions

    Step = str | threading.Event | Exception
    """A token to emit, an event to wait for, or an error to raise."""


class ScriptedEngine:
    """Answers with the steps that ``script`` gives for each request.

    Parameters
    ----------
    script : callable
        Takes the command, returns its steps. By default the answer is the last message's words, backwards.
    load : iterable of steps
        What happens while a model loads; texts are steps of progress.
    rate : float, optional
        Tokens per second; by default as fast as possible.

    Attributes
    ----------
    calls : list of str
        What was asked of the engine, in order.
    """

    def __init__(
        self,
        script: Callable[[p.Generate], Iterable[Step]] | None = None,
        *,
        load: Iterable[Step] = ("25", "50", "75"),
        rate: float | None = None,
    ) -> None:
        self.calls: list[str] = []
        self._script = script or _backwards
        self._load = tuple(load)
        self._rate = rate

    def init(self, options: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - takes any
        """Return what there is to know."""
        self.calls.append("init")
        return {"backend": "scripted", "devices": []}

    def load(self, command: p.LoadModel, path: Path, emit: Callable[[p.Event], None], cancel: Cancel) -> p.ModelLoaded:
        """Follow the load script."""
        self.calls.append(f"load {path}")
        steps = [step for step in self._load if isinstance(step, str)]
        for step in self._load:
            if cancel.requested or not self._follow(step, cancel):
                return p.ModelLoaded(request_id=command.request_id, model=command.model, cancelled=True)
            if isinstance(step, str):
                done = 1000 * (steps.index(step) + 1) // (len(steps) + 1)
                emit(p.Progress(request_id=command.request_id, operation="load", done=done, total=1000))
        return p.ModelLoaded(
            request_id=command.request_id,
            model=command.model,
            name=path.stem,
            path=str(path),
            quantisation="F32",
            n_ctx=4096,
            n_ctx_train=4096,
            memory=1_000_000,
        )

    def create_context(self, options: LoadOptions, cancel: Cancel) -> dict[str, Any]:  # noqa: ARG002 - none needed
        """Return the size of a context that is not there."""
        self.calls.append("create_context")
        return {"n_ctx": 4096 if options.n_ctx == "auto" else options.n_ctx, "memory": 1_000_000}

    def unload(self) -> None:
        """Forget the model."""
        self.calls.append("unload")

    def generate(self, command: p.Generate, emit: Callable[[p.Event], None], cancel: Cancel) -> p.CompletionDone:
        """Follow the script of ``command``."""
        self.calls.append(command.type)
        start = time.perf_counter()
        pieces: list[str] = []
        first: float | None = None
        stop_reason: p.StopReason = "eos"
        for step in self._script(command):
            if self._rate is not None:
                cancel.wait(start + len(pieces) / self._rate - time.perf_counter())
            if cancel.requested or not self._follow(step, cancel):
                stop_reason = "abort"
                break
            if isinstance(step, str):
                first = first or time.perf_counter() - start
                pieces.append(step)
                seq, tokens = len(pieces) - 1, len(pieces)
                emit(p.CompletionChunk(request_id=command.request_id, seq=seq, text=step, tokens=tokens))
        elapsed = time.perf_counter() - start
        return p.CompletionDone(
            request_id=command.request_id,
            text="".join(pieces),
            stop_reason=stop_reason,
            usage=p.Usage(completion_tokens=len(pieces)),
            timings=p.Timings(ttft_s=first, decode_tps=len(pieces) / elapsed if elapsed and pieces else None),
        )

    def close(self) -> None:
        """Note that it was called."""
        self.calls.append("close")

    @staticmethod
    def _follow(step: Step, cancel: Cancel) -> bool:
        """Wait or raise as ``step`` says; return False if that was cut short."""
        if isinstance(step, Exception):
            raise step
        if isinstance(step, threading.Event):
            cancel.on_request(step.set)
            step.wait()
            return not cancel.requested
        return True


def _backwards(command: p.Generate) -> list[str]:
    text = command.prompt if isinstance(command, p.GenerateCompletion) else str(command.messages[-1]["content"])
    return [f"{word} " for word in reversed(text.split())]
