"""llama.cpp in this process: the engine that answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import InvalidModelError, NoModelError, ParameterError
from ..protocol import (
    CompletionChunk,
    CompletionDone,
    GenerateCompletion,
    Info,
    ModelLoaded,
    Progress,
    StopReason,
    Timings,
    Usage,
)
from . import gguf, native
from .context import Context
from .model import Model
from .sampling import sampler
from .text import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..cancel import Cancel
    from ..options import LoadOptions
    from ..protocol import Event, Generate, LoadModel


class _Cancelled(Exception):  # noqa: N818 - not an error: someone changed their mind
    """Goes from the progress callback through llama.cpp's loader to ``load``."""


class LlamaEngine:
    """An ``Engine`` over llama.cpp's C API, with one model, one context and one sequence in it."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._context: Context | None = None
        self._options: LoadOptions | None = None

    @property
    def tokens(self) -> list[int]:
        """The tokens in the memory of the model, which the next prompt may share."""
        return [] if self._context is None else list(self._context.tokens)

    def memory_positions(self) -> tuple[int, int]:
        """Return the first and the last position in llama.cpp's memory; (-1, -1) if it is empty."""
        return (-1, -1) if self._context is None else self._context.positions()

    def init(self, options: dict[str, Any]) -> dict[str, Any]:
        """Start llama.cpp; return versions, backend and devices."""
        if options:
            msg = f"The llama.cpp engine has no option {next(iter(options))!r}."
            raise ParameterError(msg, "Options of a model are given when it is loaded.")
        return native.start()

    def load(self, command: LoadModel, path: Path, emit: Callable[[Event], None], cancel: Cancel) -> ModelLoaded:
        """Free the model that is there, load ``path`` and make its context."""
        self.unload()
        native.start()
        gguf.check(path)
        options = command.options
        layers = options.n_gpu_layers
        if layers == "auto":
            layers = -1 if llama_cpp.llama_supports_gpu_offload() else 0
        try:
            self._model = Model(path, layers, _load_progress(command.request_id, emit, cancel))
            if why_not := self._model.why_not_a_chat_model:
                msg = f"{path.name} cannot answer: {why_not}."
                raise InvalidModelError(msg, "Choose a model for text or chat.")
            self._context = Context(self._model, options)
            if cancel.requested:
                raise _Cancelled
        except _Cancelled:
            self.unload()
            return ModelLoaded(request_id=command.request_id, model=command.model, path=str(path), cancelled=True)
        except BaseException:
            self.unload()
            raise
        self._options = options
        for warning in _warnings(path, self._model, self._context):
            emit(Info(request_id=command.request_id, level="warning", message=warning))
        return _loaded(command, path, self._model, self._context)

    def create_context(self, options: LoadOptions, cancel: Cancel) -> dict[str, Any]:  # noqa: ARG002 - it takes 20 ms
        """Replace the context of the loaded model; if that fails, the one before is made again."""
        if self._model is None or self._context is None or self._options is None:
            raise _no_model()
        self._context.close()
        try:
            self._context = Context(self._model, options)
        except BaseException:
            try:
                self._context = Context(self._model, self._options)
            except BaseException:
                self.unload()
                raise
            raise
        self._options = options
        return {"n_ctx": self._context.n_ctx, "memory": self._model.size + self._context.memory}

    def unload(self) -> None:
        """Free model and context."""
        if self._context is not None:
            self._context.close()
        if self._model is not None:
            self._model.close()
        self._context = self._model = self._options = None

    def close(self) -> None:
        """Free everything."""
        self.unload()

    def generate(self, command: Generate, emit: Callable[[Event], None], cancel: Cancel) -> CompletionDone:
        """Answer a prompt or a conversation."""
        if self._model is None or self._context is None:
            raise _no_model()
        started = time.perf_counter()
        text, stop = _prompt(command, self._model)
        prompt = self._model.tokenise(text, self._context.n_ctx)
        if not prompt:  # llama.cpp would go on from whatever it computed last
            msg = "Nothing of the prompt reaches the model."
            raise ParameterError(msg, "Its chat template leaves these messages out; try others, or another model.")
        flag = native.AbortFlag()  # a new one each time: a late abort of an earlier request must not reach this one
        self._context.attach(flag)
        cancel.on_request(flag.set)
        answer = _Answer(command, self._model, self._context, TextStream(stop), emit, cancel, started)
        with sampler(command.options, self._model.n_vocab, prompt) as chain:
            return answer.run(prompt, chain)


