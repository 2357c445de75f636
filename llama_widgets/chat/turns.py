"""What a conversation is made of: turns, and the way from them to plain data and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from ..errors import LlamaWidgetsError, ParameterError
from ..filling import Insert
from ..protocol import CompletionDone, decode_event
from ..requests import new_id
from ..wire import build
from .changes import ToolState

if TYPE_CHECKING:
    from .provenance import Provenance

Role = Literal["system", "user", "assistant", "tool"]

_EXAMPLE = "For example [{'role': 'user', 'content': 'Hello'}]."


@dataclass(kw_only=True)
class Turn:
    """One turn. ``pieces`` grows while the answer arrives; ``done`` is there once it has ended.

    Of an answer that called tools, ``tool_calls`` are these calls; a turn of the role "tool" is the result of the call
    ``call_id``, with the tool's ``name`` and ``state``. ``first_kept`` is the id of the oldest turn that the model was
    still told for an answer, where older ones were left out. Of a
    question that was filled, ``typed`` is what was typed and ``inserts`` what was put in, as ``Insert`` has it.
    ``made`` is how an answer was made: it goes with a conversation that is kept, and not to the views.
    """

    role: Role
    pieces: list[str] = field(default_factory=list)
    thought_pieces: list[str] = field(default_factory=list)
    id: str = field(default_factory=new_id)
    done: CompletionDone | None = None
    error: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""
    call_id: str = ""
    state: ToolState = "done"
    first_kept: str = ""
    typed: str = ""
    inserts: list[dict[str, Any]] = field(default_factory=list)
    made: Provenance | None = None

    @property
    def content(self) -> str:
        """The text, so far."""
        return _joined(self.pieces)

    @property
    def thoughts(self) -> str:
        """What the model thought, so far."""
        return _joined(self.thought_pieces)

    @property
    def stop_reason(self) -> str:
        """Why the answer ended; "" while it is being made, and for what is no answer."""
        return "error" if self.error else self.done.stop_reason if self.done else ""

    def end(self, done: CompletionDone, *, text: str = "", thoughts: str = "") -> None:
        """Settle the answer: ``text`` and ``thoughts`` are what it had before ``done`` added to it."""
        self.pieces[:] = [text + done.text]
        self.thought_pieces[:] = [thoughts + done.thoughts]
        self.done = done

    def to_dict(self) -> dict[str, Any]:
        """Return the turn as plain data: ``id``, ``role``, ``content`` and, for an ended answer, how it was made."""
        plain: dict[str, Any] = {"id": self.id, "role": self.role, "content": self.content}
        if self.role == "tool":
            plain |= {"name": self.name, "tool_call_id": self.call_id, "state": self.state}
        if self.typed:
            plain["typed"] = self.typed
        if self.inserts:
            plain["inserts"] = plain_copy(self.inserts)
        if self.thoughts:
            plain["thoughts"] = self.thoughts
        if self.tool_calls:
            plain["tool_calls"] = plain_copy(self.tool_calls)
        if self.done is not None:
            made = self.done.to_dict()
            plain |= {key: made[key] for key in ("stop_reason", "usage", "timings")}
            if self.done.dropped:
                plain["dropped"] = self.done.dropped
                plain["first_kept"] = self.first_kept
        if self.error:
            plain["stop_reason"] = "error"
        return plain


def read_turns(messages: object) -> list[Turn]:
    """Return the turns of a conversation that somebody gives as a list of dicts, such as ``Chat.messages``."""
    if not isinstance(messages, Iterable):
        msg = f"A conversation must be a list of messages, not {type(messages).__name__}."
        raise ParameterError(msg, _EXAMPLE)
    turns = [_read_turn(message) for message in messages]
    names = {call["id"]: call["name"] for turn in turns for call in turn.tool_calls}
    for turn in turns:
        if turn.role == "tool":
            turn.name = turn.name or names.get(turn.call_id, "")
    return turns


def _read_turn(message: object) -> Turn:
    if not isinstance(message, Mapping):
        raise _no_message(message)
    role, content = message.get("role"), message.get("content")
    given = message.get("tool_calls") or []
    if not isinstance(given, (list, tuple)):
        raise _no_message(message)
    calls = [_read_call(call, message) for call in given] if role == "assistant" else []
    if content is None and calls:
        content = ""
    if role not in get_args(Role) or not isinstance(content, str):
        raise _no_message(message)
    turn = Turn(role=cast("Role", role), pieces=[without_lone_surrogates(content)], tool_calls=calls)
    if role == "user":
        # Not what was typed: only what was typed here is ever filled again.
        turn.inserts = _read_inserts(message.get("inserts"), len(turn.content))
    if role == "assistant":
        turn.thought_pieces = [without_lone_surrogates(str(message.get("thoughts") or ""))]
        turn.done = _read_done(message)
        turn.error = "error" if message.get("stop_reason") == "error" else ""
        turn.first_kept = without_lone_surrogates(str(message.get("first_kept") or ""))
    if role == "tool":
        turn.name, turn.call_id = (str(message.get(key) or "") for key in ("name", "tool_call_id"))
        if (state := message.get("state")) in get_args(ToolState):
            turn.state = cast("ToolState", state)
    return turn


def _read_inserts(inserts: object, length: int) -> list[dict[str, Any]]:
    """Return what was put into a question; if any of it cannot be read, the question is shown as plain text."""
    try:
        given = [dict(each) for each in cast("list[Any]", inserts)]
        read = [build(Insert, each, where="an insert", error=ParameterError) for each in given]
    except (TypeError, ValueError):
        return []
    ends = [0, *(end for each in read for end in (each.start, each.end)), length]
    return [asdict(each) for each in read] if ends == sorted(ends) else []


def _read_call(call: object, message: object) -> dict[str, Any]:
    """Return a call as the protocol has it, also from the way that OpenAI's interface writes it."""
    if isinstance(call, Mapping):
        inner = call.get("function", call)
        name, arguments = (inner.get("name"), inner.get("arguments")) if isinstance(inner, Mapping) else (None, None)
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                arguments = None
        if isinstance(name, str) and isinstance(arguments, Mapping):
            return {
                "id": without_lone_surrogates(str(call.get("id") or new_id())),
                "name": without_lone_surrogates(name),
                "arguments": plain_copy(dict(arguments)),
            }
    raise _no_message(message)


