"""Several downloads: as many at once as may be, the others in line, each on its own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from llama_widgets.errors import DownloadError
from tests.unit.conftest import FILES, children, until

if TYPE_CHECKING:
    from llama_widgets.library.downloads import Downloads
    from llama_widgets.library.job import Job
    from tests.hub import Hub

MANY = {f"user/many/m{number}-Q8_0.gguf": random.Random(number).randbytes(200_000) for number in range(10)}


@pytest.fixture
def jobs(hub: Hub, downloads: Downloads) -> list[Job]:
    """Ten downloads, of which those that are at work have come half the way and wait there."""
    hub.files.update(MANY)
    hub.hold_at = 100_000
    jobs = [downloads.download(f"hf:{name}") for name in MANY]
    until(lambda: all(job.done == 100_000 for job in jobs[:3]), "the first three")
    return jobs


def waiting(jobs: list[Job]) -> list[int]:
    return [number for number, job in enumerate(jobs) if job.state == "waiting" and not job.working]


def test_three_at_once_and_the_others_in_line(jobs: list[Job]) -> None:
    assert [job.state for job in jobs] == ["downloading"] * 3 + ["waiting"] * 7
    assert {job.note for job in jobs[3:]} == {"Waits for its turn: 3 downloads are at work."}
    assert waiting(jobs) == [3, 4, 5, 6, 7, 8, 9]
    assert len(children()) == 3


@pytest.mark.parametrize("how", ["pause", "cancel", "failure", "end"])
def test_the_next_begins_when_one_stops(hub: Hub, jobs: list[Job], how: str) -> None:
    if how == "failure":
        until(lambda: len(children()) == 3)
        for child in children():
            child.kill()
        until(lambda: all(job.state == "failed" for job in jobs[:3]), "the failures")
    elif how == "end":
        hub.hold_at = None
        jobs[1].wait(60)
        assert jobs[1].state == "done"
    else:
        getattr(jobs[1], how)()
    until(lambda: jobs[3].working or jobs[3].ended, "the next one")
    assert "turn" not in jobs[3].note
    if how in {"pause", "cancel"}:
        assert waiting(jobs) == [4, 5, 6, 7, 8, 9]
        until(lambda: jobs[3].done == 100_000, "its bytes")


def test_those_in_line_can_be_paused_cancelled_and_resumed(jobs: list[Job], hub: Hub) -> None:
    jobs[4].pause()
    jobs[5].cancel()
    jobs[6].cancel(keep_partial=False)
    assert [job.state for job in jobs[4:7]] == ["paused", "cancelled", "cancelled"]
    assert waiting(jobs) == [3, 7, 8, 9]
    jobs[3].resume()  # which is in line already
    jobs[4].resume()
    jobs[5].resume()
    until(lambda: waiting(jobs) == [3, 4, 5, 7, 8, 9], "them back in line")
    jobs[0].pause()
    until(lambda: waiting(jobs) == [4, 5, 7, 8, 9], "the first in line")
    jobs[1].pause()
    # Who was paused is behind those who were not.
    until(lambda: waiting(jobs) == [4, 5, 8, 9], "the next in line")
    with pytest.raises(DownloadError, match="cancelled"):
        jobs[6].wait()
    hub.hold_at = None
    for number in (2, 3, 4, 5, 7, 8, 9):
        assert jobs[number].wait(60).read_bytes() == hub.files[jobs[number].model.removeprefix("hf:")]


def test_ten_at_once_one_cancelled_nine_right(hub: Hub, downloads: Downloads) -> None:
    downloads.at_once = 10
    hub.files.update(MANY)
    hub.hold_at = 100_000
    jobs = [downloads.download(f"hf:{name}") for name in MANY]
    until(lambda: all(job.done == 100_000 for job in jobs), "half of each")
    jobs[4].cancel()
    hub.hold_at = None
    for number, (name, content) in enumerate(MANY.items()):
        if number != 4:
            assert jobs[number].wait(60).read_bytes() == content
            assert jobs[number].sha256 == hub.sha256(name)
    assert jobs[4].state == "cancelled"


def test_closing_ends_those_in_line_and_none_of_them_begins(downloads: Downloads, jobs: list[Job]) -> None:
    downloads.close()
    assert {job.state for job in jobs} == {"cancelled"}
    assert not children()
    jobs[9].resume()
    assert jobs[9].state == "cancelled"  # and does not wait for a turn that never comes


def test_small_and_large_ones_share_the_line(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 100_000
    downloads.at_once = 4
    names = ["hf:user/repo:Q4_K_M", "hf:user/repo:Q8_0", "hf:user/parts", "hf:user/repo/mmproj-f16.gguf"]
    jobs = [downloads.download(name) for name in names]
    assert downloads.jobs == jobs
    until(lambda: all(job.done for job in jobs), "some bytes of each")
    jobs[1].cancel()
    hub.hold_at = None
    for job in (jobs[0], *jobs[2:]):
        job.wait(60)
    assert [job.state for job in jobs] == ["done", "cancelled", "done", "done"]
    assert jobs[3].sha256 == hub.sha256("user/repo/mmproj-f16.gguf")
    assert jobs[0].wait().read_bytes() == FILES["user/repo/m-Q4_K_M.gguf"]
