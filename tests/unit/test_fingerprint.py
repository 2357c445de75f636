"""The hash of a model's file: right, computed once, and again when the file is another one."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from llama_widgets.library import fingerprint, usage
from tests.unit.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

DATA = random.Random(1).randbytes(9_000_000)
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "m-Q4_K_M.gguf"
    path.write_bytes(DATA)
    return path


def test_it_is_computed_once_and_noted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprint.known(str(file)) == ""
    assert fingerprint.of(str(file)) == HASH
    assert fingerprint.known(str(file)) == HASH
    monkeypatch.setattr(fingerprint, "_known", {})  # as in another process
    assert fingerprint.known(str(file)) == HASH
    file.write_bytes(DATA[1:])
    assert fingerprint.known(str(file)) == ""
    assert fingerprint.of(str(file)) == hashlib.sha256(DATA[1:]).hexdigest()


def test_it_is_computed_at_leisure(file: Path) -> None:
    fingerprint.soon(str(file))
    fingerprint.soon(str(file))
    assert until(lambda: fingerprint.known(str(file))) == HASH
    fingerprint.soon(str(file.with_name("none.gguf")))  # nothing is there to be read


def test_a_cache_that_names_files_by_their_hash_is_believed(file: Path) -> None:
    blob = file.rename(file.with_name("a" * 64))
    file.symlink_to(blob)
    assert fingerprint.known(str(file)) == "a" * 64
    blob = blob.rename(blob.with_name("sha256-" + "b" * 64))
    assert fingerprint.known(str(blob)) == "b" * 64


def test_a_model_in_parts_is_all_of_them(file: Path) -> None:
    first, second = (file.with_name(f"m-{n:05}-of-00002.gguf") for n in (1, 2))
    file.rename(first)
    assert fingerprint.of(str(first)) == ""  # a part is missing
    second.write_bytes(b"second")
    both = HASH + hashlib.sha256(b"second").hexdigest()
    assert fingerprint.of(str(first)) == hashlib.sha256(both.encode()).hexdigest()
    second.write_bytes(b"another")
    assert fingerprint.of(str(first)) != hashlib.sha256(both.encode()).hexdigest()


def test_what_cannot_be_read_has_none(file: Path) -> None:
    for path in ("", "no\0path", str(file.parent), str(file.with_name("none.gguf"))):
        assert fingerprint.of(path) == ""


def test_a_note_that_is_none_is_not_believed(file: Path, tmp_path: Path) -> None:
    fingerprint.of(str(file))
    note = tmp_path / "state" / "llama-widgets" / "sha256"
    (only,) = note.iterdir()
    only.write_text("nonsense")
    fingerprint._known.clear()
    assert fingerprint.known(str(file)) == ""
    assert fingerprint.of(str(file)) == HASH
    usage.forget(file.stat())
    assert not list(note.iterdir())
