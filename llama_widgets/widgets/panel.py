"""ChatPanel: a conversation with a local model, in a notebook cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import traitlets
from ipywidgets import widget_serialization

from .. import protocol as p
from ..chat.asking import Asking
from ..chat.branches import Branches
from ..chat.changes import BookChanged, Branched, Change, Rejected, Snapshot, TurnChanged
from ..chat.conversation import Chat
from ..options import LoadOptions
from .base import Coalesced
from .drawer import Drawer
from .keeping import Keeping
from .messages.talking import EarlierTurns
from .phases import phase_after, prefill_of
from .selector import ModelName, ModelSelector
from .writing import Writing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from ..chat.answer import Answer
    from ..chat.record import Record
    from ..worker import Worker
    from .messages import Hello
    from .messages import talking as m

_AT_ONCE = 64
"""So many turns a view gets at first, which is more than it shows; the others when it has drawn these."""


class ChatPanel(Asking, Branches, Drawer, Keeping):
    """A conversation with a local model.

    With no model named, the panel shows a ``ModelSelector`` first, so that ``lw.ChatPanel()`` alone is enough.

    Parameters
    ----------
    model : str or path or Model, optional
        A path, a reference, or an entry of ``lw.models()``; loaded with the first question.
    system : str, optional
        The system prompt.
    messages : list of dict, optional
        A conversation to go on with.
    worker : Worker, optional
        Who answers; by default the one that all conversations of this process share.
    store : path, optional
        A file such as "chat.json": if it exists, its conversations are gone on with; it is written after each turn.
    **traits
        Any of the traits below.

    Attributes
    ----------
    model, system, temperature, max_tokens, seed, ...
        What the next question is asked with: all fields of ``GenerationOptions``, of which ``stop_strings`` is the
        ``stop``, and what ``Chat`` takes beside them: thinking, tools, confirm, tool_choice, tool_timeout,
        max_tool_rounds.
    n_ctx : int or "auto"
        Tokens of context that the model is loaded with, as in ``LoadOptions``; applied with the next question.
    stale : bool
        Whether the model in memory was loaded with other options, so that the next question loads it anew.
    messages : list of dict
        What was said; observe it to hear of every settled turn.
    conversations : list of dict
        The conversations of this panel: ``id``, ``name``, ``current``.
    can_undo : bool
        Whether something was deleted or cleared that ``undo`` brings back.
    state : str
        "idle" (no model), "loading", "ready", "waiting" (another request is running), "prefill" (reading the prompt),
        "generating", "tool" (a tool runs, or waits to be confirmed) or "stopping".
    error : dict or None
        What went wrong last: ``code``, ``message``, ``hint``.
    notices : list of str
        What there is to warn of: the model has no template, messages left a full context.
    loaded : dict or None
        The model in memory, if it is this panel's.
    name : str
        What tells the panel from others in ``from_notebook``.
    keep : bool
        Whether the notebook's file keeps the conversation.
    height : str
        Height of the panel in CSS, such as "480px"; "" grows with the conversation up to a limit.

    Notes
    -----
    Callbacks on traits that the conversation changes run on the worker's thread and must return soon.
    """

    _arguments = frozenset({"model", "system", "messages", "worker", "store"})

    model = ModelName("", help="The model that answers: a path or a reference.").tag(sync=True)
    height = traitlets.Unicode("", help="Height in CSS; empty grows with the conversation.").tag(sync=True)

    messages = traitlets.List(traitlets.Dict(), read_only=True, help="What was said.")
    conversations = traitlets.List(traitlets.Dict(), read_only=True, help="What this panel has.").tag(sync=True)
    can_undo = traitlets.Bool(False, read_only=True, help="Whether something deleted can come back.").tag(sync=True)
    notices = traitlets.List(traitlets.Unicode(), read_only=True, help="What there is to warn of.").tag(sync=True)
    state = traitlets.Unicode("idle", read_only=True, help="What is going on.").tag(sync=True)
    running = traitlets.Unicode("", read_only=True, help="The request id of the answer in flight.").tag(sync=True)
    loaded = traitlets.Dict(default_value=None, allow_none=True, read_only=True, help="The model in memory.").tag(
        sync=True
    )
    stale = traitlets.Bool(read_only=True, help="Whether the next question loads the model anew.").tag(sync=True)
    progress = traitlets.Dict(
        default_value=None, allow_none=True, read_only=True, help="How far a load or a prompt is."
    ).tag(sync=True)
    selector = traitlets.Instance(ModelSelector, allow_none=True, read_only=True, help="Chooses the model.").tag(
        sync=True, **widget_serialization
    )

    def __init__(
        self,
        model: object = None,
        *,
        system: str | None = None,
        messages: Iterable[Mapping[str, Any]] = (),
        worker: Worker | None = None,
        store: str | os.PathLike[str] | None = None,
        **traits: Any,  # noqa: ANN401 - checked by the base
    ) -> None:
        self._chat = Chat(model, system=system, messages=messages, worker=worker)
        self._writing = Writing(self._chat, self.publish, self.fail)
        self._open_store(store)
        self._phase = ""  # of the answer in flight; changed under the lock of the conversation only
        self._prefill: dict[str, Any] | None = None
        self._growing = ""  # the id of the turn that is being streamed
        self._asked = ""  # the request id of the last question
        self._said: list[str] = []  # what there was to say beside its answer
        self._draw_state = Coalesced(self._show_state)
        super().__init__(**traits, model=self._chat.model, system=self._chat.system)
        selector = ModelSelector(self._chat.model, worker=worker)
        selector.load_with(self._chat.load_options_for)
        selector.on_load(self._adopt)
        self.show(selector=selector, messages=self._chat.messages, conversations=self._chat.conversations)
        self._begin_keeping()
        self._chat.watch(self._hear)  # for good: a panel that is closed while it answers still gets the last words
        self._at_close += (
            self._chat.stop,
            selector.close,
            self._chat.worker.watch(lambda _: self._draw_state()),
        )
        self._begin_store(model=model, system=system, **traits)
        self._draw_state()

    @property
    def chat(self) -> Chat:
        """The conversation, with no widget."""
        return self._chat

    @property
    def record(self) -> Record:
        """What was said, which answer is being made, and who hears of it."""
        return self._chat.record

    def submit(self, text: object, *, request_id: str | None = None, **options: Any) -> Answer:  # noqa: ANN401
        """Ask without waiting; see ``Chat.submit``."""
        return self._chat.submit(text, request_id=request_id, **options)

    def submit_regenerate(
        self,
        turn: str | None = None,
        *,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Answer a question again, without waiting; see ``Chat.regenerate``."""
        return self._chat.submit_regenerate(turn, request_id=request_id, **options)

    def submit_edit(
        self,
        which: int | str,
        text: object,
        *,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Ask something else in place of a question, without waiting; see ``Chat.edit``."""
        return self._chat.submit_edit(which, text, request_id=request_id, **options)

    def submit_continue(self, *, request_id: str | None = None, **options: Any) -> Answer:  # noqa: ANN401
        """Go on with an answer that was cut, without waiting; see ``Chat.continue_``."""
        return self._chat.submit_continue(request_id=request_id, **options)

    def submit_from(
        self,
        position: int,
        token: int | None = None,
        *,
        turn: str | None = None,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Go on from a token of an answer, without waiting; see ``Chat.continue_from``."""
        return self._chat.submit_from(position, token, turn=turn, request_id=request_id, **options)

    def forbid_waiting(self) -> None:
        """Raise ``BusyError`` inside callbacks, where waiting for an answer would wait for ever."""
        self._chat.forbid_waiting()

    def load(self, **options: Any) -> p.ModelLoaded:  # noqa: ANN401 - checked against LoadOptions
        """Load the model now and wait for it; see ``Chat.load``."""
        loaded = self._chat.load(**options)
        if self._chat.load_options is not None:
            self.n_ctx = self._chat.load_options.n_ctx
        return loaded

    def stop(self) -> bool:
        """Stop the answer that is being made, keeping what was said; return whether there was one."""
        running = self._chat.running
        stopping = self._chat.stop()

        def show_it() -> None:
            if stopping and self._chat.running == running:  # it may have ended, and another one begun
                self._phase = "stopping"

        self._chat.with_lock(show_it)
        self._draw_state()
        return stopping

    @traitlets.observe("model")
    def _model_named(self, _change: object) -> None:
        self._chat.model = self.model
        if self.selector is not None:
            self.selector.value = self.model
        self._draw_state()

    @traitlets.observe("n_ctx")
    def _context_given(self, change: Any) -> None:  # noqa: ANN401 - a traitlets Bunch
        self._chat.load_options = replace(self._chat.load_options or LoadOptions(), n_ctx=change.new)
        self._draw_state()

    def _adopt(self, model: str) -> None:
        self.show(error=None, model=model)

    def _hear(self, change: p.Event | Change) -> None:
        running = self._chat.running
        if running not in ("", self._asked):
            self._asked, self._said, self._phase = running, [], "waiting"
            self.show(error=None)
        self._pass_on(change)
        before, self._phase = self._phase, phase_after(self._phase, change)
        match change:
            case p.CompletionChunk() if self._phase == before:
                return  # nothing else has changed, and this is the way of every token
            case p.Progress() if change.operation == "prefill":
                self._prefill = prefill_of(change)
            case p.Info():
                self._said.append(change.message)
        self._draw_state()

    def _pass_on(self, change: p.Event | Change) -> None:
        """Send the views what they need of a change."""
        match change:
            case TurnChanged() | Branched() | Rejected() | Snapshot():
                self.publish(self._shortened(change) if isinstance(change, TurnChanged) else change)
                self.show(messages=self._chat.messages)
            case BookChanged():
                self.show(conversations=change.conversations, can_undo=change.can_undo)
            case p.CompletionChunk():
                self.publish(replace(change, logprobs=[]) if change.logprobs else change)  # nobody shows them
            case p.CompletionDone():
                # The settled turn has just brought the rest.
                self.publish(replace(change, text="", thoughts="", tool_calls=[], logprobs=[]))
            case p.Error():
                self.fail(change)

    def _shortened(self, change: TurnChanged) -> TurnChanged:
        """Leave out what the views have already, as it came in chunks; they can tell if they have not."""
        turn = change.turn
        if turn["role"] == "assistant" and "stop_reason" not in turn:
            self._growing = turn["id"]
        elif turn["id"] == self._growing:
            self._growing = ""
            texts = turn["content"], turn.get("thoughts", "")
            # As JavaScript counts them.
            short = {**turn, "content": "", "streamed": [len(text.encode("utf-16-le")) // 2 for text in texts]}
            short.pop("thoughts", None)
            return replace(change, turn=short)
        return change

    def _show_state(self) -> None:
        """Set ``state``, ``running``, ``loaded``, ``progress`` and ``notices`` to what is so now."""
        if self._publisher is None:  # the constructor calls again when it is done
            return
        worker = self._chat.worker
        held = worker.model_state
        mine = held.loaded if held.loaded is not None and self.model and worker.is_loaded(self.model) else None
        loading = bool(held.loading and self.model and held.model == self.model)
        running = self._chat.running
        phase = self._phase if running else ""
        progress = self._prefill if phase == "prefill" else None
        state = phase or ("ready" if self.model else "idle")
        if loading and phase != "stopping":
            state, progress = "loading", {"operation": "load", "done": held.done, "total": held.total}
        of_load = held.warnings if mine else ()
        load = self._chat.load_options
        self.show(stale=mine is not None and load is not None and not worker.is_loaded(self.model, load))
        self.show(notices=[*of_load, *(said for said in self._said if said not in of_load)])
        self.show(progress=progress, loaded=mine.to_dict() if mine else None, running=running, state=state)

    def _on_hello(self, message: Hello) -> None:
        self._chat.with_lock(
            lambda: self.publish(replace(self._chat.snapshot(_AT_ONCE), request_id=message.request_id))
        )
        self._writing.show(message.request_id)
        # Of these too, some may not have arrived.
        self.send_state({"state", "running", "loaded", "progress", "notices", "error"})

    def _on_earlier(self, message: m.Earlier) -> None:
        turns = self._chat.record.earlier(message.turn)
        self.publish(EarlierTurns(request_id=message.request_id, turns=turns))

    def _on_ask(self, message: m.Ask) -> None:
        self._writing.ask(message)

    def _on_draft(self, message: m.Draft) -> None:
        self._writing.keep(message)

    def _on_complete(self, message: m.Complete) -> None:
        self._writing.complete(message)

    def _on_preview(self, message: m.Preview) -> None:
        self._writing.preview(message)

    def _on_regenerate(self, message: m.Regenerate) -> None:
        self.submit_regenerate(message.turn, request_id=message.request_id)

    def _on_edit(self, message: m.Edit) -> None:
        self._writing.ask(message)

    def _on_continue(self, message: m.Continue) -> None:
        self.submit_continue(request_id=message.request_id)

    def _on_clear(self, _message: m.Clear) -> None:
        self.clear()

    def _on_delete(self, message: m.Delete) -> None:
        self.delete(message.turn)

    def _on_switch(self, message: m.Switch) -> None:
        self.switch(message.turn)

    def _on_undo(self, _message: m.Undo) -> None:
        self.undo()

    def _on_new_conversation(self, _message: m.NewConversation) -> None:
        self.new_conversation()

    def _on_open_conversation(self, message: m.OpenConversation) -> None:
        self.open_conversation(message.conversation)

    def _on_rename_conversation(self, message: m.RenameConversation) -> None:
        self.rename_conversation(message.conversation, message.name)

    def _on_delete_conversation(self, message: m.DeleteConversation) -> None:
        self.delete_conversation(message.conversation)

    def _on_abort(self, message: p.Abort) -> None:
        filling = self._writing.stop(message.target)
        stopped = self.stop() if message.target in (self._chat.running, "generation", "all") else False
        text = "stopping" if stopped or filling else "nothing was running"
        self.publish(p.Info(request_id=message.request_id, message=text, data={"target": message.target}))
