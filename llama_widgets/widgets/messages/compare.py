"""What a comparison and its views say to each other, beside what all widgets do.

Twin: ``frontend/src/compare/messages.ts``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ...wire import Message, table


@dataclass(frozen=True, kw_only=True)
class Judge(Message):
    """In this round, the answer at this place is better than the others, or none is."""

    type = "judge"
    round: int
    vote: int | Literal["tie"]


@dataclass(frozen=True, kw_only=True)
class HideNames(Message):
    """Whether the rounds to come are blind."""

    type = "hide_names"
    blind: bool


@dataclass(frozen=True, kw_only=True)
class Compared(Message):
    """All there is: the answer to ``hello``. The next ``grown`` has the number ``seq``."""

    type = "compared"
    rounds: list[dict[str, Any]] = field(default_factory=list)
    tally: list[dict[str, Any]] = field(default_factory=list)
    running: str = ""
    blind: bool = False
    seq: int = 0


@dataclass(frozen=True, kw_only=True)
class RoundChanged(Message):
    """A round was begun, answered or judged; ``request_id`` is that of the question."""

    type = "round"
    number: int
    round: dict[str, Any]
    tally: list[dict[str, Any]]
    running: str
    seq: int


@dataclass(frozen=True, kw_only=True)
class Grown(Message):
    """What has been added to the answers of the last round, by their places."""

    type = "grown"
    seq: int
    answers: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Withdrawn(Message):
    """Nobody could say anything: the last round is gone, and its message is given back."""

    type = "withdrawn"
    number: int
    text: str


@dataclass(frozen=True, kw_only=True)
class BlindChanged(Message):
    """Whether the rounds to come are blind."""

    type = "blind"
    blind: bool


FROM_VIEW = table(Judge, HideNames)
TO_VIEW = table(Compared, RoundChanged, Grown, Withdrawn, BlindChanged)
