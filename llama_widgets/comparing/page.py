"""A comparison as something to read: HTML that is safe anywhere."""

from __future__ import annotations

import html as escape
from typing import TYPE_CHECKING

from ..chat import transcript
from .sides import LETTERS

if TYPE_CHECKING:
    from .comparison import Comparison
    from .rounds import Round


def html(compared: Comparison) -> str:
    """Return all rounds and how the sides stand, as ``transcript.html`` does a conversation."""
    parts = [_round(compared, asked) for asked in list(compared.rounds)]
    if any(asked.vote is not None for asked in compared.rounds):
        parts.append(_tally(compared))
    return "\n".join(['<div class="lw-transcript">', *parts, "</div>"])


def _round(compared: Comparison, asked: Round) -> str:
    parts = [transcript.html([{"role": "user", "content": asked.message}])]
    for place, side in enumerate(asked.order):
        name = LETTERS[place] if asked.hidden else f"{LETTERS[place]} · {compared.sides[side].name}"
        better = " ✓ better" if asked.vote == side and asked.vote is not None else ""
        answer = asked.entries[side].to_dict()
        parts.append(f"<p><strong>{escape.escape(name)}</strong>{better}</p>")
        parts.append(
            transcript.html(
                [
                    {
                        "role": "assistant",
                        "content": answer["text"],
                        "thoughts": answer["thoughts"],
                        "stop_reason": answer["stop_reason"],
                    }
                ]
            )
        )
        if answer["error"]:
            parts.append(f"<p><em>{escape.escape(answer['error'])}</em></p>")
    if asked.vote == "tie":
        parts.append("<p><em>A tie.</em></p>")
    return "\n".join(filter(None, parts))


def _tally(compared: Comparison) -> str:
    rows = [
        f"<tr><td>{escape.escape(each['side'])}</td><td>{each['wins']}</td><td>{each['ties']}</td>"
        f"<td>{each['losses']}</td><td>{each['rate']:.0%}</td></tr>"
        for each in compared.tally()
    ]
    head = "".join(f"<th>{name}</th>" for name in ("Side", "Wins", "Ties", "Losses", "Win rate"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
