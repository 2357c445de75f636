"""What a TokenView and its views say to each other. Twin: ``frontend/src/tokens/messages.ts`` and ``commands.ts``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ...wire import Message, param, table

Tab = Literal["probabilities", "next", "tokenizer", "template", "context"]


@dataclass(frozen=True, kw_only=True)
class ShowTab(Message):
    """A view has opened a tab: make what it shows, if that was not done."""

    type = "show_tab"
    tab: Tab


@dataclass(frozen=True, kw_only=True)
class Branch(Message):
    """Go on from the answer ``line`` with another ``token`` at ``position``, as an answer beside it."""

    type = "branch"
    line: str
    position: int = param(0, 0, None)
    token: int = param(0, 0, None)


@dataclass(frozen=True, kw_only=True)
class Predict(Message):
    """Say what may come after ``text``."""

    type = "predict"
    text: str


@dataclass(frozen=True, kw_only=True)
class Take(Message):
    """Put ``token`` at the end, and say what may come after it."""

    type = "take"
    token: int = param(0, 0, None)


@dataclass(frozen=True, kw_only=True)
class Draw(Message):
    """Draw a token with these settings and take it."""

    type = "draw"
    temperature: float = param(0.8, 0, 5)
    top_k: int = param(40, 0, 1_000_000)
    top_p: float = param(0.95, 0, 1)
    min_p: float = param(0.05, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Untake(Message):
    """Take the last token away again."""

    type = "untake"


@dataclass(frozen=True, kw_only=True)
class Tokenize(Message):
    """Say which tokens ``text`` is for each of these models."""

    type = "tokenize"
    text: str
    models: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Detokenize(Message):
    """Say which text these tokens of the first model are, and what tokens that is for the others."""

    type = "detokenize"
    ids: list[int]
    models: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Line(Message):
    """An answer. Up to ``position`` its tokens are those of the answer ``parent``, ``tokens`` are what follows.

    Each has its ``token``, ``text``, ``logprob``, ``rank`` (0 if it is not known) and in ``top`` the likeliest.
    """

    type = "line"
    id: str
    title: str
    tokens: list[dict[str, Any]]
    parent: str = ""
    position: int = 0
    n_vocab: int = 0
    growing: bool = False


@dataclass(frozen=True, kw_only=True)
class Grown(Message):
    """More tokens of an answer that is being made, which had ``at`` of its own before."""

    type = "grown"
    line: str
    at: int
    tokens: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class LineGone(Message):
    """An answer came to nothing: it failed before its second token."""

    type = "line_gone"
    line: str


@dataclass(frozen=True, kw_only=True)
class Steps(Message):
    """What may come after ``prompt`` and the tokens that were ``taken``.

    ``tokens``, ``texts`` and ``logprobs`` are of the likeliest, from the likeliest on; ``tail`` are all others, as
    pairs of a log-probability and how many have about that. ``chat`` says that it is the answer to a conversation,
    ``ended`` that the last token that was taken is one with which the model ends.
    """

    type = "steps"
    prompt: str
    chat: bool
    ended: bool
    taken: list[dict[str, Any]]
    tokens: list[int]
    texts: list[str]
    logprobs: list[float]
    tail: list[list[float]]
    temperature: float
    top_k: int
    top_p: float
    min_p: float


@dataclass(frozen=True, kw_only=True)
class Tokenized(Message):
    """The tokens of ``text`` for each of the ``sides``: ``model``, ``pieces`` and ``error``.

    ``models`` are those that can be chosen: ``model`` and ``name``.
    """

    type = "tokenized"
    text: str
    models: list[dict[str, Any]]
    sides: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Template(Message):
    """What the model reads: stretches of it with their ``role``, ``text`` and whether that is ``special``."""

    type = "template"
    runs: list[dict[str, Any]]
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Context(Message):
    """What fills the context: stretches with their ``kind``, ``role``, ``text`` and ``tokens``, and its ``size``."""

    type = "context"
    size: int
    stretches: list[dict[str, Any]]


FROM_VIEW: dict[str, type[Message]] = table(ShowTab, Branch, Predict, Take, Draw, Untake, Tokenize, Detokenize)
TO_VIEW: dict[str, type[Message]] = table(Line, Grown, LineGone, Steps, Tokenized, Template, Context)
