"""What models() sees of folders that change, and of folders that nobody should have."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets.library import local
from llama_widgets.library.files import gguf_files
from llama_widgets.library.local import find, models
from tests.unit.test_library import COMMIT, OTHER, cached, file, listed, machine

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["machine"]  # a fixture of the tests of the library


@pytest.fixture
def folder(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's."""
    folder = machine / "models"
    folder.mkdir()
    monkeypatch.setenv(local.FOLDERS, str(folder))
    return folder


def test_every_change_in_a_folder_is_seen(folder: Path) -> None:
    assert listed() == []
    path = file(folder / "deep" / "a.gguf", 10)
    assert [(model.name, model.size) for model in listed()] == [("a", 10)]
    times = path.stat(), path.parent.stat()
    path.write_bytes(b"replaced")  # within the same moment, and with the times of before
    os.utime(path, ns=(times[0].st_atime_ns, times[0].st_mtime_ns))
    os.utime(path.parent, ns=(times[1].st_atime_ns, times[1].st_mtime_ns))
    assert [(model.name, model.size) for model in listed()] == [("a", 8)]
    new = file(folder / "deep" / "b.gguf")
    os.utime(path.parent, ns=(times[1].st_atime_ns, times[1].st_mtime_ns))
    assert [model.name for model in listed()] == ["a", "b"]
    path.rename(path.with_name("c.gguf"))
    assert [model.name for model in listed()] == ["b", "c"]
    new.unlink()
    assert [model.name for model in listed()] == ["c"]
    shutil.rmtree(folder)
    assert listed() == []


def test_every_change_in_the_cache_is_seen(machine: Path) -> None:
    path = cached(machine, "user/repo", "m.gguf")
    assert [model.size for model in listed()] == [10]
    blob = path.resolve()
    blob.write_bytes(b"G" * 20)
    assert [model.size for model in listed()] == [20]
    blob.rename(blob.with_name("away"))
    assert listed() == []
    blob.with_name("away").rename(blob)
    assert [model.size for model in listed()] == [20]
    new = cached(machine, "user/repo", "m.gguf", commit=OTHER)
    newest, older = "hf:user/repo/m.gguf", f"hf:user/repo/m.gguf@{COMMIT}"
    assert {model.model: model.path for model in listed()} == {newest: str(new), older: str(path)}
    (new.parent.parent.parent / "refs" / "main").write_text(COMMIT)
    assert {model.model: model.path for model in listed()} == {
        newest: str(path),
        f"hf:user/repo/m.gguf@{OTHER}": str(new),
    }
    shutil.rmtree(machine / "hf")
    assert listed() == []


def test_odd_things_hide_nothing(folder: Path) -> None:
    good = file(folder / "good.gguf")
    (folder / "a-loop").symlink_to(folder / "a-loop")
    (folder / "loop.gguf").symlink_to(folder / "loop.gguf")
    (folder / "broken.gguf").symlink_to("nowhere")
    (folder / "folder.gguf").mkdir()
    os.mkfifo(folder / "pipe.gguf")
    (folder / "device.gguf").symlink_to("/dev/zero")
    for at in ("one", "two"):  # circles by way of each other
        (folder / at).mkdir()
        (folder / at / "up").symlink_to(folder)
    (folder / "one" / "two").symlink_to(folder / "two")
    (folder / "two" / "one").symlink_to(folder / "one")
    assert [model.path for model in listed()] == [str(good)]
    assert find(str(folder)) == good  # the only one, however many ways lead to it


def test_a_maze_of_links_is_walked_once(folder: Path) -> None:
    for number in range(30):
        (folder / f"room-{number}").mkdir()
        for other in range(30):
            (folder / f"room-{number}" / f"door-{other}").symlink_to(folder / f"room-{other}")
    file(folder / "room-7" / "m.gguf")
    assert len(list(gguf_files(folder))) == 1  # and not 30 ** 5 ways to it


def test_how_deep_it_looks(folder: Path) -> None:
    file(folder.joinpath(*"12345") / "deep.gguf")
    file(folder.joinpath(*"123456") / "deeper.gguf")
    assert [model.name for model in listed()] == ["deep"]


def test_names_that_are_not_text(folder: Path) -> None:
    odd = os.fsencode(folder) + b"/\xff.gguf"
    with open(odd, "wb") as opened:  # noqa: PTH123 - a Path takes no bytes
        opened.write(b"GGUF")
    file(folder / os.fsdecode(b"folder-\xff") / "m.gguf")
    good = file(folder / "größe-模型.gguf")
    assert [model.path for model in listed()] == [str(good)]  # no message could carry the others
    assert find(os.fsdecode(odd)).read_bytes() == b"GGUF"  # but they can be named
    assert models(folder / os.fsdecode(b"folder-\xff")) == models()


@pytest.mark.parametrize(
    "name", ["C:\\models\\m.gguf", "CON.gguf", "m .gguf", "a:b|c?.gguf", "\n.gguf", "x" * 250 + ".gguf"]
)
def test_names_that_another_system_would_not_take(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = file(folder / name)
    assert [model.path for model in listed()] == [str(path)]
    assert find(str(path)) == path
    monkeypatch.chdir(folder)
    assert find(f"./{name}") == path


def test_names_longer_than_any_path(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (local.FOLDERS, "OLLAMA_MODELS", "XDG_DATA_HOME", "XDG_STATE_HOME", "HF_HOME", "HOME"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "x" * 5_000)
            assert listed() == []
    cached(machine, "user/repo", "m.gguf", ref=None)
    ref = file(machine / "hf" / "hub" / "models--user--repo" / "refs" / "main")
    for content in (b"x" * 5_000, b"\xff", b"\0", b"../../..", b"x" * 2_000_000):
        ref.write_bytes(content)
        assert [model.model for model in listed()] == ["hf:user/repo/m.gguf"]
        with pytest.raises(FileNotFoundError):
            find("hf:user/repo@main")


def test_a_folder_that_cannot_be_read_hides_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(folder / "closed" / "m.gguf")
    good = file(folder / "open" / "m.gguf")
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # as root, who runs many containers, may read every folder
    assert [model.path for model in listed()] == [str(good)]


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(stems=st.sets(names, max_size=6))
def test_whatever_a_file_is_called_it_can_be_found(tmp_path_factory: pytest.TempPathFactory, stems: set[str]) -> None:
    folder = tmp_path_factory.mktemp("named")
    for stem in stems:
        file(folder / f"{stem}.gguf")
    for model in models(folder):
        assert find(model.path).samefile(model.path)
        assert model.name
        assert str(model).encode()
