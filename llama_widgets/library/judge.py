"""What a model is and whether it will fit, here or on the hub, before it is downloaded or loaded."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines import gguf, header, memory
from ..engines.estimate import Shape
from ..errors import LlamaWidgetsError, ModelNotFoundError, UnknownReferenceError, from_code
from ..requests import wait
from . import enquiry, local
from .filenames import describe, parts
from .local import readable
from .references import Reference, model_text, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..engines.buffers import Needs
    from ..engines.memory import Room, Verdict
    from ..options import LoadOptions


_TOKEN_BYTES = 300
"""What llama.cpp keeps of each token: its text, twice, and where it is found. It says that nowhere; measured are 170 to
330 bytes. The margin of a plan covers it."""
_CONTEXTS = (2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Whether a model fits into memory, with the numbers in bytes.

    Attributes
    ----------
    model : str
        Which model.
    n_ctx : int
        Tokens of the context.
    weights, vocabulary, cache, compute : int
        For the model, for the texts of its tokens, for what is kept of those that were read, and for computing.
    gpu : int
        The part of these that goes to a GPU with memory of its own.
    free, free_gpu : int
        What may be taken: what is free, and what the model in memory gives back, less a margin for the notebook.
    verdict : {"fits", "tight", "too big"}
        "tight" leaves less than a fifth of what is free.
    """

    model: str
    n_ctx: int
    weights: int
    vocabulary: int
    cache: int
    compute: int
    gpu: int
    free: int
    free_gpu: int
    verdict: Verdict

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.weights + self.vocabulary + self.cache + self.compute

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data, with the ``total``."""
        return asdict(self) | {"total": self.total}

    def __str__(self) -> str:
        """Return a line for people."""
        gpu = f", {readable(self.gpu)} of them on the GPU" if self.gpu else ""
        needs = f"{readable(self.total)} at {self.n_ctx:,} tokens{gpu}"
        return f"{self.verdict}: {needs}; {readable(self.free)} are free for it"


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model of a repository: what ``download`` takes, its quantisation, and the bytes of all its parts."""

    model: str
    quantisation: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a model is, by its header and by what the hub says of it.

    Attributes
    ----------
    model : str
        The reference or path it was asked for.
    path : str
        Its file on this machine, the first one of a model in parts; "" if it is not here.
    name, architecture, quantisation, tokenizer, licence, template : str
        What its header says, and the hub where that says nothing; "" for what neither does.
    size : int
        Bytes of all parts.
    n_params, n_ctx_train, n_layer, n_vocab : int
        Weights, tokens of the contexts it was trained on, layers, and tokens it knows; 0 if nobody says.
    files : tuple of ModelFile
        All models of its repository on the hub, if that was asked.
    gated : bool
        Whether one must ask for access.
    downloads, likes : int
        Downloads of the last month, and people who like it.
    updated : float or None
        When it was changed last, in seconds since 1970.
    """

    model: str
    path: str = ""
    name: str = ""
    architecture: str = ""
    quantisation: str = ""
    tokenizer: str = ""
    licence: str = ""
    template: str = ""
    size: int = 0
    n_params: int = 0
    n_ctx_train: int = 0
    n_layer: int = 0
    n_vocab: int = 0
    files: tuple[ModelFile, ...] = ()
    gated: bool = False
    downloads: int = 0
    likes: int = 0
    updated: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """A model that is looked at.

    Attributes
    ----------
    model : str
        What names it.
    path : Path or None
        Its file on this machine.
    size : int
        Bytes of all parts.
    values : mapping
        What its header says before the vocabulary, and how many tokens that has.
    facts : mapping
        What the hub says; nothing of a file that is here.
    refusal : LlamaWidgetsError or None
        Why the hub does not show its header; there are no values then.
    """

    model: str
    path: Path | None
    size: int
    values: Mapping[str, Any]
    facts: Mapping[str, Any]
    refusal: LlamaWidgetsError | None = None

    @cached_property
    def shape(self) -> Shape:
        """How large it is. Raises why that is not known."""
        if self.refusal is not None:
            raise self.refusal
        return Shape(self.values)


def look(model: str, token: str | None = None) -> Subject:
    """Return what there is to know of a model without reading its weights; if it is not here, the hub is asked.

    Raises
    ------
    ModelError
        If it is nowhere, or its header cannot be read.
    DownloadError
        If it is not here, and the hub does not say what it is.
    """
    try:
        return here(model, local.find(model))
    except ModelNotFoundError:
        try:
            reference = parse(model)
        except UnknownReferenceError:
            reference = Reference()
        if not (reference.repo or reference.url):
            raise
    return there(model, wait(enquiry.shared().look(reference, token)))


def here(model: str, path: Path) -> Subject:
    """Look at a file. What was found is known until it changes."""
    gguf.check(path)
    status = path.stat()
    size = sum(Path(part).stat().st_size for part in parts(str(path)) if Path(part).exists())
    return Subject(model, path, size, _head(path, status.st_size, status.st_mtime_ns), {})


@lru_cache(maxsize=1024)
def _head(path: Path, size: int, _changed: int) -> Mapping[str, Any]:
    with path.open("rb") as file:
        return header.parse(file, size, path.name, vocabulary=False).values


def there(model: str, facts: Mapping[str, Any]) -> Subject:
    """Take what the hub says of a model, as ``Enquiries.look`` returns it."""
    size = next(int(file["size"]) for file in facts["files"] if file["file"] == facts["chosen"])
    reason = facts["reason"]
    refusal = reason and from_code(reason["code"], reason["message"], reason["hint"])
    return Subject(model, None, size, _received(facts["values"] or {}), facts, refusal)


def _received(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as ``header.parse`` does, which JSON has not."""
    return {
        key: header.Array(**value) if isinstance(value, dict) else tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
    }


