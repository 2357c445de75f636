"""Looking into folders with care: one that a user names or another program made may hold anything."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from .filenames import is_model

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEPTH = 5
"""How deep folders are searched, so that a home or root folder named by mistake does no harm."""

_LARGEST = 1_000_000


class File(NamedTuple):
    """A regular file that is not empty."""

    path: str
    stat: os.stat_result


def look(path: str | os.PathLike[str]) -> File | None:
    """Return the file with this path, links followed; ``None`` if there is none or it is empty."""
    try:
        found = os.stat(path)  # noqa: PTH116 - many paths are looked at, and a Path costs more than the look
    except (OSError, ValueError):
        return None
    return File(os.fspath(path), found) if stat.S_ISREG(found.st_mode) and found.st_size else None


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a small file, such as a setting; nothing if it cannot be read or is not small."""
    file = look(path)  # a pipe would be waited for
    if file is None or file.stat.st_size > _LARGEST:
        return b""
    try:
        with open(path, "rb") as opened:  # noqa: PTH123 - as above
            return opened.read(file.stat.st_size)
    except OSError:
        return b""


def entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing if it cannot be read.

    Names that are not UTF-8 are left out: no message to a browser could carry them.
    """
    try:
        os.fspath(folder).encode()
        with os.scandir(folder) as found:
            return [entry for entry in found if _is_text(entry.name)]
    except (OSError, ValueError):
        return []


def folders(parent: str | os.PathLike[str], *, links: bool = True) -> list[os.DirEntry[str]]:
    """Return the folders in a folder, with or without links to folders."""
    return [entry for entry in entries(parent) if _is_folder(entry, links)]


def gguf_files(folder: str | os.PathLike[str], depth: int = _DEPTH) -> Iterator[File]:
    """Yield the files in and below a folder that models are loaded from, each folder once, however links lead to it."""
    level = [os.fspath(folder)]
    seen = {_identity(level[0])}
    for _ in range(depth + 1):
        below = []
        for entry in (entry for parent in level for entry in entries(parent) if not entry.name.startswith(".")):
            if is_model(entry.name):
                if file := look(entry.path):
                    yield file
            elif _is_folder(entry) and (identity := _identity(entry.path)) not in seen:
                seen.add(identity)
                below.append(entry.path)
        level = below


def _is_text(name: str) -> bool:
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False


def _is_folder(entry: os.DirEntry[str], links: bool = True) -> bool:
    try:
        return entry.is_dir(follow_symlinks=links)
    except OSError:  # a link to itself, for one
        return False


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
