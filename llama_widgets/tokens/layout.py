"""Where each message is in the text that a chat template makes of all."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..engines.templates.template import ChatTemplate

_MARK = re.compile(r"Xq(\d+)qX")
_HALF = re.compile(r"<[^<>]*$")


class Place(NamedTuple):
    """Where a message begins and ends, with what the template writes around it, and where its content does."""

    start: int
    content_start: int
    content_end: int
    end: int


class Layout:
    """Finds messages by rendering them with marks in place of what they say: what is left is the template's.

    Parameters
    ----------
    template : ChatTemplate
        The template.
    thinking : bool or "auto"
        As it is rendered.
    tools : sequence of dict
        As it is told.
    """

    def __init__(
        self, template: ChatTemplate, thinking: bool | Literal["auto"], tools: Sequence[dict[str, Any]]
    ) -> None:
        self._template, self._thinking, self._tools = template, thinking, tools
        self._tails: dict[str, str] = {}

    def places(self, messages: Sequence[dict[str, Any]], text: str) -> list[Place]:
        """Return where each of ``messages`` is in ``text``, which is what the template makes of them.

        What is before the first is what the template says by itself, and what is after the last is where the assistant
        begins to speak.
        """
        contents = [str(message.get("content") or "") for message in messages]
        around = self._around(messages)
        found = _aligned(contents, around, text) or _searched(contents, text)
        places: list[Place] = []
        for index, (start, end) in enumerate(found):
            after = text[end : found[index + 1][0] if index + 1 < len(found) else len(text)]
            tail = _common(self._tail(messages[index]), after)
            begins = places[-1].end if places else self._begins(messages, text[:start])
            places.append(Place(begins, start, end, end + len(tail)))
        return places

    def _around(self, messages: Sequence[dict[str, Any]], *, answers: bool = True) -> list[str]:
        """Return what the template writes before, between and after ``messages``; nothing if it refuses marks."""
        marked = [{**message, "content": f"Xq{index}qX"} for index, message in enumerate(messages)]
        try:
            text = self._template.render(marked, self._thinking, self._tools, answers=answers)
        except ParameterError:
            return []
        numbers = [int(number) for number in _MARK.findall(text)]
        return _MARK.sub("\0", text).split("\0") if numbers == list(range(len(messages))) else []

    def _tail(self, message: dict[str, Any]) -> str:
        """Return what the template writes after a message, as long as nobody answers.

        That is the same after all messages of a role, but for the tools that they call; so it is asked for once, and
        not of the whole conversation.
        """
        role = message["role"]
        if role in self._tails and not message.get("tool_calls"):
            return self._tails[role]
        alone = [message] if role in ("user", "system") else [{"role": "user"}, message]
        tail = (self._around(alone, answers=False) or [""])[-1]
        return tail if message.get("tool_calls") else self._tails.setdefault(role, tail)

    def _begins(self, messages: Sequence[dict[str, Any]], before: str) -> int:
        """Return where the first message begins in what is before its content: behind what the template says itself."""
        if messages[0]["role"] != "user":
            return 0
        twice = self._around([messages[0], {"role": "assistant"}, messages[0]])
        if not twice:
            return 0
        header = twice[2].removeprefix(self._tail({"role": "assistant"}))
        return len(before) - len(header) if header and before.endswith(header) else 0


def _aligned(contents: list[str], around: list[str], text: str) -> list[tuple[int, int]]:
    """Return where the contents are between what is around them; nothing if that is not so."""
    if not around:
        return []
    found: list[tuple[int, int]] = []
    at = 0
    for content, before, after in zip(contents, around, around[1:], strict=False):
        start = at + len(before)
        if not text.startswith(before, at):
            return []
        forms = (content, content.strip(), content.rstrip(), content.lstrip())
        said = next((each for each in forms if text.startswith(each + after, start)), None)
        at = start + len(said) if said is not None else text.find(after, start)
        if at < 0:
            return []
        found.append((start, at))
    return found


def _searched(contents: list[str], text: str) -> list[tuple[int, int]]:
    """Return where the contents are, one after the other; nowhere, if they are not there as they stand."""
    found: list[tuple[int, int]] = []
    at = 0
    for content in contents:
        start = text.find(content.strip(), at)
        start, at = (at, at) if start < 0 else (start, start + len(content.strip()))
        found.append((start, at))
    return found


def _common(left: str, right: str) -> str:
    """Return what both begin with, but not with half a tag: "<|end|></s>" and "<|end|><|user|>" share one."""
    same = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
    return same if same in (left, right) else _HALF.sub("", same)
