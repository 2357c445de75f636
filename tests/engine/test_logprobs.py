"""Log-probabilities are those of a softmax of the model's own logits, whatever the samplers do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - tests of the engine need it
import numpy as np
import pytest

from llama_widgets.engines.grammar import Grammar
from llama_widgets.engines.sampling import Sampler
from llama_widgets.errors import EngineError
from llama_widgets.options import GenerationOptions
from tests.engine.desk import LAST, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def loaded(demo_model: Path) -> Iterator[Desk]:
    desk = Desk(demo_model)
    yield desk
    desk.close()


@pytest.fixture
def desk(loaded: Desk) -> Desk:
    loaded.read("The capital of France is")
    return loaded


def log_softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Compute as the textbook has it, in the highest precision there is."""
    exact = logits.astype(np.longdouble)
    return np.asarray(exact - np.log(np.exp(exact - exact.max()).sum()) - exact.max(), np.float64)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 2.0, "seed": 1, "top_k": 0},
        {"temperature": 0.0, "logit_bias": {" Paris": -100}, "repeat_penalty": 2.0},
        {"mirostat": 2, "seed": 1},
    ],
)
@pytest.mark.parametrize("top", [0, 1, 5, 1000])
def test_they_equal_a_softmax_of_the_logits(desk: Desk, top: int, options: dict[str, Any]) -> None:
    expected = log_softmax(desk.logits)
    order = np.lexsort((np.arange(len(expected)), -expected))[:top]
    with desk.sampler(top_logprobs=top, **options) as sampler:
        before = sampler.logprobs(desk.context, LAST, 5)
        token = sampler.draw(desk.context, LAST)
        found = sampler.logprobs(desk.context, LAST, token)
    assert before is not None
    assert found is not None
    assert before["logprob"] == pytest.approx(expected[5], abs=1e-12)
    assert found["token"] == token
    assert found["text"] == desk.text([token])
    assert found["logprob"] == pytest.approx(expected[token], abs=1e-12)
    assert [entry["token"] for entry in found["top"]] == order.tolist()
    assert [entry["logprob"] for entry in found["top"]] == pytest.approx(expected[order].tolist(), abs=1e-12)
    assert before["top"] == found["top"]
    assert all(entry.keys() == {"token", "text", "logprob"} for entry in found["top"])


def test_they_are_plain_data(desk: Desk) -> None:
    with desk.sampler(top_logprobs=2) as sampler:
        found = sampler.logprobs(desk.context, LAST, desk.token(" Paris"))
    assert found is not None
    assert type(found["token"]) is int
    assert type(found["logprob"]) is float
    assert found["text"] == " Paris"
    assert type(found["top"][0]["token"]) is int
    assert type(found["top"][0]["logprob"]) is float
    assert found["top"][0]["logprob"] <= 0


def test_they_are_told_only_if_asked_for(desk: Desk) -> None:
    with desk.sampler() as sampler:
        assert sampler.logprobs(desk.context, LAST, 5) is None


def test_a_grammar_does_not_change_them(desk: Desk) -> None:
    with desk.sampler(Grammar("root ::= [0-9]+"), top_logprobs=1, temperature=0.0) as sampler:
        token = sampler.draw(desk.context, LAST)
        found = sampler.logprobs(desk.context, LAST, token)
    assert desk.text([token]).isdigit()
    assert found is not None
    assert found["top"][0]["text"] == " Paris"
    assert found["logprob"] == pytest.approx(log_softmax(desk.logits)[token], abs=1e-12)


def test_tokens_that_end_an_answer_and_parts_of_characters_have_a_text_too(desk: Desk) -> None:
    end, part = desk.token("<|im_end|>"), desk.model.tokens("😎")[0]
    with desk.sampler(top_logprobs=0) as sampler:
        texts = [(sampler.logprobs(desk.context, LAST, token) or {})["text"] for token in (end, part)]
    assert texts[0] == "<|im_end|>"
    assert "\ufffd" in texts[1]


def test_each_output_of_a_shared_batch_has_its_own(desk: Desk) -> None:
    """Several answers are evaluated in one batch: the number says whose result it is."""
    tokens = desk.model.tokens("one two three")
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    desk.rewind()
    for at, token in enumerate(tokens):
        batch.token[at], batch.pos[at], batch.logits[at] = token, len(desk.prompt) + at, True
        batch.n_seq_id[at] = 1
        batch.seq_id[at][0] = 0
    batch.n_tokens = len(tokens)
    assert llama_cpp.llama_decode(desk.context, batch) == 0
    llama_cpp.llama_batch_free(batch)
    with desk.sampler(top_logprobs=1) as sampler:
        found = [sampler.logprobs(desk.context, at, 5) for at in range(len(tokens))]
    for at, told in enumerate(found):
        pointer = llama_cpp.llama_get_logits_ith(desk.context, at)
        expected = log_softmax(np.ctypeslib.as_array(pointer, shape=(desk.model.n_vocab,)))
        assert told is not None
        assert told["logprob"] == pytest.approx(expected[5], abs=1e-12)
    assert len({told["logprob"] for told in found if told}) == len(tokens)


def test_a_result_that_is_not_there_is_an_error(desk: Desk) -> None:
    with desk.sampler(top_logprobs=1) as sampler, pytest.raises(EngineError, match="result number 400"):
        sampler.logprobs(desk.context, 400, 5)


def test_all_tokens_together_are_certain(desk: Desk) -> None:
    """More than can be asked for, to check the sum."""
    options = GenerationOptions(top_logprobs=desk.model.n_vocab + 7)
    sampler = Sampler(options, desk.model, desk.prompt)
    found = sampler.logprobs(desk.context, LAST, 5)
    sampler.close()
    assert found is not None
    assert len(found["top"]) == desk.model.n_vocab
    assert math.fsum(math.exp(entry["logprob"]) for entry in found["top"]) == pytest.approx(1, abs=1e-12)
