"""What a model is told: the text that its template makes of a conversation, and which of it fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .. import protocol as p
from ..chat.asking import Asking
from ..chat.classrooms import current
from ..chat.exporting import table
from ..chat.turns import paired
from ..errors import ParameterError
from ..library.references import model_text
from ..wire import build
from ..worker import Worker, shared
from .layout import Layout
from .predicting import asked, told
from .rows import Rows
from .vocabulary import Tokens, located, vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..chat.conversation import Chat
    from ..engines.model import Model
    from ..options import LoadOptions

State = Literal["system", "kept", "new", "dropped", "template"]

_COLUMNS: dict[str, type] = {
    "id": int, "text": str, "special": bool, "role": str, "state": str, "message": int, "bytes": bytes
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of what a model is told: a message with what the template writes around it, or what it says by itself.

    Attributes
    ----------
    role : str
        "system", "user", "assistant" or "tool"; "template" for what no message says.
    state : str
        "system"; "new" is the last question and what follows it; "kept" is what is told of the turns before; "dropped"
        is what no longer fits and is not in the text; "template" is what no message says.
    message : int or None
        Which message, counted from 0.
    turn : str
        The id of the turn, where it is one of a ``Chat``.
    start, end : int
        Where it is in the text, in characters; together they are all of it.
    content_start, content_end : int
        Where that is what the message says.
    first, tokens : int
        Its first token, counted from 0, and how many it has; of a dropped one, how many what it says has.
    """

    role: str
    state: State
    message: int | None = None
    turn: str = ""
    start: int = 0
    end: int = 0
    content_start: int = 0
    content_end: int = 0
    first: int = 0
    tokens: int = 0


