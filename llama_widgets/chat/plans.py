"""What becomes of the turns of a conversation when something is asked of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from ..filling import Filled
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
    given : list of dict
        The tokens that the answer begins with after that, as ``logprobs`` has them.
    """

    before: Sequence[Turn]
    kept: Sequence[Turn]
    question: Turn | None = None
    turn: Turn = field(default_factory=lambda: Turn(role="assistant"))
    given: list[dict[str, Any]] = field(default_factory=list)

    @property
    def added(self) -> list[Turn]:
        """What follows the turns that stay."""
        return [self.turn] if self.question is None else [self.question, self.turn]

    @property
    def trims(self) -> bool:
        """Whether turns give way to a branch of their own."""
        return len(self.kept) < len(self.before)


def asked(turns: Sequence[Turn], text: object) -> Plan:
    """Ask something new."""
    return Plan(before=turns, kept=turns, question=_question(text))


def regenerated(turns: Sequence[Turn], turn: object = None) -> Plan:
    """Answer a question again: the last one, or that of which ``turn`` is the id or the id of an answer to it."""
    end = len(turns) if turn is None else _index(turns, turn) + 1
    users = _users(turns[:end])
    if not users:
        msg = "There is no question to answer again."
        raise ParameterError(msg, "Ask something first.")
    return Plan(before=turns, kept=turns[: users[-1] + 1])


def edited(turns: Sequence[Turn], which: object, text: object) -> Plan:
    """Ask something else in place of a question, which is given by its number or its id."""
    users = _users(turns)
    if isinstance(which, str):
        at = _index(turns, which)
        if at not in users:
            msg = "Only questions can be edited."
            raise ParameterError(msg, "An answer can be made again: regenerate().")
        return Plan(before=turns, kept=turns[:at], question=_question(text))
    if not isinstance(which, int) or isinstance(which, bool) or not -len(users) <= which < len(users):
        msg = f"There is no question {which!r}: the conversation has {len(users)}."
        raise ParameterError(msg, "They are counted from 0, and from -1 backwards.")
    return Plan(before=turns, kept=turns[: users[which]], question=_question(text))


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
    # A thought is not gone on with: models think before they answer, and what was not said is thought again.
    thoughts = [last.thoughts] if last.content else []
    grown = Turn(role="assistant", pieces=[last.content], thought_pieces=thoughts)
    return Plan(before=turns, kept=turns[:-1], turn=grown)


def branched(turns: Sequence[Turn], turn: object, position: object, token: object) -> Plan:
    """Go on from the token at ``position`` of an answer, with ``token`` in its place, or with what is drawn there anew.

    The tokens before it are those that were drawn, not those that their text would have: the model then goes on from
    what it had said, and what it was said to be likely to say there is what it is likely to say.
    """
    answers = [index for index, each in enumerate(turns) if each.role == "assistant"]
    at = _index(turns, turn) if turn is not None else answers[-1] if answers else None
    done = turns[at].done if at is not None else None
    if at is None or done is None or not done.logprobs:
        msg = "It is not known of which tokens the answer was made."
        raise ParameterError(msg, "Ask with top_logprobs=5, for example; what is kept in a file does not have them.")
    drawn = done.logprobs
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < len(drawn):
        msg = f"There is no token {position!r:.80}: the answer has {len(drawn):,}."
        raise ParameterError(msg, "They are counted from 0.")
    there = drawn[position]
    others = {each["token"]: each for each in (*there["top"], there)}
    if token is not None and token not in others:
        msg = f"Token {token!r:.80} is none of the likeliest at {position}."
        raise ParameterError(
            msg, "Take the 'token' of one of logprobs[position]['top'], or ask with more top_logprobs."
        )
    taken = [] if token is None else [{**others[token], "top": there["top"]}]
    # What the answer had before these were drawn: a prefix, or what it was gone on with from.
    text, thoughts = (
        whole.removesuffix(part)
        for whole, part in ((turns[at].content, done.text), (turns[at].thoughts, done.thoughts))
    )
    grown = Turn(role="assistant", pieces=[text], thought_pieces=[thoughts])
    return Plan(before=turns, kept=turns[:at], turn=grown, given=[*drawn[:position], *taken])


def _question(text: object) -> Turn:
    if not isinstance(text, str):
        msg = f"A question must be text, not {type(text).__name__}."
        raise ParameterError(msg, "For example chat.ask('Why is the sky blue?').")
    if not text.strip():
        msg = "The message is empty."
        raise ParameterError(msg, "Write something for the model to answer.")
    turn = Turn(role="user", pieces=[without_lone_surrogates(text)])
    if isinstance(text, Filled):
        turn.typed, turn.inserts = text.typed, [asdict(insert) for insert in text.inserts]
    return turn


def _index(turns: Sequence[Turn], turn: object) -> int:
    for index, each in enumerate(turns):
        if each.id == turn:
            return index
    msg = f"There is no turn {turn!r:.80} in what is shown of this conversation."
    raise ParameterError(msg, "Each of chat.messages has its 'id'; chat.switch(id) shows another branch.")


def _users(turns: Sequence[Turn]) -> list[int]:
    return [index for index, turn in enumerate(turns) if turn.role == "user"]
