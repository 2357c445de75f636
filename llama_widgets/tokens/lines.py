"""An answer and its branches, token by token."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..errors import ParameterError
from ..requests import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..worker import Worker
    from .subject import Subject

_DIGITS = 5
TOP = 10
"""How many alternatives are told beside each token."""


@dataclass(kw_only=True)
class Line:
    """An answer.

    Attributes
    ----------
    id : str
        Its name.
    title : str
        What it is, in words.
    tokens : list of dict
        Its own tokens: ``token``, ``text``, ``logprob`` (None for the first of all), ``rank`` (0 if it is not known)
        and in ``top`` the likeliest.
    parent : Line or None
        The answer that it has left ...
    position : int
        ... and where: so many tokens are those of the parent.
    growing : bool
        Whether it is still being made.
    """

    id: str = field(default_factory=new_id)
    title: str
    tokens: list[dict[str, Any]] = field(default_factory=list)
    parent: Line | None = None
    position: int = 0
    growing: bool = False

    @property
    def whole(self) -> list[dict[str, Any]]:
        """All tokens, those of the parent too."""
        before = self.parent.whole[: self.position] if self.parent else []
        return [*before, *self.tokens]

    @property
    def text(self) -> str:
        """What it says."""
        return "".join(token["text"] for token in self.whole)


class Lines:
    """An answer and its branches.

    Parameters
    ----------
    subject : Subject
        What is looked at.
    worker : Worker
        Who is asked.
    changed : callable
        Called with a line that is new, or has ended.
    grown : callable
        Called with a line and how many tokens of its own it had before.

    Attributes
    ----------
    all : list of Line
        The answer first, then its branches.
    n_vocab : int
        How many tokens the model knows; 0 if that was not told.
    """

    def __init__(
        self,
        subject: Subject,
        worker: Worker,
        changed: Callable[[Line], object],
        grown: Callable[[Line, int], object],
    ) -> None:
        self._subject = subject
        self._worker = worker
        self._changed = changed
        self._grown = grown
        self._lock = threading.Lock()
        self.all: list[Line] = []
        self.n_vocab = 0

    def read(self) -> None:
        """Find out how likely each token is; of an answer whose probabilities were kept, that is known."""
        subject = self._subject
        title = "Answer" if subject.messages or subject.logprobs else "Text"
        line = Line(title=title, tokens=[row(each) for each in subject.logprobs], growing=not subject.logprobs)
        self.all = [line]
        if not subject.text:
            line.growing = False
        if line.growing:
            command = p.Judge(
                request_id=line.id,
                text=subject.text,
                top=TOP,
                model=subject.model,
                load=subject.load,
                **subject.told,
            )
            try:
                end = cast("p.JudgeDone", self._worker.run(command))
                line.tokens = [row(each) for each in end.tokens]
                self.n_vocab = end.n_vocab
            finally:
                line.growing = False
        self._changed(line)

    def branch(self, position: int, token: int, line: str = "") -> Line:
        """Return a new answer, which is to be grown: it goes on from another one with another token."""
        parent = self.find(line)
        tokens = parent.whole
        if not 0 <= position < len(tokens):
            msg = f"There is no token {position}: the answer has {len(tokens):,}."
            raise ParameterError(msg, "They are counted from 0.")
        chosen = tokens[position]
        found = [(rank, each) for rank, each in enumerate(chosen["top"], 1) if each["token"] == token]
        if not found or token == chosen["token"]:
            msg = f"The token {token} is no alternative there."
            raise ParameterError(msg, "Choose one of the likeliest, in 'top' of the token.")
        rank, other = found[0]
        with self._lock:
            title = f"Branch {len(self.all)}: {_quoted(other['text'])} in place of {_quoted(chosen['text'])}"
            branch = Line(
                title=title,
                tokens=[{**other, "rank": rank, "top": chosen["top"]}],
                parent=parent,
                position=position,
                growing=True,
            )
            self.all.append(branch)
        self._changed(branch)
        return branch

    def find(self, line: str = "") -> Line:
        """Return the answer with this id, or the first."""
        found = [each for each in self.all if line in ("", each.id)]
        if not found:
            msg = f"There is no answer {line!r:.80}." if line else "There is no answer yet."
            raise ParameterError(msg, "Wait until the text was read, and name one of 'lines'.")
        return found[0]

    def grow(self, line: Line) -> None:
        """Let the model go on with a branch."""

        def hear(event: p.Event) -> None:
            if isinstance(event, p.CompletionChunk) and event.logprobs:
                before = len(line.tokens)
                line.tokens += [row(each) for each in event.logprobs]
                self._grown(line, before)

        try:
            self._worker.run(self._command(line), hear)
        finally:
            line.growing = False
            self._changed(line)

    def _command(self, line: Line) -> p.Generate:
        subject = self._subject
        shared: dict[str, Any] = {
            "request_id": line.id,
            "options": replace(subject.options, top_logprobs=TOP),
            "model": subject.model,
            "load": subject.load,
            "response_tokens": [each["token"] for each in line.whole],
        }
        if subject.messages:
            return p.GenerateChatCompletion(messages=subject.messages, **shared)
        return p.GenerateCompletion(prompt=subject.prompt, **shared)


def row(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what there is to say of a token: ``token``, ``text``, ``logprob``, ``rank`` and ``top``.

    ``rank`` is 0 where it is not known: who draws tokens tells the likeliest only.
    """
    top = [{"token": each["token"], "text": each["text"], "logprob": _short(each["logprob"])} for each in told["top"]]
    found = [rank for rank, each in enumerate(top, 1) if each["token"] == told["token"]]
    rank = told.get("rank") or (found[0] if found else 0)
    logprob = None if told["logprob"] is None else _short(told["logprob"])
    return {"token": told["token"], "text": told["text"], "logprob": logprob, "rank": rank, "top": top}


def _short(logprob: float) -> float:
    # Thousands of them travel, and no eye sees more.
    return round(logprob, _DIGITS)


def _quoted(text: str) -> str:
    return f"“{text.replace(' ', '␣').replace(chr(10), '↵')}”"
