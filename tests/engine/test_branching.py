"""An answer that goes on from one of its tokens: the tokens before stay, and so does the answer, as a branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import llama_widgets as lw
from llama_widgets.errors import ParameterError
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture
def chat(demo_model: Path, worker: Worker) -> lw.Chat:
    return lw.Chat(demo_model, worker=worker, temperature=0, max_tokens=12, top_logprobs=4)


QUESTION = "Name the colours of the rainbow."


def test_another_token_makes_a_branch(chat: lw.Chat) -> None:
    reply = chat.ask(QUESTION)
    other = reply.logprobs[3]["top"][1]
    branch = chat.continue_from(3, other["token"])

    assert branch.logprobs[:3] == reply.logprobs[:3]
    assert branch.logprobs[3] == {**other, "top": reply.logprobs[3]["top"]}
    assert len(branch.logprobs) == 4 + 12
    assert branch.text == "".join(each["text"] for each in branch.logprobs)
    assert branch.text.startswith("".join(each["text"] for each in reply.logprobs[:3]) + other["text"])
    question, answer = chat.messages
    assert (question["content"], answer["content"]) == (QUESTION, branch.text)
    assert len(answer["siblings"]) == 2
    chat.switch(answer["siblings"][0])
    assert chat.messages[-1]["content"] == reply.text


def test_a_branch_branches_and_greedy_answers_come_again(chat: lw.Chat) -> None:
    reply = chat.ask(QUESTION)
    same = chat.continue_from(5, max_tokens=7)  # drawn again from there: the likeliest, as before
    assert same.text == reply.text
    assert [each["token"] for each in same.logprobs] == [each["token"] for each in reply.logprobs]
    token = same.logprobs[2]["top"][1]["token"]
    again = chat.continue_from(2, token)
    assert [each["token"] for each in again.logprobs][:3] == [*(each["token"] for each in reply.logprobs[:2]), token]
    assert len(chat.messages[-1]["siblings"]) == 3


def test_a_prefix_and_what_was_gone_on_with_stay_text(chat: lw.Chat) -> None:
    reply = chat.ask(QUESTION, response_prefix="The colours")
    branch = chat.continue_from(1, reply.logprobs[1]["top"][2]["token"], max_tokens=3)
    assert branch.text.startswith("The colours" + reply.logprobs[0]["text"])
    longer = chat.continue_(max_tokens=4)
    last = chat.continue_from(2, longer.logprobs[2]["top"][1]["token"], max_tokens=2)
    assert last.text.startswith(branch.text + longer.logprobs[0]["text"] + longer.logprobs[1]["text"])
    assert last.usage.completion_tokens == 3 + 2


def test_a_character_of_several_tokens_can_be_another_one(chat: lw.Chat) -> None:
    reply = chat.ask("Repeat: 😀😀😀😀", response_prefix="😀😀😀", max_tokens=5)
    within = next(at for at, each in enumerate(reply.logprobs) if "\ufffd" in each["text"]) + 1
    top = reply.logprobs[within]["top"]
    branch = chat.continue_from(within, top[1]["token"], max_tokens=4)
    assert [each["token"] for each in branch.logprobs[: within + 1]] == [
        *(each["token"] for each in reply.logprobs[:within]),
        top[1]["token"],
    ]
    assert branch.text.startswith("😀😀😀")


def test_it_is_made_again_as_it_was(chat: lw.Chat) -> None:
    reply = chat.ask(QUESTION, reproducible=True)
    branch = chat.continue_from(3, reply.logprobs[3]["top"][1]["token"], reproducible=True)
    again = branch.replay(worker=chat.worker)
    assert again.same
    assert [each["token"] for each in again.reply.logprobs] == [each["token"] for each in branch.logprobs]


def test_what_cannot_be_gone_on_from(chat: lw.Chat) -> None:
    with pytest.raises(ParameterError, match="not known of which tokens"):
        chat.continue_from(0)
    reply = chat.ask(QUESTION, top_logprobs=None)
    with pytest.raises(ParameterError, match="not known of which tokens") as error:
        chat.continue_from(0)
    assert "top_logprobs" in error.value.hint
    before = chat.regenerate().logprobs
    assert reply.text == "".join(each["text"] for each in before)
    for position in (-1, len(before), "a"):
        with pytest.raises(ParameterError, match="no token"):
            chat.continue_from(position)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="none of the likeliest"):
        chat.continue_from(0, 49_151)
    with pytest.raises(ParameterError, match="no turn"):
        chat.continue_from(0, turn="nobody")
    assert len(chat.messages) == 2
