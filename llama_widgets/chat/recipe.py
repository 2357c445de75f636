"""The Python that makes a reply again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH = 88
_INDENT = "    "
_ONE_ANSWER = {"response_prefix", "response_tokens"}
"""Parameters of a question, not of a conversation."""
_PLAIN = re.compile(r'[^\\"\r\0-\x08\x0b-\x1f\x7f]*"?[^\\"\r\0-\x08\x0b-\x1f\x7f]+')
"""What can stand between triple quotes as it is."""


def code(made: Mapping[str, Any]) -> str:
    """Return a cell that asks for the reply that was ``made`` so.

    Raises
    ------
    ParameterError
        If it is not known how it was made.
    """
    if not isinstance(parameters := made.get("parameters"), dict) or not {"messages", "prompt"} & made.keys():
        msg = "This reply does not say how it was made."
        raise ParameterError(msg, "Take one that ask() returned, or an answer of a conversation that was kept.")
    begin = ["import llama_widgets as lw", ""]
    if not parameters.get("reproducible"):
        begin.append("# The reply was not made with reproducible=True: this one may have other words.")
    options = {**parameters, "reproducible": True}
    if "prompt" in made:
        call = _call("reply = lw.complete", [made["prompt"]], {"model": made["model"], **options})
        return "\n".join([*begin, call, "reply", ""])
    messages = list(made["messages"])
    system = messages.pop(0)["content"] if messages and messages[0]["role"] == "system" else None
    # What followed the question are calls of tools, which the model makes again.
    asked = max(at for at, message in enumerate(messages) if message["role"] == "user")
    own = {name: options.pop(name) for name in sorted(_ONE_ANSWER & options.keys())}
    functions = [tool["function"]["name"] for tool in options.pop("tools", ())]
    options.pop("tool_choice", None)
    first = {"system": system} if system is not None else {}
    earlier = {"messages": messages[:asked]} if asked else {}
    tools = {"tools": _Names(functions)} if functions else {}
    lines = [*begin, _call("chat = lw.Chat", [made["model"]], {**first, **earlier, **options, **tools})]
    if load := made.get("load"):
        lines.append(_call("chat.load", [], load))
    lines.append(_call("reply = chat.ask", [messages[asked]["content"]], own))
    return "\n".join([*lines, "reply", ""])


class _Names(list[str]):
    """Names of variables."""

    def __repr__(self) -> str:
        """Return the list as code."""
        return f"[{', '.join(self)}]"


def _call(function: str, values: list[Any], options: Mapping[str, Any]) -> str:
    arguments = [*map(_literal, values), *(f"{name}={_literal(value, len(name))}" for name, value in options.items())]
    if len(arguments) == 1 and arguments[0].startswith('"""'):
        return f"{function}({arguments[0]})"
    return _listed(f"{function}(", arguments, ")", 0)


def _literal(value: Any, before: int = 0, indent: str = _INDENT) -> str:  # noqa: ANN401
    """Return a value as a person writes it, ``before`` characters of the line away from its indent."""
    if isinstance(value, str):
        return f'"""{value}"""' if "\n" in value and _PLAIN.fullmatch(value) else _quoted(value)
    if isinstance(value, dict):
        deeper = indent + _INDENT
        items = [f"{_quoted(str(key))}: {_literal(item, len(str(key)) + 4, deeper)}" for key, item in value.items()]
        return _listed("{", items, "}", before, indent)
    if isinstance(value, list) and not isinstance(value, _Names):
        return _listed("[", [_literal(item, 0, indent + _INDENT) for item in value], "]", before, indent)
    return repr(value)


def _listed(begin: str, items: list[str], end: str, before: int, indent: str = "") -> str:
    """Return items in one line where they have room there, else each in its own."""
    short = f"{begin}{', '.join(items)}{end}"
    if "\n" not in short and len(indent) + before + len(short) <= _WIDTH:
        return short
    lines = "".join(f"{indent}{_INDENT}{item},\n" for item in items)
    return f"{begin}\n{lines}{indent}{end}"


def _quoted(text: str) -> str:
    """Return a text in double quotes, as most code has it, where that needs no more marks than ``repr``."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain and "\\'" not in plain else plain
