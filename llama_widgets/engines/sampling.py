"""How the next token is drawn, and how likely it was."""

from __future__ import annotations

import ctypes
import math
import random
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - this module is imported late
import numpy as np

from ..errors import EngineError, GrammarError, ParameterError
from . import native
from .constraint import Constraint
from .probabilities import largest, log_softmax, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..options import GenerationOptions
    from .grammar import Grammar
    from .model import Model

    _Floats = np.ndarray[tuple[int], np.dtype[np.float32]]
    _Candidates = np.ndarray[tuple[int], np.dtype[np.void]]

_FORBIDDEN = -100.0
_MIROSTAT_M = 100
_LEAST_LIKELY = 1e-30
_MOST_LOOKED_BACK = 2**20
_LIKELIEST = 512

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""Twin of ``llama_token_data``."""


class Sampler:
    """Draws the tokens of one answer.

    Parameters
    ----------
    options : GenerationOptions
        Which samplers, and their settings.
    model : Model
        Whose tokens are drawn.
    prompt : sequence of int
        What the penalties on repetition look back on.
    grammar : Grammar or None
        What the answer follows.

    Attributes
    ----------
    constrained : bool
        While it is False, the grammar neither limits nor sees the tokens, as during a thought.

    Raises
    ------
    ParameterError
        If ``logit_bias`` names no text, or gives no number.
    GrammarError
        If no answer can be held to the grammar.
    """

    def __init__(
        self, options: GenerationOptions, model: Model, prompt: Sequence[int], grammar: Grammar | None = None
    ) -> None:
        self.constrained = True
        self._model = model
        self._top = options.top_logprobs
        self._at, self._result = 0, np.empty(0, np.float32)
        self._constraint = None if grammar is None else Constraint(grammar, model)
        self._all = np.arange(0 if grammar is None else model.n_vocab, dtype=np.int32)
        self._candidates = np.empty(len(self._all), _CANDIDATE)
        bias = _logit_bias(options.logit_bias, model)
        window = min(max(model.n_ctx_train, len(prompt)), _MOST_LOOKED_BACK)
        self._handle: llama_cpp.llama_sampler_p | None = _chain(options, model, bias, window)
        # Nothing but the likeliest token: numpy finds it sooner than llama.cpp makes the list of candidates.
        alone = llama_cpp.llama_sampler_chain_n(self._chain) == 1
        self._greedy = options.temperature == 0 and alone and grammar is None
        back = _looks_back(options, window)
        self._remembers = back > 0
        for token in prompt[max(0, len(prompt) - back) :]:
            llama_cpp.llama_sampler_accept(self._handle, token)

    @property
    def ended(self) -> bool:
        """Whether the grammar allows nothing more."""
        return self._constraint is not None and self._constraint.ended

    def draw(self, ctx: llama_cpp.llama_context_p, index: int) -> int:
        """Draw the next token from output ``index`` of the last evaluation, and accept it.

        Raises
        ------
        GrammarError
            If the grammar leaves no token to draw.
        """
        if self._greedy:
            return int(self.logits(ctx, index).argmax())
        constraint = self._constraint
        if constraint is None or not self.constrained:
            return self._sample(ctx, index)
        # Sampling shows the token to the penalties, even if the grammar refuses it. A refused trigger does no harm.
        if constraint.waiting or not self._remembers:
            token = self._sample(ctx, index)
            if constraint.accept(token):
                return token
            token = self._redraw(constraint, self.logits(ctx, index))
        else:
            logits = self.logits(ctx, index)
            token = self._pick(logits, None)
            if not constraint.allows(token):
                token = self._redraw(constraint, logits)
        llama_cpp.llama_sampler_accept(self._chain, token)
        constraint.accept(token)
        return token

    def accept(self, token: int) -> None:
        """Take a token that was put there without drawing.

        Raises
        ------
        GrammarError
            If the grammar does not allow it.
        """
        if self._constraint is not None and self.constrained and not self._constraint.accept(token):
            msg = "The response prefix does not begin an answer that the grammar allows."
            raise GrammarError(msg, "Change the prefix, or leave it out.")
        llama_cpp.llama_sampler_accept(self._chain, token)

    def logprobs(self, ctx: llama_cpp.llama_context_p, index: int, token: int) -> dict[str, Any] | None:
        """Return the log-probability of ``token`` and of the likeliest, if they were asked for.

        They are what the model itself gives: natural logarithms of a softmax of all logits, before any sampler.
        """
        if self._top is None:
            return None
        return told(self._model, log_softmax(self.logits(ctx, index)), token, self._top)

    def stages(self, ctx: llama_cpp.llama_context_p, index: int) -> Iterator[tuple[str, _Candidates, int]]:
        """Let one sampler after the other act on output ``index``, the last of which draws.

        Yields
        ------
        name : str
            As llama.cpp calls it: "top-k", "temp", "dist", ...
        left : array with the fields id and logit
            What it leaves of the candidates.
        chosen : int
            The token that was drawn; -1 as long as none was.
        """
        data = np.empty(self._model.n_vocab, _CANDIDATE)
        data["id"], data["logit"] = np.arange(len(data)), self.logits(ctx, index)
        pointer = data.ctypes.data_as(llama_cpp.llama_token_data_p)
        array = llama_cpp.llama_token_data_array(data=pointer, size=len(data), selected=-1, sorted=False)
        for number in range(llama_cpp.llama_sampler_chain_n(self._chain)):
            part = llama_cpp.llama_sampler_chain_get(self._chain, number)
            llama_cpp.llama_sampler_apply(part, ctypes.byref(array))
            start = ctypes.addressof(array.data[0])  # not that of ``data``: XTC moves the pointer
            left = np.frombuffer(ctypes.string_at(start, array.size * _CANDIDATE.itemsize), _CANDIDATE)
            name = llama_cpp.llama_sampler_name(part).decode().lstrip("?+-")
            yield name, left, -1 if array.selected < 0 else int(left["id"][array.selected])

    def close(self) -> None:
        """Free the samplers."""
        if self._handle is not None:
            llama_cpp.llama_sampler_free(self._handle)
            self._handle = None

    @property
    def _chain(self) -> llama_cpp.llama_sampler_p:
        if self._handle is None:  # with which llama.cpp would end the process
            msg = "the sampler is closed"
            raise RuntimeError(msg)
        return self._handle

    def _sample(self, ctx: llama_cpp.llama_context_p, index: int) -> int:
        return int(llama_cpp.llama_sampler_sample(self._chain, ctx, index))

    def _redraw(self, constraint: Constraint, logits: _Floats) -> int:
        """Draw from what the grammar allows.

        Where much may come next, as within a text, that is what it allows of the likeliest tokens, if anything.
        """
        ids = constraint.candidates()
        first = largest(logits[ids], _LIKELIEST)
        for some in (ids[first], np.delete(ids, first)):
            allowed = [token for token in some.tolist() if constraint.allows(token)]
            if allowed:
                return self._pick(logits, np.array(allowed, np.intp))
        msg = "The grammar leaves no token to go on with."
        raise GrammarError(msg, "It may demand characters that the model cannot write.")

    def _pick(self, logits: _Floats, ids: np.ndarray[tuple[int], np.dtype[np.intp]] | None) -> int:
        """Let the chain choose among ``ids``, or among all."""
        data = self._candidates if ids is None else self._candidates[: len(ids)]
        data["id"] = self._all if ids is None else ids
        data["logit"] = logits if ids is None else logits[ids]
        pointer = data.ctypes.data_as(llama_cpp.llama_token_data_p)
        array = llama_cpp.llama_token_data_array(data=pointer, size=len(data), selected=-1, sorted=False)
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        chosen = array.data[array.selected]  # not of ``data``: XTC moves the pointer
        return int(chosen.id)

    def logits(self, ctx: llama_cpp.llama_context_p, index: int) -> _Floats:
        """Return what the model gives each token of its vocabulary at output ``index``: good until it evaluates again.

        Raises
        ------
        EngineError
            If there is no such output.
        """
        address = native.logits(ctx, index)
        if not address:
            msg = f"llama.cpp has no result number {index}."
            raise EngineError(msg, "Try again.")
        if address != self._at:  # llama.cpp writes each result where it wrote the one before, unless it needs more room
            self._at = address
            self._result = np.frombuffer((ctypes.c_float * self._model.n_vocab).from_address(address), np.float32)
        return self._result


def _chain(options: GenerationOptions, model: Model, bias: dict[int, float], window: int) -> llama_cpp.llama_sampler_p:
    chain: llama_cpp.llama_sampler_p = llama_cpp.llama_sampler_chain_init(
        llama_cpp.llama_sampler_chain_default_params()
    )
    for part in _parts(options, model, bias, window):
        llama_cpp.llama_sampler_chain_add(chain, part)
    return chain


def _parts(
    options: GenerationOptions, model: Model, bias: dict[int, float], window: int
) -> Iterator[llama_cpp.llama_sampler_p]:
    """Make the samplers that do something, in llama.cpp's own order. Source: ``common_sampler_init``."""
    if bias:
        entries = [llama_cpp.llama_logit_bias(token=token, bias=value) for token, value in bias.items()]
        array = (llama_cpp.llama_logit_bias * len(entries))(*entries)
        yield llama_cpp.llama_sampler_init_logit_bias(model.n_vocab, len(entries), array)
    if _penalises(options):
        yield llama_cpp.llama_sampler_init_penalties(
            model.n_vocab,
            _window(options.repeat_last_n, window),
            options.repeat_penalty,
            options.frequency_penalty,
            options.presence_penalty,
        )
    if _dry(options):
        yield from _dry_parts(options, model, window)
    seed = _seed(options.seed)
    if options.temperature == 0:
        yield llama_cpp.llama_sampler_init_greedy()
    elif options.mirostat:
        yield from _temperature(options)
        if options.mirostat == 1:
            yield llama_cpp.llama_sampler_init_mirostat(
                model.n_vocab, seed, options.mirostat_tau, options.mirostat_eta, _MIROSTAT_M
            )
        else:
            yield llama_cpp.llama_sampler_init_mirostat_v2(seed, options.mirostat_tau, options.mirostat_eta)
    else:
        yield from _truncating(options, seed)
        yield from _temperature(options)
        yield llama_cpp.llama_sampler_init_dist(seed)


