"""The same answer made in three ways that take turns, some tokens each: so all feel the same moods of the machine."""

from __future__ import annotations

import math
import multiprocessing
import queue
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.bare import Bare
from benchmarks.subjects import N_CTX
from llama_widgets import protocol as p
from llama_widgets.errors import from_code
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

LONGEST = 100_000


class Side(Protocol):
    """One of the ways.

    Attributes
    ----------
    prompt_tokens : int
        How many the last prompt had; known after ``end``.
    """

    prompt_tokens: int

    def begin(self, messages: list[dict[str, Any]]) -> float:
        """Read a prompt and draw the first token; return the seconds that took."""

    def advance(self, count: int) -> tuple[int, float]:
        """Draw about ``count`` tokens more; return how many, and the seconds. ``EOFError`` is the model's own end."""

    def end(self) -> None:
        """Leave the answer as it is."""

    def close(self) -> None:
        """Free everything."""


class Ours:
    """Worker and engine. Between two turns the worker's thread is held in the listener that hears the tokens."""

    def __init__(self, path: Path, n_threads: int) -> None:
        self.worker = Worker()
        load = LoadOptions(n_ctx=N_CTX, n_threads=n_threads, n_threads_batch=n_threads)
        self.worker.run(p.LoadModel(request_id="load", model=str(path), options=load))
        self.prompt_tokens = 0
        self._go: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._reached: queue.SimpleQueue[tuple[int, float] | p.Error] = queue.SimpleQueue()

    def begin(self, messages: list[dict[str, Any]]) -> float:
        """Ask, and wait for the first token."""
        self._target, self._made, self._done = 1.0, 0, Future[p.CompletionDone]()
        options = GenerationOptions(temperature=0, max_tokens=LONGEST, context_overflow="stop")
        start = time.perf_counter()
        chat = messages[0]["content"]
        command = p.GenerateChatCompletion(request_id="a", messages=messages, options=options, conversation=chat)
        self.worker.submit(command, self._hear)
        self._made, at = self._wait()
        return at - start

    def advance(self, count: int) -> tuple[int, float]:
        """Let the answer grow."""
        before = self._made
        start = time.perf_counter()
        self._go.put(before + count)
        self._made, at = self._wait()
        if self._done.done():
            raise EOFError
        return self._made - before, at - start

    def end(self) -> None:
        """Stop the answer."""
        self.worker.abort("a")
        self._go.put(math.inf)
        self._done.result()
        self._go, self._reached = queue.SimpleQueue(), queue.SimpleQueue()

    def close(self) -> None:
        """Free everything."""
        self.worker.close()

    def _hear(self, event: p.Event) -> None:
        if isinstance(event, p.CompletionChunk) and event.tokens >= self._target:
            self._reached.put((event.tokens, time.perf_counter()))
            self._target = self._go.get()
        elif isinstance(event, p.CompletionDone):
            self.prompt_tokens = event.usage.prompt_tokens
            self._done.set_result(event)
            self._reached.put((event.usage.completion_tokens, time.perf_counter()))
        elif isinstance(event, p.Error):
            self._reached.put(event)

    def _wait(self) -> tuple[int, float]:
        event = self._reached.get()
        if isinstance(event, p.Error):
            raise from_code(event.code, event.message, event.hint)
        return event


class HighLevel:
    """llama-cpp-python's own ``Llama.create_chat_completion``, with the same settings and the same chat template."""

    def __init__(self, path: Path, n_threads: int) -> None:
        from llama_cpp import Llama

        self._llama = Llama(
            str(path), n_ctx=N_CTX, n_threads=n_threads, n_threads_batch=n_threads, flash_attn=True, verbose=False
        )
        self.prompt_tokens = 0
        self._chunks: Iterator[Any] = iter(())

    def begin(self, messages: list[dict[str, Any]]) -> float:
        """Ask, and wait for the first piece that is not empty."""
        start = time.perf_counter()
        answer: Any = self._llama.create_chat_completion(
            messages,  # type: ignore[arg-type] # plain dicts
            stream=True,
            temperature=0,
            max_tokens=LONGEST,
        )
        self._chunks = iter(answer)
        self._next()
        seconds = time.perf_counter() - start
        self.prompt_tokens = self._llama.n_tokens
        return seconds

    def advance(self, count: int) -> tuple[int, float]:
        """Let the answer grow."""
        before = self._llama.n_tokens
        start = time.perf_counter()
        while self._llama.n_tokens < before + count:
            self._next()
        return self._llama.n_tokens - before, time.perf_counter() - start

    def end(self) -> None:
        """Leave the stream."""
        self._chunks = iter(())

    def close(self) -> None:
        """Free everything."""
        self._llama.close()

    def _next(self) -> None:
        for chunk in self._chunks:
            choice = chunk["choices"][0]
            if choice["finish_reason"] is not None:
                raise EOFError
            if choice["delta"].get("content"):
                return


class Apart:
    """A side in a process of its own, as it would be used.

    OpenMP keeps a pool of threads for each thread that ever called it. Where all of them together are more than there
    are cores, none waits in circles for the others any more: with three sides in one process, each of some hundred
    waits per token was a sleep, and the demo model made 57 tokens/s instead of 102.
    """

    def __init__(self, make: Callable[[Path, int], Side], path: Path, n_threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, path, n_threads), daemon=True)
        self._process.start()
        theirs.close()
        self.prompt_tokens = 0
        self.reload()

    def begin(self, messages: list[dict[str, Any]]) -> float:
        """Read a prompt and draw the first token; return the seconds that took."""
        return float(self._do("begin", messages))

    def advance(self, count: int) -> tuple[int, float]:
        """Draw about ``count`` tokens more; return how many, and the seconds."""
        tokens, seconds = self._do("advance", count)
        return tokens, seconds

    def end(self) -> None:
        """Leave the answer as it is."""
        self._do("end")

    def reload(self) -> None:
        """Load the model anew."""
        self._do("reload")

    def close(self) -> None:
        """Free everything, and end the process."""
        self._do("close")
        self._process.join()

    def _do(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever it returns
        self._pipe.send((name, arguments))
        result, self.prompt_tokens = self._pipe.recv()
        if isinstance(result, Exception):
            raise result
        return result


def _serve(pipe: Connection, make: Callable[[Path, int], Side], path: Path, n_threads: int) -> None:
    """Do for another process what it asks, until it asks to close."""
    side: Side | None = None
    name = ""
    while name != "close":
        name, arguments = pipe.recv()
        if name == "reload":
            if side is not None:
                side.close()
            side, result = make(path, n_threads), None
        else:
            try:
                result = getattr(side, name)(*arguments)
            except Exception as error:  # noqa: BLE001 - raised where it was asked
                result = error
        pipe.send((result, side.prompt_tokens if side else 0))


def _bare(path: Path, n_threads: int) -> Side:
    return Bare(path, N_CTX, n_threads)


def sides(path: Path, n_threads: int) -> tuple[Apart, Apart, Apart]:
    """Load ``path`` in the three ways, each in a process of its own."""
    ours, bare, high_level = (Apart(make, path, n_threads) for make in (Ours, _bare, HighLevel))
    return ours, bare, high_level
