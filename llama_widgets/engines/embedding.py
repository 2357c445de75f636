"""Texts as vectors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - this module is imported late
import numpy as np

from ..errors import (
    ContextError,
    ContextOverflowError,
    EngineError,
    InsufficientMemoryError,
    InvalidModelError,
    ParameterError,
)
from . import memory, native, system
from .model import _utf8
from .parameters import context_params, sequences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ..cancel import Cancel
    from ..options import LoadOptions
    from .adapters import Adapters
    from .model import Model

_MOST_BATCH = 256
"""llama.cpp keeps room for the logits of each token, though nobody asks for them: 50 MiB for 256 tokens of 49,152."""
_CUT_OFF = 4  # tokens more, at most, where a text is cut within a character
_BYTES_PER_TOKEN = 64
"""Of texts far above the limit by this measure, only as much is tokenised as shows that they are."""


def embed(
    model: Model, texts: Sequence[str], options: LoadOptions, cancel: Cancel, adapters: Adapters | None = None
) -> tuple[npt.NDArray[np.float32], int]:
    """Return a vector of length 1 for each text, and how many tokens were read.

    The vector of a text is what the model was trained to give, where it has a pooling of its own, such as the result of
    its first token. Where it has none, as chat models, it is the mean over the tokens. All are divided by their length
    (L2 norm), as llama.cpp's server does, so their products are cosine similarities.

    Parameters
    ----------
    model : Model
        What reads. It needs no chat context; one is made for this, and freed again.
    texts : sequence of str
        Each is read on its own, from position 0; several share a batch.
    options : LoadOptions
        Of the model, for threads, the size of batches and the longest text.
    cancel : Cancel
        If set, the vectors of the texts that were finished are returned.
    adapters : Adapters, optional
        What is added to the weights.

    Returns
    -------
    vectors : array of float32, shape (n, d)
        In the order of ``texts``.
    tokens : int
        How many were read.

    Raises
    ------
    ParameterError
        If a text is empty.
    ContextOverflowError
        If a text is longer than the context, with the numbers.
    InvalidModelError
        If the model ranks pairs of texts, and has no vectors for one.
    InsufficientMemoryError
        If there is not enough memory for the batch, where ``options.check_memory`` is set.
    ContextError, EngineError
        If llama.cpp fails.
    """
    width = llama_cpp.llama_model_n_embd_out(model.handle)
    limit = _limit(model, options)
    tokens = []
    for number, text in enumerate(texts, 1):
        if cancel.requested:
            break
        tokens.append(_tokenise(model, text, number, limit))
    if not tokens or cancel.requested:
        return np.zeros((0, width), np.float32), 0
    with _Reader.opened(model, options, max(map(len, tokens)), len(tokens), adapters) as reader:
        cancel.on_request(reader.flag.set)
        return reader.read(tokens, width, cancel)


def _limit(model: Model, options: LoadOptions) -> int:
    """Return how many tokens a text may have."""
    train: int = model.n_ctx_train
    if options.n_ctx == "auto":
        return min(train, memory.MOST_AUTO)
    # Encoders have a table of positions, and nothing behind its end.
    return min(options.n_ctx, train) if _pooling(model) else options.n_ctx


def _pooling(model: Model) -> int:
    """Return the ``enum llama_pooling_type`` for llama.cpp; 0 where the tokens can be added up here."""
    architecture = model.metadata("general.architecture")
    kind = int(model.metadata(f"{architecture}.pooling_type") or llama_cpp.LLAMA_POOLING_TYPE_NONE)
    if kind == llama_cpp.LLAMA_POOLING_TYPE_NONE and model.metadata(f"{architecture}.attention.causal") == "false":
        return llama_cpp.LLAMA_POOLING_TYPE_MEAN  # each token looks at all of the text, so it must be read at once
    if kind == llama_cpp.LLAMA_POOLING_TYPE_RANK:
        msg = "The model ranks texts by how well they answer another, and has no vector for a text alone."
        raise InvalidModelError(msg, "Choose a model for embeddings or for chat.")
    return kind


def _tokenise(model: Model, text: str, number: int, limit: int) -> list[int]:
    """Return the tokens of the text with this number, with those that the model wants around it."""
    data = _utf8(text)
    if not data:
        msg = f"Text {number} is empty."
        raise ParameterError(msg, "Leave it out.")
    most = limit * _BYTES_PER_TOKEN
    if len(data) > most:
        count = len(_tokens(model, data[:most]))
        if count > limit + _CUT_OFF:
            raise _too_long(number, f"about {count * len(data) // most:,}", limit)
    tokens = _tokens(model, data)
    if len(tokens) > limit:
        raise _too_long(number, f"{len(tokens):,}", limit)
    if not tokens:
        msg = f"Nothing of text {number} reaches the model."
        raise ParameterError(msg, "Leave it out.")
    return tokens


def _tokens(model: Model, data: bytes) -> list[int]:
    vocab = llama_cpp.llama_model_get_vocab(model.handle)
    assert vocab is not None  # noqa: S101 - every model has one
    size = len(data) + 8
    buffer = (llama_cpp.llama_token * size)()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), buffer, size, True, False)
    return buffer[:count]


def _too_long(number: int, count: str, limit: int) -> ContextOverflowError:
    msg = f"Text {number} has {count} tokens, and the longest that can be read has {limit:,}."
    return ContextOverflowError(msg, "Split it into parts.")


class _Reader:
    """A context that reads texts and forgets them.

    Where the model has a pooling of its own, llama.cpp applies it, and must have a text within one batch. Where it has
    none, the results of all tokens are added up here, and a long text may take several.
    """

    def __init__(self, model: Model, options: LoadOptions, longest: int, count: int) -> None:
        self.flag = native.AbortFlag()
        pooling = _pooling(model)
        self._pooled = pooling != llama_cpp.LLAMA_POOLING_TYPE_NONE
        self.n_batch = min(options.n_batch, _MOST_BATCH)
        # Models that keep a state read texts of different lengths a part of each at a time.
        alone = model.keeps_state and self._pooled
        self.n_seq_max = 1 if alone else min(sequences(options, model.keeps_state), count)
        params = context_params(options, n_ctx=longest, n_seq_max=self.n_seq_max, embeddings=True)
        if self._pooled:
            # A multiple of the sequences: llama.cpp ends the process where a mean is over anything else.
            self.n_batch = -(-max(longest, self.n_batch) // self.n_seq_max) * self.n_seq_max
        params.pooling_type = pooling
        params.n_batch = params.n_ubatch = self.n_batch
        params.n_ctx = longest + self.n_batch
        _check_memory(model, options, self.n_batch)
        with native.log.capture(quiet=True) as lines:  # it warns of every pooling that is not the model's
            handle = llama_cpp.llama_init_from_model(model.handle, params)
        if handle is None:
            msg = f"llama.cpp cannot make a context for embeddings: {native.reason(lines)}."
            raise ContextError(msg, "Free memory, or give shorter texts.")
        self.handle = handle
        self._memory = llama_cpp.llama_get_memory(handle)
        self._evaluate = llama_cpp.llama_decode if self._memory is not None else llama_cpp.llama_encode
        self.flag.attach(handle)
        self._batch = llama_cpp.llama_batch_init(self.n_batch, 0, 1)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, model: Model, options: LoadOptions, longest: int, count: int, adapters: Adapters | None
    ) -> Iterator[_Reader]:
        """Make a reader, and free it in any case."""
        reader = cls(model, options, longest, count)
        try:
            if adapters is not None:
                adapters.attach(reader.handle)
            yield reader
        finally:
            llama_cpp.llama_batch_free(reader._batch)
            llama_cpp.llama_free(reader.handle)

    def read(self, texts: list[list[int]], width: int, cancel: Cancel) -> tuple[npt.NDArray[np.float32], int]:
        """Return a vector for each text, or for the first of them if it is cancelled, and how many tokens were read."""
        sums = np.zeros((len(texts), width))
        done = read = 0
        for pieces in self._batches(texts):
            if cancel.requested or not self._run(pieces, cancel):
                break
            self._collect(pieces, sums)
            read += sum(len(piece.tokens) for piece in pieces)
            done = pieces[-1].text + pieces[-1].ends
        vectors = sums[:done]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            msg = "The model computed something that is not a number."
            raise EngineError(msg, "Its file may be damaged: download it again.")
        return (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32), read

    def _batches(self, texts: list[list[int]]) -> Iterator[list[_Piece]]:
        """Share the texts out to batches, in their order."""
        pieces: list[_Piece] = []
        room = self.n_batch
        for number, tokens in enumerate(texts):
            start = 0
            while start < len(tokens):
                wanted = len(tokens) if self._pooled else 1
                if room < wanted or len(pieces) == self.n_seq_max:
                    yield pieces
                    pieces, room = [], self.n_batch
                part = tokens[start : start + room]
                pieces.append(_Piece(number, start, part, start + len(part) == len(tokens)))
                start, room = start + len(part), room - len(part)
        yield pieces

    def _run(self, pieces: list[_Piece], cancel: Cancel) -> bool:
        """Evaluate a batch; return False if it was aborted."""
        batch, index = self._batch, 0
        for piece in pieces:
            for position, token in enumerate(piece.tokens, piece.start):
                batch.token[index], batch.pos[index], batch.logits[index] = token, position, 1
                batch.n_seq_id[index], batch.seq_id[index][0] = 1, piece.text % self.n_seq_max
                index += 1
        batch.n_tokens = index
        code = self._evaluate(self.handle, batch)
        if code != 0 and not cancel.requested:
            msg = f"llama.cpp failed while it read {index} tokens (code {code})."
            raise EngineError(msg, "Try again; the log named llama_widgets.llama may say more.")
        return bool(code == 0)

    def _collect(self, pieces: list[_Piece], sums: npt.NDArray[np.float64]) -> None:
        """Add the results of a batch to the vectors, and forget the texts that ended."""
        width = sums.shape[1]
        index = 0
        for piece in pieces:
            sequence = piece.text % self.n_seq_max
            if self._pooled:
                found = llama_cpp.llama_get_embeddings_seq(self.handle, sequence)
                sums[piece.text] = _array(found, 1, width)[0]
            else:
                found = llama_cpp.llama_get_embeddings_ith(self.handle, index)
                sums[piece.text] += _array(found, len(piece.tokens), width).sum(axis=0, dtype=np.float64)
                index += len(piece.tokens)
            if piece.ends and self._memory is not None:
                llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)


def _array(pointer: Any, rows: int, columns: int) -> npt.NDArray[np.float32]:  # noqa: ANN401 - a pointer to floats
    if not pointer:
        msg = "The model has no vectors for texts."
        raise InvalidModelError(msg, "Choose a model for embeddings or for chat.")
    return np.ctypeslib.as_array(pointer, (rows, columns))


@dataclass
class _Piece:
    """Tokens of one text from the position ``start`` on; ``ends`` is whether they are its last."""

    text: int
    start: int
    tokens: list[int]
    ends: bool


def _check_memory(model: Model, options: LoadOptions, n_batch: int) -> None:
    """Refuse batches for whose results there is no memory: llama.cpp computes logits too, which nobody asked for."""
    needs, free = 2 * 4 * model.n_vocab * n_batch, system.free_memory()  # where they are made, and where they are kept
    if options.check_memory and needs > free:
        msg = f"{n_batch:,} tokens at once take {system.size(needs)} of memory, and {system.size(free)} are free."
        raise InsufficientMemoryError(msg, "Split long texts, free memory, or load the model with check_memory=False.")
