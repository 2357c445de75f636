"""The conversation with a scripted engine: asking, streaming, stopping, and that nothing said is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets import protocol as p
from llama_widgets.chat.changes import Rejected, Snapshot, TurnChanged
from llama_widgets.chat.conversation import Chat
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import (
    BusyError,
    EngineError,
    LlamaWidgetsError,
    ModelNotFoundError,
    NoModelError,
    ParameterError,
)
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 20


@pytest.fixture
def make() -> Iterator[Callable[..., Chat]]:
    workers: list[Worker] = []

    def build(script: Any = None, **options: Any) -> Chat:  # noqa: ANN401
        engine = ScriptedEngine(script, load=options.pop("load", ["50"]))
        workers.append(Worker(lambda: engine, find=options.pop("find", Path)))
        return Chat(options.pop("model", "a.gguf"), worker=workers[-1], **options)

    yield build
    for worker in workers:
        worker.close()


def said(chat: Chat) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in chat.messages]


def test_ask_and_what_was_said(make: Callable[..., Chat]) -> None:
    chat = make()
    reply = chat.ask("hello world")
    assert str(reply) == reply.text == reply._repr_markdown_() == "world hello "
    assert (reply.stop_reason, reply.model, reply.usage.completion_tokens) == ("eos", "a.gguf", 2)
    assert said(chat) == [("user", "hello world"), ("assistant", "world hello ")]
    assert chat.messages[1]["usage"]["completion_tokens"] == 2
    assert chat.messages[1]["stop_reason"] == "eos"


def test_the_model_sees_the_conversation_and_the_system_prompt(make: Callable[..., Chat]) -> None:
    seen: list[p.GenerateChatCompletion] = []

    def script(command: p.GenerateChatCompletion) -> list[str]:
        seen.append(command)
        return ["ok"]

    chat = make(script, system="Be terse.", temperature=0, messages=[{"role": "user", "content": "before"}])
    chat.ask("one", seed=7)
    chat.ask("two")
    assert seen[1].messages == [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "before\n\none"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "two"},
    ]
    chat.ask("three")
    seeds = [command.options.seed for command in seen]
    assert seeds[0] == 7
    assert None not in seeds
    assert seeds[1] != seeds[2]  # each answer has its own, so that it can be made again
    assert all(command.options.temperature == 0 for command in seen)


def test_stream_gives_the_pieces(make: Callable[..., Chat]) -> None:
    chat = make(lambda _: ["a", "b", "c"])
    assert list(chat.stream("x")) == ["a", "b", "c"]
    assert not chat.busy


def test_leaving_a_stream_stops_the_answer(make: Callable[..., Chat]) -> None:
    never = threading.Event()
    chat = make(lambda _: ["a", never, "b"])
    settled = threading.Event()
    chat.watch(lambda change: settled.set() if isinstance(change, p.CompletionDone) else None)
    for piece in chat.stream("x"):
        assert piece == "a"
        break
    assert settled.wait(WAIT_S)
    assert said(chat)[-1] == ("assistant", "a")
    assert chat.messages[-1]["stop_reason"] == "abort"


def test_a_stream_raises_what_went_wrong_after_what_was_said(make: Callable[..., Chat]) -> None:
    chat = make(lambda _: ["a", EngineError("It broke.")])
    pieces = chat.stream("x")
    assert next(pieces) == "a"
    with pytest.raises(EngineError, match="It broke"):
        next(pieces)


def test_async_ways(make: Callable[..., Chat]) -> None:
    chat = make(lambda _: ["a", "b"])

    async def both() -> tuple[str, list[str]]:
        reply = await chat.ask_async("x")
        return reply.text, [piece async for piece in chat.stream_async("y")]

    assert asyncio.run(both()) == ("ab", ["a", "b"])


def test_cancelling_the_task_stops_the_answer(make: Callable[..., Chat]) -> None:
    never, chunk = threading.Event(), threading.Event()
    chat = make(lambda _: ["a", never])
    chat.watch(lambda change: chunk.set() if isinstance(change, p.CompletionChunk) else None)

    async def cancelled() -> None:
        task = asyncio.create_task(chat.ask_async("x"))
        await asyncio.to_thread(chunk.wait, WAIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    while chat.busy:
        never.wait(0.01)
    assert chat.messages[-1]["stop_reason"] == "abort"


def test_an_interrupt_keeps_the_partial_answer_and_is_raised(make: Callable[..., Chat]) -> None:
    never = threading.Event()
    chat = make(lambda _: ["partial", never])

    def interrupt(change: object) -> None:
        if isinstance(change, p.CompletionChunk):
            os.kill(os.getpid(), signal.SIGINT)

    chat.watch(interrupt)
    with pytest.raises(KeyboardInterrupt):
        chat.ask("x")
    assert said(chat)[-1] == ("assistant", "partial")
    assert not chat.busy


def test_one_answer_at_a_time(make: Callable[..., Chat]) -> None:
    gate = threading.Event()
    chat = make(lambda _: ["x", gate, "y"])
    answer = chat.submit("first")
    with pytest.raises(BusyError, match="still answering"):
        chat.submit("second")
    with pytest.raises(BusyError):
        chat.clear()
    gate.set()
    assert answer.wait().text == "xy"
    assert len(chat.messages) == 2
    chat.clear()
    assert chat.messages == []


def test_two_conversations_share_the_worker(make: Callable[..., Chat]) -> None:
    one = make(lambda command: [f"to {command.messages[-1]['content']}"])
    two = Chat("a.gguf", worker=one.worker)
    answers = [one.submit("one"), two.submit("two")]
    assert [answer.wait().text for answer in answers] == ["to one", "to two"]
    assert said(one) == [("user", "one"), ("assistant", "to one")]


def test_a_model_can_be_loaded_beforehand_with_options(make: Callable[..., Chat]) -> None:
    chat = make()
    loaded = chat.load(n_ctx=2048)
    assert (loaded.model, chat.worker.loaded) == ("a.gguf", loaded)
    chat.ask("x")
    assert chat.worker.loaded is loaded  # the first question does not load it again with other options
    with pytest.raises(ParameterError, match="n_ctx"):
        chat.load(n_ctx=0)
    with pytest.raises(NoModelError):
        make(model=None).load()


def test_an_interrupt_aborts_a_load(make: Callable[..., Chat]) -> None:
    never = threading.Event()
    chat = make(load=["10", never])
    chat.worker.watch(lambda state: os.kill(os.getpid(), signal.SIGINT) if state.done else None)
    with pytest.raises(KeyboardInterrupt):
        chat.load()
    while chat.worker.busy:
        never.wait(0.01)
    assert chat.worker.loaded is None


def test_a_load_that_fails_raises(make: Callable[..., Chat]) -> None:
    with pytest.raises(EngineError, match="It broke"):
        make(load=[EngineError("It broke.")]).load()


def test_stop_with_nothing_running_says_so(make: Callable[..., Chat]) -> None:
    chat = make()
    assert chat.stop() is False
    assert chat.ask("still works").text == "works still "


def test_a_stop_before_the_first_token_keeps_the_question(make: Callable[..., Chat]) -> None:
    gate = threading.Event()
    prompts: list[list[dict[str, Any]]] = []

    def script(command: p.GenerateChatCompletion) -> list[Any]:
        prompts.append(command.messages)
        return [gate] if len(prompts) == 1 else ["fine"]

    chat = make(script)
    answer = chat.submit("first")
    while not prompts:
        gate.wait(0.01)
    assert chat.stop()
    assert answer.wait().stop_reason == "abort"
    assert said(chat) == [("user", "first"), ("assistant", "")]
    chat.ask("second")
    assert prompts[1] == [{"role": "user", "content": "first\n\nsecond"}]


def test_a_failure_before_the_first_token_hands_the_question_back(make: Callable[..., Chat]) -> None:
    def find(_: str) -> Path:
        raise ModelNotFoundError("There is no such file.", "Look again.")

    chat = make(find=find)
    changes: list[object] = []
    chat.watch(changes.append)
    with pytest.raises(ModelNotFoundError, match="Look again"):
        chat.ask("precious words")
    assert chat.messages == []
    rejected = next(change for change in changes if isinstance(change, Rejected))
    assert rejected.text == "precious words"
    assert not chat.busy


def test_a_failure_in_the_middle_keeps_what_was_said(make: Callable[..., Chat]) -> None:
    chat = make(lambda command: ["half ", EngineError("It broke.")] if len(command.messages) == 1 else ["fine"])
    with pytest.raises(EngineError):
        chat.ask("x")
    assert said(chat) == [("user", "x"), ("assistant", "half ")]
    assert chat.messages[-1]["stop_reason"] == "error"
    assert chat.ask("go on").text == "fine"


@pytest.mark.parametrize("text", ["", "   \n", None, 7, b"bytes"])
def test_what_is_not_a_question(make: Callable[..., Chat], text: object) -> None:
    chat = make()
    with pytest.raises(ParameterError):
        chat.ask(text)  # type: ignore[arg-type]
    assert chat.messages == []


@pytest.mark.parametrize(
    "option",
    [
        {"temperature": -1},
        {"temperature": "hot"},
        {"temperature": float("nan")},
        {"top_p": 1.5},
        {"top_k": 1.5},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"seed": -1},
        {"stop": "x"},
        {"stop": [1]},
        {"temprature": 1},
    ],
)
def test_wrong_options_are_named(make: Callable[..., Chat], option: dict[str, Any]) -> None:
    chat = make()
    with pytest.raises(ParameterError, match=next(iter(option))):
        chat.ask("x", **option)
    with pytest.raises(ParameterError, match=next(iter(option))):
        Chat("a.gguf", **option)
    assert chat.messages == []
    assert chat.ask("fine").stop_reason == "eos"


def test_no_model(make: Callable[..., Chat]) -> None:
    with pytest.raises(NoModelError, match="No model"):
        make(model=None).ask("x")


@pytest.mark.parametrize("model", [7, ["a"], object()])
def test_what_is_not_a_model(model: object) -> None:
    with pytest.raises(ParameterError, match="path or a reference"):
        Chat(model)


def test_a_path_is_a_model(make: Callable[..., Chat]) -> None:
    assert make(model=Path("x") / "a.gguf").ask("a b").model == str(Path("x") / "a.gguf")


@pytest.mark.parametrize("messages", [[{"role": "robot", "content": "x"}], [{"role": "user"}], [{"content": "x"}]])
def test_what_is_not_a_conversation(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(ParameterError, match="role"):
        Chat("a.gguf", messages=messages)


def test_lone_surrogates_and_nul_can_be_said(make: Callable[..., Chat]) -> None:
    chat = make(lambda command: [command.messages[-1]["content"]])
    reply = chat.ask("a\ud83d b\x00c \U0001f600")
    assert reply.text == "a\ufffd b\x00c \U0001f600"
    reply.text.encode()


def test_changes_come_in_order_and_a_snapshot_fits_between_them(make: Callable[..., Chat]) -> None:
    gate = threading.Event()
    chat = make(lambda _: ["a", gate, "b"])
    changes: list[Any] = []
    chat.watch(changes.append)
    answer = chat.submit("x")
    while not any(isinstance(change, p.CompletionChunk) for change in list(changes)):
        gate.wait(0.01)
    chat.with_lock(lambda: changes.append(chat.snapshot()))
    gate.set()
    answer.wait()
    told: list[Any] = [
        c for c in changes if isinstance(c, (TurnChanged, p.CompletionChunk, p.CompletionDone, Snapshot))
    ]
    assert [change.type for change in told] == [
        "turn",
        "turn",
        "completion_chunk",
        "snapshot",
        "completion_chunk",
        "turn",
        "completion_done",
    ]
    assert told[3].turns[-1]["content"] == "a"
    assert told[3].running == answer.request_id
    assert told[5].turn["content"] == "ab"


def test_every_error_comes_back_as_itself() -> None:
    from llama_widgets import errors

    def tree(cls: type[LlamaWidgetsError]) -> Iterator[type[LlamaWidgetsError]]:
        yield cls
        for sub in cls.__subclasses__():
            yield from tree(sub)

    # Those of a room of its own go out as what they are to others.
    kinds = [cls for cls in tree(LlamaWidgetsError) if cls.__module__ == errors.__name__]
    assert len({cls.code for cls in kinds}) == len(kinds)
    for cls in kinds:
        back = errors.from_code(cls.code, "What failed.", "What to do.")
        assert type(back) is cls
        assert str(back) == "What failed. What to do."
        assert f" {cls.__name__}" in str(errors.__doc__) or cls is LlamaWidgetsError
