"""The process that downloads one model: ``python -m llama_widgets.library.transfer``.

Its order comes as one line of JSON on stdin; what happens goes out as lines of JSON on stdout. It is a process of its
own so that a pause is immediate, the kernel's GIL stays free and a crash costs nothing; and it ends when stdin does, so
it cannot outlive the kernel.

The bytes go into a partial file that is named by the content's etag, beside the blobs of the hub's cache, and stay
there until they are complete. huggingface_hub does not resume since 2.0 (its pull request 4228): it gives addresses,
sizes, etags and tokens, and takes the finished file into its cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ChecksumError, DiskFullError, DownloadError, HubError, LlamaWidgetsError, NetworkError
from .local import cached, readable
from .process import Order

if TYPE_CHECKING:
    from collections.abc import Callable

    from .hub import RemoteFile

T = TypeVar("T")

PARTIAL = ".lw-partial"
"""How the names of partial files end. Not ``.incomplete``, which other tools take for orphans and delete."""

_TICK = 0.15
"""Seconds between two reports: five to seven a second, also while nothing arrives."""

_FAILURES_IN_A_ROW = 5
_FAILURES = 50
_LONGEST_WAIT = 60.0
_PIECE = 1 << 20


@dataclass
class _Target:
    """One file of the model, and where its bytes go."""

    file: RemoteFile
    partial: Path
    lock: Path
    final: Path
    finished: bool = False
    done: int = 0


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
        self._order = order
        self._tell = tell
        self._targets: list[_Target] = []
        self._operation = "download"
        self._answered = False
        self._failures = 0
        self._failures_in_all = 0

    def run(self) -> None:
        """Do it, and tell ``done``; whatever stops it is raised as one of our errors."""
        from . import hub

        reference = self._order.reference
        try:
            path, sha256 = self._run()
        except Exception as error:
            failure = hub.translate(error, reference)
            here = cached(reference) if isinstance(failure, (NetworkError, HubError)) else []
            if self._targets or not here or self._order.directory is not None:
                raise failure from error
            self._note("The model hub was not asked; this model is here already.")
            path, sha256 = here[0], _sha256(here[0].resolve())
        self._tell({"event": "done", "path": str(path), "sha256": sha256})

    def tick(self) -> None:
        """Tell how far it is."""
        if self._targets:
            done, total = sum(target.done for target in self._targets), sum(t.file.size for t in self._targets)
            self._tell({"event": "progress", "operation": self._operation, "done": done, "total": total})

    def _run(self) -> tuple[Path, str]:
        from . import hub

        files = self._retried(lambda: hub.lookup(self._order.reference, self._order.token))
        with ExitStack() as locks:
            self._targets = targets = [self._target(file) for file in files]
            partials = [[str(target.partial), str(target.lock)] for target in targets]
            self._tell({"event": "file", "name": Path(files[0].name).name, "partials": partials})
            self.tick()
            for target in targets:
                self._take(target, locks)
            self._check_room()
            missing = [target for target in targets if not target.finished]
            for target in missing:
                self._fetch(target)
            self.tick()
            self._operation = "verify"
            for target in missing:
                target.done = 0
            self.tick()
            hashes = {target.file.name: self._verify(target) for target in missing}
            self.tick()
            for target in missing:
                target.partial.replace(target.final)
                if self._order.directory is not None:
                    # The user's folder stays tidy. Whoever waits for this lock will see the finished file first.
                    with suppress(OSError):
                        target.lock.unlink()
            paths = [self._retried(partial(self._place, target)) for target in targets]
        first = targets[0]
        return paths[0], hashes.get(first.file.name) or first.file.sha256 or _sha256(first.final)

    # Where the bytes go

    def _target(self, file: RemoteFile) -> _Target:
        name = Path(file.name).name
        if self._order.directory is not None:
            folder = Path(self._order.directory)
            unfinished = folder / f".{file.etag}{PARTIAL}"
            target = _Target(file, unfinished, unfinished.with_name(f"{unfinished.name}.lock"), folder / name)
        else:
            repo = f"models--{file.repo.replace('/', '--')}"
            cache = Path(self._order.cache)
            blob = cache / repo / "blobs" / file.etag
            unfinished = blob.with_name(f"{file.etag}{PARTIAL}")
            target = _Target(file, unfinished, cache / ".locks" / repo / f"{unfinished.name}.lock", blob)
        self._look(target)
        return target

    def _look(self, target: _Target) -> bool:
        """See how much of a file is there; return whether it is all of it."""
        from huggingface_hub import try_to_load_from_cache

        file = target.file
        if self._order.directory is not None:
            target.finished = target.final.exists()
            if target.finished and file.sha256 and _sha256(target.final) != file.sha256:
                msg = f"There is another file {target.final.name} in {target.final.parent}."
                raise DownloadError(msg, "Move it away, or name another directory.")
        else:
            link = try_to_load_from_cache(file.repo, file.name, cache_dir=self._order.cache, revision=file.commit)
            target.finished = isinstance(link, str) or target.final.exists()
        target.done = file.size if target.finished else _size(target.partial)
        return target.finished

    def _take(self, target: _Target, locks: ExitStack) -> None:
        """Wait until no other process works on this file, showing how far that one is."""
        from filelock import Timeout
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined] # exported lazily

        if target.finished:
            return
        folders = [target.lock.parent, target.partial.parent]
        if self._order.directory is None:
            # Without a folder of snapshots, other tools take the repository for damaged.
            folders.append(target.partial.parent.parent / "snapshots")
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        waiting = False
        while True:
            try:
                locks.enter_context(WeakFileLock(target.lock, timeout=_TICK))
            except Timeout:
                if not waiting:
                    self._note("Another process downloads this file; this one follows.")
                waiting = True
                target.done = _size(target.partial) or target.done
            else:
                break
        if waiting and self._look(target):
            return
        target.done = _size(target.partial)
        if target.done > target.file.size:
            target.partial.unlink()
            target.done = 0

    def _check_room(self) -> None:
        """Refuse before the first byte what cannot fit."""
        wanted = sum(target.file.size - target.done for target in self._targets)
        folder = self._targets[0].final.parent
        free = shutil.disk_usage(folder).free if wanted else 0
        if wanted > free:
            msg = f"{self._order.reference} needs {readable(wanted)} more, and {readable(free)} are free in {folder}."
            raise DiskFullError(msg, "Make room, then resume; or name another directory.")

    # The bytes

    def _fetch(self, target: _Target) -> None:
        """Receive what is missing, however often the connection breaks, within bounds."""
        while _size(target.partial) < target.file.size:
            self._retried(partial(self._receive, target))
        target.partial.touch()

    def _receive(self, target: _Target) -> None:
        """Ask once for the rest of a file and write what comes."""
        from . import hub

        file, start = target.file, _size(target.partial)
        headers = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if file.sha256 is None:
                # Large files come from another host, with an etag of its own that may differ from server to server. An
                # If-Range would only make them start anew: the commit in the address and the hash in the name of the
                # partial file say already that it is the same file.
                headers["If-Range"] = f'"{file.etag}"'
        with hub.stream(file, self._order.token, headers) as response:
            if start and response.status_code != 206:  # noqa: PLR2004 - partial content
                self._note("The server sends the file from its beginning.")
                start = 0
            elif start and not re.match(rf"bytes {start}-\d+/{file.size}$", response.headers.get("Content-Range", "")):
                msg = f"The server sends another part of {file.name} than it was asked for."
                raise HubError(msg, "Try again later; if HF_ENDPOINT names a mirror, try without it.")
            with target.partial.open("r+b" if start else "wb", buffering=0) as out:
                out.seek(start)
                target.done = start
                for piece in response.iter_raw():
                    out.write(piece)
                    target.done += len(piece)
                    self._failures = 0
            if target.done > file.size:
                target.partial.unlink()
                msg = f"The server sent more than the {file.size} bytes of {file.name}."
                raise HubError(msg, "Try again later; if HF_ENDPOINT names a mirror, try without it.")
            if target.done < file.size:
                msg = f"The connection ended after {target.done} of {file.size} bytes."
                raise NetworkError(msg, "Check the connection, then resume.")

    def _verify(self, target: _Target) -> str:
        """Return the hash of what is on the disk, which must be the promised one."""
        digest = hashlib.sha256()
        with target.partial.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                target.done += len(piece)
        found = digest.hexdigest()
        if target.file.sha256 not in {None, found}:
            target.partial.unlink()
            msg = f"The bytes of {target.file.name} are not those the hub promised; they have been removed."
            raise ChecksumError(msg, "Download it again; if it stays, a proxy or the disk changes the bytes.")
        return found

    def _place(self, target: _Target) -> Path:
        """Return the path of the finished file, which in the cache is a link that huggingface_hub makes."""
        from huggingface_hub import hf_hub_download

        if self._order.directory is not None:
            return target.final
        file, order = target.file, self._order
        # By commit, so that a branch that moves in this moment cannot make it download anything; the name of the
        # branch, which makes the file findable without a network, is then written as huggingface_hub does.
        path = hf_hub_download(file.repo, file.name, revision=file.commit, cache_dir=order.cache, token=order.token)
        revision = order.reference.revision or "main"
        if revision != file.commit:
            ref = target.final.parent.parent / "refs" / revision
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(file.commit, encoding="utf-8")
        return Path(path)

    # Patience

    def _retried(self, ask: Callable[[], T]) -> T:
        """Return what the hub answers, asking again after failures that pass."""
        from . import hub

        while True:
            try:
                answer = ask()
            except Exception as error:
                code = hub.status(error)
                # Without a network the first request fails, and to wait would only hide that.
                self._answered = self._answered or code is not None
                self._failures += 1
                self._failures_in_all += 1
                hopeless = self._failures > _FAILURES_IN_A_ROW or self._failures_in_all > _FAILURES
                wait = hub.retry_after(error)
                if wait is None:
                    wait = min(self._order.retry_delay * 2 ** (self._failures - 1), _LONGEST_WAIT)
                if hopeless or not self._answered or not hub.is_temporary(error) or wait > _LONGEST_WAIT:
                    raise
                why = f"The hub answers {code}" if code else "The connection broke"
                self._note(f"{why}; trying again in {wait:g} s.")
                time.sleep(wait)
            else:
                self._answered = True
                return answer

    def _note(self, text: str) -> None:
        self._tell({"event": "note", "message": text})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sha256(path: Path) -> str:
    """Return a finished file's hash: in the cache, the name of a large one is its hash."""
    if re.fullmatch(r"[0-9a-f]{64}", path.name):
        return path.name
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def main() -> None:
    """Do what the line on stdin orders, and end; or end at once when stdin does."""
    # An interrupt of a cell goes to all processes of the kernel's group, and is not meant for downloads.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, _PIECE) or os._exit(1)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    order = Order.from_json(line.decode())
    transfer = Transfer(order, lambda event: _write(event, order.token))
    threading.Thread(target=_tick, args=(transfer,), daemon=True).start()
    try:
        transfer.run()
    except LlamaWidgetsError as error:
        event = {"event": "error", "code": error.code, "message": error.message, "hint": error.hint}
        _write(event, order.token)
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


def _write(event: dict[str, Any], token: str | None) -> None:
    line = json.dumps(event)
    if token:
        # httpx, for one, quotes a header that it does not take.
        line = line.replace(json.dumps(token)[1:-1], "***")
    try:
        os.write(1, f"{line}\n".encode())
    except OSError:
        os._exit(0)


if __name__ == "__main__":
    main()
