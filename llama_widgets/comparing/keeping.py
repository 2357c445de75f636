"""A comparison as a table, and as a file that it is read from again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from ..chat import archive
from ..errors import ConversationError, LlamaWidgetsError
from .rounds import read_round
from .sides import LETTERS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ..worker import Worker
    from .comparison import Comparison
    from .rounds import Round

T = TypeVar("T", bound="Comparison")

FORMAT = "llama-widgets-comparison"
VERSION = 1
COLUMNS: dict[str, type] = {
    "round": int,
    **dict.fromkeys(("message", "place", "side", "model", "settings", "text", "stop_reason", "error", "vote"), str),
    "won": float,
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), int),
    **dict.fromkeys(("ttft_s", "decode_tps", "seconds"), float),
}
"""What the table of a comparison has."""


def rows(compared: Comparison) -> list[dict[str, Any]]:
    """Return a row with ``COLUMNS`` for each answer, as they stood from the left."""
    return [row for number, asked in enumerate(compared.rounds) for row in _rows(compared, number, asked)]


def _rows(compared: Comparison, number: int, asked: Round) -> list[dict[str, Any]]:
    voted = isinstance(asked.vote, int)
    made = []
    for place, index in enumerate(asked.order):
        side, said = compared.sides[index], asked.entries[index].to_dict()
        row = {
            "round": number,
            "message": str(asked.message),
            "place": LETTERS[place],
            "text": said["text"],
            "stop_reason": said["stop_reason"] or None,
            "error": said["error"] or None,
            "vote": compared.sides[asked.vote].name if isinstance(asked.vote, int) else asked.vote,
            "won": float(asked.vote == index) if voted else 0.5 if asked.vote == "tie" else None,
        }
        if not asked.hidden:
            row |= {**(said["usage"] or {}), **(said["timings"] or {}), "seconds": said["seconds"]}
            row |= {"side": side.name, "model": side.model}
            row["settings"] = json.dumps(side.settings, ensure_ascii=False)
        made.append({name: row.get(name) for name in COLUMNS})
    return made


def write(compared: Comparison) -> dict[str, Any]:
    """Return all of a comparison as plain data, with nothing of this machine."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "blind": compared.blind,
        "follow": compared.follow,
        "seed": compared.seed,
        "sides": [
            {"name": side.name, "model": archive.shareable(side.model), "settings": side.settings}
            for side in compared.sides
        ],
        "rounds": [asked.to_dict() for asked in compared.rounds],
    }


def read(make: Callable[..., T], path: str | os.PathLike[str], worker: Worker | None) -> T:
    """Return what a file holds; raises ``ConversationError`` if that is no comparison."""
    text = archive.load(path)
    try:
        data = json.loads(text)
        if data["format"] != FORMAT or data["version"] > VERSION:
            raise ValueError(data["format"])
        sides = [{"name": each["name"], "model": each["model"], **each["settings"]} for each in data["sides"]]
        made = make(sides, blind=data["blind"], follow=data["follow"], seed=data["seed"], worker=worker)
        made.rounds = [read_round(each, len(sides)) for each in data["rounds"]]
    except (LlamaWidgetsError, LookupError, TypeError, ValueError, RecursionError) as error:
        msg = f"{str(path)!r:.200} is no comparison that can be read."
        raise ConversationError(msg, "Give a file that Comparison.save() has written.") from error
    return made
