"""What becomes of the turns of a conversation when something is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import ParameterError
from .turns import Turn, without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do with the turns.

    Attributes
    ----------
    before : sequence of Turn
        The conversation as it was, to be restored if nothing comes of the answer.
    kept : sequence of Turn
        Those of them that stay before the question.
    question : Turn or None
        What is asked, if that is new.
    turn : Turn
        The answer's, which may be there already in part.
    """

    before: Sequence[Turn]
    kept: Sequence[Turn]
    question: Turn | None = None
    turn: Turn = field(default_factory=lambda: Turn(role="assistant"))

    @property
    def added(self) -> list[Turn]:
        """What follows the turns that stay."""
        return [self.turn] if self.question is None else [self.question, self.turn]

    @property
    def trims(self) -> bool:
        """Whether turns leave, beside one that is gone on with."""
        return len(self.kept) + (self.turn.id in (turn.id for turn in self.before)) < len(self.before)


def asked(turns: Sequence[Turn], text: object) -> Plan:
    """Ask something new."""
    return Plan(before=turns, kept=turns, question=_question(text))


def regenerated(turns: Sequence[Turn]) -> Plan:
    """Answer the last question again, dropping its answer."""
    users = _users(turns)
    if not users:
        msg = "There is no question to answer again."
        raise ParameterError(msg, "Ask something first.")
    return Plan(before=turns, kept=turns[: users[-1] + 1])


def edited(turns: Sequence[Turn], index: object, text: object) -> Plan:
    """Ask something else in place of a question, dropping all that follows it."""
    users = _users(turns)
    if not isinstance(index, int) or isinstance(index, bool) or not -len(users) <= index < len(users):
        msg = f"There is no question {index!r}: the conversation has {len(users)}."
        raise ParameterError(msg, "They are counted from 0, and from -1 backwards.")
    return Plan(before=turns, kept=turns[: users[index]], question=_question(text))


def continued(turns: Sequence[Turn]) -> Plan:
    """Go on with the last answer, which was cut."""
    last = turns[-1] if turns else None
    if last is None or last.role not in ("assistant", "tool"):
        msg = "There is no answer to go on with."
        raise ParameterError(msg, "Ask something, or answer the last question again: regenerate().")
    if last.role == "tool":  # stopped while it ran
        return Plan(before=turns, kept=turns)
    if last.stop_reason in ("eos", "stop", "tool_calls"):
        msg = "The last answer was not cut: it ended by itself."
        raise ParameterError(msg, "Ask something new, or answer the last question again: regenerate().")
    # A new one with the same id, so that the one before can be restored. A thought is not gone on with: models think
    # before they answer, and what was thought and not said is thought again.
    thoughts = [last.thoughts] if last.content else []
    grown = Turn(role="assistant", id=last.id, pieces=[last.content], thought_pieces=thoughts)
    return Plan(before=turns, kept=turns[:-1], turn=grown)


def _question(text: object) -> Turn:
    if not isinstance(text, str):
        msg = f"A question must be text, not {type(text).__name__}."
        raise ParameterError(msg, "For example chat.ask('Why is the sky blue?').")
    if not text.strip():
        msg = "The message is empty."
        raise ParameterError(msg, "Write something for the model to answer.")
    return Turn(role="user", pieces=[without_lone_surrogates(text)])


def _users(turns: Sequence[Turn]) -> list[int]:
    return [index for index, turn in enumerate(turns) if turn.role == "user"]
