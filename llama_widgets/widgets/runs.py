"""The runs of a sweep as a page and a notebook show them: what spans the grid, short columns, one run in full."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias

from ..sweeping.replies import reply
from ..sweeping.tables import columns_of
from .messages.sweep import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..sweeping.plan import Row
    from ..sweeping.sweep import Sweep

PREVIEW = 180
"""Characters of a reply that stand in the grid."""
_LABEL = 200
_TEXTS = ("state", "text", "thoughts", "error", "stop_reason", "parse_error", "score_error")
_FIGURES = (
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "ttft_s",
    "decode_tps",
    "seconds",
    "mean_logprob",
    "score",
)
KEPT_RUNS, _KEPT_TEXT = 1_000, 2_000
"""What the notebook's file holds at most of a sweep: it is opened by people who have not asked for it."""


Dimensions: TypeAlias = tuple[list[dict[str, Any]], list[list[int]]]
"""Names, kinds and values, as text; and for each of them which value each run has, -1 where it has none."""


def dimensions(sweep: Sweep) -> Dimensions:
    """Return what spans the grid of a sweep."""
    made, codes = [], []
    places = [sweep.place(row) for row in sweep.rows]
    for name in sweep.dimensions:
        known: dict[str, int] = {}
        labels: list[str] = []
        column = []
        for place in places:
            value = place.get(name)
            key = f"{type(value).__name__} {value!r}"
            if value is not None and key not in known:
                known[key] = len(known)
                labels.append(_label(value))
            column.append(known.get(key, -1))
        kind = _kind(sweep, name)
        made.append({"name": name, "kind": kind, "values": _short(labels) if kind == "model" else labels})
        codes.append(column)
    return made, codes


def axes(sweep: Sweep, few: int) -> tuple[str, str]:
    """Return what the rows and the columns are at first: prompts down, and across parameters, if there are ``few``."""
    names = [name for name, values in sweep.dimensions.items() if len(values) > 1]
    order = ("parameter", "model", "seed", "variable", "prompt")
    candidates = [name for name in names if len(sweep.dimensions[name]) <= few] if len(names) > 1 else []
    across = min(candidates, key=lambda name: order.index(_kind(sweep, name)), default="")
    return next((name for name in names if name != across), ""), across


def columns(rows: Iterable[Row]) -> Runs:
    """Return what a grid shows of these runs."""
    made = Runs()
    for row in rows:
        made.index.append(row["index"])
        made.state.append(row["state"])
        made.text.append(_preview(row))
        made.stop_reason.append(row["stop_reason"] or "")
        made.tokens.append(row["completion_tokens"])
        made.seconds.append(row["seconds"])
        made.mean_logprob.append(_finite(row["mean_logprob"]))
        made.score.append(_finite(row["score"]))
    return made


def whole(sweep: Sweep, row: Row) -> dict[str, Any]:
    """Return all of a run as plain data."""
    data: dict[str, Any] = dict(row)
    settings = {"index": row["index"], **sweep.place(row), **sweep.plan.options, "sha256": row["model_sha256"]}
    return {
        **{name: data[name] or "" for name in _TEXTS},
        **{name: _finite(data[name]) for name in _FIGURES},
        "code": reply(sweep.plan, row).to_code() if row["made"] else "",
        "parsed": None if row["parsed"] is None else json.dumps(data["parsed"], ensure_ascii=False, indent=2),
        "settings": [[name, _plain(value)] for name, value in settings.items() if value is not None],
        "messages": [{"role": str(each["role"]), "content": _plain(each["content"])} for each in row["messages"]],
        "tokens": [[each["text"], each["logprob"]] for each in row["logprobs"]],
    }


def to_csv(sweep: Sweep) -> str:
    """Return all runs as comma-separated values, with the columns of ``Sweep.to_dataframe``."""
    table = columns_of(sweep.plan, sweep.rows, texts=True)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def to_html(sweep: Sweep, spanned: Dimensions, begin: int = 0, end: int = KEPT_RUNS) -> str:
    """Return the runs that no longer wait as a table that needs neither scripts nor a kernel, ``begin`` to ``end``."""
    varied = [(each, codes) for each, codes in zip(*spanned, strict=True) if len(each["values"]) > 1]
    shown: list[dict[str, Any]] = [dict(row) for row in sweep.rows[begin:end] if row["state"] != "waiting"]
    figures = [name for name in ("score", "mean_logprob") if any(dict(row)[name] is not None for row in sweep.rows)]
    lines = [_line("th", [_escaped(name) for name in (*(each["name"] for each, _ in varied), "reply", *figures)])]
    for row in shown:
        labels = [each["values"][code] if (code := codes[row["index"]]) >= 0 else "" for each, codes in varied]
        numbers = ["" if row[name] is None else f"{row[name]:.4g}" for name in figures]
        # Jupyter writes what stands in a cell to its right end, which suits numbers.
        said = f'<div align="left">{_escaped(_cut(_said(row), _KEPT_TEXT))}</div>'
        lines.append(_line("td", [*map(_escaped, labels), said, *numbers]))
    table = "\n".join(["<table>", *lines, "</table>"]) if shown else ""
    more = len(sweep.rows) - end
    note = f"<p>{more:,} more runs are not shown here.</p>" if more > 0 and end == KEPT_RUNS else ""
    return f'<div class="lw-sweep-kept">\n{table}{note}\n</div>'


def _line(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _escaped(text: str) -> str:
    # In one line: within Markdown it is one block then.
    return html.escape(text).replace("\r", "").replace("\n", "<br>")


def _kind(sweep: Sweep, name: str) -> str:
    """Return what a dimension varies."""
    if name in ("prompt", "model", "seed"):
        return name
    return "parameter" if any(name in params for params in sweep.plan.params) else "variable"


def _label(value: object) -> str:
    """Return a value as the head of a row or a column has it."""
    return _cut(" ".join(_plain(value).split()), _LABEL)


def _preview(row: Row) -> str:
    if row["state"] == "failed":
        return _cut(row["error"], PREVIEW)
    text = row["text"]
    if row["state"] == "running" and len(text) > PREVIEW:
        return "…" + " ".join(text[-PREVIEW:].split())  # what is being said is at the end
    return _cut(" ".join(text[: 2 * PREVIEW].split()), PREVIEW)


def _said(row: Mapping[str, Any]) -> str:
    if row["state"] == "failed":
        return f"Failed: {row['error']}"
    return str(row["text"] or ("" if row["state"] == "done" else row["state"]))


def _short(models: list[str]) -> list[str]:
    """Return the names of models without their folders, where that tells them apart."""
    short = [model.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gguf") for model in models]
    return short if len(set(short)) == len(models) else models


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
