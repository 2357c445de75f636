"""The seam between the worker and whatever answers: one engine, one owner thread, one call at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..cancel import Cancel
    from ..options import LoadOptions
    from ..protocol import (
        Embed,
        EmbedDone,
        Event,
        Generate,
        Judge,
        JudgeDone,
        LoadModel,
        ModelLoaded,
        Predict,
        PredictDone,
    )


def never() -> bool:
    """Return False: somebody always wants something."""
    return False


class Engine(Protocol):
    """What the worker asks of an engine.

    All methods but ``status`` are called on the worker's thread, one after the other. A method that takes a ``Cancel``
    watches it and returns soon after it is set: with the partial result, not with an exception. Anything that fails is
    raised as a ``LlamaWidgetsError`` and leaves the engine able to take the next call.
    """

    def init(self, options: dict[str, Any]) -> dict[str, Any]:
        """Start up; return versions, backend and devices."""

    def load(self, command: LoadModel, path: Path, emit: Callable[[Event], None], cancel: Cancel) -> ModelLoaded:
        """Free the model that is there, load ``path`` and make its context.

        Emits ``progress`` (operation "load", thousandths) and ``info`` warnings. Returns ``model_loaded``, with
        ``cancelled`` and nothing loaded if it was cancelled. What is refused before the load leaves the model that is
        there; after any other error nothing is loaded: ``loaded`` tells.
        """

    @property
    def loaded(self) -> bool:
        """Whether there is a model."""

    def create_context(self, options: LoadOptions, cancel: Cancel) -> dict[str, Any]:
        """Replace the context of the loaded model; return its ``n_ctx``, ``n_seq_max`` and ``memory`` in bytes."""

    def unload(self) -> None:
        """Free model and context; nothing happens where there is none."""

    def submit(self, command: Generate, emit: Callable[[Event], None], cancel: Cancel) -> None:
        """Take a request to answer together with the others; raise what is wrong with it.

        Each ``step`` from then on emits of it ``progress`` (operation "prefill", tokens), ``completion_chunk``,
        ``info`` on what left a full context, and as its last event ``completion_done`` or ``error``. The texts of the
        chunks, joined by segment, are the text and the thoughts of the ``completion_done``.
        """

    @property
    def active(self) -> bool:
        """Whether there are requests to ``step`` for."""

    def step(self, quiet: Callable[[], bool] = never) -> None:
        """Work a little on all requests: a token for each that answers, a slice of those that still read.

        Parameters
        ----------
        quiet : callable, optional
            Asked after that whether nobody wants anything; an engine may do more as long as it returns True.
        """

    def embed(self, command: Embed, cancel: Cancel) -> EmbedDone:
        """Return a vector for each text."""

    def predict(self, command: Predict, cancel: Cancel) -> PredictDone:
        """Return how likely each token is to come next. Not called while answers are being made."""

    def judge(self, command: Judge, emit: Callable[[Event], None], cancel: Cancel) -> JudgeDone:
        """Return how likely each token of a text is; emits ``progress`` (operation "prefill", tokens)."""

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Return how many tokens the model makes of each text."""

    def status(self) -> dict[str, Any]:
        """Return what the engine holds: plain data, from any thread."""

    def close(self) -> None:
        """Free everything for good; requests that are not done are dropped."""
