"""Sweeps with a scripted engine: what runs, what is told, and that Stop, errors and bad scores lose nothing."""

from __future__ import annotations

import math
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.chat.conversation import Chat
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import EngineError, ModelNotFoundError, SweepError
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Desk:
    """A worker with a scripted engine, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[p.GenerateChatCompletion] = []
        self.script: Callable[[p.GenerateChatCompletion], list[Any]] = lambda command: [_last(command)]
        self.engine = ScriptedEngine(self._answer)
        self.worker = Worker(lambda: self.engine, find=Path)

    def sweep(self, prompts: object, models: object = "a.gguf", **options: Any) -> lw.Sweep:  # noqa: ANN401
        return lw.sweep(prompts, models=models, worker=self.worker, **options)

    def _answer(self, command: p.Generate) -> list[Any]:
        assert isinstance(command, p.GenerateChatCompletion)
        self.asked.append(command)
        return self.script(command)


def _last(command: p.GenerateChatCompletion) -> str:
    return str(command.messages[-1]["content"])


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.worker.close()


def texts(sweep: lw.Sweep) -> list[str]:
    return [row["text"] for row in sweep.rows]


def states(sweep: lw.Sweep) -> list[str]:
    return [row["state"] for row in sweep.rows]


def test_every_combination_runs_once_models_one_after_the_other(desk: Desk) -> None:
    sweep = desk.sweep(
        ["one", "two"],
        ["a.gguf", "b.gguf"],
        params={"temperature": [0, 1], "top_k": [1, 2]},
        seeds=3,
        system="Be brief.",
    ).wait()
    assert (sweep.state, sweep.done, sweep.total) == ("done", 48, 48)
    assert [call for call in desk.engine.calls if call.startswith("load")] == ["load a.gguf", "load b.gguf"]
    asked = [(c.model, _last(c), c.options.temperature, c.options.top_k, c.options.seed) for c in desk.asked]
    assert len(set(asked)) == 48
    assert asked == [
        (r["model"], r["prompt"], r["params"]["temperature"], r["params"]["top_k"], r["seed"]) for r in sweep.rows
    ]
    assert [row["index"] for row in sweep.rows] == list(range(48))
    assert desk.asked[0].messages[0] == {"role": "system", "content": "Be brief."}
    assert texts(sweep) == [row["prompt"] for row in sweep.rows]
    assert sweep.dimensions == {
        "prompt": ["one", "two"],
        "model": ["a.gguf", "b.gguf"],
        "temperature": [0, 1],
        "top_k": [1, 2],
        "seed": [0, 1, 2],
    }
    assert sweep.place(sweep.rows[-1]) == {
        "prompt": "two",
        "model": "b.gguf",
        "temperature": 1,
        "top_k": 2,
        "seed": 2,
    }


def test_a_row_tells_what_came_of_it(desk: Desk) -> None:
    desk.script = lambda _: ["The ", "sky"]
    row = desk.sweep("Why?", max_tokens=9, response_prefix="Well: ").wait().rows[0]
    assert (row["text"], row["state"], row["stop_reason"]) == ("Well: The sky", "done", "eos")
    assert row["completion_tokens"] == 2
    assert row["seconds"] is not None
    assert row["seconds"] > 0
    assert desk.asked[0].options.max_tokens == 9
    assert desk.asked[0].options.top_logprobs == 0


def test_runs_are_told_as_they_grow_and_end(desk: Desk) -> None:
    gate = threading.Event()
    desk.script = lambda command: ["so far", *([gate] if _last(command) == "one" else []), "!"]
    sweep = desk.sweep(["one", "two"])
    told: list[int] = []
    ended = threading.Event()

    def hear(indices: list[int]) -> None:
        told.extend(indices)
        if sweep.state == "done":
            ended.set()

    sweep.watch(hear)
    until(lambda: sweep.rows[0]["text"] == "so far")
    assert states(sweep) == ["running", "waiting"]
    assert (sweep.state, sweep.eta_s) == ("running", None)
    gate.set()
    assert ended.wait(20)
    assert texts(sweep) == ["so far!", "so far!"]
    assert set(told) == {0, 1}


def test_what_is_under_way_counts_for_how_fast_it_goes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_widgets.sweeping.runner.Runner._elapsed", 6.0)
    gate = threading.Event()
    desk.script = lambda command: ["part", *([gate] if _last(command) == "two" else [])]
    sweep = desk.sweep(["one", "two", "three"])
    until(lambda: sweep.rows[1]["text"] == "part")
    assert (sweep.eta_s, sweep.tokens_per_s) == (6.0, 2 / 6)  # one and a half of three
    gate.set()
    assert (sweep.wait().eta_s, sweep.tokens_per_s) == (None, 3 / 6)


def test_stop_keeps_what_there_is_and_resume_makes_the_rest(desk: Desk) -> None:
    gate = threading.Event()
    desk.script = lambda command: ["part", *([gate] if _last(command) == "two" else [])]
    sweep = desk.sweep(["one", "two", "three"])
    until(lambda: sweep.rows[1]["text"] == "part")
    sweep.stop()
    sweep.wait()
    assert sweep.state == "stopped"
    assert states(sweep) == ["done", "stopped", "waiting"]
    assert texts(sweep) == ["part", "part", ""]
    gate.set()
    assert sweep.resume().wait().state == "done"
    assert texts(sweep) == ["part"] * 3
    assert [_last(command) for command in desk.asked] == ["one", "two", "two", "three"]
    assert sweep.resume().state == "done"


def test_an_interrupt_stops_the_sweep(desk: Desk) -> None:
    gate = threading.Event()
    desk.script = lambda command: ["part", *([gate] if _last(command) == "two" else [])]
    sweep = desk.sweep(["one", "two", "three"])
    until(lambda: sweep.rows[1]["text"] == "part")
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        sweep.to_dataframe()
    assert states(sweep) == ["done", "stopped", "waiting"]


def test_a_run_that_fails_says_why_and_the_others_go_on(desk: Desk) -> None:
    desk.script = lambda command: [EngineError("It broke.", "Try again.")] if _last(command) == "one" else ["fine"]
    sweep = desk.sweep(["one", "two"]).wait()
    assert (sweep.state, states(sweep)) == ("done", ["failed", "done"])
    assert sweep.rows[0]["error"] == "It broke. Try again."
    assert sweep.notices == ["1 run: It broke. Try again."]
    assert "It broke" in repr(sweep)
    desk.script = lambda _: ["fine"]
    assert texts(sweep.resume().wait()) == ["fine", "fine"]
    assert sweep.notices == []


def test_a_model_that_cannot_be_loaded_fails_its_runs_only(desk: Desk) -> None:
    load = desk.engine.load

    def refuse(command: Any, path: Path, *rest: Any) -> p.ModelLoaded:  # noqa: ANN401
        if path.name == "bad.gguf":
            raise EngineError("It is broken.", "Take another.")
        return load(command, path, *rest)

    desk.engine.load = refuse  # type: ignore[assignment, method-assign]
    sweep = desk.sweep("one", ["bad.gguf", "a.gguf"], seeds=2).wait()
    assert states(sweep) == ["failed", "failed", "done", "done"]
    assert sweep.notices == ["2 runs: It is broken. Take another."]


def test_a_worker_that_is_shut_down_ends_the_sweep(desk: Desk) -> None:
    gate = threading.Event()
    desk.script = lambda _: ["part", gate]
    sweep = desk.sweep(["one", "two"])
    until(lambda: sweep.rows[0]["text"] == "part")
    desk.worker.close()
    assert sweep.wait().state == "stopped"
    assert states(sweep) == ["stopped", "stopped"]


def test_somebody_who_chats_meanwhile_is_answered(desk: Desk) -> None:
    gate = threading.Event()
    desk.script = lambda command: [gate, "x"] if _last(command) == "first" else [_last(command)]
    sweep = desk.sweep(["first", *map(str, range(20))])
    until(lambda: desk.asked)
    answer = Chat("a.gguf", worker=desk.worker).submit("hello")
    gate.set()
    assert answer.wait().text == "hello"
    assert [_last(command) for command in desk.asked].index("hello") < 4
    assert sweep.wait().state == "done"


def test_the_same_cell_run_twice_stops_the_first(desk: Desk) -> None:
    gate = threading.Event()
    desk.script = lambda _: ["part", gate]
    first = desk.sweep(["one", "two"])
    until(lambda: first.rows[0]["text"] == "part")
    gate.set()
    second = desk.sweep(["one", "two"])
    assert first.state in ("stopped", "done")
    assert second.wait().state == "done"


def test_a_cell_that_is_changed_and_run_again_stops_what_it_began(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    desk.script = lambda command: [gate] if _last(command) == "old" else ["new"]

    def begin(cell: str, run: str, prompt: str) -> lw.Sweep:
        monkeypatch.setattr("llama_widgets.sweeping.sweep.running_cell", lambda: (cell, run))
        return desk.sweep([prompt])

    first = begin("a", "1", "old")
    others = [begin("a", "1", "beside it"), begin("b", "2", "below"), begin("", "", "in a script")]
    assert [each.state for each in (first, *others)] == ["running"] * 4

    def let_go() -> None:  # the engine hears of the stop at the next piece
        until(lambda: all(each._runner and each._runner.stopping for each in (first, others[0])), "both to be stopped")
        gate.set()

    threading.Thread(target=let_go).start()
    second = begin("a", "3", "changed")
    assert [each.wait().state for each in (first, second, *others)] == ["stopped", "done", "stopped", "done", "done"]


def test_sweeps_of_different_models_take_turns(desk: Desk) -> None:
    first = desk.sweep(list("abcdef"), "a.gguf")
    second = desk.sweep(list("abcdef"), "b.gguf")
    assert (first.wait().state, second.wait().state) == ("done", "done")
    assert [call for call in desk.engine.calls if call.startswith("load")] == ["load a.gguf", "load b.gguf"]


def test_a_schema_makes_values(desk: Desk) -> None:
    desk.script = lambda command: ['{"n": 1}' if _last(command) == "one" else "{"]
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    sweep = desk.sweep(["one", "two"], schema=schema).wait()
    assert [row["parsed"] for row in sweep.rows] == [{"n": 1}, None]
    assert "not whole JSON" in sweep.rows[1]["parse_error"]
    assert desk.asked[0].options.json_schema == schema


def test_a_cell_of_the_table_without_a_value_is_no_text(desk: Desk) -> None:
    table = pd.DataFrame(
        {
            "text": pd.array(["a", None], dtype="string"),
            "number": [float("nan"), 1.5],
            "date": [pd.NaT, pd.Timestamp("2026-01-02")],
        }
    )
    sweep = desk.sweep(("<{text}|{number}|{date}>", table)).wait()
    assert texts(sweep) == ["<a||>", "<|1.5|2026-01-02 00:00:00>"]
    assert sweep.rows[1]["variables"]["text"] is None


def test_a_run_is_a_reply_that_says_how_it_was_made(desk: Desk) -> None:
    sweep = desk.sweep(
        ["one", "two"], params={"temperature": [0.5]}, seeds=[7], max_tokens=9, system="Be brief."
    ).wait()
    reply = sweep.reply(1)
    assert (reply.text, reply.model, reply.stop_reason) == ("two", "a.gguf", "eos")
    assert reply.usage.completion_tokens == sweep.rows[1]["completion_tokens"]
    made = reply.made
    assert {"temperature": 0.5, "seed": 7, "max_tokens": 9}.items() <= made["parameters"].items()
    assert [each["content"] for each in made["messages"]] == ["Be brief.", "two"]
    assert made["versions"]["llama_widgets"] == lw.__version__
    code = reply.to_code()
    compile(code, "<code>", "exec")
    assert "this one may have other words" in code
    assert all(said in code for said in ("a.gguf", "Be brief.", "two", "seed=7", "temperature=0.5"))


def test_a_run_without_a_reply_says_so(desk: Desk) -> None:
    desk.script = lambda command: [EngineError("It broke.", "Try again.")] if _last(command) == "bad" else ["good"]
    sweep = desk.sweep(["good", "bad"]).wait()
    with pytest.raises(SweepError, match="Run 1 has no reply, it is failed: It broke"):
        sweep.reply(1)
    wrong: list[Any] = [2, -1, "0"]
    for index in wrong:
        with pytest.raises(SweepError, match=f"There is no run {index!r}.*from 0 to 1"):
            sweep.reply(index)


# Scores


def test_scores_are_given_as_runs_end_and_afterwards(desk: Desk) -> None:
    sweep = desk.sweep(["a", "bbb"], score=lambda row: len(row["text"])).wait()
    assert [row["score"] for row in sweep.rows] == [1.0, 3.0]
    told: list[int] = []
    sweep.watch(told.extend)
    sweep.score(lambda row: row["text"] == "a")
    assert [row["score"] for row in sweep.rows] == [1.0, 0.0]
    assert told == [0, 1]


def test_scores_that_fail_are_told_once_and_the_sweep_goes_on(desk: Desk) -> None:
    def score(row: dict[str, Any]) -> float | None:
        if row["text"] == "raise":
            msg = "no idea"
            raise ValueError(msg)
        return math.nan if row["text"] == "nan" else None

    sweep = desk.sweep(["nan", "none", "raise"], seeds=2, score=score).wait()
    assert states(sweep) == ["done"] * 6
    assert math.isnan(sweep.rows[0]["score"] or 0)
    assert [row["score"] for row in sweep.rows[2:]] == [None] * 4
    assert sweep.notices == [
        "2 runs: score() returned NaN",
        "2 runs: score() returned None, which is no number",
        "2 runs: score() raised ValueError: no idea",
    ]


# What no sweep is made of


@pytest.mark.parametrize(
    ("prompts", "options", "words"),
    [
        ([], {}, "no prompts"),
        ({}, {}, "no prompts"),
        ("a", {"seeds": 0}, "no seeds"),
        ("a", {"models": []}, "no models"),
        ("a", {"params": {"temperature": []}}, "no parameters"),
        ("a", {"params": []}, "no parameters"),
        (3, {}, "texts or conversations"),
        ([3], {}, "list of messages"),
        ([""], {}, "empty"),
        ([[{"role": "assistant", "content": "a"}]], {}, "end with a question"),
        ([[{"role": "user"}]], {}, "role"),
        ("a", {"params": {"warmth": [1]}}, "warmth"),
        ("a", {"params": {"temperature": [0, -1]}}, "temperature"),
        ("a", {"params": 3}, "dict of lists"),
        ("a", {"params": [3]}, "dict of lists"),
        ("a", {"params": {"seed": [3]}}, "'seed'"),
        ("a", {"seed": 3}, "'seed'"),
        ("a", {"seeds": [-1]}, "seed"),
        ("a", {"seeds": ["x"]}, "Seeds"),
        ("a", {"seeds": "x"}, "Seeds"),
        ("a", {"tools": [len]}, "tools"),
        ("a", {"warmth": 3}, "warmth"),
        ("a", {"system": 3}, "system prompt"),
        ("a", {"schema": {"type": "nothing"}}, "nothing"),
        ("a", {"schema": 3}, "json_schema"),
        ("a", {"params": {"grammar": ["root ::= ("]}}, "grammar"),
        ("a", {"score": 3}, "function"),
        (("no holes", [{"x": 1}]), {}, "fills in nothing"),
        (("{y}", [{"x": 1}]), {}, "y"),
        (("{x}", pd.DataFrame({"x": []})), {}, "its table has no rows"),
        (pd.DataFrame({"x": ["a"]}), {}, "A table alone"),
        ("a", {"save": "results.txt"}, "format"),
        ("a", {"save": "no/such/folder/results.jsonl"}, "cannot be written"),
        ("a", {"save": "no/such/folder/results.parquet"}, "cannot be written"),
    ],
    ids=str,
)
def test_what_no_sweep_is_made_of(desk: Desk, prompts: object, options: dict[str, Any], words: str) -> None:
    with pytest.raises(lw.errors.ParameterError, match=words) as error:
        desk.sweep(prompts, **options)
    assert error.value.hint or isinstance(error.value, lw.errors.GrammarError)
    assert not desk.asked


def test_a_million_runs_are_asked_back(desk: Desk, tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"x" * 1_000_000)
    with pytest.raises(
        SweepError, match=r"1,000,000 runs: 1 prompt x 1 model x 1,000 parameters x 1,000 seeds"
    ) as error:
        desk.sweep("a", model, params={"top_k": range(1, 101), "max_tokens": range(1, 11)}, seeds=1000)
    assert "would take roughly" in error.value.message
    assert "limit=1000000" in error.value.hint
    with pytest.raises(SweepError, match="3 runs"):
        desk.sweep("a", seeds=3, limit=2)


def test_a_model_that_is_not_there_is_told_at_once(desk: Desk) -> None:
    with pytest.raises(ModelNotFoundError):
        lw.sweep("a", models="no-such-model.gguf")
    with pytest.raises(lw.errors.NoModelError):
        lw.sweep("a", worker=desk.worker)
