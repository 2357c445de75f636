"""A conversation with a model, with no widget: ask, stop, stream, and what was said."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..errors import BusyError, NoModelError, ParameterError, from_code
from ..listeners import Listeners
from ..options import GenerationOptions, LoadOptions
from ..requests import SLICE_S, error_event, new_id
from ..wire import build
from ..worker import Worker, shared
from .answer import Answer
from .turns import Change, Rejected, Snapshot, Turn, TurnChanged, prompt, read_turns, without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from .turns import Reply

    Watcher = Callable[[p.Event | Change], None]

logger = logging.getLogger(__name__)

_POLL_S = 0.01


class Chat:
    """A conversation with a model.

    Parameters
    ----------
    model : str or path or Model, optional
        A path, a reference such as ``"hf:user/repo:Q4_K_M"``, or an entry of ``lw.models()``. It is loaded with the
        first question, once for all conversations that name it.
    system : str, optional
        The system prompt.
    messages : list of dict, optional
        A conversation to go on with: ``{"role": "user" or "assistant", "content": ...}``.
    worker : Worker, optional
        By default the one that all conversations of this process share.
    **options
        As in ``GenerationOptions``: temperature, top_k, top_p, min_p, repeat_penalty, seed, max_tokens, stop.

    Raises
    ------
    ParameterError
        If an option is unknown, of the wrong type or out of range.

    Examples
    --------
    >>> chat = Chat("model.gguf", temperature=0)  # doctest: +SKIP
    >>> chat.ask("Why is the sky blue?").text  # doctest: +SKIP
    """

    def __init__(
        self,
        model: object = None,
        *,
        system: str | None = None,
        messages: Iterable[Mapping[str, Any]] = (),
        worker: Worker | None = None,
        **options: Any,  # noqa: ANN401 - checked against GenerationOptions
    ) -> None:
        self._lock = threading.RLock()
        self._own_worker = worker
        self._watchers: Listeners[p.Event | Change] = Listeners()
        self._answer: Answer | None = None
        self._teller = 0  # the thread that calls the watchers
        self.model = model
        self.system = system
        self.options = self._checked(GenerationOptions(), options)
        self._turns = read_turns(messages)

    @property
    def worker(self) -> Worker:
        """The worker that answers."""
        return self._own_worker or shared()

    @property
    def model(self) -> str:
        """The model that answers, as it is named; "" if none is."""
        return self._model

    @model.setter
    def model(self, model: object) -> None:
        self._model = model_text(model)

    @property
    def system(self) -> str | None:
        """The system prompt."""
        return self._system

    @system.setter
    def system(self, system: object) -> None:
        if not isinstance(system, (str, type(None))):
            msg = f"The system prompt must be text, not {type(system).__name__}."
            raise ParameterError(msg, "Give a string, or None for no system prompt.")
        self._system = system

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was said, oldest first: dicts with ``role`` and ``content``, for answers how they were made too."""
        with self._lock:
            return [turn.to_dict() for turn in self._turns]

    @messages.setter
    def messages(self, messages: Iterable[Mapping[str, Any]]) -> None:
        turns = read_turns(messages)
        with self._lock:
            self._forbid_busy()
            self._turns = turns
            self._tell(self.snapshot())

    @property
    def busy(self) -> bool:
        """Whether an answer is being made or waited for."""
        return self._answer is not None

    @property
    def running(self) -> str:
        """The request id of the answer that is being made; "" if none is."""
        answer = self._answer
        return answer.request_id if answer else ""

    def submit(self, text: object, *, request_id: str | None = None, **options: Any) -> Answer:  # noqa: ANN401
        """Ask without waiting.

        Parameters
        ----------
        text : str
            The question.
        request_id : str, optional
            Name of the request, by default a new one.
        **options
            For this answer only.

        Returns
        -------
        Answer
            Its ``future`` is done when the answer has ended.

        Raises
        ------
        BusyError
            If this conversation is still answering.
        NoModelError
            If it has no model.
        ParameterError
            If the question is empty or not text, or an option is wrong.
        """
        if not isinstance(text, str):
            msg = f"A question must be text, not {type(text).__name__}."
            raise ParameterError(msg, "For example chat.ask('Why is the sky blue?').")
        if not text.strip():
            msg = "The message is empty."
            raise ParameterError(msg, "Write something for the model to answer.")
        text = without_lone_surrogates(text)
        checked = self._checked(self.options, options)
        model = self._named_model()
        question, turn = Turn(role="user", pieces=[text]), Turn(role="assistant", pieces=[])
        answer = Answer(request_id or new_id(), question, turn, model)
        try:
            with self._lock:
                self._forbid_busy()
                self._answer = answer
                self._turns += (question, turn)
                command = p.GenerateChatCompletion(
                    request_id=answer.request_id,
                    messages=prompt(self._turns, self.system),
                    options=checked,
                    model=model,
                )
                for added in (question, turn):
                    self._tell(TurnChanged(request_id=answer.request_id, turn=added.to_dict()))
            self.worker.submit(command, lambda event: self._hear(answer, event))
        except BaseException as error:  # an interrupt of the kernel comes anywhere, and nobody else would end this
            self._give_up(answer, error)
            raise
        return answer

    def ask(self, text: str, **options: Any) -> Reply:  # noqa: ANN401
        """Ask and wait for the answer.

        Interrupting the kernel stops the answer, keeps what was said until then in ``messages`` and raises
        ``KeyboardInterrupt``, so that a loop of questions ends too. Takes and raises what ``submit`` does, and what
        goes wrong while the model loads and answers.
        """
        self._forbid_waiting()
        answer = self.submit(text, **options)
        try:
            return answer.wait()
        except KeyboardInterrupt:
            self._leave(answer)
            answer.future.exception()  # a few milliseconds: the partial answer is in place when the cell ends
            raise

    async def ask_async(self, text: str, **options: Any) -> Reply:  # noqa: ANN401
        """Ask and await the answer; widgets and other tasks go on meanwhile. Cancelling the task stops the answer."""
        answer = self.submit(text, **options)
        future = asyncio.wrap_future(answer.future)
        try:
            # In slices: a signal that comes just before the event loop goes to sleep is handled when it next wakes, and
            # ipykernel 6 has nothing else that would wake it. One interrupt in ten was lost that way.
            while not future.done():
                await asyncio.wait({future}, timeout=SLICE_S)
            return future.result()
        finally:
            future.cancel()  # only ours: the answer's own cannot be cancelled, and nobody asks this one any more
            self._leave(answer)

    def stream(self, text: str, **options: Any) -> Iterator[str]:  # noqa: ANN401
        """Ask and return the answer piece by piece as it is made; leaving the loop early stops it."""
        self._forbid_waiting()
        return self._pieces(self.submit(text, **options))

    async def stream_async(self, text: str, **options: Any) -> AsyncIterator[str]:  # noqa: ANN401
        """Ask and yield the answer piece by piece, as ``stream`` does, without blocking the event loop."""
        answer = self.submit(text, **options)
        try:
            while True:
                try:
                    piece = answer.pieces.get_nowait()
                except queue.Empty:
                    await asyncio.sleep(_POLL_S)  # not in a thread, which a cancelled task would leave behind
                    continue
                if piece is None:
                    break
                yield piece
        finally:
            self._leave(answer)
        answer.wait()

    def load(self, **options: Any) -> p.ModelLoaded:  # noqa: ANN401 - checked against LoadOptions
        """Load the model now, not with the first question, and wait for it.

        Parameters
        ----------
        **options
            As in ``LoadOptions``: n_ctx, n_gpu_layers, n_batch, n_threads.

        Returns
        -------
        ModelLoaded
            What was loaded; ``cancelled`` if someone stopped it.

        Raises
        ------
        ModelError
            If it cannot be loaded.
        """
        checked = build(LoadOptions, options, where="the load options", error=ParameterError)
        command = p.LoadModel(request_id=new_id(), model=self._named_model(), options=checked)
        return cast("p.ModelLoaded", self.worker.run(command))

    def stop(self) -> bool:
        """Stop the answer that is being made, keeping what was said; return whether there was one."""
        running = self.running
        return bool(running and self.worker.abort(running))

    def clear(self) -> None:
        """Forget the conversation; raises ``BusyError`` while it is answering."""
        self.messages = []

    def snapshot(self) -> Snapshot:
        """Return the whole conversation as it stands. ``seq`` is for who sends it to fill in."""
        with self._lock:
            answer = self._answer
            return Snapshot(
                request_id="",
                turns=self.messages,
                running=answer.request_id if answer else "",
                tokens=answer.tokens if answer else 0,
            )

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with every change and every event of an answer; return a function that ends that.

        Changes come in their order, one at a time, on the thread that makes them; the watcher must return soon.
        """
        return self._watchers.add(watcher)

    def with_lock(self, action: Callable[[], None]) -> None:
        """Run ``action`` between two changes, so that what it reads and sends is in order with them."""
        with self._lock:
            action()

    def _named_model(self) -> str:
        if not self.model:
            msg = "No model is chosen."
            raise NoModelError(msg, "Choose one in the panel, or name one: chat.model = lw.models()[0].")
        return self.model

    def _hear(self, answer: Answer, event: p.Event) -> None:
        with self._lock:
            if self._answer is not answer:
                return  # it has ended
            if isinstance(event, p.CompletionDone):
                self._settle(answer, event)
            elif isinstance(event, p.Error):
                self._fail(answer, event)
            else:
                if isinstance(event, p.CompletionChunk):
                    answer.turn.pieces.append(event.text)
                    answer.tokens = event.tokens
                    answer.pieces.put(event.text)
                self._tell(event)

    def _settle(self, answer: Answer, done: p.CompletionDone) -> None:
        answer.turn.pieces[:] = [done.text]
        answer.turn.done = done
        self._answer = None
        try:
            self._tell(TurnChanged(request_id=answer.request_id, turn=answer.turn.to_dict()))
            self._tell(done)
        finally:
            answer.settle(done)

    def _fail(self, answer: Answer, error: p.Error) -> None:
        self._answer = None
        try:
            if answer.turn.content:  # what was said stays
                answer.turn.error = error.message
                self._tell(TurnChanged(request_id=answer.request_id, turn=answer.turn.to_dict()))
            else:
                self._turns = [turn for turn in self._turns if turn not in (answer.question, answer.turn)]
                text, turn = answer.question.content, answer.question.id
                self._tell(Rejected(request_id=answer.request_id, text=text, turn=turn))
            self._tell(error)
        finally:
            answer.fail(from_code(error.code, error.message, error.hint))

    def _give_up(self, answer: Answer, error: BaseException) -> None:
        """End an answer that could not be asked for, or was interrupted while it was."""
        if self._answer is answer:
            self._leave(answer)
            if isinstance(error, KeyboardInterrupt):
                self._hear(answer, p.CompletionDone(request_id=answer.request_id, text="", stop_reason="abort"))
            else:
                self._hear(answer, error_event(answer.request_id, error))

    def _leave(self, answer: Answer) -> None:
        """Stop an answer that nobody waits for any more, if it has not ended."""
        if not answer.future.done():
            self.worker.abort(answer.request_id)

    def _pieces(self, answer: Answer) -> Iterator[str]:
        try:
            while True:
                try:
                    piece = answer.pieces.get(timeout=SLICE_S)
                except queue.Empty:
                    continue
                if piece is None:
                    break
                yield piece
        finally:
            self._leave(answer)
        answer.wait()

    def _forbid_busy(self) -> None:
        if self._answer is not None:
            msg = "This conversation is still answering."
            raise BusyError(msg, "Wait for it, or stop it first.")

    def _forbid_waiting(self) -> None:
        """Raise ``BusyError`` inside callbacks, where waiting for an answer would wait for ever."""
        self.worker.forbid_own_thread()
        if self._teller == threading.get_ident():
            msg = "An answer cannot be waited for inside a callback of its conversation."
            raise BusyError(msg, "Start it without waiting, with submit(), or from another thread.")

    def _tell(self, change: p.Event | Change) -> None:
        before, self._teller = self._teller, threading.get_ident()
        try:
            self._watchers.tell(change)
        finally:
            self._teller = before

    @staticmethod
    def _checked(base: GenerationOptions, options: dict[str, Any]) -> GenerationOptions:
        build(GenerationOptions, options, where="the generation options", error=ParameterError)
        return replace(base, **options)


def model_text(model: object) -> str:
    """Return how ``model`` (a path, reference, entry of ``lw.models()`` or nothing) is named in messages."""
    if model is None:
        return ""
    named = getattr(model, "model", model)
    if isinstance(named, os.PathLike):
        named = os.fspath(named)
    if not isinstance(named, str):
        msg = f"A model must be a path or a reference, not {type(model).__name__}."
        raise ParameterError(msg, 'For example "hf:user/repo:Q4_K_M", or an entry of lw.models().')
    # It travels to the browser, and half a character cannot; the others of these stand for bytes in a file's name.
    return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", named)
