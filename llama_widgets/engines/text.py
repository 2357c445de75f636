"""From the bytes of tokens to text that may be shown."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class TextStream:
    """Decodes UTF-8 piece by piece and holds back whatever is not decided yet.

    A token can end in the middle of a character, and a piece of text can be the beginning of a stop string. Both wait
    until more is known. However the bytes are cut, the same text comes out: the stop string that is complete first
    ends it.

    Parameters
    ----------
    stop : iterable of str
        Texts that end the answer; they are not part of it. Empty ones are ignored.

    Attributes
    ----------
    stopped : bool
        Whether a stop string was found. Nothing comes out any more.
    """

    def __init__(self, stop: Iterable[str] = ()) -> None:
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Take the bytes of a token; return the text that is decided now."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(piece)
        found = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        shown = len(text) - self._undecided(text)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """Return what was held back and did not become a stop string. Half a character at the very end is dropped."""
        text, self._held = self._held, ""
        return text

    def _undecided(self, text: str) -> int:
        """Return the length of the longest end of ``text`` that begins a stop string."""
        longest = max(map(len, self._stop), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stop):
                return length
        return 0
