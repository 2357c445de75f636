"""What a model may say next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from .. import protocol as p
from ..chat.asking import Asking
from ..chat.classrooms import current
from ..chat.turns import prompt
from ..errors import GenerationError, ParameterError
from ..options import GenerationOptions
from ..requests import new_id
from ..wire import build
from ..worker import Worker, shared
from .rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..chat.turns import Turn


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A token that may come next.

    Attributes
    ----------
    id : int
        Its number in the model's vocabulary.
    text : str
        What it is shown as; U+FFFD for a part of a character.
    logprob : float
        The natural logarithm of ``p``.
    p, p_after : float
        How likely it is as the model says, and as it is drawn: after the samplers have cut others off, and temperature.
    rank : int
        1 is the likeliest as the model says.
    cut_by : str
        The option that takes it out: "top_k", "top_p", "min_p", ...; "" if none does.
    """

    id: int
    text: str
    logprob: float
    p: float
    p_after: float
    rank: int
    cut_by: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one sampler leaves: so many tokens are ``kept``, which as the model says have together probability ``p``."""

    name: str
    kept: int
    p: float


class Candidates(Rows[Candidate]):
    """Tokens that may come next, from the likeliest on: a list of ``Candidate``."""

    columns: ClassVar[dict[str, type]] = {
        "id": int, "text": str, "logprob": float, "p": float, "p_after": float, "rank": int, "cut_by": str
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model may say next.

    Attributes
    ----------
    candidates : list of Candidate
        The likeliest tokens, from the likeliest on.
    stages : list of Stage
        The samplers that act, in their order, and what each leaves.
    chosen : Candidate
        The token that they draw.
    n_tokens : int
        After how many tokens.
    n_vocab : int
        How many tokens the model knows.
    """

    candidates: Candidates
    stages: list[Stage]
    chosen: Candidate
    n_tokens: int
    n_vocab: int

    def to_dataframe(self, library: str | None = None) -> Any:  # noqa: ANN401 - of pandas or polars
        """Return the candidates as a table of pandas or polars."""
        return self.candidates.to_dataframe(library)


def predict(
    source: str | Sequence[Mapping[str, Any]] | Asking,
    model: object = None,
    *,
    top: int = 50,
    prefix: str | Iterable[int] = "",
    worker: Worker | None = None,
    **options: Any,  # noqa: ANN401 - checked against GenerationOptions
) -> Prediction:
    """Return how likely each token is to come next, before and after the samplers, and wait for it.

    Parameters
    ----------
    source : str, list of dict or Chat or ChatPanel
        A text that is gone on with as it stands; messages that are answered; or a conversation, whose last question is,
        with ``prefix`` in place of its answer.
    model : str or path or Model, optional
        Who is asked, by default that of the conversation or of the classroom, or the one in memory. It is loaded if it
        is not.
    top : int
        How many of the likeliest tokens to return. The samplers act on all of them.
    prefix : str or iterable of int
        What the answer begins with: as text, or the very tokens, which may end within a character.
    worker : Worker, optional
        By default the one that all conversations of this process share.
    **options
        As in ``GenerationOptions``: temperature, top_k, top_p, min_p, seed, logit_bias, ...; without them, those of
        the conversation or of the classroom. There is no grammar.

    Raises
    ------
    ParameterError
        If an option is wrong, or there is nothing to go on from.
    NoModelError
        If no model is named and none is in memory.
    GenerationError
        If it cannot be done, or was stopped.

    Examples
    --------
    >>> lw.predict("The capital of France is", temperature=1.5).to_dataframe()  # doctest: +SKIP
    """
    as_text = isinstance(prefix, str)
    given: dict[str, Any] = {"response_prefix" if as_text else "response_tokens": prefix if as_text else list(prefix)}
    room = current()
    if isinstance(source, Asking):
        source = source.chat
        worker, settings = worker or source.worker, source.options
        given["model"] = source.model if model is None and source.model else room.asked(model)
        given |= {"messages": prompt(asked(source.record.turns), source.system), "load": source.load_options}
        given |= {"thinking": source.settings.thinking, "tools": source.settings.offered}
    else:
        settings, given["model"] = room.settings.options, room.asked(model)
        given |= {**told(source), "load": room.load if given["model"] else None}
    drawn = {**vars(settings), "grammar": None, "json_schema": None, **options}
    given["options"] = build(GenerationOptions, drawn, where="the options", error=ParameterError)
    given |= {"request_id": new_id(), "top": top}
    command = build(p.Predict, given, where="what is predicted", error=ParameterError)
    done = cast("p.PredictDone", (worker or shared()).run(command))
    if done.cancelled:
        msg = "The next token was not predicted: it was stopped."
        raise GenerationError(msg, "Ask again.")
    return Prediction(
        candidates=Candidates(_candidate(each) for each in done.candidates),
        stages=[Stage(**stage) for stage in done.stages],
        chosen=_candidate(done.chosen),
        n_tokens=done.n_tokens,
        n_vocab=done.n_vocab,
    )


def asked(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Return the turns that are before the last answer; all, if it is not there yet."""
    last = turns[-1] if turns else None
    return turns[:-1] if last is not None and last.role == "assistant" and not last.tool_calls else turns


def told(source: object) -> dict[str, Any]:
    """Return what a model is told as the fields of a command: a text as it stands, or messages."""
    if isinstance(source, str):
        return {"prompt": source}
    messages = list(source) if isinstance(source, (list, tuple)) else []
    if not messages or not all(isinstance(message, dict) for message in messages):
        msg = f"A text or a list of messages is needed, not {source!r:.80}."
        raise ParameterError(msg, "A message is {'role': 'user', 'content': text}.")
    return {"messages": messages}


def _candidate(given: dict[str, Any]) -> Candidate:
    return Candidate(id=given["token"], **{name: value for name, value in given.items() if name != "token"})
