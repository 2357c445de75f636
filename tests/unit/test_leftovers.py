"""What other programs left unfinished in the hub's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from llama_widgets.errors import ModelNotFoundError
from llama_widgets.library import local
from llama_widgets.library.house import delete, leftovers
from tests.unit.conftest import NAME, until
from tests.unit.test_house import fetch, refused, scanned
from tests.unit.test_library import file, machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub import Hub

__all__ = ["machine"]  # a fixture of the tests of the library


def orphan(hub: Hub, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Let huggingface_hub begin a download in another process, and return the file it writes to."""
    hub.hold_at = 100_000
    user, repo, path = name.split("/", 2)
    code = "import sys; from huggingface_hub import hf_hub_download; hf_hub_download(sys.argv[1], sys.argv[2])"
    environment = os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code, f"{user}/{repo}", path], env=environment)
    blobs = local.cache_folder() / f"models--{user}--{repo}" / "blobs"
    return process, until(lambda: next(blobs.glob("*.incomplete"), None), "the first bytes")


def test_what_others_left_unfinished(hub: Hub) -> None:
    process, path = orphan(hub, NAME)
    try:
        os.utime(path, (1, 1))
        assert leftovers() == []  # it is locked
    finally:
        process.kill()
        process.wait()
    path.write_bytes(b"a few")
    assert leftovers() == []  # it may be on a file system without locks
    os.utime(path, (1, 1))
    (left,) = leftovers()
    assert (left.path, left.size, left.repository, left.modified) == (str(path), 5, "user/repo", 1)
    assert str(left) == "unfinished file of user/repo, 5 bytes"
    assert delete(left, dry_run=True) == 5
    assert path.exists()
    assert delete(left) == 5
    assert leftovers() == []
    assert not path.parent.parent.exists()  # as nothing else was there
    with pytest.raises(ModelNotFoundError, match="any more"):
        delete(left)
    hub.hold_at = None
    fetch(hub, NAME)
    assert scanned() == ["m-Q4_K_M.gguf"]


def test_an_unfinished_file_that_grows_again(hub: Hub) -> None:
    link = fetch(hub, NAME)
    path = file(link.resolve().with_name("abc.1234.incomplete"))
    os.utime(path, (1, 1))
    (left,) = leftovers()
    path.write_bytes(b"more")
    refused(left, "Somebody writes")
    os.utime(path, (1, 1))
    lock = local.cache_folder() / ".locks" / "models--user--repo" / "abc.lock"
    with FileLock(lock):
        refused(left, "Somebody writes")
    assert delete(left) == 4
    assert scanned() == ["m-Q4_K_M.gguf"]


def test_what_is_not_unfinished_by_others(hub: Hub, machine: Path) -> None:
    blobs = fetch(hub, NAME).resolve().parent
    old = [
        file(blobs / "abc.lw-partial"),
        file(blobs / "incomplete"),
        file(local.cache_folder() / "datasets--user--data" / "blobs" / "a.incomplete"),
        file(machine / "outside" / "a.incomplete"),
    ]
    for path in old:
        os.utime(path, (1, 1))
    (blobs / "link.incomplete").symlink_to(old[-1])
    (blobs / "folder.incomplete").mkdir()
    os.mkfifo(blobs / "pipe.incomplete")
    assert leftovers() == []
