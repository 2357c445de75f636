"""The grid of a sweep without a front end: what a view is told, and what it can ask for."""

from __future__ import annotations

import csv
import io
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import EngineError, ParameterError
from llama_widgets.widgets.runs import PREVIEW
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = Path(__file__).parent.parent / "golden" / "hostile.json"
PROMPTS = {"short": "delta gamma", "<b>long</b>": "x " * 400}


class Grids:
    """Makes grids of sweeps that a scripted engine runs, and keeps what they send."""

    def __init__(self) -> None:
        self._made: list[Any] = []
        self.sent: list[dict[str, Any]] = []

    def show(self, sweep: lw.Sweep, **arguments: Any) -> lw.SweepGrid:  # noqa: ANN401
        grid = lw.SweepGrid(sweep, **arguments)
        grid.send = self.sent.append  # the comm
        self._made.append(grid)
        return grid

    def sweep(self, script: Any = None, **arguments: Any) -> lw.Sweep:  # noqa: ANN401
        worker = Worker(lambda: ScriptedEngine(script, load=()), find=Path)
        self._made.append(worker)
        return lw.sweep(arguments.pop("prompts", PROMPTS), models="/a/b/m.gguf", worker=worker, **arguments)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["type"] == kind]

    def ask(self, grid: lw.SweepGrid, kind: str, answer: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        grid.handle({"type": kind, "request_id": kind, **fields})
        found: dict[str, Any] = until(
            lambda: next((each for each in self.told(answer) if each["request_id"] == kind), None), answer
        )
        return found

    def close(self) -> None:
        for each in self._made:
            each.close()


@pytest.fixture
def grids() -> Iterator[Grids]:
    grids = Grids()
    yield grids
    grids.close()


def test_a_view_that_comes_late_gets_all_in_short(grids: Grids) -> None:
    sweep = grids.sweep(params={"temperature": [0, 0.7]}, seeds=2, score=lambda row: len(row["text"])).wait()
    shown = grids.ask(grids.show(sweep), "hello", "sweep_shown")
    assert [(each["name"], each["kind"], each["values"]) for each in shown["dimensions"]] == [
        ("prompt", "prompt", list(PROMPTS)),
        ("model", "model", ["m"]),
        ("temperature", "parameter", ["0", "0.7"]),
        ("seed", "seed", ["0", "1"]),
    ]
    assert shown["codes"] == [[0] * 4 + [1] * 4, [0] * 8, [0, 0, 1, 1] * 2, [0, 1] * 4]
    assert shown["runs"]["index"] == list(range(8))
    assert shown["runs"]["text"][0] == "gamma delta"
    assert {len(text) for text in shown["runs"]["text"][4:]} == {PREVIEW}
    assert shown["runs"]["score"] == [row["score"] for row in sweep.rows]
    assert {key: shown["standing"][key] for key in ("state", "done", "total")} == {
        "state": "done",
        "done": 8,
        "total": 8,
    }


def test_what_changes_is_told_as_it_comes(grids: Grids) -> None:
    go = threading.Event()
    sweep = grids.sweep(lambda _: ["one ", go, "two"], seeds=2)
    grid = grids.show(sweep)
    until(lambda: any("one" in text for each in grids.told("sweep_changed") for text in each["runs"]["text"]), "growth")
    assert grids.told("sweep_changed")[-1]["standing"]["state"] == "running"
    go.set()
    last = until(lambda: next((each for each in grids.told("sweep_changed") if each["standing"]["state"] == "done"), 0))
    assert (last["standing"]["done"], last["standing"]["eta_s"]) == (4, None)
    assert grids.ask(grid, "hello", "sweep_shown")["runs"]["text"] == ["one two"] * 4


def test_a_run_is_shown_in_full_when_it_is_opened(grids: Grids) -> None:
    sweep = grids.sweep(params=[{"temperature": 0.5}], top_logprobs=1).wait()
    run = grids.ask(grids.show(sweep), "open_run", "run", index=1)["run"]
    assert run["text"] == sweep.rows[1]["text"]
    assert len(run["text"]) > PREVIEW
    assert run["messages"] == [{"role": "user", "content": PROMPTS["<b>long</b>"]}]
    assert {"index": "1", "temperature": "0.5", "seed": "0", "model": "/a/b/m.gguf"}.items() <= dict(
        run["settings"]
    ).items()
    assert [text for text, _ in run["tokens"]] == [each["text"] for each in sweep.rows[1]["logprobs"]]
    assert run["code"] == sweep.reply(1).to_code()


def test_stop_and_resume(grids: Grids) -> None:
    go = threading.Event()
    sweep = grids.sweep(lambda _: ["one ", go], seeds=4)
    grid = grids.show(sweep)
    until(lambda: any(row["text"] for row in sweep.rows), "the first token")
    grid.handle({"type": "abort", "request_id": "a", "target": "sweep"})
    until(lambda: any(each["standing"]["state"] == "stopped" for each in grids.told("sweep_changed")), "the end")
    go.set()
    grid.handle({"type": "resume_sweep", "request_id": "r"})
    until(lambda: sweep.state == "done", "all runs")
    assert {row["text"] for row in sweep.rows} == {"one "}


def test_failed_runs_say_why_and_can_be_tried_again(grids: Grids) -> None:
    faults: list[Exception | str] = [EngineError("The engine failed.", "Ask again.")]
    sweep = grids.sweep(lambda _: [*faults] or ["fine"]).wait()
    grid = grids.show(sweep)
    shown = grids.ask(grid, "hello", "sweep_shown")
    assert (shown["runs"]["state"], shown["standing"]["failed"]) == (["failed"] * 2, 2)
    assert "The engine failed." in shown["runs"]["text"][0]
    assert "The engine failed." in grid.to_html()
    faults.clear()
    grid.handle({"type": "resume_sweep", "request_id": "r"})
    until(lambda: [row["text"] for row in sweep.rows] == ["fine"] * 2, "the second try")


def test_the_browser_arranges_and_python_sees_it(grids: Grids) -> None:
    grid = grids.show(grids.sweep(params={"top_k": [1, 2, 3]}, seeds=2))
    assert (grid.rows, grid.columns, grid.colour) == ("prompt", "top_k", "score")
    grid.handle({"type": "arrange", "request_id": "a", "rows": "seed", "columns": "", "colour": "tokens"})
    assert (grid.rows, grid.columns, grid.colour) == ("seed", "", "tokens")
    grid.handle({"type": "arrange", "request_id": "b", "rows": "moon", "columns": "", "colour": "tokens"})
    assert (grid.rows, "moon" in grid.error["message"]) == ("seed", True)


@pytest.mark.parametrize("wrong", [{"rows": "moon"}, {"shape": 3}])
def test_what_cannot_be_shown_is_refused(grids: Grids, wrong: dict[str, Any]) -> None:
    sweep = grids.sweep()
    with pytest.raises(ParameterError):
        grids.show(sweep, **wrong)


def test_what_is_no_sweep_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"A grid shows a sweep, not list.*lw\.sweep"):
        lw.SweepGrid([1])  # type: ignore[arg-type]


