"""What ``import llama_widgets`` costs over the ``import anywidget`` that every widget pays."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 15
LIMIT_MS = 50
CODES = ("import anywidget", "import anywidget, llama_widgets", "import anywidget; from llama_widgets import ChatPanel")


def rows() -> Iterator[Row]:
    """Yield the package alone, and with the panel, which is loaded when it is first named."""
    runs = [[_milliseconds(code) for code in CODES] for _ in range(TIMES + 1)][1:]
    bare = statistics.median(run[0] for run in runs)
    package, panel = (statistics.median(run[index] - run[0] for run in runs) for index in (1, 2))
    limit = f"≤ {LIMIT_MS}"
    yield Row("import llama_widgets, over anywidget; bare: anywidget", "ms", package, bare, limit, package <= LIMIT_MS)
    yield Row("import its ChatPanel too, over anywidget; bare: anywidget", "ms", panel, bare)


def _milliseconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1000
