"""Downloads by the real huggingface_hub, in real processes, from a hub on loopback."""

from __future__ import annotations

import _thread
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from llama_widgets.errors import DownloadError
from llama_widgets.library import downloads as module
from llama_widgets.library.downloads import Downloads
from llama_widgets.library.local import find, models
from tests.hub import COMMIT, Hub
from tests.unit.conftest import FILES, MEGABYTE, NAME, children, partials, until

if TYPE_CHECKING:
    from llama_widgets.library.job import Job


def in_another_process(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_from_the_hub_to_every_tool(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    hub.rate = 6 * MEGABYTE
    job = downloads.download("hf:user/repo")
    job.watch(lambda job: seen.append((job.state, job.done, job.total)))
    path = job.wait(60)

    assert path.read_bytes() == FILES[NAME]
    assert job.sha256 == hub.sha256(NAME)
    assert (job.state, job.done, job.total, job.name) == ("done", len(FILES[NAME]), len(FILES[NAME]), "m-Q4_K_M.gguf")
    until(lambda: seen and seen[-1][0] == "done", "the last call of the listener")
    arrived = [done for state, done, _ in seen if state == "downloading"]
    assert len(arrived) >= 2
    assert arrived == sorted(arrived)
    assert not hub.asked("GET", "agent-harnesses")  # its telemetry
    assert not hub.asked("POST")

    assert [(model.model, model.path) for model in models() if model.source == "cache"] == [
        ("hf:user/repo/m-Q4_K_M.gguf", str(path))
    ]
    assert find("hf:user/repo:Q4_K_M") == path
    code = (
        "from huggingface_hub import hf_hub_download, scan_cache_dir\n"
        "print(hf_hub_download('user/repo', 'm-Q4_K_M.gguf', local_files_only=True))\n"
        "assert not scan_cache_dir().warnings"
    )
    assert in_another_process(code).communicate()[0].strip() == str(path)
    assert not partials(tmp_path)


def test_two_kernels_share_one_download(hub: Hub) -> None:
    hub.hold_at = MEGABYTE
    code = "import llama_widgets as lw\nprint(lw.download('hf:user/repo').wait(60, progress=False))"
    first = in_another_process(code)
    until(lambda: hub.asked("GET", "/cdn/"), "the first byte")
    second = in_another_process(code)
    until(lambda: len(hub.asked("GET", "/api/models/user/repo")) == 2, "the question of the second")
    hub.hold_at = None
    paths = {process.communicate(timeout=60)[0].strip() for process in (first, second)}
    assert [Path(path).read_bytes() for path in paths] == [FILES[NAME]]
    assert sum(request.sent for request in hub.asked("GET", "/cdn/")) == len(FILES[NAME])


def test_what_is_there_is_not_fetched_again(hub: Hub, downloads: Downloads) -> None:
    path = downloads.download("hf:user/repo").wait(60)
    before = len(hub.asked("GET", "/cdn/"))
    again = downloads.download("hf:user/repo")
    assert again.wait(60) == path
    assert again.sha256 == hub.sha256(NAME)
    assert len(hub.asked("GET", "/cdn/")) == before
    assert downloads.jobs == [again]


def test_pause_and_resume_in_another_process(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.hold_at = len(FILES[NAME]) * 3 // 10
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == hub.hold_at, "30 %")
    job.pause()
    assert job.state == "paused"
    assert not job.ended
    until(lambda: not children(), "the end of the process")
    (partial,) = partials(tmp_path)
    assert partial.stat().st_size == hub.hold_at

    code = (
        "import sys, time\n"
        "from llama_widgets.library.downloads import download\n"
        "job = download('hf:user/repo')\n"
        "while not job.done: time.sleep(0.01)\n"
        "print(job.done, flush=True)\n"
        "print(job.wait(), job.sha256)\n"
        "assert 'huggingface_hub' not in sys.modules"
    )
    other = in_another_process(code)
    assert other.stdout is not None
    assert int(other.stdout.readline()) == hub.hold_at  # what was there is counted before a byte has come
    asked = until(lambda: [r for r in hub.asked("GET", "/cdn/") if r.range], "a range")
    assert [request.range for request in asked] == [f"bytes={hub.hold_at}-"]
    hub.hold_at = None
    path, sha256 = other.stdout.readline().split()
    other.wait()
    other.stdout.close()
    assert sha256 == hub.sha256(NAME)
    assert Path(path).read_bytes() == FILES[NAME]


def test_pause_and_resume(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    for _ in range(3):
        until(lambda: job.done == hub.hold_at, "the held byte")
        job.pause()
        assert job.state == "paused"
        job.pause()
        assert downloads.download("hf:user/repo") is job  # which resumes it
        assert job.running
        hub.hold_at += 500_000
    hub.hold_at = None
    job.wait(60)
    assert job.sha256 == hub.sha256(NAME)
    job.pause()
    job.cancel()
    job.resume()
    assert job.state == "done"


def test_pause_and_resume_by_id(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == MEGABYTE, "the held byte")
    assert not downloads.resume(job.id)
    assert downloads.pause(job.id)
    assert not downloads.pause(job.id)
    assert job.state == "paused"
    hub.hold_at = None
    assert downloads.resume(job.id)
    job.wait(60)
    assert not downloads.pause(job.id)
    assert not downloads.resume(job.id)
    assert not downloads.resume("unknown")


def test_cancel_keeps_what_has_arrived_unless_asked(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == hub.hold_at, "the held byte")
    job.cancel()
    assert job.state == "cancelled"
    with pytest.raises(DownloadError, match="cancelled"):
        job.wait()
    assert len(partials(tmp_path)) == 1

    again = downloads.download("hf:user/repo")
    assert again is not job
    until(lambda: again.done == hub.hold_at, "the bytes of before")
    again.cancel(keep_partial=False)
    assert not partials(tmp_path)


def test_two_who_want_the_same_file_share_one_transfer(hub: Hub, downloads: Downloads) -> None:
    other = Downloads()
    try:
        hub.hold_at = MEGABYTE
        first = downloads.download("hf:user/repo")
        assert downloads.download("user/repo") is first
        until(lambda: first.done == MEGABYTE, "the held byte")
        second = other.download("hf:user/repo/m-Q4_K_M.gguf")
        until(lambda: second.done == MEGABYTE and second.note, "the bytes of the first")
        assert "Another process" in second.note
        hub.hold_at = None
        assert first.wait(60) == second.wait(60)
        assert second.sha256 == hub.sha256(NAME)
        assert len(hub.asked("GET", "/cdn/")) == 1
    finally:
        other.close()


def test_a_model_in_parts_is_one_job(hub: Hub, downloads: Downloads) -> None:
    job = downloads.download("hf:user/parts/big-00002-of-00003.gguf")
    path = job.wait(60)
    assert (job.total, job.done) == (600_000, 600_000)
    assert path.name == "big-00001-of-00003.gguf"
    for name in ("big-00001-of-00003.gguf", "big-00002-of-00003.gguf", "big-00003-of-00003.gguf"):
        assert (path.parent / name).read_bytes() == FILES[f"user/parts/{name}"]
    assert job.sha256 == hub.sha256("user/parts/big-00001-of-00003.gguf")
    assert find("hf:user/parts") == path


def test_into_a_directory(hub: Hub, downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    job = downloads.download("hf:user/repo:Q8_0", directory="../mine")
    assert job.wait(60) == tmp_path / "mine" / "m-Q8_0.gguf"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["m-Q8_0.gguf"]
    assert not (tmp_path / "hf" / "hub").exists()
    again = downloads.download("hf:user/repo:Q8_0", directory="../mine")
    again.wait(60)
    assert len(hub.asked("GET", "/cdn/")) == 1
    (tmp_path / "mine" / "m-Q8_0.gguf").write_bytes(b"something else")
    with pytest.raises(DownloadError, match="another file"):
        downloads.download("hf:user/repo:Q8_0", directory="../mine").wait(60)
    assert (tmp_path / "mine" / "m-Q8_0.gguf").read_bytes() == b"something else"


def test_at_a_revision(hub: Hub, downloads: Downloads) -> None:
    path = downloads.download("hf:user/repo:Q8_0", revision=COMMIT).wait(60)
    assert path.parent.name == COMMIT
    assert find(f"hf:user/repo:Q8_0@{COMMIT}") == path
    assert all(COMMIT in request.path for request in hub.asked("HEAD", "/resolve/"))


def test_a_killed_process_is_a_failure_that_can_be_resumed(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == MEGABYTE, "the held byte")
    (child,) = children()
    child.kill()
    until(lambda: job.state == "failed", "the failure")
    with pytest.raises(DownloadError, match="ended by itself"):
        job.wait()
    hub.hold_at = None
    job.resume()
    job.wait(60)
    assert job.error is None
    assert hub.asked("GET", "/cdn/")[-1].range == f"bytes={MEGABYTE}-"


def test_the_process_dies_with_its_parent(hub: Hub) -> None:
    hub.hold_at = MEGABYTE
    code = (
        "import time\n"
        "from llama_widgets.library.downloads import download\n"
        "job = download('hf:user/repo')\n"
        "while not job.done: time.sleep(0.01)\n"
        "print(job._process.pid, flush=True)\n"
        "time.sleep(600)"
    )
    parent = in_another_process(code)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", "the end of the child")


def test_the_end_of_python_ends_the_process(hub: Hub) -> None:
    hub.hold_at = MEGABYTE
    code = (
        "import time\n"
        "from llama_widgets.library.downloads import download\n"
        "job = download('hf:user/repo')\n"
        "while not job.done: time.sleep(0.01)\n"
        "print(job._process.pid, flush=True)"
    )
    parent = in_another_process(code)
    child = int(parent.communicate()[0])
    assert parent.returncode == 0
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", "the end of the child")


def test_an_interrupt_of_the_cell_ends_only_the_waiting(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == MEGABYTE, "the held byte")
    (child,) = children()
    assert os.getpgid(child.pid) != os.getpgid(0)  # what the kernel's group gets does not reach it
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        job.wait()
    child.send_signal(signal.SIGINT)
    with pytest.raises(TimeoutError):
        job.wait(0.01)
    assert job.running
    hub.hold_at = None
    job.wait(60)


def test_a_watcher_of_all_hears_of_each_and_may_fail(downloads: Downloads, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, str]] = []

    def bad(job: Job) -> None:
        raise RuntimeError(job.id)

    downloads.watch(bad)
    unwatch = downloads.watch(lambda job: seen.append((job.id, job.state)))
    with caplog.at_level(logging.ERROR, "llama_widgets.downloads"):
        first = downloads.download("hf:user/repo:Q8_0")
        first.wait(60)
        until(lambda: (first.id, "done") in seen, "the news")
        unwatch()
        seen.clear()
        second = downloads.download("hf:user/parts")
        second.wait(60)
    assert not seen
    assert "a listener failed" in caplog.text


def test_progress_comes_while_nothing_arrives(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    calls: list[float] = []
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.watch(lambda job: calls.append(job.done))
    until(lambda: len(calls) >= 5, "news of a stalled download")
    assert set(calls) == {MEGABYTE}


def test_a_job_as_plain_data(downloads: Downloads) -> None:
    job = downloads.download("hf:user/repo:Q8_0")
    job.wait(60)
    plain = json.loads(json.dumps(job.to_dict()))
    assert plain.pop("free_after") > 0
    assert plain == {
        "id": job.id,
        "name": "m-Q8_0.gguf",
        "model": "hf:user/repo:Q8_0",
        "state": "done",
        "done": MEGABYTE,
        "total": MEGABYTE,
        "rate": None,
        "eta_s": None,
        "note": "",
        "error": None,
    }


@pytest.mark.usefixtures("hub")
def test_the_shared_downloads_are_one_and_begin_anew_after_a_close() -> None:
    shared = module.shared()
    try:
        assert module.shared() is shared
        module.download("hf:user/repo:Q8_0").wait(60)
        assert [job.state for job in shared.jobs] == ["done"]
    finally:
        shared.close()
    assert module.shared() is not shared
    module.shared().close()


def test_the_users_own_modules_do_not_get_in_the_way(
    downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "site" / "sitecustomize.py").parent.mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('{hello')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert downloads.download("hf:user/repo:Q8_0").wait(60).exists()
