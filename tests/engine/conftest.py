"""A real llama.cpp with a real model, loaded once."""

# ruff: noqa: ANN401 - options of every type pass through

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.cancel import Cancel
from llama_widgets.engines.llama import LlamaEngine
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.protocol import CompletionChunk, GenerateChatCompletion, GenerateCompletion, LoadModel, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llama_widgets.protocol import CompletionDone, Event, Generate, ModelLoaded

N_CTX = 8192
N_THREADS = 1
"""Two would wait for each other at every node of the graph whenever another process has one of the cores."""


class Bench:
    """An engine with a ready hand: sends commands, keeps the events."""

    def __init__(self) -> None:
        self.engine = LlamaEngine()
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = lambda _: None
        self.cancel = Cancel()
        self.info = self.engine.init({})

    def load(self, path: Path, **options: Any) -> ModelLoaded:
        command = LoadModel(request_id="load", model=path.name, options=LoadOptions(**options))
        return self.engine.load(command, path, self._emit, self.cancel)

    def fresh(self, **options: Any) -> None:
        """Begin with an empty context and nothing heard."""
        self.engine.create_context(LoadOptions(**{"n_ctx": N_CTX, "n_threads": N_THREADS, **options}), Cancel())
        self.events, self.on_event, self.cancel = [], lambda _: None, Cancel()

    def complete(self, prompt: str, **options: Any) -> CompletionDone:
        return self._run(GenerateCompletion(request_id="r", prompt=prompt, options=_options(options)))

    def chat(self, *contents: str, thinking: Any = "auto", prefix: str = "", **options: Any) -> CompletionDone:
        """Answer a conversation of user and assistant in turns."""
        messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(contents)]
        return self.chat_messages(messages, thinking=thinking, response_prefix=prefix, **options)

    def chat_messages(
        self, messages: list[Any], *, thinking: Any = "auto", response_prefix: str = "", **options: Any
    ) -> CompletionDone:
        command = GenerateChatCompletion(
            request_id="r",
            messages=messages,
            options=_options(options),
            thinking=thinking,
            response_prefix=response_prefix,
        )
        return self._run(command)

    @property
    def chunks(self) -> list[CompletionChunk]:
        return [event for event in self.events if isinstance(event, CompletionChunk)]

    @property
    def progress(self) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress)]

    def _run(self, command: Generate) -> CompletionDone:
        self.events = []
        done = self.engine.generate(command, self._emit, self.cancel)
        assert "".join(chunk.text for chunk in self.chunks) == done.text
        assert [chunk.seq for chunk in self.chunks] == list(range(len(self.chunks)))
        self.assert_memory_agrees()
        return done

    def assert_memory_agrees(self) -> None:
        """Every token has its position in llama.cpp's memory, and there is no other."""
        count = len(self.engine.tokens)
        assert self.engine.memory_positions() == ((0, count - 1) if count else (-1, -1))

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)


def _options(values: dict[str, Any]) -> GenerationOptions:
    return GenerationOptions(**{"temperature": 0.0, **values})


@pytest.fixture(scope="module")
def loaded(demo_model: Path) -> Iterator[Bench]:
    """The demo model, loaded for the tests of a module."""
    bench = Bench()
    bench.load(demo_model, n_ctx=N_CTX, n_threads=N_THREADS)
    yield bench
    bench.engine.close()


@pytest.fixture
def bench(loaded: Bench) -> Bench:
    """The demo model with an empty context."""
    loaded.fresh()
    return loaded


@pytest.fixture
def empty() -> Iterator[Bench]:
    """An engine with no model."""
    bench = Bench()
    yield bench
    bench.engine.close()
