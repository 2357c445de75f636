"""The names of the package: all there, sorted, what they say, and light to import."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = ("llama_cpp", "huggingface_hub", "numpy", "pydantic", "ipywidgets", "llama_widgets.worker")


def test_the_names_are_sorted_and_there() -> None:
    assert sorted(lw.__all__) == lw.__all__ == dir(lw)
    for name in lw.__all__:
        value = getattr(lw, name)
        assert getattr(value, "__name__", name) in (name, f"llama_widgets.{name}"), name


@pytest.mark.parametrize("first", ["ChatPanel", "Worker", "embed", "models", "status"])
def test_a_name_is_the_same_whatever_was_used_before(first: str) -> None:
    script = (
        f"import llama_widgets as lw; lw.{first}\n"
        "print([n for n in lw.__all__ if type(getattr(lw, n)).__name__ == 'module'])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "['errors']"


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = f"import sys, llama_widgets\nprint([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(ScriptedEngine, find=Path)
    yield worker
    worker.close()


def test_texts_become_an_array(worker: Worker) -> None:
    vectors = lw.embed(["a", "bcd"], "e.gguf", worker=worker)
    assert vectors.shape == (2, 1)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1.0], [3.0]]  # the scripted engine counts letters
    vectors += 1  # one's own
    assert lw.embed((text for text in ["ab"]), worker=worker).tolist() == [[2.0]]


def test_embedding_loads_with_options(worker: Worker) -> None:
    with pytest.raises(lw.errors.NoModelError):
        lw.embed(["a"], worker=worker)
    commands: list[Any] = []
    run = worker.run

    def note(command: p.Command, hear: object = None) -> p.Event:  # noqa: ARG001
        commands.append(command)
        return run(command)

    worker.run = note  # type: ignore[method-assign]
    lw.embed(["a"], Path("e.gguf"), worker=worker, n_ctx=64)
    assert (commands[0].model, commands[0].load.n_ctx) == ("e.gguf", 64)


@pytest.mark.parametrize("texts", ["one text", b"bytes", 5, None, [1], [b"x"], ["a", None]])
def test_what_is_no_list_of_texts(worker: Worker, texts: Any) -> None:  # noqa: ANN401
    with pytest.raises(lw.errors.ParameterError, match="texts must be"):
        lw.embed(texts, "e.gguf", worker=worker)
    with pytest.raises(lw.errors.ParameterError, match="no model"):
        lw.embed(["a"], worker=worker, n_ctx=64)


def ends_with(worker: Worker, **done: Any) -> None:  # noqa: ANN401
    """Let the worker end all that it runs in this way."""

    def run(command: p.Command, hear: object = None) -> p.Event:  # noqa: ARG001
        return p.EmbedDone(request_id=command.request_id, **done)

    worker.run = run  # type: ignore[method-assign]


def test_no_texts_and_a_stop(worker: Worker) -> None:
    ends_with(worker, shape=[0, 7])
    assert lw.embed([], "e.gguf", worker=worker).shape == (0, 7)
    ends_with(worker)
    assert lw.embed([], "e.gguf", worker=worker).shape == (0, 0)
    ends_with(worker, cancelled=True)
    with pytest.raises(lw.errors.GenerationError, match="stopped"):
        lw.embed(["a"], "e.gguf", worker=worker)


def test_numbers_are_little_endian(worker: Worker) -> None:
    data = base64.b64encode(np.array([1.5, -2.0], dtype="<f4").tobytes()).decode()
    ends_with(worker, data=data, shape=[1, 2])
    assert lw.embed(["a"], worker=worker).tolist() == [[1.5, -2.0]]


def test_asking_for_the_status_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_widgets import worker as workers

    monkeypatch.setattr(workers._shared, "_held", None)
    before = threading.active_count()
    status = lw.status()
    assert (status.model, status.running, status.queued) == (None, [], [])
    assert threading.active_count() == before
    assert "no model" in str(status)


def test_a_text_is_continued_without_a_conversation(worker: Worker) -> None:
    reply = lw.complete("one two", model="m.gguf", worker=worker, max_tokens=5)
    assert (reply.text, reply.stop_reason, reply.model) == ("two one ", "eos", "m.gguf")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": 3}, "int"),
        ({"prompt": "a", "suffix": 3}, "int"),
        ({"prompt": "a", "warmth": 3}, "warmth"),
        ({"prompt": "a", "temperature": -1}, "temperature"),
        ({"prompt": "a", "thinking": True}, "thinking"),
        ({"prompt": "a", "tools": [len]}, "tools"),
    ],
    ids=str,
)
def test_what_no_text_is_continued_with(worker: Worker, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(lw.errors.ParameterError, match=words) as error:
        lw.complete(**arguments, model="m.gguf", worker=worker)
    assert error.value.hint
