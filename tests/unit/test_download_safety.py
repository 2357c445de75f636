"""What a server, or somebody in the same folder, could try: nothing is written or sent but what and where it should."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest

from llama_widgets.errors import DownloadError, HubError
from tests.unit.conftest import FILES, MEGABYTE, NAME, partials, until

if TYPE_CHECKING:
    from pathlib import Path

    from llama_widgets.library.downloads import Downloads
    from tests.hub import Hub

SIZE = len(FILES[NAME])


@pytest.mark.parametrize(
    "name",
    [
        "../../escape.gguf",
        "sub/../../../../../../../../tmp/escape.gguf",
        "/tmp/escape.gguf",
        "C:/escape.gguf",
        "sub\\..\\..\\escape.gguf",
        "nul\0escape.gguf",
        "line\nescape.gguf",
        "x" * 4_995 + ".gguf",
        "x" * 251 + ".gguf",
        "ä" * 126 + ".gguf",
        "sub//escape.gguf",
        "./escape.gguf",
    ],
)
@pytest.mark.parametrize("into", ["cache", "folder"])
def test_a_name_from_the_hub_stays_in_its_folder(
    hub: Hub, downloads: Downloads, tmp_path: Path, name: str, into: str
) -> None:
    hub.files = {f"evil/repo/{name}": FILES[NAME]}
    before = {path for path in tmp_path.rglob("*") if not path.is_dir()}
    job = downloads.download("hf:evil/repo", directory=tmp_path / "a" / "mine" if into == "folder" else None)
    with pytest.raises(DownloadError) as raised:
        job.wait(60)
    assert len(raised.value.message) < 400
    assert not hub.asked("GET", "/cdn/")
    assert {path for path in tmp_path.rglob("*") if not path.is_dir()} == before


@pytest.mark.parametrize("name", ["m.gguf", "sub/folder/m.gguf", "x" * 250 + ".gguf", "mit Leerzeichen und ä.gguf"])
def test_a_name_that_is_only_unusual_is_taken(hub: Hub, downloads: Downloads, tmp_path: Path, name: str) -> None:
    hub.files = {f"user/repo/{name}": FILES[NAME]}
    assert downloads.download("hf:user/repo").wait(60).read_bytes() == FILES[NAME]
    into = downloads.download("hf:user/repo", directory=tmp_path / "mine").wait(60)
    assert into == tmp_path / "mine" / name.rpartition("/")[2]
    assert into.read_bytes() == FILES[NAME]


@pytest.mark.parametrize("suffix", ["", ".json", ".json.new", ".lock"])
def test_a_link_in_the_place_of_what_is_unfinished_is_not_followed(
    hub: Hub, downloads: Downloads, tmp_path: Path, suffix: str
) -> None:
    mine, victim = tmp_path / "mine", tmp_path / "victim"
    mine.mkdir()
    victim.write_bytes(b"precious")
    (mine / f".{hub.sha256(NAME)}.lw-partial{suffix}").symlink_to(victim)
    assert downloads.download("hf:user/repo", directory=mine).wait(60).read_bytes() == FILES[NAME]
    assert victim.read_bytes() == b"precious"
    assert not (mine / "m-Q4_K_M.gguf").is_symlink()


def test_a_link_that_comes_while_it_is_paused_is_not_followed(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    mine, victim = tmp_path / "mine", tmp_path / "victim"
    hub.hold_at = MEGABYTE
    job = downloads.download("hf:user/repo", directory=mine)
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.pause()
    victim.write_bytes(bytes(SIZE))
    (partial,) = partials(mine)
    partial.unlink()
    partial.symlink_to(victim)
    hub.hold_at = None
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]
    assert victim.read_bytes() == bytes(SIZE)


@pytest.mark.parametrize("target", ["victim", "nowhere"])
def test_a_link_in_the_place_of_the_file_is_not_written_through(
    hub: Hub, downloads: Downloads, tmp_path: Path, target: str
) -> None:
    mine, victim = tmp_path / "mine", tmp_path / "victim"
    mine.mkdir()
    victim.write_bytes(b"precious")
    (mine / "m-Q4_K_M.gguf").symlink_to(tmp_path / target)
    job = downloads.download("hf:user/repo", directory=mine)
    if target == "victim":
        with pytest.raises(DownloadError, match="another file"):
            job.wait(60)
        assert not hub.asked("GET", "/cdn/")
    else:
        assert job.wait(60).read_bytes() == FILES[NAME]
        assert not (mine / "m-Q4_K_M.gguf").is_symlink()
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("where", ["/api/", "/resolve/", "/cdn/"])
@pytest.mark.parametrize("scheme", ["file", "ftp", "data"])
def test_a_redirect_to_something_else_than_the_web_is_refused(
    hub: Hub, downloads: Downloads, tmp_path: Path, where: str, scheme: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(SIZE))
    location = {"file": secret.as_uri(), "ftp": f"ftp://127.0.0.1/{secret}", "data": "data:text/plain,hello"}[scheme]
    hub.fail(302, times=1_000, where=where, method="GET", Location=location)
    with pytest.raises(HubError, match="no file can be fetched from"):
        downloads.download("hf:user/repo").wait(60)
    assert len([request for request in hub.asked("GET", where) if request.status == 302]) == 1
    assert not partials(tmp_path)


@pytest.mark.parametrize("where", ["/api/", "/resolve/", "/cdn/"])
def test_a_redirect_in_circles_ends(hub: Hub, downloads: Downloads, tmp_path: Path, where: str) -> None:
    hub.fail(302, times=1_000, where=where, Location=f"{hub.endpoint}{where}again")
    with pytest.raises(DownloadError) as raised:
        downloads.download("hf:user/repo").wait(60)
    assert "redirect" in raised.value.message.lower()
    assert raised.value.hint
    assert len(hub.requests) < 50
    assert not partials(tmp_path)


def test_a_token_is_in_nothing_that_stays_or_is_shown(
    hub: Hub, downloads: Downloads, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.gated["user/repo"] = 401
    hub.hold_at = MEGABYTE
    with caplog.at_level(logging.DEBUG):
        job = downloads.download("hf:user/repo", token="hf_good")
        until(lambda: job.done == MEGABYTE, "the held byte")
        (journal,) = tmp_path.rglob("*.json")
        spoken = [journal.read_text(), repr(job), str(job.to_dict()), repr(vars(job))]
        job.pause()
        hub.tokens = set()
        job.resume()
        with pytest.raises(DownloadError) as raised:
            job.wait(60, progress=True)
    spoken += [repr(raised.value), str(raised.value), job.note, caplog.text, *capfd.readouterr()]
    spoken += [path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size < 10_000]
    assert not [text for text in spoken if "hf_good" in text]
    assert "hf_good" not in str(sys.argv)
