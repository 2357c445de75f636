"""From logits to probabilities: as exact as they come, and fast enough to be asked for with each token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .model import Model

_BLOCK = 16
_PIECE = 4096
"""Memory for a whole vocabulary goes back to the system each time, and to get it again takes four times as long as all
that is done with it."""

Doubles = np.ndarray[tuple[int], np.dtype[np.float64]]


def log_softmax(logits: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Doubles:
    """Return the natural logarithms of the probabilities that ``logits`` stand for."""
    exact: Doubles = logits.astype(np.float64)
    exact -= exact.max()
    exact -= math.log(sum(float(np.exp(exact[at : at + _PIECE]).sum()) for at in range(0, len(exact), _PIECE)))
    return exact


def largest(values: np.ndarray[Any, Any], count: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return where the ``count`` largest values are, from the largest on.

    numpy's own partition of a vocabulary takes longer than drawing from it. So all that is below the ``count``-th of
    the largest values of short blocks is left out first.
    """
    blocks = values[: len(values) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).max(axis=1)
    if 0 < count < len(blocks):
        found = np.flatnonzero(values >= np.partition(blocks, len(blocks) - count)[len(blocks) - count])
    else:
        found = np.arange(len(values))
    return found[np.argsort(-values[found], kind="stable")[:count]]


def told(model: Model, logprobs: Doubles, token: int, top: int) -> dict[str, Any]:
    """Return the log-probability of ``token`` and of the ``top`` likeliest, as plain data."""
    likeliest = largest(logprobs, top).tolist() if top else []
    shown = [{"token": i, "text": model.shown(i), "logprob": float(logprobs[i])} for i in (token, *likeliest)]
    return {**shown[0], "top": shown[1:]}
