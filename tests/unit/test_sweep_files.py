"""What is kept of a sweep, and what it is turned into: files that outlive the kernel, tables of pandas and polars."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import ParameterError, SweepError
from llama_widgets.sweeping import tables
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS = ["runs.jsonl", "runs.parquet"]


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def worker(asked: list[str]) -> Iterator[Worker]:
    def script(command: Any) -> list[str]:  # noqa: ANN401
        text = str(command.messages[-1]["content"])
        asked.append(text)
        return [f"{text}!"]

    engine = ScriptedEngine(script)
    worker = Worker(lambda: engine, find=Path)
    yield worker
    worker.close()


@pytest.fixture
def sweep(worker: Worker) -> Callable[..., lw.Sweep]:
    return lambda prompts, **options: lw.sweep(prompts, models="a.gguf", worker=worker, **options)


def _unmade(path: Path, *indices: int) -> None:
    """Let the file be that of a kernel which ended before these runs."""
    plan, rows = lw.Sweep.load(path).plan, lw.Sweep.load(path).rows
    for index in indices:
        rows[index] = plan.rows()[index]
    lw.Sweep(plan, rows).save(path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_sweep_outlives_its_kernel(
    sweep: Callable[..., lw.Sweep], worker: Worker, asked: list[str], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    before = sweep(["one", "two", "three"], save=path, params={"temperature": [0]}, score=lambda row: len(row["text"]))
    before.wait()
    loaded = lw.Sweep.load(path, worker=worker)
    assert loaded.rows == before.rows
    assert (loaded.state, loaded.dimensions) == ("done", before.dimensions)
    _unmade(path, 1)
    loaded = lw.Sweep.load(path, worker=worker)
    assert (loaded.state, loaded.done) == ("stopped", 2)
    asked.clear()
    assert loaded.resume().wait().state == "done"
    assert asked == ["two"]
    assert [row["text"] for row in lw.Sweep.load(path).rows] == ["one!", "two!", "three!"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_sweep_goes_on_with_its_file_and_another_one_is_refused(
    sweep: Callable[..., lw.Sweep], asked: list[str], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    sweep(["one", "two"], save=path).wait()
    asked.clear()
    assert sweep(["one", "two"], save=path).wait().state == "done"
    assert asked == []
    kept = path.read_bytes()
    with pytest.raises(SweepError, match="another sweep"):
        sweep(["one", "three"], save=path)
    assert path.read_bytes() == kept


def test_each_run_is_a_line_as_soon_as_it_has_ended(sweep: Callable[..., lw.Sweep], tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    lines: list[int] = []

    def score(_: object) -> int:
        lines.append(len(path.read_text().splitlines()))
        return 1

    sweep(["one", "two"], save=path, score=score).wait()
    assert lines == [1, 2]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert "sweep" in rows[0]
    assert [(row["index"], row["text"]) for row in rows[1:]] == [(0, "one!"), (1, "two!")]


def test_a_torn_last_line_is_survived(sweep: Callable[..., lw.Sweep], worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    sweep(["one", "two"], save=path).wait()
    path.write_bytes(path.read_bytes()[:-30])
    loaded = lw.Sweep.load(path, worker=worker)
    assert [row["state"] for row in loaded.rows] == ["done", "waiting"]
    loaded.resume().wait()
    assert [row["text"] for row in lw.Sweep.load(path).rows] == ["one!", "two!"]


@pytest.mark.parametrize("name", FORMATS)
def test_scores_that_are_no_numbers_are_kept_too(sweep: Callable[..., lw.Sweep], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sweep(["one"], save=path).wait().score(lambda _: math.nan)
    assert math.isnan(lw.Sweep.load(path).rows[0]["score"] or 0)
    json.loads(json.dumps(lw.Sweep.load(path).plan.to_dict(), allow_nan=False))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"sweep": {"cases": 3}}\n', b"\xff\xfe"])
def test_a_file_that_holds_no_sweep(sweep: Callable[..., lw.Sweep], tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SweepError, match="holds no sweep"):
        lw.Sweep.load(path)
    with pytest.raises(SweepError, match="cannot be read"):
        lw.Sweep.load(tmp_path / f"other-{name}")
    if content:
        with pytest.raises(SweepError, match="holds no sweep"):
            sweep("one", save=path)
        assert path.read_bytes() == content
    path.unlink()
    path.mkdir()
    with pytest.raises(SweepError, match="is a folder"):
        sweep("one", save=path)


def test_a_disk_that_is_full_loses_nothing(sweep: Callable[..., lw.Sweep], worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    folder = tmp_path / "away"
    said: list[list[str]] = []

    def score(row: dict[str, Any]) -> int:
        said.append(made.notices)
        if row["index"] == 0:  # the file cannot be opened from here on
            path.rename(folder)
            path.mkdir()
        if row["index"] == 2:
            path.rmdir()
            folder.rename(path)
        return 1

    made = lw.Sweep(sweep(["one", "two", "three"]).wait().plan, worker=worker)
    made.save(path)
    made.score(score).resume().wait()
    assert "cannot be written to runs.jsonl" in said[1][0]
    assert made.notices == []
    assert [row["text"] for row in lw.Sweep.load(path).rows] == ["one!", "two!", "three!"]


# Tables


def test_a_template_is_filled_with_each_row_of_a_table(sweep: Callable[..., lw.Sweep], asked: list[str]) -> None:
    table = {"text": ["good", "bad"], "stars": [5, 1]}
    for frame in (pd.DataFrame(table), pl.DataFrame(table)):
        asked.clear()
        made = sweep(({"plain": "Is {text} good?", "sum": "{text}: {stars + 1} of {{6}}"}, frame)).wait()
        assert asked == ["Is good good?", "Is bad good?", "good: 6 of {6}", "bad: 2 of {6}"]
        assert made.rows[1]["variables"] == {"text": "bad", "stars": 1}
        assert made.dimensions["input_text"] == ["good", "bad"]
        assert made.place(made.rows[1])["stars"] == 1


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_a_table_of_all_runs(sweep: Callable[..., lw.Sweep], backend: str) -> None:
    class Value(BaseModel):
        n: int

    rows = [{"text": "good", "n": 1}, {"text": "bad", "n": None}]
    made = sweep(
        ("{text}", rows),
        params={"temperature": [0, 0.5]},
        seeds=2,
        schema=Value,
        score=lambda r: r["seed"],
        max_tokens=9,
    )
    table = made.to_dataframe(backend)
    assert type(table).__module__.split(".")[0] == backend
    assert len(table) == 8
    assert list(table["input_text"]) == ["good"] * 4 + ["bad"] * 4
    assert list(table["temperature"]) == [0.0, 0.0, 0.5, 0.5] * 2
    assert list(table["seed"]) == [0, 1] * 4
    assert next(iter(table["text"])) == "good!"
    assert list(table["score"]) == [0.0, 1.0] * 4
    assert set(table["max_tokens"]) == {9}
    assert set(table["state"]) == {"done"}
    wanted = {"parsed", "stop_reason", "prompt_tokens", "completion_tokens", "seconds", "mean_logprob", "model_sha256"}
    assert wanted <= set(table.columns)


def test_what_no_table_is_made_by(sweep: Callable[..., lw.Sweep], monkeypatch: pytest.MonkeyPatch) -> None:
    made = sweep("one").wait()
    with pytest.raises(ParameterError, match="no tables of 'excel'"):
        made.to_dataframe("excel")
    monkeypatch.setattr(tables, "find_spec", lambda _: None)
    with pytest.raises(ParameterError, match="Neither pandas nor polars is installed"):
        made.to_dataframe()
    with pytest.raises(ParameterError, match="writes Parquet"):
        made.save("runs.parquet")


# Plots


@pytest.fixture
def scored(sweep: Callable[..., lw.Sweep], monkeypatch: pytest.MonkeyPatch) -> lw.Sweep:
    monkeypatch.setenv("MPLBACKEND", "agg")
    params = {"temperature": [0, 0.5, 1]}
    made = sweep({"a": "one", "b": "three"}, params=params, seeds=2, score=lambda row: len(row["text"]) + row["seed"])
    return made.wait()


def test_a_plot_has_a_dot_for_each_run_and_a_mean_for_each_place(scored: lw.Sweep) -> None:
    axes = scored.plot()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("temperature", "score")
    means, dots = axes.get_lines()[::2], axes.get_lines()[1::2]
    assert [line.get_label() for line in means] == ["a", "b"]
    assert [np.asarray(line.get_ydata()).tolist() for line in means] == [[4.5] * 3, [6.5] * 3]
    assert [np.asarray(line.get_ydata()).tolist() for line in dots] == [[4, 5] * 3, [6, 7] * 3]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.5", "1"]


def test_a_plot_of_what_is_chosen(scored: lw.Sweep) -> None:
    axes = scored.plot("completion_tokens", x="prompt", colour="seed", ax=scored.plot().figure.add_subplot())
    assert axes.get_xlabel() == "prompt"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]


def test_long_names_below_a_plot_stand_aslant(sweep: Callable[..., lw.Sweep]) -> None:
    axes = sweep([f"How does number {n} of three sound?" for n in "123"]).wait().plot("completion_tokens")
    assert [label.get_rotation() for label in axes.get_xticklabels()] == [30] * 3
    assert [label.get_horizontalalignment() for label in axes.get_xticklabels()] == ["right"] * 3


def test_what_is_not_plotted(scored: lw.Sweep, sweep: Callable[..., lw.Sweep], monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[dict[str, Any]] = [{"value": "warmth"}, {"x": "warmth"}, {"colour": "warmth"}]
    for options in wrong:
        with pytest.raises(ParameterError, match="warmth"):
            scored.plot(**options)
    with pytest.raises(SweepError, match="No run has a score"):
        sweep("one").wait().plot()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ParameterError, match="pip install matplotlib"):
        scored.plot()
