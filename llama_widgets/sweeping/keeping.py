"""The file of a sweep: JSON lines that grow with each run, or a Parquet table that is written now and then."""

from __future__ import annotations

import contextlib
import json
import math
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from ..errors import SweepError
from ..later import Later
from ..library.references import absolute
from .cases import plain
from .plan import BLANK, Plan
from .tables import columns_of, frame, parquet_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .plan import Row

_EVERY_S = 10.0
_BLOCK = 2**16
_FORMATS = (".jsonl", ".ndjson", ".parquet")
_HINT = "Give the path of a file that can be written, such as save='results.jsonl' or save='results.parquet'."


class Keeper(Protocol):
    """Who writes the rows of a sweep into a file."""

    path: Path

    def write(self, rows: Sequence[Row]) -> None:
        """Keep what has become of these rows; raises ``OSError`` where they cannot be kept now."""

    def flush(self) -> None:
        """Write now what is not yet written."""


def keeper(path: str | os.PathLike[str], plan: Plan, rows: Sequence[Row]) -> Keeper:
    """Return who keeps ``rows`` in the file, with what has become of them until now.

    Raises
    ------
    SweepError
        If it cannot be written, or its name ends in no format that is known.
    """
    file = _file(path)
    if _is_parquet(file):
        parquet_backend()  # raises if there is none
    kind: Callable[..., Keeper] = _Parquet if _is_parquet(file) else _Lines
    try:
        return kind(file, plan, rows)
    except OSError as error:
        msg = f"{file.name!r:.200} cannot be written: {error.strerror or error}."
        raise SweepError(msg, _HINT) from error


def read(path: str | os.PathLike[str]) -> tuple[Plan, list[Row]]:
    """Return the plan in a file, and its runs with what has become of them.

    Raises
    ------
    SweepError
        If there is no such file, or no sweep in it.
    """
    file = _file(path)
    try:
        file.stat()  # pandas says of a file that is not there no more than its path
        data, found = (_read_parquet if _is_parquet(file) else _read_lines)(file)
        plan = Plan.from_dict(data)
        rows = plan.rows()
        for index, values in found:
            rows[index].update(cast("Row", values))
    except OSError as error:
        msg = f"{file.name!r:.200} cannot be read: {error.strerror or error}."
        raise SweepError(msg, "Name the file that was given as save=.") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, SweepError):
            raise
        msg = f"{file.name!r:.200} holds no sweep, and is left as it is."
        raise SweepError(msg, "Name another file, or move this one away.") from error
    return plan, rows


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is anything in the file yet."""
    try:
        return _file(path).stat().st_size > 0
    except OSError:
        return False


def forget(path: str | os.PathLike[str]) -> None:
    """Remove the file, if there is one."""
    with contextlib.suppress(OSError):
        _file(path).unlink()


class _Lines:
    """A line with the plan, then one for each run that ended; of two lines for the same run the later one holds."""

    def __init__(self, path: Path, plan: Plan, rows: Sequence[Row]) -> None:
        self.path = path
        self._pending: list[Row] = []
        self._append([])
        if not path.stat().st_size:
            self._append([{"sweep": plan.to_dict()}, *(_of(row) for row in rows if row["state"] != "waiting")])

    def write(self, rows: Sequence[Row]) -> None:
        self._pending.extend(rows)
        if self._pending:
            self._append([_of(row) for row in self._pending])
            self._pending.clear()

    def flush(self) -> None:
        self.write([])

    def _append(self, lines: list[dict[str, Any]]) -> None:
        with self.path.open("a+b") as file:
            file.truncate(_whole(file))  # half a line may be left, of an earlier kernel or of a disk that was full
            file.write("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode())


def _whole(file: BinaryIO) -> int:
    """Return how long the file is up to the end of its last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _BLOCK)
        file.seek(start)
        if (at := file.read(end - start).rfind(b"\n")) >= 0:
            return start + at + 1
        end = start
    return 0


def _read_lines(path: Path) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
    found = []
    with path.open(encoding="utf-8") as file:
        data = json.loads(file.readline())["sweep"]
        for line in file:
            if not line.endswith("\n"):  # the kernel ended while it was written
                break
            values = json.loads(line)
            found.append((values["index"], _read(values)))
    return data, found


def _read_parquet(path: Path) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
    import narwhals as nw

    backend = parquet_backend()
    try:
        table = nw.read_parquet(str(path), backend=backend).select("index", "kept", "plan")
    except OSError:
        raise
    except Exception as error:
        raise ValueError(*error.args) from error  # each library has errors of its own
    found = table.rows(named=True)
    return json.loads(found[0]["plan"]), [(row["index"], _read(json.loads(row["kept"]))) for row in found]


def _of(row: Row) -> dict[str, Any]:
    """Return a row as it is kept: as plain data. JSON has no number for a score of NaN."""
    score = row["score"]
    return {**plain(row), "score": score if score is None or math.isfinite(score) else str(score)}


def _read(values: dict[str, Any]) -> dict[str, Any]:
    """Return what has become of a run, from a row as it was kept."""
    kept = {name: values[name] for name in BLANK if name in values}
    if kept.get("score") is not None:
        kept["score"] = float(kept["score"])
    if kept.get("state") == "running":  # when the table was written; that kernel is gone
        kept["state"] = "stopped"
    return kept


class _Parquet:
    """A table of all runs with the plan beside each, written whole now and then and at the end."""

    def __init__(self, path: Path, plan: Plan, rows: Sequence[Row]) -> None:
        self.path = path
        self._plan, self._rows = plan, rows
        self._data = json.dumps(plan.to_dict(), ensure_ascii=False)
        self._later = Later(self._write, _EVERY_S)
        self._error: OSError | None = None
        self._write()
        self.write([])

    def write(self, rows: Sequence[Row]) -> None:
        if rows:
            self._later()
        if error := self._error:
            self._error = None
            raise error

    def flush(self) -> None:
        self._later.flush()
        self.write([])

    def _write(self) -> None:
        new = self.path.with_name(f".{self.path.name}.new")
        kept = [json.dumps({name: value for name, value in _of(row).items() if name in BLANK}) for row in self._rows]
        columns = {**columns_of(self._plan, self._rows, texts=True), "kept": kept, "plan": [self._data] * len(kept)}
        try:
            frame(columns, parquet_backend()).write_parquet(new)
            new.replace(self.path)
        except OSError as error:
            self._error = error
            with contextlib.suppress(OSError):
                new.unlink()


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _file(path: str | os.PathLike[str]) -> Path:
    try:
        file = absolute(os.fspath(path)).resolve()
    except (TypeError, OSError, RuntimeError, ValueError) as error:
        msg = f"A sweep cannot be kept in {path!r:.200}."
        raise SweepError(msg, _HINT) from error
    if file.is_dir():
        msg = f"{file.name!r:.200} is a folder."
        raise SweepError(msg, _HINT)
    if file.suffix.lower() not in _FORMATS:
        msg = f"{file.name!r:.200} names no format that a sweep is kept in."
        raise SweepError(msg, f"Let it end in {' or '.join(_FORMATS)}.")
    return file
