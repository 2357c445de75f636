"""Loading a model: what is told, how it is stopped, and every file that is no model."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llama_widgets.errors import (
    ContextError,
    InsufficientMemoryError,
    InvalidModelError,
    ModelError,
    ModelNotFoundError,
    ModelPermissionError,
    NoModelError,
    ParameterError,
)
from llama_widgets.options import LoadOptions
from llama_widgets.protocol import Embed, Info, Progress

from . import tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Bench

NOBODY = 65534


def test_a_load_tells_what_was_loaded(empty: Bench, demo_model: Path) -> None:
    loaded = empty.load(demo_model)

    assert loaded.model == demo_model.name
    assert loaded.path == str(demo_model)
    assert (loaded.architecture, loaded.quantisation, loaded.template) == ("llama", "Q4_1", "model")
    assert "Smollm2 135M" in loaded.name
    assert loaded.n_params == 134_515_008
    assert loaded.n_ctx == loaded.n_ctx_train == 8192
    # 92 MiB of weights, 180 MiB of keys and values, and what the computation needs.
    assert 272 * 2**20 < loaded.memory < 500 * 2**20
    assert loaded.supports == {
        "chat": True,
        "thinking": False,
        "tools": False,
        "vision": False,
        "embeddings": True,
        "infill": False,
    }
    assert not loaded.cancelled


def test_a_load_reports_its_progress_in_thousandths(empty: Bench, demo_model: Path) -> None:
    empty.load(demo_model, n_ctx=256)

    done = [event.done for event in empty.progress]
    assert all(event.operation == "load" and event.total == 1000 for event in empty.progress)
    assert len(done) > 10
    assert done == sorted(set(done))
    assert done[-1] == 1000


def test_a_load_can_be_cancelled_in_the_middle(empty: Bench, demo_model: Path) -> None:
    def stop_halfway(event: object) -> None:
        if isinstance(event, Progress) and event.done > 500:
            empty.cancel.request()

    empty.on_event = stop_halfway
    loaded = empty.load(demo_model)

    assert loaded.cancelled
    assert empty.progress[-1].done < 1000
    with pytest.raises(NoModelError):
        empty.complete("Hello")


def test_a_load_that_is_cancelled_before_it_begins_loads_nothing(empty: Bench, demo_model: Path) -> None:
    empty.cancel.request()

    assert empty.load(demo_model).cancelled
    assert not empty.progress


def test_what_a_listener_raises_during_a_load_comes_out_of_it(empty: Bench, demo_model: Path) -> None:
    def fail(_: object) -> None:
        msg = "listener"
        raise KeyError(msg)

    empty.on_event = fail
    with pytest.raises(KeyError, match="listener"):
        empty.load(demo_model)
    with pytest.raises(NoModelError):
        empty.complete("Hello")


def test_a_load_frees_the_model_before(demo_model: Path) -> None:
    # In a process of its own: what other tests leave in the heap comes and goes as it likes.
    code = (
        "import sys, psutil\nfrom pathlib import Path\nfrom llama_widgets.cancel import Cancel\n"
        "from llama_widgets.engines.llama import LlamaEngine\nfrom llama_widgets.protocol import LoadModel\n"
        "path, engine, resident = Path(sys.argv[1]), LlamaEngine(), lambda: psutil.Process().memory_info().rss\n"
        "load = lambda: engine.load(LoadModel(request_id='l', model=str(path)), path, lambda event: None, Cancel())\n"
        "load()\nbefore = resident()\nfor _ in range(4): load()\nloaded = resident()\n"
        "engine.close()\nengine.close()\nprint(before, loaded, resident())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(demo_model)], capture_output=True, text=True, check=True)
    before, loaded, after = map(int, done.stdout.split())
    assert loaded - before < 100 * 2**20  # each takes more than 300 MB
    assert after < before - 100 * 2**20


def test_a_closed_engine_has_no_model(empty: Bench, demo_model: Path) -> None:
    empty.load(demo_model)
    empty.engine.close()
    empty.engine.close()
    with pytest.raises(NoModelError):
        empty.complete("Hello")


def test_a_model_without_template_gets_a_plain_one_and_says_so(empty: Bench, tmp_path: Path) -> None:
    loaded = empty.load(tiny.write(tmp_path / "tiny.gguf"))

    warnings = [event for event in empty.events if isinstance(event, Info)]
    assert loaded.template == "plain"
    assert [warning.level for warning in warnings] == ["warning"]
    assert "no chat template" in warnings[0].message
    assert loaded.name == "tiny"


def test_a_template_that_cannot_be_read_is_replaced_and_the_user_told(empty: Bench, tmp_path: Path) -> None:
    loaded = empty.load(tiny.write(tmp_path / "tiny.gguf", template="{% for message in %}"))

    assert loaded.template == "plain"
    assert "cannot be read" in next(event.message for event in empty.events if isinstance(event, Info))


def test_the_template_shows_what_the_model_supports(empty: Bench, tmp_path: Path) -> None:
    template = (
        "{% if enable_thinking %}<think>{% endif %}{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}"
        "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    )
    loaded = empty.load(tiny.write(tmp_path / "tiny.gguf", template=template))

    assert loaded.supports["thinking"]
    assert loaded.supports["tools"]


def test_a_context_beyond_the_training_is_made_with_a_warning(empty: Bench, tmp_path: Path) -> None:
    loaded = empty.load(tiny.write(tmp_path / "tiny.gguf", template="{{ messages }}"), n_ctx=4 * tiny.N_CTX_TRAIN)

    assert loaded.n_ctx == 4 * tiny.N_CTX_TRAIN
    assert "longer than" in next(event.message for event in empty.events if isinstance(event, Info))


def test_a_context_that_does_not_fit_into_memory_is_an_error(bench: Bench) -> None:
    huge = LoadOptions(n_ctx=16_777_216)  # 378 GB
    with pytest.raises(InsufficientMemoryError, match="n_ctx") as error:
        bench.engine.create_context(huge, bench.cancel)
    assert error.value.hint
    with pytest.raises(ContextError, match="16,777,216 tokens"):
        bench.engine.create_context(replace(huge, check_memory=False), bench.cancel)
    assert bench.complete("Hello", max_tokens=1).usage.completion_tokens == 1  # with the context from before


def test_a_new_context_forgets(bench: Bench) -> None:
    bench.complete("Hello", max_tokens=1)
    made = bench.engine.create_context(LoadOptions(n_ctx=512), bench.cancel)

    assert made["n_ctx"] == 512
    assert made["memory"] > 92 * 2**20
    assert bench.tokens == []
    assert bench.complete("Hello", max_tokens=1).usage.cached_tokens == 0


def test_without_a_model_there_is_no_context(empty: Bench) -> None:
    with pytest.raises(NoModelError):
        empty.engine.create_context(LoadOptions(), empty.cancel)
    empty.engine.unload()


def test_init_tells_versions_and_devices(empty: Bench) -> None:
    assert empty.info["llama_cpp_python"].count(".") == 2
    assert empty.info["llama_cpp"]
    assert empty.info["backend"]
    assert {"name", "description", "type"} == set(empty.info["devices"][0])
    assert empty.info["abort_in_prefill"] is True
    with pytest.raises(ParameterError):
        empty.engine.init({"warp": 9})


def _cut(demo: Path, path: Path, size: int) -> None:
    with demo.open("rb") as file:
        path.write_bytes(file.read(size))


BAD: dict[str, tuple[Callable[[Path, Path], object], type[ModelError], str]] = {
    "no such path": (lambda _, path: path, ModelNotFoundError, "no file"),
    "a folder": (lambda _, path: path.mkdir(), InvalidModelError, "folder"),
    "a pipe": (lambda _, path: os.mkfifo(path), InvalidModelError, "regular"),
    "empty": (lambda _, path: path.touch(), InvalidModelError, "empty"),
    "no GGUF": (lambda _, path: path.write_bytes(b"PK\3\4" * 99), InvalidModelError, "not a GGUF"),
    "cut in the header": (lambda demo, path: _cut(demo, path, 9), InvalidModelError, "cut short"),
    "cut in the metadata": (lambda demo, path: _cut(demo, path, 9_999), InvalidModelError, "cut short"),
    "cut in the weights": (lambda demo, path: _cut(demo, path, 50_000_000), InvalidModelError, "cut short"),
    "a later version": (
        lambda _, path: path.write_bytes(b"GGUF\x63\0\0\0\1" + bytes(99)),
        InvalidModelError,
        "version 99",
    ),
    "vocabulary only": (lambda _, path: tiny.write(path, weights=False), InvalidModelError, "vocabulary"),
    "unknown architecture": (
        lambda _, path: path.write_bytes(tiny.write(path).read_bytes().replace(b"llama", b"lemma")),
        InvalidModelError,
        "unknown model architecture: 'lemma'",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_has_one_clear_error_and_the_next_load_works(
    empty: Bench, demo_model: Path, tmp_path: Path, kind: str
) -> None:
    make, error, words = BAD[kind]
    bad, good = tmp_path / "bad.gguf", tiny.write(tmp_path / "good.gguf")
    make(demo_model, bad)
    empty.load(good)

    with pytest.raises(error, match=words) as raised:
        empty.load(bad)

    assert raised.value.hint
    assert empty.complete("Hello", max_tokens=1).usage.completion_tokens == 1  # the good one is still there
    assert empty.load(good).n_ctx == tiny.N_CTX_TRAIN


def test_a_path_with_a_nul_character_is_no_file(empty: Bench, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        empty.load(tmp_path / "a\0b.gguf")


@contextmanager
def unprivileged() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)  # root may read everything
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX permissions")
@pytest.mark.parametrize("forbidden", ["file", "folder"])
def test_a_file_that_may_not_be_read(empty: Bench, tmp_path: Path, forbidden: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = tiny.write(folder / "tiny.gguf")
    for parent in (*tmp_path.parents[:2], tmp_path):  # pytest's own folders are private
        parent.chmod(0o755)
    (path if forbidden == "file" else folder).chmod(0)

    with unprivileged(), pytest.raises(ModelPermissionError) as error:
        empty.load(path)

    assert isinstance(error.value, PermissionError)
    folder.chmod(0o755)
    path.chmod(0o644)
    assert empty.load(path).n_ctx == tiny.N_CTX_TRAIN


def test_a_model_that_only_makes_embeddings_is_loaded_and_says_so(empty: Bench, tmp_path: Path) -> None:
    loaded = empty.load(tiny.write(tmp_path / "embedder.gguf", "bert"))
    assert (loaded.supports["chat"], loaded.supports["embeddings"], loaded.n_ctx) == (False, True, 0)
    assert "embedder.gguf makes embeddings" in next(event.message for event in empty.events if isinstance(event, Info))

    with pytest.raises(InvalidModelError, match="cannot answer"):
        empty.complete("Hello")
    with pytest.raises(InvalidModelError, match="cannot answer"):
        empty.engine.create_context(LoadOptions(), empty.cancel)
    done = empty.engine.embed(Embed(request_id="e", texts=["one", "two", "three"]), empty.cancel)
    assert done.shape == [3, tiny.WIDTH]
    empty.engine.unload()
    with pytest.raises(NoModelError):
        empty.engine.embed(Embed(request_id="e", texts=["one"]), empty.cancel)
