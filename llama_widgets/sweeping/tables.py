"""A sweep as a table: of pandas or polars, whichever the user has."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ParameterError
from .cases import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import narwhals as nw

    from .plan import Plan, Row

Backend = Literal["pandas", "polars"]
_BACKENDS: tuple[Backend, ...] = ("pandas", "polars")
_RESULTS = (
    "state",
    "text",
    "parsed",
    "parse_error",
    "stop_reason",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "ttft_s",
    "decode_tps",
    "seconds",
    "mean_logprob",
    "score",
    "score_error",
    "error",
    "model_sha256",
)
_NUMBERS = _RESULTS[_RESULTS.index("prompt_tokens") : _RESULTS.index("score") + 1]


def columns_of(plan: Plan, rows: Sequence[Row], *, texts: bool) -> dict[str, list[Any]]:
    """Return the columns of the table: where a run stands, what all share, and what came of it.

    Parameters
    ----------
    plan : Plan
        What the sweep is made of.
    rows : sequence of dict
        The runs.
    texts : bool
        Whether values that are neither text nor numbers become JSON, for tables that hold nothing else.
    """
    places = [plan.place(row) for row in rows]
    columns: dict[str, list[Any]] = {"index": [row["index"] for row in rows]}
    columns |= {name: [place.get(name) for place in places] for name in plan.dimensions}
    columns |= {name: [value] * len(rows) for name, value in plan.options.items() if name not in columns}
    columns |= {name: [row.get(name) for row in rows] for name in _RESULTS}
    return {name: _column(values, texts=texts) for name, values in columns.items()}


def made(plan: Plan, rows: Sequence[Row], backend: str | None) -> Any:  # noqa: ANN401 - of pandas or polars
    """Return the table of a sweep as its library has it."""
    maker = _known(backend)
    return frame(columns_of(plan, rows, texts=maker == "polars"), maker).to_native()


def frame(columns: dict[str, list[Any]], backend: Backend) -> nw.DataFrame[Any]:
    """Return a table with these columns, made by ``backend``."""
    import narwhals as nw

    table = nw.from_dict(columns, backend=backend)
    unknown = [name for name in _NUMBERS if all(value is None for value in columns[name])]
    return table.with_columns(nw.col(*unknown).cast(nw.Float64)) if unknown else table


def parquet_backend() -> Backend:
    """Return what reads and writes Parquet, or raise ``ParameterError``: polars does by itself, pandas with pyarrow."""
    if find_spec("polars"):
        return "polars"
    if find_spec("pandas") and find_spec("pyarrow"):
        return "pandas"
    msg = "Nothing is installed that writes Parquet."
    raise ParameterError(msg, "Install it: pip install polars. Or let the file end in .jsonl.")


def _known(backend: str | None) -> Backend:
    if backend not in (None, *_BACKENDS):
        msg = f"There are no tables of {backend!r:.80}."
        raise ParameterError(msg, "Known: 'pandas', 'polars'.")
    # Who has imported only one of them wants that one.
    wanted = [name for name in _BACKENDS if name == backend] or sorted(
        _BACKENDS, key=lambda name: name not in sys.modules
    )
    if found := next((name for name in wanted if find_spec(name)), None):
        return found
    msg = f"{backend or 'Neither pandas nor polars'} is {'not ' if backend else ''}installed."
    raise ParameterError(msg, f"Install it: pip install {backend or 'pandas'}.")


def _column(values: list[Any], *, texts: bool) -> list[Any]:
    """Return values of one type: whole numbers beside others become such, and what does not go together text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return [value if value is None else float(value) for value in values] if len(kinds) > 1 else values
    if len(kinds) == 1 and kinds <= {str, bool}:
        return values
    if not texts:
        return values
    return [None if v is None else v if isinstance(v, str) else json.dumps(plain(v)) for v in values]
