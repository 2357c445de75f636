"""The way of an answer: asked of the worker, heard, tools called in between, and ended exactly once."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..errors import from_code
from ..requests import error_event, new_id
from .calls import perform
from .changes import Rejected, ToolCall, ToolResult
from .turns import Turn, first_kept, plain_copy

if TYPE_CHECKING:
    from .answer import Answer
    from .changes import ToolState
    from .record import Record


class Rounds:
    """Makes the answers of one conversation. The model may call tools, and is asked again with their results.

    From outside it is one answer with one request id: the worker gets it again for each round.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    def begin(self, answer: Answer) -> None:
        """Take the answer into the conversation; the lock must be held."""
        plan, record = answer.plan, self._record
        record.answer = answer
        if plan.trims:
            record.turns = plan.kept
            record.tell_branch(answer.request_id)
        record.turns = [*plan.kept, *plan.added]
        for turn in plan.added:
            self._record.tell_turn(answer.request_id, turn)

    def ask(self, answer: Answer) -> None:
        """Ask the worker for the next round."""
        command = answer.command(self._record.turns[:-1])
        answer.worker.submit(command, lambda event: self.hear(answer, event))
        if answer.cancel.requested:  # it came between two rounds, and the worker knew of neither
            answer.worker.abort(answer.request_id)

    def hear(self, answer: Answer, event: p.Event) -> None:
        """Take an event of the worker."""
        with self._record.lock:
            if self._record.answer is not answer:
                return  # it has ended
            try:
                self._take(answer, answer.whole(event))
            except Exception as error:
                if self._record.answer is not answer:
                    raise
                answer.turn.done, answer.turn.tool_calls = None, []  # calls that will not be made
                self._fail(answer, error_event(answer.request_id, error))  # an answer ends, whatever happens

    def give_up(self, answer: Answer, error: BaseException) -> None:
        """End an answer that could not be asked for, or was interrupted while it was."""
        if self._record.answer is answer:
            answer.stop()
            if isinstance(error, KeyboardInterrupt):
                self.hear(answer, answer.ended("abort"))
            else:
                self.hear(answer, error_event(answer.request_id, error))

    def _take(self, answer: Answer, event: p.Event) -> None:
        match event:
            # Whole calls count, also where max_tokens cut the next one.
            case p.CompletionDone(stop_reason="tool_calls" | "max_tokens") if event.tool_calls and answer.may_call:
                self._call_tools(answer, replace(event, stop_reason="tool_calls"))
            case p.CompletionDone():
                self._settle(answer, event)
            case p.Error():
                self._fail(answer, event)
            case _:
                _note(answer, event)
                self._record.tell(event)

    def _call_tools(self, answer: Answer, done: p.CompletionDone) -> None:
        turn = answer.turn
        known = {each.call_id for each in self._record.turns}
        turn.tool_calls = [_call(call, known) for call in done.tool_calls]
        turn.end(done, text=answer.text, thoughts=answer.thoughts)
        answer.count(done.usage)
        answer.rounds += 1
        self._record.tell_turn(answer.request_id, turn)
        # Not on the worker's thread, which has others to answer.
        threading.Thread(target=self._round, args=(answer,), name="llama-widgets-tools", daemon=True).start()

    def _round(self, answer: Answer) -> None:
        """Call the tools that the model wants, and ask it again."""
        try:
            for call in answer.turn.tool_calls:
                self._call(answer, call)
            with self._record.lock:
                if self._record.answer is not answer:
                    return
                if answer.cancel.requested:
                    self._settle(answer, answer.ended("abort"))
                    return
                answer.begin(Turn(role="assistant"))
                self._add(answer, answer.turn)
            self.ask(answer)
        except BaseException as error:  # noqa: BLE001 - an answer ends, whatever happens
            self.give_up(answer, error)

    def _call(self, answer: Answer, call: dict[str, Any]) -> None:
        turn = Turn(role="tool", name=call["name"], call_id=call["id"], state="waiting")

        def tell(state: ToolState) -> None:
            with self._record.lock:
                turn.state = state
                self._record.tell(ToolCall(request_id=answer.request_id, state=state, **call))
                self._record.tell_turn(answer.request_id, turn)

        with self._record.lock:
            self._record.turns = [*self._record.turns, turn]
        outcome = perform(call, answer.settings, answer.cancel, tell)
        with self._record.lock:
            turn.pieces, turn.state = [outcome.text], outcome.state
            answer.calls.append({**plain_copy(call), "state": outcome.state, "result": outcome.text})
            result = {"id": turn.call_id, "name": turn.name, "content": outcome.text}
            self._record.tell(ToolResult(request_id=answer.request_id, state=outcome.state, **result))
            self._record.tell_turn(answer.request_id, turn)

    def _settle(self, answer: Answer, done: p.CompletionDone) -> None:
        self._record.answer = None
        answer.count(done.usage)
        answer.note_how()
        try:
            if answer.turn.done is None:  # else it was stopped while a tool ran
                answer.turn.end(done, text=answer.text, thoughts=answer.thoughts)
                answer.turn.first_kept = first_kept(self._record.turns, done.dropped)
                self._record.tell_turn(answer.request_id, answer.turn)
            self._record.tell(done)
        finally:
            answer.settle(done)

    def _fail(self, answer: Answer, error: p.Error) -> None:
        self._record.answer = None
        turn = answer.turn
        try:
            if answer.rounds or turn.content != answer.text or turn.thoughts != answer.thoughts:  # what was said stays
                if turn.done is None:
                    turn.error = error.message
                    self._record.tell_turn(answer.request_id, turn)
            else:
                self._restore(answer)
            self._record.tell(error)
        finally:
            answer.fail(from_code(error.code, error.message, error.hint))

    def _restore(self, answer: Answer) -> None:
        """Give the conversation back as it was, and the question, if it was new, to whoever asked."""
        plan = answer.plan
        self._record.restore(plan.before, plan.added)
        self._record.tell_branch(answer.request_id)
        if plan.question is not None:
            text, turn = plan.question.typed or plan.question.content, plan.question.id
            self._record.tell(Rejected(request_id=answer.request_id, text=text, turn=turn))

    def _add(self, answer: Answer, turn: Turn) -> None:
        self._record.turns = [*self._record.turns, turn]
        self._record.tell_turn(answer.request_id, turn)


def _call(call: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Return a call with an id that no other of the conversation has, as models number theirs anew in each round."""
    name = call.get("id")
    call_id = name if isinstance(name, str) and name and name not in known else new_id()
    known.add(call_id)
    about = {"id": call_id, "name": str(call.get("name", "")), "arguments": call.get("arguments", {})}
    return cast("dict[str, Any]", plain_copy(about))


def _note(answer: Answer, event: p.Event) -> None:
    """Put what a piece of the answer brings where it belongs."""
    match event:
        case p.CompletionChunk(segment="thought"):
            answer.turn.thought_pieces.append(event.text)
            answer.tokens = event.tokens
        case p.CompletionChunk():
            answer.turn.pieces.append(event.text)
            answer.tokens = event.tokens
            answer.pieces.put(event.text)
        case p.Info():
            answer.notices.append(event.message)
