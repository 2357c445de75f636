"""A conversation with a model, with no widget: ask, stop, stream, and what was said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..errors import NoModelError, ParameterError
from ..options import LoadOptions
from ..requests import new_id
from ..wire import build
from ..worker import Worker, shared
from . import archive, plans
from .answer import Answer
from .asking import Asking
from .branches import Branches
from .classrooms import current
from .exporting import Exporting
from .presets import Presets, settings_of, system_text
from .record import Record
from .rounds import Rounds
from .turns import read_turns

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..options import GenerationOptions
    from .changes import Change, Snapshot
    from .plans import Plan
    from .turns import Turn

    Watcher = Callable[[p.Event | Change], object]

_ALTERNATIVES = 5


class Chat(Asking, Branches, Exporting, Presets):
    """A conversation with a model.

    Parameters
    ----------
    model : str or path or Model, optional
        A path, a reference such as ``"hf:user/repo:Q4_K_M"``, or an entry of ``lw.models()``. It is loaded with the
        first question, once for all conversations that name it.
    system : str, optional
        The system prompt.
    messages : list of dict, optional
        A conversation to go on with: ``{"role": "user" or "assistant", "content": ...}``, or what ``messages`` of
        another one was.
    worker : Worker, optional
        By default the one that all conversations of this process share.
    store : path, optional
        A file such as "chat.json": if it exists, its conversations are gone on with; it is written after each turn.
    **options
        What all questions are asked with, unless one is given its own:

        - the fields of ``GenerationOptions``: temperature, top_p, seed, max_tokens, stop, ...; ``json_schema`` may be a
          pydantic model too, and the reply's ``parsed`` is an instance of it then;
        - thinking, response_prefix, tool_choice, tool_timeout and max_tool_rounds, as in ``AnswerOptions``;
        - ``tools``: a list of functions that the model may call (see ``Tool.of``);
        - ``confirm``: a function that is asked before each call, with the tool's name and its arguments as a dict, and
          returns whether it may be made. It runs in a thread of its own.

    Raises
    ------
    ParameterError
        If an option is unknown, of the wrong type or out of range.

    Attributes
    ----------
    settings : Settings
        What the next question is asked with; ``configure`` changes it.
    classroom : Classroom
        What it began with, and what of that is locked.

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
        store: str | os.PathLike[str] | None = None,
        **options: Any,  # noqa: ANN401 - checked by Settings
    ) -> None:
        self._own_worker = worker
        self.classroom = room = current()
        self._load_options: LoadOptions | None = room.load
        self._model = room.model
        self.model = room.model if model is None else model
        self.system = room.system if system is None else system
        self.settings = room.settings.changed(options)
        self._record = Record(read_turns(messages))
        self._rounds = Rounds(self._record)
        self._open_store(store)
        self._begin_store(model=model, system=system, **options)

    @property
    def chat(self) -> Chat:
        """Itself."""
        return self

    @property
    def record(self) -> Record:
        """What was said, which answer is being made, and who hears of it."""
        return self._record

    @property
    def worker(self) -> Worker:
        """The worker that answers."""
        return self._own_worker or shared()

    @property
    def model(self) -> str:
        """The model that answers, as it is named; "" if none is.

        With another one, what belonged to the one before leaves ``load_options``: its adapters and its template.
        """
        return self._model

    @model.setter
    def model(self, model: object) -> None:
        name = self.classroom.check_model(model)
        if self._load_options is not None:
            self._load_options = self.load_options_for(name)
        self._model = name

    @property
    def system(self) -> str | None:
        """The system prompt."""
        return self._system

    @system.setter
    def system(self, system: object) -> None:
        text = system_text(system)
        self.classroom.keep("system", text)
        self._system = text

    @property
    def options(self) -> GenerationOptions:
        """How the next answer is made."""
        return self.settings.options

    @property
    def load_options(self) -> LoadOptions | None:
        """What the model is loaded with; ``None`` takes it as it is, or as llama-widgets thinks best.

        Each question carries them: where another conversation has loaded the same model with others, it is loaded anew.
        """
        return self._load_options

    @load_options.setter
    def load_options(self, options: LoadOptions | Mapping[str, Any] | None) -> None:
        made = options if isinstance(options, (LoadOptions, type(None))) else _load_options(options)
        self._load_options = self.classroom.check_load(made)

    def load_options_for(self, model: str) -> LoadOptions:
        """Return what a model would be loaded with, if it were that of this conversation."""
        options = self._load_options or LoadOptions()
        return options if model == self._model else replace(options, lora=[], chat_template=None)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was said, oldest first: dicts with ``role`` and ``content``, for answers how they were made too."""
        return self._record.messages()

    @messages.setter
    def messages(self, messages: Iterable[Mapping[str, Any]]) -> None:
        turns = read_turns(messages)
        with self._changing():
            self._record.book.remember(self._record.book.current.tree.clear())
            self._record.turns = turns

    @property
    def id(self) -> str:
        """The id of the open conversation, by which the engine knows it."""
        return self._record.book.current.id

    @property
    def conversations(self) -> list[dict[str, Any]]:
        """The conversations, oldest first: dicts with ``id``, ``name`` and whether it is the ``current`` one."""
        with self._record.lock:
            return self._record.book.to_list()

    @property
    def can_undo(self) -> bool:
        """Whether something was deleted or cleared that ``undo`` brings back."""
        return self._record.book.can_undo

    @property
    def busy(self) -> bool:
        """Whether an answer is being made or waited for."""
        with self._record.lock:  # once it is not, all of the answer is in place
            return self._record.answer is not None

    @property
    def running(self) -> str:
        """The request id of the answer that is being made; "" if none is."""
        answer = self._record.answer
        return answer.request_id if answer else ""

    def configure(self, **options: Any) -> None:  # noqa: ANN401 - checked by Settings
        """Change what all questions from now on are asked with: ``system`` and the options of the constructor.

        Where one of them cannot be, none is changed.
        """
        settings = self.settings.changed({name: value for name, value in options.items() if name != "system"})
        if "system" in options:
            self.system = options["system"]
        self.settings = settings

    def preset(self) -> dict[str, Any]:
        """Return the present settings as ``save_preset`` would save them."""
        return settings_of(self)

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
        return self._begin(lambda turns: plans.asked(turns, text), request_id, options)

    def submit_regenerate(
        self,
        turn: str | None = None,
        *,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Answer a question again, without waiting; see ``regenerate`` and ``submit``."""
        return self._begin(lambda turns: plans.regenerated(turns, turn), request_id, options)

    def submit_edit(
        self,
        which: int | str,
        text: object,
        *,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Ask something else in place of a question, without waiting; see ``edit`` and ``submit``."""
        return self._begin(lambda turns: plans.edited(turns, which, text), request_id, options)

    def submit_continue(self, *, request_id: str | None = None, **options: Any) -> Answer:  # noqa: ANN401
        """Go on with an answer that was cut, without waiting; see ``continue_`` and ``submit``."""
        return self._begin(plans.continued, request_id, {"response_prefix": "", **options})

    def submit_from(
        self,
        position: int,
        token: int | None = None,
        *,
        turn: str | None = None,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Go on from a token of an answer, without waiting; see ``continue_from`` and ``submit``."""
        wanted = self.options.top_logprobs or _ALTERNATIVES  # so that it can be gone on from again
        given = {"response_prefix": "", "top_logprobs": wanted, **options}
        return self._begin(lambda turns: plans.branched(turns, turn, position, token), request_id, given)

    def load(self, **options: Any) -> p.ModelLoaded:  # noqa: ANN401 - checked against LoadOptions
        """Load the model now, not with the first question, and wait for it.

        Parameters
        ----------
        **options
            As in ``LoadOptions``: n_ctx, n_gpu_layers, cache_type_k, lora, ... They are kept in ``load_options`` for
            the questions to come; with none given, those that were kept are used.

        Returns
        -------
        ModelLoaded
            What was loaded; ``cancelled`` if someone stopped it.

        Raises
        ------
        ModelError
            If it cannot be loaded.
        """
        checked = self.classroom.check_load(_load_options(options)) if options else self.load_options
        command = p.LoadModel(request_id=new_id(), model=self._named_model(), options=checked or LoadOptions())
        end = cast("p.ModelLoaded", self.worker.run(command))
        if not end.cancelled:
            self._load_options = checked
        return end

    def stop(self) -> bool:
        """Stop the answer that is being made, keeping what was said; return whether there was one.

        A tool that runs is left to itself: its result is not waited for.
        """
        answer = self._record.answer
        if answer is not None:
            answer.stop()
        return answer is not None

    def to_dict(self, *, flat: bool = False) -> dict[str, Any]:
        """Return all conversations with their branches and settings as plain data; see ``archive.write``."""
        with self._record.lock:
            answer = self._record.answer
            return archive.write(
                self._record.book,
                model=self.model,
                system=self.system,
                settings=self.settings,
                growing=answer.turn.id if answer else "",
                flat=flat,
            )

    def snapshot(self, last: int | None = None) -> Snapshot:
        """Return the conversation as it stands, or its ``last`` turns. ``seq`` is for who sends it to fill in."""
        return self._record.snapshot(last)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with every change and every event of an answer; return a function that ends that.

        Changes come in their order, one at a time, on the thread that makes them; the watcher must return soon.
        """
        return self._record.watchers.add(watcher)

    def with_lock(self, action: Callable[[], None]) -> None:
        """Run ``action`` between two changes, so that what it reads and sends is in order with them."""
        with self._record.lock:
            action()

    def forbid_waiting(self) -> None:
        """Raise ``BusyError`` inside callbacks, where waiting for an answer would wait for ever."""
        self.worker.forbid_own_thread()
        self._record.forbid_waiting()

    def _begin(
        self, plan: Callable[[Sequence[Turn]], Plan], request_id: str | None, options: Mapping[str, Any]
    ) -> Answer:
        settings = self.settings.changed(options)
        model = self._named_model()
        answer: Answer | None = None
        try:
            with self._record.lock:
                self._record.forbid_busy()
                answer = Answer(
                    request_id or new_id(),
                    plan(self._record.turns),
                    settings,
                    self.worker,
                    model=model,
                    system=self.system,
                    load=self.load_options,
                    conversation=self.id,
                )
                self._rounds.begin(answer)
            self._rounds.ask(answer)
        except BaseException as error:  # an interrupt of the kernel comes anywhere, and nobody else would end this
            if answer is not None:
                self._rounds.give_up(answer, error)
            raise
        return answer

    def _named_model(self) -> str:
        if not self.model:
            msg = "No model is chosen."
            raise NoModelError(msg, "Choose one in the panel, or name one: chat.model = lw.models()[0].")
        return self.model


def _load_options(options: Mapping[str, Any]) -> LoadOptions:
    return build(LoadOptions, dict(options), where="the load options", error=ParameterError)
