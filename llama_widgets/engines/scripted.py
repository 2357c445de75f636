"""An engine that follows a script: for tests of races, and for benchmarks of everything but the model."""

from __future__ import annotations

import base64
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import protocol as p
from ..requests import error_event
from .base import never

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ..cancel import Cancel
    from ..options import LoadOptions


_PATIENCE_S = 0.002
"""How long a step waits for an event, so that others can be heard meanwhile."""


@dataclass(frozen=True)
class Thought:
    """A token of a thought."""

    text: str


@dataclass(frozen=True)
class ToolCalls:
    """What the answer ends with: dicts with ``name`` and ``arguments``."""

    calls: list[dict[str, Any]]


Step: TypeAlias = str | threading.Event | Exception | Thought | ToolCalls
"""A token to emit, an event to wait for, an error to raise, a token of a thought, or tools to call at the end."""


class ScriptedEngine:
    """Answers with the steps that ``script`` gives for each request, one request after the other.

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
    loaded : bool
        Whether a model was loaded.
    """

    def __init__(
        self,
        script: Callable[[p.Generate], Iterable[Step]] | None = None,
        *,
        load: Iterable[Step] = ("25", "50", "75"),
        rate: float | None = None,
    ) -> None:
        self.calls: list[str] = []
        self.loaded = False
        self._script = script or _backwards
        self._load = tuple(load)
        self._rate = rate
        self._answers: deque[_Answer] = deque()

    @property
    def active(self) -> bool:
        """Whether there are requests to ``step`` for."""
        return bool(self._answers)

    def init(self, options: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - takes any
        """Return what there is to know."""
        self.calls.append("init")
        return {"backend": "scripted", "devices": []}

    def load(self, command: p.LoadModel, path: Path, emit: Callable[[p.Event], None], cancel: Cancel) -> p.ModelLoaded:
        """Follow the load script."""
        self.calls.append(f"load {path}")
        self.loaded = False
        steps = [step for step in self._load if isinstance(step, str)]
        for step in self._load:
            if cancel.requested or not _follow(step, cancel):
                return p.ModelLoaded(request_id=command.request_id, model=command.model, cancelled=True)
            if isinstance(step, str):
                done = 1000 * (steps.index(step) + 1) // (len(steps) + 1)
                emit(p.Progress(request_id=command.request_id, operation="load", done=done, total=1000))
        self.loaded = True
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
        n_ctx = 4096 if options.n_ctx == "auto" else options.n_ctx
        return {"n_ctx": n_ctx, "n_seq_max": 1, "memory": 1_000_000}

    def unload(self) -> None:
        """Forget the model."""
        self.calls.append("unload")
        self.loaded = False

    def submit(self, command: p.Generate, emit: Callable[[p.Event], None], cancel: Cancel) -> None:
        """Take a request."""
        self.calls.append(command.type)
        self._answers.append(_Answer(command, emit, cancel, iter(self._script(command))))

    def step(self, quiet: Callable[[], bool] = never) -> None:  # noqa: ARG002 - one at a time
        """Follow the script of the first request by one step, and end those that are to stop."""
        for answer in [answer for answer in self._answers if answer.cancel.requested]:
            self._answers.remove(answer)
            answer.emit(answer.end("abort"))
        if not self._answers:
            return
        answer = self._answers[0]
        try:
            end: p.Event | None = answer.step(self._rate)
        except Exception as error:  # noqa: BLE001 - scripts raise what they like
            end = error_event(answer.command.request_id, error)
        if end is not None:
            self._answers.popleft()
            answer.emit(end)

    def embed(self, command: p.Embed, cancel: Cancel) -> p.EmbedDone:
        """Return the lengths of the texts, as vectors of one number."""
        self.calls.append("embed")
        if cancel.requested:
            return p.EmbedDone(request_id=command.request_id, cancelled=True)
        data = struct.pack(f"<{len(command.texts)}f", *map(len, command.texts))
        shape = [len(command.texts), 1]
        return p.EmbedDone(request_id=command.request_id, data=base64.b64encode(data).decode(), shape=shape)

    def predict(self, command: p.Predict, cancel: Cancel) -> p.PredictDone:
        """Be sure of one word: the last one of what was asked."""
        self.calls.append("predict")
        if cancel.requested:
            return p.PredictDone(request_id=command.request_id, cancelled=True)
        text = str(command.messages[-1]["content"]) if command.messages else command.prompt
        word = (text.split() or [""])[-1]
        sure = {"token": 0, "text": word, "logprob": 0.0, "p": 1.0, "p_after": 1.0, "rank": 1, "cut_by": ""}
        return p.PredictDone(
            request_id=command.request_id, candidates=[sure], chosen=sure, n_tokens=len(text.split()), n_vocab=1
        )

    def judge(self, command: p.Judge, emit: Callable[[p.Event], None], cancel: Cancel) -> p.JudgeDone:
        """Be sure of each word."""
        self.calls.append("judge")
        made: list[dict[str, Any]] = []
        words = command.text.split()
        for word in words:
            if cancel.requested:
                break
            sure = {"token": 0, "text": word, "logprob": 0.0}
            made.append({**sure, "bytes": list(word.encode()), "rank": 1, "top": [sure][: command.top]})
            emit(p.Progress(request_id=command.request_id, operation="prefill", done=len(made), total=len(words)))
        return p.JudgeDone(request_id=command.request_id, tokens=made, n_vocab=1, cancelled=len(made) < len(words))

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Return how many words each text has."""
        self.calls.append("count_tokens")
        return [len(text.split()) for text in texts]

    def status(self) -> dict[str, Any]:
        """Return what is held."""
        return {"memory": 1_000_000 if self.loaded else 0, "sequences": [], "waiting": len(self._answers)}

    def close(self) -> None:
        """Note that it was called."""
        self.calls.append("close")
        self._answers.clear()


@dataclass(eq=False)
class _Answer:
    command: p.Generate
    emit: Callable[[p.Event], None]
    cancel: Cancel
    script: Iterator[Step]
    started: float = 0.0
    first: float | None = None
    gate: threading.Event | None = None
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    def step(self, rate: float | None) -> p.CompletionDone | None:
        """Follow the script by one step; return the end if that was it."""
        self.started = self.started or time.perf_counter()
        if self.gate is not None:
            if not self.gate.wait(_PATIENCE_S):
                return None
            self.gate = None
        step = next(self.script, None)
        if step is None:
            return self.end("eos")
        made = len(self.texts) + len(self.thoughts)
        if rate is not None and self.cancel.wait(self.started + made / rate - time.perf_counter()):
            return self.end("abort")
        if isinstance(step, Exception):
            raise step
        if isinstance(step, threading.Event):
            self.gate = step
        if isinstance(step, ToolCalls):
            calls = [{"id": f"{self.command.request_id}-{index}", **call} for index, call in enumerate(step.calls)]
            return self.end("tool_calls", calls)
        if isinstance(step, (str, Thought)):
            self.first = self.first or time.perf_counter() - self.started
            text, segment = (step, "text") if isinstance(step, str) else (step.text, "thought")
            (self.texts if segment == "text" else self.thoughts).append(text)
            self.emit(
                p.CompletionChunk(
                    request_id=self.command.request_id,
                    seq=made,
                    text=text,
                    tokens=made + 1,
                    segment="text" if segment == "text" else "thought",
                )
            )
        return None

    def end(self, reason: p.StopReason, calls: list[dict[str, Any]] | None = None) -> p.CompletionDone:
        """Return the end of the answer."""
        elapsed = time.perf_counter() - self.started
        made = len(self.texts) + len(self.thoughts)
        return p.CompletionDone(
            request_id=self.command.request_id,
            text="".join(self.texts),
            thoughts="".join(self.thoughts),
            stop_reason=reason,
            tool_calls=calls or [],
            usage=p.Usage(completion_tokens=made, thought_tokens=len(self.thoughts)),
            timings=p.Timings(
                ttft_s=self.first,
                decode_tps=made / elapsed if elapsed and made else None,
                thought_s=elapsed if self.thoughts else None,
            ),
        )


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
