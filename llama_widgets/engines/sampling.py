"""How the next token is drawn."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import llama_cpp  # noqa: TID253 - this module is imported late

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..options import GenerationOptions

_PENALTY_LAST = 64


@contextlib.contextmanager
def sampler(options: GenerationOptions, n_vocab: int, prompt: Sequence[int]) -> Iterator[int]:
    """Make the chain of samplers that ``options`` describe, in llama.cpp's own order; free it at the end."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    try:
        if options.repeat_penalty != 1:
            penalties = llama_cpp.llama_sampler_init_penalties(n_vocab, _PENALTY_LAST, options.repeat_penalty, 0, 0)
            llama_cpp.llama_sampler_chain_add(chain, penalties)
        if options.temperature == 0:
            llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
        else:
            for part in (
                llama_cpp.llama_sampler_init_top_k(options.top_k),
                llama_cpp.llama_sampler_init_top_p(options.top_p, 1),
                llama_cpp.llama_sampler_init_min_p(options.min_p, 1),
                llama_cpp.llama_sampler_init_temp(options.temperature),
                llama_cpp.llama_sampler_init_dist(_seed(options.seed)),
            ):
                llama_cpp.llama_sampler_chain_add(chain, part)
        for token in prompt[-_PENALTY_LAST:]:
            llama_cpp.llama_sampler_accept(chain, token)
        yield chain
    finally:
        llama_cpp.llama_sampler_free(chain)


def _seed(seed: int | None) -> int:
    # The largest 32-bit number is not a seed for llama.cpp: it means a random one.
    return random.getrandbits(31) if seed is None else min(seed, llama_cpp.LLAMA_DEFAULT_SEED - 1)
