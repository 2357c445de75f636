"""What a header tells of a model's memory, beside what llama.cpp would allocate for models of the sizes people use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import pytest

from llama_widgets.engines import header
from llama_widgets.engines.estimate import Shape
from llama_widgets.engines.memory import Room, needs
from llama_widgets.errors import InvalidModelError
from llama_widgets.options import LoadOptions
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

SIZES: dict[str, dict[str, Any]] = {
    "as Qwen2.5 0.5B": {"arch": "qwen2", "width": 896, "layers": 24, "feed_forward": 4864, "n_vocab": 151_936},
    "as Qwen2.5 7B": {"arch": "qwen2", "width": 3584, "layers": 28, "feed_forward": 18_944, "n_vocab": 152_064},
    "as Llama 3.1 8B": {"arch": "llama", "width": 4096, "layers": 32, "feed_forward": 14_336, "n_vocab": 128_256},
    "as Gemma 2 2B": {"arch": "gemma2", "width": 2304, "layers": 26, "feed_forward": 9216, "n_vocab": 256_000},
    "as Mamba 2.8B": {"arch": "mamba", "width": 2560, "layers": 64, "n_vocab": 50_280},
    "as LFM2 0.7B": {"arch": "lfm2", "width": 1536, "layers": 16, "n_vocab": 65_536},
}
OPTIONS = {
    "as it comes": LoadOptions(),
    "a small cache": LoadOptions(cache_type_k="q8_0", cache_type_v="q4_0"),
    "one conversation": LoadOptions(n_seq_max=1, n_batch=128),
}
PLENTY = Room(10**15, 0, shares=False)


@pytest.fixture(scope="module", params=SIZES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "m-F16.gguf"
    size = SIZES[request.param]
    heads_kv = 2 if size["arch"] in ("qwen2", "llama", "gemma2") else None
    return tiny.write(
        path, hollow=True, heads_kv=heads_kv, n_ctx_train=131_072, dtype=gguf.GGMLQuantizationType.F16, **size
    )


@pytest.mark.parametrize("n_ctx", [2048, 8192, 32_768])
@pytest.mark.parametrize("name", OPTIONS)
def test_the_header_tells_what_llama_cpp_would_take(model: Path, name: str, n_ctx: int) -> None:
    options = OPTIONS[name]
    ours = Shape(header.read(model).values).needs(model.stat().st_size, n_ctx, options)
    theirs = needs(model, options, n_ctx, PLENTY)
    assert ours.cache == pytest.approx(theirs.cache, rel=0.01)
    assert ours.weights == pytest.approx(theirs.weights, rel=0.01)
    assert ours.total == pytest.approx(theirs.total, rel=0.02)


def test_the_demo_model(demo_model: Path) -> None:
    shape = Shape(header.read(demo_model).values)
    assert (shape.n_layer, shape.n_vocab, shape.n_ctx_train, shape.keeps_state) == (30, 49_152, 8192, False)
    options = LoadOptions()
    ours = shape.needs(demo_model.stat().st_size, 8192, options)
    assert ours.total == pytest.approx(needs(demo_model, options, 8192, PLENTY).total, rel=0.02)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"general.architecture": 3, "llama.block_count": 2},
        {"general.architecture": "llama"},
        {"general.architecture": "llama", "llama.block_count": 0},
        {"general.architecture": "llama", "llama.block_count": -1},
        {"general.architecture": "llama", "llama.block_count": 2**32},
        {"general.architecture": "llama", "llama.block_count": "many"},
        {"general.architecture": "llama", "llama.block_count": True},
    ],
)
def test_values_that_say_nothing_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidModelError, match="how large"):
        Shape(values)


def test_strange_values_do_no_harm() -> None:
    values = {
        "general.architecture": "odd",
        "odd.block_count": 2,
        "odd.embedding_length": "wide",
        "odd.attention.head_count": 0,
        "odd.attention.head_count_kv": (-1, "x", 4.5),
        "odd.feed_forward_length": header.Array(4, 3),
        "tokenizer.ggml.tokens": (1, 2),
    }
    assert Shape(values).needs(100, 512, LoadOptions()).weights == 100
