"""What can go wrong between the hub and the disk: each time the right bytes, or one error that says what to do."""

from __future__ import annotations

import logging
import os
import socket
import time
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llama_widgets.errors import (
    ChecksumError,
    DownloadError,
    GatedModelError,
    HubError,
    NetworkError,
    ParameterError,
    UnknownReferenceError,
)
from llama_widgets.library.downloads import Downloads
from llama_widgets.library.patience import Patience
from llama_widgets.protocol import DownloadModel, Error, Event
from tests.unit.conftest import FILES, MEGABYTE, NAME, children, partials, until

if TYPE_CHECKING:
    from tests.hub import Hub


def failure(downloads: Downloads, reference: str = "hf:user/repo") -> DownloadError:
    """Return the error with which a download ends, which is the same in an event."""
    events: list[Event] = []
    job = downloads.start(DownloadModel(request_id="r", model=reference), events.append)
    with pytest.raises(DownloadError) as raised:
        job.wait(60)
    error = raised.value
    assert job.state == "failed"
    assert job.to_dict()["error"] == {"code": error.code, "message": error.message, "hint": error.hint}
    end = until(lambda: [event for event in events if isinstance(event, Error)], "the error event")
    assert [(event.code, event.message, event.hint) for event in end] == [(error.code, error.message, error.hint)]
    assert error.message
    assert error.hint
    return error


# Connections


def test_a_connection_that_breaks_again_and_again(hub: Hub, downloads: Downloads) -> None:
    hub.cuts = [100_000, 1, 0, 700_000, 123_456, 500_001]
    job = downloads.download("hf:user/repo")
    assert job.wait(60).read_bytes() == FILES[NAME]
    asked = hub.asked("GET", "/cdn/")
    starts = [0, 100_000, 100_001, 100_001, 800_001, 923_457, 1_423_458]
    assert [request.range for request in asked] == [None, *(f"bytes={start}-" for start in starts[1:])]
    # The hub is asked each time, as the addresses that it redirects to are good for a limited time.
    assert len(hub.asked("GET", "/resolve/")) == len(asked)


def test_a_note_of_a_failure_goes_when_bytes_come(hub: Hub, downloads: Downloads) -> None:
    notes: list[str] = []
    hub.cuts = [500_000]
    hub.hold_at = MEGABYTE
    downloads.retry_delay = 0.5
    job = downloads.download("hf:user/repo")
    job.watch(lambda job: notes.append(job.note))
    until(lambda: "The connection broke; trying again in 0.5 s." in notes, "the note")
    until(lambda: job.done == MEGABYTE and not job.note, "bytes, and the end of the note")
    hub.hold_at = None
    job.wait(60)
    assert not job.note


def test_a_note_of_another_version_stays(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = 400_000
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == 400_000, "the held byte")
    job.pause()
    hub.files[NAME] = bytes(MEGABYTE)
    hub.cuts = [300_000]
    hub.hold_at = None
    job.resume()
    job.wait(60)
    assert "begins anew" in job.note


def test_a_note_of_a_busy_hub_goes_when_it_has_answered(hub: Hub, downloads: Downloads) -> None:
    hub.fail(503, where="/api/")
    hub.hold_at = 0
    downloads.retry_delay = 0.5
    job = downloads.download("hf:user/repo")
    until(lambda: "503" in job.note, "the note")
    until(lambda: job.total and not job.note, "the end of the note")
    hub.hold_at = None
    job.wait(60)


def test_a_server_without_ranges_begins_anew(hub: Hub, downloads: Downloads) -> None:
    hub.ranges = False
    hub.cuts = [500_000]
    job = downloads.download("hf:user/repo")
    assert job.wait(60).read_bytes() == FILES[NAME]
    assert [request.status for request in hub.asked("GET", "/cdn/")] == [200, 200]
    assert "from its beginning" in job.note


