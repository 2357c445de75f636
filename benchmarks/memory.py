"""Resident memory: ours over llama.cpp's own, and whether it grows while models are loaded in turns.

Each figure comes from a child process: ``python -m benchmarks.memory ours model.gguf``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.table import Row

TIMES = 3
N_CTX, N_THREADS, TOKENS = 8192, 1, 8
CYCLES, SETTLED = 20, 3
PROMPT = "Once upon a time there was a llama"
MEGA = 1e6


def rows() -> Iterator[Row]:
    """Yield the difference for each model, and the growth."""
    from benchmarks.subjects import subjects
    from benchmarks.table import Row

    for subject in subjects():
        pairs = [(_child("ours", subject.path)[0], _child("bare", subject.path)[0]) for _ in range(TIMES)]
        over = statistics.median(ours - bare for ours, bare in pairs)
        bare = statistics.median(pair[1] for pair in pairs)
        name = f"{subject.name}: resident memory over llama.cpp's; bare: its own"
        yield Row(name, "MB", over, bare, "≤ 60", over <= 60)
    settled, end = _child("turns", *(subject.path for subject in subjects()))
    growth = end / settled - 1
    name = f"two models in turns, {CYCLES} times, resident; bare: after {SETTLED}"
    yield Row(name, "MB", end, settled, "growth ≤ 2 %", growth <= 0.02)


def _child(*arguments: str | Path) -> list[float]:
    """Run this module in a process of its own; return the megabytes that it prints."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, arguments)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in printed.split()]


# In the child. What one way needs is not imported for the other.


def _ours(path: Path) -> None:
    worker = _worker()
    _load(worker, path)
    _answer(worker)
    _print_resident()
    worker.close()


def _bare(path: Path) -> None:
    from benchmarks.bare import Bare

    bare = Bare(path, N_CTX, N_THREADS)
    bare.read(bare.tokens(PROMPT))
    bare.advance(TOKENS)
    _print_resident()
    bare.close()


def _turns(first: Path, second: Path) -> None:
    worker = _worker()
    for cycle in range(CYCLES):
        for path in (first, second, first):  # the first stays from the cycle before
            _load(worker, path)
            _answer(worker)
        if cycle == SETTLED - 1:
            _print_resident()
    _print_resident()
    worker.close()


def _worker() -> Any:  # noqa: ANN401 - it is imported in the child that needs it
    from llama_widgets.worker import Worker

    return Worker()


def _load(worker: Any, path: Path) -> None:  # noqa: ANN401
    from llama_widgets.options import LoadOptions
    from llama_widgets.protocol import LoadModel

    options = LoadOptions(n_ctx=N_CTX, n_threads=N_THREADS, n_threads_batch=N_THREADS)
    worker.run(LoadModel(request_id="load", model=str(path), options=options))


def _answer(worker: Any) -> None:  # noqa: ANN401
    from llama_widgets.options import GenerationOptions
    from llama_widgets.protocol import GenerateCompletion

    options = GenerationOptions(temperature=0, max_tokens=TOKENS)
    worker.run(GenerateCompletion(request_id="answer", prompt=PROMPT, options=options))


def _print_resident() -> None:
    import psutil

    print(psutil.Process().memory_info().rss / MEGA)


if __name__ == "__main__":
    ways: dict[str, Callable[..., None]] = {"ours": _ours, "bare": _bare, "turns": _turns}
    ways[sys.argv[1]](*map(Path, sys.argv[2:]))
