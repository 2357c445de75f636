"""What the runs of a sweep are worth, by a function of the user."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

from ..errors import SweepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .plan import Row

    Score = Callable[[dict[str, Any]], Any]


def checked(function: object) -> Score | None:
    """Return the function, or raise ``SweepError`` if it is none."""
    if function is None or callable(function):
        return function
    msg = f"A score must be a function, not {type(function).__name__}."
    raise SweepError(msg, 'It takes a run as a dict and returns a number: lambda row: len(row["text"]).')


def score(row: Row, function: Score) -> None:
    """Give a run that is done its score. What the function raises is kept beside it: the others go on."""
    row["score"], row["score_error"] = None, ""
    if row["state"] != "done":
        return
    try:
        made = function({**row})
        if hasattr(made, "item"):  # of numpy
            made = made.item()
        if not isinstance(made, Real):
            row["score_error"] = f"score() returned {made!r:.80}, which is no number"
        else:
            row["score"] = float(made)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's code
        row["score_error"] = f"score() raised {type(error).__name__}: {error}"[:500]


def notices(rows: list[Row]) -> list[str]:
    """Return what is to be said of all runs together, each thing once with how many it is true of."""
    found: dict[str, int] = {}
    for row in rows:
        what = row["error"] if row["state"] == "failed" else row["score_error"]
        if row["score"] is not None and row["score"] != row["score"]:
            what = "score() returned NaN"
        if what:
            found[what] = found.get(what, 0) + 1
    return [f"{count:,} {'run' if count == 1 else 'runs'}: {what}" for what, count in found.items()]
