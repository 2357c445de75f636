"""Models that Ollama and LM Studio keep, in folders as those programs make them and as nobody should."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llama_widgets.errors import ModelNotFoundError
from llama_widgets.library import local, others
from llama_widgets.library.local import Model, find, models
from tests.unit.test_library import cached, file, listed, machine

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["machine"]  # a fixture of the tests of the library

HOST = "registry.example"
Manifest = dict[str, Any]


def blob(root: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    (root / "blobs" / f"sha256-{digest}").write_bytes(content)
    return f"sha256:{digest}"


def manifest(root: Path, content: bytes = b"GGUF weights", config: bytes = b'{"file_type": "Q4_K_M"}') -> Manifest:
    return {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": blob(root, config)},
        "layers": [
            {"mediaType": "application/vnd.ollama.image.license", "digest": blob(root, b"Do as you like.")},
            {"mediaType": "application/vnd.ollama.image.model", "digest": blob(root, content), "size": len(content)},
            {"mediaType": "application/vnd.ollama.image.projector", "digest": blob(root, b"GGUF eye")},
        ],
    }


def put(root: Path, name: str, content: object) -> Path:
    path = root / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def ollama(machine: Path) -> Path:
    return machine / "home" / ".ollama" / "models"


def test_models_of_ollama(ollama: Path) -> None:
    content = manifest(ollama)
    put(ollama, f"{HOST}/library/llama3.2/3b", content)
    put(ollama, f"{HOST}/somebody/tuned/latest", manifest(ollama, b"GGUF others", b"[]"))
    path = ollama / "blobs" / content["layers"][1]["digest"].replace(":", "-")
    first, second = listed()
    assert first == Model(
        model=str(path),
        name="llama3.2:3b",
        quantisation="Q4_K_M",
        size=12,
        path=str(path),
        source="ollama",
        added=path.stat().st_mtime,
    )
    assert (second.name, second.quantisation) == ("somebody/tuned:latest", "")
    for text in ("llama3.2:3b", "llama3.2:3b Q4_K_M", first.model):
        assert find(text) == path
    assert find("somebody/tuned:latest") == Path(second.path)  # which could be a repository of the hub
    assert [local.title(Path(model.path)) for model in (first, second)] == [first.name, second.name]
    with pytest.raises(ModelNotFoundError):
        find("llama3.2:70b")


def test_where_ollama_keeps_its_models(machine: Path, ollama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(ollama, f"{HOST}/library/mine/1b", manifest(ollama))
    put(machine / "system", f"{HOST}/library/all/1b", manifest(machine / "system", b"GGUF for all"))
    put(machine / "named", f"{HOST}/library/named/1b", manifest(machine / "named", b"GGUF elsewhere"))
    assert [model.name for model in listed()] == ["all:1b", "mine:1b"]
    monkeypatch.setenv("OLLAMA_MODELS", str(machine / "named"))
    assert [model.name for model in listed()] == ["all:1b", "named:1b"]


def test_two_tags_of_one_file_are_one_model_and_both_find_it(ollama: Path) -> None:
    put(ollama, f"{HOST}/library/m/1b", manifest(ollama))
    put(ollama, f"{HOST}/library/m/latest", manifest(ollama))
    assert len(listed()) == 1
    assert find("m:latest") == find("m:1b")


def _digest(text: object) -> Callable[[Manifest], object]:
    def change(content: Manifest) -> object:
        content["layers"][1]["digest"] = text
        return content

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: "text",
        lambda _: {},
        lambda content: content | {"layers": None},
        lambda content: content | {"layers": [None, 1, [], "x", {}]},
        lambda content: content | {"layers": {"mediaType": ".model"}},
        lambda content: content | {"padding": "x" * 2_000_000},
        _digest(None),
        _digest(7),
        _digest("sha256:../../../../etc/passwd"),
        _digest("sha256:" + "0" * 64),
        _digest("sha256:" + "0" * 5_000),
        _digest(f"sha256:{'a' * 63}\n"),
        _digest("\0"),
    ],
)
def test_a_damaged_manifest_is_passed_over(ollama: Path, change: Callable[[Manifest], object]) -> None:
    put(ollama, f"{HOST}/library/good/1b", manifest(ollama, b"GGUF good"))
    put(ollama, f"{HOST}/library/bad/1b", change(manifest(ollama)))
    assert [model.name for model in listed()] == ["good:1b"]


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"{", b"[" * 200_000, b'{"layers": 1e999}', b"9" * 10_000])
def test_a_manifest_that_is_not_json_is_passed_over(ollama: Path, raw: bytes) -> None:
    put(ollama, f"{HOST}/library/good/1b", manifest(ollama))
    (ollama / "manifests" / HOST / "library" / "good" / "bad").write_bytes(raw)
    assert [model.name for model in listed()] == ["good:1b"]


def test_what_else_may_lie_among_manifests(ollama: Path) -> None:
    good = put(ollama, f"{HOST}/library/good/1b", manifest(ollama)).parent
    os.mkfifo(good / "pipe")  # reading it would wait for ever
    (good / "loop").symlink_to(good / "loop")
    (good / "broken").symlink_to("nowhere")
    (good / "folder").mkdir()
    (good.parent / "circle").symlink_to(ollama / "manifests")
    file(good.parent / ".DS_Store")
    file(ollama / "manifests" / "file")
    (good / "C:\\tag").write_text(json.dumps(manifest(ollama, b"GGUF w")))
    (good / os.fsdecode(b"\xff")).write_text(json.dumps(manifest(ollama, b"GGUF x")))
    (ollama / "manifests" / "again").symlink_to(ollama / "manifests" / HOST)
    assert sorted(name for name, _, _ in others.ollama()) == ["good:1b", "good:C:\\tag"]
    assert [model.name for model in listed()] == ["good:1b", "good:C:\\tag"]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["a.model", f"sha256:{'0' * 64}"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["layers", "config", "digest", "mediaType"]), inner)
    ),
)


@given(json_values, st.binary(max_size=50))
@example({"layers": [{"mediaType": "a.model", "digest": {}}], "config": []}, b"null")
def test_no_manifest_and_no_setting_does_harm(content: object, raw: bytes) -> None:
    folder = Path(os.environ["HOME"])
    root = folder / ".ollama" / "models"
    put(root, "host/user/name/json", content)
    (root / "manifests" / "host" / "user" / "name" / "raw").write_bytes(raw)
    put(root, "host/user/name/config", manifest(root) | {"config": {"digest": blob(root, raw)}})
    (folder / ".lmstudio-home-pointer").write_bytes(raw)
    (folder / ".lmstudio").mkdir(exist_ok=True)
    (folder / ".lmstudio" / "settings.json").write_text(json.dumps({"downloadsFolder": content}))
    assert "user/name:config" in [model.name for model in models()]


def test_models_of_lm_studio(machine: Path) -> None:
    home = machine / "home"
    path = file(home / ".lmstudio" / "models" / "user" / "repo-GGUF" / "m-Q4_K_M.gguf")
    file(path.with_name("mmproj-m-f16.gguf"))
    old = file(home / ".cache" / "lm-studio" / "models" / "user" / "repo" / "old.gguf")
    found = {model.name: model for model in listed()}
    assert list(found) == ["m", "old"]
    assert (found["m"].model, found["m"].quantisation, found["m"].source) == (str(path), "Q4_K_M", "lm-studio")
    assert find("m Q4_K_M") == path
    assert find("old") == old


def test_where_lm_studio_keeps_its_models(machine: Path) -> None:
    home = machine / "home"
    moved = file(machine / "moved" / "models" / "user" / "repo" / "moved.gguf")
    (home / ".lmstudio").mkdir(parents=True)
    (home / ".lmstudio-home-pointer").write_text(f"{machine / 'moved'}\n")
    assert [model.path for model in listed()] == [str(moved)]
    chosen = file(machine / "chosen" / "user" / "repo" / "chosen.gguf")
    (machine / "moved" / "settings.json").write_text(json.dumps({"downloadsFolder": str(machine / "chosen")}))
    assert [model.path for model in listed()] == [str(chosen)]


def test_what_two_programs_share_is_listed_once(machine: Path, ollama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = cached(machine, "user/repo", "m.gguf")
    content = manifest(ollama, b"GGUF shared")
    digest = content["layers"][1]["digest"].replace(":", "-")
    (ollama / "blobs" / digest).unlink()
    os.link(hub.resolve(), ollama / "blobs" / digest)
    put(ollama, f"{HOST}/library/m/1b", content)
    studio = file(machine / "home" / ".lmstudio" / "models" / "user" / "repo" / "s.gguf")
    monkeypatch.setenv(local.FOLDERS, str(studio.parent))
    assert [(model.source, model.name) for model in listed()] == [("cache", "m"), ("lm-studio", "s")]
