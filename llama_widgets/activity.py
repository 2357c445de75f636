"""What a worker does at this moment, for whoever wonders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import protocol as p


@dataclass(frozen=True)
class Status:
    """What a worker does at this moment.

    Attributes
    ----------
    model : ModelLoaded or None
        The model in memory.
    loading : str
        The model that is being loaded; "" if none is.
    memory : int
        Bytes of weights and context.
    freed : tuple of int
        Bytes that the system and the GPUs would have again without the model. Pages of its file count as free anyway.
    n_ctx, n_seq_max : int
        Tokens that fit, and sequences; 0 without a model.
    sequences : list of dict
        Those in use: ``conversation``, ``tokens``, ``busy``.
    running, queued : list of str
        The ids of the requests that are worked on, and of those that wait.
    """

    model: p.ModelLoaded | None = None
    loading: str = ""
    memory: int = 0
    freed: tuple[int, int] = (0, 0)
    n_ctx: int = 0
    n_seq_max: int = 0
    sequences: list[dict[str, Any]] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return it in a few lines."""
        name = self.model.name if self.model else f"loading {self.loading}" if self.loading else "no model"
        kept = sum(sequence["tokens"] for sequence in self.sequences)
        return (
            f"{name}: {self.memory / 1e6:,.0f} MB, {kept:,} of {self.n_ctx:,} tokens in {len(self.sequences)} of "
            f"{self.n_seq_max} sequences; {len(self.running)} running, {len(self.queued)} waiting"
        )
