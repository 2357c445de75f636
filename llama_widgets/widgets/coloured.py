"""What a TokenView shows as HTML without scripts, for those who read the notebook without us."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..tokens.lines import Line
    from .messages import tokens as m

# Half transparent, so that they can be read on light and on dark pages; the line says the same without the colour.
_STYLES = {
    "likely": "background:rgba(46,125,50,.22)",
    "possible": "background:rgba(230,140,0,.28);border-bottom:2px dotted",
    "surprising": "background:rgba(211,47,47,.28);border-bottom:2px solid",
    "": "",
}


def likeliness(logprob: float | None) -> str:
    """Return in a word how likely a token was. Twin: ``frontend/src/tokens/words.ts``."""
    if logprob is None:
        return ""
    return "likely" if logprob >= math.log(0.5) else "possible" if logprob >= math.log(0.15) else "surprising"


_MOST = 12
_MONO = "font-family:monospace;white-space:pre-wrap;line-height:1.9"
_KINDS = {"system": "system prompt", "dropped": "left out", "kept": "kept", "new": "new", "template": "template"}


def page(lines: Iterable[Line], told: Mapping[str, Any]) -> str:
    """Return answers and what the tabs were told, one below the other."""
    drawn: dict[str, Callable[[Any], str]] = {
        "steps": _steps,
        "tokenized": _tokenized,
        "template": _template,
        "context": _context,
    }
    parts = [_coloured(line) for line in lines]
    parts += [draw(told[kind]) for kind, draw in drawn.items() if kind in told]
    return "\n".join(f'<div class="lw-coloured">{part}</div>' for part in parts)


def _coloured(line: Line) -> str:
    """Return tokens that say their probability and rank where the mouse rests."""
    legend = " ".join(
        f'<span style="{_STYLES[name]}">{name}</span> {share}'
        for name, share in (("likely", "50 % and more,"), ("possible", "15 to 50 %,"), ("surprising", "less"))
    )
    spans = "".join(map(_span, line.whole))
    return f'{_head(line.title)}<p style="{_MONO}">{spans}</p><p><small>{legend}</small></p>'


def _steps(step: m.Steps) -> str:
    taken = "".join(each["text"] for each in step.taken)
    shown = zip(step.texts[:_MOST], step.logprobs, strict=False)
    rows = [(text.replace(" ", "␣"), f"{math.exp(logprob):.1%}") for text, logprob in shown]
    said = f"{html.escape(step.prompt)}<b>{html.escape(taken)}</b>"
    if step.ended:
        return f"{_head('The model ends here')}{_mono(said)}"
    return f"{_head('What may come next')}{_mono(said + '…')}{_table(rows)}"


def _tokenized(told: m.Tokenized) -> str:
    names = {each["model"]: each["name"] for each in told.models}
    parts = []
    for side in told.sides:
        count = len(side["pieces"])
        pieces = " ".join(map(_piece, side["pieces"]))
        title = f"{names.get(side['model'], side['model'])}: {count} token{'' if count == 1 else 's'}"
        parts.append(f'{_head(title)}<p style="{_MONO}">{pieces}{html.escape(side["error"])}</p>')
    return "".join(parts)


def _piece(piece: Mapping[str, Any]) -> str:
    text = html.escape(piece["text"].replace(" ", "␣"))
    return f'<span style="{_STYLES["likely"]}" title="{piece["id"]}">{text}</span>'


def _template(told: m.Template) -> str:
    spans = (
        f'<span style="{_STYLES["likely"]}" title="{html.escape(run["role"])}">{html.escape(run["text"])}</span>'
        if run["role"]
        else f"<b>{html.escape(run['text'])}</b>"
        if run["special"]
        else html.escape(run["text"])
        for run in told.runs
    )
    return f'{_head(f"What the model reads: {told.tokens} tokens")}<p style="{_MONO}">{"".join(spans)}</p>'


def _context(told: m.Context) -> str:
    used = sum(each["tokens"] for each in told.stretches if each["kind"] != "dropped")
    rows = [(_KINDS[each["kind"]], each["role"], each["text"], str(each["tokens"])) for each in told.stretches]
    return f"{_head(f'{used:,} of {told.size:,} tokens')}{_table(rows)}"


def _mono(content: str) -> str:
    return f'<p style="{_MONO}">{content}</p>'


def _head(title: str) -> str:
    return f"<p><b>{html.escape(title)}</b></p>"


def _table(rows: Iterable[Sequence[str]]) -> str:
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _span(token: Mapping[str, Any]) -> str:
    logprob = token["logprob"]
    chance = "the first token" if logprob is None else f"{math.exp(logprob):.1%}"
    rank = f", rank {token['rank']:,}" if token["rank"] else ""
    text = html.escape(token["text"]).replace("\n", "↵\n")
    return f'<span style="{_STYLES[likeliness(logprob)]}" title="{chance}{rank}">{text}</span>'
