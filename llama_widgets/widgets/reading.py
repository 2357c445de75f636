"""What a model reads of a conversation, as the views of a TokenView are told: template, and what fills the context."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..chat.turns import prompt
from ..tokens.rendering import Rendered, render
from .messages.tokens import Context, Template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..tokens.subject import Subject
    from ..worker import Worker

_LONGEST = 160


def of_template(subject: Subject, worker: Worker) -> Template:
    """Return what the template makes of the conversation, in stretches of one role."""
    rendered = _rendered(subject, worker)
    runs = [
        {"role": role, "special": special, "text": "".join(text for _, _, text in stretch)}
        for (role, special), stretch in groupby(_parts(rendered), key=lambda part: part[:2])
    ]
    return Template(request_id="", runs=runs, tokens=len(rendered.tokens))


def of_context(subject: Subject, worker: Worker) -> Context:
    """Return what fills the context, and what was left out."""
    rendered = _rendered(subject, worker)
    chat = subject.chat
    messages = prompt(chat.record.turns, chat.system) if chat is not None else subject.conversation
    stretches: list[dict[str, Any]] = []
    for span in rendered.spans:
        said = messages[span.message]["content"] if span.message is not None else rendered.text[span.start : span.end]
        shown = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
        role = "" if span.state == "template" else span.role
        stretches.append({"kind": span.state, "role": role, "text": shown, "tokens": span.tokens})
    return Context(request_id="", size=rendered.n_ctx, stretches=stretches)


def _rendered(subject: Subject, worker: Worker) -> Rendered:
    if subject.chat is not None or not subject.messages:
        return render(subject.chat or subject.conversation, subject.model, worker=worker)
    return render(subject.messages, subject.model, prefix=subject.text, worker=worker)


def _parts(rendered: Rendered) -> Iterator[tuple[str, bool, str]]:
    """Yield each token's text with its role, "" for what no message says, and whether the token is special."""
    for span in rendered.spans:
        for token in rendered.tokens_of(span):
            said = token.start is None or span.content_start <= token.start < span.content_end
            role = "" if token.special or span.state == "template" or not said else span.role
            yield role, token.special, token.text
