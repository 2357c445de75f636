"""Texts as vectors: the same as llama-cpp-python's, whatever they share a batch with."""

# ruff: noqa: ANN401 - options of every type pass through

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import gguf
import llama_cpp  # noqa: TID253 - as the module under test
import numpy as np
import pytest

from llama_widgets.cancel import Cancel
from llama_widgets.engines import embedding, native, system
from llama_widgets.engines.adapters import Adapters
from llama_widgets.engines.embedding import embed
from llama_widgets.engines.model import Model
from llama_widgets.engines.parameters import model_params
from llama_widgets.errors import ContextOverflowError, InsufficientMemoryError, InvalidModelError, ParameterError
from llama_widgets.options import LoadOptions

from . import tiny
from .test_adapters import pair
from .test_adapters import write as write_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

TEXTS = [
    "the sky is blue",
    "cats sleep on the window sill, mostly where somebody has just sat",
    "x",
    "a b c d e f g " * 5,
    "snow is white",
    "\U0001f600 \u00e9\u00e8 caf\u00e9",
]
KINDS: dict[str, tuple[str, gguf.PoolingType | None]] = {
    "a decoder": ("llama", None),
    "a sliding window": ("gemma2", None),
    "a running state": ("mamba", None),
    "a hybrid": ("lfm2", None),
    "an encoder": ("bert", gguf.PoolingType.MEAN),
    "an encoder with its first token": ("bert", gguf.PoolingType.CLS),
    "an encoder that does not say": ("bert", None),
    "a decoder with its last token": ("qwen2", gguf.PoolingType.LAST),
    "a running state with a mean": ("mamba", gguf.PoolingType.MEAN),
}


def load(path: Path) -> Model:
    native.start()
    return Model(path, model_params(LoadOptions(), 0), lambda _: None)


def vectors(model: Model, texts: list[str], *, cancel: Cancel | None = None, **options: Any) -> Vectors:
    return embed(model, texts, options_of(**options), cancel or Cancel())[0]


def options_of(**options: Any) -> LoadOptions:
    return LoadOptions(**{"n_threads": 1, "n_threads_batch": 1, **options})


def reference(path: Path, texts: list[str], pooling: int) -> Vectors:
    """Return what llama-cpp-python makes of each text alone."""
    llama = llama_cpp.Llama(
        str(path), embedding=True, pooling_type=pooling, n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False
    )
    try:
        return np.array([llama.embed(text, normalize=True) for text in texts], np.float32)
    finally:
        llama.close()


@pytest.fixture(scope="module")
def demo(demo_model: Path) -> Iterator[Model]:
    model = load(demo_model)
    yield model
    model.close()


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    model = load(tiny.write(tmp_path / "m.gguf"))
    yield model
    model.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_batch", [512, 16])
def test_the_vectors_are_those_of_llama_cpp_python(tmp_path: Path, kind: str, n_batch: int) -> None:
    arch, pooling = KINDS[kind]
    path = tiny.write(tmp_path / "m.gguf", arch, pooling=pooling)
    model = load(path)
    found = vectors(model, TEXTS, n_batch=n_batch)
    model.close()
    unspecified = pooling is None
    expected = reference(path, TEXTS, llama_cpp.LLAMA_POOLING_TYPE_MEAN if unspecified else -1)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), tiny.WIDTH)
    assert np.abs(found - expected).max() < 5e-3  # another shape of batch, and a cache of 16 bits
    assert np.abs(found[0] - found[4]).max() > 0.01


def test_the_vectors_of_the_demo_model(demo: Model, demo_model: Path) -> None:
    found, expected = vectors(demo, TEXTS), reference(demo_model, TEXTS, llama_cpp.LLAMA_POOLING_TYPE_MEAN)
    assert found.shape == (len(TEXTS), 576)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)
    assert (found * expected).sum(axis=1) == pytest.approx(1, abs=1e-3)  # cosine; batches change the rounding


def test_company_makes_no_difference(model: Model) -> None:
    together = vectors(model, TEXTS * 4)
    for index, text in enumerate(TEXTS):
        assert np.abs(vectors(model, [text])[0] - together[index]).max() < 5e-3
        assert np.abs(together[index] - together[index + len(TEXTS)]).max() < 5e-3


def test_a_text_longer_than_a_batch(model: Model) -> None:
    text = "ab " * 130
    assert np.abs(vectors(model, [text], n_batch=32) - vectors(model, [text], n_batch=512)).max() < 5e-3


def test_the_tokens_are_counted(model: Model) -> None:
    assert embed(model, ["abc", "de"], options_of(), Cancel())[1] == 3 + 2 + 2  # a byte each, and what begins a text


def test_no_texts(model: Model) -> None:
    found, tokens = embed(model, [], options_of(), Cancel())
    assert (found.shape, tokens) == ((0, tiny.WIDTH), 0)
    assert found.dtype == np.float32


def test_many_texts(model: Model) -> None:
    texts = [f"text number {number}" for number in range(100)]
    found = vectors(model, texts)
    assert found.shape == (100, tiny.WIDTH)
    assert np.abs(found[77] - vectors(model, texts[77:78])[0]).max() < 5e-3


def test_special_tokens_in_a_text_are_text(model: Model) -> None:
    assert embed(model, [tiny.EOS], options_of(), Cancel())[1] == 1 + len(tiny.EOS)


def test_characters_cut_in_half_become_replacements(model: Model) -> None:
    assert np.array_equal(vectors(model, ["a\ud83d\ude00"]), vectors(model, ["a\U0001f600"]))
    assert np.array_equal(vectors(model, ["a\ud83d"]), vectors(model, ["a\ufffd"]))


