"""How large the built bundles are, minified, as each widget sends them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import llama_widgets
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS_KB = {"chat": 200, "selector": 30, "download": 30}


def rows() -> Iterator[Row]:
    """Yield a row per bundle."""
    static = Path(llama_widgets.__file__).parent / "static"
    for name, limit in LIMITS_KB.items():
        code = (static / f"{name}.js").read_bytes()
        size = len(code) / 1000
        zipped = len(gzip.compress(code)) / 1000
        yield Row(f"bundle {name}.js (gzip {zipped:.0f})", "kB", size, limit=f"≤ {limit}", met=size <= limit)
