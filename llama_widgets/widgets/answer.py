"""AnswerView: one answer while it is made, in the output of a cell, with Stop."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import traitlets

from .. import protocol as p
from ..chat.changes import Snapshot, TurnChanged
from .base import Coalesced, LlamaWidget
from .phases import phase_after, prefill_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..chat.changes import Change
    from ..chat.conversation import Chat
    from .messages import Hello
    from .messages.talking import Shown


class AnswerView(LlamaWidget):
    """Shows the answer to one question of a conversation.

    It may be shown before the question is asked. It speaks to its views as a panel does, of this one answer. It
    keeps what is to stay in its place until a page has that: one that was reloaded does not hear of updates of outputs.

    Parameters
    ----------
    chat : Chat
        The conversation.
    request_id : str
        That of the answer.
    stop : callable
        Ends it.
    cell : str
        The id of the cell that asks.
    """

    _arguments = frozenset({"chat", "request_id", "stop", "cell"})

    model = traitlets.Unicode("", read_only=True).tag(sync=True)
    state = traitlets.Unicode("waiting", read_only=True, help="What is going on.").tag(sync=True)
    running = traitlets.Unicode("", read_only=True, help="The request id of the answer.").tag(sync=True)
    loaded = traitlets.Dict(default_value=None, allow_none=True, read_only=True).tag(sync=True)
    progress = traitlets.Dict(default_value=None, allow_none=True, read_only=True).tag(sync=True)

    cell = traitlets.Unicode("", read_only=True, help="The id of the cell that asks.").tag(sync=True)
    settled = traitlets.Dict(default_value=None, allow_none=True, read_only=True, help="The output that stays.").tag(
        sync=True
    )

    def __init__(self, *, chat: Chat, request_id: str, stop: Callable[[], None], cell: str = "") -> None:
        self._chat = chat
        self._request_id = request_id
        self._stop = stop
        self._turns: list[str] = []  # the ids of what is shown
        self._phase = "waiting"
        self._prefill: dict[str, Any] | None = None
        self._draw_state = Coalesced(self._show_state)
        super().__init__()
        self.show(running=request_id, cell=cell)
        self._at_close += (chat.watch(self._hear), chat.worker.watch(lambda _: self._draw_state()))
        self._draw_state()

    def _hear(self, change: p.Event | Change) -> None:
        if change.request_id != self._request_id:
            return
        self._pass_on(change)
        before, self._phase = self._phase, phase_after(self._phase, change)
        match change:
            case p.CompletionChunk() if self._phase == before:
                return  # nothing else has changed, and this is the way of every token
            case p.Progress() if change.operation == "prefill":
                self._prefill = prefill_of(change)
        self._draw_state()

    def _pass_on(self, change: p.Event | Change) -> None:
        """Send the views what they need of a change."""
        match change:
            case TurnChanged() if change.turn["role"] != "user":
                if change.turn["id"] not in self._turns:
                    self._turns.append(change.turn["id"])
                self.publish(change)
            case p.CompletionChunk():
                self.publish(replace(change, logprobs=[]) if change.logprobs else change)
            case p.CompletionDone():
                # The settled turn has just brought the rest.
                self.publish(replace(change, text="", thoughts="", tool_calls=[], logprobs=[]))
            case p.Error():
                self.fail(change)

    def _show_state(self) -> None:
        model = self._chat.model
        held = self._chat.worker.model_state
        state, progress = self._phase, self._prefill if self._phase == "prefill" else None
        if held.loading and model and held.model == model and state != "stopping":
            state, progress = "loading", {"operation": "load", "done": held.done, "total": held.total}
        self.show(model=model, progress=progress, state=state)

    def _on_hello(self, message: Hello) -> None:
        def tell() -> None:
            whole = self._chat.snapshot()
            turns = [turn for turn in whole.turns if turn["id"] in self._turns]
            mine = whole.running == self._request_id
            self.publish(
                Snapshot(
                    request_id=message.request_id,
                    turns=turns,
                    running=self._request_id if mine or not turns else "",
                    tokens=whole.tokens if mine else 0,
                )
            )

        self._chat.with_lock(tell)
        self.send_state({"state", "running", "progress", "error"})

    def _on_shown(self, _message: Shown) -> None:
        if self.settled is not None:
            self.close()

    def _on_abort(self, message: p.Abort) -> None:
        self._phase = "stopping"
        self._stop()
        self._draw_state()
        self.publish(p.Info(request_id=message.request_id, message="stopping", data={"target": message.target}))
