"""What a panel does with what is typed in the browser, until it is a question."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.widgets.messages.talking import Ask, Complete, Draft, Edit, Preview
from llama_widgets.widgets.writing import Writing
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_widgets.wire import Message


class Desk:
    """A conversation that is written to as from the browser."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.chat = lw.Chat("m.gguf", worker=worker)
        self.sent: list[Message] = []
        self.failed: list[p.Error] = []
        self.writing = Writing(self.chat, self.sent.append, self.failed.append)

    def ask(self, text: str, *files: dict[str, str], request_id: str = "q") -> None:
        self.writing.ask(Ask(request_id=request_id, text=text, files=list(files)))

    def question(self) -> dict[str, Any]:
        until(lambda: len(self.chat.messages) == 2 and not self.chat.busy, "the answer")
        return self.chat.messages[0]

    def previewed(self, text: str, *files: dict[str, str], run: bool = False) -> list[dict[str, Any]]:
        self.writing.preview(Preview(request_id="p", text=text, files=list(files), run=run))
        message: Any = until(lambda: self.sent and self.sent.pop(), "the preview")
        inserts: list[dict[str, Any]] = message.inserts
        return inserts


@pytest.fixture
def desk() -> Iterator[Desk]:
    worker = Worker(ScriptedEngine, find=Path)
    yield Desk(worker)
    worker.close()


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], None]:
    """Return what gives the user a variable."""
    return lambda name, value: monkeypatch.setitem(vars(sys.modules["__main__"]), name, value)


def test_a_question_holds_what_the_model_saw_and_what_was_typed(desk: Desk, variable: Callable[..., None]) -> None:
    variable("age", 91)
    desk.ask("Is {age} old? {{sic}}", {"name": "a.csv", "text": "a,b\n{age},2\n"})
    question = desk.question()
    assert question["content"] == "Is 91 old? {sic}\n\na.csv:\n```csv\na,b\n{age},2\n```"
    assert question["typed"] == "Is {age} old? {{sic}}"
    assert desk.chat.conversations[0]["name"] == "Is {age} old? {{sic}}"
    assert [(each["source"], each["kind"]) for each in question["inserts"]] == [("age", "value"), ("a.csv", "file")]
    assert desk.failed == []


def test_tokens_are_counted_where_the_model_is_there(desk: Desk, variable: Callable[..., None]) -> None:
    variable("words", "one two three")
    assert desk.previewed("{words}")[0]["tokens"] is None
    desk.chat.load()
    assert desk.previewed("{words}")[0]["tokens"] == 3  # the scripted engine counts words
    desk.ask("{words}?")
    assert desk.question()["inserts"][0]["tokens"] == 3


def test_tokens_are_counted_as_soon_as_the_model_is_there(desk: Desk, variable: Callable[..., None]) -> None:
    variable("words", "one two three")
    told: list[Any] = []
    desk.chat.watch(told.append)
    desk.ask("{words}?", {"name": "a.txt", "text": "four five"})
    until(lambda: desk.question()["inserts"][0]["tokens"], "the count")
    assert [each["tokens"] for each in desk.chat.messages[0]["inserts"]] == [3, 5]  # with its name and fence
    turns = [change.turn for change in told if change.type == "turn" and change.turn["role"] == "user"]
    assert turns[-1] == desk.chat.messages[0]


def test_an_edited_question_is_filled_as_before_and_keeps_its_files(desk: Desk, variable: Callable[..., None]) -> None:
    variable("age", 91)
    desk.ask("Is {age} old?", {"name": "a.txt", "text": "{age} five"})
    question = desk.question()
    variable("age", 19)
    desk.writing.ask(Edit(request_id="e", turn=question["id"], text="Is {age} young?", fill=True))
    until(lambda: "young" in desk.chat.messages[0]["content"] and not desk.chat.busy, "the answer")
    edited = desk.chat.messages[0]
    assert edited["content"] == "Is 19 young?\n\na.txt:\n```txt\n{age} five\n```"
    assert edited["typed"] == "Is {age} young?"
    assert [edited["content"][each["start"] : each["end"]] for each in edited["inserts"]] == [
        "19",
        "a.txt:\n```txt\n{age} five\n```",
    ]


def test_an_edited_question_that_was_not_filled_is_left_alone(desk: Desk, variable: Callable[..., None]) -> None:
    variable("age", 91)
    desk.chat.messages = [{"role": "user", "content": "Is {age} old?"}]
    desk.writing.ask(Edit(request_id="e", turn=desk.chat.messages[0]["id"], text="Is {age} young?"))
    assert desk.question()["content"] == "Is {age} young?"


def test_tokens_are_counted_while_an_answer_is_made() -> None:
    gate = threading.Event()
    worker = Worker(lambda: ScriptedEngine(lambda _: ["a", gate, "b"]), find=Path)
    try:
        answer = lw.Chat("m.gguf", worker=worker).submit("x")
        until(lambda: answer.tokens, "the first token")
        assert lw.count_tokens("one two", "m.gguf", worker=worker) == 2
        assert not answer.future.done()
        with pytest.raises(lw.errors.NoModelError):
            lw.count_tokens("one two", "other.gguf", worker=worker)
        gate.set()
        answer.wait()
    finally:
        gate.set()
        worker.close()


def test_counting_loads_nothing(desk: Desk) -> None:
    with pytest.raises(lw.errors.NoModelError):
        lw.count_tokens("one two", worker=desk.worker)
    assert desk.worker.loaded is None


