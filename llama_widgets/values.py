"""What a model is shown of a Python object: little, and said where there was more."""

from __future__ import annotations

import reprlib
import sys
from typing import Any

LONGEST = 10_000
"""Characters of one value: some 2,500 tokens, so that a few of them fit even a small context."""
ROWS = 20
COLUMNS = 20
_CELL = 80


def shown(value: object) -> str:
    """Return ``value`` as a model can read it.

    Tables become Markdown tables with their first and last rows, arrays and containers are shortened, and so is
    anything that is long; a note says what was left out. Text is itself.
    """
    if (table := _frame(value)) is not None:
        return _cut(_markdown(table))
    if (numpy := sys.modules.get("numpy")) is not None and isinstance(value, numpy.ndarray) and value.ndim:
        body = numpy.array2string(value, threshold=200, precision=6, separator=", ", max_line_width=110)
        return _cut(f"{body}\n(array of shape {value.shape}, {value.dtype})")
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return _cut(_short.repr(value))
    return _cut(str(value))


def _frame(value: object) -> Any:  # noqa: ANN401 - pandas is known only where the user has imported it
    """Return what has rows and columns as a pandas DataFrame, or None for what has not."""
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return value
    if pandas is not None and isinstance(value, pandas.Series):
        return value.to_frame(value.name if value.name is not None else "value")
    if polars is not None and pandas is not None and isinstance(value, (polars.DataFrame, polars.Series)):
        rows = value.to_frame() if isinstance(value, polars.Series) else value
        return pandas.DataFrame(rows.to_dict(as_series=False))
    return None


def _markdown(table: Any) -> str:  # noqa: ANN401 - a DataFrame
    rows, columns = table.shape
    head = ROWS if rows <= ROWS else ROWS // 2
    tail = 0 if rows <= ROWS else ROWS - head
    part = table.iloc[:, :COLUMNS]
    numbered = type(table.index).__name__ == "RangeIndex" and rows <= ROWS
    names = [] if numbered else [" / ".join(map(str, filter(None, table.index.names)))]
    lines = [_row([*names, *part.columns]), "|" + " --- |" * (len(names) + part.shape[1])]
    for first, piece in ((True, part.iloc[:head]), (False, part.iloc[rows - tail :])):
        values = zip(*(piece.iloc[:, i] for i in range(piece.shape[1])), strict=True)
        whole = list(values) or [()] * len(piece)
        lines += [_row([*([] if numbered else [key]), *row]) for key, row in zip(piece.index, whole, strict=True)]
        if first and tail:
            lines.append(_row(["…"] * (len(names) + part.shape[1])))
    left_out = []
    if tail:
        left_out.append(f"rows {head + 1:,} to {rows - tail:,}")
    if columns > COLUMNS:
        left_out.append(f"the last {columns - COLUMNS:,} columns")
    note = f"\n\n({rows:,} rows, {columns:,} columns; left out: {' and '.join(left_out)})" if left_out else ""
    return "\n".join(lines) + note


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: object) -> str:
    if isinstance(value, tuple):  # a label of several levels
        return " / ".join(map(_cell, value))
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = " ".join(text[: _CELL + 1].split()).replace("|", "\\|")
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}…\n(the first {LONGEST:,} of {len(text):,} characters)"


_short = reprlib.Repr()
_short.maxdict = _short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = 100
_short.maxstring = _short.maxother = 1_000
_short.maxlong = 1_000
