"""Where the files of a download go: while they are unfinished, and when they are complete."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, TypeAlias

from huggingface_hub import hf_hub_download, try_to_load_from_cache  # noqa: TID253 - only the process that downloads

from ..errors import DownloadError, HubError, LlamaWidgetsError
from .hashing import Hash, sha256
from .local import identity, is_from, origin_note, web_folder
from .partial import SUFFIX, Origin, Partial
from .references import Reference, parse

if TYPE_CHECKING:
    from .hub import RemoteFile
    from .process import Order
    from .web import WebFile

    AnyFile: TypeAlias = RemoteFile | WebFile

_LONGEST_NAME = 255
_LONGEST_PATH = 1024


@dataclass(eq=False)
class Target:
    """One file of the model, and where its bytes go."""

    order: Order
    file: AnyFile
    partial: Partial
    final: Path
    finished: bool = False
    hash: Hash | None = None

    @property
    def origin(self) -> Origin:
        """What the journal says of it."""
        return Origin(str(self.order.reference), self.file.name, self.file.etag, self.file.size)

    @property
    def name(self) -> str:
        """The last part of its name."""
        return PurePosixPath(self.file.name).name

    @property
    def folders(self) -> list[Path]:
        """The folders that must be there."""
        folders = [self.partial.lock.parent, self.partial.path.parent]
        if self.order.directory is None:
            # Without a folder of snapshots, other tools take the repository for damaged.
            folders.append(self.final.parent.parent / "snapshots")
        return folders

    @property
    def hashed(self) -> int:
        """Bytes that are verified."""
        return self.file.size if self.finished else self.hash.done if self.hash else 0

    @property
    def done(self) -> int:
        """Bytes that are there, by the journal, which is brought up to date."""
        return self.file.size if self.finished else self.partial.save()

    def look(self) -> bool:
        """See how much of it is there; return whether it is all."""
        file = self.file
        if self.order.directory is not None:
            self.finished = self._is_there(self.final)
        else:
            found = try_to_load_from_cache(file.repo, file.name, cache_dir=self.order.cache, revision=file.commit)
            self.finished = isinstance(found, str) or self.final.exists()
        if not self.finished:
            self.partial.look()
        return self.finished

    def _is_there(self, path: Path) -> bool:
        """Return whether a file of the user's folder is this one, which nothing else is written over."""
        if not path.exists():
            return False
        same = path.is_file() and path.stat().st_size == self.file.size
        url = self.order.reference.url
        if url:
            same = same and not path.is_symlink() and is_from(path, url)
        elif same:
            # Without a promised hash, a name and a size must do, but then it must be a file of this folder.
            same = sha256(path) == self.file.sha256 if self.file.sha256 else not path.is_symlink()
        if same:
            return True
        msg = f"There is another file {path.name} in {path.parent}."
        raise DownloadError(msg, "Move it away, or name another directory.")

    def drop_outdated(self) -> bool:
        """Delete what is unfinished of another version of the same file; return whether there was something."""
        dropped = False
        for path in self.partial.path.parent.glob(f"*{SUFFIX}"):
            other = Partial(path, self.partial.lock.with_name(f"{path.name}.lock"))
            known = None if path == self.partial.path else other.look()
            if known and known.name == self.file.name and _place(known.reference) == _place(self.order.reference):
                dropped = other.discard() or dropped
        return dropped

    def finish(self) -> None:
        """Give the complete file its name."""
        url = self.order.reference.url
        if url and self.final.parent != web_folder(url):
            # There, the file of another address may have the same name. First, as the bytes are here already.
            note = origin_note(self.final.parent, url)
            note.unlink(missing_ok=True)
            note.write_text(identity(self.final.name, self.partial.path.stat()), encoding="utf-8")
        self.partial.finish(self.final)
        if self.order.directory is not None:
            # The user's folder stays tidy. Whoever waits for this lock will see the finished file first.
            with suppress(OSError):
                self.partial.lock.unlink()

    def place(self) -> Path:
        """Return the path of the finished file, which in the cache is a link that huggingface_hub makes."""
        if self.order.directory is not None:
            return self.final
        file, order = self.file, self.order
        # By commit, so that a branch that moves in this moment cannot make it download anything; the name of the
        # branch, which makes the file findable without a network, is then written as huggingface_hub does.
        path = hf_hub_download(file.repo, file.name, revision=file.commit, cache_dir=order.cache, token=order.token)
        revision = order.reference.revision or "main"
        if revision != file.commit:
            ref = self.final.parent.parent / "refs" / revision
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(file.commit, encoding="utf-8")
        return Path(path)


def target(order: Order, file: AnyFile) -> Target:
    """Return where a file goes.

    Raises
    ------
    HubError
        If its name cannot be one.
    """
    name = file_name(file.name)
    if order.directory is not None:
        folder = Path(order.directory)
        key = hashlib.sha256(order.reference.url.encode()).hexdigest() if order.reference.url else file.etag
        return Target(order, file, Partial.in_folder(folder, key), folder / name)
    storage = Path(order.cache) / f"models--{file.repo.replace('/', '--')}"
    return Target(order, file, Partial.in_cache(storage, file.etag), storage / "blobs" / file.etag)


def file_name(path: str) -> str:
    """Return the last part of a path that comes from elsewhere, if it stays below the folder that it is put in.

    Raises
    ------
    HubError
        If it does not, or can be no path on this machine.
    """
    parts = path.split("/")
    good = (
        path.isprintable()
        and len(path) <= _LONGEST_PATH
        and not {"", ".", ".."} & set(parts)
        and not PureWindowsPath(path).drive
        and "\\" not in path
        and all(len(part.encode()) <= _LONGEST_NAME for part in parts)
    )
    if not good:
        shown = repr(path if len(path) <= 100 else f"{path[:97]}...")  # noqa: PLR2004 - one line of an error text
        msg = f"The server names a file {shown}, which cannot be saved under this name."
        raise HubError(msg, "Take the model from another repository; if HF_ENDPOINT names a mirror, try without it.")
    return PurePosixPath(path).name


def _place(reference: Reference | str) -> tuple[str, str, str | None] | None:
    try:
        found = parse(reference) if isinstance(reference, str) else reference
    except LlamaWidgetsError:
        return None
    return found.repo, found.url, found.revision