def test_what_cannot_be_filled_is_one_error_and_no_question(desk: Desk) -> None:
    desk.ask("Why {undefined_name}?")
    until(lambda: desk.failed, "the error")
    assert (desk.failed[0].request_id, desk.failed[0].code) == ("q", "fill")
    assert "undefined_name" in desk.failed[0].message
    assert desk.chat.messages == []


def test_a_question_can_be_stopped_while_it_is_filled(desk: Desk, variable: Callable[..., None]) -> None:
    entered, gate = threading.Event(), threading.Event()
    variable("entered", entered)
    variable("gate", gate)
    desk.ask("{entered.set()} {gate.wait()}")  # returns, although the value takes its time
    assert entered.wait(20)
    assert not desk.writing.stop("another")
    assert desk.writing.stop("q")
    assert [(each.request_id, each.code) for each in desk.sent if isinstance(each, p.Error)] == [("q", "stopped")]
    gate.set()
    until(lambda: not [each for each in threading.enumerate() if each.name == "llama-widgets-filling"], "the end")
    assert (desk.chat.messages, desk.failed) == ([], [])


def test_while_it_answers_a_filled_question_is_refused_like_any_other(variable: Callable[..., None]) -> None:
    gate = threading.Event()
    worker = Worker(lambda: ScriptedEngine(lambda _: [gate]), find=Path)
    desk = Desk(worker)
    try:
        variable("age", 91)
        desk.chat.submit("first")
        desk.ask("{age}")
        until(lambda: desk.failed, "the error")
        assert desk.failed[0].code == "busy"
        desk.ask("plain", request_id="q2")
        assert desk.failed[1].request_id == "q2"
    finally:
        gate.set()
        worker.close()


def test_a_preview_calls_nothing_unless_told_to(desk: Desk, variable: Callable[..., None]) -> None:
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        return "done"

    variable("call", call)
    variable("age", 91)
    inserts = desk.previewed("{age} {call()} {nowhere} {{x}}", {"name": "a.txt", "text": "hello"})
    assert [(each["source"], each["kind"], each["text"]) for each in inserts] == [
        ("age", "value", "91"),
        ("call()", "value", None),
        ("nowhere", "value", None),
        ("a.txt", "file", "a.txt:\n```txt\nhello\n```"),
    ]
    assert "no variable 'nowhere'" in inserts[2]["error"]
    assert not calls
    assert desk.previewed("{call()}", run=True)[0]["text"] == "done"
    assert calls == [1]


def test_names_are_completed(desk: Desk, variable: Callable[..., None]) -> None:
    variable("people_of_bern", [1])
    desk.writing.complete(Complete(request_id="c", source="len(people_of"))
    assert desk.sent[0].to_dict() == {
        "type": "completions",
        "request_id": "c",
        "start": 4,
        "names": ["people_of_bern"],
    }


def test_the_draft_is_kept_until_it_is_a_question(desk: Desk) -> None:
    def shown() -> list[dict[str, Any]]:
        desk.sent.clear()
        desk.writing.show("h")
        return [message.to_dict() for message in desk.sent]

    assert shown() == []
    file = {"name": "a.txt", "text": "hello"}
    desk.writing.keep(Draft(request_id="d", text="", files=[file]))
    desk.writing.keep(Draft(request_id="d", text="Half a"))
    assert shown() == [{"type": "draft", "request_id": "h", "text": "Half a", "files": [file]}]
    desk.ask("{undefined_name}")
    until(lambda: desk.failed, "the error")
    assert shown()
    desk.ask("Half a", file, request_id="q2")
    desk.question()
    assert shown() == []


def test_a_question_that_could_not_be_answered_comes_back_as_it_was_typed(variable: Callable[..., None]) -> None:
    variable("age", 91)
    worker = Worker(lambda: ScriptedEngine(lambda _: [lw.errors.EngineError("It broke.")]), find=Path)
    desk = Desk(worker)
    rejected: list[str] = []
    desk.chat.watch(lambda change: rejected.append(change.text) if change.type == "rejected" else None)  # type: ignore[union-attr]
    desk.ask("{age}?")
    until(lambda: rejected, "the question back")
    worker.close()
    assert rejected == ["{age}?"]


def test_an_imported_question_keeps_what_was_put_in_and_forgets_what_was_typed(variable: Callable[..., None]) -> None:
    variable("age", 91)
    insert = {"source": "age", "start": 3, "end": 5, "kind": "value", "tokens": 2}
    message = {"role": "user", "content": "Is 91 old?", "typed": "Is {age} old?", "inserts": [insert]}
    read = lw.Chat(messages=[message]).messages[0]
    assert (read["inserts"], "typed" in read) == ([insert], False)


@pytest.mark.parametrize(
    "inserts",
    [
        "text",
        [1],
        [{"source": "x"}],
        [{"source": "x", "start": 3, "end": 99}],
        [{"source": "x", "start": 5, "end": 3}],
        [{"source": "x", "start": -1, "end": 3}],
        [{"source": "x", "start": 3, "end": 5}, {"source": "y", "start": 4, "end": 6}],
        {"a": 1},
        None,
    ],
    ids=str,
)
def test_inserts_that_make_no_sense_are_left_out(inserts: object) -> None:
    read = lw.Chat(messages=[{"role": "user", "content": "Is 91 old?", "inserts": inserts}]).messages[0]
    assert set(read) == {"id", "role", "content"}
