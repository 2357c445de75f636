"""An unfinished file: its bytes, and a journal beside it that says which of them are there and what they are of.

The file may have holes, as several connections fill it. The journal is written after the bytes, and as a whole, so that
whatever is killed at whatever moment, the journal never promises a byte that is not there.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

SUFFIX = ".lw-partial"
"""How the names of partial files end. Not ``.incomplete``, which other tools take for orphans and delete."""

_LONGEST = 2**16
"""Bytes of a journal that is read: ours have some hundred."""


@dataclass(frozen=True)
class Origin:
    """What a partial file is of; ``name`` is its path there. The bytes are good only for the same etag and size."""

    reference: str
    name: str
    etag: str
    size: int


@dataclass(eq=False)
class Gap:
    """Bytes that are missing, from ``at`` up to, and without, ``end``; ``taken`` if a connection fills it."""

    at: int
    end: int
    taken: bool = False

    def __len__(self) -> int:
        return self.end - self.at


class Partial:
    """An unfinished file, and its journal.

    Parameters
    ----------
    path : Path
        The file.
    lock : Path
        The file that is locked by the one process that may write.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        self.path = path
        self.lock = lock
        self.restarts = 0
        self._journal = path.with_name(f"{path.name}.json")
        self._next_journal = path.with_name(f"{path.name}.json.new")
        self._origin = Origin("", "", "", 0)
        self._gaps: list[Gap] = []
        self._saved: list[list[int]] | None = None
        self._mutex = threading.Lock()
        self._writing = False

    @classmethod
    def in_cache(cls, storage: Path, etag: str) -> Partial:
        """Return the one beside the blobs of a repository in the hub's cache, where locks have their own folder."""
        path = storage / "blobs" / f"{etag}{SUFFIX}"
        return cls(path, storage.parent / ".locks" / storage.name / f"{path.name}.lock")

    @classmethod
    def in_folder(cls, folder: Path, key: str) -> Partial:
        """Return the one in a folder of the user."""
        path = folder / f".{key}{SUFFIX}"
        return cls(path, path.with_name(f"{path.name}.lock"))

    @property
    def size(self) -> int:
        """Bytes that it will have."""
        return self._origin.size

    @property
    def done(self) -> int:
        """Bytes that are there."""
        with self._mutex:
            return self.size - sum(map(len, self._gaps))

    @property
    def prefix(self) -> int:
        """Bytes that are there from the beginning, without a hole."""
        with self._mutex:
            return min((gap.at for gap in self._gaps if gap), default=self.size)

    def read(self) -> tuple[Origin, list[Gap]] | None:
        """Return what the journal says, if it can be so."""
        try:
            journal, there = self._journal.lstat(), self.path.lstat()
            # Neither a link nor a pipe, which would be waited for.
            if not (stat.S_ISREG(journal.st_mode) and stat.S_ISREG(there.st_mode)) or journal.st_size > _LONGEST:
                return None
            data = json.loads(self._journal.read_bytes())
            gaps = [Gap(at, end) for at, end in data.pop("missing")]
            origin = Origin(**data)
            edges = [edge for gap in gaps for edge in (gap.at, gap.end)]
            texts = (origin.reference, origin.name, origin.etag)
            end = gaps[-1].at if gaps and gaps[-1].end == origin.size else origin.size
            good = (
                all(type(number) is int for number in (*edges, origin.size))
                and all(type(text) is str for text in texts)
                and [0, *edges, origin.size] == sorted([0, *edges, origin.size])
                and there.st_size >= end
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        return (origin, gaps) if good else None

    def look(self) -> Origin | None:
        """See how far it is, also if it is another process that writes."""
        known = self.read()
        if known is None:
            return None
        with self._mutex:
            self._origin, self._gaps = known
        return known[0]

    def begin(self, origin: Origin) -> bool:
        """Take up what is there, if it is of the same bytes; return whether it was not, and is gone.

        Only the process that has the lock may do so.
        """
        known = self.look()
        same = known is not None and (known.etag, known.size) == (origin.etag, origin.size)
        threw_away = not same and os.path.lexists(self.path)
        if not same:
            # Made anew and never followed, as what has this name may be a link that somebody put there.
            self._unlink()
            self.path.open("xb").close()
        with self._mutex:
            self._origin = origin
            self._gaps = self._gaps if same else [Gap(0, origin.size)]
            self._writing = True
            self._save()
        return threw_away

    def open(self) -> FileIO:
        """Open the file for a connection, which seeks and writes for itself."""
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(self.path, flags), "r+b", buffering=0)

    def take(self) -> Gap | None:
        """Return a gap that nobody fills, which is then taken."""
        with self._mutex:
            gap = next((gap for gap in self._gaps if gap and not gap.taken), None)
            if gap:
                gap.taken = True
            return gap

    def largest(self) -> Gap | None:
        """Return the largest gap."""
        with self._mutex:
            return max(self._gaps, key=len, default=None)

    def split(self, gap: Gap, at: int, end: int, least: int) -> Gap | None:
        """Return the rest of a gap from ``at`` on as a new one, taken; not if it is no longer ``least`` bytes away."""
        with self._mutex:
            if gap.end != end or at - gap.at < least:
                return None
            rest = Gap(at, end, taken=True)
            self._gaps.append(rest)
            gap.end = at
            return rest

    def restart(self, gap: Gap) -> None:
        """Forget all bytes; ``gap`` becomes the whole file."""
        with self._mutex:
            self.restarts += 1
            gap.at, gap.end = 0, self.size
            self._gaps = [gap]
            # The journal first: it must never promise what is not there.
            self._save()
            os.truncate(self.path, 0)

    def save(self) -> int:
        """Write the journal, if it has changed; return how many bytes are there by it."""
        with self._mutex:
            return self._save()

    def _save(self) -> int:
        missing = sorted([gap.at, gap.end] for gap in self._gaps if gap)
        if self._writing and missing != self._saved:
            self._next_journal.unlink(missing_ok=True)
            with self._next_journal.open("x", encoding="utf-8") as file:
                json.dump(asdict(self._origin) | {"missing": missing}, file)
            self._next_journal.replace(self._journal)
            self._saved = missing
        return self.size - sum(end - at for at, end in missing)

    def finish(self, final: Path) -> None:
        """Give the complete file its name."""
        with self._mutex:
            self._writing = False
            self.path.replace(final)
            self._unlink()

    def remove(self) -> None:
        """Delete the file and its journal."""
        with self._mutex:
            self._writing = False
            self._unlink()

    def _unlink(self) -> None:
        # The bytes last: without them a journal says nothing, and without a journal they are of no use.
        for path in (self._next_journal, self._journal, self.path):
            path.unlink(missing_ok=True)

    def discard(self, timeout: float = 0) -> bool:
        """Delete both unless a process works on them, for ``timeout`` seconds or more; return whether they are gone."""
        with contextlib.suppress(OSError), self._held(timeout) as held:
            if held:
                self.remove()
            return held
        return False

    def busy(self) -> bool:
        """Return whether a process works on it."""
        with contextlib.suppress(OSError), self._held(0) as held:
            return not held
        return False

    @contextlib.contextmanager
    def _held(self, timeout: float) -> Iterator[bool]:
        """Hold the lock if it can be had, and leave no file of it where there was none."""
        from filelock import FileLock, Timeout

        if not self.lock.exists():
            yield True
            return
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            yield False
            return
        except NotImplementedError:  # a file system without locks
            yield True
            return
        try:
            yield True
        finally:
            lock.release()