def _truncating(options: GenerationOptions, seed: int) -> Iterator[llama_cpp.llama_sampler_p]:
    if options.top_n_sigma > 0:
        yield llama_cpp.llama_sampler_init_top_n_sigma(options.top_n_sigma)
    if options.top_k > 0:
        yield llama_cpp.llama_sampler_init_top_k(options.top_k)
    if options.typical_p < 1:
        # llama.cpp takes the logarithm of each probability, and one that is 0 would make all of them NaN.
        yield llama_cpp.llama_sampler_init_min_p(_LEAST_LIKELY, 1)
        yield llama_cpp.llama_sampler_init_typical(options.typical_p, 1)
    if options.top_p < 1:
        yield llama_cpp.llama_sampler_init_top_p(options.top_p, 1)
    if options.min_p > 0:
        yield llama_cpp.llama_sampler_init_min_p(options.min_p, 1)
    if options.xtc_probability > 0:
        yield llama_cpp.llama_sampler_init_xtc(options.xtc_probability, options.xtc_threshold, 1, seed)


def _temperature(options: GenerationOptions) -> Iterator[llama_cpp.llama_sampler_p]:
    if options.dynatemp_range > 0:
        yield llama_cpp.llama_sampler_init_temp_ext(
            options.temperature, options.dynatemp_range, options.dynatemp_exponent
        )
    else:
        yield llama_cpp.llama_sampler_init_temp(options.temperature)


