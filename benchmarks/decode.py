"""Decode speed and time to the first token: through worker and engine, and in a bare ``llama_decode`` loop."""

from __future__ import annotations

import ctypes
import statistics
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from benchmarks.table import Row, demo_model
from llama_widgets import protocol as p
from llama_widgets.options import GenerationOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKENS = 512
ROUNDS = 5
PROMPT = "Write the numbers from one to three hundred in words, separated by commas."


class Bare:
    """The least that makes the same tokens: one context, greedy choice, nothing sent and nothing checked."""

    def __init__(self, path: Path, n_threads: int) -> None:
        import llama_cpp

        self.c: Any = llama_cpp
        params = llama_cpp.llama_model_default_params()
        model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        context = llama_cpp.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_threads, context.n_threads_batch = 8192, 512, n_threads, n_threads
        self.model, self.context = model, llama_cpp.llama_init_from_model(model, context)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def tokens(self, text: str) -> list[int]:
        """Tokenise a rendered prompt."""
        raw = text.encode()
        room = (self.c.llama_token * (len(raw) + 8))()
        count = self.c.llama_tokenize(self.vocab, raw, len(raw), room, len(room), False, True)
        return list(room[:count])

    def run(self, prompt: list[int], count: int) -> tuple[float, float]:
        """Return seconds to the first token, and tokens per second after it."""
        c = self.c
        c.llama_memory_clear(c.llama_get_memory(self.context), True)
        sampler = c.llama_sampler_init_greedy()
        start = time.perf_counter()
        array = (c.llama_token * len(prompt))(*prompt)
        c.llama_decode(self.context, c.llama_batch_get_one(array, len(prompt)))
        token = c.llama_sampler_sample(sampler, self.context, -1)
        piece = ctypes.create_string_buffer(64)
        first = time.perf_counter()
        for _ in range(count - 1):
            c.llama_token_to_piece(self.vocab, token, piece, len(piece), 0, False)
            array = (c.llama_token * 1)(token)
            c.llama_decode(self.context, c.llama_batch_get_one(array, 1))
            token = c.llama_sampler_sample(sampler, self.context, -1)
        end = time.perf_counter()
        c.llama_sampler_free(sampler)
        return first - start, (count - 1) / (end - first)


def rows() -> Iterator[Row]:
    """Yield decode speed and time to the first token, ours beside the bare loop's."""
    path = demo_model()
    worker = Worker()
    worker.run(p.LoadModel(request_id="load", model=str(path)))
    bare = Bare(path, _threads())
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for i in range(ROUNDS + 1):
        # A new word in front each time, so that no prefix is reused: both read the whole prompt, and the same one.
        prompt = f"{i}<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
        # Who goes first changes each time, or a drift of the machine would favour one of the two.
        if i % 2:
            ours.append(_ours(worker, prompt))
        theirs.append(bare.run(bare.tokens(prompt), TOKENS))
        if not i % 2:
            ours.append(_ours(worker, prompt))
    worker.close()
    ratios = [a[1] / b[1] for a, b in zip(ours[1:], theirs[1:], strict=True)]
    ratio = statistics.median(ratios)
    speed, bare_speed = (statistics.median(run[1] for run in runs[1:]) for runs in (ours, theirs))
    name = f"decode, {TOKENS} tokens, {ROUNDS} pairs"
    yield Row(name, "tokens/s", speed, bare_speed, "ratio ≥ 0.97", ratio >= 0.97, ratio)
    first, bare_first = (statistics.median(run[0] for run in runs[1:]) * 1000 for runs in (ours, theirs))
    yield Row("time to first token, 25 tokens of prompt", "ms", first, bare_first)


def _ours(worker: Worker, prompt: str) -> tuple[float, float]:
    """Return seconds to the first token, and tokens per second after it."""
    times: list[float] = []
    ended: Future[p.CompletionDone] = Future()

    def hear(event: p.Event) -> None:
        if isinstance(event, p.CompletionChunk):
            times.append(time.perf_counter())
        elif isinstance(event, p.CompletionDone):
            ended.set_result(event)

    options = GenerationOptions(temperature=0, max_tokens=TOKENS)
    start = time.perf_counter()
    worker.submit(p.GenerateCompletion(request_id="bench", prompt=prompt, options=options), hear)
    tokens = ended.result().usage.completion_tokens
    return times[0] - start, (tokens - 1) / (times[-1] - times[0])


def _threads() -> int:
    """Return the number of threads that "auto" means here."""
    from llama_widgets.engines.native import default_threads

    return default_threads()
