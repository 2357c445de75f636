"""How far a download is: steady figures, whatever the clock does, and a line for those who have no widgets."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from llama_widgets.errors import DownloadError
from llama_widgets.library.job import Job
from llama_widgets.library.process import Order
from llama_widgets.library.references import Reference
from llama_widgets.library.transfer import _TICK
from tests.unit.conftest import FILES, MEGABYTE, NAME, until

if TYPE_CHECKING:
    from pathlib import Path

    from llama_widgets.library.downloads import Downloads
    from tests.hub import Hub


class Clock:
    """A job that hears of bytes at times that are made up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, total: int) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.job = Job(Order(Reference(repo="user/repo"), cache=""), lambda _: None, lambda _: None)
        self.job.total = total

    def tell(self, done: int, after: float = 0.15) -> None:
        self.now += after
        self.job.done = done
        self.job._measure()


def test_the_time_left_does_not_jump_about(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, chance = Clock(monkeypatch, 1_000_000_000), random.Random(0)
    done, left = 0, []
    for _ in range(400):  # a minute, at 1 MB/s on average
        done += int(chance.choice([0, 0, 0.5, 0.5, 4]) * 150_000)
        clock.tell(done)
        if clock.job.eta_s is not None:
            left.append(clock.job.eta_s)
    settled = left[100:]
    for before, after in pairwise(settled):
        assert abs(after - before) < 0.03 * before
    assert 0.7 * 940 < settled[-1] < 1.3 * 940


def test_a_lasting_change_of_speed_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 1_000_000_000)
    for tick in range(400):
        clock.tell(tick * 150_000)
    done = clock.job.done
    for tick in range(400):
        clock.tell(done + tick * 15_000)
    assert clock.job.rate == pytest.approx(100_000, rel=0.01)
    assert clock.job.eta_s == pytest.approx((1_000_000_000 - clock.job.done) / 100_000, rel=0.25)


def test_nothing_is_known_while_nothing_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 1_000_000)
    assert (clock.job.rate, clock.job.eta_s) == (None, None)
    clock.tell(500)
    assert (clock.job.rate, clock.job.eta_s) == (None, None)
    clock.tell(900, after=1e-6)  # reports that were held up come all at once, and say nothing of the speed
    assert (clock.job.rate, clock.job.eta_s) == (None, None)
    clock.tell(1_000, after=0.3)
    assert clock.job.rate == pytest.approx(500 / 0.3, rel=0.01)
    assert clock.job.eta_s
    for _ in range(50):
        clock.tell(1_000)
    assert clock.job.rate == 0
    assert clock.job.eta_s is None


@pytest.mark.parametrize("after", [0.0, 0.15, 1e6])
def test_figures_are_never_negative(monkeypatch: pytest.MonkeyPatch, after: float) -> None:
    clock = Clock(monkeypatch, 1_000)
    for done in (0, 900, 100, 0, 2_000, 1_000, 1_000):  # it begins anew, and more comes than was said
        clock.tell(done, after)
        assert clock.job.rate is None or clock.job.rate >= 0
        assert clock.job.eta_s is None or clock.job.eta_s >= 0


def test_a_clock_that_is_set_back(
    hub: Hub, downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In both processes, and by an hour at each look.
    back = "import time, itertools\nhours = itertools.count()\nreal = time.time\n"
    back += "time.time = lambda: real() - 3600 * next(hours)\n"
    back += f"open({str(tmp_path / 'loaded')!r}, 'w').close()\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(back)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    real, hours = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * next(hours))
    seen: list[tuple[float | None, float | None]] = []
    hub.rate = 2 * MEGABYTE
    hub.cuts = [MEGABYTE]
    job = downloads.download("hf:user/repo")
    job.watch(lambda job: seen.append((job.rate, job.eta_s)))
    assert job.wait(60).read_bytes() == FILES[NAME]
    assert (tmp_path / "loaded").exists()
    figures = [figure for pair in seen for figure in pair if figure is not None]
    assert figures
    assert min(figures) >= 0
    assert max(figures) < 3600 * MEGABYTE


def test_a_slow_line_is_told_of_too(hub: Hub, downloads: Downloads) -> None:
    hub.rate = 2_000
    told: list[tuple[float, int]] = []
    job = downloads.download("hf:user/repo")
    job.watch(lambda job: told.append((time.monotonic(), job.done)))
    until(lambda: len({done for _, done in told if done}) >= 12, "a few bytes each time")
    times = [now for now, done in told if done]
    # Five to seven a second; half of that on a machine that is busy.
    assert len(times) >= 2.5 * (times[-1] - times[0])
    assert _TICK <= 0.2


SCRIPT = """
from llama_widgets.library.downloads import download
print(download("hf:user/repo:Q8_0").wait(%s))
"""


def run(arguments: str, stderr: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT % arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True, timeout=90)


@pytest.mark.usefixtures("hub")
def test_a_line_where_it_is_wanted() -> None:
    said = run("progress=True")
    assert said.stdout.strip().endswith("m-Q8_0.gguf")
    assert "m-Q8_0.gguf: done: 100%" in said.stderr
    assert "1.00M/1.00M" in said.stderr
    assert run("").stderr == run("progress=False").stderr == ""


@pytest.mark.usefixtures("hub")
def test_a_line_in_a_terminal() -> None:
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    for arguments, wanted in (("", True), ("progress=False", False)):
        controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        heard: list[bytes] = []
        reader = threading.Thread(target=read_all, args=(controller, heard))
        reader.start()
        run(arguments, stderr=terminal)
        os.close(terminal)
        reader.join()
        assert (b"m-Q8_0.gguf: done: 100%" in b"".join(heard)) == wanted


def read_all(descriptor: int, heard: list[bytes]) -> None:
    try:
        while piece := os.read(descriptor, 4096):
            heard.append(piece)
    except OSError:  # the other end is closed
        os.close(descriptor)


def test_only_the_one_who_waits_writes(
    hub: Hub, downloads: Downloads, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: set[int] = set()
    write = sys.stderr.write

    def spy(text: str) -> int:
        writers.add(threading.get_ident())
        return write(text)

    monkeypatch.setattr(sys.stderr, "write", spy)
    hub.rate = 3 * MEGABYTE
    job = downloads.download("hf:user/repo")
    job.wait(60, progress=True)
    assert writers == {threading.get_ident()}
    out, err = capsys.readouterr()
    assert not out
    assert "MB/s" in err
    assert "left" in err
    assert not [thread for thread in threading.enumerate() if "TMonitor" in type(thread).__name__]


def test_the_line_tells_of_a_failure_too(hub: Hub, downloads: Downloads, capsys: pytest.CaptureFixture[str]) -> None:
    hub.fail(404, times=100, where="/cdn/")
    with pytest.raises(DownloadError):
        downloads.download("hf:user/repo").wait(60, progress=True)
    assert "m-Q4_K_M.gguf: failed" in capsys.readouterr().err
    assert NAME.endswith("m-Q4_K_M.gguf")


def test_no_line_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_widgets.library import progress

    class Shell:
        kernel: object = None

    class IPython:
        @staticmethod
        def get_ipython() -> Shell:
            return Shell()

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    assert progress.is_wanted()  # IPython in a terminal
    Shell.kernel = object()
    assert not progress.is_wanted()
