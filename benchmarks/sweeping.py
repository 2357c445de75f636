"""A sweep of short runs beside the same calls made one after the other with llama-cpp-python."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any

import llama_widgets as lw
from benchmarks.subjects import N_CTX, subjects
from benchmarks.table import Row
from llama_widgets import protocol as p
from llama_widgets.engines.native import physical_cores
from llama_widgets.options import LoadOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

PROMPTS, TEMPERATURES, SEEDS, TOKENS = 12, (0.0, 0.7), 2, 32
RUNS = PROMPTS * len(TEMPERATURES) * SEEDS
ROUNDS = 3


def rows() -> Iterator[Row]:
    """Yield the throughput of a sweep, for each model; both ways in turn, with all cores."""
    for subject in subjects():
        loop = Loop(subject.path)
        worker = Worker()
        cores = physical_cores()
        load = LoadOptions(n_ctx=N_CTX, n_threads=cores, n_threads_batch=cores)
        worker.run(p.LoadModel(request_id="load", model=str(subject.path), options=load))
        _sweep(worker, subject.path, ["Hello"])
        loop.run(["Hello"])
        runs = []
        for number in range(ROUNDS):
            # Of their own each time and for each way: what was read before is not read again.
            texts = [[f"{number}{way} {index}: tell me a story." for index in range(PROMPTS)] for way in "ab"]
            if number % 2:
                alone = loop.run(texts[1])
            ours = _sweep(worker, subject.path, texts[0])
            if not number % 2:
                alone = loop.run(texts[1])
            runs.append((ours, alone))
        worker.close()
        loop.close()
        ratio = statistics.median(ours / alone for ours, alone in runs)
        ours, alone = (statistics.median(run[way] for run in runs) for way in (0, 1))
        name = f"{subject.name}: a sweep of {RUNS} runs x {TOKENS} tokens; bare: one by one"
        yield Row(name, "tokens/s", ours, alone, "ratio ≥ 1.7", ratio >= 1.7, ratio)


def _sweep(worker: Worker, path: Path, texts: list[str]) -> float:
    start = time.perf_counter()
    sweep = lw.sweep(
        texts,
        models=path,
        params={"temperature": TEMPERATURES},
        seeds=SEEDS,
        max_tokens=TOKENS,
        worker=worker,
    ).wait()
    seconds = time.perf_counter() - start
    return sum(row["completion_tokens"] or 0 for row in sweep.rows) / seconds


class Loop:
    """llama-cpp-python's ``Llama`` in a process of its own: two pools of OpenMP's threads in one wait for each other.

    Parameters
    ----------
    path : Path
        The model.
    """

    def __init__(self, path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, path), daemon=True)
        self._process.start()
        theirs.close()

    def run(self, texts: list[str]) -> float:
        """Make the calls; return the tokens made per second."""
        self._pipe.send(texts)
        return float(self._pipe.recv())

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


def _serve(pipe: Connection, path: Path) -> None:
    from llama_cpp import Llama

    cores = physical_cores()
    llama = Llama(str(path), n_ctx=N_CTX, n_threads=cores, n_threads_batch=cores, flash_attn=True, verbose=False)
    while (texts := pipe.recv()) is not None:
        made = 0
        start = time.perf_counter()
        for text in texts:
            for temperature in TEMPERATURES:
                for seed in range(SEEDS):
                    answer: Any = llama.create_chat_completion(
                        [{"role": "user", "content": text}], temperature=temperature, seed=seed, max_tokens=TOKENS
                    )
                    made += answer["usage"]["completion_tokens"]
        pipe.send(made / (time.perf_counter() - start))
