"""Whatever goes wrong around an answer, it ends once, and the conversation is free for the next question."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets import protocol as p
from llama_widgets.chat.changes import Rejected
from llama_widgets.chat.conversation import Chat
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import BusyError, ParameterError
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 20


class Faulty(Worker):
    """Fails once in ``submit``, before or after it has taken the command."""

    def __init__(self, failure: BaseException, *, taken: bool) -> None:
        super().__init__(ScriptedEngine, find=Path)
        self._failures = [failure]
        self._taken = taken

    def submit(self, command: p.Command, listener: Callable[[p.Event], None]) -> None:
        if self._taken or not self._failures:
            super().submit(command, listener)
        if self._failures:
            raise self._failures.pop()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(ScriptedEngine, find=Path)
    yield worker
    worker.close()


def _ends(change: object) -> bool:
    return isinstance(change, (p.Error, p.CompletionDone))


def contents(chat: Chat) -> list[str]:
    return [message["content"] for message in chat.messages]


def test_a_question_that_cannot_be_handed_over_is_handed_back() -> None:
    worker = Faulty(RuntimeError("can't start new thread"), taken=False)
    chat = Chat("a.gguf", worker=worker)
    rejected: list[Rejected] = []
    ends: list[str] = []
    chat.watch(lambda change: rejected.append(change) if isinstance(change, Rejected) else None)
    chat.watch(lambda change: ends.append(change.type) if _ends(change) else None)
    with pytest.raises(RuntimeError, match="new thread"):
        chat.submit("precious words")
    assert not chat.busy
    assert ends == ["error"]
    assert [change.text for change in rejected] == ["precious words"]
    assert chat.messages == []
    assert chat.ask("b a").text == "a b "
    assert ends == ["error", "completion_done"]
    worker.close()


@pytest.mark.parametrize("taken", [False, True])
def test_an_interrupt_while_asking_is_a_stop(*, taken: bool) -> None:
    worker = Faulty(KeyboardInterrupt(), taken=taken)
    chat = Chat("a.gguf", worker=worker)
    with pytest.raises(KeyboardInterrupt):
        chat.ask("first")
    assert not chat.busy
    assert contents(chat)[0] == "first"
    chat.clear()
    assert chat.ask("b a").text == "a b "
    worker.close()


@pytest.mark.parametrize("failure", [ZeroDivisionError, SystemExit])
def test_watchers_that_fail_stop_nothing(
    worker: Worker, caplog: pytest.LogCaptureFixture, failure: type[BaseException]
) -> None:
    chat = Chat("a.gguf", worker=worker)
    heard: list[object] = []

    def fail(_: object) -> None:
        raise failure

    chat.watch(fail)
    chat.watch(heard.append)
    assert chat.ask("b a").text == "a b "
    assert not chat.busy
    assert isinstance(heard[-1], p.CompletionDone)
    assert "a listener failed" in caplog.text


def test_waiting_inside_a_callback_is_refused(worker: Worker) -> None:
    chat = Chat("a.gguf", worker=worker, messages=[{"role": "user", "content": "x"}])
    refused: list[BusyError] = []

    def ask_again(_: object) -> None:
        for ask in (chat.ask, chat.stream):
            try:
                ask("b a")
            except BusyError as error:
                refused.append(error)

    unwatch = chat.watch(ask_again)
    chat.clear()
    unwatch()
    assert refused
    assert len(refused) % 2 == 0
    assert all("inside a callback" in error.message for error in refused)
    assert chat.ask("b a").text == "a b "


def test_a_cancelled_stream_is_stopped() -> None:
    never = threading.Event()
    worker = Worker(lambda: ScriptedEngine(lambda _: ["a", never, "b"]), find=Path)
    chat = Chat("a.gguf", worker=worker)

    async def cancelled() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hear(change: object) -> None:
            if _ends(change):
                loop.call_soon_threadsafe(ended.set)

        chat.watch(hear)

        async def read() -> None:
            async for piece in chat.stream_async("x"):
                assert piece == "a"
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended.wait()

    asyncio.run(asyncio.wait_for(cancelled(), WAIT_S))
    assert contents(chat) == ["x", "a"]
    assert chat.messages[-1]["stop_reason"] == "abort"
    worker.close()


@pytest.mark.parametrize("messages", [5, "abc", [5], [None], [["user", "x"]], {"role": "user", "content": "x"}])
def test_what_is_not_a_conversation_says_so(messages: Any) -> None:  # noqa: ANN401
    with pytest.raises(ParameterError) as raised:
        Chat("a.gguf", messages=messages)
    assert "role" in str(raised.value)
    chat = Chat("a.gguf", messages=[{"role": "user", "content": "kept"}])
    with pytest.raises(ParameterError):
        chat.messages = messages
    assert contents(chat) == ["kept"]


def test_options_that_are_refused_come_with_their_default() -> None:
    with pytest.raises(ParameterError) as raised:
        Chat("a.gguf", seed=2**32)
    assert raised.value.message == "'seed' must be between 0 and 4,294,967,295, not 4294967296."
    assert raised.value.hint == "The default is None."
