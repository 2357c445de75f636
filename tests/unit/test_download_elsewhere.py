"""Files that are not on the hub: from any address, without a token, with what their server says of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from llama_widgets.errors import (
    DownloadError,
    GatedModelError,
    HubError,
    ModelNotFoundError,
    NetworkError,
    UnknownReferenceError,
)
from llama_widgets.library.downloads import unfinished
from llama_widgets.library.local import find, models, web_folder
from tests.unit.conftest import FILES, MEGABYTE, NAME, children, partials, until

if TYPE_CHECKING:
    from pathlib import Path

    from llama_widgets.library.downloads import Downloads
    from tests.hub import Hub


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for models that are not of the hub."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "llama-widgets" / "models"


@pytest.fixture
def url(hub: Hub, own: Path) -> str:
    """Return the address of a file on a server that is not the hub."""
    del own  # must be set first
    return f"{hub.cdn}/cdn/{NAME}"


@pytest.fixture
def place(own: Path, url: str) -> Path:
    """Return the folder for what is at that address."""
    place = web_folder(url)
    assert place.parent == own
    return place


def test_into_the_folder_of_its_own(hub: Hub, downloads: Downloads, place: Path, url: str) -> None:
    job = downloads.download(url)
    assert job.name == "m-Q4_K_M.gguf"
    assert job.wait(60) == place / "m-Q4_K_M.gguf"
    assert job.wait().read_bytes() == FILES[NAME]
    assert job.sha256 == hashlib.sha256(FILES[NAME]).hexdigest()
    assert (job.done, job.total) == (3 * MEGABYTE, 3 * MEGABYTE)
    assert [path.name for path in place.iterdir()] == ["m-Q4_K_M.gguf"]
    assert not hub.asked("GET", "/api/")
    sent = hub.sent
    assert downloads.download(url).wait(60) == place / "m-Q4_K_M.gguf"
    assert hub.sent <= sent + 1


def test_no_token_is_sent(
    hub: Hub, downloads: Downloads, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_good")
    hub.cuts = [1, 1_000_000]
    downloads.download(url, token="hf_good").wait(60)
    assert hub.requests
    assert {request.authorization for request in hub.requests} == {None}


def test_into_a_folder_that_is_named(downloads: Downloads, url: str, tmp_path: Path) -> None:
    assert downloads.download(url, directory=tmp_path / "mine").wait(60) == tmp_path / "mine" / "m-Q4_K_M.gguf"
    assert [path.name for path in (tmp_path / "mine").glob("[!.]*")] == ["m-Q4_K_M.gguf"]
    assert downloads.download(url, directory=tmp_path / "mine").wait(60).read_bytes() == FILES[NAME]


def test_two_addresses_never_share_a_file(hub: Hub, downloads: Downloads, url: str, tmp_path: Path) -> None:
    other = url.replace("repo", "other")
    hub.files[NAME.replace("repo", "other")] = content = FILES[NAME][::-1]
    first = downloads.download(url).wait(60)
    with pytest.raises(ModelNotFoundError):
        find(other)
    assert downloads.download(other).wait(60).read_bytes() == content
    assert first.read_bytes() == FILES[NAME]
    assert find(url) == first
    assert find(other).read_bytes() == content
    assert [model.name for model in models() if model.source == "folder"] == ["m", "m"]

    mine = tmp_path / "mine"
    kept = downloads.download(url, directory=mine).wait(60)
    with pytest.raises(DownloadError, match="another file"):
        downloads.download(other, directory=mine).wait(60)
    kept.write_bytes(content)  # of the same size, but not what came from there
    with pytest.raises(DownloadError, match="another file"):
        downloads.download(url, directory=mine).wait(60)
    hub.close()
    with pytest.raises(NetworkError):
        downloads.download(other, directory=mine).wait(60)


def test_pause_and_resume(hub: Hub, downloads: Downloads, url: str, place: Path) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download(url)
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.pause()
    (left,) = until(unfinished, "the end of the process")
    assert (left.reference, left.done, left.directory) == (url, MEGABYTE, str(place))
    hub.hold_at = None
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]
    last = hub.asked("GET", "/cdn/")[-1]
    assert (last.range, last.if_range) == (f"bytes={MEGABYTE}-", f'"cdn-{hub.sha256(NAME)[:16]}"')


def test_another_kernel_goes_on(hub: Hub, downloads: Downloads, url: str) -> None:
    hub.hold_at = MEGABYTE
    first = downloads.download(url)
    until(lambda: first.done == MEGABYTE, "the held byte")
    (child,) = children()
    child.kill()
    until(lambda: first.state == "failed", "the failure")
    downloads._jobs.clear()  # as a new kernel has none
    (job,) = downloads.recover()
    assert (job.state, job.done, job.total, job.name) == ("paused", MEGABYTE, 3 * MEGABYTE, "m-Q4_K_M.gguf")
    hub.hold_at = None
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]


def test_a_new_version_begins_anew_and_says_so(hub: Hub, downloads: Downloads, url: str, own: Path) -> None:
    hub.hold_at = MEGABYTE
    job = downloads.download(url)
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.pause()
    hub.files[NAME] = new = bytes(2 * MEGABYTE)
    hub.hold_at = None
    job.resume()
    assert job.wait(60).read_bytes() == new
    assert "begins anew" in job.note
    assert not partials(own)


def test_a_connection_that_breaks(hub: Hub, downloads: Downloads, url: str) -> None:
    hub.cuts = [1, 1_000_000, 0, 500_000]
    assert downloads.download(url).wait(60).read_bytes() == FILES[NAME]
    assert [request.range for request in hub.asked("GET")] == [
        "bytes=0-0",
        None,
        *("bytes=1000000-",) * 2,
        "bytes=1500000-",
    ]


def test_a_server_without_ranges(hub: Hub, downloads: Downloads, url: str) -> None:
    hub.ranges = False
    hub.cuts = [1, 1_000_000]
    assert downloads.download(url).wait(60).read_bytes() == FILES[NAME]


def test_redirects_are_followed(hub: Hub, downloads: Downloads, url: str) -> None:
    hub.fail(302, where="/elsewhere/m-Q4_K_M.gguf", times=2, Location=url)
    path = downloads.download(f"{hub.cdn}/elsewhere/m-Q4_K_M.gguf").wait(60)
    assert path.read_bytes() == FILES[NAME]


@pytest.mark.parametrize("location", ["file:///dev/zero", "ftp://127.0.0.1/m.gguf", "again.gguf"])
def test_redirects_that_lead_nowhere(hub: Hub, downloads: Downloads, url: str, own: Path, location: str) -> None:
    hub.fail(302, times=1_000, Location=location)
    with pytest.raises(HubError, match="no file can be fetched from") as raised:
        downloads.download(url).wait(60)
    assert "localhost" in raised.value.message
    assert len(hub.requests) < 50
    assert not own.exists() or not partials(own)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (401, GatedModelError, "does not give m-Q4_K_M.gguf to everyone: it answered 401"),
        (403, GatedModelError, "does not give m-Q4_K_M.gguf to everyone: it answered 403"),
        (404, UnknownReferenceError, "has no file m-Q4_K_M.gguf at this address"),
        (410, UnknownReferenceError, "has no file m-Q4_K_M.gguf at this address"),
        (429, HubError, "says 429"),
        (500, HubError, "says 500"),
    ],
)
def test_refusals(hub: Hub, downloads: Downloads, url: str, status: int, error: type[DownloadError], says: str) -> None:
    hub.fail(status, times=1_000)
    with pytest.raises(error, match=says) as raised:
        downloads.download(url).wait(60)
    assert "hub" not in raised.value.message
    assert raised.value.hint


def test_a_page_in_the_place_of_a_file(hub: Hub, downloads: Downloads, url: str) -> None:
    hub.fail(200, times=1_000, Content_Type="text/html; charset=utf-8")
    with pytest.raises(HubError, match="is not a file"):
        downloads.download(url).wait(60)


def test_no_network(hub: Hub, downloads: Downloads, url: str, place: Path) -> None:
    hub.close()
    with pytest.raises(NetworkError, match=r"localhost:[0-9]+ cannot be reached"):
        downloads.download(url).wait(60)
    place.mkdir(parents=True)
    (place / "m-Q4_K_M.gguf").write_bytes(FILES[NAME])
    job = downloads.download(url)  # which is here, and nobody can be asked
    assert job.wait(60) == place / "m-Q4_K_M.gguf"
    assert job.sha256 == hashlib.sha256(FILES[NAME]).hexdigest()


def test_another_file_with_this_name_is_kept(downloads: Downloads, url: str, place: Path) -> None:
    place.mkdir(parents=True)
    (place / "m-Q4_K_M.gguf").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="another file"):
        downloads.download(url).wait(60)
    assert (place / "m-Q4_K_M.gguf").read_bytes() == b"mine"
