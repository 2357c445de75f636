"""What earlier downloads have left unfinished on this machine: found without a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import UnknownReferenceError
from .local import cache_folder, own_folder
from .partial import SUFFIX, Origin, Partial
from .references import absolute, parse

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable


@dataclass(frozen=True)
class Unfinished:
    """A model of which a part is there.

    Attributes
    ----------
    reference : str
        What ``download`` takes to go on with it.
    name : str
        The name of its file; of a model in parts, of the first that is not complete.
    size, done : int
        Bytes, and how many of them are there; of a model in parts, of the parts that are not complete.
    path : Path
        The partial file.
    directory : str or None
        The folder that was named in place of the cache.
    """

    reference: str
    name: str
    size: int
    done: int
    path: Path
    directory: str | None
    partials: tuple[Partial, ...] = field(repr=False, compare=False)

    def discard(self) -> bool:
        """Delete what is there, unless a process has begun to work on it; return whether it is gone."""
        gone = [partial.discard() for partial in self.partials]
        return all(gone)


def unfinished(*folders: str | os.PathLike[str]) -> list[Unfinished]:
    """Return the models of which only a part is here and on which no process works, sorted by reference.

    It looks into the cache and the folders for models that are not of the hub, and needs no network.

    Parameters
    ----------
    *folders : path
        More folders to look in: those that were named as the ``directory`` of downloads.
    """
    found: dict[tuple[str, str | None], list[tuple[Origin, Partial]]] = {}
    for directory, partial in _partials(map(absolute, folders)):
        origin = partial.look()
        if origin is not None and _is_reference(origin.reference) and not partial.busy():
            found.setdefault((origin.reference, directory), []).append((origin, partial))
    return [_model(reference, directory, parts) for (reference, directory), parts in sorted(found.items(), key=str)]


def left_of(reference: str, directory: str | None) -> list[Partial]:
    """Return what is there of one reference, in the cache or in the folder that was named in its place."""
    partials = _partials([Path(directory)] if directory else [])
    here = [partial for where, partial in partials if where == directory]
    return [partial for partial in here if (origin := partial.look()) and origin.reference == reference]


def _partials(folders: Iterable[Path]) -> list[tuple[str | None, Partial]]:
    cached = [(None, Partial.in_cache(path.parents[1], _key(path))) for path in _files(cache_folder(), "*/blobs/")]
    # In our own folder, each address has one.
    paths = [
        *_files(own_folder(), "*/."),
        *(path for folder in (own_folder(), *folders) for path in _files(folder, ".")),
    ]
    own = {path: Partial.in_folder(path.parent, _key(path)[1:]) for path in paths}
    return [*cached, *((str(path.parent), partial) for path, partial in own.items())]


def _files(folder: Path, where: str) -> list[Path]:
    try:
        return sorted(folder.glob(f"{where}*{SUFFIX}"))
    except OSError:
        return []


def _key(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


def _is_reference(text: str) -> bool:
    try:
        return parse(text).path is None
    except UnknownReferenceError:
        return False


def _model(reference: str, directory: str | None, parts: list[tuple[Origin, Partial]]) -> Unfinished:
    parts.sort(key=lambda part: part[0].name)
    return Unfinished(
        reference=reference,
        name=PurePosixPath(parts[0][0].name).name,
        size=sum(origin.size for origin, _ in parts),
        done=sum(partial.done for _, partial in parts),
        path=parts[0][1].path,
        directory=directory,
        partials=tuple(partial for _, partial in parts),
    )
