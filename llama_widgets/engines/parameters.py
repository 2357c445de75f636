"""Load options as llama.cpp takes them: the same for what is planned and for what is then made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import ParameterError
from . import native

if TYPE_CHECKING:
    from ..options import LoadOptions

_UBATCH, _UBATCH_CPU = 512, 256
_LEAST_READ, _MOST_WORK = 64, 2**19
_SEQUENCES, _STATES = 16, 4
_CACHE_TYPES = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
_FLASH_ATTN = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    False: llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    True: llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
}


def check(options: LoadOptions) -> None:
    """Refuse options that contradict each other.

    Raises
    ------
    ParameterError
        If values are to be quantised without flash attention, which llama.cpp cannot.
    """
    if options.flash_attn is False and options.cache_type_v != "f16":
        msg = f"cache_type_v={options.cache_type_v!r} needs flash attention, and flash_attn is False."
        raise ParameterError(msg, 'Leave flash_attn at "auto", or cache_type_v at "f16".')


def sequences(options: LoadOptions, keeps_state: bool) -> int:
    """Return how many conversations are kept: cells of a cache are shared, but each running state has its own memory.

    Parameters
    ----------
    options : LoadOptions
        What was asked for.
    keeps_state : bool
        Whether the model is recurrent or hybrid.
    """
    if options.n_seq_max != "auto":
        return options.n_seq_max
    return _STATES if keeps_state else _SEQUENCES


def most_read(options: LoadOptions, position: int) -> int:
    """Return how many tokens of a prompt to evaluate in one call, so that an abort need not wait for long.

    llama.cpp asks whether to abort between the operations of a graph, and the longest of them is attention, which takes
    as long as there are tokens times those before them. With 512 at once after 6,000, that is up to 0.3 s on two slow
    cores; with 64 it is 0.03 s. Before 2,000, fewer than 256 would cost more than they spare.

    Parameters
    ----------
    options : LoadOptions
        How the model is loaded. A GPU is quick, and not asked in between: there it is always ``n_batch``.
    position : int
        How many tokens are before them.
    """
    if _on_gpu(options):
        return options.n_batch
    most = _UBATCH_CPU
    while most > _LEAST_READ and most * position > _MOST_WORK:
        most //= 2
    return min(options.n_batch, most)


def n_ubatch(options: LoadOptions) -> int:
    """Return how many tokens are computed at once."""
    return min(options.n_batch, _UBATCH if _on_gpu(options) else _UBATCH_CPU)


def _on_gpu(options: LoadOptions) -> bool:
    return options.n_gpu_layers != 0 and native.has_gpu()


def model_params(options: LoadOptions, n_gpu_layers: int) -> llama_cpp.llama_model_params:
    """Return how the weights are to be loaded.

    Parameters
    ----------
    options : LoadOptions
        What was asked for.
    n_gpu_layers : int
        Layers given to the GPU, decided where the option is "auto".
    """
    params: llama_cpp.llama_model_params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = n_gpu_layers
    params.load_mode = {
        (False, False): llama_cpp.LLAMA_LOAD_MODE_NONE,
        (False, True): llama_cpp.LLAMA_LOAD_MODE_MLOCK,
        (True, False): llama_cpp.LLAMA_LOAD_MODE_AUTO,  # maps, but where the device reads faster without
        (True, True): llama_cpp.LLAMA_LOAD_MODE_MMAP_MLOCK,
    }[options.use_mmap, options.use_mlock]
    return params


def context_params(
    options: LoadOptions, *, n_ctx: int, n_seq_max: int, n_outputs: int | None = None, embeddings: bool = False
) -> llama_cpp.llama_context_params:
    """Return how a context is to be made.

    A batch may ask for the logits of ``n_outputs`` tokens, unless ``embeddings`` are made: llama.cpp ends the process
    where there are more. In return it need not keep room for the logits of a whole batch, which is 512 MiB for a
    vocabulary of 256,000 tokens.

    Parameters
    ----------
    options : LoadOptions
        What was asked for.
    n_ctx, n_seq_max : int
        Tokens and conversations, decided where the option is "auto".
    n_outputs : int, optional
        The most tokens of a batch after which to ask for what follows, by default one for each conversation.
    embeddings : bool
        Whether texts are turned into vectors, not continued.

    Raises
    ------
    ParameterError
        If the options contradict each other.
    """
    check(options)
    params: llama_cpp.llama_context_params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_seq_max = n_ctx, n_seq_max
    params.n_batch = options.n_batch
    params.n_ubatch = n_ubatch(options)
    params.n_threads = native.default_threads() if options.n_threads == "auto" else options.n_threads
    params.n_threads_batch = native.physical_cores() if options.n_threads_batch == "auto" else options.n_threads_batch
    params.type_k = _CACHE_TYPES[options.cache_type_k]
    params.type_v = _CACHE_TYPES[options.cache_type_v]
    params.flash_attn_type = _FLASH_ATTN[options.flash_attn]
    params.swa_full = options.swa_full
    params.kv_unified = True  # one conversation may use all of the context
    params.embeddings = embeddings
    params.n_outputs_max = 0 if embeddings else n_outputs or n_seq_max  # 0 is a whole batch
    return params
