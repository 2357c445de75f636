"""What a question carries to the worker and what a reply brings back: options, thoughts, schemas, prefixes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, field_validator

from llama_widgets import protocol as p
from llama_widgets.chat.conversation import Chat
from llama_widgets.chat.reply import Reply
from llama_widgets.engines.scripted import ScriptedEngine, Thought
from llama_widgets.errors import EngineError, ParameterError
from llama_widgets.options import LoadOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WARNING = "This model has no chat template."


class Engine(ScriptedEngine):
    """Notes what it is asked, warns while it loads and answers, and says that messages were left out."""

    def __init__(self, script: Any = None) -> None:  # noqa: ANN401
        super().__init__(script, load=["50"])
        self.asked: list[p.GenerateChatCompletion] = []
        self.loads: list[LoadOptions] = []

    def load(self, command: p.LoadModel, path: Path, emit: Any, cancel: Any) -> p.ModelLoaded:  # noqa: ANN401
        self.loads.append(command.options)
        emit(p.Info(request_id=command.request_id, level="warning", message=WARNING))
        return super().load(command, path, emit, cancel)

    def submit(self, command: p.Generate, emit: Callable[[p.Event], None], cancel: Any) -> None:  # noqa: ANN401
        assert isinstance(command, p.GenerateChatCompletion)
        self.asked.append(command)
        dropped = len(command.messages) // 4
        if dropped:
            emit(p.Info(request_id=command.request_id, message=f"{dropped} left."))

        def pass_on(event: p.Event) -> None:
            if isinstance(event, p.CompletionDone):
                event = replace(
                    event, dropped=dropped, logprobs=[{"token": 1, "text": "x", "logprob": -1.0, "top": []}]
                )
            emit(event)

        super().submit(command, pass_on, cancel)


@pytest.fixture
def make() -> Iterator[Callable[..., tuple[Chat, Engine]]]:
    workers: list[Worker] = []

    def build(script: Any = None, **options: Any) -> tuple[Chat, Engine]:  # noqa: ANN401
        engine = Engine(script)
        workers.append(Worker(lambda: engine, find=Path))
        return Chat("a.gguf", worker=workers[-1], **options), engine

    yield build
    for worker in workers:
        worker.close()


def said(chat: Chat) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in chat.messages]


def test_load_options_are_kept_and_go_with_every_question(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make()
    chat.ask("x")
    assert engine.asked[0].load is None
    loaded = chat.load(n_ctx=2048, cache_type_k="q8_0")
    assert not loaded.cancelled
    kept = LoadOptions(n_ctx=2048, cache_type_k="q8_0")
    assert chat.load_options == kept
    chat.ask("x")
    assert engine.asked[1].load == kept
    Chat("b.gguf", worker=chat.worker).ask("y")
    chat.ask("x")
    assert engine.loads[-1] == kept
    chat.load()  # with none given, those that were kept
    assert chat.load_options == kept
    chat.load_options = {"n_ctx": 512}
    assert chat.load_options == LoadOptions(n_ctx=512)
    chat.load_options = None
    chat.ask("x")
    assert engine.asked[-1].load is None


def test_adapters_and_templates_stay_with_their_model(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, _ = make()
    chat.load_options = {"n_ctx": 64, "lora": ["a"], "chat_template": "{{ x }}"}
    chat.model = "a.gguf"
    assert chat.load_options == LoadOptions(n_ctx=64, lora=["a"], chat_template="{{ x }}")
    chat.model = "b.gguf"
    assert chat.load_options == LoadOptions(n_ctx=64)


def test_load_options_that_are_refused_are_not_kept(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make()
    with pytest.raises(ParameterError, match="n_ctx"):
        chat.load(n_ctx=0)
    with pytest.raises(ParameterError, match="layers"):
        chat.load_options = {"layers": 1}
    engine._load = (EngineError("It broke."),)
    with pytest.raises(EngineError, match="It broke"):
        chat.load(n_ctx=64)
    assert chat.load_options is None


def test_a_conversation_has_one_name_and_no_other_has_it(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make()
    chat.ask("x")
    chat.ask("x")
    other = Chat("a.gguf", worker=chat.worker)
    other.ask("x")
    names = [command.conversation for command in engine.asked]
    assert names == [chat.id, chat.id, other.id]
    assert len({*names, ""}) == 3


def test_every_option_can_be_set_for_all_and_for_one(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make(thinking=False, min_p=0.2, context_overflow="stop")
    chat.ask("x", thinking=True, top_logprobs=3, logit_bias={"a": 1})
    chat.configure(thinking="auto", min_p=0.3)
    chat.ask("x")
    one, two = engine.asked
    assert (one.thinking, one.options.min_p, one.options.context_overflow) == (True, 0.2, "stop")
    assert (one.options.top_logprobs, one.options.logit_bias) == (3, {"a": 1})
    assert (two.thinking, two.options.min_p, two.options.top_logprobs) == ("auto", 0.3, None)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"thinking": "hard"}, "'thinking'"),
        ({"response_prefix": 5}, "'response_prefix'"),
        ({"tools": "weather"}, "'tools' must be a list of functions"),
        ({"tools": [5]}, "A tool must be a function"),
        ({"tools": [len, len]}, "Two tools have the name 'len'"),
        ({"tool_choice": "weather"}, "'tool_choice'"),
        ({"tool_timeout": -1}, "'tool_timeout' must be at least 0"),
        ({"max_tool_rounds": 1.5}, "'max_tool_rounds'"),
        ({"confirm": "yes"}, "'confirm' must be a function"),
        ({"json_schema": "{}"}, "a JSON schema or a pydantic model"),
        ({"json_schema": dict}, "a JSON schema or a pydantic model"),
        ({"temprature": 1}, "'temprature' is not an option.*Did you mean 'temperature'"),
    ],
)
def test_wrong_options_are_named(make: Callable[..., tuple[Chat, Engine]], option: dict[str, Any], words: str) -> None:
    chat, _ = make()
    for refused in (lambda: chat.ask("x", **option), lambda: chat.configure(**option), lambda: Chat("a", **option)):
        with pytest.raises(ParameterError, match=words):
            refused()
    assert chat.messages == []


def test_thoughts_are_kept_apart_from_the_text(make: Callable[..., tuple[Chat, Engine]]) -> None:
    never, thinking = threading.Event(), threading.Event()
    chat, engine = make(lambda _: [Thought("Hm"), Thought("."), "Yes", never])
    chat.watch(lambda change: thinking.set() if getattr(change, "text", "") == "Yes" else None)
    pieces = chat.stream("x")
    assert next(pieces) == "Yes"
    thinking.wait()
    turn = chat.snapshot().turns[-1]
    assert (turn["content"], turn["thoughts"]) == ("Yes", "Hm.")
    never.set()
    assert list(pieces) == []
    reply = chat.ask("y")
    assert (reply.text, reply.thoughts, reply.usage.thought_tokens) == ("Yes", "Hm.", 2)
    assert reply.timings.thought_s is not None
    assert chat.messages[-1]["thoughts"] == "Hm."
    assert engine.asked[1].messages[1] == {"role": "assistant", "content": "Yes", "thoughts": "Hm."}


class Town(BaseModel):
    """A town."""

    name: str
    people: int

    @field_validator("people")
    @classmethod
    def _somebody(cls, people: int) -> int:
        if people < 1:
            msg = "nobody lives there"
            raise ValueError(msg)
        return people


def test_an_answer_by_a_schema_is_parsed(make: Callable[..., tuple[Chat, Engine]]) -> None:
    text = '{"name": "Zürich", "people": 440000}'
    chat, engine = make(lambda _: [text])
    reply = chat.ask("x", json_schema={"type": "object"})
    assert (reply.parsed, reply.parse_error) == ({"name": "Zürich", "people": 440000}, "")
    town = chat.ask("x", json_schema=Town).parsed
    assert town == Town(name="Zürich", people=440000)
    sent = engine.asked[1].options.json_schema
    assert sent == json.loads(json.dumps(Town.model_json_schema()))
    plain = chat.ask("x")
    assert (plain.parsed, plain.parse_error) == (None, "")
    assert engine.asked[2].options.json_schema is None


@pytest.mark.parametrize(
    ("text", "stop_reason", "words"),
    [
        ('{"name": "Zür', "max_tokens", "The answer was cut (max_tokens): it is not whole JSON"),
        ("Zürich", "eos", "The answer is not whole JSON"),
        ('{"name": "Zürich"}', "eos", "does not fit Town"),
        ('{"name": "Atlantis", "people": 0}', "eos", "nobody lives there"),
    ],
)
def test_an_answer_that_cannot_be_parsed_says_why(text: str, stop_reason: str, words: str) -> None:
    reply = Reply(text=text, stop_reason=stop_reason, schema=Town)
    assert reply.parsed is None
    assert words in reply.parse_error


def test_a_prefix_is_part_of_the_reply_and_of_the_conversation(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make(lambda _: ['"b": 1}'])
    chunks: list[str] = []
    chat.watch(lambda change: chunks.append(change.text) if isinstance(change, p.CompletionChunk) else None)
    reply = chat.ask("x", response_prefix="{", json_schema={"type": "object"})
    assert engine.asked[0].response_prefix == "{"
    assert (reply.text, reply.parsed, chunks) == ('{"b": 1}', {"b": 1}, ['"b": 1}'])
    assert said(chat)[-1] == ("assistant", '{"b": 1}')
    assert list(chat.stream("y", response_prefix="{")) == ["{", '"b": 1}']


def test_a_prefix_can_travel(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, _ = make(lambda _: ["b"])
    assert chat.ask("x", response_prefix="a\ud83d").text == "a\ufffdb"


def test_a_prefix_goes_when_nothing_comes_of_the_answer(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, _ = make(lambda _: [EngineError("It broke.")])
    with pytest.raises(EngineError):
        chat.ask("x", response_prefix="{")
    assert chat.messages == []


def test_warnings_and_what_left_are_told_and_remembered(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, _ = make(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 2)
    told: list[str] = []
    chat.watch(lambda change: told.append(change.message) if isinstance(change, p.Info) else None)
    reply = chat.ask("x")
    assert reply.notices == told == [WARNING, "1 left."]
    assert (reply.dropped, chat.messages[-1]["dropped"]) == (1, 1)
    assert reply.logprobs[0]["logprob"] == -1.0
    assert chat.worker.model_state.warnings == (WARNING,)
    back = Chat("a.gguf", messages=json.loads(json.dumps(chat.messages)))
    assert [{**message, "id": ""} for message in back.messages] == [{**message, "id": ""} for message in chat.messages]


def test_an_answer_is_made_again(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make(lambda command: [f"{command.options.seed}"], seed=1)
    chat.ask("a")
    chat.ask("b")
    assert chat.regenerate(seed=2).text == "2"
    assert said(chat) == [("user", "a"), ("assistant", "1"), ("user", "b"), ("assistant", "2")]
    assert engine.asked[2].messages == engine.asked[1].messages
    chat.clear()
    with pytest.raises(ParameterError, match="no question"):
        chat.regenerate()


def test_a_question_is_replaced(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make()
    for text in ("a 1", "b 2", "c 3"):
        chat.ask(text)
    assert chat.edit(1, "d 4").text == "4 d "
    assert said(chat) == [("user", "a 1"), ("assistant", "1 a "), ("user", "d 4"), ("assistant", "4 d ")]
    assert [message["content"] for message in engine.asked[3].messages] == ["a 1", "1 a ", "d 4"]
    chat.edit(-2, "e 5")
    assert said(chat) == [("user", "e 5"), ("assistant", "5 e ")]
    for index in (1, -2, None, True, 0.0):
        with pytest.raises(ParameterError, match="no question"):
            chat.edit(index, "x")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="no turn '0'"):
        chat.edit("0", "x")
    with pytest.raises(ParameterError, match="empty"):
        chat.edit(0, " ")
    assert said(chat) == [("user", "e 5"), ("assistant", "5 e ")]


def test_nothing_is_lost_when_an_answer_cannot_be_made_again(make: Callable[..., tuple[Chat, Engine]]) -> None:
    answers: list[list[Any]] = [["good"], ["cut", EngineError("x")], *([[EngineError("It broke.")]] * 3)]
    chat, _ = make(lambda _: answers.pop(0))
    chat.ask("a")
    with pytest.raises(EngineError):
        chat.ask("b")
    before = chat.messages
    changes: list[Any] = []
    chat.watch(changes.append)
    ways: list[Callable[[], object]] = [chat.regenerate, lambda: chat.edit(0, "c"), chat.continue_]
    for again in ways:
        with pytest.raises(EngineError, match="It broke"):
            again()
        assert chat.messages == before
        branched = next(change for change in reversed(changes) if change.type == "branched")
        kept = [message["id"] for message in before].index(branched.after) + 1 if branched.after else 0
        assert before[:kept] + branched.turns == before
        assert changes[-1].type == "error"


def test_an_answer_that_was_cut_is_gone_on_with(make: Callable[..., tuple[Chat, Engine]]) -> None:
    answers: list[list[Any]] = [
        [Thought("Hm. "), "one ", EngineError("x")],
        ["two ", EngineError("x")],
        [Thought("Ah."), "three"],
    ]
    chat, engine = make(lambda _: answers.pop(0), system="Count.", response_prefix="zero ")
    with pytest.raises(EngineError):
        chat.ask("x")
    cut = chat.messages[-1]
    with pytest.raises(EngineError):
        chat.continue_()
    reply = chat.continue_(response_prefix="and ", max_tokens=7)
    assert (reply.text, reply.stop_reason) == ("zero one two and three", "eos")
    assert (reply.thoughts, reply.usage.completion_tokens) == ("Hm. Ah.", 2)
    assert [command.response_prefix for command in engine.asked] == ["zero ", "zero one ", "zero one two and "]
    assert engine.asked[2].messages == [{"role": "system", "content": "Count."}, {"role": "user", "content": "x"}]
    assert said(chat) == [("user", "x"), ("assistant", reply.text)]
    assert chat.messages[-1]["stop_reason"] == "eos"
    assert (chat.messages[-1]["siblings"][0], len(chat.messages[-1]["siblings"])) == (cut["id"], 3)
    assert chat.messages[-1]["usage"] == reply.usage.__dict__


def test_going_on_can_be_stopped_and_gone_on_with(make: Callable[..., tuple[Chat, Engine]]) -> None:
    never = threading.Event()
    answers: list[list[Any]] = [["a", never], ["b", threading.Event()], ["c"]]
    chat, engine = make(lambda _: answers.pop(0))
    chat.watch(lambda change: chat.stop() if isinstance(change, p.CompletionChunk) and change.text != "c" else None)
    assert chat.ask("x").stop_reason == "abort"
    assert chat.continue_().text == "ab"
    assert chat.continue_().text == "abc"
    assert said(chat) == [("user", "x"), ("assistant", "abc")]
    assert [command.response_prefix for command in engine.asked] == ["", "a", "ab"]


def test_only_a_cut_answer_can_be_gone_on_with(make: Callable[..., tuple[Chat, Engine]]) -> None:
    chat, engine = make()
    with pytest.raises(ParameterError, match="no answer"):
        chat.continue_()
    chat.ask("b a")
    with pytest.raises(ParameterError, match="not cut"):
        chat.continue_()
    chat.messages = [{"role": "user", "content": "b a"}, {"role": "assistant", "content": "Half a"}]
    assert chat.continue_().text == "Half aa b "  # of what is brought along nobody knows, so it is taken as cut
    assert engine.asked[-1].response_prefix == "Half a"


def test_an_answer_that_was_only_thought_begins_anew(make: Callable[..., tuple[Chat, Engine]]) -> None:
    answers: list[list[Any]] = [[Thought("Hm"), EngineError("x")], [Thought("Ah"), "yes"]]
    chat, engine = make(lambda _: answers.pop(0))
    with pytest.raises(EngineError):
        chat.ask("x")
    assert chat.messages[-1] | {"id": ""} == {
        "id": "",
        "role": "assistant",
        "content": "",
        "thoughts": "Hm",
        "stop_reason": "error",
    }
    reply = chat.continue_()
    assert (reply.text, reply.thoughts, engine.asked[1].response_prefix) == ("yes", "Ah", "")
