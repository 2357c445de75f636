"""``reproducible=True`` draws, token for token, what llama-cpp-python's own class draws with the same settings.

Greedily, so that one wrong or differently rounded logit in any of the tokens would show sooner or later. By default 40
tokens of each answer are compared; 200, for a few minutes more, where LLAMA_WIDGETS_FULL is 1.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - this module compares with it
import pytest

from llama_widgets.engines.parameters import context_params
from llama_widgets.options import LoadOptions

from .conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKENS = 200 if os.environ.get("LLAMA_WIDGETS_FULL") == "1" else 40
SETTINGS: dict[str, Any] = {"n_ctx": 1024, "n_batch": 512, "n_threads": 1, "n_threads_batch": 1}

THINGS = [
    "the sea at night",
    "a glass of milk",
    "the first snow",
    "an old bicycle",
    "the smell of bread",
    "a broken clock",
    "the colour green",
    "a map of the moon",
    "two friends who argue",
    "the sound of rain",
    "a very small dog",
    "winter",
]
BEGINNINGS = [f"Once upon a time there was {thing}" for thing in THINGS] + [
    "def fibonacci(n):\n    ",
    "SELECT name, age FROM users WHERE",
    "1, 1, 2, 3, 5, 8, 13,",
    '{"name": "Ada", "born": 1815, "field":',
    "Dear Sir or Madam,\n\nI am writing to",
    "Ingredients:\n- 200 g flour\n- 2 eggs\n",
    "La capitale de la France est",
    "Der Himmel ist blau, weil",
    "猫は",
    "The quick brown fox 🦊 jumps over",
    "\n\n# Chapter 1\n\n",
    "x",
    "The following is a list of the planets, in order from the sun: " * 12,
]
QUESTIONS = [f"Write one sentence about {thing}." for thing in THINGS] + [
    "What is the capital of France?",
    "Count from 1 to 20.",
    "What is 17 + 25?",
    "Name three animals that can fly.",
    "Translate 'good morning' into German.",
    "Why is the sky blue?",
    "Say nothing.",
    "Write a haiku.",
    "Who wrote Hamlet?",
    "List the days of the week.",
    "Is water wet? Answer yes or no.",
    "What comes after Tuesday?",
    " ".join(f"Item {number} is blue." for number in range(40)) + " What colour is item 7?",
]
PROMPTS = BEGINNINGS + [f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n" for question in QUESTIONS]


class Other:
    """llama-cpp-python's class, from an empty memory each time."""

    def __init__(self, path: Path, *, flash_attn: bool) -> None:
        # Not verbose, it would take the process's stdout away while it loads.
        ours = context_params(LoadOptions(**SETTINGS), n_ctx=SETTINGS["n_ctx"], n_seq_max=1)
        self._llama = llama_cpp.Llama(
            str(path), flash_attn=flash_attn, n_ubatch=ours.n_ubatch, verbose=True, **SETTINGS
        )
        self._vocab = llama_cpp.llama_model_get_vocab(self._llama._model.model)

    def close(self) -> None:
        self._llama.close()

    def draw(self, prompt: str, count: int) -> list[int]:
        self._llama.reset()  # type: ignore[no-untyped-call]
        assert self._llama.n_tokens == 0  # so it looks for no beginning to reuse
        tokens = self._llama.tokenize(prompt.encode(), special=True)
        drawn: list[int] = []
        for token in self._llama.generate(tokens, temp=0.0):
            if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                break
            drawn.append(token)
            if len(drawn) == count:
                break
        return drawn


def draw(bench: Bench, prompt: str, count: int = TOKENS) -> list[int]:
    done = bench.complete(prompt, max_tokens=count, reproducible=True, top_logprobs=0)
    assert done.usage.cached_tokens == 0
    return [entry["token"] for entry in done.logprobs]


@pytest.fixture(scope="module")
def ours(demo_model: Path) -> Iterator[Bench]:
    bench = Bench()
    bench.load(demo_model, flash_attn=True, **SETTINGS)
    yield bench
    bench.engine.close()


@pytest.fixture(scope="module")
def other(demo_model: Path, ours: Bench) -> Iterator[Other]:
    del ours  # it takes llama.cpp's log first
    made = Other(demo_model, flash_attn=True)
    yield made
    made.close()


def test_there_are_fifty_prompts() -> None:
    assert len(set(PROMPTS)) == 50


@pytest.mark.parametrize("prompt", PROMPTS, ids=range(len(PROMPTS)))
def test_the_same_tokens_are_drawn(ours: Bench, other: Other, prompt: str) -> None:
    assert draw(ours, prompt) == other.draw(prompt, TOKENS)


def test_the_same_tokens_are_drawn_without_flash_attention(ours: Bench, demo_model: Path) -> None:
    other = Other(demo_model, flash_attn=False)
    ours.fresh(**SETTINGS, flash_attn=False)
    try:
        for prompt in PROMPTS[::10]:
            assert draw(ours, prompt, 40) == other.draw(prompt, 40)
    finally:
        other.close()
        ours.fresh(**SETTINGS, flash_attn=True)


@pytest.mark.parametrize("n_seq_max", [1, 16])
def test_the_same_request_is_answered_the_same_at_any_time(ours: Bench, other: Other, n_seq_max: int) -> None:
    """Bit by bit: the log-probabilities too."""
    prompt, options = QUESTIONS[0], dict[str, Any](max_tokens=20, top_logprobs=3)
    ours.fresh(**SETTINGS, flash_attn=True, n_seq_max=n_seq_max)
    first = ours.complete(prompt, **options, reproducible=True)
    for number in range(3):
        ours.complete(prompt + " " + BEGINNINGS[number], **options, conversation=str(number))
        again = ours.complete(prompt, **options, reproducible=True)
        assert again.logprobs == first.logprobs
    assert [entry["token"] for entry in first.logprobs] == other.draw(prompt, 20)


def test_other_batches_do_round_differently(ours: Bench) -> None:
    """So the equality above is no matter of course: here the end of a prompt is read alone, the rest being there."""
    prompt = BEGINNINGS[-1]
    ours.complete(prompt, max_tokens=1)
    reused = ours.complete(prompt, max_tokens=5, top_logprobs=0)
    exact = ours.complete(prompt, max_tokens=5, top_logprobs=0, reproducible=True)
    assert reused.usage.cached_tokens == exact.usage.prompt_tokens - 1
    assert reused.logprobs != exact.logprobs
