"""The seam between the worker and whatever answers: one engine, one owner thread, one call at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..cancel import Cancel
    from ..options import LoadOptions
    from ..protocol import CompletionDone, Event, Generate, LoadModel, ModelLoaded


class Engine(Protocol):
    """What the worker asks of an engine.

    All methods are called on the worker's thread, one after the other. A method that takes a ``Cancel`` watches it and
    returns soon after it is set: with the partial result, not with an exception. Anything that fails is raised as a
    ``LlamaWidgetsError`` and leaves the engine able to take the next call.
    """

    def init(self, options: dict[str, Any]) -> dict[str, Any]:
        """Start up; return versions, backend and devices."""

    def load(self, command: LoadModel, path: Path, emit: Callable[[Event], None], cancel: Cancel) -> ModelLoaded:
        """Free the model that is there, load ``path`` and make its context.

        Emits ``progress`` (operation "load", thousandths) and ``info`` warnings. Returns ``model_loaded``, with
        ``cancelled`` and nothing loaded if it was cancelled. After an error nothing is loaded either.
        """

    def create_context(self, options: LoadOptions, cancel: Cancel) -> dict[str, Any]:
        """Replace the context of the loaded model; return its ``n_ctx`` and ``memory`` in bytes."""

    def unload(self) -> None:
        """Free model and context; nothing happens where there is none."""

    def generate(self, command: Generate, emit: Callable[[Event], None], cancel: Cancel) -> CompletionDone:
        """Answer; emit ``progress`` (operation "prefill", tokens) and ``completion_chunk`` on the way.

        The texts of the chunks, joined, are the text of the ``completion_done`` that is returned.
        """

    def close(self) -> None:
        """Free everything for good."""
