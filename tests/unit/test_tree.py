"""Branches, taking away and bringing back, several conversations: in the tree alone, and in a Chat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llama_widgets import Chat
from llama_widgets import protocol as p
from llama_widgets.chat.changes import BookChanged, Branched, Rejected, TurnChanged
from llama_widgets.chat.tree import Tree
from llama_widgets.chat.turns import Turn
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import BusyError, LlamaWidgetsError, ParameterError
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Answers with the last question in capitals, numbered by how often it was asked."""
    times = iter(range(1, 1000))

    def answer(command: p.GenerateCompletion | p.GenerateChatCompletion) -> list[str]:
        assert isinstance(command, p.GenerateChatCompletion)
        return [f"{next(times)}:", str(command.messages[-1]["content"]).upper()]

    made = Worker(lambda: ScriptedEngine(answer), find=Path)
    yield made
    made.close()


def said(chat: Chat) -> list[str]:
    return [message["content"] for message in chat.messages]


def test_what_is_made_again_or_edited_stays_beside_it(worker: Worker) -> None:
    chat = Chat("a.gguf", worker=worker)
    chat.ask("a")
    chat.ask("b")
    chat.regenerate()
    assert said(chat) == ["a", "1:A", "b", "3:B"]
    first, second = chat.messages[3]["siblings"]
    assert second == chat.messages[3]["id"]
    chat.switch(first)
    assert said(chat) == ["a", "1:A", "b", "2:B"]
    chat.edit(0, "c")
    assert said(chat) == ["c", "4:C"]
    old, _new = chat.messages[0]["siblings"]
    chat.switch(old)
    assert said(chat) == ["a", "1:A", "b", "2:B"]  # as it was last seen there


def test_any_answer_can_be_made_again(worker: Worker) -> None:
    chat = Chat("a.gguf", worker=worker)
    chat.ask("a")
    chat.ask("b")
    chat.regenerate(chat.messages[1]["id"])
    assert said(chat) == ["a", "3:A"]
    chat.switch(chat.messages[1]["siblings"][0])
    assert said(chat) == ["a", "1:A", "b", "2:B"]
    chat.regenerate(chat.messages[2]["id"])  # or its question
    assert said(chat) == ["a", "1:A", "b", "4:B"]
    with pytest.raises(ParameterError, match="Only questions can be edited"):
        chat.edit(chat.messages[1]["id"], "x")
    with pytest.raises(ParameterError, match="no turn 'nowhere'"):
        chat.regenerate("nowhere")


def test_an_answer_that_is_gone_on_with_is_a_branch(worker: Worker) -> None:
    cut = {"role": "assistant", "content": "Once", "stop_reason": "max_tokens"}
    chat = Chat("a.gguf", worker=worker, messages=[{"role": "user", "content": "a"}, cut])
    chat.continue_()
    assert said(chat)[1].startswith("Once")
    assert said(chat)[1] != "Once"
    chat.switch(chat.messages[1]["siblings"][0])
    assert said(chat) == ["a", "Once"]


def test_what_is_deleted_or_cleared_comes_back(worker: Worker) -> None:
    chat = Chat("a.gguf", worker=worker)
    chat.ask("a")
    chat.ask("b")
    chat.regenerate()
    whole = chat.messages
    chat.delete(whole[3]["id"])
    assert said(chat) == ["a", "1:A", "b", "2:B"]  # the branch beside it
    assert "siblings" not in chat.messages[3]
    chat.delete(chat.messages[2]["id"])
    assert said(chat) == ["a", "1:A"]
    chat.clear()
    assert (said(chat), chat.can_undo) == ([], True)
    chat.ask("new")
    for expected in (["a", "1:A"], ["a", "1:A", "b", "2:B"], ["a", "1:A", "b", "3:B"]):
        assert chat.undo()
        assert said(chat) == expected
    assert (chat.undo(), chat.can_undo) == (False, False)
    assert chat.messages[1:] == whole[1:]
    chat.switch(chat.messages[0]["siblings"][1])  # what was said after the clearing is there too
    assert said(chat) == ["new", "4:NEW"]


def test_conversations_have_names_and_come_back(worker: Worker) -> None:
    chat = Chat("a.gguf", worker=worker)
    chat.ask("Why is\n\nthe sky " + "very " * 20 + "blue?")
    first = chat.id
    assert chat.new_conversation("Outliers") == chat.id != first
    chat.ask("x")
    third = chat.new_conversation()
    assert chat.new_conversation() == third  # an empty one is not left behind
    names = [each["name"] for each in chat.conversations]
    assert names[1:] == ["Outliers", "New conversation"]
    assert names[0].startswith("Why is the sky very")
    assert names[0].endswith("…")
    assert len(names[0]) <= 48
    chat.open_conversation("Outliers")
    assert said(chat)[0] == "x"
    chat.rename_conversation(first, "Sky")
    chat.delete_conversation("Outliers")
    assert [(each["name"], each["current"]) for each in chat.conversations] == [
        ("Sky", True),
        ("New conversation", False),
    ]
    chat.undo()
    assert (said(chat)[0], len(chat.conversations)) == ("x", 3)
    with pytest.raises(ParameterError, match="no conversation 'Gone'"):
        chat.open_conversation("Gone")
    for each in [each["id"] for each in chat.conversations]:
        chat.delete_conversation(each)
    assert [each["name"] for each in chat.conversations] == ["New conversation"]


