"""llama.cpp in this process: the engine that answers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from ..errors import BusyError, ContextError, InsufficientMemoryError, InvalidModelError, NoModelError, ParameterError
from ..protocol import (
    EmbedDone,
    GenerateChatCompletion,
    Info,
    JudgeDone,
    ModelLoaded,
    PredictDone,
    Progress,
)
from . import gguf, judging, memory, native, prediction, system
from .adapters import Adapters
from .answer import Answer
from .base import never
from .context import Context
from .model import Model
from .parameters import model_params, sequences
from .prompt import beginning, judged, predicted
from .sampling import Sampler
from .scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..cancel import Cancel
    from ..options import LoadOptions
    from ..protocol import Embed, Event, Generate, Judge, LoadModel, Predict
    from .buffers import Needs
    from .memory import Plan


class _Cancelled(Exception):  # noqa: N818 - not an error: someone changed their mind
    """Goes from the progress callback through llama.cpp's loader to ``load``."""


class LlamaEngine:
    """An ``Engine`` over llama.cpp's C API, with one model and one context for many sequences."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._adapters: Adapters | None = None
        self._context: Context | None = None
        self._options: LoadOptions | None = None
        self._needs: Needs | None = None
        self._about: dict[str, Any] = {}
        self._mute = ""  # why the model makes embeddings only
        self.scheduler: Scheduler | None = None

    @property
    def loaded(self) -> bool:
        """Whether there is a model."""
        return self._model is not None

    @property
    def active(self) -> bool:
        """Whether there are requests to ``step`` for."""
        return self.scheduler is not None and self.scheduler.active

    def init(self, options: dict[str, Any]) -> dict[str, Any]:
        """Start llama.cpp; return versions, backend and devices."""
        if options:
            msg = f"The llama.cpp engine has no option {next(iter(options))!r}."
            raise ParameterError(msg, "Options of a model are given when it is loaded.")
        return native.start()

    # The model

    def load(self, command: LoadModel, path: Path, emit: Callable[[Event], None], cancel: Cancel) -> ModelLoaded:
        """Free the model that is there, load ``path`` and make its context. What cannot fit is refused before."""
        self._about = native.start()
        gguf.check(path)
        options = command.options
        plan = self._plan(path, options)
        self.unload()
        try:
            params = model_params(options, plan.n_gpu_layers)
            progress = _load_progress(command.request_id, emit, cancel)
            self._model = model = Model(path, params, progress, options.chat_template)
            self._adapters = Adapters(model, options.lora)
            self._mute = model.why_not_a_chat_model
            if not self._mute:
                self._make_context(options, (plan.n_ctx, *plan.smaller))
            if self.scheduler is not None:
                self.scheduler.read_ahead(beginning(model), cancel)
            if cancel.requested:
                raise _Cancelled
        except _Cancelled:
            self.unload()
            return ModelLoaded(request_id=command.request_id, model=command.model, path=str(path), cancelled=True)
        except BaseException:
            self.unload()
            raise
        self._options, self._needs = options, plan.needs
        for warning in self._warnings(path, model):
            emit(Info(request_id=command.request_id, level="warning", message=warning))
        return self._loaded_event(command, path, model)

    def create_context(self, options: LoadOptions, cancel: Cancel) -> dict[str, Any]:  # noqa: ARG002 - it takes 20 ms
        """Replace the context of the loaded model; if that fails, the one before is made again."""
        model, context, _ = self._answering()
        before = self._options or options
        if self.active:
            msg = "The context is in use."
            raise BusyError(msg, "Wait for the answers that are being made, or stop them.")
        plan = self._plan(model.path, options)
        context.close()
        try:
            self._make_context(options, (plan.n_ctx, *plan.smaller))
        except BaseException:
            try:
                self._make_context(before, (context.n_ctx,))
            except BaseException:
                self.unload()
                raise
            raise
        self._options, self._needs = options, plan.needs
        _, context, _ = self._answering()
        return {"n_ctx": context.n_ctx, "n_seq_max": context.n_seq_max, "memory": self._memory}

    def unload(self) -> None:
        """Free model and context."""
        if self.scheduler is not None:
            self.scheduler.close()
        for part in (self._context, self._adapters, self._model):
            if part is not None:
                part.close()
        self._context = self._adapters = self._model = self._options = self._needs = self.scheduler = None

    def close(self) -> None:
        """Free everything."""
        self.unload()

    def status(self) -> dict[str, Any]:
        """Return what ``init`` does, the memory in bytes, what of it an unload gives back, and what sequences hold."""
        scheduler, context = self.scheduler, self._context
        held: dict[str, Any] = {"about": self._about, "memory": self._memory, "freed": self._freed}
        if scheduler is None or context is None:
            return {**held, "sequences": [], "waiting": 0}
        return {
            **held,
            "n_ctx": context.n_ctx,
            "n_seq_max": context.n_seq_max,
            "sequences": [
                {"conversation": sequence.conversation, "tokens": len(sequence.tokens), "busy": sequence.busy}
                for sequence in scheduler.cache.sequences
                if sequence.tokens or sequence.busy
            ],
            "waiting": len(scheduler.waiting),
        }

    # Answers

    def submit(self, command: Generate, emit: Callable[[Event], None], cancel: Cancel) -> None:
        """Take a request to answer together with the others."""
        model, context, scheduler = self._answering()
        if (
            isinstance(command, GenerateChatCompletion)
            and command.thinking != "auto"
            and not model.template.thinking_known
        ):
            message = "The chat template of this model does not know whether to think: the setting has no effect."
            emit(Info(request_id=command.request_id, level="warning", message=message))
        scheduler.submit(Answer(command, model, context.n_ctx, scheduler.flow.lane(emit), cancel))

    def step(self, quiet: Callable[[], bool] = never) -> None:
        """Work a little on all requests, and on while they draw and it is ``quiet``."""
        if self.scheduler is not None:
            self.scheduler.step(quiet)

    def embed(self, command: Embed, cancel: Cancel) -> EmbedDone:
        """Return a vector for each text."""
        if self._model is None or self._options is None:
            raise _no_model()
        from . import embedding

        vectors, tokens = embedding.embed(self._model, command.texts, self._options, cancel, self._adapters)
        if cancel.requested:
            return EmbedDone(request_id=command.request_id, cancelled=True)
        return EmbedDone(
            request_id=command.request_id,
            data=base64.b64encode(vectors.astype("<f4").tobytes()).decode(),
            shape=list(vectors.shape),
            tokens=tokens,
        )

    def predict(self, command: Predict, cancel: Cancel) -> PredictDone:
        """Return how likely each token is to come next."""
        model, context, scheduler = self._answering()
        options = command.options
        if options.grammar is not None or options.json_schema is not None:
            msg = "What comes next is told without a grammar."
            raise ParameterError(msg, "Leave out grammar and json_schema.")
        tokens = predicted(command, model, context.n_ctx)
        index = scheduler.read(tokens, cancel, command.conversation)
        if index is None:
            if cancel.requested:
                return PredictDone(request_id=command.request_id, cancelled=True)
            raise ContextError("The text could not be read.", "Shorten it, or load the model again.")
        sampler = Sampler(options, model, tokens)
        try:
            found = prediction.predict(model, sampler, context.handle, index, command.top)
        finally:
            sampler.close()
        return PredictDone(
            request_id=command.request_id,
            n_tokens=len(tokens),
            n_vocab=model.n_vocab,
            ended=bool(command.response_tokens) and model.pieces[command.response_tokens[-1]] is None,
            **found,
        )

    def judge(self, command: Judge, emit: Callable[[Event], None], cancel: Cancel) -> JudgeDone:
        """Return how likely each token of a text is."""
        model, context, _ = self._answering()
        options = self._options
        assert options is not None  # noqa: S101 - it was loaded
        tokens, before = judged(command, model, context.n_ctx)
        needs, free = context.memory * len(tokens) // context.n_ctx, system.free_memory()
        if options.check_memory and needs > free:
            msg = f"To judge {len(tokens):,} tokens takes {system.size(needs)}, and {system.size(free)} are free."
            raise InsufficientMemoryError(msg, "Judge a shorter text, or free memory.")

        def report(done: int) -> None:
            emit(Progress(request_id=command.request_id, operation="prefill", done=done, total=len(tokens)))

        found = judging.judge(model, tokens, before, command.top, options, report, cancel, self._adapters)
        return JudgeDone(
            request_id=command.request_id,
            tokens=found,
            n_before=before,
            n_vocab=model.n_vocab,
            cancelled=cancel.requested and len(found) < len(tokens) - before,
        )

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Return how many tokens the model makes of each text."""
        if self._model is None:
            raise _no_model()
        return [self._model.count(text) for text in texts]

    # Parts

    def _answering(self) -> tuple[Model, Context, Scheduler]:
        """Return what answers, or raise why nothing does."""
        model, context, scheduler = self._model, self._context, self.scheduler
        if model is None:
            raise _no_model()
        if context is None or scheduler is None:
            msg = f"The model cannot answer: {self._mute}."
            raise InvalidModelError(msg, "Choose a model for text or chat.")
        return model, context, scheduler

    def _plan(self, path: Path, options: LoadOptions) -> Plan:
        """Plan what is to take the place of what is there."""
        freed, freed_gpu = self._freed
        return memory.plan(path, options, freed=freed, freed_gpu=freed_gpu)

    @property
    def _freed(self) -> tuple[int, int]:
        """Bytes that the system and the GPUs would have again without the model."""
        needs = self._needs
        return (needs.private, needs.gpu) if needs else (0, 0)

    @property
    def _memory(self) -> int:
        model, context = self._model, self._context  # once: another thread may be freeing them
        return (model.size if model is not None else 0) + (context.memory if context is not None else 0)

    def _make_context(self, options: LoadOptions, sizes: tuple[int, ...]) -> None:
        """Make a context of the first of ``sizes`` that llama.cpp finds memory for, if the model can chat."""
        model = self._model
        assert model is not None  # noqa: S101 - it was loaded
        size, *smaller = sizes
        try:
            context = Context(model, options, size, sequences(options, model.keeps_state), self._adapters)
        except ContextError:
            if not smaller:
                raise
            self._make_context(options, tuple(smaller))
        except InvalidModelError as error:
            self._mute = error.message
        else:
            self._context, self.scheduler = context, Scheduler(context)

    def _loaded_event(self, command: LoadModel, path: Path, model: Model) -> ModelLoaded:
        context = self._context
        return ModelLoaded(
            request_id=command.request_id,
            model=command.model,
            name=model.metadata("general.name") or path.stem,
            path=str(path),
            architecture=model.metadata("general.architecture"),
            quantisation=model.quantisation,
            n_params=model.n_params,
            n_ctx=context.n_ctx if context else 0,
            n_ctx_train=model.n_ctx_train,
            n_seq_max=context.n_seq_max if context else 0,
            template=model.template.origin,
            template_sha256=model.template.sha256,
            memory=self._memory,
            supports={
                **model.template.supports,
                "chat": context is not None,
                "embeddings": True,
                "infill": model.infill_marks is not None,
            },
        )

    def _warnings(self, path: Path, model: Model) -> list[str]:
        context = self._context
        if context is None:
            return [f"{path.name} makes embeddings and cannot answer: {self._mute}."]
        warnings = []
        if problem := model.template.problem:
            warnings.append(f"{path.name} is used with a plain template, User: ... Assistant: ..., because {problem}.")
        if model.unlocked:
            warnings.append("use_mlock has no effect: this process may not lock that much memory (see ulimit -l).")
        if context.n_ctx > model.n_ctx_train:
            warnings.append(
                f"The context of {context.n_ctx:,} tokens is longer than the {model.n_ctx_train:,} the model was "
                "trained on; answers may get worse beyond."
            )
        return warnings


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


def _no_model() -> NoModelError:
    return NoModelError("No model is loaded.", "Load one first.")
