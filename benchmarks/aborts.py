"""How long an abort takes, from the call to the end event: between tokens, and within a prompt of 6,000 tokens."""

from __future__ import annotations

import random
import statistics
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.subjects import N_CTX, subjects
from benchmarks.table import Row
from llama_widgets import protocol as p
from llama_widgets.chat.conversation import Chat
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.subjects import Subject
    from llama_widgets.chat.changes import Change

TIMES = 200
LONG, DEPTHS = 6000, 10
WITHIN_S = 0.3


def rows() -> Iterator[Row]:
    """Yield the 50th and 99th percentile of each, for each model."""
    for subject in subjects():
        worker = Worker()
        chat = Chat(subject.path, worker=worker, temperature=0)
        chat.load(n_ctx=N_CTX)
        yield from _percentiles(f"{subject.name}: abort between tokens", list(_in_answers(chat)), 30)
        yield from _percentiles(f"{subject.name}: abort within {LONG:,} tokens", list(_in_prompts(chat, subject)), 60)
        worker.close()


def _in_answers(chat: Chat) -> Iterator[float]:
    chance = random.Random(0)
    for number in range(TIMES):
        yield _abort(chat, "Tell me a very long story.", 2 + number % 7, p.CompletionChunk, chance.random() * 0.03)


def _in_prompts(chat: Chat, subject: Subject) -> Iterator[float]:
    """Abort at all depths: at each, what comes before has been read, and is reused."""
    chance = random.Random(0)
    text = subject.text(LONG, "long")
    for depth in range(DEPTHS):
        if depth:
            chat.clear()
            chat.ask(text[: len(text) * depth // DEPTHS], max_tokens=1)
        for _ in range(TIMES // DEPTHS):
            yield _abort(chat, text, 1, p.Progress, chance.random() * WITHIN_S)


def _abort(chat: Chat, text: str, after: int, kind: type[object], wait_s: float) -> float:
    """Return the milliseconds from ``stop()`` to the end, called soon after the ``after``-th event of ``kind``."""
    chat.clear()
    reached = threading.Event()
    unwatch = chat.watch(_counter(after, kind, reached))
    answer = chat.submit(text)
    reached.wait(60)
    time.sleep(wait_s)  # somewhere within an evaluation, not at its edge
    start = time.perf_counter()
    chat.stop()
    reply = answer.future.result()
    elapsed = time.perf_counter() - start
    unwatch()
    if reply.stop_reason != "abort":
        raise RuntimeError(f"The answer ended by itself ({reply.stop_reason}): there was nothing to abort.")
    return elapsed * 1000


def _counter(after: int, kind: type[object], reached: threading.Event) -> Callable[[p.Event | Change], None]:
    seen = 0

    def watch(event: p.Event | Change) -> None:
        nonlocal seen
        seen += isinstance(event, kind)
        if seen >= after:
            reached.set()

    return watch


def _percentiles(name: str, times: list[float], limit_ms: float) -> Iterator[Row]:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    yield Row(f"{name}, p50 of {len(times)}", "ms", cuts[49])
    yield Row(f"{name}, p99 of {len(times)}", "ms", cuts[98], limit=f"≤ {limit_ms:g}", met=cuts[98] <= limit_ms)
