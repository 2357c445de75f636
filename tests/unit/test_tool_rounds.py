"""The model calls Python functions: what it is told, what the user sees, and that nothing a tool does can harm."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets import protocol as p
from llama_widgets.chat.calls import LONGEST
from llama_widgets.chat.changes import Branched, Rejected, ToolCall, ToolResult, TurnChanged
from llama_widgets.chat.conversation import Chat
from llama_widgets.engines.scripted import ScriptedEngine, Thought, ToolCalls
from llama_widgets.errors import BusyError, ClosedError, EngineError, LlamaWidgetsError
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 20


@pytest.fixture
def make() -> Iterator[Callable[..., Chat]]:
    """Make a conversation whose answers follow the given scripts, one for each round; ``asked`` are its requests."""
    workers: list[Worker] = []

    def build(*rounds: list[Any], engine: Any = ScriptedEngine, **options: Any) -> Chat:  # noqa: ANN401
        left = list(rounds)
        chat = Chat("a.gguf", worker=Worker(lambda: engine(answer, load=[]), find=Path), **options)
        workers.append(chat.worker)
        chat.asked = []  # type: ignore[attr-defined]

        def answer(command: p.Generate) -> list[Any]:
            chat.asked.append(command)  # type: ignore[attr-defined]
            return left.pop(0) if left else [f"told {command.messages[-1]['content']}"]  # type: ignore[union-attr]

        return chat

    yield build
    for worker in workers:
        worker.close()


def calls(*names: str, **arguments: Any) -> ToolCalls:  # noqa: ANN401
    return ToolCalls([{"name": name, "arguments": arguments} for name in names])


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def told(chat: Chat) -> list[tuple[str, str]]:
    """Return what the model was told of its calls, with how they ended."""
    return [(message["state"], message["content"]) for message in chat.messages if message["role"] == "tool"]


def test_a_call_is_made_and_its_result_told(make: Callable[..., Chat]) -> None:
    chat = make(["Let me see. ", calls("add", a="2", b=3)], tools=[add], tool_choice="required")
    changes: list[Any] = []
    chat.watch(changes.append)
    reply = chat.ask("What is 2 + 3?")
    assert (reply.text, reply.stop_reason) == ("told 5", "eos")
    call = {"id": chat.messages[2]["tool_call_id"], "name": "add", "arguments": {"a": "2", "b": 3}}
    assert reply.tool_calls == [{**call, "state": "done", "result": "5"}]
    assert reply.usage.completion_tokens == 2

    first, second = chat.asked  # type: ignore[attr-defined]
    assert [tool["function"]["name"] for tool in first.tools] == ["add"]
    assert (first.tool_choice, second.tool_choice) == ("required", "auto")
    assert second.messages == [
        {"role": "user", "content": "What is 2 + 3?"},
        {"role": "assistant", "content": "Let me see. ", "tool_calls": [call]},
        {"role": "tool", "content": "5", "name": "add", "tool_call_id": call["id"]},
    ]
    assert [message["role"] for message in chat.messages] == ["user", "assistant", "tool", "assistant"]
    assert chat.messages[1]["stop_reason"] == "tool_calls"

    assert {change.request_id for change in changes} == {changes[0].request_id}
    seen = [change for change in changes if isinstance(change, (ToolCall, ToolResult, p.CompletionDone))]
    assert [(change.type, getattr(change, "state", "")) for change in seen] == [
        ("tool_call", "running"),
        ("tool_result", "done"),
        ("completion_done", ""),
    ]
    assert seen[0].to_dict() | {"request_id": ""} == {"type": "tool_call", "request_id": "", "state": "running", **call}


def test_text_streams_through_all_rounds(make: Callable[..., Chat]) -> None:
    chat = make([Thought("Hm"), "a", calls("add", a=1)], ["b", calls("add", "add", a=2)], ["c"], tools=[add])
    assert list(chat.stream("x")) == ["a", "b", "c"]
    assert told(chat) == [("done", "2"), ("done", "3"), ("done", "3")]
    assert len({message["tool_call_id"] for message in chat.messages if message["role"] == "tool"}) == 3
    assert chat.messages[1]["thoughts"] == "Hm"


@dataclass
class Point:
    x: int


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        msg = "no"
        raise ValueError(msg)


def returns(value: Any) -> Callable[[], Any]:  # noqa: ANN401
    def tool() -> Any:  # noqa: ANN401
        if isinstance(value, BaseException):
            raise value
        return value

    return tool


async def later(value: str = "later") -> str:
    await asyncio.sleep(0)
    return value


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (returns("text ü\ud83d"), ("done", "text ü\ufffd")),
        (returns(None), ("done", "null")),
        (returns({"ä": [1, None]}), ("done", '{"ä": [1, null]}')),
        (returns(Point(1)), ("done", '{"x": 1}')),
        (returns({1, 2}), ("done", "{1, 2}")),
        (returns(Path("a")), ("done", "a")),
        (later, ("done", "later")),
        (returns(ValueError("too hot")), ("failed", "Error: ValueError: too hot")),
        (returns(TimeoutError("its own")), ("failed", "Error: TimeoutError: its own")),
        (returns(SystemExit(1)), ("failed", "Error: SystemExit: 1")),
        (returns(KeyboardInterrupt()), ("failed", "Error: KeyboardInterrupt: ")),
        (returns(Unprintable()), ("failed", "Error: Unprintable")),
    ],
)
def test_whatever_a_tool_does_the_model_is_told(
    make: Callable[..., Chat],
    tool: Any,  # noqa: ANN401
    expected: tuple[str, str],
) -> None:
    chat = make([calls(tool.__name__)], tools=[tool])
    assert chat.ask("x").text == f"told {expected[1]}"
    assert told(chat) == [expected]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("subtract", {}, "Error: there is no tool 'subtract'. There are: add."),
        ("add", {}, "Error: ValueError: add needs 'a'"),
        ("add", {"a": "two"}, "Error: ValueError: a must be a whole number, not 'two'"),
        ("add", {"a": 1, "c": 1}, "Error: ValueError: add has no parameter 'c'; it has a, b"),
    ],
)
def test_a_call_that_cannot_be_made_is_told_too(
    make: Callable[..., Chat], name: str, arguments: dict[str, Any], words: str
) -> None:
    chat = make([calls(name, **arguments)], tools=[add])
    assert chat.ask("x").text == f"told {words}"
    assert told(chat) == [("failed", words)]


@pytest.mark.parametrize("tool", [returns("x" * 1_000_000), returns(ValueError("x" * 1_000_000))])
def test_a_megabyte_is_cut(make: Callable[..., Chat], tool: Any) -> None:  # noqa: ANN401
    chat = make([calls("tool")], ["fine"], tools=[tool])
    assert chat.ask("x").text == "fine"
    ((state, text),) = told(chat)
    assert len(text) < LONGEST + 100
    assert state == "failed" or text.endswith("[Cut: these are the first 20,000 of 1,000,000 characters.]")


def test_a_tool_that_hangs_is_left_and_the_model_told(make: Callable[..., Chat]) -> None:
    never, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        never.wait()

    chat = make([calls("wait")], tools=[wait], tool_timeout=0.05)
    assert chat.ask("x").text == "told Error: the tool took longer than 0.05 seconds."
    assert begun.is_set()
    assert told(chat)[0][0] == "timeout"
    never.set()


def test_other_conversations_go_on_while_a_tool_runs(make: Callable[..., Chat]) -> None:
    asked: list[str] = []
    chat = make([calls("ask_another")], tools=[])
    other = Chat("a.gguf", worker=chat.worker)

    def ask_another() -> str:
        with pytest.raises(BusyError):
            chat.ask("y")
        assert threading.current_thread().name == "llama-widgets-tool"
        asked.append(other.ask("b a").text)
        return asked[0]

    assert chat.ask("x", tools=[ask_another]).text == "told told b a"
    assert asked == ["told b a"]


def test_stop_while_a_tool_runs(make: Callable[..., Chat]) -> None:
    never, begun = threading.Event(), threading.Event()

    def wait(a: int) -> str:
        begun.set()
        never.wait()
        return f"late {a}"

    chat = make(["a", calls("wait", "add", a=1)], ["fine"], ["more"], tools=[wait, add])
    answer = chat.submit("x")
    assert begun.wait(WAIT_S)
    assert chat.busy
    assert chat.stop()
    reply = answer.future.result(WAIT_S)
    assert (reply.text, reply.stop_reason, chat.busy) == ("a", "abort", False)
    assert [state for state, _ in told(chat)] == ["stopped", "stopped"]
    never.set()
    assert chat.continue_().text == "fine"
    assert [message["role"] for message in chat.asked[1].messages] == ["user", "assistant", "tool", "tool"]  # type: ignore[attr-defined]
    assert chat.ask("y").text == "more"
    assert told(chat) == [("stopped", "Stopped before it ended.")] * 2


def test_stop_between_two_rounds(make: Callable[..., Chat]) -> None:
    chat = make([calls("add", a=1)], [threading.Event()], tools=[add])
    chat.watch(lambda change: chat.stop() if isinstance(change, ToolResult) else None)
    reply = chat.ask("x")
    assert (reply.stop_reason, reply.tool_calls[0]["result"]) == ("abort", "2")
    assert len(chat.asked) == 1  # type: ignore[attr-defined]


def test_stop_that_comes_as_the_next_round_is_asked_for(make: Callable[..., Chat]) -> None:
    chat = make([calls("add", a=1)], ["x", threading.Event()], tools=[add])
    submit, rounds = chat.worker.submit, []

    def submit_late(command: p.Command, listener: Any) -> None:  # noqa: ANN401
        rounds.append(command)
        if len(rounds) == 2:
            chat.stop()  # the worker has nothing to abort yet
        submit(command, listener)

    chat.worker.submit = submit_late  # type: ignore[method-assign]
    assert chat.ask("x").stop_reason == "abort"
    assert len(rounds) == 2


def test_stop_in_a_later_round_keeps_what_was_said(make: Callable[..., Chat]) -> None:
    chat = make(["a", calls("add", a=1)], ["b", threading.Event()], ["c"], tools=[add])
    chat.watch(lambda change: chat.stop() if isinstance(change, p.CompletionChunk) and change.text == "b" else None)
    assert chat.ask("x").text == "b"
    assert chat.continue_().text == "bc"
    assert [(m["role"], m["content"]) for m in chat.messages][1:] == [
        ("assistant", "a"),
        ("tool", "2"),
        ("assistant", "bc"),
    ]


def test_an_interrupt_while_a_tool_runs(make: Callable[..., Chat]) -> None:
    never = threading.Event()

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        never.wait()

    chat = make([calls("interrupt")], tools=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        chat.ask("x")
    assert not chat.busy
    assert told(chat)[0][0] == "stopped"
    never.set()


def test_calls_are_confirmed(make: Callable[..., Chat]) -> None:
    asked: list[Any] = []
    gate = threading.Event()

    def confirm(name: str, arguments: dict[str, Any]) -> bool:
        asked.append((name, arguments))
        assert gate.wait(WAIT_S)
        return bool(arguments["a"] == 1)

    chat = make([ToolCalls([{"name": "add", "arguments": {"a": a}} for a in (1, 2)])], tools=[add], confirm=confirm)
    states: list[str] = []
    chat.watch(lambda change: states.append(change.state) if isinstance(change, (ToolCall, ToolResult)) else None)
    answer = chat.submit("x")
    while not asked:
        gate.wait(0.01)
    assert (states, chat.messages[-1]["state"]) == (["waiting"], "waiting")
    gate.set()
    assert answer.wait().text == "told The user does not allow this call."
    assert asked == [("add", {"a": 1}), ("add", {"a": 2})]
    assert states == ["waiting", "running", "done", "waiting", "refused"]


def test_no_time_is_too_long_to_confirm_but_stop_ends_it(make: Callable[..., Chat]) -> None:
    never, asked = threading.Event(), threading.Event()

    def confirm(*_: object) -> bool:
        asked.set()
        return never.wait()

    chat = make([calls("add", a=1)], tools=[add], confirm=confirm, tool_timeout=0)
    answer = chat.submit("x")
    assert asked.wait(WAIT_S)
    assert told(chat)[0][0] == "waiting"
    chat.stop()
    assert answer.wait().stop_reason == "abort"
    assert told(chat)[0][0] == "stopped"
    never.set()


async def yes(_name: str, _arguments: dict[str, Any]) -> bool:
    return True


@pytest.mark.parametrize(
    ("confirm", "state"), [(yes, "done"), (lambda *_: 1 / 0, "refused"), (lambda: True, "refused")]
)
def test_a_confirmation_may_be_awaited_and_one_that_fails_refuses(
    make: Callable[..., Chat],
    confirm: Any,  # noqa: ANN401
    state: str,
) -> None:
    chat = make([calls("add", a=1)], tools=[add], confirm=confirm)
    chat.ask("x")
    assert told(chat)[0][0] == state


def test_rounds_come_to_an_end(make: Callable[..., Chat]) -> None:
    chat = make(*([[calls("add", a=1)]] * 3), ["enough"], tools=[add])
    reply = chat.ask("x", max_tool_rounds=3)
    assert (reply.text, len(reply.tool_calls)) == ("enough", 3)
    assert [command.tool_choice for command in chat.asked] == ["auto", "auto", "auto", "none"]  # type: ignore[attr-defined]
    chat.ask("y", max_tool_rounds=0)
    assert chat.asked[-1].tool_choice == "none"  # type: ignore[attr-defined]


def test_a_model_that_calls_and_calls_is_ended(make: Callable[..., Chat]) -> None:
    chat = make(*([["a", calls("add", a=1)]] * 9), tools=[add])
    reply = chat.ask("x", max_tool_rounds=2)
    assert (reply.text, reply.stop_reason, len(reply.tool_calls)) == ("a", "tool_calls", 2)
    assert not chat.busy
    assert chat.regenerate(max_tool_rounds=0).tool_calls == []


def test_whole_calls_are_made_where_max_tokens_cut_the_next(make: Callable[..., Chat]) -> None:
    class Cut(ScriptedEngine):
        def submit(self, command: p.Generate, emit: Callable[[p.Event], None], cancel: Any) -> None:  # noqa: ANN401
            def pass_on(event: p.Event) -> None:
                if isinstance(event, p.CompletionDone) and event.tool_calls:
                    event = replace(event, stop_reason="max_tokens")
                emit(event)

            super().submit(command, pass_on, cancel)

    chat = make([calls("add", a=1)], engine=Cut, tools=[add])
    assert chat.ask("x").text == "told 2"
    assert chat.messages[1]["stop_reason"] == "tool_calls"


def test_what_cannot_be_handled_ends_the_answer(make: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    chat = make(["a", calls("add", a=deep)], ["a", calls("add", a=1)], ["fine"], tools=[add])
    with pytest.raises(LlamaWidgetsError, match="RecursionError"):
        chat.ask("x")
    assert not chat.busy
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if thread.name == "llama-widgets-tools":
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(LlamaWidgetsError, match="can't start new thread"):
        chat.ask("x")
    monkeypatch.undo()
    assert chat.messages[-1]["stop_reason"] == "error"
    assert chat.ask("x").text == "fine"
    assert not any("tool_calls" in message for message in chat.messages)


def test_what_a_model_gives_can_travel_and_is_nobody_elses(make: Callable[..., Chat]) -> None:
    given = {"text": "half \ud83d", "number": float("nan"), "list": [{"a\udc00": 1}]}
    chat = make([ToolCalls([{"name": "look", "arguments": given}])], tools=[])
    seen: list[Any] = []

    def look(text: Any, number: Any, list: Any) -> str:  # noqa: A002, ANN401
        seen.extend((text, number, list))
        list.append("changed")
        return "fine"

    reply = chat.ask("x", tools=[look])
    assert seen[:2] == ["half \ufffd", None]
    clean = {"text": "half \ufffd", "number": None, "list": [{"a\ufffd": 1}]}
    json.dumps(chat.messages, ensure_ascii=False, allow_nan=False).encode()
    reply.tool_calls[0]["arguments"]["text"] = chat.messages[1]["tool_calls"][0]["arguments"]["text"] = "changed"
    assert chat.messages[1]["tool_calls"][0]["arguments"] == clean


def test_an_error_in_a_later_round_keeps_what_was_done(make: Callable[..., Chat]) -> None:
    chat = make(["a", calls("add", a=1)], [EngineError("It broke.")], tools=[add])
    changes: list[Any] = []
    chat.watch(changes.append)
    with pytest.raises(EngineError, match="It broke"):
        chat.ask("x")
    assert [(m["role"], m["content"]) for m in chat.messages] == [
        ("user", "x"),
        ("assistant", "a"),
        ("tool", "2"),
        ("assistant", ""),
    ]
    assert chat.messages[-1]["stop_reason"] == "error"
    assert not any(isinstance(change, (Rejected, Branched)) for change in changes)
    assert chat.continue_().text == "told 2"


def test_a_worker_that_is_closed_while_a_tool_runs_ends_the_answer(make: Callable[..., Chat]) -> None:
    chat = make([calls("close")], tools=[])

    def close() -> None:
        chat.worker.close()

    with pytest.raises(ClosedError):
        chat.ask("x", tools=[close])
    assert not chat.busy
    assert told(chat) == [("done", "null")]


def test_calls_and_results_survive_a_file(make: Callable[..., Chat]) -> None:
    chat = make([calls("add", a=1)], ["two"], tools=[add])
    chat.ask("x")
    saved = json.loads(json.dumps(chat.messages))
    back = make(["fine"], messages=saved)
    back.ask("y")
    assert back.asked[0].messages[:-1] == [  # type: ignore[attr-defined]
        *chat.asked[1].messages,  # type: ignore[attr-defined]
        {"role": "assistant", "content": "two"},
    ]
    same = [{key: value for key, value in message.items() if key != "id"} for message in back.messages[:4]]
    assert same == [{key: value for key, value in message.items() if key != "id"} for message in saved]


def test_calls_as_openai_writes_them_are_read(make: Callable[..., Chat]) -> None:
    function = {"name": "add", "arguments": '{"a": 1}'}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": "2"},
    ]
    chat = make(["fine"], messages=messages)
    assert chat.messages[1]["tool_calls"] == [{"id": "c", "name": "add", "arguments": {"a": 1}}]
    assert chat.messages[2]["name"] == "add"
    assert chat.continue_().text == "fine"


def test_an_answer_with_tools_can_be_made_again(make: Callable[..., Chat]) -> None:
    chat = make([calls("add", a=1)], ["two"], [calls("add", a=2)], ["three"], tools=[add])
    chat.ask("x")
    changes: list[Any] = []
    chat.watch(changes.append)
    assert chat.regenerate().text == "three"
    assert [message["role"] for message in chat.messages] == ["user", "assistant", "tool", "assistant"]
    assert told(chat) == [("done", "3")]
    first, second = changes[:2]
    assert isinstance(first, Branched)
    assert (first.after, first.turns) == (chat.messages[0]["id"], [])
    assert isinstance(second, TurnChanged)
    assert len(second.turn["siblings"]) == 2
    assert first.request_id == second.request_id
