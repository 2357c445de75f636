"""How likely each token of a text is where it stands."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EngineError
from . import native
from .context import Context
from .pieces import pieces
from .probabilities import log_softmax, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..cancel import Cancel
    from ..options import LoadOptions
    from .adapters import Adapters
    from .model import Model

    _Floats = np.ndarray[tuple[int], np.dtype[np.float32]]

SLICE = 64
"""Tokens at once: llama.cpp keeps the logits of all of them, 64 MB of a vocabulary of 256,000."""


def judge(
    model: Model,
    tokens: Sequence[int],
    first: int,
    top: int,
    options: LoadOptions,
    report: Callable[[int], None],
    cancel: Cancel,
    adapters: Adapters | None = None,
) -> list[dict[str, Any]]:
    """Return how likely the tokens from ``first`` on are, as ``judge_done`` has them.

    They are read in a context of their own, from its beginning and in slices of fixed shape: so the same tokens always
    have the same probabilities, and what conversations have in their memory stays.

    Parameters
    ----------
    model : Model
        What reads.
    tokens : sequence of int
        All of it, from position 0.
    first : int
        How many of them are not judged.
    top : int
        How many of the likeliest to tell beside each.
    options : LoadOptions
        Of the model, for threads and the like.
    report : callable
        Called with the number of tokens that were read.
    cancel : Cancel
        If set, what was judged until then is returned.
    adapters : Adapters, optional
        What is added to the weights.

    Raises
    ------
    ContextError, EngineError
        If llama.cpp fails.
    """
    made: list[dict[str, Any]] = [
        {"token": piece.token, "text": piece.text, "bytes": list(piece.data), "logprob": None, "rank": None, "top": []}
        for piece in pieces(model, tokens[first:])
    ]
    known = max(0, 1 - first)  # nothing is before the first token of all
    if len(made) > known:
        context = Context(model, options, len(tokens), 1, adapters, n_outputs=SLICE)
        try:
            cancel.on_request(context.flag.set)
            for logits in _results(context, model, tokens, first + known, report, cancel):
                token = made[known]["token"]
                found = told(model, log_softmax(logits), token, top)
                rank = int((logits > logits[token]).sum()) + 1
                made[known] |= {"logprob": found["logprob"], "rank": rank, "top": found["top"]}
                known += 1
        finally:
            context.close()
    return made[:known]


def _results(
    context: Context, model: Model, tokens: Sequence[int], first: int, report: Callable[[int], None], cancel: Cancel
) -> Iterator[_Floats]:
    """Yield the logits after each token from the one before ``first`` on, but the last; fewer if it is cancelled."""
    start, end = 0, len(tokens) - 1
    while start < end and not cancel.requested:
        silent = start < first - 1
        stop = min(start + context.most_read(start), first - 1) if silent else start + SLICE
        stop = min(stop, start + context.n_batch, end)
        for at in range(start, stop):
            context.add(tokens[at : at + 1], at, 0, draw=not silent)
        result = context.decode()
        if result == "aborted":
            return
        if result != "done":
            msg = f"The memory has no room for {len(tokens):,} tokens."
            raise EngineError(msg, "Try again, or judge a shorter text.")
        report(stop)
        for index in () if silent else range(stop - start):
            address = native.logits(context.handle, index)
            yield np.frombuffer((ctypes.c_float * model.n_vocab).from_address(address), np.float32)
        start = stop
