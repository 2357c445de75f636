"""How large the front end is, minified, and what fifty panels send of it: beside fifty that each carry all of it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import llama_widgets
from benchmarks.environments import kernelspec
from benchmarks.table import Row
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS_KB = {
    ("widgets.js", "widgets.css"): (200, 70),
    ("loader.js",): (1, 1),
    ("highlight.js", "highlight.css"): (120, 40),
    ("math.js", "math.css"): (230, 70),
}
"""Minified, and compressed as well: what a page gets for the first widget is code and style together."""
PANELS = 50


def rows() -> Iterator[Row]:
    """Yield a row per built file, and two for the panels."""
    static = Path(llama_widgets.__file__).parent / "static"
    for names, limits in LIMITS_KB.items():
        parts = [(static / name).read_bytes() for name in names]
        size = sum(map(len, parts)) / 1000
        zipped = sum(len(gzip.compress(part)) for part in parts) / 1000
        for kind, value, limit in (("minified", size, limits[0]), ("gzip", zipped, limits[1])):
            yield Row(f"{' + '.join(names)}, {kind}", "kB", value, limit=f"≤ {limit}", met=value <= limit)

    first, *others = _sent()
    whole = sum((static / name).stat().st_size for name in ("widgets.js", "widgets.css")) / 1000
    each = sum(others) / len(others)
    bare = PANELS * whole
    yield Row(
        f"{PANELS} panels, all they open",
        "kB",
        first + sum(others),
        bare,
        "≤ 0.1 of bare",
        first + sum(others) <= bare / 10,
    )
    yield Row("each panel beyond the first", "kB", each, whole, "≤ 10", each <= 10)


def _sent() -> list[float]:
    """Return the kilobytes that a kernel sends to open each of so many panels, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JUPYTER_PATH"] = str(kernelspec(Path(folder)))
        kernel = Kernel("benchmark", cwd=folder, stderr=subprocess.DEVNULL)
        try:
            kernel.run("import llama_widgets as lw\npanels = []")
            requests = [kernel.start("panels.append(lw.ChatPanel())") for _ in range(PANELS)]
            for request in requests:
                kernel.outcome(request)
        finally:
            kernel.close()
            del os.environ["JUPYTER_PATH"]
    opened = [message for message in kernel.received if message["msg_type"] == "comm_open"]
    sizes = dict.fromkeys(requests, 0)
    for message in opened:
        sizes[message["parent_header"]["msg_id"]] += len(json.dumps(message, default=str))
    return [size / 1000 for size in sizes.values()]
