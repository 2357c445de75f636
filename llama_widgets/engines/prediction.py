"""What the model may say next: how likely each token is, and what each sampler leaves of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .probabilities import largest, log_softmax

if TYPE_CHECKING:
    import llama_cpp

    from .model import Model
    from .sampling import Sampler

_OPTIONS = {"temp": "temperature", "temp-ext": "temperature", "greedy": "temperature", "typical": "typical_p"}
"""Where llama.cpp's name of a sampler is not that of the option."""


def predict(model: Model, sampler: Sampler, ctx: llama_cpp.llama_context_p, index: int, top: int) -> dict[str, Any]:
    """Return the fields ``candidates``, ``stages`` and ``chosen`` of a ``predict_done``.

    The samplers are those of llama.cpp, which act one after the other on all tokens: what is told is what they do.
    """
    logprobs = log_softmax(sampler.logits(ctx, index))
    before = np.exp(logprobs)
    after = np.zeros_like(before)
    cut_by = np.zeros(len(before), np.int32)
    stages: list[dict[str, Any]] = []
    chosen = -1
    for name, left, chosen in sampler.stages(ctx, index):
        if name == "dist":
            break
        ids, logits = left["id"], left["logit"]
        possible = ids == chosen if name == "greedy" else np.isfinite(logits)  # a bias may forbid a token
        ids, logits = ids[possible], logits[possible]
        kept = np.zeros(len(before), bool)
        kept[ids] = True
        option = _OPTIONS.get(name, name.replace("-", "_"))
        stages.append({"name": option, "kept": len(ids), "p": float(before[kept].sum())})
        cut_by[~kept & (cut_by == 0)] = len(stages)
        after[:] = 0
        after[ids] = np.exp(log_softmax(logits))
    likeliest = largest(logprobs, top).tolist()
    names = ["", *(stage["name"] for stage in stages)]

    def candidate(token: int, rank: int) -> dict[str, Any]:
        return {
            "token": token,
            "text": model.shown(token),
            "logprob": float(logprobs[token]),
            "p": float(before[token]),
            "p_after": float(after[token]),
            "rank": rank,
            "cut_by": names[cut_by[token]],
        }

    return {
        "candidates": [candidate(token, rank) for rank, token in enumerate(likeliest, 1)],
        "stages": stages,
        "chosen": candidate(chosen, int((logprobs > logprobs[chosen]).sum()) + 1),
    }
