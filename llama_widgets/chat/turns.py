"""What a conversation is made of: turns, the reply to one question, and the messages that tell of their changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from ..errors import ParameterError
from ..protocol import CompletionDone, Timings, Usage
from ..requests import new_id
from ..wire import Message

Role = Literal["system", "user", "assistant"]

_EXAMPLE = "For example [{'role': 'user', 'content': 'Hello'}]."


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer to one question.

    Attributes
    ----------
    text : str
        The answer. ``str(reply)`` is the same, and a notebook shows it as Markdown.
    stop_reason : str
        Why it ended: "eos", "stop", "max_tokens", "context_full" or "abort".
    usage : Usage
        Token counts: ``prompt_tokens``, ``cached_tokens`` (of the prompt, reused), ``completion_tokens``.
    timings : Timings
        ``ttft_s`` (seconds to the first token), ``prefill_tps`` and ``decode_tps`` (tokens per second).
    thoughts : str
        What the model thought before it answered, where it does that.
    model : str
        The model that answered, as it was named.
    """

    text: str
    stop_reason: str
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    thoughts: str = ""
    model: str = ""

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


@dataclass(kw_only=True)
class Turn:
    """One turn. ``pieces`` grows while the answer arrives; ``done`` is there once it has ended."""

    role: Role
    pieces: list[str]
    id: str = field(default_factory=new_id)
    done: CompletionDone | None = None
    error: str = ""

    @property
    def content(self) -> str:
        """The text, so far."""
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the turn as plain data: ``id``, ``role``, ``content`` and, for an ended answer, how it was made."""
        plain: dict[str, Any] = {"id": self.id, "role": self.role, "content": self.content}
        if self.done is not None:
            made = self.done.to_dict()
            plain |= {key: made[key] for key in ("stop_reason", "usage", "timings")}
            if self.done.thoughts:
                plain["thoughts"] = self.done.thoughts
        if self.error:
            plain["stop_reason"] = "error"
        return plain


def read_turns(messages: object) -> list[Turn]:
    """Return the turns of a conversation that somebody gives as a list of dicts."""
    if not isinstance(messages, Iterable):
        msg = f"A conversation must be a list of messages, not {type(messages).__name__}."
        raise ParameterError(msg, _EXAMPLE)
    return [_read_turn(message) for message in messages]


def _read_turn(message: object) -> Turn:
    role, content = (message.get("role"), message.get("content")) if isinstance(message, Mapping) else (None, None)
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        msg = f"A message needs a role (user, assistant) and content as text, not {message!r:.80}."
        raise ParameterError(msg, _EXAMPLE)
    return Turn(role=cast("Role", role), pieces=[without_lone_surrogates(content)])


def without_lone_surrogates(text: str) -> str:
    """Return ``text`` as UTF-8 can carry it: a lone half of a surrogate pair becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def prompt(turns: Iterable[Turn], system: str | None) -> list[dict[str, Any]]:
    """Return the messages for the template, with strictly alternating roles.

    An answer that was stopped before its first token said nothing, and its question would be followed by the next one,
    which many templates refuse: the two questions become one.
    """
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if not turn.content and turn.role == "assistant":
            continue
        if messages and messages[-1]["role"] == turn.role == "user":
            messages[-1] = {"role": "user", "content": f"{messages[-1]['content']}\n\n{turn.content}"}
        else:
            messages.append({"role": turn.role, "content": turn.content})
    return [{"role": "system", "content": system}, *messages] if system else messages


# What a conversation tells those who watch it, beside the events of the worker.


@dataclass(frozen=True, kw_only=True)
class Snapshot(Message):
    """The whole conversation, and the answer that is being made, if any.

    ``running`` is the request id of the answer in flight ("" if none); its text so far is in the last turn, and the
    next chunk has ``seq``.
    """

    type = "snapshot"
    turns: list[dict[str, Any]] = field(default_factory=list)
    running: str = ""
    seq: int = 0
    tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class TurnChanged(Message):
    """One turn was added or settled; ``turn`` is as ``Turn.to_dict`` makes it.

    ``request_id`` is that of the answer it belongs to. A turn with a known id replaces the one before.
    """

    type = "turn"
    turn: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rejected(Message):
    """The question could not be answered at all and is gone from the conversation; ``turn`` was its id."""

    type = "rejected"
    text: str
    turn: str


Change = Snapshot | TurnChanged | Rejected
