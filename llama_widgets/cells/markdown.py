"""An answer as it stays in the notebook: Markdown that looks right wherever it is shown, and loads nothing."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from .. import protocol as p
from ..chat.transcript import quiet, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..chat.turns import Turn


_LARGE = 10
_ENDS = {
    "abort": "stopped",
    "error": "broken off by an error",
    "max_tokens": "cut at max tokens",
    "context_full": "context full",
}
"""Twin: ``frontend/src/chat/status.ts``."""


def settled(turns: Sequence[Turn], notices: Sequence[str], *, steady: bool, as_json: bool) -> str:
    """Return the turns of one answer as Markdown.

    Parameters
    ----------
    turns : list of Turn
        What the model said and what the tools that it called returned.
    notices : list of str
        What there is to say beside it.
    steady : bool
        Leave out the times, so that the same answer is the same text.
    as_json : bool
        Whether the answer is JSON, which is shown as code.
    """
    blocks: list[str] = []
    for turn in turns:
        message = turn.to_dict()
        message.pop("stop_reason", None)  # stands with the figures
        if turn.thoughts:
            title = _thought(message, steady=steady)
            body = html.escape(turn.thoughts.strip(), quote=False)
            blocks.append(f"<details><summary>{title}</summary>\n\n{body}\n\n</details>")
        if as_json and turn.role == "assistant" and turn.content and not turn.tool_calls:
            message["content"] = f"```json\n{turn.content.strip()}\n```"
        blocks += [quiet(block) for block in said(message)]
    blocks += [f"> {' '.join(notice.split())}" for notice in notices]
    if turns and (line := figures(turns, steady=steady)):
        blocks.append(f"<small>{line}</small>")
    return "\n\n".join(blocks)


def figures(turns: Sequence[Turn], *, steady: bool) -> str:
    """Return what an answer cost, as a panel has it below an answer: "38 tokens/s · first token 0.31 s · 96 tokens"."""
    last = turns[-1]
    done = last.done or p.CompletionDone(request_id="", text="", stop_reason="eos")
    parts = []
    if not steady and done.timings.decode_tps is not None:
        parts.append(f"{_short(done.timings.decode_tps)} tokens/s")
    if not steady and done.timings.ttft_s is not None:
        parts.append(f"first token {_seconds(done.timings.ttft_s)}")
    made = sum(turn.done.usage.completion_tokens for turn in turns if turn.done is not None)
    if last.done is not None:
        parts.append(f"{made:,} token{'' if made == 1 else 's'}")
    if done.dropped:
        parts.append(f"{done.dropped:,} older message{'' if done.dropped == 1 else 's'} left out")
    return " · ".join([*parts, *filter(None, [_ENDS.get(last.stop_reason)])])


def _thought(message: dict[str, Any], *, steady: bool) -> str:
    seconds = (message.get("timings") or {}).get("thought_s")
    tokens = (message.get("usage") or {}).get("thought_tokens")
    title = "Thoughts" if steady or seconds is None else f"Thought for {_seconds(seconds)}"
    return f"{title} · {tokens:,} tokens" if tokens else title


def _seconds(seconds: float) -> str:
    return f"{seconds:.{2 if seconds < 1 else 1}f} s"


def _short(number: float) -> str:
    return f"{number:.0f}" if number > _LARGE else f"{number:.1f}"
