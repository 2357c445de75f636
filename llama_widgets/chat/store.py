"""A file that holds the conversations of a chat as they stand, written whole after each turn."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConversationError
from ..later import Later
from ..library.references import absolute
from . import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_open: weakref.WeakValueDictionary[Path, Store] = weakref.WeakValueDictionary()


class Store:
    """The file of one chat.

    Whoever finds that somebody else has written the file leaves it alone, goes on in another one beside it, and says
    so: nothing of either is lost.

    Parameters
    ----------
    path : str or path
        The file; it need not exist yet.
    state : callable
        Returns what is to be written, as plain data.
    say : callable
        Takes what somebody should know.

    Raises
    ------
    ConversationError
        If the path cannot be a file that is written, or holds something else than a conversation.
    """

    def __init__(
        self, path: str | os.PathLike[str], state: Callable[[], dict[str, Any]], say: Callable[[str], object]
    ) -> None:
        try:
            self.path = absolute(os.fspath(path)).resolve()
        except (TypeError, OSError, RuntimeError, ValueError) as error:
            msg = f"A conversation cannot be kept in {path!r:.200}."
            raise ConversationError(msg, "Give the path of a file, such as store='chat.json'.") from error
        if self.path.is_dir() or not self.path.parent.is_dir():
            why = "is a folder" if self.path.is_dir() else "would be in a folder that does not exist"
            msg = f"{self.path.name!r:.200} {why}."
            raise ConversationError(msg, "Give the path of a file in a folder that exists.")
        self._state = state
        self._say = say
        self._lost_to = ""
        self._write_soon = Later(self._write)
        if (other := _open.get(self.path)) is not None:
            other.hand_over()
        self._seen = _mark(self.path)
        text = archive.load(self.path) if self._seen else ""
        self.saved = _read(text, self.path.name) if text.strip() else None
        _open[self.path] = self

    def changed(self) -> None:
        """See that the file is written; return at once."""
        self._write_soon()

    def flush(self) -> None:
        """Write now what is not yet written."""
        self._write_soon.flush()

    def hand_over(self) -> None:
        """Write the last words: another chat of this process goes on with the file."""
        self.flush()
        self._lost_to = "Another chat goes on with"

    def _write(self) -> None:
        # The text first: it waits for the conversation's lock, and nobody must wait for that while we hold another one.
        text = json.dumps(self._state(), ensure_ascii=False, indent=1)
        try:
            with self._alone():
                if not self._lost_to and _mark(self.path) not in (self._seen, None):
                    self._lost_to = "Something else has written"
                if self._lost_to:
                    self._move_on()
                _replace(self.path, text)
                self._seen = _mark(self.path)
        except OSError as error:
            reason = error.strerror or str(error)
            self._say(f"The conversation could not be kept in {self.path.name}: {reason}. The next turn tries again.")

    def _move_on(self) -> None:
        before, self.path = self.path, _unused(self.path)
        why, self._lost_to = self._lost_to, ""
        _open[self.path] = self
        self._say(f"{why} {before.name}: this conversation is now kept in {self.path.name}.")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others on this machine from looking and writing at the same time."""
        from filelock import FileLock

        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        with FileLock(Path(tempfile.gettempdir()) / f"llama-widgets-{name}.lock", timeout=10):
            yield


def _mark(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written or replaced; ``None`` if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _replace(path: Path, text: str) -> None:
    """Write a file so that at each moment it is there as a whole, the old one or the new one."""
    if path.exists() and not os.access(path, os.W_OK):  # it could be replaced all the same
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("w", encoding="utf-8", newline="\n") as file:
            if path.exists():
                new.chmod(path.stat().st_mode & 0o777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _read(text: str, name: str) -> archive.Saved:
    try:
        return archive.read(json.loads(text))
    except (ValueError, RecursionError) as error:
        why = error.message if isinstance(error, ConversationError) else "It is not JSON."
        msg = f"{name!r:.200} cannot be gone on with, and is left as it is. {why}"
        raise ConversationError(msg, "Name another file, or move this one away.") from error


def _unused(path: Path) -> Path:
    number = 2
    while (other := path.with_stem(f"{path.stem}-{number}")).exists():
        number += 1
    return other