def _read_done(message: Mapping[Any, Any]) -> CompletionDone | None:
    """Return how an answer was made; what cannot be read of that is no reason to lose what was said."""
    made = {key: message[key] for key in ("stop_reason", "usage", "timings", "dropped") if key in message}
    if "stop_reason" not in made:  # as in every answer from elsewhere: to find that out below takes 20 times as long
        return None
    try:
        done = decode_event({"type": "completion_done", "request_id": "", "text": "", **made})
    except LlamaWidgetsError:
        return None
    return cast("CompletionDone", done)


def _no_message(message: object) -> ParameterError:
    msg = f"A message needs a role (user, assistant) and content as text, not {message!r:.80}."
    return ParameterError(msg, _EXAMPLE)


def without_lone_surrogates(text: str) -> str:
    """Return ``text`` as UTF-8 can carry it: a lone half of a surrogate pair becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain_copy(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a copy of plain data that can travel: with no lone surrogates, and no numbers that JSON has not."""
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {without_lone_surrogates(str(key)): plain_copy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_copy(item) for item in value]
    return value


def prompt(turns: Iterable[Turn], system: str | None) -> list[dict[str, Any]]:
    """Return the messages for the template, with strictly alternating roles.

    An answer that was stopped before its first token said nothing, and its question would be followed by the next one,
    which many templates refuse: the two questions become one. What the model thought goes along, as some templates
    show it that while it calls tools; the others leave it out.
    """
    messages = [message for _, message in paired(turns)]
    return [{"role": "system", "content": system}, *messages] if system else messages


def first_kept(turns: Iterable[Turn], dropped: int) -> str:
    """Return the id of the oldest turn that the model was still told, where so many messages were left out."""
    kept = [turn for turn, message in paired(turns) if message["role"] != "system"][dropped:]
    return kept[0].id if dropped and kept else ""


def paired(turns: Iterable[Turn]) -> list[tuple[Turn, dict[str, Any]]]:
    """Return the messages for the template, each with the turn that it begins with."""
    messages: list[tuple[Turn, dict[str, Any]]] = []
    for turn in turns:
        if turn.role == "assistant" and not turn.content and not turn.tool_calls:
            continue
        if messages and messages[-1][1]["role"] == turn.role == "user":
            first, message = messages[-1]
            messages[-1] = first, {"role": "user", "content": f"{message['content']}\n\n{turn.content}"}
            continue
        message = {"role": turn.role, "content": turn.content}
        if turn.thoughts:
            message["thoughts"] = turn.thoughts
        if turn.tool_calls:
            message["tool_calls"] = turn.tool_calls
        if turn.role == "tool":
            message |= {"name": turn.name, "tool_call_id": turn.call_id}
        messages.append((turn, message))
    return messages


def _joined(pieces: list[str]) -> str:
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    return pieces[0] if pieces else ""
