"""The process that downloads one model: ``python -m llama_widgets.library.transfer``.

Its order comes as one line of JSON on stdin; what happens goes out as lines of JSON on stdout. It is a process of its
own so that a pause is immediate, the kernel's GIL stays free and a crash costs nothing; and it ends when stdin does, so
it cannot outlive the kernel.

The bytes go into a partial file that is named by the content's etag, beside the blobs of the hub's cache, and stay
there until they are complete. huggingface_hub does not resume since 2.0 (its pull request 4228): it gives addresses,
sizes, etags and tokens, and takes the finished file into its cache.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ChecksumError, DiskFullError, HubError, LlamaWidgetsError, NetworkError
from .child import say
from .local import cached, is_from, readable
from .process import Order

if TYPE_CHECKING:
    from collections.abc import Callable

    from .places import Target

_TICK = 0.15
"""Seconds between two reports, and two journals: five to seven a second, also while nothing arrives."""

_MARGIN, _MARGIN_PART = 512_000_000, 0.05
"""What stays free on the disk: bytes, or a part of it if that is less."""

_PIECE = 1 << 16


class Transfer:
    """One order, from the look at the hub to the verified file.

    Parameters
    ----------
    order : Order
        What to download.
    tell : callable
        Takes each event, a plain dict.
    """

    def __init__(self, order: Order, tell: Callable[[dict[str, Any]], None]) -> None:
        from . import hub, web
        from .patience import Patience

        self._order = order
        self._tell = tell
        self._source = web if order.reference.url else hub
        self._patience = Patience(order.retry_delay, self._note_for_now, self._arrived, order.outage)
        self._targets: list[Target] = []
        self._verifying = False
        self._lasting = ""
        self._passing = False
        self._noted_at: int | None = None
        self._noting = threading.Lock()

    def run(self) -> None:
        """Do it, and tell ``done``; whatever stops it is raised as one of our errors."""
        from . import hub
        from .hashing import sha256

        try:
            path, digest = self._run()
        except Exception as error:
            failure = hub.translate(error, self._order.reference)
            here = self._here() if isinstance(failure, (NetworkError, HubError)) and not self._targets else None
            if here is None:
                raise failure from error
            self._note("The server was not asked; this model is here already.")
            path, digest = here, sha256(here.resolve())
        self._tell({"event": "done", "path": str(path), "sha256": digest})

    def tick(self) -> None:
        """Write down how far it is, and tell so: what has been told is never lost."""
        if self._targets:
            # A full disk has no room for a journal either; the last one is still right.
            with suppress(OSError):
                done = self._done()
                self._take_back(self._arrived())
                operation = "verify" if self._verifying else "download"
                total = sum(target.file.size for target in self._targets)
                self._tell({"event": "progress", "operation": operation, "done": done, "total": total})

    def _run(self) -> tuple[Path, str]:
        from .hashing import Hash, sha256
        from .places import target as place_of

        order = self._order
        files = self._patience.ask(lambda: self._source.lookup(order.reference, order.token))
        targets = [place_of(order, file) for file in files]
        for target in targets:
            target.look()
        self._targets = targets
        self._take_back()
        partials = [[str(target.partial.path), str(target.partial.lock)] for target in targets]
        self._tell({"event": "file", "name": targets[0].name, "partials": partials})
        self.tick()
        with ExitStack() as locks:
            for target in targets:
                self._take(target, locks)
            missing = [target for target in targets if not target.finished]
            locks.callback(self._tidy, missing)
            self._check_room()
            for target in missing:
                target.hash = Hash(target.partial)
                target.hash.start()
                self._fetch(target)
            self.tick()
            self._verifying = True
            hashes = {target: self._verify(target) for target in missing}
            self.tick()
            for target in missing:
                target.finish()
            paths = [self._patience.ask(target.place) for target in targets]
            self._take_back()
        first = targets[0]
        return paths[0], hashes.get(first) or first.file.sha256 or sha256(paths[0])

    def _done(self) -> int:
        return sum(target.hashed if self._verifying else target.done for target in self._targets)

    def _arrived(self) -> int:
        return sum(target.partial.done for target in self._targets)

    def _here(self) -> Path | None:
        """Return the model if it is on this machine, for when nobody can be asked for it."""
        order = self._order
        if order.directory is None:
            return next(iter(cached(order.reference)), None)
        path, url = Path(order.directory, order.reference.file or ""), order.reference.url
        return path if url and path.is_file() and is_from(path, url) else None

    def _take(self, target: Target, locks: ExitStack) -> None:
        """Wait until no other process works on this file, showing how far that one is."""
        from filelock import Timeout
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined] # exported lazily

        if target.finished:
            return
        lock = target.partial.lock
        for folder in target.folders:
            folder.mkdir(parents=True, exist_ok=True)
        if lock.is_symlink():
            lock.unlink()
        waiting = False
        while True:
            try:
                locks.enter_context(WeakFileLock(lock, timeout=_TICK))
            except Timeout:
                if not waiting:
                    self._note_for_now("Another process downloads this file; this one follows.", until_bytes=False)
                waiting = True
                target.partial.look()
            else:
                break
        self._take_back()
        if target.look():  # somebody may have finished it since the first look, also within the first try for the lock
            return
        if target.drop_outdated() | target.partial.begin(target.origin):
            self._note(f"{target.name} begins anew: what was there is of another version, or cannot be resumed.")

    def _check_room(self) -> None:
        """Refuse before the first byte what cannot fit, and end what no longer does."""
        folder = self._targets[0].final.parent
        missing = sum(target.file.size - target.partial.done for target in self._targets if not target.finished)
        disk = shutil.disk_usage(folder)
        margin = min(_MARGIN, int(disk.total * _MARGIN_PART))
        if missing and missing + margin > disk.free:
            msg = (
                f"{self._order.reference} needs {readable(missing)} more, and {readable(disk.free)} are free in "
                f"{folder}, of which {readable(margin)} must stay free."
            )
            raise DiskFullError(msg, "Make room, then resume; or name another directory.")

    def _fetch(self, target: Target) -> None:
        from .segments import Segments

        def ask(headers: dict[str, str]) -> Any:  # noqa: ANN401 - of httpx or httpx2
            return self._source.stream(target.file, self._order.token, headers)

        Segments(
            target.partial,
            target.file,
            ask,
            self._patience,
            note=self._note,
            watch=self._check_room,
            large=self._order.large,
        ).fill()

    def _verify(self, target: Target) -> str:
        """Return the hash of what is on the disk, which must be the promised one."""
        found = target.hash.result() if target.hash else ""
        if target.file.sha256 not in {None, found}:
            target.partial.remove()
            msg = f"The bytes of {target.file.name} are not those the hub promised; they have been removed."
            raise ChecksumError(msg, "Download it again; if it stays, a proxy or the disk changes the bytes.")
        return found

    def _tidy(self, targets: list[Target]) -> None:
        """Leave nothing of a model of which nothing has arrived."""
        with suppress(OSError):
            if not sum(target.partial.save() for target in targets):
                for target in targets:
                    target.partial.remove()

    def _note(self, text: str) -> None:
        with self._noting:
            self._lasting, self._passing = text, False
            self._tell({"event": "note", "message": text})

    def _note_for_now(self, text: str, *, until_bytes: bool = True) -> None:
        """Tell what is so only for a while, which ends when bytes arrive, or is ended by ``_take_back``."""
        with self._noting:
            self._passing, self._noted_at = True, self._arrived() if until_bytes else None
            self._tell({"event": "note", "message": text})

    def _take_back(self, arrived: int | None = None) -> None:
        """Take back what was so for a while; only if bytes have come since, if it is said how many there are."""
        with self._noting:
            if self._passing and (arrived is None or self._noted_at not in {None, arrived}):
                self._passing = False
                self._tell({"event": "note", "message": self._lasting})


def main() -> None:
    """Do what the line on stdin orders, and end; or end at once when stdin does."""
    # An interrupt of a cell goes to all processes of the kernel's group, and is not meant for downloads.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, _PIECE) or os._exit(1)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    order = Order.from_json(line.decode())
    transfer = Transfer(order, lambda event: say(event, order.token))
    threading.Thread(target=_tick, args=(transfer,), daemon=True).start()
    try:
        transfer.run()
    except LlamaWidgetsError as error:
        event = {"event": "error", "code": error.code, "message": error.message, "hint": error.hint}
        say(event, order.token)
    # Threads and connections need no farewell.
    os._exit(0)


def _end_with_stdin() -> None:
    # By os.read, as a thread that waits in a buffered reader would hold its lock.
    while os.read(0, 1):
        pass
    os._exit(0)


def _tick(transfer: Transfer) -> None:
    while True:
        time.sleep(_TICK)
        transfer.tick()


if __name__ == "__main__":
    main()
