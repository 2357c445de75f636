"""From the bytes of tokens to text that may be shown."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from .segments import Segmenter, undecided

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .segments import Segment, Tags


class AnswerText:
    """An answer as it comes: from the bytes of tokens to thoughts, text and calls, until a stop string ends it.

    A token can end in the middle of a character, and a piece of text can be the beginning of a tag or a stop string.
    They wait until more is known. However the bytes are cut, the same comes out: the stop string that is complete first
    ends it.

    Stop strings are looked for in the text alone. A thought is not the answer yet, and a call is not read as text: a
    line break as a stop string shall end neither.

    Parameters
    ----------
    stop : iterable of str
        Texts that end the answer; they are not part of it. Empty ones are ignored.
    tags : Tags
        Those of the model's template.
    prompt_tail : str
        The rendered prompt with the beginning of the answer that was given.
    tools : bool
        Whether there are tools to call.

    Attributes
    ----------
    closing : str
        The text that closes an open thought.
    segment : str
        Where the next token belongs, unless it is or ends a tag.
    stopped : bool
        Whether a stop string was found. Nothing comes out any more.
    """

    def __init__(self, stop: Iterable[str], tags: Tags, prompt_tail: str, tools: bool = False) -> None:
        self._bytes = b""
        self._segmenter = Segmenter(tags, prompt_tail, tools=tools)
        self._stop = _Stop(stop)
        self.closing = self._segmenter.closing
        self.segment: Segment = self._segmenter.segment
        self.stopped = False

    def feed(self, piece: bytes = b"", *, hold: bool = False) -> list[tuple[Segment, str]]:
        """Take the bytes of a token; return what is decided now, in order, as pairs of segment and text.

        With ``hold`` there may be more to come before it is: nothing is, where all that can come is text.
        """
        piece = self._bytes + piece
        if hold and self._segmenter.through and not self._stop.texts:
            self._bytes = piece
            return []
        text, used = codecs.utf_8_decode(piece, "replace", False)
        self._bytes = piece[used:]
        if not text or self.stopped:
            return []
        pieces = self._segmenter.feed(text)
        self.segment = self._segmenter.segment
        return self._until_stop(pieces) if self._stop.texts else pieces

    def flush(self) -> list[tuple[Segment, str]]:
        """Return what was held back, at the end of the answer. Half a character is dropped."""
        out = self.feed()
        if not self.stopped:
            out += self._until_stop(self._segmenter.flush())
        return _joined([*out, ("text", self._stop.flush())])

    def _until_stop(self, pieces: list[tuple[Segment, str]]) -> list[tuple[Segment, str]]:
        out: list[tuple[Segment, str]] = []
        for segment, text in pieces:
            if segment == "text":
                out.append((segment, self._stop.feed(text)))
            else:
                out += [("text", self._stop.flush()), (segment, text)]
            if self._stop.found:
                self.stopped = True
                break
        return _joined(out)


class _Stop:
    """Lets text through until a stop string is complete; holds back what may become one."""

    def __init__(self, stop: Iterable[str]) -> None:
        self.texts = [text for text in stop if text]
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        if self.found:
            return ""
        text = self._held + text
        found = [(at + len(stop), at) for stop in self.texts if (at := text.find(stop)) >= 0]
        if found:
            self.found = True
            self._held = ""
            return text[: min(found)[1]]
        shown = len(text) - undecided(text, self.texts)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        text, self._held = self._held, ""
        return text


def _joined(pieces: list[tuple[Segment, str]]) -> list[tuple[Segment, str]]:
    """Return ``pieces`` without empty ones, and those in a row of one segment as one."""
    out: list[tuple[Segment, str]] = []
    for segment, text in pieces:
        if text and out and out[-1][0] == segment:
            out[-1] = (segment, out[-1][1] + text)
        elif text:
            out.append((segment, text))
    return out
