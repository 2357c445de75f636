"""What tokens are looked at: a text or an answer, with all that a model was told before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..chat.classrooms import current
from ..chat.conversation import Chat
from ..chat.reply import Reply
from ..chat.turns import plain_copy, prompt, without_lone_surrogates
from ..errors import ParameterError
from ..options import GenerationOptions
from ..wire import build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..options import LoadOptions


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A text or an answer.

    Attributes
    ----------
    model : str or None
        Which model is asked; ``None`` is the one in memory.
    text : str
        The text, or the answer.
    messages : list of dict
        The conversation that it answers; empty for a text that stands alone.
    prompt : str
        What a text that stands alone goes on from.
    logprobs : list of dict
        The tokens of the answer as they were drawn, if that was kept.
    options : GenerationOptions
        How it is gone on with.
    load : LoadOptions or None
        What the model is loaded with.
    chat : Chat or None
        The conversation that it belongs to.
    turn : str
        The id of the answer there.
    """

    model: str | None
    text: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    prompt: str = ""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    options: GenerationOptions = field(default_factory=GenerationOptions)
    load: LoadOptions | None = None
    chat: Chat | None = None
    turn: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """What stands before the text, as the fields of a command."""
        return {"messages": self.messages} if self.messages else {"prompt": self.prompt}

    @property
    def conversation(self) -> list[dict[str, Any]]:
        """All of it as messages; a text that stands alone as the question that it could be."""
        if not self.messages:
            return [{"role": "user", "content": self.prompt + self.text}]
        return [*self.messages, *([{"role": "assistant", "content": self.text}] if self.text else [])]


def subject(source: object, model: object, options: Mapping[str, Any]) -> Subject:
    """Return what ``source`` is: a text, a reply, a conversation or a list of messages.

    Raises
    ------
    ParameterError
        If it is none of these, or an option is wrong.
    """
    match source:
        case str():
            return _of_text(source, model, options)
        case Reply():
            return _of_reply(source, model, options)
        case Chat():
            return _of_chat(source, model, options)
        case list() | tuple():
            return _of_chat(Chat(model, messages=source), None, options)
    msg = f"Tokens are of a text, a reply or a conversation, not of {type(source).__name__}."
    raise ParameterError(msg, 'For example lw.TokenView("The sky is blue.") or lw.TokenView(chat).')


def _of_text(text: str, model: object, options: Mapping[str, Any]) -> Subject:
    room = current()
    named = room.asked(model)
    usual = {} if "max_tokens" in room.given else {"max_tokens": 60}
    return Subject(
        model=named,
        text=without_lone_surrogates(text),
        options=room.settings.changed({**usual, **options}).options,
        load=room.load if named else None,
    )


def _of_reply(reply: Reply, model: object, options: Mapping[str, Any]) -> Subject:
    room = current()
    named = room.asked(model or reply.model or None)
    made = {**(reply.provenance.known() if reply.provenance else {}), **reply.asked}
    known = {name: value for name, value in (made.get("parameters") or {}).items() if name in _FIELDS}
    return Subject(
        model=named,
        text=reply.text,
        messages=plain_copy(made.get("messages") or []),
        prompt=str(made.get("prompt") or ""),
        logprobs=reply.logprobs,
        options=_options({**known, **options}),
        load=room.load if named else None,
    )


def _of_chat(chat: Chat, model: object, options: Mapping[str, Any]) -> Subject:
    turns = chat.record.turns
    last = turns[-1] if turns and turns[-1].role == "assistant" else None
    before = turns[:-1] if last else turns
    settings = chat.settings.changed(options)
    return Subject(
        model=chat.model if model is None and chat.model else current().asked(model),
        text=last.content if last else "",
        messages=prompt(before, chat.system),
        logprobs=last.done.logprobs if last and last.done and not last.thoughts else [],
        options=settings.options,
        load=chat.load_options,
        chat=chat,
        turn=last.id if last else "",
    )


_FIELDS = GenerationOptions.__dataclass_fields__


def _options(options: Mapping[str, Any]) -> GenerationOptions:
    return build(GenerationOptions, dict(options), where="the options", error=ParameterError)
