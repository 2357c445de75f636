"""When a model was last used, and whether it is in memory."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import pytest

from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import LlamaWidgetsError, ModelNotFoundError
from llama_widgets.library import local, usage
from llama_widgets.library.local import find, models
from llama_widgets.worker import Worker
from tests.unit.test_library import cached, file, listed, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["machine"]  # a fixture of the tests of the library


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(ScriptedEngine)
    yield worker
    worker.close()


def load(worker: Worker, model: str) -> p.ModelLoaded:
    loaded = worker.run(p.LoadModel(request_id=f"load-{time.monotonic_ns()}", model=model))
    assert isinstance(loaded, p.ModelLoaded)
    return loaded


def test_a_load_is_noted_for_the_file_under_all_its_names(
    machine: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached(machine, "user/repo", "m-Q4_K_M.gguf")
    other = cached(machine, "user/repo", "n.gguf")
    load(worker, "hf:user/repo:Q4_K_M")
    by_path = {model.path: model for model in listed()}
    assert by_path[str(path)].used == pytest.approx(time.time(), abs=3600)  # the unit is what is tested
    assert by_path[str(other)].used == 0
    (machine / "mine").mkdir()
    (machine / "mine" / "link.gguf").symlink_to(path)
    monkeypatch.setenv("HF_HOME", str(machine / "none"))
    monkeypatch.setenv(local.FOLDERS, str(machine / "mine"))
    assert listed()[0].used == by_path[str(path)].used


def test_a_file_that_was_replaced_was_never_used(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(machine / "m.gguf")
    monkeypatch.setenv(local.FOLDERS, str(machine))
    usage.note(path)
    assert listed()[0].used > 0
    path.unlink()
    file(path, 20)
    assert listed()[0].used == 0


def test_a_note_that_cannot_be_made_fails_no_load(machine: Path, worker: Worker) -> None:
    path = file(machine / "m.gguf")
    file(machine / "home" / ".local")  # not a folder, so nothing can be made in it
    assert load(worker, str(path)).path == str(path)
    usage.note("\0")
    usage.note(machine / "nothing")


def test_a_load_that_fails_is_not_noted(machine: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(machine / "m.gguf")
    monkeypatch.setenv(local.FOLDERS, str(machine))

    def fail(*_: object) -> None:
        assert usage.in_memory(path)  # it is on its way there
        raise LlamaWidgetsError("no")

    monkeypatch.setattr(ScriptedEngine, "load", fail)
    with pytest.raises(LlamaWidgetsError):
        load(worker, str(path))
    assert listed()[0].used == 0
    assert not usage.in_memory(path)


def test_what_is_in_memory(machine: Path, worker: Worker) -> None:
    path, other = file(machine / "m.gguf"), file(machine / "n.gguf")
    link = machine / "link.gguf"
    link.symlink_to(path)
    load(worker, str(path))
    assert usage.in_memory(link)
    assert not usage.in_memory(other)
    load(worker, str(other))
    assert usage.in_memory(other)
    assert not usage.in_memory(path)
    worker.run(p.UnloadModel(request_id="unload"))
    assert not usage.in_memory(other)
    assert not usage.in_memory(machine / "nothing")


def test_a_worker_that_is_gone_holds_nothing(machine: Path) -> None:
    class Holder:
        def paths(self) -> list[str]:
            return [str(machine)]

    holder = Holder()
    usage.count_in(holder)
    assert usage.in_memory(machine)
    del holder
    gc.collect()
    assert not usage.in_memory(machine)


def test_a_model_that_vanished_is_told_clearly(machine: Path, worker: Worker) -> None:
    blob = cached(machine, "user/repo", "m-Q4_K_M.gguf").resolve()
    (entry,) = listed()
    blob.unlink()  # by another program, between the look and the click
    assert listed() == []
    with pytest.raises(ModelNotFoundError) as raised:
        load(worker, entry.model)
    assert "not on this machine" in raised.value.message
    assert 'download("hf:user/repo/m-Q4_K_M.gguf")' in raised.value.hint
    for text in (entry.path, entry.name):
        with pytest.raises(ModelNotFoundError):
            load(worker, text)
    assert worker.model_state.loading == ""


def test_a_file_without_a_suffix_is_loaded_under_its_name(machine: Path, demo_model: Path) -> None:
    from tests.unit.test_others import manifest, put

    root = machine / "home" / ".ollama" / "models"
    content = manifest(root)
    put(root, "host/library/smollm2/135m", content)
    blob = root / "blobs" / content["layers"][1]["digest"].replace(":", "-")
    blob.unlink()
    blob.symlink_to(demo_model)
    worker = Worker()
    try:
        loaded = load(worker, "smollm2:135m")
        assert (loaded.path, loaded.name, loaded.architecture) == (str(blob), "smollm2:135m", "llama")
        assert next(model for model in models() if model.source == "demo").used > 0
        assert find("smollm2:135m") == blob
    finally:
        worker.close()
    assert blob.samefile(demo_model)