def test_an_empty_text_is_refused(model: Model) -> None:
    with pytest.raises(ParameterError, match="Text 2 is empty"):
        vectors(model, ["a", ""])


def test_a_text_of_which_no_token_is_left_is_refused(tmp_path: Path) -> None:
    model = load(tiny.write(tmp_path / "m.gguf", "bert"))
    assert vectors(model, ["\n"]).shape == (1, tiny.WIDTH)  # what begins and ends a text is left
    model.close()


@pytest.mark.parametrize(("n_ctx", "longest"), [("auto", tiny.N_CTX_TRAIN), (64, 64), (1024, 1024)])
def test_the_longest_text(model: Model, n_ctx: Any, longest: int) -> None:
    assert np.isfinite(vectors(model, ["a" * (longest - 1)], n_ctx=n_ctx)).all()
    with pytest.raises(ContextOverflowError, match=f"Text 2 has {longest + 1:,} tokens, .* has {longest:,}"):
        vectors(model, ["a", "a" * longest], n_ctx=n_ctx)


def test_an_encoder_reads_no_further_than_it_was_trained_to(tmp_path: Path) -> None:
    model = load(tiny.write(tmp_path / "m.gguf", "bert"))
    assert np.isfinite(vectors(model, ["a" * (tiny.N_CTX_TRAIN - 2)], n_ctx=4096)).all()
    with pytest.raises(ContextOverflowError, match=f"{tiny.N_CTX_TRAIN + 1:,} tokens"):
        vectors(model, ["a" * (tiny.N_CTX_TRAIN - 1)], n_ctx=4096)
    model.close()


def test_a_text_far_too_long_is_refused_by_its_beginning(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    tokens = embedding._tokens

    def watched(model: Model, data: bytes) -> list[int]:
        read.append(len(data))
        return tokens(model, data)

    monkeypatch.setattr(embedding, "_tokens", watched)
    with pytest.raises(ContextOverflowError, match=r"Text 1 has about 3,000,\d\d\d tokens"):
        vectors(model, ["abc" * 1_000_000])
    assert sum(read) < 100_000


def test_a_model_that_ranks_has_no_vectors(tmp_path: Path) -> None:
    model = load(tiny.write(tmp_path / "m.gguf", "qwen2", pooling=gguf.PoolingType.RANK))
    with pytest.raises(InvalidModelError, match="ranks texts"):
        vectors(model, ["a"])
    model.close()


def test_too_little_memory(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "free_memory", lambda: 1000)
    with pytest.raises(
        InsufficientMemoryError, match=r"256 tokens at once take 0\.5 MB of memory, and 0\.0 MB are free"
    ):
        vectors(model, ["a"])
    assert vectors(model, ["a"], check_memory=False).shape == (1, tiny.WIDTH)


def test_adapters_change_the_vectors(model: Model, tmp_path: Path) -> None:
    adapters = Adapters(model, [str(write_adapter(tmp_path / "a.gguf", pair()))])
    plain = vectors(model, ["abc"])
    adapted, _ = embed(model, ["abc"], options_of(), Cancel(), adapters)
    adapters.close()
    assert np.abs(adapted - plain).max() > 0.01


# Stop


def test_cancelled_before_it_begins(model: Model) -> None:
    cancel = Cancel()
    cancel.request()
    found, tokens = embed(model, TEXTS, options_of(), cancel)
    assert (found.shape, tokens) == ((0, tiny.WIDTH), 0)


def test_cancelled_between_batches(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel, decode = Cancel(), llama_cpp.llama_decode
    texts = ["abcdefg"] * 10  # two to a batch

    def then_cancel(*args: Any) -> int:
        code: int = decode(*args)
        cancel.request()
        return code

    monkeypatch.setattr(llama_cpp, "llama_decode", then_cancel)
    found, tokens = embed(model, texts, options_of(n_batch=16), cancel)
    assert (found.shape, tokens) == ((2, tiny.WIDTH), 16)


def test_cancelled_within_a_batch(demo: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation itself is stopped: it would take seconds."""
    cancel, decode, running = Cancel(), llama_cpp.llama_decode, threading.Event()
    codes: list[int] = []

    def watched(*args: Any) -> int:
        running.set()
        codes.append(decode(*args))
        return codes[-1]

    monkeypatch.setattr(llama_cpp, "llama_decode", watched)

    def wait_and_cancel() -> None:
        running.wait()
        cancel.request()

    canceller = threading.Thread(target=wait_and_cancel)
    canceller.start()
    found, _ = embed(demo, ["word " * 250] * 50, options_of(), cancel)
    canceller.join()
    assert len(found) < 5
    assert codes[-1] == 2  # llama.cpp says that it was aborted


def test_the_context_is_freed_in_any_case(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = []
    free = llama_cpp.llama_free

    def count(handle: Any) -> None:
        freed.append(handle)
        free(handle)

    monkeypatch.setattr(llama_cpp, "llama_free", count)
    vectors(model, TEXTS)
    assert len(freed) == 1
    monkeypatch.setattr(llama_cpp, "llama_decode", lambda *_: -1)
    with pytest.raises(Exception, match=r"failed while it read 5 tokens \(code -1\)"):
        vectors(model, ["abcd"])
    assert len(freed) == 2


def test_memory_does_not_grow(demo: Model) -> None:
    for _ in range(2):
        vectors(demo, ["a few words"])
    before = system.resident()
    for _ in range(5):
        vectors(demo, ["a few words"])
    assert system.resident() - before < 20_000_000


def test_nothing_is_logged_above_info(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    vectors(model, TEXTS)
    assert caplog.records == []
