"""Conversations with the real model: schemas, prefixes and cut answers fit together, and options reach the engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import BaseModel

import llama_widgets as lw
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = {"n_ctx": 1024, "n_threads": 1, "n_threads_batch": 1}


class Town(BaseModel):
    name: str
    people: int


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture
def chat(worker: Worker, demo_model: Path) -> lw.Chat:
    chat = lw.Chat(demo_model, worker=worker, temperature=0, max_tokens=60)
    chat.load_options = OPTIONS
    return chat


def test_an_answer_by_a_schema_survives_a_cut_at_any_place(chat: lw.Chat) -> None:
    whole = chat.ask("Describe Paris as JSON.", json_schema=Town)
    assert isinstance(whole.parsed, Town), whole
    chat.clear()
    cut = chat.ask("Describe Paris as JSON.", json_schema=Town, max_tokens=3)
    assert (cut.stop_reason, cut.parsed) == ("max_tokens", None)
    while cut.stop_reason == "max_tokens":
        text = cut.text
        cut = chat.continue_(json_schema=Town, max_tokens=3)
        assert cut.text.startswith(text)
    assert isinstance(cut.parsed, Town), cut
    assert len(chat.messages) == 2


def test_a_prefix_is_gone_on_with_by_the_schema(chat: lw.Chat) -> None:
    reply = chat.ask("Describe Bern as JSON.", json_schema=Town, response_prefix='{"name": "Bern", ')
    assert json.loads(reply.text)["name"] == "Bern"
    assert isinstance(reply.parsed, Town)


def test_going_on_reads_only_what_is_new(chat: lw.Chat) -> None:
    cut = chat.ask("Tell me a long story about a llama.", max_tokens=12)
    more = chat.continue_(max_tokens=12)
    assert more.text.startswith(cut.text)
    assert len(more.text) > len(cut.text)
    assert more.usage.evaluated_tokens <= 4
    again = chat.regenerate(max_tokens=24)
    assert again.usage.evaluated_tokens <= 4
    assert again.text == more.text


def test_load_options_reach_the_engine_with_each_question(chat: lw.Chat, worker: Worker, demo_model: Path) -> None:
    assert chat.load(**{**OPTIONS, "n_ctx": 512}).n_ctx == 512
    lw.Chat(demo_model, worker=worker).load(**OPTIONS)
    assert worker.loaded is not None
    assert worker.loaded.n_ctx == 1024
    chat.ask("Hello", max_tokens=1)
    assert worker.loaded.n_ctx == 512


def test_a_call_of_a_tool_is_made(chat: lw.Chat) -> None:
    def now() -> str:
        """Tell the time."""
        return "It is noon."

    once = {"<": -90.0}  # a model this small would call it again and again
    options = {"tool_choice": "required", "max_tokens": 60, "logit_bias": once, "max_tool_rounds": 1}
    reply = chat.ask("What time is it?", tools=[now], **options)
    assert reply.tool_calls, reply
    assert {(call["state"], call["result"]) for call in reply.tool_calls} == {("done", "It is noon.")}
    roles = [message["role"] for message in chat.messages]
    assert roles == ["user", "assistant", *["tool"] * len(reply.tool_calls), "assistant"]


def test_embeddings_are_an_array_and_the_status_tells_of_the_model(worker: Worker, demo_model: Path) -> None:
    vectors = lw.embed(["A llama.", "A llama.", "A stone."], demo_model, worker=worker, **OPTIONS)
    assert vectors.shape == (3, 576)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors[0], vectors[1], atol=1e-3)
    assert not np.allclose(vectors[0], vectors[2], atol=1e-3)
    status = worker.status()
    assert status.model is not None
    assert status.memory > 50_000_000
    assert "SmolLM2" in str(status)
