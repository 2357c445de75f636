"""What can be set when a model is loaded and when it answers, with defaults and ranges.

The names are llama.cpp's. Twin: ``frontend/src/protocol.ts``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .wire import param

Auto = Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is put into memory.

    Attributes
    ----------
    n_ctx : int or "auto"
        Tokens that prompt and answer share. "auto" is the training size, at most 8,192.
    n_gpu_layers : int or "auto"
        Layers given to the GPU. "auto" is all of them where llama.cpp was built with a GPU backend, otherwise none.
    n_batch : int
        Tokens of a prompt that are evaluated in one call.
    n_threads : int or "auto"
        Threads that compute. "auto" is one less than the physical cores this process may use: the browser and the
        kernel need one too.
    """

    n_ctx: int | Auto = param("auto", 16, 16_777_216)
    n_gpu_layers: int | Auto = param("auto", 0, 10_000)
    n_batch: int = param(512, 1, 65_536)
    n_threads: int | Auto = param("auto", 1, 1_024)


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How an answer is sampled. The defaults are llama.cpp's own.

    Attributes
    ----------
    max_tokens : int or None
        The longest answer; ``None`` is until the context is full.
    temperature : float
        0 takes the likeliest token each time; higher is more varied.
    top_k : int
        Only the k likeliest tokens are considered; 0 is all.
    top_p : float
        Only the likeliest tokens that together reach this probability are considered; 1 is all.
    min_p : float
        Only tokens with at least this fraction of the likeliest one's probability are considered; 0 is all.
    repeat_penalty : float
        Above 1, tokens of the last 64 become less likely; 1 is off.
    seed : int or None
        The same seed and settings draw the same tokens; ``None`` is a new one each time.
    stop : list of str
        Texts that end the answer; they are not part of it.
    """

    max_tokens: int | None = param(None, 1, None)
    temperature: float = param(0.8, 0, 5)
    top_k: int = param(40, 0, 1_000_000)
    top_p: float = param(0.95, 0, 1)
    min_p: float = param(0.05, 0, 1)
    repeat_penalty: float = param(1.0, 0.1, 10)
    seed: int | None = param(None, 0, 2**32 - 1)
    stop: list[str] = field(default_factory=list)
