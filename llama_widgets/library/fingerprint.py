"""The sha256 of a model's file, which says better than any name what has answered.

Files of several GB take seconds. So each is read once, by whoever asks or at leisure, and what came of that is noted
beside when the file was used, under what tells one file from all others and from what it was before it was changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from pathlib import Path

from . import usage
from .filenames import parts

_NAMED = re.compile(r"(?:sha256-)?([0-9a-f]{64})")
_PIECE = 2**22
_LEISURE = 3
"""So many times as long as it reads, whoever reads at leisure lets others use processor and disk."""

_known: dict[str, str] = {}
_reading: set[str] = set()
_lock = threading.Lock()


def known(path: str) -> str:
    """Return the hash of a model, if that takes no time; "" if it must be computed first."""
    files = _files(path)
    if files is None:
        return ""
    if len(files) == 1 and (named := _NAMED.fullmatch(files[0].name)):
        return named[1]  # the caches of the hub and of Ollama name what they have checked by its hash
    hashes = [_noted(file) for file in files]
    return _joined(hashes) if all(hashes) else ""


def of(path: str) -> str:
    """Return the hash of a model, which may take seconds; "" if its file cannot be read.

    Of a model in parts it is the hash of the hashes of these, one after the other in hexadecimal.
    """
    return known(path) or _computed(path, 0)


def soon(path: str) -> None:
    """See that the hash of a model will be known; return at once."""
    with _lock:
        if path in _reading or known(path):
            return
        _reading.add(path)

    def read() -> None:
        try:
            _computed(path, _LEISURE)
        finally:
            _reading.discard(path)

    threading.Thread(target=read, name="llama-widgets-hash", daemon=True).start()


def _computed(path: str, leisure: float) -> str:
    try:
        return _joined([_noted(file) or _read(file, leisure) for file in _files(path) or ()])
    except OSError:
        return ""


def _files(path: str) -> list[Path] | None:
    """Return the files of a model without links in their paths; ``None`` if one is not there."""
    try:
        return [Path(part).resolve(strict=True) for part in parts(path)] if path else None
    except (OSError, RuntimeError, ValueError):
        return None


def _joined(hashes: list[str]) -> str:
    return hashlib.sha256("".join(hashes).encode()).hexdigest() if len(hashes) > 1 else "".join(hashes)


def _read(file: Path, leisure: float) -> str:
    before = file.stat()
    digest = hashlib.sha256()
    with file.open("rb", buffering=0) as source:
        begun = time.monotonic()
        while piece := source.read(_PIECE):
            digest.update(piece)
            if leisure:
                time.sleep(leisure * (time.monotonic() - begun))
                begun = time.monotonic()
    note = usage.place(before, "sha256")
    if usage.place(file.stat(), "sha256") != note:  # it was written to meanwhile
        return ""
    _known[note] = digest.hexdigest()
    with contextlib.suppress(OSError):
        Path(note).parent.mkdir(parents=True, exist_ok=True)
        Path(note).write_text(_known[note], encoding="ascii")
    return _known[note]


def _noted(file: Path) -> str:
    note = usage.place(file.stat(), "sha256")
    if note not in _known:
        try:
            text = Path(note).read_text(encoding="ascii")
        except (OSError, ValueError):
            return ""
        if not _NAMED.fullmatch(text):
            return ""
        _known[note] = text
    return _known[note]
