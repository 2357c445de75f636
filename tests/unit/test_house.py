"""Deleting models, in a cache that huggingface_hub made and finds in order afterwards."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import HFCacheInfo, hf_hub_download, scan_cache_dir  # noqa: TID253 - it must find no damage
from huggingface_hub.utils import _shared_blobs  # noqa: TID253
from hypothesis import given
from hypothesis import strategies as st

from llama_widgets.errors import DeleteError, ModelNotFoundError
from llama_widgets.library import local, usage
from llama_widgets.library.house import delete, leftovers
from llama_widgets.library.local import find
from tests.hub import COMMIT
from tests.unit.conftest import FILES, NAME, until
from tests.unit.test_library import file, listed, machine

if TYPE_CHECKING:
    from llama_widgets.library.downloads import Downloads
    from tests.hub import Hub

__all__ = ["machine"]  # a fixture of the tests of the library

OTHER = "b" * 40
BIG = "user/parts/big-0000{}-of-00003.gguf"


def fetch(hub: Hub, name: str) -> Path:
    """Let huggingface_hub put a file into the cache."""
    user, repo, path = name.split("/", 2)
    return Path(hf_hub_download(f"{user}/{repo}", path, cache_dir=local.cache_folder(), endpoint=hub.endpoint))


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def scanned() -> list[str]:
    """Return the files in the cache, of which huggingface_hub must have nothing to complain."""
    info = scan_cache_dir(local.cache_folder())
    assert info.warnings == []
    return sorted(file.file_name for repo in info.repos for revision in repo.revisions for file in revision.files)


def revise(link: Path, commit: str, blob: bytes | None = None) -> Path:
    """Add another snapshot of the repository, with the same file or another one."""
    storage = link.parent.parent.parent
    target = link.resolve()
    if blob is not None:
        target = file(storage / "blobs" / commit, len(blob))
    other = storage / "snapshots" / commit / link.name
    other.parent.mkdir(parents=True)
    other.symlink_to(os.path.relpath(target, other.parent))
    return other


def refused(what: Any, words: str, **options: Any) -> None:  # noqa: ANN401
    """Expect a refusal that says what to do, also of the question how much it would free, and nothing changed."""
    home = Path(os.environ["HOME"]).parent
    before = tree(home)
    for dry_run in (True, False):
        with pytest.raises(DeleteError, match=words) as raised:
            delete(what, dry_run=dry_run, **options)
        assert raised.value.hint
    assert tree(home) == before


def test_a_model_of_the_hub_goes_without_a_trace(hub: Hub) -> None:
    link = fetch(hub, NAME)
    usage.note(link)
    before = tree(local.cache_folder())
    (model,) = listed()
    assert delete(model, dry_run=True) == len(FILES[NAME])
    assert tree(local.cache_folder()) == before
    assert listed() == [model]
    assert model.used > 0
    assert delete(model) == len(FILES[NAME])
    assert listed() == []
    assert scanned() == []
    assert not (local.cache_folder() / "models--user--repo").exists()
    assert list((Path(os.environ["HOME"]) / ".local" / "state" / "llama-widgets" / "used").iterdir()) == []
    for text in (model, model.path):
        with pytest.raises(ModelNotFoundError):
            delete(text)


@pytest.mark.parametrize("text", ["hf:user/repo:Q4_K_M", "m", f"hf:{NAME}", "m-Q4_K_M.gguf"])
def test_a_model_is_named_as_for_a_load(hub: Hub, text: str) -> None:
    fetch(hub, NAME)
    fetch(hub, "user/repo/m-Q8_0.gguf")
    assert delete(text) == len(FILES[NAME])
    assert [model.quantisation for model in listed()] == ["Q8_0"]
    assert scanned() == ["m-Q8_0.gguf"]


def test_what_else_the_repository_has_stays(hub: Hub) -> None:
    fetch(hub, "user/repo/README.md")
    fetch(hub, "user/repo/mmproj-f16.gguf")
    delete(fetch(hub, NAME))
    assert scanned() == ["README.md", "mmproj-f16.gguf"]
    assert (local.cache_folder() / "models--user--repo" / "refs" / "main").read_text() == COMMIT


def test_all_parts_go_whichever_is_named(hub: Hub) -> None:
    links = [fetch(hub, BIG.format(part)) for part in (1, 2, 3)]
    assert delete(links[1]) == 600_000
    assert listed() == []
    assert scanned() == []


def test_bytes_stay_while_another_revision_needs_them(hub: Hub) -> None:
    link = fetch(hub, NAME)
    other = revise(link, OTHER)
    usage.note(link)
    assert delete(link) == 0
    assert listed()[0].used > 0
    assert [model.model for model in listed()] == [f"hf:{NAME}"]  # now the only one, so the newest
    assert find(f"hf:{NAME}") == other
    assert scanned() == ["m-Q4_K_M.gguf"]
    assert delete(f"hf:{NAME}") == len(FILES[NAME])
    assert scanned() == []


def test_only_the_named_revision_goes(hub: Hub) -> None:
    link = fetch(hub, NAME)
    old = revise(link, OTHER, b"old weights")
    refs = link.parent.parent.parent / "refs"
    (refs / "refs" / "pr").mkdir(parents=True)
    (refs / "refs" / "pr" / "1").write_text(OTHER)
    missing = refs.parent / ".no_exist" / OTHER / "config.json"
    file(missing, 0)
    assert delete(f"hf:{NAME}@{OTHER}") == len(b"old weights")
    assert not old.parent.exists()
    assert not missing.parent.exists()
    assert tree(refs) == ["main"]
    assert find(f"hf:{NAME}") == link
    assert scanned() == ["m-Q4_K_M.gguf"]


def test_a_file_in_a_folder_of_its_own(hub: Hub) -> None:
    hub.files["user/deep/Q4_K_M/blobs/m.gguf"] = b"GGUF deep"
    link = fetch(hub, "user/deep/Q4_K_M/blobs/m.gguf")
    assert delete(link) == len(b"GGUF deep")
    assert scanned() == []
    assert not link.parents[2].exists()


def test_a_cache_without_links(hub: Hub) -> None:
    link = fetch(hub, NAME)
    link.resolve().replace(link)  # as where the system has no links
    assert delete(link) == len(FILES[NAME])
    assert scanned() == []


def share(link: Path, digest: str = "ab" * 32) -> Path:
    """Let huggingface_hub move a file to the store of all repositories, as it does with what comes by Xet."""
    blob = link.parent / link.readlink()
    size = blob.stat().st_size
    assert _shared_blobs.publish_blob_to_shared_store(
        blob_path=os.path.abspath(blob),  # noqa: PTH100 - as huggingface_hub has it
        xet_hash=digest,
        cache_dir=local.cache_folder(),
        expected_size=size,
    )
    return link.resolve()


def test_files_that_repositories_share(hub: Hub) -> None:
    hub.files["user/copy/c.gguf"] = FILES[NAME]
    link, copy = fetch(hub, NAME), fetch(hub, "user/copy/c.gguf")
    other = revise(link, OTHER)
    bytes_of_both = share(link)
    assert share(copy) == bytes_of_both
    assert [model.model for model in listed()] == ["hf:user/copy/c.gguf"]  # the same file is listed once
    assert [delete(what) for what in (link, other)] == [0, 0]
    assert bytes_of_both.exists()
    assert find("hf:user/copy/c.gguf").read_bytes() == FILES[NAME]
    assert scanned() == ["c.gguf"]
    assert delete(copy, dry_run=True) == len(FILES[NAME])
    assert bytes_of_both.exists()
    assert delete(copy) == len(FILES[NAME])
    assert not bytes_of_both.exists()
    assert scanned() == []


def test_a_shared_file_and_a_huggingface_hub_that_does_not_know_of_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = fetch(hub, NAME)
    shared = share(link)
    wrong = file(link.parents[2] / "refs" / "wrong")
    refused(link, "for damaged")
    wrong.unlink()
    monkeypatch.delattr(HFCacheInfo, "delete_files")
    refused(link, "does not know")
    assert shared.exists()


def test_files_of_the_user(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = machine / "mine" / "deep"
    first = file(folder / "big-00001-of-00002.gguf", 10)
    second = file(folder / "big-00002-of-00002.gguf", 5)
    twice = file(folder / "twice.gguf", 7)
    os.link(twice, machine / "also")
    kept = file(folder / "kept.gguf", 3)
    monkeypatch.setenv(local.FOLDERS, str(machine / "mine"))
    assert delete("big", dry_run=True) == 15
    assert delete(second) == 15
    assert not first.exists()
    assert not second.exists()
    assert delete(twice) == 0  # the bytes have another name
    assert tree(machine / "mine") == ["deep", "deep/kept.gguf"]
    monkeypatch.chdir(folder)
    assert delete(kept.name) == 3


def test_a_file_from_elsewhere_and_one_more_folder(machine: Path) -> None:
    own = file(local.own_folder() / "m.gguf")
    more = file(machine / "more" / "n.gguf")
    (entry,) = [model for model in local.models(machine / "more") if model.name == "n"]
    refused(entry, "not one of the models")
    assert delete(entry, folder=machine / "more") == 10
    assert delete(own) == 10
    assert not more.exists()
    assert not own.exists()


def test_a_repository_that_was_moved_to_another_disk(hub: Hub, machine: Path) -> None:
    link = fetch(hub, NAME)
    storage = link.parent.parent.parent
    shutil.move(storage, machine / "disk")
    storage.symlink_to(machine / "disk")
    assert delete(f"hf:{NAME}") == len(FILES[NAME])
    assert scanned() == []


def test_a_download_of_another_file_goes_on(hub: Hub, downloads: Downloads) -> None:
    link = fetch(hub, "user/repo/m-Q8_0.gguf")
    hub.hold_at = 100_000
    job = downloads.download(f"hf:{NAME}")
    until(lambda: hub.asked("GET", "m-Q4_K_M"), "the bytes of the other file")
    assert delete(link) == len(FILES["user/repo/m-Q8_0.gguf"])
    hub.hold_at = None
    assert job.wait().read_bytes() == FILES[NAME]
    assert scanned() == ["m-Q4_K_M.gguf"]


def test_a_model_that_vanished_meanwhile(hub: Hub) -> None:
    link = fetch(hub, NAME)
    (entry,) = listed()
    link.resolve().unlink()
    with pytest.raises(ModelNotFoundError, match="on this machine") as raised:
        delete(f"hf:{NAME}")
    assert raised.value.hint
    refused(entry, "not one of the models")  # half of it is there, which is not for us to judge
    link.unlink()
    with pytest.raises(ModelNotFoundError, match="any more"):
        delete(entry)


snapshots = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1), min_size=1, max_size=3)


@given(snapshots, st.randoms(use_true_random=False))
def test_bytes_freed_are_those_the_disk_gets_back(content: list[dict[str, int]], random: Any) -> None:  # noqa: ANN401
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_CACHE", folder)
        storage = Path(folder, "models--user--repo")
        for number, names in enumerate(content):
            commit = f"{number:040}"
            for name, blob in names.items():
                file(storage / "blobs" / str(blob), 10**blob)
                link = storage / "snapshots" / commit / f"{name}.gguf"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(f"../../blobs/{blob}")
            file(storage / "refs" / str(number)).write_text(commit)
        while here := [model for model, _ in local.found() if model.source == "cache"]:
            before = {model.path: Path(model.path).read_bytes() for model in here}
            kept = sum(blob.stat().st_size for blob in storage.glob("blobs/*"))
            chosen = random.choice(here)
            expected = delete(chosen, dry_run=True)
            assert delete(chosen) == expected
            assert kept - expected == sum(blob.stat().st_size for blob in storage.glob("blobs/*"))
            del before[chosen.path]
            assert {path: Path(path).read_bytes() for path in before} == before
            scanned()
        assert not storage.exists()


def test_a_hostile_cache_does_no_harm(machine: Path) -> None:
    cache = local.cache_folder()
    link = cache / "models--user--repo" / "snapshots" / OTHER / "m.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(link)
    (cache / "models--user--circle" / "snapshots").mkdir(parents=True)
    (cache / "models--user--circle" / "blobs").symlink_to(cache)
    (cache / "models--user--circle" / "snapshots" / "up").symlink_to(cache)
    (cache / "models--").mkdir()
    (cache / os.fsdecode(b"models--user--\xff")).mkdir()
    file(cache / "models--user--file")
    settings = machine / "home" / ".lmstudio" / "settings.json"
    file(settings).write_text(json.dumps({"downloadsFolder": str(cache)}))
    assert leftovers() == []
    assert listed() == []
