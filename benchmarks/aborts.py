"""How long an abort takes, from the call to the end event: between tokens, and within a prompt of 4,000 tokens."""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.table import Row, demo_model
from llama_widgets import protocol as p
from llama_widgets.chat.conversation import Chat
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_widgets.chat.changes import Change

DECODES = 40
PREFILLS = 10


def rows() -> Iterator[Row]:
    """Yield the 50th and 95th percentile of each."""
    worker = Worker()
    chat = Chat(demo_model(), worker=worker, temperature=0)
    chat.ask("Hello", max_tokens=1)
    decode = [_abort(chat, "Tell me a very long story.", 3 + i, p.CompletionChunk) for i in range(DECODES)]
    yield from _percentiles("abort between tokens", decode, 50)
    prefill = [_abort(chat, f"{i} " + "word " * 4000, 2, p.Progress) for i in range(PREFILLS)]
    yield from _percentiles("abort within a 4,000-token prompt", prefill, 200)
    worker.close()


def _abort(chat: Chat, text: str, after: int, kind: type[object]) -> float:
    """Return the milliseconds from ``stop()`` to the end, called at the ``after``-th event of ``kind``."""
    chat.clear()
    reached = threading.Event()
    unwatch = chat.watch(_counter(after, kind, reached))
    answer = chat.submit(text)
    reached.wait(60)
    time.sleep(0.003)  # somewhere within the next step, not at its edge
    start = time.perf_counter()
    chat.stop()
    answer.future.result()
    elapsed = time.perf_counter() - start
    unwatch()
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
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    yield Row(f"{name}, p50 of {len(times)}", "ms", cuts[9])
    yield Row(f"{name}, p95 of {len(times)}", "ms", cuts[18], limit=f"≤ {limit_ms:g}", met=cuts[18] <= limit_ms)
