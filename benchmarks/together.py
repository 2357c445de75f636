"""Several answers at once: a sweep of prompts in one batch, and a long prompt that joins a running answer."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import Future
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.subjects import N_CTX, subjects
from benchmarks.table import Row
from llama_widgets import protocol as p
from llama_widgets.engines import answer
from llama_widgets.engines.native import physical_cores
from llama_widgets.errors import from_code
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.subjects import Subject

PROMPTS, TOKENS, SWEEPS = 16, 128, 3
LONG, JOINS = 3000, 5
BEFORE = 64


class Asked:
    """A request, the times when its tokens came, and its end."""

    def __init__(self, worker: Worker, subject: Subject, name: str, text: str, max_tokens: int | None) -> None:
        self.times: list[float] = []
        self.future: Future[p.CompletionDone] = Future()
        self._reached: Future[None] = Future()
        options = GenerationOptions(temperature=0, max_tokens=max_tokens, logit_bias=subject.endless)
        messages: list[dict[str, Any]] = [{"role": "user", "content": text}]
        command = p.GenerateChatCompletion(request_id=name, messages=messages, options=options)
        worker.submit(command, self._hear)

    def end(self) -> p.CompletionDone:
        """Wait for the end."""
        return self.future.result()

    def wait(self) -> None:
        """Wait until ``BEFORE`` tokens are there."""
        self._reached.result()

    def gaps(self, start: float, end: float) -> list[float]:
        """Return the seconds between tokens that came after ``start``, and before ``end``."""
        return [later - before for before, later in pairwise(at for at in self.times if start <= at <= end)]

    def _hear(self, event: p.Event) -> None:
        if isinstance(event, p.CompletionChunk):
            self.times.append(time.perf_counter())
            if event.tokens >= BEFORE and not self._reached.done():
                self._reached.set_result(None)
        elif isinstance(event, p.CompletionDone):
            self.future.set_result(event)
        elif isinstance(event, p.Error):
            self.future.set_exception(from_code(event.code, event.message, event.hint))


def rows() -> Iterator[Row]:
    """Yield the sweep's throughput, the slowest gap and the speed of reading, for each model."""
    with mock.patch.object(answer, "PAUSE_S", 0.0):  # what comes together with the next token would hide a gap
        for subject in subjects():
            # All cores for both ways, or it would be the second core that makes a batch faster.
            worker = _worker(subject, n_threads=physical_cores())
            yield _sweep(subject, worker)
            worker.close()
            yield from _join(subject)


def _worker(subject: Subject, **options: Any) -> Worker:  # noqa: ANN401 - load options
    worker = Worker()
    load = LoadOptions(n_ctx=N_CTX, **options)
    worker.run(p.LoadModel(request_id="load", model=str(subject.path), options=load))
    return worker


def _sweep(subject: Subject, worker: Worker) -> Row:
    Asked(worker, subject, "warm", "Hello", 8).end()
    runs = []
    for number in range(SWEEPS):
        speeds = {way: _run(subject, worker, f"{number}{way:d}", at_once=way) for way in _order(number)}
        runs.append((speeds[True], speeds[False]))
    ratio = statistics.median(together / alone for together, alone in runs)
    ours, bare = (statistics.median(run[way] for run in runs) for way in (0, 1))
    name = f"{subject.name}: {PROMPTS} prompts x {TOKENS} tokens at once; bare: one by one"
    return Row(name, "tokens/s", ours, bare, "ratio ≥ 1.7", ratio >= 1.7, ratio)


def _run(subject: Subject, worker: Worker, name: str, *, at_once: bool) -> float:
    """Answer all prompts of a sweep; return the tokens made per second."""
    start = time.perf_counter()
    asked, made = [], 0
    for number in range(PROMPTS):
        asked.append(Asked(worker, subject, f"{name} {number}", f"{name} {number}: a poem.", TOKENS))
        if not at_once:
            asked[-1].end()
    made = sum(each.end().usage.completion_tokens for each in asked)
    return made / (time.perf_counter() - start)


def _join(subject: Subject) -> Iterator[Row]:
    """Let a long prompt join an answer: how slow that gets, and how slowly the prompt is read."""
    normal, gaps, alone, joined = [], [], [], []
    for number in range(JOINS):
        for joins in _order(number):
            worker = _worker(subject)  # with an empty memory: others in it slow down attention
            text = subject.text(LONG, f"{number} {joins}")
            if joins:
                running = Asked(worker, subject, "running", f"{number}: tell me a very long story.", None)
                running.wait()
                begun = time.perf_counter()
                joined.append(_reading(subject, worker, text))
                ended = time.perf_counter()
                worker.abort("running")
                running.end()
                normal.append(statistics.median(running.gaps(0, begun)))
                gaps.append(running.gaps(begun, ended))
            else:
                Asked(worker, subject, "warm", f"{number}: tell me a very long story.", BEFORE).end()
                alone.append(_reading(subject, worker, text))
            worker.close()
    gap, usual = (statistics.median(each) * 1000 for each in (map(max, gaps), normal))
    ratio = statistics.median(max(each) / usually for each, usually in zip(gaps, normal, strict=True))
    name = f"{subject.name}: slowest gap while {LONG:,} tokens join; bare: usual"
    yield Row(name, "ms", gap, usual, "ratio ≤ 8", ratio <= 8, ratio)
    speed, bare = LONG / statistics.median(joined), LONG / statistics.median(alone)
    ratio = statistics.median(b / a for a, b in zip(joined, alone, strict=True))
    name = f"{subject.name}: reading them meanwhile; bare: alone"
    yield Row(name, "tokens/s", speed, bare, "ratio ≥ 0.6", ratio >= 0.6, ratio)


def _reading(subject: Subject, worker: Worker, text: str) -> float:
    """Return the seconds until a prompt is read and the first token after it drawn."""
    start = time.perf_counter()
    Asked(worker, subject, "joining", text, 1).end()
    return time.perf_counter() - start


def _order(number: int) -> tuple[bool, bool]:
    return (True, False) if number % 2 else (False, True)