class Spans(Rows[Span]):
    """Stretches of what a model is told, in their order: a list of ``Span``."""

    columns: ClassVar[dict[str, type]] = {
        "role": str, "state": str, "message": int, "turn": str, "start": int, "end": int,
        "content_start": int, "content_end": int, "first": int, "tokens": int,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What a model is told.

    Attributes
    ----------
    text : str
        What the template makes of the messages that fit, with the tokens that steer the model as text.
    tokens : Tokens
        The tokens of that.
    spans : Spans
        Its messages, and those that were dropped.
    n_ctx : int
        How many tokens the context has room for.
    """

    text: str
    tokens: Tokens
    spans: Spans
    n_ctx: int

    @property
    def dropped(self) -> int:
        """How many messages the model is not told."""
        return sum(span.state == "dropped" for span in self.spans)

    @property
    def free(self) -> int:
        """How many tokens there is still room for."""
        return max(0, self.n_ctx - len(self.tokens))

    def to_dataframe(self, library: str | None = None) -> Any:  # noqa: ANN401 - of pandas or polars
        """Return a table with a row for each token, and whose it is; ``spans`` and ``tokens`` are tables too."""
        rows = []
        for span in self.spans:
            for token in self.tokens_of(span):
                of_token = {name: getattr(token, name) for name in ("id", "text", "special", "bytes")}
                rows.append({**of_token, "role": span.role, "state": span.state, "message": span.message})
        return table(rows, _COLUMNS, library)

    def tokens_of(self, span: Span) -> Tokens:
        """Return the tokens of a stretch: those that begin in it."""
        return Tokens(self.tokens[span.first : span.first + span.tokens] if span.state != "dropped" else ())


def render(
    source: Sequence[Mapping[str, Any]] | Asking,
    model: object = None,
    *,
    n_ctx: int | None = None,
    thinking: bool | Literal["auto"] = "auto",
    tools: Sequence[dict[str, Any]] = (),
    prefix: str = "",
    worker: Worker | None = None,
) -> Rendered:
    """Return what a model is told of a conversation: the text that its template makes, and which messages fit.

    Nothing is evaluated, and nobody waits for an answer that is made.

    Parameters
    ----------
    source : list of dict or Chat or ChatPanel
        Messages, as they are told before an answer. Or a conversation as it stands; its last answer is the end of it.
    model : str or path or Model, optional
        Any model on this machine, by default that of the conversation or of the classroom, or the one in memory. No
        weights are loaded.
    n_ctx : int, optional
        Tokens of the context, by default as the model was loaded, or would be.
    thinking : bool or "auto"
        Whether the model shall think first; of a conversation, that is one of its settings.
    tools : sequence of dict
        Tools as OpenAI's interface describes them; of a conversation, they are among its settings.
    prefix : str
        What the answer begins with, where messages are given.
    worker : Worker, optional
        By default the one that all conversations of this process share.

    Raises
    ------
    ContextOverflowError
        If the last message alone does not fit.
    ParameterError
        If the template refuses the messages.
    NoModelError
        If no model is named and none is in memory.

    Examples
    --------
    >>> print(lw.render([{"role": "user", "content": "Hi"}]).text)  # doctest: +SKIP
    """
    fields: dict[str, Any] = {"request_id": "", "thinking": thinking, "tools": list(tools)}
    turns: list[str] = []
    if isinstance(source, Asking):
        source = source.chat
        model, worker, load = model or source.model or None, worker or source.worker, source.load_options
        about, turns = _of_chat(source)
        fields |= about
    else:
        messages = told(source).get("messages")
        if messages is None:
            msg = "Messages are rendered, not a text."
            raise ParameterError(msg, "For example lw.render([{'role': 'user', 'content': 'Hi'}]).")
        fields |= {"messages": messages, "response_prefix": prefix}
        load = current().load
    model = current().model if model is None else model
    known = vocabulary(model, worker, load.chat_template if load else None)
    size = n_ctx or _size(model_text(model), known, worker or shared(), load)
    command = build(p.GenerateChatCompletion, fields, where="what is rendered", error=ParameterError)
    return _rendered(command, known, size, turns)


def _of_chat(chat: Chat) -> tuple[dict[str, Any], list[str]]:
    """Return what the model is told of a conversation with its last answer, and the turn of each message."""
    settings, turns = chat.settings, chat.record.turns
    before = asked(turns)
    last = turns[-1] if len(before) < len(turns) else None
    pairs = paired(before)
    system = [{"role": "system", "content": chat.system}] if chat.system else []
    fields = {
        "messages": [*system, *(message for _, message in pairs)],
        "options": replace(settings.options, grammar=None, json_schema=None),
        "thinking": settings.thinking,
        "tools": settings.offered,
        "response_prefix": last.content if last else "",
    }
    return fields, [*("" for _ in system), *(turn.id for turn, _ in pairs), last.id if last else ""]


def _size(named: str, model: Model, worker: Worker, load: LoadOptions | None) -> int:
    """Return how many tokens the context of a model has, or would have."""
    from ..engines.memory import MOST_AUTO

    loaded = worker.loaded
    if loaded is not None and loaded.n_ctx and (not named or worker.is_loaded(named, load)):
        return loaded.n_ctx
    if load is not None and load.n_ctx != "auto":
        return load.n_ctx
    return min(model.n_ctx_train or MOST_AUTO, MOST_AUTO)


def _rendered(command: p.GenerateChatCompletion, model: Model, n_ctx: int, turns: Sequence[str]) -> Rendered:
    from ..engines.prompt import prompt

    made = prompt(command, model, n_ctx)
    text, messages = made.text, command.messages
    said = [index for index, message in enumerate(messages) if message["role"] != "system"]
    system = [index for index, message in enumerate(messages) if message["role"] == "system"]
    gone, fits = said[: made.dropped], [*system, *said[made.dropped :]] if made.dropped else [*range(len(messages))]
    kept = [messages[index] for index in fits]
    places = Layout(model.template, command.thinking, command.tools).places(kept, text)
    newest = max((at for at, message in enumerate(kept) if message["role"] == "user"), default=0)

    def span(at: int) -> Span:
        index, role = fits[at], kept[at]["role"]
        state: State = "system" if role == "system" else "new" if at >= newest else "kept"
        turn = turns[index] if turns else ""
        return Span(role=role, state=state, message=index, turn=turn, **places[at]._asdict())

    spans = [Span(role="template", state="template", end=places[0].start, content_end=places[0].start)]
    spans += [span(at) for at in range(len(kept))]
    spans.append(_ending(command, len(text), places[-1].end, turns))
    tokens = located(model, made.tokens, text)
    counted = _counted([each for each in spans if each.end > each.start], tokens)
    first = next((at for at, each in enumerate(counted) if each.state in ("kept", "new")), len(counted))
    where = counted[first].start if first < len(counted) else 0
    left_out = [
        Span(
            role=messages[index]["role"],
            state="dropped",
            message=index,
            turn=turns[index] if turns else "",
            **dict.fromkeys(("start", "end", "content_start", "content_end"), where),
            tokens=model.count(str(messages[index].get("content") or "")),
        )
        for index in gone
    ]
    return Rendered(text=text, tokens=tokens, spans=Spans([*counted[:first], *left_out, *counted[first:]]), n_ctx=n_ctx)


def _ending(command: p.GenerateChatCompletion, end: int, start: int, turns: Sequence[str]) -> Span:
    """Return the stretch in which the assistant speaks, or where it begins to."""
    if not command.response_prefix:
        return Span(role="template", state="template", start=start, end=end, content_start=end, content_end=end)
    return Span(
        role="assistant",
        state="new",
        message=len(command.messages),
        turn=turns[-1] if turns else "",
        start=start,
        end=end,
        content_start=end - len(command.response_prefix),
        content_end=end,
    )


def _counted(spans: Sequence[Span], tokens: Tokens) -> list[Span]:
    """Return stretches, which follow each other, with the tokens that begin in each."""
    counts = [0] * len(spans)
    at = 0
    for token in tokens:
        while token.start is not None and at < len(spans) - 1 and token.start >= spans[at].end:
            at += 1
        counts[at] += 1
    firsts = [0, *accumulate(counts)]
    return [replace(span, first=first, tokens=count) for span, first, count in zip(spans, firsts, counts, strict=False)]
