"""Tokens coloured by probability as HTML, for those who read the notebook without us."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def coloured(tokens: Iterable[Mapping[str, Any]], title: str) -> str:
    """Return tokens as HTML without scripts: each says its probability and rank where the mouse rests."""
    spans = "".join(_span(token) for token in tokens)
    legend = " ".join(
        f'<span style="{_STYLES[name]}">{name}</span> {share}'
        for name, share in (("likely", "50 % and more,"), ("possible", "15 to 50 %,"), ("surprising", "less"))
    )
    return (
        f'<div class="lw-coloured"><p><b>{html.escape(title)}</b></p>'
        f'<p style="font-family:monospace;white-space:pre-wrap;line-height:1.9">{spans}</p>'
        f"<p><small>{legend}</small></p></div>"
    )


def _span(token: Mapping[str, Any]) -> str:
    logprob = token["logprob"]
    chance = "the first token" if logprob is None else f"{math.exp(logprob):.1%}"
    rank = f", rank {token['rank']:,}" if token["rank"] else ""
    text = html.escape(token["text"]).replace("\n", "↵\n")
    return f'<span style="{_STYLES[likeliness(logprob)]}" title="{chance}{rank}">{text}</span>'
