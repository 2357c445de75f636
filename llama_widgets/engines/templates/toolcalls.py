"""The tools that a model may call: whether they are well described, and how models of all kinds are told of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...errors import ParameterError
from .callformats import NAME, JsonCalls, NamedCalls, TaggedCalls, complete

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .callformats import Tool, ToolFormat

_SHAPE = 'A tool is {"type": "function", "function": {"name": ..., "description": ..., "parameters": JSON schema}}.'


def check_tools(tools: Sequence[object]) -> None:
    """Check that tools have the shape of OpenAI's interface.

    Raises
    ------
    ParameterError
        If one has not, or two have the same name.
    """
    names = set()
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(tool, dict) or tool.get("type", "function") != "function" or not isinstance(function, dict):
            msg = f"Tool {index} is not a function that a model can call."
            raise ParameterError(msg, _SHAPE)
        name = function.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            msg = f"Tool {index} has no name that a model can call."
            raise ParameterError(msg, "Use 1 to 64 letters, digits, underscores, dots and hyphens.")
        if name in names:
            msg = f"There are two tools with the name {name!r}."
            raise ParameterError(msg, "Rename one.")
        names.add(name)
        if not isinstance(function.get("description") or "", str):
            msg = f"The description of the tool {name!r} is not text."
            raise ParameterError(msg, "Say in a sentence or two what it does.")
        if not _is_object_schema(function.get("parameters") or {}):
            msg = f"The parameters of the tool {name!r} are not described by a JSON schema of an object."
            raise ParameterError(msg, 'For example: {"type": "object", "properties": {"city": {"type": "string"}}}.')


def _is_object_schema(schema: object) -> bool:
    try:
        json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return (
        isinstance(schema, dict)
        and schema.get("type", "object") == "object"
        and isinstance(schema.get("properties", {}), dict)
        and isinstance(schema.get("required", []), list)
    )


def format_of(source: str) -> ToolFormat:
    """Return the format that a template asks for, or ``DESCRIBED`` if it asks for none that is known."""
    return next((form for needles, form in _FORMATS if all(needle in source for needle in needles)), DESCRIBED)


def describe(tools: Sequence[Tool]) -> str:
    """Return what a model must be told of tools when its template has no words for them."""
    signatures = "\n".join(json.dumps(complete(tool)["function"], ensure_ascii=False) for tool in tools)
    example = DESCRIBED.open + '\n{"name": <name of the function>, "arguments": <object of its arguments>}\n'
    return (
        "# Tools\n\nYou may call functions to answer the user. These are their signatures, within <tools></tools>:\n"
        f"<tools>\n{signatures}\n</tools>\n\nTo call a function, answer with a JSON object of its name and arguments "
        f"within {DESCRIBED.open}{DESCRIBED.close} tags:\n{example}{DESCRIBED.close}\n"
        "Its result will be given to you within <tool_response></tool_response> tags."
    )


# The formats, each with what a template that asks for it mentions; the first that fits counts.

DESCRIBED = JsonCalls(open="<tool_call>", close="</tool_call>", space="\n", native=False)
_ID = r'"," ws "\"id\"" ws ":" ws "\"" [a-zA-Z0-9]+ "\"" ws'
_CALL_ID = r'"\"tool_call_id\"" ws ":" ws "\"" [0-9]+ "\"" ws "," ws'
_FORMATS: tuple[tuple[tuple[str, ...], ToolFormat], ...] = (
    (
        ("<|channel|>", "<|message|>"),
        NamedCalls(
            mark=" to=functions.",
            then="<|message|>",
            between='("<|channel|>" ("commentary" | "analysis"))? (" "? "<|constrain|>"? "json")?',
            ahead='("<|channel|>analysis<|message|>" "<|start|>assistant")? "<|channel|>commentary"?',
        ),
    ),
    (
        ("[TOOL_CALLS]", "[ARGS]"),
        NamedCalls(
            open="[TOOL_CALLS]",
            mark="",
            then="[ARGS]",
            between='("[CALL_ID]" [a-zA-Z0-9]+)?',
            marks=("[ARGS]", "[CALL_ID]"),
        ),
    ),
    (
        ("[TOOL_CALLS]",),
        JsonCalls(open="[TOOL_CALLS]", listed=True, after=f"({_ID})?"),
    ),
    (
        ("<seed:tool_call>",),
        TaggedCalls(
            open="<seed:tool_call>",
            close="</seed:tool_call>",
            name=("\n<function=", ">\n"),
            key=("<parameter=", ">"),
            value_end="</parameter>\n",
            end="</function>\n",
        ),
    ),
    (
        ("<minimax:tool_call>",),
        TaggedCalls(
            open="<minimax:tool_call>",
            close="</minimax:tool_call>",
            name=('\n<invoke name="', '">\n'),
            key=('<parameter name="', '">'),
            value_end="</parameter>\n",
            end="</invoke>\n",
        ),
    ),
    (
        ("<tool_call>", "<function="),
        TaggedCalls(
            open="<tool_call>",
            close="</tool_call>",
            name=("\n<function=", ">\n"),
            key=("<parameter=", ">\n"),
            value_end="\n</parameter>\n",
            end="</function>\n",
        ),
    ),
    (
        ("<tool_call>", "<arg_key>"),
        TaggedCalls(
            open="<tool_call>",
            close="</tool_call>",
            name=("", "\n"),
            key=("<arg_key>", "</arg_key>\n<arg_value>"),
            value_end="</arg_value>\n",
            marks=("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
        ),
    ),
    (("<tool_call>",), JsonCalls(open="<tool_call>", close="</tool_call>", space="\n")),
    (("<TOOLCALL>",), JsonCalls(open="<TOOLCALL>", close="</TOOLCALL>", listed=True)),
    (
        ("<|START_ACTION|>",),
        JsonCalls(
            open="<|START_ACTION|>",
            close="<|END_ACTION|>",
            listed=True,
            keys=("tool_name", "parameters"),
            before=f"({_CALL_ID})?",
        ),
    ),
    (("<|tool_call|>", "<|/tool_call|>"), JsonCalls(open="<|tool_call|>", close="<|/tool_call|>")),
    (("<|tool_call|>",), JsonCalls(open="<|tool_call|>", listed=True)),
    (
        ("<|start_header_id|>", '{"name": ', '"parameters": '),
        JsonCalls(open="<|python_tag|>", starts=('{"name":', '{"type":"function"'), keys=("name", "parameters")),
    ),
)
