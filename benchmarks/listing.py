"""Listing the models on this machine: 200 repositories in the hub's cache, beside the hub's own look at its cache.

Each figure comes from a child process: ``python -m benchmarks.listing ours``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.table import Row

MODELS = 200
TIMES = 5
COMMIT = "c0ffee" * 6 + "c0de"


def rows() -> Iterator[Row]:
    """Yield the first call of a process and the later ones."""
    from benchmarks.table import Row

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number in range(MODELS):
            _add(home / "hub" / f"models--user{number % 20}--model-{number}-GGUF", number)
        ways = [[_child(way, home) for way in ("ours", "bare")] for _ in range(TIMES)]
    for nth, (name, most) in enumerate((("first call", 300), ("later calls", 30))):
        ours, bare = (statistics.median(pair[way][nth] for pair in ways) for way in (0, 1))
        what = f"models() with {MODELS} in the cache, {name}; bare: scan_cache_dir()"
        yield Row(what, "ms", ours, bare, f"≤ {most}", ours <= most)


def _add(storage: Path, number: int) -> None:
    """Put a repository into the cache as huggingface_hub does."""
    snapshot = storage / "snapshots" / COMMIT
    for folder in (storage / "blobs", storage / "refs", snapshot):
        folder.mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    for name in (f"model-{number}-Q4_K_M.gguf", "README.md"):
        blob = storage / "blobs" / f"{number:060x}{len(name):04x}"
        blob.write_bytes(b"GGUF")
        (snapshot / name).symlink_to(Path("..", "..", "blobs", blob.name))


def _child(way: str, home: Path) -> list[float]:
    """Run this module in a process of its own; return the milliseconds that it prints."""
    places = dict.fromkeys(("HF_HOME", "HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"), str(home))
    named = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_WIDGETS_MODELS", "OLLAMA_MODELS")
    environment = {name: value for name, value in os.environ.items() if name not in named}
    command = [sys.executable, "-m", "benchmarks.listing", way]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment | places)
    return [float(word) for word in done.stdout.split()]


# In the child. What one way needs is not imported for the other.


def _ours() -> Callable[[], Any]:
    import llama_widgets

    return lambda: llama_widgets.models()  # noqa: PLW0108 - the first call imports what it needs


def _bare() -> Callable[[], Any]:
    import huggingface_hub

    return huggingface_hub.scan_cache_dir


def _measure(look: Callable[[], Any]) -> None:
    times = []
    for _ in range(1 + TIMES):
        start = time.perf_counter()
        look()
        times.append(1000 * (time.perf_counter() - start))
    print(times[0], statistics.median(times[1:]))


if __name__ == "__main__":
    _measure({"ours": _ours, "bare": _bare}[sys.argv[1]]())
