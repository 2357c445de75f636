"""An answer on its way, from the question to its end."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from .. import protocol as p
from ..cancel import Cancel
from ..requests import wait
from .provenance import Provenance, seeded
from .reply import Reply
from .turns import prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..options import LoadOptions
    from ..worker import Worker
    from .plans import Plan
    from .settings import Settings
    from .turns import Turn


class Answer:
    """An answer that is being made.

    Attributes
    ----------
    request_id : str
        What to name in an ``abort``.
    future : concurrent.futures.Future of Reply
        Done when the answer has ended.
    plan : Plan
        What becomes of the conversation.
    turn : Turn
        What grows at this moment: a new one after each round of tools.
    text, thoughts : str
        What ``turn`` had before this answer added to it.
    rounds : int
        How often the model has called tools.
    """

    def __init__(
        self,
        request_id: str,
        plan: Plan,
        settings: Settings,
        worker: Worker,
        *,
        model: str,
        system: str | None,
        load: LoadOptions | None,
        conversation: str,
    ) -> None:
        self.request_id = request_id
        self.plan = plan
        self.settings = replace(settings, options=seeded(settings.options))
        self.worker = worker
        self.model = model
        self.cancel = Cancel()
        self.rounds = 0
        self.tokens = 0
        self.notices: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.future: Future[Reply] = Future()
        self.future.set_running_or_notify_cancel()  # a cancelled waiter must not cancel the answer's own end
        self.pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._fixed: dict[str, Any] = {"model": model, "load": load, "conversation": conversation}
        self._system = system
        self._usage = p.Usage()
        self._command: p.GenerateChatCompletion | None = None
        self.begin(plan.turn)
        if settings.response_prefix:
            plan.turn.pieces.append(settings.response_prefix)
            self.pieces.put(settings.response_prefix)
            self.text += settings.response_prefix

    @property
    def may_call(self) -> bool:
        """Whether the model may still call tools."""
        return self.rounds < self.settings.max_tool_rounds and not self.cancel.requested

    def begin(self, turn: Turn) -> None:
        """Let ``turn`` grow from now on."""
        self.turn = turn
        self.text, self.thoughts = turn.content, turn.thoughts
        self.tokens = 0

    def command(self, turns: Sequence[Turn]) -> p.GenerateChatCompletion:
        """Return what to ask the worker, where ``turns`` are those before the one that grows."""
        settings = self.settings
        choice = settings.tool_choice if self.rounds == 0 or settings.tool_choice == "none" else "auto"
        self._command = p.GenerateChatCompletion(
            request_id=self.request_id,
            messages=prompt(turns, self._system),
            options=settings.options,
            thinking=settings.thinking,
            response_prefix=self.text,
            tools=[tool.spec for tool in settings.tools],
            tool_choice="none" if self.rounds >= settings.max_tool_rounds else choice,
            response_tokens=[each["token"] for each in self.plan.given] if self.rounds == 0 else [],
            **self._fixed,
        )
        return self._command

    def whole(self, event: p.Event) -> p.Event:
        """Return an event of the worker; an end with the tokens that the answer was begun with, too."""
        if isinstance(event, p.CompletionDone) and self.plan.given and self.rounds == 0:
            return replace(event, logprobs=[*self.plan.given, *event.logprobs])
        return event

    def ended(self, stop_reason: p.StopReason) -> p.CompletionDone:
        """Return the end of an answer that the worker does not tell: with what was said until now."""
        text, thoughts = self.turn.content[len(self.text) :], self.turn.thoughts[len(self.thoughts) :]
        if self.turn.done is not None:  # between two rounds
            text = thoughts = ""
        return p.CompletionDone(request_id=self.request_id, text=text, thoughts=thoughts, stop_reason=stop_reason)

    def stop(self) -> None:
        """Stop it, whatever it is at; nothing happens if it has ended."""
        self.cancel.request()
        self.worker.abort(self.request_id)

    def count(self, usage: p.Usage) -> None:
        """Add what a round has cost."""
        self._usage = p.Usage(**{f.name: getattr(self._usage, f.name) + getattr(usage, f.name) for f in fields(usage)})

    def wait(self) -> Reply:
        """Wait for the end; a KeyboardInterrupt is raised at once, and ends the waiting only."""
        return wait(self.future)

    def note_how(self) -> None:
        """Note with the turn how it was made; called on the worker's thread, when it has just ended."""
        if self._command is not None:
            self.turn.made = Provenance.of(self._command, self.worker)

    def settle(self, done: p.CompletionDone) -> None:
        """Give the reply to those who wait."""
        self.pieces.put(None)
        self.future.set_result(
            Reply(
                text=self.turn.content,
                stop_reason=done.stop_reason,
                usage=self._usage,
                timings=done.timings,
                thoughts=self.turn.thoughts,
                model=self.model,
                tool_calls=self.calls,
                logprobs=done.logprobs,
                dropped=done.dropped,
                notices=self.notices,
                schema=self.settings.schema,
                provenance=self.turn.made,
                asked={"messages": self._command.messages} if self._command else {},
            )
        )

    def fail(self, error: Exception) -> None:
        """Raise ``error`` where someone waits."""
        self.pieces.put(None)
        self.future.set_exception(error)


def reply_of(turns: Sequence[Turn], at: int) -> Reply:
    """Return the reply that the answer at this place of a conversation was."""
    turn = turns[at]
    done, made = turn.done or p.CompletionDone(request_id="", text="", stop_reason="abort"), turn.made
    facts = made.known() if made is not None else {}
    return Reply(
        text=turn.content,
        stop_reason=turn.stop_reason,
        usage=done.usage,
        timings=done.timings,
        thoughts=turn.thoughts,
        model=str(facts.get("model", "")),
        logprobs=done.logprobs,
        dropped=done.dropped,
        schema=facts.get("parameters", {}).get("json_schema"),
        provenance=made,
        asked={"messages": prompt(turns[:at], made.system if made is not None else None)},
    )
