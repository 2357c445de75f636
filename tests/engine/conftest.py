"""A real llama.cpp with a real model, loaded once."""

# ruff: noqa: ANN401 - options of every type pass through

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.cancel import Cancel
from llama_widgets.engines import answer
from llama_widgets.engines.llama import LlamaEngine
from llama_widgets.errors import from_code
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.protocol import (
    CompletionChunk,
    CompletionDone,
    Error,
    GenerateChatCompletion,
    GenerateCompletion,
    LoadModel,
    Progress,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llama_widgets.engines.cache import Sequence
    from llama_widgets.engines.context import Context
    from llama_widgets.engines.model import Model
    from llama_widgets.protocol import Event, Generate, ModelLoaded

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
        command = LoadModel(request_id="load", model=path.name, options=_load(options))
        return self.engine.load(command, path, self._emit, self.cancel)

    def fresh(self, **options: Any) -> None:
        """Begin with an empty context and nothing heard."""
        if self.engine.scheduler is not None:
            self.engine.scheduler.close()
        self.engine.create_context(_load({"n_ctx": N_CTX, **options}), Cancel())
        self.events, self.on_event, self.cancel = [], lambda _: None, Cancel()

    def complete(
        self, prompt: str, *, suffix: str | None = None, conversation: str = "c", **options: Any
    ) -> CompletionDone:
        return self.run(completion(prompt, suffix=suffix, conversation=conversation, **options))

    def chat(self, *contents: str, thinking: Any = "auto", prefix: str = "", **options: Any) -> CompletionDone:
        """Answer a conversation of user and assistant in turns."""
        messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(contents)]
        return self.chat_messages(messages, thinking=thinking, response_prefix=prefix, **options)

    def chat_messages(
        self,
        messages: list[Any],
        *,
        thinking: Any = "auto",
        response_prefix: str = "",
        tools: Any = (),
        tool_choice: Any = "auto",
        conversation: str = "c",
        **options: Any,
    ) -> CompletionDone:
        command = GenerateChatCompletion(
            request_id="r",
            messages=messages,
            options=_options(options),
            thinking=thinking,
            response_prefix=response_prefix,
            tools=list(tools),
            tool_choice=tool_choice,
            conversation=conversation,
        )
        return self.run(command)

    # What is in the memory

    @property
    def sequence(self) -> Sequence:
        """The sequence that was worked on last."""
        assert self.engine.scheduler is not None
        return max(self.engine.scheduler.cache.sequences, key=lambda sequence: sequence.used)

    @property
    def tokens(self) -> list[int]:
        return list(self.sequence.tokens)

    def positions(self, sequence: Sequence | None = None) -> tuple[int, int]:
        return self.context.positions((sequence or self.sequence).id)

    @property
    def context(self) -> Context:
        assert self.engine._context is not None
        return self.engine._context

    @property
    def model(self) -> Model:
        assert self.engine._model is not None
        return self.engine._model

    @property
    def chunks(self) -> list[CompletionChunk]:
        return [event for event in self.events if isinstance(event, CompletionChunk)]

    @property
    def progress(self) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress)]

    def run(self, command: Generate) -> CompletionDone:
        """Answer one request alone, and hold its events and the memory to what they promise."""
        self.events = []
        self.engine.submit(command, self._emit, self.cancel)
        while self.engine.active:
            self.engine.step()
        done = self.events[-1]
        if isinstance(done, Error):
            raise from_code(done.code, done.message, done.hint)
        assert isinstance(done, CompletionDone)
        assert "".join(chunk.text for chunk in self.chunks if chunk.segment == "text") == done.text
        assert "".join(chunk.text for chunk in self.chunks if chunk.segment == "thought") == done.thoughts
        assert [chunk.seq for chunk in self.chunks] == list(range(len(self.chunks)))
        self.assert_memory_agrees()
        return done

    def assert_memory_agrees(self) -> None:
        """Every token has its position in llama.cpp's memory, and there is no other."""
        assert self.engine.scheduler is not None
        for sequence in self.engine.scheduler.cache.sequences:
            count = len(sequence.tokens)
            first, last = self.positions(sequence)
            assert last == count - 1
            # A running state has one position only: the last.
            assert first == (min(0, last) if self.context.can_cut else last)
            assert not sequence.busy

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)


def completion(prompt: str, *, request_id: str = "r", **values: Any) -> GenerateCompletion:
    """Return a request to go on with ``prompt``, greedily unless the options say otherwise."""
    fields = {name: values.pop(name) for name in ("suffix", "conversation") if name in values}
    return GenerateCompletion(request_id=request_id, prompt=prompt, options=_options(values), **fields)


def _load(values: dict[str, Any]) -> LoadOptions:
    return LoadOptions(**{"n_threads": N_THREADS, "n_threads_batch": N_THREADS, **values})


def _options(values: dict[str, Any]) -> GenerationOptions:
    return GenerationOptions(**{"temperature": 0.0, **values})


@pytest.fixture(autouse=True)
def _each_token_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers tell each token, however fast they come."""
    monkeypatch.setattr(answer, "PAUSE_S", 0.0)


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
