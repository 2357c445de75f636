"""What a view asks of the models and downloads of this machine and of the hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...wire import Message, secret


@dataclass(frozen=True, kw_only=True)
class Choose(Message):
    """The user picks a model in the list, or types a path or reference."""

    type = "choose"
    model: str


@dataclass(frozen=True, kw_only=True)
class Refresh(Message):
    """Look again what is on this machine; ``folder`` is one more folder to look in."""

    type = "refresh"
    folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pause(Message):
    """Pause the download whose id is ``target``."""

    type = "pause"
    target: str


@dataclass(frozen=True, kw_only=True)
class Resume(Message):
    """Go on with the paused or failed download whose id is ``target``."""

    type = "resume"
    target: str


@dataclass(frozen=True, kw_only=True)
class Search(Message):
    """Which models of the hub fit ``text``? Without words: which are good to begin with? Answered by ``found``."""

    type = "search"
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Look(Message):
    """What is this model, and does it fit? Answered by ``looked``. ``token`` is for gated ones, and never kept."""

    type = "look"
    model: str
    token: str | None = secret(None)


@dataclass(frozen=True, kw_only=True)
class DeleteModel(Message):
    """Delete a model from this machine; with ``dry_run`` say what that would free. Answered by ``deleted``."""

    type = "delete_model"
    model: str
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class DeleteLeftovers(Message):
    """Delete what other programs left unfinished in the hub's cache. Answered by ``deleted``."""

    type = "delete_leftovers"


@dataclass(frozen=True, kw_only=True)
class Discard(Message):
    """Cancel the download whose id is ``target``, and delete what has arrived of it."""

    type = "discard"
    target: str


@dataclass(frozen=True, kw_only=True)
class Found(Message):
    """The models that a ``search`` found, as ``HubModel.to_dict`` has them."""

    type = "found"
    models: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Looked(Message):
    """What a model is.

    ``info`` is as ``ModelInfo.to_dict`` has it, each of its files with a ``fit``. ``estimates`` are for contexts of
    several sizes, as ``Estimate.to_dict`` has them. Where the hub does not show the header there are none, and
    ``refusal`` says why.
    """

    type = "looked"
    info: dict[str, Any]
    estimates: list[dict[str, Any]]
    refusal: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Deleted(Message):
    """So many bytes are free again, or would be."""

    type = "deleted"
    freed: int
    dry_run: bool = False
