"""Disks that fill up and folders that cannot be written: one message with numbers, and what has arrived stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest

from llama_widgets.errors import DiskFullError, DownloadError
from tests.unit.conftest import FILES, MEGABYTE, NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llama_widgets.library.downloads import Downloads
    from tests.hub import Hub

# Runs where the disk is a file system of 4 MB of its own; the model has 3 MB.
SMALL_DISK = """
import os, pathlib, subprocess, sys, time
disk = pathlib.Path(os.environ["HF_HOME"])
disk.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
print("mounted", flush=True)
from llama_widgets.errors import LlamaWidgetsError
from llama_widgets.library.downloads import Downloads
downloads = Downloads(retry_delay=0.01)
filler = disk / "filler"

def told(job):
    try:
        return job.wait(60).read_bytes() == pathlib.Path(sys.argv[1]).read_bytes()
    except LlamaWidgetsError as error:
        return f"{error.code}: {error}"

def fill(size):
    with filler.open("ab") as file:
        file.write(bytes(size))

def until(done):
    while job.done != done and not job.ended: time.sleep(0.01)

def tell(what): print(what, flush=True)

for line in sys.stdin: exec(line)
downloads.close()
"""

BLIND = (
    "import collections, shutil; shutil.disk_usage = lambda path: collections.namedtuple('d', 'total free')(9**9, 9**9)"
)


class Disk:
    """What runs on the small disk."""

    def __init__(self, told: IO[str], heard: IO[str]) -> None:
        self._told, self._heard = told, heard

    def do(self, line: str) -> None:
        self._told.write(f"{line}\n")
        self._told.flush()

    def ask(self, expression: str) -> str:
        self.do(f"tell({expression})")
        return self._heard.readline().strip()


@pytest.fixture
def disk(hub: Hub, tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "model").write_bytes(FILES[NAME])
    del hub  # must be there first
    with small_disk(tmp_path) as disk:
        yield disk


@contextmanager
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no way to a file system of one's own")
    command = [unshare, "--map-root-user", "--mount", sys.executable, "-c", SMALL_DISK, str(tmp_path / "model")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, stderr=subprocess.DEVNULL, **pipes)  # type: ignore[call-overload]
    with process:
        if process.stdout.readline() != "mounted\n":
            pytest.skip("a file system of one's own may not be made here")
        try:
            yield Disk(process.stdin, process.stdout)
        finally:
            process.kill()


def test_a_disk_that_fills_up_is_seen_before_it_is_full(hub: Hub, disk: Disk) -> None:
    hub.hold_at = 1_800_000
    disk.do("job = downloads.download('hf:user/repo')")
    assert disk.ask("until(1_800_000)") == "None"
    assert disk.ask("fill(1_500_000)") == "None"
    # No byte comes, so it is the look at the disk that ends it.
    said = disk.ask("told(job)")
    assert said.startswith("disk_full: hf:user/repo needs 1.2 MB more, and ")
    assert "kB are free in " in said
    assert "of which 209.7 kB must stay free. Make room, then resume" in said
    assert disk.ask("job.done") == "1800000"
    hub.hold_at = None
    disk.do("filler.unlink(); job.resume()")
    assert disk.ask("told(job)") == "True"
    assert hub.asked("GET", "/cdn/")[-1].range == "bytes=1800000-"


def test_a_disk_that_is_full_at_60_percent(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The child believes that there is room, as where others write faster than it looks.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BLIND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "model").write_bytes(FILES[NAME])
    hub.hold_at = 1_700_000
    with small_disk(tmp_path) as disk:
        disk.do("job = downloads.download('hf:user/repo')")
        assert disk.ask("until(1_700_000)") == "None"
        assert disk.ask("fill(2_300_000)") == "None"
        hub.hold_at = None
        said = disk.ask("told(job)")
        assert said.startswith("disk_full: The disk is full; what has arrived of hf:user/repo is kept. Make room")
        assert int(disk.ask("job.done")) >= 1_700_000
        disk.do("filler.unlink(); job.resume()")
        assert disk.ask("told(job)") == "True"
    resumed = hub.asked("GET", "/cdn/")[-1].range
    assert resumed is not None
    assert int(resumed[len("bytes=") : -1]) >= 1_700_000


def test_what_does_not_fit_is_refused_with_a_margin(hub: Hub, disk: Disk) -> None:
    assert disk.ask("fill(1_000_000)") == "None"  # 3.19 of 4.19 MB are free, and 0.21 of these must stay so
    disk.do("job = downloads.download('hf:user/repo')")
    assert disk.ask("told(job)").startswith("disk_full: hf:user/repo needs 3.0 MB more, and 3.2 MB are free in ")
    assert not hub.asked("GET", "/cdn/")
    assert disk.ask("[path.name for path in disk.rglob('*lw-partial*') if path.suffix != '.lock']") == "[]"


def test_what_cannot_fit_at_all(hub: Hub, downloads: Downloads) -> None:
    hub.sizes[NAME] = 10**16
    with pytest.raises(DiskFullError, match=r"needs 10000\.0 TB more"):
        downloads.download("hf:user/repo").wait(60)
    assert not hub.asked("GET", "/cdn/")


@pytest.mark.parametrize("where", ["hf", "hf/hub", "hf/hub/models--user--repo", "hf/hub/.locks"])
def test_a_cache_that_cannot_be_written(hub: Hub, downloads: Downloads, tmp_path: Path, where: str) -> None:
    # A file in the way of a folder stops root too, who may write everywhere.
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be saved") as raised:
        downloads.download("hf:user/repo").wait(60)
    assert str(path) in raised.value.message
    assert "permissions" in raised.value.hint
    assert not hub.asked("GET", "/cdn/")
    path.unlink()
    assert downloads.download("hf:user/repo").wait(60).read_bytes() == FILES[NAME]


def test_a_disk_that_can_only_be_read(hub: Hub, disk: Disk) -> None:
    # This stops root too.
    disk.do("subprocess.run(['mount', '-o', 'remount,ro', disk], check=True)")
    disk.do("job = downloads.download('hf:user/repo')")
    said = disk.ask("told(job)")
    assert "hf:user/repo cannot be saved: Read-only file system" in said
    assert "Check the permissions of the folder, or name another directory." in said
    assert not hub.asked("GET", "/cdn/")
    disk.do("subprocess.run(['mount', '-o', 'remount,rw', disk], check=True); job.resume()")
    assert disk.ask("told(job)") == "True"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_not_be_written(downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "hf" / "hub").mkdir(parents=True)
    (tmp_path / "hf" / "hub").chmod(0o500)
    with pytest.raises(DownloadError, match="cannot be saved"):
        downloads.download("hf:user/repo").wait(60)
    (tmp_path / "hf" / "hub").chmod(0o700)


def test_a_folder_that_cannot_be_made(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    job = downloads.download("hf:user/repo", directory=tmp_path / "file" / "folder")
    with pytest.raises(DownloadError, match="cannot be saved") as raised:
        job.wait(60)
    assert str(tmp_path / "file") in raised.value.message
    assert not hub.asked("GET", "/cdn/")


def test_a_folder_in_the_place_of_the_file(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "mine" / "m-Q4_K_M.gguf").mkdir(parents=True)
    with pytest.raises(DownloadError, match="another file"):
        downloads.download("hf:user/repo", directory=tmp_path / "mine").wait(60)
    assert not hub.asked("GET", "/cdn/")
    assert len(FILES[NAME]) == 3 * MEGABYTE
