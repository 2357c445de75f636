"""A model hub on loopback and downloads from it, for the tests of this folder."""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from llama_widgets.library.downloads import Downloads
from tests.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MEGABYTE = 1_000_000
NAME = "user/repo/m-Q4_K_M.gguf"
FILES: dict[str, bytes] = {
    NAME: random.Random(1).randbytes(3 * MEGABYTE),
    "user/repo/m-Q8_0.gguf": random.Random(2).randbytes(MEGABYTE),
    "user/repo/mmproj-f16.gguf": b"an eye",
    "user/repo/README.md": b"# A model",
    "user/parts/big-00001-of-00003.gguf": random.Random(3).randbytes(300_000),
    "user/parts/big-00002-of-00003.gguf": random.Random(4).randbytes(200_000),
    "user/parts/big-00003-of-00003.gguf": random.Random(5).randbytes(100_000),
    "user/plain/README.md": b"no model here",
}


def until(condition: Callable[[], Any], what: str = "") -> Any:  # noqa: ANN401 - whatever the condition returns
    """Wait until ``condition`` holds; the limit only ends a test that has failed."""
    for _ in range(3_000):
        if found := condition():
            return found
        time.sleep(0.01)
    pytest.fail(f"never came: {what or condition}")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "LLAMA_WIDGETS_MODELS"):
        monkeypatch.delenv(name, raising=False)
    with Hub(FILES) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield hub


@pytest.fixture
def downloads(hub: Hub) -> Iterator[Downloads]:
    del hub  # must be there first
    downloads = Downloads(retry_delay=0.01)
    yield downloads
    downloads.close()
    until(lambda: not children(), "the end of all child processes")


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it is just ending
            if "library.transfer" in " ".join(child.cmdline()):
                found.append(child)
    return found


def partials(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.rglob("*.lw-partial"))