def test_nothing_changes_while_it_answers(worker: Worker) -> None:
    chat = Chat("a.gguf", worker=worker)
    chat.ask("a")
    turn = chat.messages[0]["id"]
    refused: list[type[BaseException]] = []
    changes: list[Callable[[], Any]] = [
        chat.clear,
        chat.undo,
        chat.new_conversation,
        lambda: chat.delete(turn),
        lambda: chat.switch(turn),
        lambda: chat.open_conversation(chat.id),
        lambda: chat.delete_conversation(chat.id),
    ]

    def try_all(change: object) -> None:
        if isinstance(change, TurnChanged) and chat.busy and not refused:
            for each in changes:
                try:
                    each()
                except BusyError as error:
                    refused.append(type(error))

    chat.watch(try_all)
    chat.ask("b")
    assert len(refused) == len(changes)
    assert said(chat) == ["a", "1:A", "b", "2:B"]


def test_an_edit_that_comes_to_nothing_leaves_no_branch_and_loses_no_word() -> None:
    def fail(_: object) -> list[Any]:
        raise LlamaWidgetsError("No.", "Never.")

    worker = Worker(lambda: ScriptedEngine(fail), find=Path)
    chat = Chat("a.gguf", worker=worker, messages=[{"role": "user", "content": "a"}])
    before = chat.messages
    heard: list[Any] = []
    chat.watch(heard.append)
    with pytest.raises(LlamaWidgetsError):
        chat.edit(0, "b")
    with pytest.raises(LlamaWidgetsError):
        chat.regenerate()
    assert chat.messages == before
    assert [each.text for each in heard if isinstance(each, Rejected)] == ["b"]
    worker.close()


class Views(RuleBasedStateMachine):
    """A view that follows the changes has what the conversation has, whatever is done; and undo brings back all."""

    def __init__(self) -> None:
        super().__init__()
        times = iter(range(1, 10_000))
        self.worker = Worker(lambda: ScriptedEngine(lambda _: [str(next(times))]), find=Path)
        self.chat = Chat("a.gguf", worker=self.worker)
        self.seen: list[dict[str, Any]] = []
        self.book: list[dict[str, Any]] = self.chat.conversations
        self.chat.watch(self.hear)

    def hear(self, change: object) -> None:
        if isinstance(change, TurnChanged):
            at = [turn["id"] for turn in self.seen]
            if change.turn["id"] in at:
                self.seen[at.index(change.turn["id"])] = change.turn
            else:
                self.seen.append(change.turn)
        elif isinstance(change, Branched):
            kept = [turn["id"] for turn in self.seen].index(change.after) + 1 if change.after else 0
            self.seen = [*self.seen[:kept], *change.turns]
        elif isinstance(change, BookChanged):
            self.book = change.conversations

    @rule(text=st.sampled_from("abc"))
    def ask(self, text: str) -> None:
        self.chat.ask(text)

    @precondition(lambda self: self.chat.messages)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        self.chat.regenerate(data.draw(st.sampled_from(self.chat.messages))["id"])

    @precondition(lambda self: self.chat.messages)
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        asked = [message["id"] for message in self.chat.messages if message["role"] == "user"]
        self.chat.edit(data.draw(st.sampled_from(asked)), "z")

    @precondition(lambda self: self.chat.messages)
    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.chat.messages))
        self.chat.switch(data.draw(st.sampled_from(message.get("siblings", [message["id"]]))))

    @precondition(lambda self: self.chat.messages)
    @rule(data=st.data(), back=st.booleans())
    def delete(self, data: st.DataObject, back: bool) -> None:
        before = self.chat.messages
        self.chat.delete(data.draw(st.sampled_from(before))["id"])
        if back:
            assert self.chat.undo()
            assert self.chat.messages == before

    @rule(back=st.booleans())
    def clear(self, back: bool) -> None:
        before = self.chat.messages
        self.chat.clear()
        assert self.chat.messages == []
        if back and before:
            self.chat.undo()
            assert self.chat.messages == before

    @rule()
    def undo(self) -> None:
        self.chat.undo()

    @rule()
    def new(self) -> None:
        self.chat.new_conversation()

    @rule(data=st.data())
    def open(self, data: st.DataObject) -> None:
        self.chat.open_conversation(data.draw(st.sampled_from(self.chat.conversations))["id"])

    @rule(data=st.data())
    def delete_conversation(self, data: st.DataObject) -> None:
        self.chat.delete_conversation(data.draw(st.sampled_from(self.chat.conversations))["id"])

    @invariant()
    def is_seen(self) -> None:
        # What a turn's siblings are is told with the turn; a view need not know when one that is not shown is gone.
        plain = [{k: v for k, v in turn.items() if k != "siblings"} for turn in self.seen]
        assert plain == [{k: v for k, v in turn.items() if k != "siblings"} for turn in self.chat.messages]
        assert self.book == self.chat.conversations
        assert sum(each["current"] for each in self.book) == 1

    @invariant()
    def can_be_written_and_read(self) -> None:
        tree = self.chat.record.book.current.tree
        plain = tree.to_list()
        again = Tree.of(
            (Turn(role=each["role"], pieces=[each["content"]], id=each["id"]), each["parent"], "shown" in each)
            for each in plain
        )
        assert [turn.id for turn in again.path] == [turn.id for turn in tree.path]
        assert [(each["id"], each["parent"]) for each in again.to_list()] == [(e["id"], e["parent"]) for e in plain]

    def teardown(self) -> None:
        self.worker.close()


TestViews = Views.TestCase
TestViews.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
