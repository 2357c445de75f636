"""How much memory a model would take, from what stands before the vocabulary in its header.

That is all one can know of a file that is not here yet. llama.cpp itself says it of those that are: ``simulation.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidModelError
from .buffers import Needs
from .header import TOKENS, Array
from .parameters import n_ubatch, sequences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..options import LoadOptions

_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Of a number in the cache; source: the blocks of 32 in ggml-common.h."""
_FLOAT = 4
_MASK = 2  # 16 bits
_MOST_LAYERS = 1024


class Shape:
    """What the header of a model says of its size.

    Parameters
    ----------
    values : mapping
        The values of a header by their keys, as ``header.parse`` returns them.

    Attributes
    ----------
    n_layer, n_vocab : int
        Layers, and tokens it knows.
    n_ctx_train : int
        Tokens of the contexts it was trained on, 0 if the header does not say.
    keeps_state : bool
        Whether it is recurrent or hybrid.

    Raises
    ------
    InvalidModelError
        If these are not the values of a model.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._architecture = values.get("general.architecture")
        self.n_layer = self._one("block_count")
        if not isinstance(self._architecture, str) or not 0 < self.n_layer <= _MOST_LAYERS:
            msg = "The header does not say how large the model is."
            raise InvalidModelError(msg, "Choose another file.")
        self._width = self._one("embedding_length")
        self.n_ctx_train = self._one("context_length")
        self.n_vocab = self._count_vocab()
        self._heads_kv = self._each("attention.head_count_kv") or self._each("attention.head_count")
        self.keeps_state = bool(self._state())

    def needs(self, weights: int, n_ctx: int, options: LoadOptions) -> Needs:
        """Return the memory of the model and a context.

        Parameters
        ----------
        weights : int
            Bytes of its files.
        n_ctx : int
            Tokens of the context.
        options : LoadOptions
            How it is to be loaded.

        Notes
        -----
        For each token and layer, attention keeps a key and a value for each of its heads; a layer with a running state
        keeps that for each conversation. The largest graph is one of ``n_ubatch`` tokens, which has three vectors of
        the feed-forward layer's width and four of the model's at the same time, and a mask of 16 bits for each pair of
        tokens; beside it, each conversation has the logits of a token. llama.cpp's own plans come out like that, within
        two per cent, for the models of ``tests/engine/test_estimate.py``.
        """
        n_seq_max = sequences(options, self.keeps_state)
        tokens = n_ubatch(options)
        masks = 2 if self._one("attention.sliding_window") else 1
        vectors = 3 * self._wide() + 4 * self._width
        compute = tokens * (_FLOAT * vectors + _MASK * masks * n_ctx)
        logits = _FLOAT * self.n_vocab * n_seq_max
        return Needs(
            weights,
            cache=round(n_ctx * self._per_token(options)) + n_seq_max * self._state(),
            compute=max(compute, logits) + logits,
        )

    def _per_token(self, options: LoadOptions) -> float:
        """Return the bytes of all keys and values of one token."""
        heads = max(self._each("attention.head_count"), default=0)
        size = self._width // heads if heads else 0
        key = self._one("attention.key_length", size) * _BYTES[options.cache_type_k]
        value = self._one("attention.value_length", size) * _BYTES[options.cache_type_v]
        return sum(self._heads_kv) * (key + value)

    def _state(self) -> int:
        """Return the bytes of one running state: a state space's and its convolution's, or that alone."""
        layers = sum(1 for heads in self._heads_kv if not heads) if any(self._heads_kv) else self.n_layer
        inner, states = self._one("ssm.inner_size"), self._one("ssm.state_size")
        groups = self._one("ssm.group_count")
        convolved = max(0, self._one("ssm.conv_kernel") - 1) * (inner + 2 * groups * states)
        short = max(0, self._one("shortconv.l_cache") - 1) * self._width
        return layers * _FLOAT * (inner * states + convolved + short)

    def _wide(self) -> int:
        """Return the width of a feed-forward layer, or of the experts that are asked together."""
        experts = self._one("expert_used_count") * self._one("expert_feed_forward_length")
        return max([experts, *self._each("feed_forward_length")])

    def _count_vocab(self) -> int:
        tokens = self._values.get(TOKENS)
        return tokens.count if isinstance(tokens, Array) else self._one("vocab_size")

    def _one(self, key: str, default: int = 0) -> int:
        return max(self._each(key), default=default)

    def _each(self, key: str) -> tuple[int, ...]:
        """Return a number for each layer, whether the header has one or as many; none if it has none."""
        value = self._values.get(f"{self._architecture}.{key}")
        if isinstance(value, tuple):
            return tuple(number for number in value if isinstance(number, int) and number >= 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return ()
        return (value,) * (self.n_layer if key != "block_count" else 1)
