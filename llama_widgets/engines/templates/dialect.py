"""What a chat template understands, found by trying it, and messages put so that it does."""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .callformats import complete
from .sandbox import TemplateLimitError
from .toolcalls import DESCRIBED, describe, format_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .callformats import Tool
    from .sandbox import Template

Message = dict[str, Any]

_SYSTEM = {"role": "system", "content": "It is the system that speaks."}
_USER = {"role": "user", "content": "It is the user who speaks."}
_RESULT = {"role": "tool", "name": "tool_a", "tool_call_id": "000000000", "content": "It is the tool that speaks."}
_TOOL = {
    "type": "function",
    "function": {
        "name": "tool_a",
        "description": "Does something.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string", "description": "A word."}}},
    },
}
_THOUGHTS = ("reasoning_content", "thinking", "tool_plan")  # where templates look for the thoughts of a message


class Dialect:
    """One template, and what it has words for.

    Templates refuse what they do not know, or leave it out without a word. So each ability is tried with a message of
    which the text must come out again, as llama.cpp does. What a template does not know is said in other words: a
    system message in front of the user's, calls of tools and their results as text.

    Parameters
    ----------
    template : Template
        The template.

    Attributes
    ----------
    source : str
        Its text.
    variables : set of str
        The names it asks for from outside.
    header : str
        What it writes where the assistant begins to speak, after the message before.
    tools : bool
        Whether it tells the model of tools itself, in a format that is known.
    format : ToolFormat
        What a call looks like.

    Raises
    ------
    TemplateLimitError
        If the template does not come to an end.
    """

    def __init__(self, template: Template) -> None:
        self._template = template
        self.source, self.variables = template.source, template.variables
        self._typed = False
        # transformers gives None for what there is not; some templates take that for something.
        self._absent: dict[str, Any] = {"tools": None, "documents": None, "functions": None}
        if (known := self._known()) < 2:  # noqa: PLR2004 - of two
            absent, self._absent = self._absent, {}
            self._absent = {} if self._known() > known else absent
        if not self._knows(_USER):
            self._typed = True
            self._typed = self._knows(_USER)
        self._system = self._knows(_SYSTEM, _USER)
        self.format = format_of(self.source)
        self.tools = self.format.native and "tool_a" in self._tried([_USER], [_TOOL])
        if not self.tools:
            self.format = DESCRIBED
        self._arguments: type | None = None
        if self.tools:
            self._arguments = next((form for form in (dict, str) if self._knows_calls(form)), None)
        calls = self._arguments is not None
        self._parallel = calls and "tool_b" in self._tried_calls("tool_a", "tool_b")
        self._results = calls and _RESULT["content"] in self._tried_calls("tool_a")
        self.header = self._header()

    def render(self, messages: Sequence[Message], tools: Sequence[Tool], variables: Mapping[str, Any]) -> str:
        """Return the prompt for ``messages``, or raise what the template fails with.

        Parameters
        ----------
        messages : sequence of dict
            Each with ``role`` and ``content``; perhaps ``thoughts``, ``tool_calls``, ``name`` and ``tool_call_id``.
        tools : sequence of dict
            The tools there are to call.
        variables : mapping
            What else the template is told.
        """
        tools = [complete(tool) for tool in tools]
        turns = list(messages)
        if tools and not self.tools:
            turns, tools = _with_system(turns, describe(tools)), []
        turns = self._with_calls(turns)
        if not self._system:
            turns = _with_system_in_user(turns)
        merged = _merged(turns)
        refused: Exception | None = None
        for attempt in (turns, merged, _merged(_with_system_in_user(turns))):
            try:
                return self._render(attempt, tools, variables)
            except TemplateLimitError:
                raise
            except Exception as error:  # noqa: BLE001 - a template refuses and fails as its author likes
                refused = refused or error
        assert refused is not None  # noqa: S101 - or it had returned
        raise refused

    # What it knows

    def _tried(self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, more: bool = True) -> str:
        """Return what it makes of ``messages``; empty if it refuses them."""
        try:
            return self._render(messages, tools, {"add_generation_prompt": more})
        except TemplateLimitError:
            raise
        except Exception:  # noqa: BLE001 - as above
            return ""

    def _knows(self, *messages: Message) -> bool:
        """Whether the text of the first and the last of ``messages`` comes out again."""
        prompt = self._tried(messages)
        return all(message["content"] in prompt for message in (messages[0], messages[-1]))

    def _known(self) -> int:
        return self._knows(_USER) + self._knows(_SYSTEM, _USER)

    def _knows_calls(self, form: type) -> bool:
        self._arguments = form
        prompt = self._tried_calls("tool_a")
        # With its quotes as they are: as a text within JSON they would have backslashes.
        return "tool_a" in prompt and bool(re.search(r'(?<!\\)"word"|=word>|>word<|\bword:', prompt))

    def _tried_calls(self, *names: str) -> str:
        calls = [
            {"id": f"00000000{index}", "name": name, "arguments": {"word": "w"}} for index, name in enumerate(names)
        ]
        asked: list[Message] = [
            _USER,
            {"role": "assistant", "content": "", "tool_calls": [self._put_call(call) for call in calls]},
        ]
        answered = [*asked, *({**_RESULT, "name": call["name"], "tool_call_id": call["id"]} for call in calls)]
        return self._tried(answered) or self._tried(asked)  # some change the last message, some know no results

    def _header(self) -> str:
        with_header, without = (
            self._tried([_USER], more=more).rpartition(_USER["content"])[2] for more in (True, False)
        )
        same = 0
        while same < min(len(with_header), len(without)) and with_header[same] == without[same]:
            same += 1
        return with_header[same:] if without else with_header

    # Messages, said as it knows them

    def _render(self, messages: Sequence[Message], tools: Sequence[Tool], variables: Mapping[str, Any]) -> str:
        if self._typed:
            messages = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in messages]
        given = {"add_generation_prompt": True, **self._absent, **variables}
        if tools:
            given["tools"] = list(tools)
        return self._template.render(messages=list(messages), **given)

    def _with_calls(self, messages: list[Message]) -> list[Message]:
        """Put calls of tools and their results as the template or, where it cannot, as text."""
        messages = _numbered(messages) if re.search(r"length\s*!=\s*9", self.source) else messages
        if self._arguments is not None and not self._parallel:
            messages = _one_by_one(messages)
        if self._results or all(message["role"] != "tool" for message in messages):
            return [self._put(message) for message in messages]
        turns: list[Message] = []
        for is_result, group in groupby(messages, lambda message: message["role"] == "tool"):
            if is_result:
                results = (f"<tool_response>\n{message['content']}\n</tool_response>" for message in group)
                turns.append({"role": "user", "content": "\n".join(results)})
            else:
                turns.extend(self._put(message) for message in group)
        return _merged(turns)

    def _put(self, message: Message) -> Message:
        turn = {key: value for key, value in message.items() if key not in ("thoughts", "tool_calls")}
        calls, thoughts = message.get("tool_calls"), message.get("thoughts")
        turn["content"] = turn.get("content") or ""
        if calls and self._arguments is not None:
            turn["tool_calls"] = [self._put_call(call) for call in calls]
        elif calls:
            turn["content"] = f"{turn['content']}\n{self.format.write(calls)}".lstrip("\n")
        if thoughts and (calls or "reasoning_content" in self.source):
            turn |= {key: thoughts for key in _THOUGHTS if re.search(rf"\b{key}\b", self.source)}
            if turn["content"]:
                turn.pop("thinking", None)  # gpt-oss takes one of them
        return turn

    def _put_call(self, call: Message) -> Message:
        arguments = call["arguments"]
        if self._arguments is str:
            arguments = json.dumps(arguments, ensure_ascii=False)
        return {"type": "function", "id": call["id"], "function": {"name": call["name"], "arguments": arguments}}