def test_a_file_whose_etag_is_not_its_hash(hub: Hub, downloads: Downloads) -> None:
    hub.redirect = False
    hub.cuts = [300_000]
    job = downloads.download("hf:user/repo:Q8_0")
    path = job.wait(60)
    assert path.read_bytes() == FILES["user/repo/m-Q8_0.gguf"]
    assert job.sha256 == hub.sha256("user/repo/m-Q8_0.gguf")
    (_, resumed) = hub.asked("GET", "/resolve/")
    assert (resumed.range, resumed.if_range, resumed.status) == ("bytes=300000-", f'"{path.resolve().name}"', 206)
    again = downloads.download("hf:user/repo:Q8_0")
    again.wait(60)
    assert again.sha256 == job.sha256


def test_a_file_that_changes_meanwhile_begins_anew(
    hub: Hub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    hub.redirect = False
    hub.hold_at = 300_000
    job = downloads.download("hf:user/repo:Q8_0")
    until(lambda: job.done == 300_000, "the held byte")
    hub.files["user/repo/m-Q8_0.gguf"] = new = bytes(MEGABYTE)
    until(lambda: len(hub.asked("GET", "/resolve/")) == 2, "the second connection")
    hub.hold_at = None
    assert job.wait(60).read_bytes() == new
    assert "from its beginning" in job.note
    assert hub.asked("GET", "/resolve/")[1].status == 200


def test_a_connection_that_never_holds(hub: Hub, downloads: Downloads) -> None:
    hub.cuts = [0] * 100
    downloads.outage = 0.2
    error = failure(downloads)
    assert isinstance(error, NetworkError)
    assert 1 < len(hub.asked("GET", "/cdn/")) < 20  # and not for ever


def test_a_network_that_is_gone_is_waited_for(hub: Hub, downloads: Downloads) -> None:
    hub.cuts = [MEGABYTE, *[0] * 7]
    job = downloads.download("hf:user/repo")
    assert job.wait(60).read_bytes() == FILES[NAME]
    assert len(hub.asked("GET", "/cdn/")) == 9


def test_a_pause_ends_a_wait_for_the_network_at_once(hub: Hub, downloads: Downloads) -> None:
    hub.cuts = [MEGABYTE]
    downloads.retry_delay = 50
    job = downloads.download("hf:user/repo")
    until(lambda: "trying again in 50 s" in job.note, "the wait")
    job.pause()
    assert job.state == "paused"
    until(lambda: not children(), "the end of the process")
    job.cancel()
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]


