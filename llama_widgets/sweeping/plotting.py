"""What the runs of a sweep are worth, as a picture: a dot for each run, and the means."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError, SweepError
from ..wire import known

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .sweep import Sweep

VALUES = ("score", "mean_logprob", "completion_tokens", "seconds", "ttft_s", "decode_tps")
_APART = 0.5
_LONGEST = 24
_LINE = 48
"""Characters of labels that stand beside each other; more would lie on each other."""


def plot(sweep: Sweep, value: str, x: str | None, colour: str | None, ax: Axes | None) -> Axes:
    """Draw what ``Sweep.plot`` promises."""
    if value not in VALUES:
        msg = f"There is nothing to plot called {value!r:.80}."
        raise ParameterError(msg, known(value, VALUES))
    varied = [name for name, values in sweep.dimensions.items() if len(values) > 1 and name != "seed"]
    for name in (x, colour):
        if name is not None and name not in sweep.dimensions:
            msg = f"The sweep has no dimension {name!r:.80}."
            raise ParameterError(msg, known(name, list(sweep.dimensions)))
    across = x or next((name for name in varied if _numeric(sweep.dimensions[name])), next(iter(varied), "prompt"))
    series = colour or next((name for name in varied if name != across), None)
    found = [(sweep.place(row), row.get(value)) for row in sweep.rows]
    points = [(place, float(y)) for place, y in found if isinstance(y, (int, float)) and math.isfinite(y)]
    if not points:
        msg = f"No run has a {value} yet."
        raise SweepError(msg, "Give a score: sweep.score(lambda row: ...)." if value == "score" else "Wait for some.")
    axes = ax or _axes()
    _draw(axes, points, across, sweep.dimensions[across], series, sweep.dimensions[series] if series else [None])
    axes.set_xlabel(across)
    axes.set_ylabel(value)
    if series:
        axes.legend(title=series, loc="upper left", bbox_to_anchor=(1.01, 1))
    return axes


def _draw(
    axes: Axes,
    points: list[tuple[dict[str, Any], float]],
    across: str,
    steps: list[Any],
    series: str | None,
    groups: list[Any],
) -> None:
    numeric = _numeric(steps)
    at = [float(step) for step in steps] if numeric else [float(index) for index in range(len(steps))]
    gap = min((b - a for a, b in zip(sorted(at), sorted(at)[1:], strict=False)), default=1.0)
    for number, group in enumerate(groups):
        aside = (
            gap * _APART * ((number + 0.5) / len(groups) - 0.5)
        )  # so that the dots of groups do not lie on each other
        heights = [
            [y for place, y in points if place[across] == step and (series is None or place[series] == group)]
            for step in steps
        ]
        shown = sorted((spot + aside, ys) for spot, ys in zip(at, heights, strict=True) if ys)
        label = "" if series is None else _short(group)
        style = "-" if numeric else ""  # between names there is nothing
        means = [fmean(ys) for _, ys in shown]
        (line,) = axes.plot([spot for spot, _ in shown], means, linestyle=style, marker="_", ms=16, mew=2, label=label)
        dots = [(spot, y) for spot, ys in shown for y in ys]
        axes.plot([spot for spot, _ in dots], [y for _, y in dots], "o", color=line.get_color(), alpha=0.4, ms=5)
    labels = [_short(step) for step in steps]
    axes.set_xticks(at, labels)
    if sum(map(len, labels)) > _LINE:
        axes.tick_params("x", rotation=30)
        for name in axes.get_xticklabels():
            name.set_horizontalalignment("right")


def _axes() -> Axes:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        msg = "Plots are drawn by matplotlib, which is not installed."
        raise ParameterError(
            msg, "Install it: pip install matplotlib. Or plot to_dataframe() with what you have."
        ) from error
    return plt.subplots(layout="constrained")[1]


def _numeric(values: list[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _short(value: object) -> str:
    text = str(value).rsplit("/", 1)[-1]
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