def test_a_run_that_is_not_there_is_refused(grids: Grids) -> None:
    grid = grids.show(grids.sweep())
    grid.handle({"type": "open_run", "request_id": "o", "index": 2})
    assert grid.error["message"] == "There is no run 2."


@pytest.mark.parametrize(
    ("arguments", "axes"),
    [
        ({}, ("prompt", "")),
        ({"seeds": 3}, ("prompt", "seed")),
        ({"seeds": 40}, ("seed", "prompt")),
        ({"prompts": "one", "seeds": 3}, ("seed", "")),
        ({"prompts": "one"}, ("", "")),
    ],
)
def test_at_first_prompts_stand_in_rows(grids: Grids, arguments: dict[str, Any], axes: tuple[str, str]) -> None:
    grid = grids.show(grids.sweep(**arguments))
    assert (grid.rows, grid.columns) == axes


def test_the_table_has_all_of_every_run(grids: Grids) -> None:
    sweep = grids.sweep(score=lambda _: float("nan")).wait()
    text = grids.ask(grids.show(sweep), "give_table", "sweep_table")["text"]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["text"] for row in rows] == [row["text"] for row in sweep.rows]
    assert [row["prompt"] for row in rows] == list(PROMPTS)


def test_the_notebook_keeps_a_table_that_is_harmless(grids: Grids) -> None:
    hostile = json.loads(HOSTILE.read_text(encoding="utf-8"))["strings"]
    sweep = grids.sweep(lambda command: [command.messages[-1]["content"], "\n\nend"], prompts=hostile).wait()
    html = grids.show(sweep).to_html()
    assert "\n\n" not in html
    assert html.count("<tr>") == len(hostile) + 1
    tags = {part.partition(">")[0].strip("/") for part in html.split("<")[1:]}
    assert tags == {'div class="lw-sweep-kept"', 'div align="left"', "div", "table", "tr", "th", "td", "br"}


def test_a_grid_that_is_closed_hears_nothing(grids: Grids) -> None:
    sweep = grids.sweep().wait()
    grids.show(sweep).close()
    before = len(grids.told("sweep_changed"))
    sweep.score(lambda _: 1)
    assert len(grids.told("sweep_changed")) == before


def test_a_sweep_that_is_shown_twice_has_one_grid() -> None:
    worker = Worker(ScriptedEngine, find=Path)
    sweep = lw.sweep("delta gamma", models="m.gguf", worker=worker)
    view = "application/vnd.jupyter.widget-view+json"
    first, again = (sweep._repr_mimebundle_()[0] for _ in range(2))
    assert first[view]["model_id"] == again[view]["model_id"]
    ipywidgets.Widget.close_all()
    assert sweep._repr_mimebundle_()[0][view]["model_id"] != first[view]["model_id"]
    worker.close()