@dataclass
class _Answer:
    """One answer in the making: reads the prompt, draws tokens, emits their text."""

    command: Generate
    model: Model
    context: Context
    stream: TextStream
    emit: Callable[[Event], None]
    cancel: Cancel
    started: float
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    read: float = 0
    first: float = 0
    last: float = 0

    def run(self, prompt: list[int], chain: int) -> CompletionDone:
        cached = self.context.reuse(prompt)
        reason = self._read_prompt(prompt) or self._draw(chain)
        evaluated = max(0, min(len(self.context.tokens), len(prompt)) - cached)
        self._give(self.stream.flush())
        return CompletionDone(
            request_id=self.command.request_id,
            text="".join(self.texts),
            stop_reason=reason,
            usage=Usage(prompt_tokens=len(prompt), cached_tokens=cached, completion_tokens=self.tokens),
            timings=self._timings(evaluated),
        )

    def _read_prompt(self, prompt: list[int]) -> StopReason | None:
        """Evaluate the prompt from where the memory ends, a batch at a time."""
        begun, cached = time.perf_counter(), len(self.context.tokens)
        self._report(cached, len(prompt), None)
        for start in range(cached, len(prompt), self.context.n_batch):
            if self.cancel.requested:
                return "abort"
            if reason := self.context.evaluate(prompt[start : start + self.context.n_batch]):
                return reason
            self.read = time.perf_counter() - begun
            done = len(self.context.tokens)
            self._report(done, len(prompt), (done - cached) / self.read)
        return None

    def _report(self, done: int, total: int, rate: float | None) -> None:
        eta = (total - done) / rate if rate else None
        progress = Progress(
            request_id=self.command.request_id, operation="prefill", done=done, total=total, rate=rate, eta_s=eta
        )
        self.emit(progress)

    def _draw(self, chain: int) -> StopReason:
        """Draw tokens until something ends the answer."""
        context, stream, sample = self.context, self.stream, llama_cpp.llama_sampler_sample
        handle, n_ctx, most = context.handle, context.n_ctx, self.command.options.max_tokens
        while True:
            token = sample(chain, handle, -1)
            self.last = time.perf_counter()
            piece = self.model.piece(token)
            if piece is None:
                return "eos"
            self.tokens += 1
            if self.tokens == 1:
                self.first = self.last
            self._give(stream.feed(piece))
            if stream.stopped:
                return "stop"
            if self.tokens == most:
                return "max_tokens"
            if self.cancel.requested:
                return "abort"
            if len(context.tokens) >= n_ctx:
                return "context_full"
            if reason := context.evaluate((token,)):
                return reason

    def _give(self, text: str) -> None:
        if text:
            self.emit(
                CompletionChunk(request_id=self.command.request_id, seq=len(self.texts), text=text, tokens=self.tokens)
            )
            self.texts.append(text)

    def _timings(self, evaluated: int) -> Timings:
        drawing = self.last - self.first
        return Timings(
            ttft_s=self.first - self.started if self.tokens else None,
            prefill_tps=evaluated / self.read if self.read else None,
            decode_tps=(self.tokens - 1) / drawing if self.tokens > 1 and drawing else None,
        )


def _prompt(command: Generate, model: Model) -> tuple[str, list[str]]:
    """Return the text to continue and the texts that end the answer."""
    stop = list(command.options.stop)
    if isinstance(command, GenerateCompletion):
        if not command.prompt:
            msg = "The prompt is empty."
            raise ParameterError(msg, "Write something first.")
        return command.prompt, stop
    text = model.template.render(command.messages, command.thinking)
    return text + command.response_prefix, [*stop, *model.template.stop]


def _load_progress(request_id: str, emit: Callable[[Event], None], cancel: Cancel) -> Callable[[float], None]:
    """Return what llama.cpp tells the part that is loaded: an event for each thousandth, not for each tensor."""
    shown = -1

    def on_progress(part: float) -> None:
        nonlocal shown
        if cancel.requested:
            raise _Cancelled
        done = int(part * 1000)
        if done != shown:
            shown = done
            emit(Progress(request_id=request_id, operation="load", done=done, total=1000))

    return on_progress


def _warnings(path: Path, model: Model, context: Context) -> list[str]:
    warnings = []
    if model.template.problem:
        problem = model.template.problem
        warnings.append(f"{path.name} is used with a plain template, User: ... Assistant: ..., because {problem}.")
    if context.n_ctx > model.n_ctx_train:
        warnings.append(
            f"The context of {context.n_ctx:,} tokens is longer than the {model.n_ctx_train:,} the model was trained "
            "on; answers may get worse beyond."
        )
    return warnings


def _loaded(command: LoadModel, path: Path, model: Model, context: Context) -> ModelLoaded:
    return ModelLoaded(
        request_id=command.request_id,
        model=command.model,
        name=model.metadata("general.name") or path.stem,
        path=str(path),
        architecture=model.metadata("general.architecture"),
        quantisation=model.quantisation,
        n_params=model.n_params,
        n_ctx=context.n_ctx,
        n_ctx_train=model.n_ctx_train,
        template=model.template.origin,
        memory=model.size + context.memory,
        supports=model.template.supports,
    )


def _no_model() -> NoModelError:
    return NoModelError("No model is loaded.", "Load one first.")