def _dry_parts(options: GenerationOptions, model: Model, window: int) -> Iterator[llama_cpp.llama_sampler_p]:
    breakers = [text.encode("utf-8", "replace") for text in options.dry_sequence_breakers if text]
    yield llama_cpp.llama_sampler_init_dry(
        _vocab(model),
        options.dry_multiplier,
        options.dry_base,
        options.dry_allowed_length,
        _window(options.dry_penalty_last_n, window),
        (ctypes.c_char_p * len(breakers))(*breakers),
        len(breakers),
    )


def _penalises(options: GenerationOptions) -> bool:
    penalties = (options.repeat_penalty, options.frequency_penalty, options.presence_penalty)
    return options.repeat_last_n != 0 and penalties != (1, 0, 0)


def _dry(options: GenerationOptions) -> bool:
    return options.dry_multiplier > 0 and options.dry_penalty_last_n != 0


def _looks_back(options: GenerationOptions, window: int) -> int:
    """Return how many tokens of the prompt the samplers need to see."""
    penalties = _window(options.repeat_last_n, window) if _penalises(options) else 0
    return max(penalties, _window(options.dry_penalty_last_n, window) if _dry(options) else 0)


def _vocab(model: Model) -> llama_cpp.llama_vocab_p:
    vocab: llama_cpp.llama_vocab_p | None = llama_cpp.llama_model_get_vocab(model.handle)
    assert vocab is not None  # noqa: S101 - every model has one
    return vocab


def _window(last_n: int, window: int) -> int:
    # llama.cpp allocates as many, and takes -1 for none.
    return window if last_n < 0 else min(last_n, window)


def _seed(seed: int | None) -> int:
    # The largest 32-bit number is not a seed for llama.cpp: it means a random one.
    return random.getrandbits(31) if seed is None else min(seed, llama_cpp.LLAMA_DEFAULT_SEED - 1)


def _logit_bias(texts: dict[str, Any], model: Model) -> dict[int, float]:
    """Return what is added to the logit of each token that one of the texts consists of."""
    bias: dict[int, float] = {}
    for text, value in texts.items():
        if not text:
            msg = "logit_bias names an empty text."
            raise ParameterError(msg, 'Write it as {"text": number}.')
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value == math.inf:
            msg = f"logit_bias of {text!r} must be a number, not {value!r}."
            raise ParameterError(msg, "Positive numbers make its tokens likelier; -100 or less forbids them.")
        for token in set(model.tokens(text)):
            bias[token] = bias.get(token, 0) + (-math.inf if value <= _FORBIDDEN else min(value, 1e9))
    return bias