def _with_system(messages: list[Message], text: str) -> list[Message]:
    """Return ``messages`` with ``text`` at the end of the system prompt."""
    if messages and messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content']}\n\n{text}".lstrip()}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _with_system_in_user(messages: list[Message]) -> list[Message]:
    """Return ``messages`` with what the system says in front of the user's next message."""
    turns: list[Message] = []
    said: list[str] = []
    for message in messages:
        if message["role"] == "system":
            said.append(message["content"])
        elif message["role"] == "user" and said:
            turns.append({**message, "content": "\n\n".join([*said, message["content"]])})
            said = []
        else:
            turns.append(message)
    return [*turns, {"role": "user", "content": "\n\n".join(said)}] if said else turns


def _merged(messages: list[Message]) -> list[Message]:
    """Return ``messages`` with those in a row that one person says as one."""
    turns: list[Message] = []
    for message in messages:
        before = turns[-1] if turns else {}
        plain = message.keys() | before.keys() <= {"role", "content"}
        if plain and before.get("role") == message["role"]:
            turns[-1] = {**before, "content": f"{before['content']}\n\n{message['content']}"}
        else:
            turns.append(message)
    return turns


def _numbered(messages: list[Message]) -> list[Message]:
    """Return ``messages`` with ids of nine digits: Mistral's templates refuse all others."""
    numbers: dict[str, str] = {}

    def number(name: str) -> str:
        return numbers.setdefault(name, f"{len(numbers):09d}")

    turns = []
    for message in messages:
        turn = dict(message)
        if message.get("tool_calls"):
            turn["tool_calls"] = [{**call, "id": number(call["id"])} for call in message["tool_calls"]]
        if message["role"] == "tool":
            turn["tool_call_id"] = number(message["tool_call_id"])
        turns.append(turn)
    return turns


def _one_by_one(messages: list[Message]) -> list[Message]:
    """Return ``messages`` with each call in a message of its own, followed by its result."""
    turns: list[Message] = []
    rest = list(messages)
    while rest:
        message = rest.pop(0)
        calls = message.get("tool_calls") or []
        if len(calls) < 2:  # noqa: PLR2004 - several
            turns.append(message)
            continue
        for index, call in enumerate(calls):
            turns.append(
                {**message, "tool_calls": [call]}
                if not index
                else {"role": "assistant", "content": "", "tool_calls": [call]}
            )
            if rest and rest[0]["role"] == "tool":
                turns.append(rest.pop(0))
    return turns
