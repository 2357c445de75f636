"""Which models are in memory, and when each was last loaded.

The time is that of an empty file in a folder of ours, named by what tells one model file from all others. The access
time of the model's own file would not do: most mounts keep it a day behind, a backup moves it, and where many share a
file, it is neither ours to set nor only ours.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Holder(Protocol):
    """Who keeps models in memory."""

    def paths(self) -> Iterable[str]:
        """Return the files that are in memory or on their way there."""


_holders: list[weakref.ref[Holder]] = []


def count_in(holder: Holder) -> None:
    """Count what ``holder`` keeps in memory, for as long as it lives."""
    _holders.append(weakref.ref(holder, _holders.remove))


def in_memory(path: str | os.PathLike[str]) -> bool:
    """Return whether this process holds the model in this file, under whatever name."""
    holders = [reference() for reference in tuple(_holders)]
    for held in [held for holder in holders if holder is not None for held in holder.paths()]:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samefile(held, path):  # noqa: PTH121 - the paths are texts
                return True
    return False


def note(path: str | os.PathLike[str]) -> None:
    """Note that the model in this file is used now. Without a place for notes, nothing happens."""
    with contextlib.suppress(OSError, ValueError):
        record = Path(place(Path(path).stat()))
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()


def used(file: os.stat_result) -> float:
    """Return when the model in this file was last used, in seconds since the epoch; 0 if never."""
    try:
        return os.stat(place(file)).st_mtime  # noqa: PTH116 - asked for each model in a list
    except OSError:
        return 0.0


def forget(file: os.stat_result) -> None:
    """Remove our notes on a file."""
    for kind in ("used", "sha256"):
        with contextlib.suppress(OSError):
            Path(place(file, kind)).unlink()


def place(file: os.stat_result, kind: str = "used") -> str:
    """Return the path of our note of this kind on a file; it is another one once the file has changed."""
    state = os.path.expanduser(os.environ.get("XDG_STATE_HOME") or "~/.local/state")  # noqa: PTH111
    return f"{state}/llama-widgets/{kind}/{file.st_ino:x}-{file.st_size:x}-{file.st_mtime_ns:x}"
