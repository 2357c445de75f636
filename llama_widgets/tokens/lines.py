"""An answer and its branches, token by token."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..errors import ContextOverflowError, ParameterError
from ..requests import new_id
from .rendering import render

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
    turn : str
        The id of the turn that it is in a conversation; "" if it is in none.
    """

    id: str = field(default_factory=new_id)
    title: str
    tokens: list[dict[str, Any]] = field(default_factory=list)
    parent: Line | None = None
    position: int = 0
    growing: bool = False
    turn: str = ""

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
        Called with a line that is new, or has ended; one that came to nothing is no longer in ``all``.
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
        known = [row(each) for each in subject.logprobs]
        line = Line(title=title, tokens=known, growing=bool(subject.text and not known), turn=subject.turn)
        self.all = [line]
        try:
            if line.growing:
                end = self._judged(line.id)
                line.tokens = [row(each) for each in end.tokens]
                self.n_vocab = end.n_vocab
                if not end.cancelled:
                    self._remember(end.tokens)
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
            if line.parent is not None and line.parent.turn:
                self._grow_in_chat(line, hear)
            else:
                self._worker.run(self._command(line), hear)
        except Exception:
            if len(line.tokens) == 1 and all(other.parent is not line for other in self.all):
                self.all.remove(line)  # it came to nothing
            raise
        finally:
            line.growing = False
            self._changed(line)

    def _judged(self, request_id: str) -> p.JudgeDone:
        subject = self._subject
        command = p.Judge(
            request_id=request_id, text=subject.text, top=TOP, model=subject.model, load=subject.load, **subject.told
        )
        try:
            return cast("p.JudgeDone", self._worker.run(command))
        except ContextOverflowError:
            if subject.chat is None:
                raise
        # As when it was answered: without the turns that no longer fit.
        rendered = render(subject.chat, subject.model, worker=self._worker)
        gone = {span.message for span in rendered.spans if span.state == "dropped"}
        told = [message for index, message in enumerate(subject.messages) if index not in gone]
        return cast("p.JudgeDone", self._worker.run(replace(command, messages=told)))

    def _grow_in_chat(self, line: Line, hear: Callable[[p.Event], None]) -> None:
        chat, parent = self._subject.chat, line.parent
        assert chat is not None  # noqa: S101 - else there would be no turn
        assert parent is not None  # noqa: S101 - a branch has one
        if parent.turn not in [turn.id for turn in chat.record.turns]:
            chat.switch(parent.turn)  # another branch is shown
        options = {
            name: value for name, value in vars(self._subject.options).items() if value != vars(chat.options)[name]
        }
        stop = chat.watch(lambda event: hear(cast("p.Event", event)) if event.request_id == line.id else None)
        try:
            answer = chat.submit_from(
                line.position,
                line.tokens[0]["token"],
                turn=parent.turn,
                request_id=line.id,
                **{**options, "top_logprobs": TOP},
            )
            line.turn = answer.turn.id
            answer.wait()
        finally:
            stop()

    def _remember(self, tokens: list[dict[str, Any]]) -> None:
        """Keep with the answer which tokens it has, if that is not known, so that the conversation can branch there."""
        chat = self._subject.chat
        for turn in chat.record.turns if chat is not None else ():
            if turn.id == self._subject.turn and turn.done is not None and turn.content == self._subject.text:
                turn.done = replace(turn.done, text=turn.content, logprobs=tokens)

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
