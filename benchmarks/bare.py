"""The least that makes the same tokens: llama.cpp's C API in a loop. Nothing is sent, kept or checked."""

from __future__ import annotations

import ctypes
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Bare:
    """One model, one context, the likeliest token each time.

    Parameters
    ----------
    path : Path
        The model.
    n_ctx, n_threads : int
        Of the context.
    """

    def __init__(self, path: Path, n_ctx: int, n_threads: int) -> None:
        import llama_cpp

        self.c: Any = llama_cpp
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_threads, params.n_threads_batch = n_ctx, 512, n_threads, n_threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.sampler = llama_cpp.llama_sampler_init_greedy()
        self.prompt_tokens = 0
        self._token = -1
        self._piece = ctypes.create_string_buffer(64)

    def begin(self, messages: list[dict[str, Any]]) -> float:
        """Read a prompt and draw the first token; return the seconds that took."""
        return self.read(self.tokens(self._render(messages)))

    def read(self, prompt: list[int]) -> float:
        """Read a prompt, in batches, and draw the first token; return the seconds that took."""
        c = self.c
        start = time.perf_counter()
        c.llama_memory_clear(self.memory, True)
        for at in range(0, len(prompt), 512):
            self._decode(prompt[at : at + 512])
        self._token = c.llama_sampler_sample(self.sampler, self.context, -1)
        self.prompt_tokens = len(prompt)
        return time.perf_counter() - start

    def advance(self, count: int) -> tuple[int, float]:
        """Draw ``count`` tokens more; return how many, and the seconds."""
        c, token = self.c, self._token
        one = (c.llama_token * 1)()
        batch = c.llama_batch_get_one(one, 1)
        start = time.perf_counter()
        for _ in range(count):
            c.llama_token_to_piece(self.vocab, token, self._piece, 64, 0, False)
            one[0] = token
            c.llama_decode(self.context, batch)
            token = c.llama_sampler_sample(self.sampler, self.context, -1)
            if c.llama_vocab_is_eog(self.vocab, token):
                raise EOFError
        self._token = token
        return count, time.perf_counter() - start

    def end(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Free everything."""
        self.c.llama_sampler_free(self.sampler)
        self.c.llama_free(self.context)
        self.c.llama_model_free(self.model)

    def _decode(self, tokens: list[int]) -> None:
        array = (self.c.llama_token * len(tokens))(*tokens)
        if result := self.c.llama_decode(self.context, self.c.llama_batch_get_one(array, len(tokens))):
            raise RuntimeError(f"llama_decode returned {result}.")

    def tokens(self, text: str) -> list[int]:
        """Tokenise a rendered prompt."""
        raw = text.encode()
        room = (self.c.llama_token * (len(raw) + 8))()
        count = self.c.llama_tokenize(self.vocab, raw, len(raw), room, len(room), True, True)
        return list(room[:count])

    def _render(self, messages: list[Any]) -> str:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        template = self.c.llama_model_chat_template(self.model, None).decode()
        return str(Jinja2ChatFormatter(template, eos_token="", bos_token="")(messages=messages).prompt)
