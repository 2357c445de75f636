"""What the tokens of a text are of it, where one may be a part of a character."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Model


class Piece(NamedTuple):
    """One token: its ``text`` are the characters that end with it, its ``data`` are its bytes."""

    token: int
    text: str
    data: bytes
    special: bool


def pieces(model: Model, tokens: Iterable[int]) -> list[Piece]:
    """Return the tokens with their texts, which joined are the text of all.

    Of a character of several tokens, the last one has it and the others "". What is no character is U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    made = [Piece(each, decoder.decode(data := model.data(each)), data, model.is_special(each)) for each in tokens]
    if made and (rest := decoder.decode(b"", final=True)):
        made[-1] = made[-1]._replace(text=made[-1].text + rest)
    return made
