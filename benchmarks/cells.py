"""What a chat cell adds to the engine's own time: the round trip of ``%%llama`` beside that of ``chat.ask``."""

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

TIMES = 30
LIMIT_MS = 30

START = """
%load_ext llama_widgets
import llama_widgets as lw
%llama {path} --temperature 0 --max-tokens 4
lw.Chat({path!r}).ask("Hello", max_tokens=1)
"""
ASK = "lw.Chat({path!r}, temperature=0, max_tokens=4).ask('What is one plus one?')"
CELL = "%%llama\nWhat is one plus one?"


def rows() -> Iterator[Row]:
    """Yield both round trips for each model, in a front end that shows widgets."""
    for subject in subjects():
        with tempfile.TemporaryDirectory() as folder:
            os.environ["JUPYTER_PATH"] = str(kernelspec(Path(folder)))
            kernel = Kernel("benchmark", cwd=folder, stderr=subprocess.DEVNULL)
            try:
                yield _row(subject.name, str(subject.path), kernel)
            finally:
                kernel.close()
                del os.environ["JUPYTER_PATH"]


def _row(name: str, path: str, kernel: Kernel) -> Row:
    _timed(kernel, START.format(path=path))
    _timed(kernel, CELL)  # what is imported is imported by now
    pairs = []
    for _ in range(TIMES):  # the same question, so that there is little to read and the rest is seen
        bare = _timed(kernel, ASK.format(path=path))
        pairs.append((_timed(kernel, CELL), bare))
    ours, bare = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
    added = statistics.median(cell - asked for cell, asked in pairs)
    row = f"{name}: a cell with %%llama, {added:.1f} more; bare: chat.ask in a cell"
    return Row(row, "ms", ours, bare, f"≤ {LIMIT_MS} more", added <= LIMIT_MS)


def _timed(kernel: Kernel, code: str) -> float:
    """Run a cell and return how long that took, in milliseconds."""
    kernel.received.clear()  # it is searched from its beginning
    start = time.perf_counter()
    outcome = kernel.run(code, "cell")
    if outcome.status != "ok":
        raise RuntimeError(outcome.error)
    return (time.perf_counter() - start) * 1000
