"""What earlier kernels left unfinished: found without a network, shown as paused, resumed or deleted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from llama_widgets.errors import DownloadError
from llama_widgets.library.downloads import Downloads, unfinished
from tests.unit.conftest import FILES, MEGABYTE, NAME, children, partials, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub import Hub

KERNEL = """
import sys, time
from llama_widgets.library.downloads import download
job = download(sys.argv[1], directory=(*sys.argv, "", "")[2] or None, token="hf_good")
while job.done < int(sys.argv[3] if len(sys.argv) > 3 else 500_000): time.sleep(0.01)
print(job._process.pid, flush=True)
time.sleep(600)
"""


def killed_kernel(*arguments: str) -> None:
    """Let another process download until half of it is there, and kill it."""
    kernel = subprocess.Popen([sys.executable, "-c", KERNEL, *arguments], stdout=subprocess.PIPE, text=True)
    assert kernel.stdout is not None
    child = psutil.Process(int(kernel.stdout.readline()))
    kernel.send_signal(signal.SIGKILL)
    kernel.wait()
    kernel.stdout.close()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(60)


def test_nothing_is_left_of_nothing(hub: Hub, downloads: Downloads) -> None:
    assert unfinished() == []
    assert downloads.recover() == []
    downloads.download("hf:user/repo:Q8_0").wait(60)
    assert unfinished() == []
    assert hub.requests


def test_a_killed_kernel_leaves_what_another_goes_on_with(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.hold_at = 500_000
    killed_kernel("hf:user/repo")
    hub.requests.clear()
    (left,) = unfinished()
    assert (left.reference, left.name, left.size, left.done) == ("hf:user/repo", "m-Q4_K_M.gguf", 3 * MEGABYTE, 500_000)
    assert [left.path] == partials(tmp_path)
    assert left.directory is None

    (job,) = downloads.recover()
    assert downloads.jobs == [job]
    assert downloads.recover() == []
    assert (job.state, job.name, job.done, job.total) == ("paused", "m-Q4_K_M.gguf", 500_000, 3 * MEGABYTE)
    assert job.to_dict()["model"] == "hf:user/repo"
    assert not hub.requests  # without a network
    hub.hold_at = None
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]
    assert [request.range for request in hub.asked("GET", "/cdn/")] == ["bytes=500000-"]
    assert unfinished() == []


def test_asking_for_it_is_enough(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 500_000
    killed_kernel("hf:user/repo")
    (job,) = downloads.recover()
    hub.hold_at = None
    assert downloads.download("hf:user/repo") is job
    assert job.wait(60).read_bytes() == FILES[NAME]


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_left_can_be_deleted(hub: Hub, downloads: Downloads, tmp_path: Path, keep: bool) -> None:
    hub.hold_at = 500_000
    killed_kernel("hf:user/repo")
    (job,) = downloads.recover()
    job.cancel(keep_partial=keep)
    assert job.state == "cancelled"
    assert len(partials(tmp_path)) == len(unfinished()) == keep
    assert len(list(tmp_path.rglob("*.json"))) == keep
    for left in unfinished():
        assert left.discard()
    assert not partials(tmp_path)
    assert not list(tmp_path.rglob("*.json"))
    assert not [path for path in tmp_path.rglob("*.lock") if path.stat().st_size]


@pytest.mark.parametrize("keep", [True, False])
def test_a_failed_download_can_be_put_away(hub: Hub, downloads: Downloads, tmp_path: Path, keep: bool) -> None:
    told: list[tuple[str, int]] = []
    hub.hold_at = 500_000
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == 500_000, "the held byte")
    children()[0].kill()
    until(lambda: job.state == "failed", "the failure")
    job.watch(lambda job: told.append((job.state, job.done)))
    job.cancel(keep_partial=keep)
    until(lambda: ("cancelled", 500_000 if keep else 0) in told, "the news")
    assert (job.state, job.error, len(partials(tmp_path))) == ("cancelled", None, keep)
    with pytest.raises(DownloadError, match="cancelled"):
        job.wait()
    hub.hold_at = None
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]
    job.cancel(keep_partial=False)
    assert job.state == "done"


def test_a_failed_download_is_cancelled_by_its_id(hub: Hub, downloads: Downloads) -> None:
    hub.fail(404, times=100)
    job = downloads.download("hf:user/repo")
    until(lambda: job.state == "failed", "the failure")
    assert downloads.abort(job.id)
    assert job.state == "cancelled"
    assert not downloads.abort(job.id)


def test_two_names_of_one_file_end_together(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 500_000
    killed_kernel("hf:user/repo")
    (first,) = downloads.recover()
    second = downloads.download("hf:user/repo/m-Q4_K_M.gguf")
    until(lambda: second.done == 500_000, "the bytes of the first")
    hub.hold_at = 700_000
    until(lambda: second.done == 700_000, "some more")
    second.pause()
    assert (first.state, first.done) == ("paused", 700_000)
    until(unfinished, "the end of the process")
    assert downloads.recover() == []
    hub.hold_at = None
    second.resume()
    path = second.wait(60)
    assert first.wait(60) == path
    assert (first.state, first.done, first.sha256) == ("done", 3 * MEGABYTE, second.sha256)


def test_a_file_is_recovered_once_whatever_it_is_called(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 500_000
    job = downloads.download("hf:user/repo/m-Q4_K_M.gguf")
    until(lambda: job.done == 500_000, "the held byte")
    job.pause()
    (left,) = until(unfinished, "the end of the process")
    journal = left.path.with_name(f"{left.path.name}.json")
    journal.write_text(journal.read_text().replace("repo/m-Q4_K_M.gguf", "repo", 1))
    assert [left.reference for left in unfinished()] == ["hf:user/repo"]
    assert downloads.recover() == []


def test_what_is_left_is_deleted_before_the_hub_has_answered(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.hold_at = 500_000
    killed_kernel("hf:user/repo")
    hub.answering.clear()
    job = downloads.download("hf:user/repo")
    until(children, "the process")
    job.cancel(keep_partial=False)
    assert not partials(tmp_path)
    assert unfinished() == []
    hub.answering.set()


def test_what_is_worked_on_is_not_unfinished(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 500_000
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == 500_000, "the held byte")
    assert unfinished() == []
    other = Downloads()
    assert other.recover() == []
    job.pause()
    (left,) = until(unfinished, "the end of the process")
    assert left.done == 500_000
    until(lambda: job.state == "paused", "the job to know")  # the lock is let go a moment before
    job.resume()
    until(lambda: not unfinished(), "the second run to take the file")  # the job is "downloading" before that
    assert not left.discard()
    hub.hold_at = None
    assert job.wait(60).read_bytes() == FILES[NAME]
    other.close()


def test_a_model_in_parts_is_one(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 150_000
    killed_kernel("hf:user/parts", "", "150_000")
    (left,) = unfinished()
    assert (left.name, left.size, left.done) == ("big-00001-of-00003.gguf", 600_000, 150_000)
    (job,) = downloads.recover()
    hub.hold_at = None
    job.resume()
    assert job.wait(60).name == "big-00001-of-00003.gguf"
    assert job.total == 600_000


def test_in_a_folder(hub: Hub, downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    hub.hold_at = 500_000
    killed_kernel("hf:user/repo", str(mine))
    assert unfinished() == []
    (left,) = unfinished(mine)
    assert left.directory == str(mine)
    monkeypatch.setenv("LLAMA_WIDGETS_MODELS", str(mine))
    assert unfinished() == unfinished(mine) == [left]
    (job,) = downloads.recover()
    hub.hold_at = None
    job.resume()
    assert job.wait(60) == mine / "m-Q4_K_M.gguf"
    assert [path.name for path in mine.iterdir()] == ["m-Q4_K_M.gguf"]


def test_a_new_version_begins_anew_and_says_so(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.hold_at = 500_000
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == 500_000, "the held byte")
    job.pause()
    old = partials(tmp_path)
    hub.files[NAME] = new = bytes(range(256)) * 8_000
    hub.hold_at = 400_000
    job.resume()
    until(lambda: job.done == 400_000, "the new bytes")
    assert "begins anew" in job.note
    (path,) = partials(tmp_path)
    assert [path] != old
    assert hub.asked("GET", "/cdn/")[-1].range is None
    hub.hold_at = None
    assert job.wait(60).read_bytes() == new
    assert not partials(tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_what_is_left_of_other_files_stays(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.hold_at = 500_000
    jobs = [downloads.download(f"hf:user/repo:{quantisation}") for quantisation in ("Q4_K_M", "Q8_0")]
    until(lambda: all(job.done == 500_000 for job in jobs), "some of both")
    for job in jobs:
        job.pause()
    until(lambda: not children(), "the end of the processes")
    hub.hold_at = None
    jobs[0].resume()
    jobs[0].wait(60)
    assert len(partials(tmp_path)) == 1
    assert [left.reference for left in unfinished()] == ["hf:user/repo:Q8_0"]


JOURNAL = '{"reference": %s, "name": "m.gguf", "etag": "e", "size": 3, "missing": [[1, 3]]}'


@pytest.mark.parametrize(
    "journal",
    ["", "{", "[1]", JOURNAL % '"what is this?"', JOURNAL % '"./here.gguf"', JOURNAL % "5", JOURNAL % '"\\u0000"'],
)
@pytest.mark.usefixtures("hub")
def test_a_damaged_journal_is_left_out(downloads: Downloads, tmp_path: Path, journal: str) -> None:
    blobs = tmp_path / "hf" / "hub" / "models--user--repo" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "e.lw-partial").write_bytes(b"abc")
    (blobs / "e.lw-partial.json").write_text(journal)
    assert unfinished() == []
    assert downloads.recover() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("what", ["fifo", "link", "folder"])
def test_what_is_no_file_is_not_read(tmp_path: Path, what: str) -> None:
    blobs = tmp_path / "hf" / "hub" / "models--user--repo" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "e.lw-partial").write_bytes(b"abc")
    journal = blobs / "e.lw-partial.json"
    (tmp_path / "good.json").write_text(JOURNAL % '"hf:user/repo"')
    make: dict[str, Any] = {
        "fifo": lambda: os.mkfifo(journal),
        "link": lambda: journal.symlink_to(tmp_path / "good.json"),
        "folder": journal.mkdir,
    }
    make[what]()
    assert unfinished() == []


def test_a_token_is_not_in_what_is_left(hub: Hub, tmp_path: Path) -> None:
    hub.gated["user/repo"] = 401
    hub.hold_at = 500_000
    killed_kernel("hf:user/repo")
    (left,) = unfinished()
    kept = [path for path in tmp_path.rglob("*.json") if path.is_file()]
    assert len(kept) == 1
    assert "hf_good" not in kept[0].read_text() + repr(left)
