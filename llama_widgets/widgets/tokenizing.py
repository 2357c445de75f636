"""A text as the tokens of several models, as the views of a TokenView are told."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..errors import LlamaWidgetsError
from ..library import local
from ..tokens.vocabulary import detokenize, tokenize
from .messages.tokens import Tokenized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..tokens.vocabulary import Tokens
    from ..worker import Worker


def name_of(model: str) -> str:
    """Return what a model is called where there is little room."""
    return PurePath(model).name.removesuffix(".gguf")


def of_text(text: str, models: Sequence[str], worker: Worker) -> Tokenized:
    """Return the tokens of a text for each model; of one that cannot be read, why."""
    return _told(text, models, [_side(text, model, worker) for model in models])


def of_ids(ids: Sequence[int], models: Sequence[str], worker: Worker) -> Tokenized:
    """Return what text these tokens of the first model are, and its tokens for the others.

    Raises
    ------
    ParameterError
        If the model has no such token.
    """
    tokens = detokenize(ids, models[0] if models else None, worker=worker)
    text = "".join(token.text for token in tokens)
    others = [_side(text, model, worker) for model in models[1:]]
    return _told(text, models, [*(_pieces(model, tokens) for model in models[:1]), *others])


def _told(text: str, models: Sequence[str], sides: list[dict[str, Any]]) -> Tokenized:
    here = {each.model: f"{each.name} {each.quantisation}".strip() for each in local.models()}
    known = {model: name_of(model) for model in models} | here
    choices = [{"model": model, "name": name} for model, name in known.items()]
    return Tokenized(request_id="", text=text, models=choices, sides=sides)


def _side(text: str, model: str, worker: Worker) -> dict[str, Any]:
    try:
        return _pieces(model, tokenize(text, model, worker=worker))
    except LlamaWidgetsError as error:
        return {"model": model, "pieces": [], "error": str(error)}


def _pieces(model: str, tokens: Tokens) -> dict[str, Any]:
    pieces = [{"id": token.id, "text": token.text, "special": token.special} for token in tokens]
    return {"model": model, "pieces": pieces, "error": ""}
