"""What an answer is at, as its events tell."""

from __future__ import annotations

from typing import Any

from .. import protocol as p
from ..chat.changes import Change, ToolCall


def phase_after(phase: str, change: p.Event | Change) -> str:
    """Return what an answer is at after ``change``, where it was at ``phase``; who stops it waits for its end."""
    if phase == "stopping":
        return phase
    match change:
        case p.CompletionChunk():
            return "generating"
        case ToolCall():
            return "tool"
        case p.Progress(operation="prefill"):
            return "prefill"
    return phase


def prefill_of(change: p.Progress) -> dict[str, Any]:
    """Return how far the reading of a prompt is, as the trait ``progress`` has it."""
    return {"operation": "prefill", "done": change.done, "total": change.total}
