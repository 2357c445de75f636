"""Several connections for one file: as many as make it faster, and the right bytes whatever becomes of them."""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.errors import HubError, NetworkError
from llama_widgets.library.downloads import Downloads
from llama_widgets.library.partial import Origin, Partial
from tests.hub import Hub
from tests.unit.conftest import MEGABYTE, children, partials, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hub import Request

LARGE = "user/large/m-Q4_K_M.gguf"
CONTENT = random.Random(6).randbytes(9 * MEGABYTE)


@pytest.fixture
def large(hub: Hub) -> Hub:
    hub.files[LARGE] = CONTENT
    return hub


@pytest.fixture
def eager(large: Hub) -> Iterator[Downloads]:
    """Downloads that take 2 MB for a large file."""
    del large  # must be there first
    downloads = Downloads(retry_delay=0.01, large=2 * MEGABYTE)
    yield downloads
    downloads.close()
    until(lambda: not children(), "the end of all child processes")


def starts(hub: Hub) -> list[int]:
    asked: list[Request] = hub.asked("GET", "/cdn/")
    return [int(found[1]) if (found := re.match(r"bytes=(\d+)-", request.range or "")) else 0 for request in asked]


def test_connections_that_help_are_added_up_to_four(large: Hub, eager: Downloads) -> None:
    large.rate = MEGABYTE
    job = eager.download("hf:user/large")
    assert job.wait(90).read_bytes() == CONTENT
    assert job.sha256 == large.sha256(LARGE)
    assert len(starts(large)) >= 3


def test_there_are_never_more_than_four(large: Hub, tmp_path: Path) -> None:
    from llama_widgets.library import hub
    from llama_widgets.library.patience import Patience
    from llama_widgets.library.segments import Segments
    from llama_widgets.library.web import WebFile

    large.rate = MEGABYTE / 2
    file = WebFile(f"{large.cdn}/cdn/{LARGE}", "m.gguf", "e", len(CONTENT), None)
    now: list[object] = []
    counts: list[int] = []

    @contextmanager
    def ask(headers: dict[str, str]) -> Iterator[Any]:
        with hub.opened(file.url, headers) as response:
            now.append(response)
            counts.append(len(now))
            yield response
            now.remove(response)

    partial = Partial.in_folder(tmp_path, "e")
    partial.begin(Origin(file.url, file.name, file.etag, file.size))
    patience = Patience(0.01, lambda _: None, lambda: partial.done)
    looks: list[int] = []
    Segments(
        partial,
        file,
        ask,
        patience,
        note=lambda _: None,
        watch=lambda: looks.append(partial.save()),
        large=2 * MEGABYTE,
    ).fill()
    assert partial.path.read_bytes() == CONTENT
    assert max(counts) in {3, 4}
    assert looks == sorted(looks)


def test_connections_that_do_not_help_are_not_added(large: Hub, eager: Downloads) -> None:
    large.line = 1.5 * MEGABYTE
    assert eager.download("hf:user/large").wait(90).read_bytes() == CONTENT
    assert large.most_at_once in {2, 3}  # the server may see the end of one after the beginning of the next


def test_a_small_file_has_one(large: Hub, downloads: Downloads) -> None:
    large.rate = 4 * MEGABYTE
    assert downloads.download("hf:user/large").wait(90).read_bytes() == CONTENT
    assert starts(large) == [0]


def test_a_server_without_ranges_has_one(large: Hub, eager: Downloads) -> None:
    large.ranges = False
    large.rate = 3 * MEGABYTE
    job = eager.download("hf:user/large")
    assert job.wait(90).read_bytes() == CONTENT
    # The second connection was an offer that the server did not take; the first one went on.
    assert [request.status for request in large.asked("GET", "/cdn/")] == [200, 200]
    assert not job.note


@pytest.mark.parametrize("status", [403, 416, 429, 500, 503])
def test_a_server_that_refuses_a_second_connection(large: Hub, eager: Downloads, status: int) -> None:
    large.rate = 3 * MEGABYTE
    job = eager.download("hf:user/large")
    until(lambda: job.done, "the first bytes")
    large.fail(status, times=1_000, where="/cdn/")
    assert job.wait(90).read_bytes() == CONTENT
    assert starts(large)[1:]
    assert not job.note


def test_connections_that_break_are_mended_alone(large: Hub, eager: Downloads) -> None:
    large.rate = MEGABYTE
    large.cuts = [2_300_000, 400_000, 0, 700_000, 1, 100_000, 300_000]
    job = eager.download("hf:user/large")
    assert job.wait(90).read_bytes() == CONTENT
    assert not large.cuts
    assert large.most_at_once >= 2


