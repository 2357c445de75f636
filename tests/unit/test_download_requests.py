"""Downloads that messages ask for: progress, and exactly one end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.errors import ClosedError, ParameterError, UnknownReferenceError
from llama_widgets.protocol import DownloadDone, DownloadModel, Error, Event, Info, Progress
from tests.unit.conftest import FILES, MEGABYTE, NAME, children, until

if TYPE_CHECKING:
    from pathlib import Path

    from llama_widgets.library.downloads import Downloads
    from tests.hub import Hub


FORK = """
import os, threading
from llama_widgets.library.downloads import shared

mine = shared().download("hf:user/repo")
mine.wait(60)
child = os.fork()
if child == 0:
    told = threading.Event()
    shared().watch(lambda job: told.set() if job.ended else None)
    shared().download("hf:user/repo:Q8_0").wait(60)
    os._exit(0 if told.wait(30) else 1)
print(os.waitpid(child, 0)[1], [job.name for job in shared().jobs])
"""


def ends(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, (DownloadDone, Error))]


def test_a_request_ends_once(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    events: list[Event] = []
    job = downloads.start(DownloadModel(request_id="r1", model="hf:user/repo"), events.append)
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.pause()
    told = threading.Event()
    job.watch(lambda _: told.set())
    job.resume()
    assert told.wait(30)  # of the resume, so the news of the pause has been passed on
    assert not ends(events)  # and was not an end
    hub.rate = 2 * MEGABYTE  # a second: there must be more than one event to tell a speed from
    hub.hold_at = None
    until(lambda: ends(events), "the end")
    assert ends(events) == [DownloadDone(request_id="r1", path=str(job.path), sha256=hub.sha256(NAME))]
    progress = [event for event in events if isinstance(event, Progress)]
    assert {event.total for event in progress} == {len(FILES[NAME])}
    assert any(event.rate for event in progress)
    assert {event.request_id for event in events} == {"r1"}
    assert not downloads.abort("r1")


def test_two_requests_for_one_file_end_each(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    first: list[Event] = []
    second: list[Event] = []
    job = downloads.start(DownloadModel(request_id="r1", model="hf:user/repo"), first.append)
    assert downloads.start(DownloadModel(request_id="r2", model="hf:user/repo"), second.append) is job
    hub.hold_at = None
    until(lambda: ends(first) and ends(second), "both ends")
    assert [event.request_id for event in ends(first) + ends(second)] == ["r1", "r2"]


@pytest.mark.parametrize("by", ["request", "job"])
def test_abort(hub: Hub, downloads: Downloads, by: str) -> None:
    hub.hold_at = MEGABYTE
    events: list[Event] = []
    job = downloads.start(DownloadModel(request_id="r1", model="hf:user/repo"), events.append)
    until(lambda: job.done == MEGABYTE, "the held byte")
    target = "r1" if by == "request" else job.id
    assert downloads.job(target) is job
    assert downloads.abort(target)
    until(lambda: ends(events), "the end")
    assert ends(events) == [DownloadDone(request_id="r1", cancelled=True)]
    assert not downloads.abort(target)
    assert not downloads.abort("unknown")


def test_a_request_that_cannot_begin_is_an_error(downloads: Downloads, tmp_path: Path) -> None:
    events: list[Event] = []
    for model in ("nonsense", str(tmp_path)):
        assert downloads.start(DownloadModel(request_id="r1", model=model), events.append).state == "failed"
    assert [getattr(event, "code", None) for event in events] == ["unknown_reference"] * 2
    with pytest.raises(UnknownReferenceError):
        downloads.download("nonsense")


@pytest.mark.parametrize(
    "arguments",
    [
        {"reference": 5},
        {"reference": None},
        {"revision": 5},
        {"token": b"hf_good"},
        {"directory": 5},
    ],
)
def test_arguments_of_the_wrong_type_are_named(downloads: Downloads, arguments: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(arguments))) as raised:
        downloads.download(**{"reference": "hf:user/repo", **arguments})
    assert raised.value.hint
    assert not downloads.jobs


@pytest.mark.parametrize("revision", ["../../escape", "a b"])
def test_a_revision_that_cannot_be_one_is_refused(downloads: Downloads, revision: str) -> None:
    with pytest.raises(UnknownReferenceError):
        downloads.download("hf:user/repo:Q8_0", revision=revision)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.usefixtures("hub")
def test_a_forked_child_has_downloads_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr) == ("0 ['m-Q4_K_M.gguf']\n", "")


def test_closing_ends_all_and_each_request(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 100_000
    events: list[Event] = []
    job = downloads.start(DownloadModel(request_id="r1", model="hf:user/repo"), events.append)
    until(lambda: job.done, "bytes")
    downloads.close()
    assert not children()
    assert job.state == "cancelled"
    assert events[-1] == DownloadDone(request_id="r1", cancelled=True)
    with pytest.raises(ClosedError):
        downloads.download("hf:user/repo")


def test_notes_become_warnings(hub: Hub, downloads: Downloads) -> None:
    downloads.retry_delay = 0.5  # so that the note lasts longer than the way to the listener
    hub.fail(503, times=1, where="/api/models/")
    events: list[Event] = []
    downloads.start(DownloadModel(request_id="r1", model="hf:user/repo:Q8_0"), events.append)
    until(lambda: ends(events), "the end")
    notes = [event for event in events if isinstance(event, Info)]
    assert [(note.level, note.message) for note in notes] == [
        ("warning", "The hub answers 503; trying again in 0.5 s.")
    ]
