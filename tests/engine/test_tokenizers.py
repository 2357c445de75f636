"""The vectors that llama.cpp tests its tokenizers with: each text has the tokens it should, and they have its text."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llama_widgets.engines import native
from llama_widgets.engines.model import Model
from llama_widgets.engines.parameters import model_params
from llama_widgets.options import LoadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCABULARIES = Path(__file__).resolve().parents[2] / ".cache" / "vocabularies"
SEPARATOR = "\n__ggml_vocab_test__\n"

EXACT = (
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gemma-4",
    "gpt-2",
    "llama-bpe",
    "mpt",
    "qwen2",
    "qwen35",
    "refact",
    "starcoder",
)
SPACE_IN_FRONT = ("llama-spm", "phi-3")
LOSSY = ("bert-bge",)


@pytest.fixture(scope="module", params=[*EXACT, *SPACE_IN_FRONT, *LOSSY])
def named(request: pytest.FixtureRequest) -> Iterator[tuple[str, Model]]:
    """The name of a vocabulary, and a model that has nothing else."""
    if not VOCABULARIES.is_dir():
        pytest.skip("`python3 -m tests engine` fetches the vocabularies from the source of llama-cpp-python")
    native.start()
    params = model_params(LoadOptions(), 0)
    params.vocab_only = True
    model = Model(VOCABULARIES / f"ggml-vocab-{request.param}.gguf", params, lambda _: None)
    yield request.param, model
    model.close()


def vectors(name: str) -> list[tuple[str, list[int]]]:
    texts = (VOCABULARIES / f"ggml-vocab-{name}.gguf.inp").read_bytes().decode().split(SEPARATOR)
    lines = (VOCABULARIES / f"ggml-vocab-{name}.gguf.out").read_text().splitlines()
    assert len(lines) > 40
    assert len(texts) - len(lines) in (0, 1)  # most end with a separator
    return [(text, [int(token) for token in line.split()]) for text, line in zip(texts, lines, strict=False)]


def test_texts_have_the_tokens_they_should(named: tuple[str, Model]) -> None:
    name, model = named
    assert [(text, model.tokens(text)) for text, _ in vectors(name)] == vectors(name)


def test_the_pieces_of_a_text_are_the_text(named: tuple[str, Model]) -> None:
    name, model = named
    for text, tokens in vectors(name):
        said = b"".join(model.pieces[token] or b"" for token in tokens).decode()
        if name in LOSSY:  # capitals, accents, white space and what it does not know are gone
            left = iter(unicodedata.normalize("NFD", text.lower()))
            assert all(character in left for character in "".join(said.split()))
        else:
            assert said == (" " if name in SPACE_IN_FRONT and text else "") + text
