"""A conversation as the one text that a model continues."""

from __future__ import annotations

from typing import Any, Literal

import jinja2
from llama_cpp.llama_chat_format import Jinja2ChatFormatter  # noqa: TID253 - this module is imported late

from ..errors import ParameterError

_PLAIN = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}: {{ message['content'] | trim }}\n"
    "{% endfor %}"
    "Assistant:"
)
_PLAIN_STOP = ("\nUser:", "\nSystem:", "\nAssistant:")
_ROLES = ("system", "user", "assistant")


class ChatTemplate:
    """The template of a model, or a plain one where the model has none that works.

    Parameters
    ----------
    source : str or None
        The Jinja text from the model's metadata.
    bos, eos : str
        The texts of the tokens that begin and end a conversation.

    Attributes
    ----------
    origin : "model" or "plain"
        Where the template is from.
    problem : str
        Why it is a plain one; empty for the model's own.
    stop : tuple of str
        Texts that end an answer in this template and are no tokens of the model.
    supports : dict
        What the template has words for: thinking, tools, vision.
    """

    def __init__(self, source: str | None, bos: str, eos: str) -> None:
        self.origin: Literal["model", "plain"] = "model"
        self.problem = ""
        self.stop: tuple[str, ...] = ()
        if source:
            try:
                self._formatter = Jinja2ChatFormatter(source, eos, bos)
            except (jinja2.TemplateError, RecursionError) as error:
                self.problem = f"its chat template cannot be read ({error})"
        else:
            self.problem = "it has no chat template"
        if self.problem:
            source = ""
            self.origin, self.stop = "plain", _PLAIN_STOP
            self._formatter = Jinja2ChatFormatter(_PLAIN, eos, bos)
        self.supports = {
            "thinking": "enable_thinking" in (source or "") or "<think>" in (source or ""),
            "tools": "tools" in (source or ""),
            "vision": False,
        }

    def render(self, messages: list[dict[str, Any]], thinking: bool | Literal["auto"]) -> str:
        """Return the prompt for ``messages``, up to where the assistant begins to speak."""
        turns = [_turn(index, message) for index, message in enumerate(messages)]
        if not turns:
            msg = "There are no messages to answer."
            raise ParameterError(msg, "Give at least one message of the user.")
        if turns[-1]["role"] == "user" and not turns[-1]["content"].strip():
            msg = "The prompt is empty."
            raise ParameterError(msg, "Write something first.")
        options: dict[str, Any] = {} if thinking == "auto" else {"enable_thinking": thinking}
        try:
            return self._formatter(messages=turns, **options).prompt
        except Exception as error:
            # A template is a program from the model's author: it refuses with what message it likes and fails as it
            # likes, for example where it wants user and assistant in turns, or no system message.
            msg = f"The chat template of the model refuses these messages: {error}."
            hint = "Some models take no system message, or want user and assistant in turns."
            raise ParameterError(msg, hint) from error


def _turn(index: int, message: object) -> Any:  # noqa: ANN401 - llama_cpp has a type for each role
    role = message.get("role") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if role not in _ROLES or not isinstance(content, str):
        msg = f"Message {index} is not one that can be answered."
        raise ParameterError(msg, f"A message is {{'role': one of {', '.join(_ROLES)}, 'content': text}}.")
    return {"role": role, "content": content}
