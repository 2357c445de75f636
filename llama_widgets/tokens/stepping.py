"""A text that is written token by token: look at what may come next, take one, take it away again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..errors import ParameterError
from ..options import GenerationOptions
from ..requests import new_id
from ..wire import build

if TYPE_CHECKING:
    from ..worker import Worker
    from .subject import Subject

SETTINGS = ("temperature", "top_k", "top_p", "min_p")
_LIKELIEST = 500
_ALL = 1_000_000
_STEP = 0.1
"""Log-probabilities of unlikely tokens are told as how many lie within steps of this width: at temperature 1 the sum of
their probabilities is then right to a thousandth."""


class Stepper:
    """Writes a text token by token.

    Parameters
    ----------
    subject : Subject
        What it goes on with: a text, or the answer to a conversation, from its beginning.
    worker : Worker
        Who is asked.

    Attributes
    ----------
    taken : list of dict
        The ``token`` and ``text`` of what was taken.
    likeliest : list of dict
        The ``token``, ``text`` and ``logprob`` of what may come next, from the likeliest on.
    tail : list of list of float
        All other tokens: pairs of a log-probability and how many have about that.
    ended : bool
        Whether the last token that was taken is one with which the model ends: then nothing comes next.
    """

    def __init__(self, subject: Subject, worker: Worker) -> None:
        self._subject = subject
        self._worker = worker
        self._memory = new_id()
        self.prompt = subject.messages[-1]["content"] if subject.messages else subject.prompt + subject.text
        self.taken: list[dict[str, Any]] = []
        self.likeliest: list[dict[str, Any]] = []
        self.tail: list[list[float]] = []
        self.ended = False
        self.request_id = ""

    @property
    def of_chat(self) -> bool:
        """Whether it is the answer to a conversation."""
        return bool(self._subject.messages)

    @property
    def settings(self) -> dict[str, Any]:
        """What tokens are drawn with, unless something else is said."""
        return {name: getattr(self._subject.options, name) for name in SETTINGS}

    def look(self) -> None:
        """Ask what may come next."""
        self._look(self.taken)

    def begin(self, text: str) -> None:
        """Begin anew, after another text."""
        if not text:
            msg = "There is nothing to go on from."
            raise ParameterError(msg, "Write the beginning of a text.")
        self.prompt = text
        self._look([])

    def take(self, token: int) -> None:
        """Put one of the likeliest tokens at the end, and look what may come after it."""
        self._check_end()
        found = [each for each in self.likeliest if each["token"] == token]
        if not found:
            msg = f"The token {token} is not among those that may come next."
            raise ParameterError(msg, "Take one of the likeliest.")
        self._take(found[0])

    def draw(self, **settings: float) -> None:
        """Draw a token as the model would with these settings, and look what may come after it."""
        self._check_end()
        options = build(GenerationOptions, {**self.settings, **settings}, where="the options", error=ParameterError)
        chosen = self._ask(self.taken, replace(options, seed=None), 1).chosen
        if chosen:
            self._take(chosen)

    def undo(self) -> None:
        """Take the last token away again."""
        if self.taken:
            self._look(self.taken[:-1])

    def _check_end(self) -> None:
        if self.ended:
            msg = "The model has ended here: nothing comes next."
            raise ParameterError(msg, "Undo that, or begin anew.")

    def _take(self, token: dict[str, Any]) -> None:
        self._look([*self.taken, {"token": token["token"], "text": token["text"]}])

    def _look(self, taken: list[dict[str, Any]]) -> None:
        end = self._ask(taken, GenerationOptions(), _ALL)
        if end.cancelled:
            return
        self.taken = taken
        self.ended = end.ended
        self.likeliest = end.candidates[:_LIKELIEST]
        self.tail = tail([each["logprob"] for each in end.candidates[_LIKELIEST:]])

    def _ask(self, taken: list[dict[str, Any]], options: GenerationOptions, top: int) -> p.PredictDone:
        subject = self._subject
        told = subject.told if self.of_chat else {"prompt": self.prompt}
        self.request_id = new_id()
        command = p.Predict(
            request_id=self.request_id,
            response_tokens=[each["token"] for each in taken],
            options=options,
            top=top,
            model=subject.model,
            load=subject.load,
            conversation=self._memory,
            **told,
        )
        return cast("p.PredictDone", self._worker.run(command))


def tail(logprobs: list[float]) -> list[list[float]]:
    """Return sorted log-probabilities as pairs of one and how many are about there."""
    import numpy as np

    if not logprobs:
        return []
    known = np.array(logprobs)
    known = known[np.isfinite(known)]
    steps = np.floor((known[0] - known) / _STEP).astype(int) if len(known) else np.array([], int)
    counts = np.bincount(steps)
    # Those of a step have together the probability that they have.
    sums = np.bincount(steps, np.exp(known))
    return [[round(float(np.log(s / n)), 4), int(n)] for s, n in zip(sums, counts, strict=True) if n and s]
