"""Replies that are made again, with the real model: the same bit by bit, or where not, said where."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llama_widgets.chat.reply import Reply

LOAD = {"n_ctx": 1024, "n_threads": 1, "n_threads_batch": 1}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture
def chat(worker: Worker, demo_model: Path) -> lw.Chat:
    chat = lw.Chat(demo_model, system="You are brief.", worker=worker, max_tokens=12, reproducible=True)
    chat.load_options = LOAD
    return chat


def test_a_reply_says_how_it_was_made(chat: lw.Chat, demo_model: Path) -> None:
    made = chat.ask("Name a colour.", temperature=0.9).made
    assert json.loads(json.dumps(made)) == made
    assert made["model_sha256"] == hashlib.sha256(demo_model.read_bytes()).hexdigest()
    template = lw.info(demo_model).template
    assert made["template_sha256"] == hashlib.sha256(template.encode()).hexdigest()
    assert (made["model"], made["quantisation"], made["n_ctx"], made["load"]) == (str(demo_model), "Q4_1", 1024, LOAD)
    seed = made["parameters"].pop("seed")
    assert isinstance(seed, int)
    assert made["parameters"] == {"max_tokens": 12, "temperature": 0.9, "reproducible": True}
    system, question = made["messages"]
    assert (system["content"], question["content"]) == ("You are brief.", "Name a colour.")
    assert made["versions"].keys() == {"llama_widgets", "llama_cpp_python", "llama_cpp", "python"}
    assert made["hardware"]["devices"]


@pytest.mark.parametrize("temperature", [0, 1.2])
def test_a_replay_is_the_same_bit_by_bit(chat: lw.Chat, temperature: float, worker: Worker) -> None:
    chat.ask("Name a colour.", temperature=temperature)
    reply = chat.ask("And another one?", temperature=temperature, top_logprobs=2)
    again = reply.replay(worker=worker)
    assert (again.same, again.at, again.token, again.differences) == (True, None, None, {})
    assert again.reply.logprobs == reply.logprobs
    assert again.reply.made == {**reply.made, "at": again.reply.made["at"]}
    assert str(again) == "The same, to the last character."


def test_what_is_different_is_told(chat: lw.Chat, worker: Worker) -> None:
    reply = chat.ask("Name a colour.", seed=1, temperature=1.5, top_logprobs=0)
    assert reply.made["model_sha256"]
    facts = reply.provenance._facts  # type: ignore[union-attr]
    facts["parameters"]["seed"] = 2  # as if another one had been noted
    facts["model_sha256"], facts["versions"]["llama_cpp"] = "ab" * 32, "b1"
    again = reply.replay(worker=worker)
    assert not again.same
    assert again.at is not None
    assert reply.text[: again.at] == again.reply.text[: again.at]
    assert reply.text[again.at :][:1] != again.reply.text[again.at :][:1]
    assert again.token is not None
    assert again.differences.keys() == {"model_sha256", "versions.llama_cpp"}
    assert f"Different from character {again.at} (token {again.token}) on:" in str(again)
    assert "versions.llama_cpp: b1 then, " in str(again)
    assert repr(again).startswith("<Replayed: Different")


def test_a_stopped_reply_is_the_same_as_far_as_it_goes(chat: lw.Chat, worker: Worker) -> None:
    pieces = chat.stream("Count to a hundred.", max_tokens=200, temperature=0)
    next(pieces)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    until(lambda: not chat.busy)
    reply = chat.reply()
    assert reply.stop_reason == "abort"
    again = reply.replay(worker=worker)
    assert again.same
    assert again.reply.text.startswith(reply.text)
    assert "as far as" in str(again)


def test_a_cut_answer_that_was_gone_on_with(chat: lw.Chat, worker: Worker) -> None:
    chat.ask("Count to ten.", temperature=0, max_tokens=5)
    reply = chat.continue_(temperature=0, max_tokens=5)
    assert reply.replay(worker=worker).same
    assert chat.reply().replay(worker=worker).same


def test_a_conversation_that_was_kept_is_replayed(chat: lw.Chat, worker: Worker, demo_model: Path) -> None:
    chat.ask("Name a colour.", temperature=1.1)
    reply = chat.ask("Why that one?", temperature=1.1)
    chat.system = "Somebody else."  # of the questions from now on
    chat.ask("And now?", max_tokens=1)
    kept = json.loads(chat.to_json())
    assert str(demo_model.parent) not in json.dumps(kept)
    again = lw.Chat.from_json(kept, demo_model, worker=worker)
    found = again.reply(kept["messages"][4]["id"])
    assert (found.text, found.usage, found.stop_reason) == (reply.text, reply.usage, reply.stop_reason)
    assert found.made == {**reply.made, "model": demo_model.name}
    assert found.replay(worker=worker).same


def test_a_text_is_continued_again(worker: Worker, demo_model: Path) -> None:
    reply = lw.complete("one, two,", model=demo_model, worker=worker, max_tokens=6, reproducible=True)
    assert reply.made["prompt"] == "one, two,"
    assert reply.replay(worker=worker).same


def _asked(chat: lw.Chat) -> Reply:
    chat.ask('Say "hi" to\nthe \\ class.', temperature=1)
    return chat.ask("Again?", response_prefix="Well", temperature=1)


def _completed(chat: lw.Chat) -> Reply:
    return lw.complete("one, 'two',", model=chat.model, worker=chat.worker, max_tokens=6, reproducible=True)


@pytest.mark.parametrize("ask", [_asked, _completed])
def test_the_code_makes_it_again(
    ask: Callable[[lw.Chat], Reply], chat: lw.Chat, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = ask(chat)
    monkeypatch.setattr("llama_widgets.chat.conversation.shared", lambda: worker)
    monkeypatch.setattr("llama_widgets.shortcuts.shared", lambda: worker)
    names: dict[str, Any] = {}
    exec(reply.to_code(), names)
    assert names["reply"].text == reply.text


def test_without_reproducible_it_is_said(chat: lw.Chat, worker: Worker) -> None:
    reply = chat.ask("Name a colour.", reproducible=False, temperature=0)
    again = reply.replay(worker=worker)
    assert again.differences == {"reproducible": (False, True)}


def test_a_model_that_is_not_here(chat: lw.Chat, worker: Worker, demo_model: Path) -> None:
    kept = chat.ask("Name a colour.").made
    chat.reply().provenance._facts["model"] = "gone.gguf"  # type: ignore[union-attr]
    with pytest.raises(lw.errors.ModelNotFoundError, match="model that made this reply is not here") as raised:
        chat.reply().replay(worker=worker)
    assert "replay('model.gguf')" in raised.value.hint
    assert chat.reply().replay(demo_model, worker=worker).same
    assert kept["model"] == str(demo_model)
