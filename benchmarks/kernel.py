"""How quickly a kernel answers while a panel in it answers too: the round trip of ``1 + 1``, as a front end sees it."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environments import kernelspec
from benchmarks.subjects import subjects
from benchmarks.table import Row
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.subjects import Subject

BLOCKS, TIMES = 6, 25

PANEL = """
import llama_widgets as lw
panel = lw.ChatPanel({path!r}, temperature=0)
panel.ask("Hello", max_tokens=1)
answer = None
"""
START = """
panel.clear()
answer = panel.submit("Write the numbers from one to three hundred in words.")
while not answer.tokens: pass
"""
STOP = "panel.stop(); answer.future.result().stop_reason"


def rows() -> Iterator[Row]:
    """Yield the round trip for each model, threads at their default."""
    for subject in subjects():
        with tempfile.TemporaryDirectory() as folder:
            os.environ["JUPYTER_PATH"] = str(kernelspec(Path(folder)))
            kernel = Kernel("benchmark", cwd=folder, stderr=subprocess.DEVNULL)
            try:
                yield _row(subject, kernel)
            finally:
                kernel.close()
                del os.environ["JUPYTER_PATH"]


def _row(subject: Subject, kernel: Kernel) -> Row:
    _run(kernel, PANEL.format(path=str(subject.path)))
    pairs = []
    for _ in range(BLOCKS):
        idle = _block(kernel)
        _run(kernel, START)
        generating = _block(kernel)
        if _run(kernel, STOP) != "'abort'":
            raise RuntimeError("The answer ended before the round trips were measured.")
        pairs.append((generating, idle))
    ratio = statistics.median(generating / idle for generating, idle in pairs)
    ours, bare = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
    name = f"{subject.name}: round trip of 1 + 1 while generating; bare: idle"
    return Row(name, "ms", ours, bare, "ratio ≤ 4", ratio <= 4, ratio)


def _block(kernel: Kernel) -> float:
    """Return the median round trip in milliseconds."""
    times = []
    for _ in range(TIMES):
        kernel.received.clear()  # it is searched from its beginning
        start = time.perf_counter()
        kernel.run("1 + 1")
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def _run(kernel: Kernel, code: str) -> str:
    outcome = kernel.run(code)
    if outcome.status != "ok":
        raise RuntimeError(outcome.error)
    return outcome.result
