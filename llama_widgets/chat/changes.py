"""What a conversation tells those who watch it, beside the events of the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..wire import Message

ToolState = Literal["waiting", "running", "done", "failed", "refused", "timeout", "stopped"]
"""How far the call of a tool is: waiting to be confirmed, running, or why it ended."""


@dataclass(frozen=True, kw_only=True)
class Snapshot(Message):
    """The conversation, and the answer that is being made, if any.

    Of a long one these may be the last turns only: ``earlier`` is how many there are before them. ``running`` is the
    request id of the answer in flight ("" if none); its text so far is in the last turn, and the next chunk has
    ``seq``.
    """

    type = "snapshot"
    turns: list[dict[str, Any]] = field(default_factory=list)
    running: str = ""
    seq: int = 0
    tokens: int = 0
    earlier: int = 0


@dataclass(frozen=True, kw_only=True)
class TurnChanged(Message):
    """One turn was added, settled or is being gone on with; ``turn`` is as ``Turn.to_dict`` makes it.

    ``request_id`` is that of the answer it belongs to. A turn with a known id replaces the one before.
    """

    type = "turn"
    turn: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Branched(Message):
    """After the turn ``after`` ("" is before the first) the conversation now goes on with ``turns``, and no others."""

    type = "branched"
    after: str
    turns: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class BookChanged(Message):
    """There are other conversations, or other names for them: dicts with ``id``, ``name`` and ``current``."""

    type = "book"
    conversations: list[dict[str, Any]]
    can_undo: bool


@dataclass(frozen=True, kw_only=True)
class Rejected(Message):
    """The question could not be answered at all, and the conversation is as it was before; ``turn`` was its id."""

    type = "rejected"
    text: str
    turn: str


@dataclass(frozen=True, kw_only=True)
class ToolCall(Message):
    """The model calls a tool: ``state`` is "waiting" while the call is to be confirmed, then "running".

    ``id`` is the call's own, ``request_id`` that of the answer it belongs to.
    """

    type = "tool_call"
    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    state: ToolState = "running"


@dataclass(frozen=True, kw_only=True)
class ToolResult(Message):
    """What the model is told of a call, and how it ended: "done", "failed", "refused", "timeout" or "stopped"."""

    type = "tool_result"
    id: str
    name: str
    content: str
    state: ToolState = "done"


CONTENT = (Snapshot, TurnChanged, Branched, BookChanged, Rejected)
"""Changes of what a conversation holds."""

Change = Snapshot | TurnChanged | Branched | BookChanged | Rejected | ToolCall | ToolResult
