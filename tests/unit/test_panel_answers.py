"""A panel's answers beyond plain text: its options as traits, thoughts, tools, warnings, answers made again."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.chat.settings import NAMES
from llama_widgets.engines.scripted import ScriptedEngine, Thought, ToolCalls
from llama_widgets.options import GenerationOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_widgets.wire import Message

WAIT_S = 20
WARNING = "This model has no chat template."


class Warning_(ScriptedEngine):  # noqa: N801
    """Warns of each load, and tells of each answer that something left."""

    def load(self, command: p.LoadModel, path: Path, emit: Any, cancel: Any) -> p.ModelLoaded:  # noqa: ANN401
        emit(p.Info(request_id=command.request_id, level="warning", message=WARNING))
        return super().load(command, path, emit, cancel)

    def submit(self, command: p.Generate, emit: Callable[[p.Event], None], cancel: Any) -> None:  # noqa: ANN401
        assert isinstance(command, p.GenerateChatCompletion)
        if len(command.messages) > 1:
            emit(p.Info(request_id=command.request_id, message="The oldest left."))
        super().submit(command, emit, cancel)


@pytest.fixture
def make() -> Iterator[Callable[..., lw.ChatPanel]]:
    made: list[Any] = []

    def build(script: Any = None, *, engine: Any = ScriptedEngine, **arguments: Any) -> lw.ChatPanel:  # noqa: ANN401
        worker = Worker(lambda: engine(script, load=[]), find=Path)
        panel = lw.ChatPanel("a.gguf", worker=worker, **arguments)
        made.extend((panel, worker))
        return panel

    yield build
    for each in made:
        each.close()


def sent(panel: lw.ChatPanel) -> list[Message]:
    """Return what the panel gives its publisher from now on."""
    messages: list[Message] = []
    publish = panel.publish

    def note(message: Message) -> None:
        messages.append(message)
        publish(message)

    panel.publish = note  # type: ignore[method-assign]
    return messages


def add(a: int) -> int:
    """Add one."""
    return a + 1


def test_every_option_is_a_trait_with_its_default() -> None:
    panel = lw.ChatPanel("a.gguf")
    names = {"stop_strings" if name == "stop" else name for name in NAMES} - {"response_prefix"}
    assert names <= set(panel.trait_names())
    assert {f.name for f in fields(GenerationOptions)} <= set(NAMES)
    for name in names:
        assert getattr(panel, name) == getattr(lw.ChatPanel("b.gguf"), name)
    assert (panel.temperature, panel.thinking, panel.tools, panel.stop_strings) == (0.8, "auto", (), [])
    panel.stop_strings.append("x")
    assert lw.ChatPanel("c.gguf").stop_strings == []


class Town(BaseModel):
    name: str


def test_traits_reach_the_question(make: Callable[..., lw.ChatPanel]) -> None:
    asked: list[p.GenerateChatCompletion] = []

    def script(command: p.GenerateChatCompletion) -> list[str]:
        asked.append(command)
        return ['{"name": "Bern"}']

    panel = make(script, thinking=False, tools=[add], logit_bias={"a": 1.0}, min_p=0.1)
    panel.json_schema = Town
    panel.mirostat = 2
    assert panel.ask("x").parsed == Town(name="Bern")
    command = asked[0]
    assert (command.thinking, command.options.mirostat, command.options.min_p) == (False, 2, 0.1)
    assert command.options.logit_bias == {"a": 1.0}
    assert command.tools[0]["function"]["name"] == "add"
    assert command.options.json_schema == Town.model_json_schema()
    assert panel.json_schema is Town
    assert [tool.name for tool in panel.tools] == ["add"]
    panel.json_schema = panel.seed = None
    panel.tools = []
    assert panel.ask("x").parsed is None
    assert asked[1].tools == []


@pytest.mark.parametrize(
    "wrong",
    [{"thinking": 1}, {"mirostat": 3}, {"tools": [1]}, {"confirm": 1}, {"json_schema": 1}, {"temperature": None}],
)
def test_wrong_traits_are_refused(make: Callable[..., lw.ChatPanel], wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    panel = make()
    before = getattr(panel, name)
    with pytest.raises(lw.errors.ParameterError, match=name if name != "tools" else "tool"):
        setattr(panel, name, value)
    assert getattr(panel, name) == before
    with pytest.raises(lw.errors.ParameterError):
        lw.ChatPanel("a.gguf", **wrong)


def test_a_tool_runs_in_the_panel(make: Callable[..., lw.ChatPanel]) -> None:
    states: list[str] = []
    gate, running = threading.Event(), threading.Event()

    def wait(a: int) -> int:
        running.set()
        assert gate.wait(WAIT_S)
        return a

    rounds: list[list[Any]] = [[Thought("Hm"), ToolCalls([{"name": "wait", "arguments": {"a": 1}}])], ["one"]]
    panel = make(lambda _: rounds.pop(0), tools=[wait])
    panel.load()
    panel.observe(lambda change: states.append(change.new), "state")
    messages = sent(panel)
    answer = panel.submit("x")
    assert running.wait(WAIT_S)
    assert (panel.state, panel.running) == ("tool", answer.request_id)
    assert panel.messages[-1]["state"] == "running"
    gate.set()
    assert answer.wait().text == "one"
    assert states == ["waiting", "generating", "tool", "generating", "ready"]
    assert [message["role"] for message in panel.messages] == ["user", "assistant", "tool", "assistant"]
    ends = [message for message in messages if message.type in ("completion_done", "error")]
    assert [(end.type, end.request_id) for end in ends] == [("completion_done", answer.request_id)]
    assert {message.type for message in messages} == {"turn", "completion_chunk", "completion_done"}


def test_stop_while_a_tool_runs_in_the_panel(make: Callable[..., lw.ChatPanel]) -> None:
    never, running = threading.Event(), threading.Event()

    def wait() -> None:
        running.set()
        never.wait()

    panel = make(lambda _: [ToolCalls([{"name": "wait", "arguments": {}}])], tools=[wait])
    answer = panel.submit("x")
    assert running.wait(WAIT_S)
    panel.handle({"type": "abort", "request_id": "a", "target": answer.request_id})
    assert answer.wait().stop_reason == "abort"
    assert (panel.state, panel.running) == ("ready", "")
    assert not panel.error
    never.set()


def test_log_probabilities_do_not_travel_to_the_browser(make: Callable[..., lw.ChatPanel]) -> None:
    class Probable(ScriptedEngine):
        def submit(self, command: p.Generate, emit: Callable[[p.Event], None], cancel: Any) -> None:  # noqa: ANN401
            entry = [{"token": 1, "text": "x", "logprob": -1.0, "top": []}]

            def pass_on(event: p.Event) -> None:
                if isinstance(event, (p.CompletionChunk, p.CompletionDone)):
                    event = type(event)(**{**event.__dict__, "logprobs": entry})
                emit(event)

            super().submit(command, pass_on, cancel)

    panel = make(engine=Probable)
    messages = sent(panel)
    assert panel.ask("b a").logprobs
    assert not any(getattr(message, "logprobs", []) for message in messages)


def test_warnings_stay_with_the_model_and_others_with_the_answer(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make(engine=Warning_)
    assert panel.selector is not None
    panel.ask("x")
    assert panel.notices == panel.selector.notices == [WARNING]
    panel.ask("y")
    assert panel.notices == [WARNING, "The oldest left."]
    panel.regenerate()
    assert panel.notices == [WARNING, "The oldest left."]
    panel.edit(0, "z")
    assert panel.notices == [WARNING]
    lw.Chat("b.gguf", worker=panel._chat.worker).load()
    assert panel.notices == []  # it is not this panel's model any more
    assert panel.selector.notices == [WARNING]
    panel.load()
    assert panel.notices == [WARNING]
    panel.selector.unload()
    panel.load(n_ctx=64)
    assert panel._chat.load_options is not None


def test_an_answer_is_gone_on_with_and_made_again(make: Callable[..., lw.ChatPanel]) -> None:
    answers: list[list[Any]] = [["a", threading.Event()], ["b"], ["c"], [lw.errors.EngineError("It broke.")]]
    panel = make(lambda _: answers.pop(0))
    unwatch = panel._chat.watch(lambda change: panel.stop() if isinstance(change, p.CompletionChunk) else None)
    assert panel.ask("x").stop_reason == "abort"
    unwatch()
    states: list[str] = []
    panel.observe(lambda change: states.append(change.new), "state")
    assert panel.continue_().text == "ab"
    assert states == ["waiting", "generating", "ready"]
    assert panel.regenerate().text == "c"
    with pytest.raises(lw.errors.EngineError):
        panel.edit(0, "y")
    assert [message["content"] for message in panel.messages] == ["x", "c"]
    assert panel.error is not None
    assert panel.error["message"] == "It broke."
    assert panel.state == "ready"


def test_a_panel_is_gone_on_from_as_its_conversation_is(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make()
    panel.ask("one two")
    done = panel.record.turns[-1].done
    assert done is not None
    other = {"token": 5, "text": "other", "logprob": -1.0}
    done.logprobs.append({"token": 4, "text": "two", "logprob": -0.5, "top": [other]})
    reply = panel.continue_from(0, 5)
    assert reply.logprobs == [{**other, "top": [other]}]
    assert panel.chat.messages == panel.messages
    assert len(panel.messages[-1]["siblings"]) == 2
    assert lw.predict(panel).candidates[0].text == "two"  # after the question: a scripted engine says its last word
