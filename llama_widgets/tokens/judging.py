"""How likely a text is for a model, token by token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from .. import protocol as p
from ..chat.classrooms import current
from ..chat.reply import Reply
from ..errors import ParameterError
from ..requests import new_id
from ..wire import build
from ..worker import Worker, shared
from .predicting import told
from .rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One token of a text, and how likely it is where it stands. The first of all follows nothing: there it is unknown.

    Attributes
    ----------
    id : int
        Its number in the model's vocabulary.
    text : str
        The characters that end with it; joined, the texts of all tokens are the text.
    logprob : float or None
        The natural logarithm of its probability, as the model says, before any sampler.
    rank : int or None
        1 is the likeliest.
    top : list of dict
        The likeliest tokens there, each with its ``id``, ``text`` and ``logprob``.
    bytes : bytes
        What it stands for, which may be a part of a character.
    """

    id: int
    text: str
    logprob: float | None
    rank: int | None
    top: list[dict[str, Any]]
    bytes: bytes

    @property
    def p(self) -> float | None:
        """Its probability."""
        return None if self.logprob is None else math.exp(self.logprob)

    @property
    def surprise(self) -> float | None:
        """How much it tells, in bits: one for each time that its probability is half."""
        return None if self.logprob is None else -self.logprob / math.log(2)


class Judgement(Rows[Judged]):
    """How likely each token of a text is: a list of ``Judged``.

    Attributes
    ----------
    n_vocab : int
        How many tokens the model knows.
    cancelled : bool
        Whether it was stopped, so that the rest is missing.
    """

    columns: ClassVar[dict[str, type]] = {
        "id": int, "text": str, "logprob": float, "p": float, "rank": int, "surprise": float
    }  # fmt: skip

    def __init__(self, rows: Iterable[Judged] = (), *, n_vocab: int = 0, cancelled: bool = False) -> None:
        super().__init__(rows)
        self.n_vocab = n_vocab
        self.cancelled = cancelled

    @property
    def logprob(self) -> float:
        """The natural logarithm of the probability of all of it."""
        return math.fsum(each.logprob for each in self if each.logprob is not None)

    @property
    def perplexity(self) -> float | None:
        """Among how many equally likely tokens the model would have had to choose each time, on average."""
        count = sum(each.logprob is not None for each in self)
        return math.exp(-self.logprob / count) if count else None


def judge(
    source: str | Reply | tuple[Any, Any], model: object = None, *, top: int = 10, worker: Worker | None = None
) -> Judgement:
    """Return how likely each token of a text is where it stands, and wait for it.

    Parameters
    ----------
    source : str, Reply or tuple
        A text, or a reply. Or what it comes after, which is not judged, and the text: ``(messages, answer)``, or
        ``(beginning, text)``. An answer may also be a list of its tokens.
    model : str or path or Model, optional
        Who judges, by default who made the reply, that of the classroom, or the one in memory. It is loaded if it
        is not.
    top : int
        How many of the likeliest tokens to return beside each.
    worker : Worker, optional
        By default the one that all conversations of this process share.

    Returns
    -------
    Judgement
        A list of ``Judged``. The same text always has the same numbers. Those of ``reply.logprobs`` may differ a
        little, as batches of another shape are rounded in another way.

    Raises
    ------
    ParameterError
        If there is nothing to judge.
    NoModelError
        If no model is named and none is in memory.
    ContextOverflowError
        If it does not fit into the context.

    Examples
    --------
    >>> lw.judge("The capital of France is Paris.").to_dataframe()  # doctest: +SKIP
    >>> lw.judge((chat.messages[:-1], "Lyon.")).perplexity  # doctest: +SKIP
    """
    if isinstance(source, Reply):
        given = _of_reply(source)
        model = model or source.model
    else:
        given = _of_text(source)
    room = current()
    named = room.asked(model or None)
    given |= {"request_id": new_id(), "top": top, "model": named, "load": room.load if named else None}
    command = build(p.Judge, given, where="what is judged", error=ParameterError)
    done = cast("p.JudgeDone", (worker or shared()).run(command))
    rows = (
        Judged(
            id=each["token"],
            text=each["text"],
            logprob=each["logprob"],
            rank=each["rank"],
            top=[{"id": other["token"], "text": other["text"], "logprob": other["logprob"]} for other in each["top"]],
            bytes=bytes(each["bytes"]),
        )
        for each in done.tokens
    )
    return Judgement(rows, n_vocab=done.n_vocab, cancelled=done.cancelled)


def _of_text(source: object) -> dict[str, Any]:
    before, text = source if isinstance(source, tuple) and len(source) == 2 else ("", source)  # noqa: PLR2004 - a pair
    return {"tokens" if isinstance(text, (list, tuple)) else "text": text, **told(before)}


def _of_reply(reply: Reply) -> dict[str, Any]:
    """Return what a reply was made of: its tokens, where they are known, after what was asked."""
    if not reply.asked:
        msg = "It is not known what this reply answers."
        raise ParameterError(msg, "Say it: lw.judge((messages, reply.text)).")
    made = reply.provenance.known().get("parameters", {}) if reply.provenance is not None else {}
    given = {**reply.asked, **{name: made[name] for name in ("thinking", "tools") if name in made}}
    if made.get("tool_choice") == "none":
        given.pop("tools", None)
    if not reply.logprobs:
        return {**given, "text": reply.text}
    drawn = [each["token"] for each in reply.logprobs]
    return {**given, "text": made.get("response_prefix", ""), "tokens": drawn}
