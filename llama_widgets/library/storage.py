"""A repository in the hub's cache, as huggingface_hub keeps it, and how files leave it without harm to the rest.

``snapshots/<commit>/<file>`` is a link to ``blobs/<hash>``, or the file itself where the system has no links. The blob
may be a link in turn, to a store that all repositories share. ``refs/<name>`` holds the commit that a name stands for.
"""

from __future__ import annotations

import glob
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeleteError
from .files import read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    from huggingface_hub import DeleteCacheStrategy


def lock(locks: ExitStack, storage: Path, etags: Iterable[str]) -> None:
    """Keep downloads of these files from running, ours and others'.

    Raises
    ------
    DeleteError
        If one is running.
    """
    from filelock import FileLock

    folder = storage.parent / ".locks" / storage.name
    for path in [path for etag in etags for path in folder.glob(f"{glob.escape(etag)}.*lock")]:
        with suppress(NotImplementedError):  # on this file system nobody can lock
            try:
                locks.enter_context(FileLock(path, timeout=0))
            except OSError:  # such as a time-out
                repository = storage.name.partition("--")[2].replace("--", "/")
                msg = f"A file of {repository} is being downloaded, or locked by another user."
                raise DeleteError(msg, "Wait for the download, or cancel it, then delete.") from None


def unneeded(links: list[Path], storage: Path, locks: ExitStack) -> list[Path]:
    """Return the blobs of these links that no other link needs, each locked against downloads.

    Raises
    ------
    DeleteError
        If a link leads out of the cache, or a download is running.
    """
    found = [_blob(link) for link in links if link.is_symlink()]
    for blob in found:
        shared = resolved(blob).parents[1] == resolved(storage.parent) / "blobs"
        if blob.parent != resolved(storage) / "blobs" or (blob.is_symlink() and not shared):
            msg = f"A file of this model is a link to {resolved(blob)}, out of the hub's cache."
            raise DeleteError(msg, "Delete the link by hand, and where it leads if nobody needs that.")
    lock(locks, storage, [blob.name for blob in found])
    needed = {_blob(file) for file in _files(storage / "snapshots") if file not in links}
    return [blob for blob in dict.fromkeys(found) if blob not in needed]


def shared_plan(links: list[Path], cache: Path) -> DeleteCacheStrategy:
    """Return how huggingface_hub would delete these files: it alone knows who else needs a file of the shared store.

    Raises
    ------
    DeleteError
        If the installed one is older than that store, or takes the repository for damaged.
    """
    from huggingface_hub import scan_cache_dir

    info = scan_cache_dir(cache)
    if not hasattr(info, "delete_files"):
        msg = "This file is in a store that repositories share, of which the installed huggingface_hub does not know."
        raise DeleteError(msg, "Install a newer one: pip install -U huggingface_hub.")
    wanted = {placed(link) for link in links}
    files = [file for repo in info.repos for revision in repo.revisions for file in revision.files]
    chosen = [file for file in files if file.file_path in wanted]
    if len(chosen) < len(wanted):
        msg = "huggingface_hub takes this repository in its cache for damaged."
        raise DeleteError(msg, f"Download the model again, or delete its folder in {cache} by hand.")
    return info.delete_files(*chosen)


def tidy(storage: Path, deleted: Path) -> None:
    """Leave no empty folder and no name for a snapshot that is gone: other tools take that for damage."""
    blobs, snapshots = storage / "blobs", storage / "snapshots"
    for folder in deleted.parents:
        if folder in {blobs, snapshots} or not _rmdir(folder):
            break
        if folder.parent == snapshots:
            _forget_snapshot(storage, folder.name)
    # A download that begins in this moment makes its folders anew, and first.
    if not storage.is_symlink() and not _files(snapshots) and _rmdir(blobs):
        shutil.rmtree(storage, ignore_errors=True)


def resolved(path: Path) -> Path:
    """Return the path with all links resolved, whatever circles they make."""
    return Path(os.path.realpath(path))


def placed(path: Path) -> Path:
    """Return the path with the links on its way resolved, but not the last one."""
    return resolved(path.parent) / path.name


def _blob(file: Path) -> Path:
    """Return what a file of a snapshot is a link to; itself if it is none."""
    return placed(file.parent / file.readlink()) if file.is_symlink() else placed(file)


def _forget_snapshot(storage: Path, commit: str) -> None:
    shutil.rmtree(storage / ".no_exist" / commit, ignore_errors=True)
    for ref in _files(storage / "refs"):
        if read(ref).decode(errors="replace").strip() == commit:
            with suppress(OSError):
                ref.unlink()
    for folder, _, _ in os.walk(storage / "refs", topdown=False):
        _rmdir(Path(folder))


def _files(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def _rmdir(folder: Path) -> bool:
    """Return whether the folder is gone, as it was empty."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
