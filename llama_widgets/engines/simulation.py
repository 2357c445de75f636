"""How much memory llama.cpp would take, found out by letting it go through the motions.

With ``no_alloc`` llama.cpp reads the header of a model only, and its contexts compute the sizes of their buffers
without making them. It has no function that returns these sizes, but logs them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import ContextError, InvalidModelError
from . import header, native
from .buffers import Needs, measured
from .model import load_error
from .parameters import context_params

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable
    from pathlib import Path

    from ..options import LoadOptions

_MIB = 1024 * 1024
_MOST_CELLS = 65_536
_MOST_BYTES = 64 * _MIB
"""What is larger is extrapolated. A simulation too makes the list of the cells, some 50 bytes each, and allocates the
results and running states of its sequences."""

_STRING, _INTEGER = 3, 0  # enum llama_model_kv_override_type
_LONGEST_NAME = 100  # a key may have 127 bytes


@dataclass(frozen=True)
class Facts:
    """What a model is. ``weights`` are bytes, ``keeps_state`` is whether it is recurrent or hybrid."""

    weights: int
    n_ctx_train: int
    n_vocab: int
    n_layer: int
    n_head_kv: int
    n_embd_head: int
    keeps_state: bool


_facts: dict[tuple[object, ...], Facts] = {}
_needs: dict[tuple[object, ...], Needs] = {}
_MOST_KNOWN = 256


class Simulation:
    """A model without weights. What was found out of a file is known until it changes.

    Parameters
    ----------
    path : Path
        The file.
    options : LoadOptions
        How it is to be loaded.

    Raises
    ------
    ModelError
        From its methods, if llama.cpp cannot load such a file or make such a context, with its own reason.
    OSError
        If the file cannot be read.
    """

    def __init__(self, path: Path, options: LoadOptions) -> None:
        self._path = path
        self._options = options
        status = path.stat()
        self._file = (str(path), status.st_mtime_ns, status.st_size)
        self._model: llama_cpp.llama_model_p | None = None

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None

    @property
    def facts(self) -> Facts:
        """What the model is."""
        if self._file not in _facts:
            _remember(_facts, self._file, _read_facts(self._loaded))
        return _facts[self._file]

    def needs(self, n_ctx: int, n_seq_max: int) -> Needs:
        """Return what a context of that many tokens and conversations needs, with the model."""
        options = self._options
        wanted = (options.n_batch, options.cache_type_k, options.cache_type_v, options.flash_attn, options.swa_full)
        key = (*self._file, n_ctx, n_seq_max, options.n_gpu_layers, *wanted)  # layers decide how much is read at once
        if key not in _needs:
            _remember(_needs, key, self._extrapolate(n_ctx, n_seq_max))
        return _needs[key]

    def _extrapolate(self, n_ctx: int, n_seq_max: int) -> Needs:
        def at(cells: int) -> Needs:
            return _line(lambda sequences: self._simulate(cells, sequences), n_seq_max, self._most_sequences)

        return _line(at, n_ctx, _MOST_CELLS)

    @property
    def _most_sequences(self) -> int:
        each = 4 * self.facts.n_vocab
        if self.facts.keeps_state:
            each += self._simulate(1, 2).cache - self._simulate(1, 1).cache
        return max(2, _MOST_BYTES // max(1, each))

    def _simulate(self, n_ctx: int, n_seq_max: int) -> Needs:
        params = context_params(self._options, n_ctx=n_ctx, n_seq_max=n_seq_max)
        # llama.cpp ends the process where a mean is over a batch that is no multiple of the sequences.
        params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_NONE
        with native.log.capture(quiet=True) as lines:
            context = llama_cpp.llama_init_from_model(self._loaded, params)
        if context is None:
            msg = f"llama.cpp cannot make a context of {n_ctx:,} tokens: {native.reason(lines)}."
            raise ContextError(msg, "Choose other options for the context.")
        llama_cpp.llama_free(context)
        needs = measured(lines, self.facts.weights) or self._estimate(n_ctx, n_seq_max)
        # Results are computed in one place and kept in another. A simulation logs the last graph that was tried, even
        # where an earlier one, for a token of each sequence, is larger.
        results = 2 * 4 * self.facts.n_vocab * n_seq_max
        return replace(needs, compute=max(needs.compute, results))

    def _estimate(self, n_ctx: int, n_seq_max: int) -> Needs:
        """Return what is needed where the log is not as expected: a little more than of a plain transformer."""
        facts, options = self.facts, self._options
        per_token = facts.n_layer * facts.n_head_kv * facts.n_embd_head * 2 * 2  # keys and values of 16 bits
        outputs = 4 * facts.n_vocab * n_seq_max
        scores = 4 * options.n_batch * n_ctx  # of one head
        return Needs(facts.weights, per_token * n_ctx, 2 * outputs + scores)

    @property
    def _loaded(self) -> llama_cpp.llama_model_p:
        if self._model is None:
            # The vocabulary is most of the work, up to a second of it, and only its size counts.
            self._model = _load(self._path, without_vocabulary=True) or _load(self._path, without_vocabulary=False)
        assert self._model is not None  # noqa: S101 - the second attempt raises
        return self._model


def _line(simulate: Callable[[int], Needs], wanted: int, most: int) -> Needs:
    """Return what ``simulate`` would for ``wanted`` if that is more than ``most``: all grows along a line there."""
    if wanted <= most:
        return simulate(wanted)
    whole, half = simulate(most), simulate(most // 2)
    times = (wanted - most) / (most - most // 2)
    cache, compute = whole.cache - half.cache, whole.compute - half.compute
    return replace(whole, cache=whole.cache + round(times * cache), compute=whole.compute + round(times * compute))


def _load(path: Path, *, without_vocabulary: bool) -> llama_cpp.llama_model_p | None:
    """Load a model without weights; None if that does not work without its vocabulary."""
    params = llama_cpp.llama_model_default_params()
    params.no_alloc, params.load_mode, params.n_gpu_layers = True, llama_cpp.LLAMA_LOAD_MODE_NONE, 0
    if without_vocabulary:
        overrides = _no_vocabulary(path)
        if overrides is None:
            return None
        params.kv_overrides = overrides
    with native.log.capture(quiet=True) as lines:
        model: llama_cpp.llama_model_p | None = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if model is None and not without_vocabulary:
        raise load_error(path, native.reason(lines))
    return model


def _no_vocabulary(path: Path) -> ctypes.Array[llama_cpp.llama_model_kv_override] | None:
    """Return what makes llama.cpp count the tokens of a model instead of reading them."""
    try:
        found = header.find(path, "general.architecture", header.TOKENS)
    except InvalidModelError:
        return None  # llama.cpp will say what is wrong
    name, tokens = found.get("general.architecture"), found.get(header.TOKENS)
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not isinstance(tokens, header.Array):
        return None
    overrides = (llama_cpp.llama_model_kv_override * 3)()  # the last one is empty and ends the list
    values: list[Any] = [override.value for override in overrides]  # a union
    overrides[0].tag, overrides[0].key = _STRING, b"tokenizer.ggml.model"
    values[0].val_str = b"none"
    overrides[1].tag, overrides[1].key = _INTEGER, f"{name}.vocab_size".encode()
    values[1].val_i64 = tokens.count
    return overrides


def _read_facts(model: llama_cpp.llama_model_p) -> Facts:
    heads = llama_cpp.llama_model_n_head(model)
    vocab = llama_cpp.llama_model_get_vocab(model)
    assert vocab is not None  # noqa: S101 - every model has one
    return Facts(
        weights=llama_cpp.llama_model_size(model),
        n_ctx_train=llama_cpp.llama_model_n_ctx_train(model),
        n_vocab=llama_cpp.llama_vocab_n_tokens(vocab),
        n_layer=llama_cpp.llama_model_n_layer(model),
        n_head_kv=llama_cpp.llama_model_n_head_kv(model),
        n_embd_head=llama_cpp.llama_model_n_embd(model) // max(1, heads),
        keeps_state=llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model),
    )


def _remember(known: dict[Any, Any], key: object, value: object) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = value
