"""How well it is known before a load what a model will take, and what it costs to know that of one on the hub.

Each figure comes from a child process: ``python -m benchmarks.estimates here model.gguf 8192``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.table import Row

CONTEXTS = (1024, 4096, 8192)
MEGA = 1e6
REPO = "user/large-GGUF"


def rows() -> Iterator[Row]:
    """Yield a row for each model and context, and one for the bytes that are fetched."""
    from benchmarks.subjects import subjects
    from benchmarks.table import Row
    from tests.engine import tiny

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "gemma2.gguf"
        tiny.write(made, "gemma2", width=512, layers=12, feed_forward=2048, n_vocab=64_000, n_ctx_train=8192)
        for name, path in [*((subject.name, subject.path) for subject in subjects()), ("gemma2", made)]:
            for n_ctx in CONTEXTS:
                estimate, taken = map(float, _child("here", path, n_ctx).split())
                ratio = estimate / taken
                what = f"{name}: estimate of the memory at {n_ctx:,} tokens; bare: taken by the load and an answer"
                yield Row(what, "MB", estimate, taken, "ratio 0.9 to 1.1", 0.9 <= ratio <= 1.1, ratio)
        yield _fetched(Path(folder))


def _fetched(folder: Path) -> Row:
    import gguf

    from benchmarks.table import Row
    from tests.engine import tiny
    from tests.hub import Hub

    dtype = gguf.GGMLQuantizationType.Q8_0
    size: dict[str, Any] = {"width": 2560, "layers": 24, "feed_forward": 9728, "n_vocab": 151_936}
    path = tiny.write(folder / "large.gguf", "qwen2", hollow=True, dtype=dtype, **size)
    with Hub({f"{REPO}/large-Q8_0.gguf": path}) as hub:
        hub.hashes[f"{REPO}/large-Q8_0.gguf"] = "a" * 64
        _child("there", f"hf:{REPO}", HF_ENDPOINT=hub.endpoint, HF_HOME=str(folder), NO_PROXY="127.0.0.1,localhost")
        sent = sum(request.sent for request in hub.requests)
    what = f"fetched to judge whether {path.stat().st_size / 1e9:.1f} GB on the hub fit"
    return Row(what, "kB", sent / 1e3, None, "≤ 1,000", sent <= MEGA)


def _child(*arguments: object, **environ: str) -> str:
    command = [sys.executable, "-m", "benchmarks.estimates", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environ).stdout


# In the child.


def _here(path: str, n_ctx: str) -> None:
    """Print what was estimated, and how much more is resident after the load and an answer to a long prompt."""
    import psutil

    import llama_widgets as lw
    from llama_widgets.engines import native

    native.start()
    estimate = lw.estimate(path, n_ctx=int(n_ctx))
    before = psutil.Process().memory_info().rss
    chat = lw.Chat(path, temperature=0, max_tokens=8)
    chat.load(n_ctx=int(n_ctx))
    chat.ask("What is a llama? " * 30)
    print(estimate.total / MEGA, (psutil.Process().memory_info().rss - before) / MEGA)


def _there(model: str) -> None:
    import llama_widgets as lw

    print(lw.estimate(model))


if __name__ == "__main__":
    ways: dict[str, Callable[..., None]] = {"here": _here, "there": _there}
    ways[sys.argv[1]](*sys.argv[2:])
