"""A model and a context, driven by hand: what samplers do is seen without the engine around them."""

# ruff: noqa: ANN401 - options of every type pass through

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import llama_cpp  # noqa: TID253 - tests of the engine need it
import numpy as np

from llama_widgets.engines import native
from llama_widgets.engines.model import Model
from llama_widgets.engines.sampling import Sampler
from llama_widgets.options import GenerationOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llama_widgets.engines.grammar import Grammar

LAST = -1


class Written(NamedTuple):
    """What was drawn, and whether the model ended it."""

    text: str
    tokens: list[int]
    ended: bool


class Desk:
    """The demo model, or another, with room for 512 tokens."""

    def __init__(self, path: Path) -> None:
        native.start()
        self.model = Model(path, llama_cpp.llama_model_default_params(), lambda _: None)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = 512, 1, 1
        self.context = llama_cpp.llama_init_from_model(self.model.handle, params)
        assert self.context
        self._memory = llama_cpp.llama_get_memory(self.context)
        self.prompt: list[int] = []

    def close(self) -> None:
        llama_cpp.llama_free(self.context)
        self.model.close()

    def chat(self, message: str) -> None:
        """Read one turn of a conversation."""
        self.read(f"<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n")

    def read(self, text: str) -> None:
        """Read a prompt, and forget what was before."""
        prompt = self.model.tokenise(text, 512)
        if prompt != self.prompt:
            llama_cpp.llama_memory_clear(self._memory, True)
            self.evaluate(prompt[:-1])
            self.prompt = prompt
        self.rewind()

    def rewind(self) -> None:
        """Go back to the end of the prompt; its last token alone, so that rounding is the same each time."""
        assert llama_cpp.llama_memory_seq_rm(self._memory, 0, len(self.prompt) - 1, -1)
        self.evaluate(self.prompt[-1:])

    def evaluate(self, tokens: list[int]) -> None:
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        assert llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(tokens))) == 0

    @property
    def logits(self) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """Those after the last token."""
        pointer = llama_cpp.llama_get_logits_ith(self.context, LAST)
        return np.array(np.ctypeslib.as_array(pointer, shape=(self.model.n_vocab,)))

    @contextlib.contextmanager
    def sampler(self, grammar: Grammar | None = None, **options: Any) -> Iterator[Sampler]:
        sampler = Sampler(GenerationOptions(**options), self.model, self.prompt, grammar)
        try:
            yield sampler
        finally:
            sampler.close()

    def draws(self, count: int, grammar: Grammar | None = None, **options: Any) -> list[int]:
        """Draw many times after the same text."""
        with self.sampler(grammar, **options) as sampler:
            return [sampler.draw(self.context, LAST) for _ in range(count)]

    def write(self, most: int, grammar: Grammar | None = None, **options: Any) -> Written:
        """Go on with the text, from its beginning each time."""
        self.rewind()
        with self.sampler(grammar, **options) as sampler:
            return self.go_on(sampler, most)

    def go_on(self, sampler: Sampler, most: int) -> Written:
        tokens: list[int] = []
        while len(tokens) < most:
            token = sampler.draw(self.context, LAST)
            if self.model.pieces[token] is None:
                return Written(self.text(tokens), tokens, ended=True)
            tokens.append(token)
            self.evaluate([token])
        return Written(self.text(tokens), tokens, ended=False)

    def text(self, tokens: list[int]) -> str:
        return b"".join(self.model.pieces[token] or b"" for token in tokens).decode()

    def token(self, text: str) -> int:
        """Return the one token that ``text`` is."""
        (token,) = self.model.tokens(text)
        return token
