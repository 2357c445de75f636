"""From a request to the tokens that the model continues; what leaves when they are more than fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ContextOverflowError, LlamaWidgetsError, ParameterError
from ..options import GenerationOptions
from ..protocol import GenerateChatCompletion, GenerateCompletion, Predict
from .cache import common

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..protocol import Generate, Judge
    from .model import Model

_SHORTEN = "Shorten it, begin a new conversation, or load the model with a larger n_ctx."
_AFTER_SHIFT = 3 / 4
_RESERVE = 1 / 4


@dataclass(frozen=True)
class Prompt:
    """What the model continues.

    Attributes
    ----------
    text : str
        The end of it as text, where a thought may have been opened.
    tokens : list of int
        All of it.
    dropped : int
        How many of the oldest messages were left out.
    """

    text: str
    tokens: list[int]
    dropped: int = 0


def prompt(command: Generate, model: Model, n_ctx: int, answered: int = 0) -> Prompt:
    """Return the prompt of a request.

    Parameters
    ----------
    command : Generate
        The request.
    model : Model
        Whose template and vocabulary it is written in.
    n_ctx : int
        The tokens that fit, prompt and answer together.
    answered : int
        Tokens of the answer that are there already and follow the prompt.

    Raises
    ------
    ContextOverflowError
        If it does not fit, with the numbers. Of a conversation, that is its last message.
    ParameterError
        If nothing can be made of it.
    """
    if isinstance(command, GenerateCompletion):
        return _completion(command, model, n_ctx - answered)
    text = _render(command, model, command.messages)
    groups = _groups(command.messages)
    n_ctx -= answered
    room = n_ctx - min(command.options.max_tokens or n_ctx, int(n_ctx * _RESERVE))
    if command.options.context_overflow == "shift" and len(groups) > 1:
        count = model.count(text)
        if count > room:
            return _shifted(command, model, groups, count, n_ctx, room)
    return Prompt(text, _tokens(model, text, n_ctx))


def predicted(command: Predict, model: Model, n_ctx: int) -> list[int]:
    """Return the tokens after which the next one is asked for.

    Raises
    ------
    ContextOverflowError, ParameterError
        As ``prompt``.
    """
    model.check(command.response_tokens)
    before = prompt(_asked(command, command.response_prefix), model, n_ctx, len(command.response_tokens))
    return [*before.tokens, *command.response_tokens]


def judged(command: Judge, model: Model, n_ctx: int) -> tuple[list[int], int]:
    """Return the tokens of a text with what is before it, and how many these are.

    What is before and the text are one for the tokeniser: a token that has parts of both belongs to the text.

    Raises
    ------
    ContextOverflowError, ParameterError
        As ``prompt``.
    """
    model.check(command.tokens)
    if not command.text and not command.tokens:
        msg = "There is nothing to judge."
        raise ParameterError(msg, "Give a text.")
    count = len(command.tokens)
    if not command.messages and not command.prompt:
        tokens = _tokens(model, command.text, n_ctx - count)
        return [*tokens, *command.tokens], len(tokens) - len(model.tokens(command.text))
    before = prompt(_asked(command, ""), model, n_ctx, count).tokens
    tokens = before if not command.text else prompt(_asked(command, command.text), model, n_ctx, count).tokens
    return [*tokens, *command.tokens], common(before, tokens)


def _asked(command: Predict | Judge, prefix: str) -> Generate:
    """Return the request of which an answer would begin with ``prefix``."""
    options = command.options if isinstance(command, Predict) else GenerationOptions(context_overflow="stop")
    if not command.messages:
        return GenerateCompletion(request_id="", prompt=command.prompt + prefix, options=options)
    return GenerateChatCompletion(
        request_id="",
        messages=command.messages,
        thinking=command.thinking,
        tools=command.tools,
        response_prefix=prefix,
        options=options,
    )


def beginning(model: Model) -> list[int]:
    """Return the tokens with which every chat begins that gives no system prompt: that of the template, if it has one.

    They are found by asking for two chats that have nothing else in common.
    """
    try:
        asked = [model.template.render([{"role": "user", "content": word}], "auto", []) for word in ("a", "1")]
        first, second = (model.tokenise(text, model.n_ctx_train) for text in asked)
    except LlamaWidgetsError:  # a template that wants more than one message is no reason not to load its model
        return []
    return first[: common(first, second)]


def _shifted(
    command: GenerateChatCompletion, model: Model, groups: list[list[dict[str, Any]]], count: int, n_ctx: int, room: int
) -> Prompt:
    """Leave out the oldest turns, so that the rest fits ``room``; the system prompt and the last turn stay."""
    system = [message for message in command.messages if message.get("role") == "system"]
    said = [[model.count(str(message.get("content"))) for message in group] for group in (system, *groups)]
    # What the template writes around each message.
    around = math.ceil(max(0, count - sum(map(sum, said))) / len(command.messages))
    fixed, *sizes = (sum(group) + around * len(group) for group in said)
    first = first_kept(sizes, fixed, room)
    while True:
        kept = [message for group in groups[first:] for message in group]
        text = _render(command, model, [*system, *kept])
        count = model.count(text)
        last = first == len(groups) - 1
        if count <= room or (last and count < n_ctx):
            return Prompt(text, _tokens(model, text, n_ctx), sum(map(len, groups[:first])))
        if last:
            msg = (
                f"The last message alone makes a prompt of about {count:,} tokens, and the context has room for "
                f"{n_ctx:,}."
            )
            raise ContextOverflowError(msg, _SHORTEN)
        first += 1


def first_kept(sizes: Sequence[int], fixed: int, room: int) -> int:
    """Return the index of the first turn that stays, of turns with these ``sizes`` after ``fixed`` tokens.

    Goes through the conversation as it grew: whenever it outgrew ``room``, the oldest turns left until it filled three
    quarters of it. So nothing needs to be remembered, and the prompt begins the same for many questions in a row,
    which lets it be reused. The last turn always stays.
    """
    first, total = 0, fixed
    for index, size in enumerate(sizes):
        total += size
        if total > room:
            while first < index and total > room * _AFTER_SHIFT:
                total -= sizes[first]
                first += 1
    return first


def _groups(messages: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the messages but those of the system in turns, each of which begins with one of the user."""
    groups: list[list[dict[str, Any]]] = []
    for message in messages:
        role = message.get("role")
        if role == "system":
            continue
        if role == "user" or not groups:
            groups.append([])
        groups[-1].append(message)
    return groups