def judge(subject: Subject, options: LoadOptions, room: Room, *, size: int | None = None) -> Estimate:
    """Judge by the header alone: quick, and all that can be known of a file that is not here.

    Parameters
    ----------
    subject : Subject
        The model.
    options : LoadOptions
        How it is to be loaded.
    room : Room
        What is free.
    size : int, optional
        Bytes of another quantisation of the same model, to judge that.
    """
    n_ctx = _n_ctx(options, subject.shape.n_ctx_train)
    needs = subject.shape.needs(subject.size if size is None else size, n_ctx, options)
    return _estimate(subject, n_ctx, memory.placed(needs, subject.shape.n_layer, options, room)[0], room)


def estimate(model: str, options: LoadOptions, room: Room, token: str | None = None) -> Estimate:
    """Judge as well as it can be known: by llama.cpp's own plan where the file is here.

    Raises
    ------
    LlamaWidgetsError
        As ``look`` does, and if llama.cpp cannot load such a file.
    """
    subject = look(model, token)
    if subject.path is None:
        return judge(subject, options, room)
    n_ctx = _n_ctx(options, subject.shape.n_ctx_train)
    return _estimate(subject, n_ctx, memory.needs(subject.path, options, n_ctx, room), room)


def contexts(subject: Subject, options: LoadOptions, room: Room) -> list[Estimate]:
    """Judge contexts of several sizes, up to the one it was trained on."""
    most = subject.shape.n_ctx_train or memory.MOST_AUTO
    sizes = [size for size in _CONTEXTS if size < most] + [most]
    return [judge(subject, replace(options, n_ctx=size), room) for size in sizes]


def _n_ctx(options: LoadOptions, n_ctx_train: int) -> int:
    return min(memory.MOST_AUTO, n_ctx_train or memory.MOST_AUTO) if options.n_ctx == "auto" else options.n_ctx


def _estimate(subject: Subject, n_ctx: int, needs: Needs, room: Room) -> Estimate:
    return Estimate(
        model=subject.model,
        n_ctx=n_ctx,
        weights=needs.weights,
        vocabulary=_TOKEN_BYTES * subject.shape.n_vocab,
        cache=needs.cache,
        compute=needs.compute,
        gpu=needs.gpu,
        free=max(0, room.host),
        free_gpu=max(0, room.gpu),
        verdict=room.judge(needs),
    )


def info(model: object, *, token: str | None = None) -> ModelInfo:
    """Return what a model is; if it is not on this machine, the model hub is asked for its header and its facts.

    Parameters
    ----------
    model : str or path or Model
        A path, a reference, the name of a model on this machine, or an entry of ``llama_widgets.models()``.
    token : str, optional
        For gated and private models, where the one that you logged in with does not do.

    Raises
    ------
    ModelError
        If there is no such model, or its header cannot be read.
    DownloadError
        If it is not here, and the hub cannot be reached or does not say what it is.

    Examples
    --------
    >>> lw.info("hf:user/repo").files  # doctest: +SKIP
    """
    return described(look(model_text(model), token))


def described(subject: Subject) -> ModelInfo:
    """Return what was found as everybody reads it."""
    values, facts = subject.values, subject.facts
    architecture = _text(values.get("general.architecture")) or facts.get("architecture", "")
    file = str(subject.path) if subject.path else facts["chosen"]
    name, quantisation = describe(file)
    shape = subject.shape if subject.refusal is None else None
    template, n_params = facts.get("template", ""), facts.get("n_params", 0)
    if subject.path is not None:
        template, n_params = _rest(subject.path)
    return ModelInfo(
        model=subject.model,
        path=str(subject.path or ""),
        name=_text(values.get("general.name")) or name,
        architecture=architecture,
        quantisation=quantisation,
        tokenizer=_text(values.get("tokenizer.ggml.model")),
        licence=_text(values.get("general.license")) or facts.get("licence", ""),
        template=template,
        size=subject.size,
        n_params=n_params,
        n_ctx_train=(shape.n_ctx_train if shape else 0) or facts.get("n_ctx_train", 0),
        n_layer=shape.n_layer if shape else 0,
        n_vocab=shape.n_vocab if shape else 0,
        files=tuple(
            ModelFile(model=_reference_of(subject, file["file"]), quantisation=file["quantisation"], size=file["size"])
            for file in facts.get("files", ())
        ),
        gated=facts.get("gated", False),
        downloads=facts.get("downloads", 0),
        likes=facts.get("likes", 0),
        updated=facts.get("updated"),
    )


def _reference_of(subject: Subject, file: str) -> str:
    return f"hf:{subject.facts['repo']}/{file}" if "repo" in subject.facts else subject.model


def _rest(path: Path) -> tuple[str, int]:
    """Return what stands behind the vocabulary: the template, and how many weights all parts have."""
    headers = [header.read(Path(part)) for part in parts(str(path)) if Path(part).exists()]
    weights = sum(math.prod(tensor.shape) for found in headers for tensor in found.tensors.values())
    return _text(headers[0].values.get("tokenizer.chat_template")), weights


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