def test_a_server_that_loses_its_ranges_meanwhile(large: Hub, eager: Downloads) -> None:
    large.rate = MEGABYTE
    job = eager.download("hf:user/large")
    until(lambda: large.most_at_once >= 2, "a second connection")
    large.ranges = False
    large.rate = 10 * MEGABYTE
    large.drop()
    assert job.wait(90).read_bytes() == CONTENT
    assert "from its beginning" in job.note


def test_killed_with_several_connections_and_resumed(large: Hub, eager: Downloads, tmp_path: Path) -> None:
    large.rate = MEGABYTE
    job = eager.download("hf:user/large")
    until(lambda: large.most_at_once >= 2, "a second connection")
    done = job.done
    until(lambda: job.done > done + 300_000, "some bytes of both")
    (child,) = children()
    child.kill()
    until(lambda: job.state == "failed", "the failure")
    done = job.done
    assert len(partials(tmp_path)) == 1
    large.rate = None
    job.resume()
    until(lambda: job.total and job.done >= done, "the bytes that were there")
    assert job.wait(90).read_bytes() == CONTENT
    assert large.sent < len(CONTENT) + 2 * MEGABYTE  # most of it was not sent again


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(large: Hub, eager: Downloads, seed: int) -> None:
    chance = random.Random(seed)
    large.rate = 2 * MEGABYTE
    job = eager.download("hf:user/large")
    for _ in range(4):
        goal = job.done + chance.randint(1, 2_000_000)
        until(lambda goal=goal: job.done >= goal or job.ended, "some more bytes")  # type: ignore[misc]
        for child in children():
            child.kill()
        until(lambda: job.state in {"failed", "done"}, "the failure")
        job.resume()
    large.rate = None
    assert job.wait(90).read_bytes() == CONTENT


@pytest.mark.parametrize("seed", range(3))
def test_cut_at_ten_places(large: Hub, downloads: Downloads, seed: int) -> None:
    chance = random.Random(seed)
    large.cuts = [chance.randint(1, MEGABYTE) for _ in range(10)]
    assert downloads.download("hf:user/large").wait(90).read_bytes() == CONTENT
    assert not large.cuts
    assert len(starts(large)) == 11
    assert large.sent == len(CONTENT)  # no byte twice


@pytest.mark.parametrize("announced", [8 * MEGABYTE, 10 * MEGABYTE])
def test_a_file_of_another_length(large: Hub, eager: Downloads, announced: int, tmp_path: Path) -> None:
    large.sizes[LARGE] = announced
    job = eager.download("hf:user/large")
    with pytest.raises(HubError, match="something else"):
        job.wait(90)
    assert not partials(tmp_path)


def test_another_part_than_was_asked_for(large: Hub, downloads: Downloads) -> None:
    large.hold_at = MEGABYTE
    job = downloads.download("hf:user/large")
    until(lambda: job.done == MEGABYTE, "the held byte")
    job.pause()
    large.shift = 5
    large.hold_at = None
    job.resume()
    with pytest.raises(HubError, match="something else"):
        job.wait(90)
    large.shift = 0
    job.resume()
    assert job.wait(90).read_bytes() == CONTENT


def test_the_last_connection_says_why(large: Hub, eager: Downloads) -> None:
    large.rate = MEGABYTE
    eager.outage = 0.2
    job = eager.download("hf:user/large")
    until(lambda: large.most_at_once >= 2, "a second connection")
    large.close()
    with pytest.raises(NetworkError):
        job.wait(90)
    done = job.done
    assert done
    port = int(large.endpoint.rpartition(":")[2])
    with Hub(large.files, port=port) as again:  # the server is back
        job.resume()
        assert job.wait(90).read_bytes() == CONTENT
        assert again.sent <= len(CONTENT) - done


def test_a_server_that_is_started_again_meanwhile(large: Hub, downloads: Downloads) -> None:
    downloads.retry_delay = 0.5
    large.hold_at = 4 * MEGABYTE
    job = downloads.download("hf:user/large")
    until(lambda: job.done == large.hold_at, "the held byte")
    port = int(large.endpoint.rpartition(":")[2])
    large.close()
    with Hub(large.files, port=port) as again:
        assert job.wait(90).read_bytes() == CONTENT
        assert again.sent == 5 * MEGABYTE
