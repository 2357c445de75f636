"""TokenView on the real model: what was judged, taken and branched is what the model does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets.options import LoadOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def chat(worker: Worker, demo_model: Path) -> lw.Chat:
    chat = lw.Chat(demo_model, worker=worker, temperature=0, max_tokens=12)
    chat.ask("Why is the sky blue?")
    return chat


def another(token: dict[str, Any]) -> dict[str, Any]:
    """Return the likeliest alternative of a token."""
    found: dict[str, Any] = next(each for each in token["top"] if each["token"] != token["token"])
    return found


def test_a_text_is_gone_on_with_by_another_token(worker: Worker, demo_model: Path) -> None:
    view = lw.TokenView("The capital of France is Paris.", demo_model, worker=worker, temperature=0, max_tokens=8)
    view.wait()
    (line,) = view.lines
    assert line.text == "The capital of France is Paris."
    assert line.tokens[0]["logprob"] is None
    at = 5
    other = another(line.tokens[at])
    branch = view.branch(at, other["token"])
    view.wait()
    assert not view.error
    assert branch.text.startswith("The capital of France is" + other["text"])
    assert len(branch.tokens) == 1 + 8
    # Greedily: what follows was the likeliest each time.
    assert {token["rank"] for token in branch.tokens[1:]} == {1}
    again = view.branch(at + 2, another(branch.tokens[2])["token"], branch.id)
    view.wait()
    assert again.whole[: at + 2] == branch.whole[: at + 2]


def test_an_answer_is_judged_as_it_was_made(chat: lw.Chat) -> None:
    view = lw.TokenView(chat)
    known = chat.regenerate(top_logprobs=3)
    made = lw.TokenView(known)
    view.wait()
    made.wait()
    (judged,), (drawn,) = view.lines, made.lines
    assert [token["token"] for token in judged.tokens] == [token["token"] for token in drawn.tokens]
    for one, other in zip(judged.tokens, drawn.tokens, strict=True):
        assert one["logprob"] == pytest.approx(other["logprob"], abs=0.05)  # batches of other shapes round otherwise
        assert one["rank"] == other["rank"] == 1


def test_tokens_are_taken_drawn_and_taken_away(chat: lw.Chat) -> None:
    view = lw.TokenView(chat, tab="next")
    view.wait()
    step = view.stepper
    assert step.prompt == "Why is the sky blue?"
    chances = [math.exp(each["logprob"]) for each in step.likeliest]
    assert sum(chances) + sum(count * math.exp(logprob) for logprob, count in step.tail) == pytest.approx(1, abs=1e-4)
    for _ in range(4):
        view.draw(temperature=0)
    view.wait()
    assert chat.messages[-1]["content"].startswith("".join(each["text"] for each in step.taken))
    view.undo()
    view.wait()
    view.take(step.likeliest[0]["token"])
    view.wait()
    assert not view.error
    assert len(step.taken) == 4


def test_a_branch_is_stopped_and_keeps_what_it_has(worker: Worker, demo_model: Path) -> None:
    view = lw.TokenView("Once upon a time", demo_model, worker=worker, max_tokens=None)
    view.wait()
    branch = view.branch(2, another(view.lines[0].tokens[2])["token"])
    while len(branch.tokens) < 4:
        assert branch.growing
    assert view.stop()
    view.wait()
    assert not view.error
    assert not branch.growing
    assert not view.busy
    assert len(branch.tokens) >= 4


def test_a_branch_of_a_conversation_is_one_there(worker: Worker, demo_model: Path) -> None:
    chat = lw.Chat(demo_model, system="You are terse.", worker=worker, temperature=0, max_tokens=8)
    chat.ask("Why is the sky blue?")
    view = lw.TokenView(chat)
    view.wait()
    (line,) = view.lines
    first = view.branch(3, another(line.tokens[3])["token"])
    view.wait()
    assert not view.error
    assert chat.messages[-1]["content"] == first.text != line.text
    second = view.branch(5, another(first.whole[5])["token"], first.id)
    third = view.branch(2, another(line.tokens[2])["token"])  # from the answer that is not shown any more
    view.wait()
    assert not view.error
    assert second.text.startswith(first.text[:10])
    assert chat.messages[-1]["content"] == third.text
    assert chat.messages[-1]["siblings"] == [each.turn for each in view.lines]


def test_a_reply_is_read_as_its_conversation_is(worker: Worker, demo_model: Path) -> None:
    chat = lw.Chat(demo_model, system="You are terse.", worker=worker, temperature=0, max_tokens=4)
    views = [lw.TokenView(each, worker=worker, tab="template") for each in (chat.ask("Name a colour."), chat)]
    for view in views:
        view.handle({"type": "show_tab", "request_id": "r", "tab": "context"})
        view.wait()
        assert not view.error
    one, other = views
    assert one.told["template"].runs == other.told["template"].runs
    assert one.told["context"].stretches == other.told["context"].stretches


def test_a_view_tells_what_the_model_reads_and_what_it_no_longer_does(worker: Worker, demo_model: Path) -> None:
    said = [
        {"role": role, "content": f"{role} {i} says something"} for i in range(20) for role in ("user", "assistant")
    ]
    chat = lw.Chat(demo_model, system="You are terse.", messages=said, worker=worker)
    chat.load_options = LoadOptions(n_ctx=256)
    view = lw.TokenView(chat, tab="context")
    for tab in ("template", "tokenizer"):
        view.handle({"type": "show_tab", "request_id": "r", "tab": tab})
    view.wait()
    assert not view.error
    context, template, tokenized = (view.told[kind] for kind in ("context", "template", "tokenized"))
    kinds = [each["kind"] for each in context.stretches]
    assert kinds[0] == "system"
    assert {"dropped", "kept", "new"} <= set(kinds)
    assert context.size == 256
    assert sum(each["tokens"] for each in context.stretches if each["kind"] != "dropped") == template.tokens
    text = "".join(run["text"] for run in template.runs)
    assert "user 19 says something" in text
    assert "user 0 says something" not in text
    assert {run["text"] for run in template.runs if run["special"]} == {"<|im_start|>", "<|im_end|>"}
    assert {run["role"] for run in template.runs} == {"", "system", "user", "assistant"}
    assert "".join(piece["text"] for piece in tokenized.sides[0]["pieces"]) == "assistant 19 says something"
