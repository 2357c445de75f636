"""How fast a download is beside ``hf download``, from a hub on loopback, and what it costs the kernel meanwhile.

Both ways end with the same file in the same cache; ours has checked its hash. Each is a process of its own, timed from
its start to its end, in turn with the other.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.table import Row
from tests.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE, PAIRS = 1_000_000_000, 5
LINE, SPAN_S = 100_000_000, 5.0
REPO, FILE = "user/repo", "m-Q4_K_M.gguf"

OURS = [sys.executable, "-c", f"import llama_widgets as lw; lw.download('hf:{REPO}').wait(progress=False)"]
BARE = [sys.executable, "-m", "huggingface_hub.cli.hf", "download", REPO, FILE, "--quiet"]

KERNEL = f"""
import time
import llama_widgets as lw
job = lw.download("hf:{REPO}")
job.watch(lambda job: job.to_dict())
while not job.done: time.sleep(0.1)
before, done, start = time.process_time(), job.done, time.perf_counter()
time.sleep({SPAN_S})
span = time.perf_counter() - start
print((time.process_time() - before) / span, (job.done - done) / span / 1e6)
job.cancel()
"""


def rows() -> Iterator[Row]:
    """Yield the throughput, and the time that the kernel's process takes."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        with model.open("wb") as file:
            file.truncate(SIZE)
        with Hub({f"{REPO}/{FILE}": model}) as hub:
            hub.sha256(f"{REPO}/{FILE}")  # which it would have to find out while it is timed
            env = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": f"{folder}/hf", "HF_HUB_DISABLE_TELEMETRY": "1"}
            env["NO_PROXY"] = "127.0.0.1,localhost"
            pairs = [(_seconds(OURS, env), _seconds(BARE, env)) for _ in range(PAIRS)]
            hub.line = LINE
            shutil.rmtree(env["HF_HOME"])
            said = subprocess.run(
                [sys.executable, "-c", KERNEL], env=env, stdout=subprocess.PIPE, check=True, text=True
            )
    ratio = statistics.median(bare / ours for ours, bare in pairs)
    ours, bare = (SIZE / 1e6 / statistics.median(pair[index] for pair in pairs) for index in (0, 1))
    name = f"{SIZE / 1e9:g} GB from loopback, verified; bare: hf download"
    yield Row(name, "MB/s", ours, bare, "ratio ≥ 0.95", ratio >= 0.95, ratio)
    share, rate = (float(number) for number in said.stdout.split())
    yield Row(
        f"the kernel during a download at {rate:.0f} MB/s", "% of a core", 100 * share, None, "≤ 2", share <= 0.02
    )


def _seconds(command: list[str], env: dict[str, str]) -> float:
    shutil.rmtree(env["HF_HOME"], ignore_errors=True)
    start = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    (path,) = Path(env["HF_HOME"]).glob("hub/models--*/snapshots/*/*.gguf")
    if path.stat().st_size != SIZE:
        raise RuntimeError(f"{command} did not download the file.")
    return seconds
