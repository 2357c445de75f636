"""What a grid and its views say to each other about the runs of a sweep. Twin: ``frontend/src/sweep/messages.ts``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ...wire import Message, table

Colour = Literal["score", "mean_logprob", "tokens", "seconds", "stop_reason", "none"]
"""What the runs are coloured by."""


@dataclass(frozen=True, kw_only=True)
class Arrange(Message):
    """Which dimensions the rows and the columns are ("" for none), and what colours the runs."""

    type = "arrange"
    rows: str
    columns: str
    colour: Colour


@dataclass(frozen=True, kw_only=True)
class OpenRun(Message):
    """Show all of a run. Answered by ``run``."""

    type = "open_run"
    index: int


@dataclass(frozen=True, kw_only=True)
class ResumeSweep(Message):
    """Go on with what was stopped."""

    type = "resume_sweep"


@dataclass(frozen=True, kw_only=True)
class GiveTable(Message):
    """Write all runs as a table. Answered by ``sweep_table``."""

    type = "give_table"


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What grids show of runs, as columns: of a failed one, ``text`` is why; of a long reply, its beginning."""

    index: list[int] = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    stop_reason: list[str] = field(default_factory=list)
    tokens: list[float | None] = field(default_factory=list)
    seconds: list[float | None] = field(default_factory=list)
    mean_logprob: list[float | None] = field(default_factory=list)
    score: list[float | None] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a sweep is, and what there is to say of it; ``rate`` is in tokens a second."""

    state: str
    done: int
    failed: int
    total: int
    eta_s: float | None = None
    rate: float | None = None
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SweepShown(Message):
    """The whole grid.

    ``dimensions`` have ``name``, ``kind`` and, as text, ``values``; ``codes`` tell for each of them which value each
    run has, -1 where it has none. ``runs`` are those that no longer wait.
    """

    type = "sweep_shown"
    dimensions: list[dict[str, Any]]
    codes: list[list[int]]
    runs: Runs
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class SweepChanged(Message):
    """These runs have changed."""

    type = "sweep_changed"
    runs: Runs
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class WholeRun(Message):
    """All of a run: figures and texts as rows of a sweep have them, ``settings`` and ``tokens`` as pairs."""

    type = "run"
    index: int
    run: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SweepTable(Message):
    """All runs, as comma-separated values."""

    type = "sweep_table"
    text: str


FROM_VIEW = table(Arrange, OpenRun, ResumeSweep, GiveTable)
TO_VIEW = table(SweepShown, SweepChanged, WholeRun, SweepTable)
