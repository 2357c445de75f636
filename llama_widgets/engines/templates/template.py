"""A conversation as the one text that a model continues."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ...errors import ParameterError
from .dialect import Dialect
from .sandbox import Template
from .segments import Segmenter, Tags
from .toolcalls import check_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .dialect import Message

_PLAIN = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}: {{ message['content'] | trim }}\n"
    "{% endfor %}"
    "Assistant:"
)
_PLAIN_STOP = ("\nUser:", "\nSystem:", "\nAssistant:")
_ROLES = ("system", "user", "assistant", "tool")
_SWITCHES = ("enable_thinking", "thinking")


class ChatTemplate:
    """The template of a model, one that was given in its place, or a plain one where there is none that works.

    Parameters
    ----------
    source : str or None
        The Jinja text from the model's metadata.
    bos, eos : str
        The texts of the tokens that begin and end a conversation.
    variants : mapping
        Further templates of the model by name. "tool_use" is used whenever there are tools.
    given : str or None
        A Jinja text, or the name of a variant, to use instead of the model's own.

    Attributes
    ----------
    origin : "model", "plain" or "given"
        Where the template is from.
    problem : str
        Why it is a plain one; empty otherwise.
    stop : tuple of str
        Texts that end an answer in this template and are no tokens of the model.
    supports : dict
        What the template has words for: chat, thinking, tools, vision. Tools that it has no words for are described in
        the system prompt.
    thinking_known : bool
        Whether it can be told to think or not to think.
    tags : Tags
        By what texts thoughts, text and calls are told apart in an answer.
    tools : ToolFormat
        What a call of a tool looks like.

    Raises
    ------
    ParameterError
        If the one that was given does not work, or names no variant.
    """

    def __init__(
        self,
        source: str | None,
        bos: str,
        eos: str,
        *,
        variants: Mapping[str, str] | None = None,
        given: str | None = None,
    ) -> None:
        self._names = {"bos_token": bos, "eos_token": eos}
        self.origin: Literal["model", "plain", "given"] = "model"
        self.problem = ""
        self.stop: tuple[str, ...] = ()
        variants = variants or {}
        if given is not None:
            self.origin = "given"
            self._main = self._given(given, source, variants)
        else:
            self._main = self._own(source)
        self._with_tools = self._main
        if self.origin == "model" and "tool_use" in variants:
            with suppress(Exception):  # the main one says what it can
                self._with_tools = Dialect(Template(variants["tool_use"], self._names))
        self._understand()

    def _given(self, given: str, source: str | None, variants: Mapping[str, str]) -> Dialect:
        text = {"default": source or "", **variants}.get(given, given)
        if not _is_jinja(text):
            msg = f"There is no chat template with the name {_short(given)!r}."
            names = ", ".join(sorted({*variants, *(["default"] if source else [])})) or "none"
            raise ParameterError(msg, f"The model's own are: {names}. Or give the text of a Jinja template.")
        try:
            return Dialect(Template(text, self._names))
        except Exception as error:
            msg = f"The chat template that was given cannot be used: {_short(str(error))}."
            raise ParameterError(msg, "Correct it, or leave it out to use the model's own.") from error

    def _own(self, source: str | None) -> Dialect:
        if source and _is_jinja(source):
            try:
                return Dialect(Template(source, self._names))
            except Exception as error:  # noqa: BLE001 - a program from the model's author
                self.problem = f"its chat template cannot be read ({_short(str(error))})"
        else:
            self.problem = "it has no chat template"
        self.origin, self.stop = "plain", _PLAIN_STOP
        return Dialect(Template(_PLAIN, self._names))

    def _understand(self) -> None:
        source = self._main.source + self._with_tools.source
        tags, self.tools = Tags.of(source), self._with_tools.format
        header = self._main.header
        for tag in tags.thought or ():  # some open the thought themselves, or an empty one
            header = header.partition(tag)[0]
        self.tags = replace(
            tags,
            header=header if header.strip() else "",
            call=(self.tools.open, self.tools.close),
            starts=self.tools.starts,
            marks=self.tools.marks,
        )
        opens = Segmenter(self.tags, self._main.header).segment == "thought"
        self.thinking_known = opens or any(name in self._main.variables for name in _SWITCHES)
        thinks = tags.thought is not None and tags.thought[0] in source
        self.supports = {
            "chat": True,
            "thinking": self.thinking_known or thinks,
            "tools": self._with_tools.tools,
            "vision": False,
        }

    @property
    def sha256(self) -> str:
        """The hash of the Jinja text; where there is another one for tools, of both, one after the other."""
        texts = dict.fromkeys((self._main.source, self._with_tools.source))
        return hashlib.sha256("".join(texts).encode()).hexdigest()

    def render(
        self,
        messages: Sequence[object],
        thinking: bool | Literal["auto"],
        tools: Sequence[dict[str, Any]] = (),
        *,
        answers: bool = True,
    ) -> str:
        """Return the prompt for ``messages``, up to where the assistant begins to speak.

        Parameters
        ----------
        messages : sequence of dict
            Each with ``role`` and ``content``. Those of an assistant may have ``tool_calls``, each with ``id``,
            ``name`` and ``arguments``, and ``thoughts``; those of a tool have ``name`` and ``tool_call_id``.
        thinking : bool or "auto"
            Whether the model shall think first; "auto" is what the template does by itself.
        tools : sequence of dict
            The tools there are to call.
        answers : bool
            Whether the assistant begins to speak in the end, where the template makes a difference.

        Raises
        ------
        ParameterError
            If the messages or the tools have not that shape, or the template refuses them.
        """
        turns = [_turn(index, message) for index, message in enumerate(messages)]
        if not turns:
            msg = "There are no messages to answer."
            raise ParameterError(msg, "Give at least one message of the user.")
        if turns[-1]["role"] == "user" and not turns[-1]["content"].strip():
            msg = "The prompt is empty."
            raise ParameterError(msg, "Write something first.")
        check_tools(tools)
        dialect = self._with_tools if tools else self._main
        switches: dict[str, Any] = {} if answers else {"add_generation_prompt": False}
        switches |= {name: thinking for name in _SWITCHES if name in dialect.variables and thinking != "auto"}
        try:
            prompt = dialect.render(turns, tools, switches)
        except Exception as error:
            msg = f"The chat template of the model refuses these messages: {_short(str(error))}."
            hint = "Some models take no system message, or want user and assistant in turns."
            raise ParameterError(msg, hint) from error
        return self.answer(prompt) if thinking is False and self._thinks(prompt) else prompt

    def answer(self, prompt: str) -> str:
        """Return ``prompt`` with all that the model writes before the answer itself: an open thought is closed.

        A beginning of the answer that is given, and a grammar that it must follow, belong there.
        """
        if self._thinks(prompt):
            return prompt + self.tags.closing
        return prompt if self.tags.said(prompt) else prompt + self.tags.opening

    def _thinks(self, prompt: str) -> bool:
        return Segmenter(self.tags, prompt).segment == "thought"


def _is_jinja(text: str) -> bool:
    return "{{" in text or "{%" in text


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"  # noqa: PLR2004 - what fits a message


def _turn(index: int, message: object) -> Message:
    """Return a message with all that its role has, or say what it should be."""
    turn = dict(message) if isinstance(message, dict) else {}
    role, content = turn.get("role"), turn.get("content")
    calls = (
        [_call(number, call) for number, call in enumerate(turn.get("tool_calls") or [])] if role == "assistant" else []
    )
    if calls and content is None:
        content = ""
    if role not in _ROLES or not isinstance(content, str) or None in calls:
        msg = f"Message {index} is not one that can be answered."
        raise ParameterError(msg, f"A message is {{'role': one of {', '.join(_ROLES)}, 'content': text}}.")
    put: Message = {"role": role, "content": content}
    if calls:
        put["tool_calls"] = calls
    if role == "assistant" and isinstance(turn.get("thoughts"), str):
        put["thoughts"] = turn["thoughts"]
    if role == "tool":
        put |= {"name": str(turn.get("name") or ""), "tool_call_id": str(turn.get("tool_call_id") or "")}
    return put


def _call(index: int, call: object) -> Message | None:
    """Return a call in our own form, also of one in OpenAI's; None if it is neither."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        return None
    name, arguments = function.get("name"), function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return {"id": str(call.get("id") or f"call-{index}"), "name": name, "arguments": arguments}