@pytest.mark.parametrize(("outage", "waits"), [(0.0, 0), (1_000.0, 1_000)])
def test_how_long_a_network_is_waited_for(monkeypatch: pytest.MonkeyPatch, outage: float, waits: int) -> None:
    clock, slept = [100.0], [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", sleep)
    patience = Patience(1, lambda _: None, int, outage)
    patience.ask(int)  # it has answered once

    def gone() -> None:
        raise NetworkError("gone", "")

    with pytest.raises(NetworkError):
        patience.ask(gone)
    assert waits <= sum(slept) <= waits + 60
    assert max(slept) <= 60


def test_a_stalled_connection_is_opened_again(hub: Hub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    until(lambda: len(hub.asked("GET", "/cdn/")) > 1, "the second connection")
    hub.hold_at = None
    assert job.wait(60).read_bytes() == FILES[NAME]


def test_no_network(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        error = failure(downloads)
    assert isinstance(error, NetworkError)
    assert "llama_widgets.models()" in error.hint


def test_a_hub_that_does_not_answer(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert isinstance(failure(downloads), NetworkError)


def test_a_name_that_cannot_be_resolved(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://no-such-hub.invalid")
    error = failure(downloads)
    assert isinstance(error, NetworkError)
    assert "cannot be reached" in error.message


def test_a_part_that_the_server_no_longer_has(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.pause()
    hub.fail(416, where="/cdn/")
    hub.hold_at = None
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]
    assert [request.status for request in hub.asked("GET", "/cdn/")] == [200, 416, 200]


def test_a_server_that_has_no_part_of_anything(hub: Hub, downloads: Downloads) -> None:
    hub.fail(416, times=1_000, where="/cdn/")
    error = failure(downloads)
    assert isinstance(error, (HubError, NetworkError))
    assert len(hub.asked("GET", "/cdn/")) <= 7


def test_who_waits_for_another_kernel_takes_over_when_that_is_killed(hub: Hub, downloads: Downloads) -> None:
    other = Downloads(retry_delay=0.01)
    try:
        hub.hold_at = MEGABYTE
        first = downloads.download("hf:user/repo")
        until(lambda: first.done == MEGABYTE, "the held byte")
        (child,) = children()
        second = other.download("hf:user/repo")
        until(lambda: second.done == MEGABYTE and second.note, "the bytes of the first")
        child.kill()
        until(lambda: first.state == "failed", "the failure")
        until(lambda: len(hub.asked("GET", "/cdn/")) == 2, "the second connection")
        until(lambda: not second.note, "the end of the note")
        hub.hold_at = None
        assert second.wait(60).read_bytes() == FILES[NAME]
        assert hub.asked("GET", "/cdn/")[-1].range == f"bytes={MEGABYTE}-"
        first.resume()
        assert first.wait(60) == second.path
        assert len(hub.asked("GET", "/cdn/")) == 2
    finally:
        other.close()


def test_no_network_after_the_beginning(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    downloads.outage = 0.2
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == MEGABYTE, "the held byte")
    hub.close()
    with pytest.raises(NetworkError):
        job.wait(60)
    assert job.done == MEGABYTE  # kept


def test_offline_mode(hub: Hub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    path = downloads.download("hf:user/repo:Q8_0").wait(60)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    error = failure(downloads, "hf:user/repo:Q4_K_M")
    assert isinstance(error, NetworkError)
    assert "HF_HUB_OFFLINE" in error.hint
    # What is here needs no network.
    assert downloads.download("hf:user/repo:Q8_0").wait(60) == path
    assert not hub.requests


def test_what_is_here_needs_no_network(hub: Hub, downloads: Downloads) -> None:
    path = downloads.download("hf:user/repo:Q8_0").wait(60)
    hub.close()
    again = downloads.download("hf:user/repo:Q8_0")
    assert again.wait(60) == path
    assert again.sha256 == hub.sha256("user/repo/m-Q8_0.gguf")


# The hub's refusals


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("hf:nobody/nothing", "knows no model nobody/nothing"),
        ("hf:user/repo/nothing.gguf", "has no file nothing.gguf. It has m-Q4_K_M.gguf, m-Q8_0.gguf."),
        ("hf:user/repo:Q2_K", "has no quantisation Q2_K. It has Q4_K_M, Q8_0."),
        ("hf:user/repo@v9", "has no revision v9"),
        ("hf:user/plain", "has no GGUF file"),
        ("hf:user--x/repo", "not the name of a repository"),
    ],
)
def test_unknown_references(hub: Hub, downloads: Downloads, reference: str, says: str) -> None:
    error = failure(downloads, reference)
    assert isinstance(error, UnknownReferenceError)
    assert says in str(error)
    assert not hub.asked("GET", "/cdn/")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model(hub: Hub, downloads: Downloads, status: int) -> None:
    hub.gated["user/repo"] = status
    error = failure(downloads)
    assert isinstance(error, GatedModelError)
    assert str(status) in error.message
    for step in ("accept its conditions", "make a token", "hf auth login"):
        assert step in error.hint
    job = downloads.download("hf:user/repo", token="hf_good")
    assert job.wait(60).read_bytes() == FILES[NAME]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_without_a_reason(hub: Hub, downloads: Downloads, status: int) -> None:
    hub.fail(status, times=100, where="/resolve/")
    assert isinstance(failure(downloads), GatedModelError)


def test_a_token_goes_to_the_hub_and_nowhere_else(
    hub: Hub, downloads: Downloads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = "hf_good"
    hub.gated["user/repo"] = 401
    hub.hold_at = MEGABYTE
    hub.fail(503, where="/cdn/")
    events: list[Event] = []
    with caplog.at_level(logging.DEBUG):
        job = downloads.start(DownloadModel(request_id="r", model="hf:user/repo", token=token), events.append)
        until(lambda: job.done == MEGABYTE, "the held byte")
        (child,) = children()
        spoken = [repr(job), str(job.to_dict()), repr(vars(job)), " ".join(child.cmdline()), str(child.environ())]
        hub.hold_at = None
        job.wait(60)
    until(lambda: events and events[-1].type == "download_done", "the end")
    spoken += [repr(events), str([event.to_dict() for event in events]), caplog.text]
    spoken += [path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size < 1_000]
    assert not [text for text in spoken if token in text]
    assert {request.authorization for request in hub.asked("GET", "/resolve/")} == {f"Bearer {token}"}
    assert {request.authorization for request in hub.asked("GET", "/cdn/")} == {None}


def test_a_token_that_cannot_be_one_is_not_quoted(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    job = downloads.start(DownloadModel(request_id="r", model="hf:user/repo", token="hf_se\ncret"), events.append)
    assert isinstance(job.error, ParameterError)
    monkeypatch.setenv("HF_TOKEN", "hf_se\x0bcret")  # which is sent without a look at it
    for error in (job.error, failure(downloads)):
        assert "cret" not in repr(error) + str(error) + repr(events)


def test_a_busy_hub_is_asked_again(hub: Hub, downloads: Downloads) -> None:
    hub.fail(429, times=2, where="/api/", Retry_After="0")
    hub.fail(500, where="/resolve/", method="HEAD")
    hub.fail(503, where="/cdn/")
    hub.fail(429, where="/resolve/", method="GET", Retry_After="0")
    assert downloads.download("hf:user/repo").wait(60).read_bytes() == FILES[NAME]


@pytest.mark.parametrize(("status", "where"), [(429, "/api/"), (500, "/api/"), (503, "/resolve/"), (429, "/cdn/")])
def test_a_hub_that_stays_busy(hub: Hub, downloads: Downloads, status: int, where: str) -> None:
    hub.fail(status, times=1_000, where=where)
    error = failure(downloads)
    assert isinstance(error, HubError)
    assert str(status) in error.message
    assert "esume" in error.hint
    assert len([request for request in hub.requests if request.status == status]) == 6


def test_a_hub_that_wants_a_long_wait_is_not_waited_for(hub: Hub, downloads: Downloads) -> None:
    hub.fail(429, times=1_000, Retry_After="3600")
    error = failure(downloads)
    assert isinstance(error, HubError)
    assert "3600 seconds" in error.hint
    assert len(hub.requests) == 1


def test_a_hub_says_how_long_to_wait(hub: Hub, downloads: Downloads) -> None:
    hub.fail(429, where="/api/", Retry_After="1")
    downloads.retry_delay = 50  # which would be too long for this test
    job = downloads.download("hf:user/repo:Q8_0")
    until(lambda: job.note == "The hub answers 429; trying again in 1 s.", "the note")
    assert job.wait(40).exists()


def test_a_wait_that_is_told_as_a_date(hub: Hub, downloads: Downloads) -> None:
    hub.fail(429, where="/cdn/", Retry_After=formatdate(0, usegmt=True))  # which is over
    hub.fail(429, where="/cdn/", Retry_After="soon")
    assert downloads.download("hf:user/repo:Q8_0").wait(60).exists()
    hub.requests.clear()
    hub.fail(429, times=1_000, where="/cdn/", Retry_After=formatdate(2**32, usegmt=True))
    assert isinstance(failure(downloads), HubError)
    assert len(hub.asked("GET", "/cdn/")) == 1


def test_what_is_not_a_hub(hub: Hub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.endpoint}/nowhere")
    assert isinstance(failure(downloads), UnknownReferenceError)


# The bytes


def test_wrong_bytes_are_removed(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.corrupt.add(NAME)
    error = failure(downloads)
    assert isinstance(error, ChecksumError)
    assert "removed" in error.message
    assert not partials(tmp_path)
    assert not list(tmp_path.rglob("*.gguf"))
    hub.corrupt.clear()
    assert downloads.download("hf:user/repo").wait(60).read_bytes() == FILES[NAME]


def test_bytes_after_the_end(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    hub.sizes[NAME] = MEGABYTE
    assert isinstance(failure(downloads), HubError)
    assert not partials(tmp_path)


def test_other_tools_do_not_choke_on_a_partial_file(hub: Hub, downloads: Downloads) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo")
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.pause()
    from huggingface_hub import scan_cache_dir

    scan = scan_cache_dir(Path(os.environ["HF_HOME"]) / "hub")
    assert not scan.warnings
    assert not getattr(scan, "incomplete_files", None)  # since 2.0: what `hf cache prune` would delete
