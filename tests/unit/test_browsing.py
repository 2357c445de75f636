"""What a selector answers its views: searches, looks, judgements, deletions. The local hub is behind it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import gguf
import pytest

import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import DeleteError
from llama_widgets.library import downloads, enquiry, house
from llama_widgets.worker import Worker
from tests.engine import tiny
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llama_widgets.wire import Message
    from tests.hub import Hub

REPO = "maker/tiny-GGUF"


class Desk:
    """A selector, and what it sends to its views."""

    def __init__(self, folder: Path) -> None:
        self.said: list[Message] = []
        worker = Worker(ScriptedEngine)
        self.selector = lw.ModelSelector(folder=folder, worker=worker)
        self.selector.__dict__["publish"] = self.said.append
        self._worker = worker

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - as the view sends them
        """Send what a view would, and wait for the answer."""
        request_id = f"{kind}-{len(self.said)}-{threading.get_ident()}"
        self.selector.handle({"type": kind, "request_id": request_id, **fields})
        found = until(lambda: [each for each in self.said if each.request_id == request_id], f"an answer to {kind}")
        return dict(found[0].to_dict())

    def close(self) -> None:
        self.selector.close()
        self._worker.close()


@pytest.fixture
def desk(hub: Hub, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "models"
    folder.mkdir()
    tiny.write(folder / "small-F32.gguf", template="{{ messages }}")
    hub.files[f"{REPO}/tiny-Q8_0.gguf"] = tiny.write(tmp_path / "q.gguf", dtype=gguf.GGMLQuantizationType.Q8_0)
    hub.facts[REPO] = {"downloads": 7, "tags": ["gguf", "license:mit"]}
    desk = Desk(folder)
    yield desk
    desk.close()
    enquiry.shared().close()
    downloads.shared().close()


def test_each_model_is_judged(desk: Desk, tmp_path: Path) -> None:
    path = str(tmp_path / "models/small-F32.gguf")
    fits = until(lambda: desk.selector.fits)
    assert fits[path]["verdict"] == "fits"
    assert fits[path]["n_ctx"] == tiny.N_CTX_TRAIN
    assert desk.selector.free > fits[path]["total"] > 0
    (tmp_path / "models/broken.gguf").write_bytes(b"GGUF" + bytes(100))
    desk.selector.refresh()
    until(lambda: len(desk.selector.models) == len(fits) + 1)
    assert "broken" not in str(until(lambda: desk.selector.fits))


def test_a_search(desk: Desk, hub: Hub) -> None:
    answer = desk.ask("search", text=" tiny ")
    assert [model["model"] for model in answer["models"]] == [f"hf:{REPO}"]
    assert answer["models"][0]["licence"] == "mit"
    assert desk.ask("search", text="")["models"][0]["good_at"]
    hub.fail(500, 9, where="/api/models")
    answer = desk.ask("search", text="other")
    assert (answer["type"], answer["code"]) == ("error", "hub")
    assert desk.selector.error is None  # it is told where it was asked


def test_a_search_that_is_given_up_is_not_answered(desk: Desk, hub: Hub) -> None:
    hub.answering.clear()
    desk.selector.handle({"type": "search", "request_id": "first", "text": "tiny"})
    desk.selector.handle({"type": "abort", "request_id": "x", "target": "first"})
    hub.answering.set()
    assert desk.ask("search", text="tiny")["models"]
    assert not [each for each in desk.said if each.request_id == "first"]


def test_a_look_at_a_model_there_and_here(desk: Desk, tmp_path: Path) -> None:
    there = desk.ask("look", model=f"hf:{REPO}")
    assert there["info"]["architecture"] == "llama"
    assert [file["fit"]["verdict"] for file in there["info"]["files"]] == ["fits"]
    assert [estimate["n_ctx"] for estimate in there["estimates"]] == [tiny.N_CTX_TRAIN]
    here = desk.ask("look", model=str(tmp_path / "models/small-F32.gguf"))
    assert here["info"]["template"] == "{{ messages }}"
    assert here["estimates"][0]["verdict"] == "fits"
    nowhere = desk.ask("look", model="hf:user/none")
    assert (nowhere["type"], nowhere["code"]) == ("error", "unknown_reference")


def test_a_gated_model_opens_with_a_token_that_is_kept_nowhere(desk: Desk, hub: Hub) -> None:
    hub.gated[REPO] = 403
    closed = desk.ask("look", model=f"hf:{REPO}")
    assert closed["refusal"]["code"] == "gated"
    assert "fit" not in closed["info"]["files"][0]
    opened = desk.ask("look", model=f"hf:{REPO}", token="hf_good")
    assert opened["refusal"] is None
    assert opened["estimates"]
    desk.selector.handle({"type": "download_model", "request_id": "d", "model": f"hf:{REPO}", "token": "hf_good"})
    job = until(lambda: [job for job in downloads.shared().jobs if job.model == f"hf:{REPO}"])[0]
    assert job.wait(60).is_file()
    until(lambda: any(model["model"] == f"hf:{REPO}/tiny-Q8_0.gguf" for model in desk.selector.models))
    assert "hf_good" not in str(desk.selector.get_state()) + str([each.to_dict() for each in desk.said])


def test_a_model_is_deleted_after_it_was_said_what_that_frees(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "models/small-F32.gguf"
    size = path.stat().st_size
    answer = desk.ask("delete_model", model=str(path), dry_run=True)
    assert (answer["freed"], answer["dry_run"], path.exists()) == (size, True, True)
    assert desk.ask("delete_model", model=str(path))["freed"] == size
    assert not path.exists()
    until(lambda: str(path) not in [model["model"] for model in desk.selector.models])
    assert desk.ask("delete_model", model=str(path))["type"] == "error"


def test_a_path_that_looks_like_a_reference_is_loaded(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "user/repo"
    folder.mkdir(parents=True)
    tiny.write(folder / "m.gguf")
    monkeypatch.chdir(tmp_path)
    desk.selector.handle({"type": "download_model", "request_id": "d", "model": "user/repo/m.gguf"})
    assert until(lambda: desk.selector.loaded).endswith("m.gguf")
    assert not downloads.shared().jobs


def test_what_cannot_be_deleted_of_the_leftovers_is_told(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = tmp_path / "hf/hub/models--a--b/blobs"
    blobs.mkdir(parents=True)
    for name in "xy":
        (blobs / f"{name * 64}.1234.incomplete").write_bytes(bytes(100))
        os.utime(blobs / f"{name * 64}.1234.incomplete", (1e9, 1e9))
    desk.selector.refresh()
    assert until(lambda: desk.selector.leftovers.get("count")) == 2
    delete = house.delete

    def refuse(leftover: house.Leftover) -> int:
        if "xxx" in leftover.path:
            raise DeleteError("It is in use.", "Close what uses it.")
        return delete(leftover)

    monkeypatch.setattr(house, "delete", refuse)
    answer = desk.ask("delete_leftovers")
    assert (answer["type"], answer["message"]) == ("error", "It is in use.")
    until(lambda: desk.selector.leftovers["count"] == 1)


def test_a_paused_download_of_an_earlier_kernel_can_be_discarded(desk: Desk, hub: Hub, tmp_path: Path) -> None:
    hub.hold_at = 2**16
    first = downloads.Downloads()
    job = first.download("hf:user/repo:Q4_K_M")
    until(lambda: job.done >= 2**16)
    first.close()
    hub.hold_at = None
    second = lw.ModelSelector(folder=tmp_path / "models")
    found = until(lambda: [each for each in second.downloads if each["state"] == "paused"])[0]
    assert found["done"] > 0
    desk.selector.handle({"type": "discard", "request_id": "x", "target": found["id"]})
    until(lambda: not list(tmp_path.rglob("*.lw-partial")), "the end of the partial file")
    second.close()
