"""What can be set when a model is loaded and when it answers, with defaults and ranges.

The names are llama.cpp's. Twin: ``frontend/src/commands.ts``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .wire import param

Auto = Literal["auto"]
CacheType = Literal["f16", "q8_0", "q4_0"]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is put into memory.

    Attributes
    ----------
    n_ctx : int or "auto"
        Tokens that fit into the memory of the model, prompts and answers of all conversations together. One
        conversation may use all of it; what is kept of the others gives way. "auto" is the training size, at most
        8,192, and less where there is no memory for it.
    n_gpu_layers : int or "auto"
        Layers given to the GPU. "auto" is as many as fit there, none without a GPU.
    n_seq_max : int or "auto"
        Conversations that are kept or answered at the same time. "auto" is 16; 4 for models that keep a running state.
    n_batch : int
        The most tokens of prompts that are evaluated in one call. A CPU gets 256, and fewer after 2,000 tokens, for an
        abort to be quick.
    n_threads : int or "auto"
        Threads that make tokens. "auto" is one less than the physical cores this process may use: the browser and the
        kernel need one too.
    n_threads_batch : int or "auto"
        Threads that read prompts and work on several answers at once. "auto" is all physical cores.
    cache_type_k, cache_type_v : "f16", "q8_0" or "q4_0"
        Precision of the keys and values that are kept per token: q8_0 takes about half of the memory, q4_0 about a
        quarter, and costs some quality. Values below f16 need flash attention.
    flash_attn : bool or "auto"
        Whether attention is computed in one fused step. "auto" is where the device can.
    use_mmap : bool
        Map the file instead of reading it, so that processes share its pages.
    use_mlock : bool
        Keep the weights from being swapped out; needs the right to lock that much memory.
    swa_full : bool
        Keep all tokens of models with a sliding window too. Without it they take much less memory, and editing or
        regenerating an answer reads the whole conversation again.
    lora : list of str or dict
        Adapters to apply, each a path or ``{"path": ..., "scale": 1.0}``.
    chat_template : str or None
        A Jinja template, or the name of one of the model's variants, instead of the model's own.
    unload_after : float or None
        Seconds without a request after which the model is freed; ``None`` is never.
    check_memory : bool
        Refuse with ``InsufficientMemoryError`` what does not fit, before llama.cpp is asked. False tries anyway.
    """

    n_ctx: int | Auto = param("auto", 16, 16_777_216)
    n_gpu_layers: int | Auto = param("auto", 0, 10_000)
    n_seq_max: int | Auto = param("auto", 1, 256)
    n_batch: int = param(512, 1, 65_536)
    n_threads: int | Auto = param("auto", 1, 1_024)
    n_threads_batch: int | Auto = param("auto", 1, 1_024)
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    flash_attn: bool | Auto = "auto"
    use_mmap: bool = True
    use_mlock: bool = False
    swa_full: bool = True
    lora: list[str | dict[str, Any]] = field(default_factory=list)
    chat_template: str | None = None
    unload_after: float | None = param(None, 0, None)
    check_memory: bool = True


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How an answer is made. The defaults are llama.cpp's own.

    The samplers act in llama.cpp's order: logit_bias, penalties, DRY, top_n_sigma, top_k, typical_p, top_p, min_p, XTC,
    temperature. Mirostat takes the place of those from top_n_sigma to XTC, and temperature 0 of all from there on.

    Attributes
    ----------
    max_tokens : int or None
        The longest answer; ``None`` is until the model ends it.
    temperature : float
        0 takes the likeliest token each time; higher is more varied.
    dynatemp_range : float
        The temperature moves by up to this range, by how sure the model is; 0 is off. Source: arXiv 2309.02772.
    dynatemp_exponent : float
        The shape of the curve between how sure the model is and the temperature; 1 is a line.
    top_k : int
        Only the k likeliest tokens are considered; 0 is all.
    top_p : float
        Only the likeliest tokens that together reach this probability are considered; 1 is all.
    min_p : float
        Only tokens with at least this fraction of the likeliest one's probability are considered; 0 is all.
    typical_p : float
        Only tokens about as surprising as expected, up to this probability; 1 is all. Source: arXiv 2202.00666.
    top_n_sigma : float
        Only tokens within n standard deviations of the likeliest logit; 0 or less is off. Source: arXiv 2411.07641.
    xtc_probability : float
        With this probability all tokens above the threshold but the least likely of them are taken out; 0 is off.
    xtc_threshold : float
        How likely a token must be for XTC to take it out; above 0.5 is off, as no two tokens can reach that.
    dry_multiplier : float
        Strength of the penalty on repeating longer sequences ("don't repeat yourself"); 0 is off.
    dry_base : float
        The penalty is multiplier x base ^ (length of the repetition - dry_allowed_length).
    dry_allowed_length : int
        Repetitions up to this length cost nothing.
    dry_penalty_last_n : int
        How many tokens DRY looks back; -1 is as many as the model was trained on, 0 is off.
    dry_sequence_breakers : list of str
        Texts over which DRY does not look for repetitions.
    mirostat : int
        1 or 2 holds the surprise of the text at ``mirostat_tau``; 0 is off. Source: arXiv 2007.14966.
    mirostat_tau : float
        The surprise that mirostat wishes for, in bits.
    mirostat_eta : float
        How fast mirostat approaches it.
    repeat_last_n : int
        How many tokens the three penalties look back; -1 is as many as the model was trained on, 0 is off.
    repeat_penalty : float
        Above 1, tokens that occurred become less likely; 1 is off.
    frequency_penalty : float
        Taken from the logit of a token for each time it occurred; 0 is off.
    presence_penalty : float
        Taken from the logit of a token once if it occurred; 0 is off.
    logit_bias : dict of str to float
        Added to the logits of all tokens that a text consists of, wherever they occur; -100 or less forbids them. Most
        tokens begin with the space before a word, so " yes" is another token than "yes". A grammar that leaves only
        forbidden tokens wins.
    seed : int or None
        The same seed and settings draw the same tokens, if ``reproducible`` too; ``None`` is a new one each time.
    stop : list of str
        Texts that end the answer; they are not part of it.
    grammar : str or None
        A GBNF grammar that the answer follows, with a rule ``root``. It sees the answer only, not the thoughts.
    json_schema : dict or None
        A JSON schema that the answer fulfils, if it is not cut off by ``max_tokens``. What no grammar can be held to is
        refused by name, such as ``uniqueItems``, ``patternProperties`` or ``not``.
    top_logprobs : int or None
        Also tell the log-probability of each token, and that many of the likeliest beside it; 0 is the token alone.
    thinking_budget : int or None
        The most tokens of a thought; then it is closed and the answer begins. 0 closes it at once.
    context_overflow : "shift" or "stop"
        When the context is full: the oldest turns leave, or the answer ends with ``context_full``.
    reproducible : bool
        The same request gives the same answer, bit by bit, on the same machine, build and load options. It runs alone
        and reuses nothing, so it takes longer, and other conversations are read again after it. Without it, what is
        reused and what runs at the same time changes the shape of batches, hence rounding, hence now and then a token.
    """

    max_tokens: int | None = param(None, 1, None)
    temperature: float = param(0.8, 0, 5)
    dynatemp_range: float = param(0.0, 0, 5)
    dynatemp_exponent: float = param(1.0, 0, 10)
    top_k: int = param(40, 0, 1_000_000)
    top_p: float = param(0.95, 0, 1)
    min_p: float = param(0.05, 0, 1)
    typical_p: float = param(1.0, 0, 1)
    top_n_sigma: float = param(-1.0, -1, 100)
    xtc_probability: float = param(0.0, 0, 1)
    xtc_threshold: float = param(0.1, 0, 1)
    dry_multiplier: float = param(0.0, 0, 100)
    dry_base: float = param(1.75, 1, 100)
    dry_allowed_length: int = param(2, 0, 1_000_000)
    dry_penalty_last_n: int = param(-1, -1, 16_777_216)
    dry_sequence_breakers: list[str] = field(default_factory=lambda: ["\n", ":", '"', "*"])
    mirostat: int = param(0, 0, 2)
    mirostat_tau: float = param(5.0, 0, 100)
    mirostat_eta: float = param(0.1, 0, 10)
    repeat_last_n: int = param(64, -1, 16_777_216)
    repeat_penalty: float = param(1.0, 0.1, 10)
    frequency_penalty: float = param(0.0, -100, 100)
    presence_penalty: float = param(0.0, -100, 100)
    logit_bias: dict[str, float] = field(default_factory=dict)
    seed: int | None = param(None, 0, 2**32 - 1)
    stop: list[str] = field(default_factory=list)
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    top_logprobs: int | None = param(None, 0, 1_000)
    thinking_budget: int | None = param(None, 0, None)
    context_overflow: Literal["shift", "stop"] = "shift"
    reproducible: bool = False