def _render(command: GenerateChatCompletion, model: Model, messages: list[dict[str, Any]]) -> str:
    template = model.template
    text = template.render(messages, command.thinking, [] if command.tool_choice == "none" else command.tools)
    held = command.options.grammar is not None or command.options.json_schema is not None
    if command.response_prefix or (held and template.tags.channels):
        text = template.answer(text)  # a grammar knows nothing of the headers that such a model writes between
    return text + command.response_prefix


def _completion(command: GenerateCompletion, model: Model, n_ctx: int) -> Prompt:
    if not command.prompt and command.response_tokens:
        return Prompt("", model.tokenise("", n_ctx))
    if not command.prompt and not command.suffix:
        msg = "The prompt is empty."
        raise ParameterError(msg, "Write something first.")
    if command.suffix is None:
        return Prompt(command.prompt, _tokens(model, command.prompt, n_ctx))
    return Prompt("", model.infill(command.prompt, command.suffix, n_ctx))


def _tokens(model: Model, text: str, n_ctx: int) -> list[int]:
    tokens = model.tokenise(text, n_ctx)
    if not tokens:  # llama.cpp would go on from whatever it computed last
        msg = "Nothing of the prompt reaches the model."
        raise ParameterError(msg, "Its chat template leaves these messages out; try others, or another model.")
    return tokens
