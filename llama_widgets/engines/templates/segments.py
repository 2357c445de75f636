"""What a model says, told apart: thoughts, text and calls of tools, however its tokens cut the tags between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Segment = Literal["text", "thought", "call"]

_PAIRS = (  # the first whose opening a template mentions is the model's; those that others could mean come last
    ("<|channel>thought", "<channel|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
)
_DEFAULT = ("<think>", "</think>")
_ANSWERS = (("<response>", "</response>"), ("<answer>", "</answer>"), ("<|START_RESPONSE|>", "<|END_RESPONSE|>"))

_CHANNEL, _MESSAGE, _END, _START, _CALL = "<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|call|>"
_HEADERS = (_START, _CHANNEL, "to=")
_MESSAGE_ENDS = (_END, _CALL, "<|return|>", _START, _CHANNEL)
_LONGEST_HEADER = 300


@dataclass(frozen=True)
class Tags:
    """The texts by which a model tells thoughts, answer and calls apart.

    Attributes
    ----------
    thought : pair of str or None
        What opens and closes a thought; None where nothing is looked for.
    call : pair of str or None
        What opens and closes a call of a tool; with nothing to close it, it lasts to the end.
    starts : tuple of str
        Beginnings of answers that are calls without a tag; white space within them does not count.
    answer : pair of str or None
        What stands around the answer itself and is not shown.
    channels : bool
        The model writes messages with headers, as gpt-oss does, in place of pairs of tags.
    header : str
        What the template writes where the assistant begins to speak.
    opening : str
        What the model writes before an answer that it does not think about first.
    closing : str
        What closes an open thought so that the answer begins, as the template would write it.
    marks : tuple of str
        Further texts that are needed to read a call.
    """

    thought: tuple[str, str] | None = _DEFAULT
    call: tuple[str, str] | None = None
    starts: tuple[str, ...] = ()
    answer: tuple[str, str] | None = None
    channels: bool = False
    header: str = ""
    opening: str = ""
    closing: str = "\n</think>\n\n"
    marks: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: str) -> Tags:
        """Return the tags of thoughts and answers that the text of a template mentions, ``<think>`` if none."""
        if _CHANNEL in source and _MESSAGE in source:
            final = f"{_CHANNEL}final{_MESSAGE}"
            thought = (f"{_CHANNEL}analysis{_MESSAGE}", _END)
            return cls(thought, channels=True, opening=final, closing=f"{_END}{_START}assistant{final}")
        thought = next((pair for pair in _PAIRS if pair[0] in source), _DEFAULT)
        answer = next((pair for pair in _ANSWERS if pair[0] in source and pair[1] in source), None)
        return cls(thought, answer=answer, closing=_closing(thought[1], source))

    def texts(self, *, tools: bool = True) -> list[str]:
        """Return what must be seen to tell the segments apart.

        Many are or hold control tokens, which llama.cpp renders as nothing unless asked.
        """
        if self.channels:
            return [_CHANNEL, _MESSAGE, _END, _START, "<|constrain|>"]
        pairs = [self.thought, self.answer, *([self.call] if tools else [])]
        texts = [text for pair in pairs if pair for text in pair if text]
        return texts + list(self.marks if tools else ())

    def said(self, prompt: str) -> str:
        """Return the part of a prompt that the assistant says: an opened thought, or the beginning of the answer."""
        if self.header and self.header in prompt:
            return prompt.rpartition(self.header)[2]
        opened = re.search(re.escape(self.thought[0]) + r"\s*\Z", prompt) if self.thought else None
        return opened[0] if opened else ""


class Segmenter:
    """Tells thoughts, text and calls apart as the answer comes.

    A thought opens at the very beginning, after white space at most, so that a text which only mentions the tag is no
    thought; the prompt can have opened it already. What is never closed is all thought. White space is dropped at both
    ends of a thought and before the text that follows it. A call keeps its tags, so that one which cannot be read can
    be given back as it was said; white space around it is dropped.

    However the text is cut into pieces, the same segments come out.

    Parameters
    ----------
    tags : Tags
        Those of the model's template.
    prompt_tail : str
        The rendered prompt with the beginning of the answer that was given, or its end from ``tags.header`` on.
    tools : bool
        Whether there are tools to call.

    Attributes
    ----------
    closing : str
        The text that closes an open thought.
    segment : str
        Where the next token belongs, unless it is or ends a tag.
    through : bool
        Whether nothing but text can come any more.
    """

    def __init__(self, tags: Tags, prompt_tail: str, *, tools: bool = False) -> None:
        self.closing = tags.closing
        self._tags = tags
        self._call = tags.call if tools else None
        self._tools = tools
        self._starts = tags.starts if tools else ()
        self._thought = tags.thought  # None when there can be no other
        self._answer: tuple[str, str] | None = None  # set while it is open
        self._held = ""
        self._skip = False  # drop white space until something else comes
        self._out: list[tuple[Segment, str]] = []
        self.through = False
        self.segment: Segment = "text"
        self._state: Callable[[], bool] = self._in_header if tags.channels else self._at_beginning
        self.feed(tags.said(prompt_tail))
        if self._state != self._in_header:
            self._held = ""

    def feed(self, text: str) -> list[tuple[Segment, str]]:
        """Take a piece of the answer; return what is decided now, in order, as pairs of segment and text."""
        if self.through:
            return [("text", text)] if text else []
        self._held += text
        while self._held and self._state():
            pass
        return self._take()

    def flush(self) -> list[tuple[Segment, str]]:
        """Return what was held back, at the end of the answer."""
        if self._state != self._in_header or not _begins_header(self._held):
            self._give(self.segment, self._held.lstrip() if self._skip else self._held)
        self._held = ""
        return self._take()

    # States: each takes what is decided from the front of what is held, and says whether to look again.

    def _at_beginning(self) -> bool:
        rest = self._held.lstrip()
        opens = [pair[0] for pair in (self._thought, self._call, self._tags.answer) if pair and pair[0]]
        if self._thought:
            opens.append(self._thought[1])  # the template may have opened it unseen
        tag = next((tag for tag in opens if rest.startswith(tag)), "")
        if tag:
            self._held = rest[len(tag) :]
            self._open(tag)
            return True
        compact = "".join(rest.split())
        if any(compact.startswith(start) for start in self._starts):
            self._held = rest
            self._enter(self._in_call)
            return True
        if any(tag.startswith(rest) for tag in opens) or any(start.startswith(compact) for start in self._starts):
            return False
        self._enter(self._in_text, skip=self._skip)
        return True

    def _open(self, tag: str) -> None:
        if self._thought and tag == self._thought[0]:
            self._enter(self._in_thought, skip=True)
        elif self._call and tag == self._call[0]:
            self._give("call", tag)
            self._enter(self._in_call)
        else:
            self._answer = self._tags.answer if self._tags.answer and tag == self._tags.answer[0] else None
            self._thought = None
            self._enter(self._at_beginning, skip=True)

    def _in_thought(self) -> bool:
        assert self._tags.thought is not None  # noqa: S101 - or there were no such state
        end = self._until(_MESSAGE_ENDS if self._tags.channels else (self._tags.thought[1],), "thought")
        return bool(end) and self._after_message(end)

    def _in_text(self) -> bool:
        ends: tuple[str, ...] = _MESSAGE_ENDS if self._tags.channels else ()
        ends += (self._call[0],) if self._call and self._call[0] else ()
        ends += (self._answer[1],) if self._answer else ()
        end = self._until(ends, "text")
        self.through = not ends and not self._skip
        if end and self._call and end == self._call[0]:
            self._give("call", end)
            self._enter(self._in_call)
            return True
        return bool(end) and self._after_message(end)

    def _in_call(self) -> bool:
        ends = (self._call[1],) if self._call and self._call[1] else ()
        end = self._until(_MESSAGE_ENDS if self._tags.channels else ends, "call")
        if end and not self._tags.channels:
            self._give("call", end)
        return bool(end) and self._after_message(end)

    def _after_message(self, end: str) -> bool:
        self._answer = self._thought = None
        if not self._tags.channels:
            self._enter(self._at_beginning, skip=True)
            return True
        if end in _HEADERS:
            self._held = end + self._held
        self._enter(self._in_header)
        return True

    def _in_header(self) -> bool:
        header, message, rest = self._held[:_LONGEST_HEADER].partition(_MESSAGE)
        if not message and len(self._held) < _LONGEST_HEADER and _begins_header(self._held):
            return False
        if not message or not header.lstrip().startswith(_HEADERS):
            begun = len(self._held) - len(self._held.lstrip()) + 1  # so that it is not taken for a header again
            self._give("text", self._held[:begun])
            self._held = self._held[begun:]
            self._enter(self._in_text)
            return True
        self._held = rest + self._held[_LONGEST_HEADER:]
        if self._tools and "to=" in header:
            self._give("call", header + message)
            self._enter(self._in_call)
        else:
            self._enter(self._in_thought if f"{_CHANNEL}analysis" in header else self._in_text, skip=True)
        return True

    # Their tools

    def _enter(self, state: Callable[[], bool], *, skip: bool = False) -> None:
        self._state, self._skip = state, skip
        self.segment = "thought" if state == self._in_thought else "call" if state == self._in_call else "text"

    def _until(self, tags: Iterable[str], segment: Segment) -> str:
        """Give what lies before the first of ``tags`` and take that tag, or give what surely lies before one."""
        tags = tuple(tags)
        if self._skip:
            self._held = self._held.lstrip()
            self._skip = not self._held
        found = [(at, tag) for tag in tags if (at := self._held.find(tag)) >= 0]
        at, tag = min(found) if found else (len(self._held) - undecided(self._held, tags), "")
        before = self._held[:at]
        if tags and segment != "call":
            before = before.rstrip()  # it may lie before a tag
        self._held = self._held[at + len(tag) :] if tag else self._held[len(before) :]
        self._give(segment, before)
        return tag

    def _give(self, segment: Segment, text: str) -> None:
        if text and self._out and self._out[-1][0] == segment:
            self._out[-1] = (segment, self._out[-1][1] + text)
        elif text:
            self._out.append((segment, text))

    def _take(self) -> list[tuple[Segment, str]]:
        out, self._out = self._out, []
        return out


def undecided(text: str, ends: Iterable[str]) -> int:
    """Return the length of the longest end of ``text`` that begins one of ``ends`` and is not all of it."""
    ends = tuple(ends)
    longest = max(map(len, ends), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        end = text[-length:]
        if any(one.startswith(end) for one in ends):
            return length
    return 0


def _begins_header(text: str) -> bool:
    text = text.lstrip()
    return text.startswith(_HEADERS) or any(header.startswith(text) for header in _HEADERS)


def _closing(tag: str, source: str) -> str:
    """Return ``tag`` with the line breaks that the template puts around it."""
    found = re.findall(r"(?:\\n|\n)?" + re.escape(tag) + r"(?:\\n|\n)*", source)
    written = max(found, key=len, default=tag).replace("\\n", "\n")
    return f"\n{tag}\n\n" if written == tag == _DEFAULT[1] else written
