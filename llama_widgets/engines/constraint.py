"""Holds an answer to a grammar: which tokens may come next."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import llama_cpp  # noqa: TID253 - this module is imported late
import numpy as np

from .grammar.follower import Follower, ends, nexts

if TYPE_CHECKING:
    from .grammar import Grammar
    from .grammar.follower import State
    from .model import Model

_END, _NO_TEXT = 256, 257
"""Stand for the first byte of tokens that end an answer, and for a byte that is not there."""


class _Place(NamedTuple):
    """Where an answer is: its state in the grammar, None before a trigger, and bytes that are not read yet.

    These are the beginning of a character, or what may be the beginning of a trigger.
    """

    state: State | None
    unread: bytes = b""


class Constraint:
    """The grammar of one answer.

    Parameters
    ----------
    grammar : Grammar
        What the answer follows, from its beginning or from a trigger on.
    model : Model
        Whose tokens it is made of.

    Raises
    ------
    GrammarError
        If no answer can be held to the grammar.
    """

    def __init__(self, grammar: Grammar, model: Model) -> None:
        self._follower = Follower(grammar.rules())
        self._triggers = [text.encode() for text in grammar.triggers]
        self._model = model
        self._starts = _starts(model)
        self._place = _Place(None) if self._triggers else _Place(self._follower.start)

    @property
    def waiting(self) -> bool:
        """Whether the answer is still free, because no trigger has come."""
        return self._place.state is None

    @property
    def ended(self) -> bool:
        """Whether the answer is complete, and nothing but its end may follow."""
        state = self._place.state
        return state is not None and ends(state) and not nexts(state) and not self._place.unread

    def allows(self, token: int) -> bool:
        """Return whether ``token`` may come next."""
        return self._after(token) is not None

    def accept(self, token: int) -> bool:
        """Go on by ``token``; return whether it is allowed. If not, nothing happens."""
        place = self._after(token)
        if place is None:
            return False
        self._place = place
        return True

    def candidates(self) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Return the tokens whose first two bytes may come next, and those that end the answer if it may end."""
        state, unread = self._place
        may = np.zeros((_NO_TEXT + 1, _NO_TEXT + 1), bool)
        if state is None:
            may[:_NO_TEXT] = True
        elif unread:
            may[0x80:0xC0] = True
        else:
            may[_END] = ends(state)
            first = _bytes(state)
            may[0x80:_END] = first[0x80]
            may[:0x80, _NO_TEXT] = first[:0x80]
            # Within a text, all characters lead to the same state.
            after: dict[State, list[int]] = {}
            for byte in np.flatnonzero(first[:0x80]).tolist():
                after.setdefault(self._follower.read(state, chr(byte)), []).append(byte)
            for second, bytes_ in after.items():
                may[bytes_, :_END] = _bytes(second)
        return np.flatnonzero(may[self._starts[:, 0], self._starts[:, 1]])

    def _after(self, token: int) -> _Place | None:
        """Return where the answer is after ``token``; None if it is not allowed."""
        state, unread = self._place
        piece = self._model.pieces[token]
        if piece is None:  # it ends the answer
            return self._place if state is None or (ends(state) and not unread) else None
        if state is None:
            return self._awaited(unread + piece)
        return self._read(state, unread + piece) if piece else None

    def _awaited(self, data: bytes) -> _Place | None:
        """Look for a trigger: from the first one on the answer belongs to the grammar."""
        found = [at for trigger in self._triggers if (at := data.find(trigger)) >= 0]
        if found:
            return self._read(self._follower.start, data[min(found) :])
        keep = max(map(len, self._triggers)) - 1
        return _Place(None, data[-keep:] if keep else b"")

    def _read(self, state: State, data: bytes) -> _Place | None:
        text, rest = data, b""
        try:
            read = data.decode()
        except UnicodeDecodeError as error:
            if error.end < len(data) or error.reason != "unexpected end of data":
                return None
            text, rest = data[: error.start], data[error.start :]
            read = text.decode()
        state = self._follower.read(state, read)
        if not state or (rest and not any(chars.meets(*_completions(rest)) for chars in nexts(state))):
            return None
        return _Place(state, rest)


def _completions(begin: bytes) -> tuple[int, int]:
    """Return the first and the last character whose UTF-8 begins so."""
    length = 2 if begin[0] < 0xE0 else 3 if begin[0] < 0xF0 else 4  # noqa: PLR2004 - how UTF-8 is made
    code = begin[0] & (0x7F >> length)
    for byte in begin[1:]:
        code = code << 6 | byte & 0x3F
    bits = 6 * (length - len(begin))
    shortest = (0x80, 0x800, 0x10000)[length - 2]  # what comes before has fewer bytes
    return max(code << bits, shortest), (code + 1 << bits) - 1


def _bytes(state: State) -> np.ndarray[tuple[int], np.dtype[np.bool]]:
    """Return for each byte whether a character that may come next begins with it.

    All from 128 on are one, since few grammars tell them apart.
    """
    found = np.zeros(_END, bool)
    for ranges, negated in nexts(state):
        ascii_ = np.full(0x80, negated)
        for low, high in ranges:
            ascii_[low : high + 1] = not negated
        found[:0x80] |= ascii_
        if negated or any(high >= 0x80 for _, high in ranges):  # noqa: PLR2004 - where ASCII ends
            found[0x80:] = True
    return found


_cache: WeakKeyDictionary[Model, np.ndarray[tuple[int, int], np.dtype[np.uint16]]] = WeakKeyDictionary()


def _starts(model: Model) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Return the first two bytes of each token, or what stands for them."""
    if model not in _cache:
        vocab = llama_cpp.llama_model_get_vocab(model.handle)
        assert vocab is not None  # noqa: S101 - every model has one
        found = [_start(model, vocab, token) for token in range(model.n_vocab)]
        end = llama_cpp.llama_vocab_eos(vocab)  # the only one that may have a text
        if end >= 0:
            found[end] = (_END, _NO_TEXT)
        _cache[model] = np.array(found, np.uint16)
    return _cache[model]


def _start(model: Model, vocab: llama_cpp.llama_vocab_p, token: int) -> tuple[int, int]:
    # Not all pieces are asked of the model, which keeps what it has told.
    size = llama_cpp.llama_token_to_piece(vocab, token, _buffer, len(_buffer), 0, False)
    piece = _buffer.raw[:size] if size > 0 else model.pieces[token]
    if piece is None:
        return _END, _NO_TEXT
    return piece[0] if piece else _NO_TEXT, piece[1] if len(piece) > 1 else _NO_TEXT


_buffer = ctypes.create_string_buffer(64)
