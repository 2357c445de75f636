"""Models of the hub: by name, and a few that are good to begin with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..errors import ParameterError
from ..requests import wait
from . import enquiry

LIMIT = 20
_MOST = 100
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A repository of the hub with GGUF files.

    Attributes
    ----------
    model : str
        Its reference, which ``info`` and ``download`` take.
    licence, architecture : str
        As the hub has them; "" if it does not say.
    good_at : str
        What it is good at, of those that are suggested.
    gated : bool
        Whether one must ask for access.
    downloads, likes : int
        Downloads of the last month, and people who like it.
    n_params, n_ctx_train : int
        Weights, and tokens of the contexts it was trained on; 0 if the hub does not say.
    updated : float or None
        When it was changed last, in seconds since 1970.
    """

    model: str
    licence: str = ""
    architecture: str = ""
    good_at: str = ""
    gated: bool = False
    downloads: int = 0
    likes: int = 0
    n_params: int = 0
    n_ctx_train: int = 0
    updated: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return asdict(self)


def search(text: str = "", limit: int = LIMIT, *, token: str | None = None) -> list[HubModel]:
    """Return the models of the hub whose names fit, the most downloaded first.

    Parameters
    ----------
    text : str
        Words such as "qwen3 4b". Without any, these are a few models that are good to begin with, for which the hub is
        not asked.
    limit : int
        How many at most, up to 100.
    token : str, optional
        To find private models too, where the one that you logged in with does not do.

    Raises
    ------
    NetworkError
        If the hub cannot be reached, or offline mode is on.
    ParameterError
        If ``text`` is no text, or ``limit`` no such number.

    Examples
    --------
    >>> [found.model for found in lw.search("qwen3 4b")]  # doctest: +SKIP
    """
    if not isinstance(cast("object", text), str) or len(text) > _LONGEST:
        msg = "What to search for must be a short text."
        raise ParameterError(msg, 'For example lw.search("qwen3 4b").')
    if not isinstance(cast("object", limit), int) or not 1 <= limit <= _MOST:
        msg = f"The limit must be a number from 1 to {_MOST}, not {limit!r}."
        raise ParameterError(msg)
    words = " ".join(text.split())
    if not words:
        return suggested()[:limit]
    return found(wait(enquiry.shared().search(words, limit, token)))


def found(answer: list[dict[str, Any]]) -> list[HubModel]:
    """Take what the hub answers, as ``Enquiries.search`` returns it."""
    known = {model.model: model.good_at for model in suggested()}
    names = HubModel.__dataclass_fields__.keys() - {"model", "good_at"}
    return [
        HubModel(
            model=(model := f"hf:{facts['repo']}"),
            good_at=known.get(model, ""),
            **{name: facts[name] for name in names},
        )
        for facts in answer
    ]


@cache
def suggested() -> list[HubModel]:
    """Return the models that are good to begin with, the smallest first."""
    entries = json.loads((Path(__file__).parent / "suggested.json").read_text(encoding="utf-8"))
    return [HubModel(**entry) for entry in entries]
