"""A sweep on the real model: what it answers, what that costs, and that who chats meanwhile is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets.library.hashing import sha256
from llama_widgets.options import LoadOptions
from llama_widgets.protocol import LoadModel
from llama_widgets.worker import Worker
from tests.engine.conftest import N_THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def worker(demo_model: Path) -> Iterator[Worker]:
    worker = Worker()
    options = LoadOptions(n_ctx=2048, n_threads=N_THREADS, n_threads_batch=N_THREADS)
    worker.run(LoadModel(request_id="load", model=str(demo_model), options=options))
    yield worker
    worker.close()


def test_reproducible_runs_are_those_of_a_chat(worker: Worker, demo_model: Path) -> None:
    options: dict[str, Any] = {"max_tokens": 4, "reproducible": True}
    sweep = lw.sweep(
        "Why is the sky blue?", models=demo_model, params={"temperature": [0, 1]}, seeds=2, worker=worker, **options
    ).wait()
    for row in sweep.rows:
        chat = lw.Chat(demo_model, worker=worker, seed=row["seed"], **row["params"], **options)
        assert chat.ask(row["prompt"]).text == row["text"]


def test_a_row_tells_what_it_cost_and_how_sure_the_model_was(worker: Worker, demo_model: Path) -> None:
    sweep = lw.sweep(
        (["Is this good? {text}", "Good or bad: {text}"], [{"text": "I love it."}, {"text": "It broke."}]),
        models=demo_model,
        params={"temperature": [0]},
        seeds=3,
        schema={"enum": ["good", "bad"]},
        max_tokens=8,
        worker=worker,
    ).wait()
    assert sweep.state == "done"
    assert {row["parsed"] for row in sweep.rows} <= {"good", "bad"}
    for row in sweep.rows:
        assert row["prompt_tokens"]
        assert row["completion_tokens"]
        assert row["mean_logprob"] is not None
        assert row["mean_logprob"] < 0
        assert row["ttft_s"] is not None
        assert row["model_sha256"] == sha256(demo_model)
    # Of runs that share a prompt, only the first has it read.
    assert sum((row["prompt_tokens"] or 0) - (row["cached_tokens"] or 0) < 3 for row in sweep.rows) >= 8


def test_the_mean_log_probability_is_that_of_the_tokens(worker: Worker, demo_model: Path) -> None:
    options: dict[str, Any] = {"max_tokens": 6, "reproducible": True, "temperature": 0}
    (row,) = lw.sweep("Hello!", models=demo_model, worker=worker, **options).wait().rows
    logprobs = lw.Chat(demo_model, worker=worker, top_logprobs=0, seed=0, **options).ask("Hello!").logprobs
    assert row["mean_logprob"] == pytest.approx(sum(each["logprob"] for each in logprobs) / len(logprobs), abs=1e-12)
    assert row["logprobs"] == []


def test_a_run_is_made_again_also_from_its_file(worker: Worker, demo_model: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_tokens": 6, "reproducible": True, "params": {"temperature": [0.9]}, "seeds": [3, 4]}
    file = tmp_path / "runs.jsonl"
    made = lw.sweep("Name a colour.", models=demo_model, worker=worker, save=file, **options).wait()
    assert made.reply(1).made["model_sha256"] == sha256(demo_model)
    for sweep in (made, lw.Sweep.load(file, worker=worker)):
        again = sweep.reply(1).replay(worker=worker)
        assert (again.same, again.differences) == (True, {})
        assert again.reply.text == made.rows[1]["text"]
    assert lw.judge(made.reply(1), worker=worker).logprob < 0


def test_a_chat_meanwhile_is_answered_and_keeps_its_memory(worker: Worker, demo_model: Path) -> None:
    chat = lw.Chat(demo_model, worker=worker, max_tokens=2, temperature=0)
    first = chat.ask("My name is Ada and I live in a small house by the sea. Hello!")
    sweep = lw.sweep([f"Count from {n}." for n in range(40)], models=demo_model, max_tokens=8, worker=worker)
    second = chat.ask("Who am I?")
    assert sweep.state == "running"
    assert second.usage.cached_tokens >= first.usage.prompt_tokens
    sweep.stop()
    assert sweep.wait().state == "stopped"
    assert {row["state"] for row in sweep.rows} >= {"waiting"}
    assert lw.status().running == []
