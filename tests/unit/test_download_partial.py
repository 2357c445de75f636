"""A partial file and its journal: what can be believed is taken up, and the rest begins anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.errors import ChecksumError
from llama_widgets.library.partial import SUFFIX, Gap, Origin, Partial
from tests.unit.conftest import FILES, MEGABYTE, NAME, partials

if TYPE_CHECKING:
    from pathlib import Path

    from llama_widgets.library.downloads import Downloads
    from tests.hub import Hub


def plant(hub: Hub, tmp_path: Path, content: bytes, journal: str | dict[str, Any] | None) -> Path:
    """Leave an unfinished download behind, as another process would have."""
    blobs = tmp_path / "hf" / "hub" / "models--user--repo" / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    path = blobs / f"{hub.sha256(NAME)}{SUFFIX}"
    path.write_bytes(content)
    if isinstance(journal, dict):
        origin = {"reference": "hf:user/repo", "name": "m-Q4_K_M.gguf", "etag": hub.sha256(NAME)}
        journal = json.dumps(origin | {"size": len(FILES[NAME])} | journal)
    if journal is not None:
        path.with_name(f"{path.name}.json").write_text(journal)
    return path


def test_a_partial_file_with_holes_is_filled(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    content = FILES[NAME]
    there = content[:1000] + bytes(4000) + content[5000:2_000_000] + bytes(500_000)
    plant(hub, tmp_path, there, {"missing": [[1000, 5000], [2_000_000, 3_000_000]]})
    assert downloads.download("hf:user/repo").wait(60).read_bytes() == content
    assert [request.range for request in hub.asked("GET", "/cdn/")] == ["bytes=1000-4999", "bytes=2000000-"]
    assert not list(tmp_path.rglob("*.json"))


def test_a_partial_file_that_is_wrong(hub: Hub, downloads: Downloads, tmp_path: Path) -> None:
    plant(hub, tmp_path, bytes(3 * MEGABYTE), {"missing": []})
    job = downloads.download("hf:user/repo")
    with pytest.raises(ChecksumError):
        job.wait(60)
    assert not partials(tmp_path)
    job.resume()
    assert job.wait(60).read_bytes() == FILES[NAME]


@pytest.mark.parametrize(
    "journal",
    [
        None,
        "",
        "{",
        "[]",
        "[" * 30_000,
        '{"missing": 5}',
        {"missing": [[5, 1]]},
        {"missing": [[0, 2_000_000], [1_000_000, 3_000_000]]},
        {"missing": [[1, 4_000_000]]},
        {"missing": [[-1, 3_000_000]]},
        {"missing": [[0.5, 3_000_000]]},
        {"missing": [["0", "3"]]},
        {"missing": []},  # but the file is shorter
        {"missing": [[2, 3]], "size": None},
        " " * 100_000,
        {"missing": [[2, 3]], "etag": 7},
        {"missing": [[2, 3]], "more": "than it should say"},
        {"missing": [[500, 3_000_000]], "etag": "other"},
        {"missing": [[500, 4_000_000]], "size": 4_000_000},
    ],
)
def test_a_journal_that_cannot_be_believed(
    hub: Hub, downloads: Downloads, tmp_path: Path, journal: str | dict[str, Any] | None
) -> None:
    plant(hub, tmp_path, bytes(1000), journal)
    job = downloads.download("hf:user/repo")
    assert job.wait(60).read_bytes() == FILES[NAME]
    assert "begins anew" in job.note
    assert [request.range for request in hub.asked("GET", "/cdn/")] == [None]


ORIGIN = Origin("hf:user/repo", "m.gguf", "e", 1_000)


@pytest.fixture
def partial(tmp_path: Path) -> Partial:
    partial = Partial.in_folder(tmp_path, "e")
    assert not partial.begin(ORIGIN)
    return partial


def again(partial: Partial) -> list[tuple[int, int]]:
    """Return what another process takes for missing."""
    known = Partial(partial.path, partial.lock).read()
    assert known is not None
    assert known[0] == ORIGIN
    return [(gap.at, gap.end) for gap in known[1]]


def write(partial: Partial, gap: Gap, size: int) -> None:
    with partial.open() as file:
        file.seek(gap.at)
        file.write(b"x" * size)
    gap.at += size


def test_a_journal_is_right_at_every_step(partial: Partial) -> None:
    first = partial.take()
    assert first is not None
    assert again(partial) == [(0, 1_000)]
    write(partial, first, 100)
    assert again(partial) == [(0, 1_000)]  # not yet written down
    assert (partial.save(), partial.done, partial.prefix) == (100, 100, 100)
    assert again(partial) == [(100, 1_000)]
    second = partial.split(first, 500, 1_000, 8)
    assert second is not None
    write(partial, second, 200)
    assert (partial.save(), partial.prefix) == (300, 100)
    assert again(partial) == [(100, 500), (700, 1_000)]
    write(partial, first, 400)
    assert (partial.save(), partial.prefix) == (700, 700)
    assert again(partial) == [(700, 1_000)]
    write(partial, second, 300)
    assert partial.save() == 1_000
    assert again(partial) == []


def test_a_gap_is_not_split_where_its_end_or_its_connection_has_come_near(partial: Partial) -> None:
    gap = partial.take()
    assert gap is not None
    assert partial.take() is None
    assert partial.split(gap, 500, 900, 8) is None
    write(partial, gap, 495)
    assert partial.split(gap, 500, 1_000, 8) is None
    assert partial.largest() is gap
    assert len(gap) == 505


def test_a_restart_promises_nothing(partial: Partial) -> None:
    gap = partial.take()
    assert gap is not None
    write(partial, gap, 600)
    partial.save()
    partial.restart(gap)
    assert again(partial) == [(0, 1_000)]
    assert partial.path.stat().st_size == 0
    assert (partial.done, partial.restarts) == (0, 1)


def test_nothing_is_written_down_after_the_end(partial: Partial, tmp_path: Path) -> None:
    gap = partial.take()
    assert gap is not None
    write(partial, gap, 1_000)
    partial.finish(tmp_path / "m.gguf")
    partial.save()
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
