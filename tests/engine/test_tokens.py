"""What may come next, and how likely each token of a text is: held to softmaxes and samplers that are made here."""

# ruff: noqa: ANN401 - fields and options of every type pass through

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - tests of the engine need it
import numpy as np
import pytest

from llama_widgets.engines import judging
from llama_widgets.engines.sampling import Sampler
from llama_widgets.errors import ContextOverflowError, GrammarError, InsufficientMemoryError, ParameterError
from llama_widgets.options import GenerationOptions
from llama_widgets.protocol import GenerateChatCompletion, Judge, JudgeDone, Predict, PredictDone, Progress

from . import tiny
from .conftest import completion

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Bench

PROMPT = "My favourite thing in the world is"
ALL = 10**6
WIDE: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
CHAT = [{"role": "user", "content": "What is the capital of France?"}]


def predict(bench: Bench, top: int = ALL, **fields: Any) -> PredictDone:
    """Ask what comes next; what is no field of the command is an option."""
    own = {name: fields.pop(name) for name in tuple(fields) if name in Predict.__dataclass_fields__}
    own = {"prompt": "" if "messages" in own else PROMPT, **own}
    options = GenerationOptions(**{"seed": 1, **fields})
    return bench.engine.predict(Predict(request_id="p", top=top, options=options, **own), bench.cancel)


def judge(bench: Bench, text: str = "", **fields: Any) -> JudgeDone:
    return bench.engine.judge(Judge(request_id="j", text=text, **fields), bench.events.append, bench.cancel)


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """As the textbook has it, in the highest precision there is."""
    exact = np.exp(logits.astype(np.longdouble) - logits.max())
    return np.asarray(exact / exact.sum(), np.float64)


def logits_after(bench: Bench, tokens: list[int]) -> np.ndarray[Any, Any]:
    """Evaluate ``tokens`` at once in a context that nothing of ours has made, and return the logits after each."""
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = 512, 1, 1
    context = llama_cpp.llama_init_from_model(bench.model.handle, params)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    for at, token in enumerate(tokens):
        batch.token[at], batch.pos[at], batch.logits[at], batch.n_seq_id[at] = token, at, True, 1
        batch.seq_id[at][0] = 0
    batch.n_tokens = len(tokens)
    try:
        assert llama_cpp.llama_decode(context, batch) == 0
        found = llama_cpp.llama_get_logits(context)
        return np.array(np.ctypeslib.as_array(found, shape=(len(tokens), bench.model.n_vocab)))
    finally:
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)


# What may come next


def test_what_comes_next_is_a_softmax_of_the_logits(bench: Bench) -> None:
    done = predict(bench, **WIDE)
    tokens = bench.model.tokens(PROMPT)
    expected = softmax(logits_after(bench, tokens)[-1])
    found = np.zeros(bench.model.n_vocab)
    found[[each["token"] for each in done.candidates]] = [each["p"] for each in done.candidates]

    assert (done.n_tokens, done.n_vocab, done.cancelled) == (len(tokens), len(expected), False)
    assert np.abs(found - expected).max() < 1e-4
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert [each["rank"] for each in done.candidates] == list(range(1, done.n_vocab + 1))
    assert all(each["p"] == pytest.approx(np.exp(each["logprob"]), abs=1e-12) for each in done.candidates[:50])
    assert [each["p_after"] for each in done.candidates] == pytest.approx([each["p"] for each in done.candidates])
    assert not any(each["cut_by"] for each in done.candidates)
    assert predict(bench, top=3, **WIDE).candidates == done.candidates[:3]


def test_what_ends_an_answer_is_told(bench: Bench) -> None:
    (end,) = bench.model.tokens("<|im_end|>")
    assert predict(bench, response_tokens=[end], top=1).ended
    assert not predict(bench, response_tokens=bench.model.tokens(" the"), top=1).ended


def by_hand(p: np.ndarray[Any, Any], temperature: float, top_k: int, top_p: float, min_p: float) -> dict[str, Any]:
    """Cut sorted probabilities down as the papers have it, in llama.cpp's order: top-k, top-p, min-p, temperature."""
    cut_by = np.full(len(p), "", object)
    kept = np.arange(len(p)) < (top_k or len(p))
    cut_by[~kept] = "top_k"
    reached = np.cumsum(np.where(kept, p, 0) / p[kept].sum())
    new = kept & (np.concatenate([[0], reached[:-1]]) < top_p)
    cut_by[kept & ~new] = "top_p"
    kept, new = new, new & (p >= min_p * p[0])
    cut_by[kept & ~new] = "min_p"
    after = np.where(new, p, 0) ** (1 / temperature)
    return {"cut_by": cut_by.astype(str), "p_after": after / after.sum()}


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05},
        {"temperature": 1.5, "top_k": 0, "top_p": 0.9, "min_p": 0.0},
        {"temperature": 0.3, "top_k": 7, "top_p": 1.0, "min_p": 0.0},
        {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "min_p": 0.1},
        {"temperature": 1.0, "top_k": 1, "top_p": 0.5, "min_p": 0.5},
    ],
    ids=str,
)
def test_what_the_samplers_leave_is_what_the_papers_say(bench: Bench, options: dict[str, Any]) -> None:
    done = predict(bench, **options)
    expected = by_hand(np.array([each["p"] for each in done.candidates]), **options)

    # llama.cpp adds up in single precision: of tokens that are next to nothing, one more or less may reach top_p.
    found = np.array([each["p_after"] for each in done.candidates])
    same = np.array([each["cut_by"] for each in done.candidates]) == expected["cut_by"]
    assert sum(each["p"] for each, agreed in zip(done.candidates, same, strict=True) if not agreed) < 1e-4
    assert np.abs(found - expected["p_after"])[same].max() < 1e-4
    assert [stage["name"] for stage in done.stages] == [
        name for name, off in (("top_k", 0), ("top_p", 1.0), ("min_p", 0.0)) if options[name] != off
    ] + ["temperature"]
    left = [each for each in done.candidates if not each["cut_by"]]
    assert done.stages[-1] == {
        "name": "temperature", "kept": len(left), "p": pytest.approx(sum(each["p"] for each in left))
    }  # fmt: skip
    assert done.chosen["token"] in {each["token"] for each in left}


def test_it_is_what_the_sampler_draws(bench: Bench) -> None:
    """Drawn often enough, each token comes as often as it is said to."""
    options: dict[str, Any] = {"temperature": 1.2, "top_k": 20, "top_p": 0.9, "min_p": 0.02}
    said = {each["token"]: each["p_after"] for each in predict(bench, top=50, **options).candidates}
    assert bench.engine.scheduler is not None
    tokens = bench.model.tokens(PROMPT)
    index = bench.engine.scheduler.read(tokens, bench.cancel)
    assert index is not None
    sampler = Sampler(GenerationOptions(**options, seed=1), bench.model, tokens)
    drawn = Counter(sampler.draw(bench.context.handle, index) for _ in range(1000))
    sampler.close()
    for token, probability in said.items():
        assert abs(drawn[token] / 1000 - probability) <= 4 * (probability / 1000) ** 0.5


def test_temperature_zero_leaves_the_likeliest(bench: Bench) -> None:
    done = predict(bench, top=2, temperature=0.0, top_k=3)
    assert done.stages == [{"name": "temperature", "kept": 1, "p": done.candidates[0]["p"]}]
    assert [each["p_after"] for each in done.candidates] == [1, 0]
    assert [each["cut_by"] for each in done.candidates] == ["", "temperature"]
    assert done.chosen["token"] == done.candidates[0]["token"]
    assert done.chosen["text"] == bench.complete(PROMPT, max_tokens=1).text


def test_a_bias_and_a_penalty_act_before_the_rest(bench: Bench) -> None:
    first = predict(bench, top=1, **WIDE).candidates[0]
    done = predict(bench, top=1, **WIDE | {"logit_bias": {first["text"]: -100}, "repeat_penalty": 1.5})
    assert [stage["name"] for stage in done.stages] == ["logit_bias", "penalties", "temperature"]
    assert done.candidates[0] == {**first, "p_after": 0.0, "cut_by": "logit_bias"}


def test_what_comes_next_in_an_answer(bench: Bench) -> None:
    plain = predict(bench, messages=CHAT, response_prefix="The capital of France is", top=1)
    assert plain.candidates[0]["text"] == " Paris"
    tokens = bench.model.tokens("The capital of France is")
    exact = predict(bench, messages=CHAT, response_tokens=tokens, top=1)
    assert exact == plain  # the model writes it with the tokens that the text has
    assert exact.candidates[0]["text"] == bench.chat(CHAT[0]["content"], prefix="The capital of France is").text[:6]


def test_the_memory_of_others_stays(bench: Bench) -> None:
    bench.complete(PROMPT, max_tokens=8, conversation="c")
    before = bench.tokens
    predict(bench, prompt="Something else entirely, and long enough", conversation="d")
    judge(bench, "Something that is judged.")
    assert before in [sequence.tokens for sequence in bench.engine.scheduler.cache.sequences]  # type: ignore[union-attr]
    bench.assert_memory_agrees()


def test_what_cannot_be_predicted(bench: Bench) -> None:
    with pytest.raises(ParameterError, match="prompt is empty"):
        predict(bench, prompt="")
    with pytest.raises(ParameterError, match="no token 49152"):
        predict(bench, response_tokens=[49152])
    with pytest.raises(ParameterError, match="grammar"):
        predict(bench, grammar='root ::= "a"')
    with pytest.raises(ContextOverflowError):
        predict(bench, prompt="word " * 9000)


def test_a_stop_tells_nothing_and_spoils_nothing(bench: Bench) -> None:
    bench.cancel.request()
    assert predict(bench, prompt="long " * 500) == PredictDone(request_id="p", cancelled=True)
    assert judge(bench, "long " * 500).tokens[1:] == []
    bench.fresh()
    assert predict(bench, prompt="The capital of France is", top=1).candidates[0]["text"] == " Paris"


# How likely a text is


def test_a_text_is_judged_by_a_softmax_of_the_logits(bench: Bench) -> None:
    text = "The sky is blue because of 😀 scattering, she said. Über alles, 山 and so on."
    done = judge(bench, text, top=3)
    tokens = bench.model.tokens(text)
    expected = [softmax(row) for row in logits_after(bench, tokens)]

    assert [each["token"] for each in done.tokens] == tokens
    assert (done.n_before, done.n_vocab) == (0, bench.model.n_vocab)
    first, *others = done.tokens
    assert (first["text"], first["logprob"], first["rank"], first["top"]) == ("The", None, None, [])
    for each, likely in zip(others, expected, strict=False):
        assert np.exp(each["logprob"]) == pytest.approx(likely[each["token"]], abs=1e-4)
        assert each["rank"] == 1 + np.count_nonzero(likely > likely[each["token"]])
        assert [np.exp(other["logprob"]) for other in each["top"]] == pytest.approx(np.sort(likely)[:-4:-1], abs=1e-4)
    assert "".join(each["text"] for each in done.tokens) == text
    assert bytes(byte for each in done.tokens for byte in each["bytes"]) == text.encode()
    assert sum(each["text"] == "" for each in done.tokens) > 0  # a character of several tokens comes with the last


def test_slices_do_not_show(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "One two three four five six seven eight nine ten. " * 4
    whole = judge(bench, text, top=0)
    again = judge(bench, text, top=0)
    monkeypatch.setattr(judging, "SLICE", 16)
    sliced = judge(bench, text, top=0)

    assert again == whole
    assert len(whole.tokens) > 2 * 16
    # Rounding depends on the shape of a batch.
    assert [each["logprob"] or 0 for each in sliced.tokens] == pytest.approx(
        [each["logprob"] or 0 for each in whole.tokens], abs=0.5
    )
    done = [event.done for event in bench.events if isinstance(event, Progress)]
    assert done[-1] == len(whole.tokens) - 1


def test_an_answer_is_judged_after_its_question(bench: Bench) -> None:
    drawn = bench.chat(CHAT[0]["content"], top_logprobs=1, max_tokens=7)
    done = judge(bench, drawn.text, messages=CHAT, top=1)

    assert done.n_before == drawn.usage.prompt_tokens
    for each, other in zip(done.tokens, drawn.logprobs, strict=True):
        assert (each["token"], each["text"]) == (other["token"], other["text"])
        assert each["logprob"] == pytest.approx(other["logprob"], abs=0.5)  # batches of other shapes
    exact = judge(bench, messages=CHAT, tokens=[each["token"] for each in drawn.logprobs], top=1)
    assert exact == done


def test_a_text_is_judged_after_another(bench: Bench) -> None:
    done = judge(bench, " Paris", prompt="The capital of France is", top=0)
    assert [each["text"] for each in done.tokens] == [" Paris"]
    assert done.tokens[0]["rank"] == 1
    alone = judge(bench, "The capital of France is Paris", top=0)
    assert alone.tokens[-1]["logprob"] == pytest.approx(done.tokens[0]["logprob"], abs=0.5)


def test_what_cannot_be_judged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match="nothing to judge"):
        judge(bench)
    with pytest.raises(ParameterError, match="no token -1"):
        judge(bench, tokens=[-1])
    with pytest.raises(ContextOverflowError):
        judge(bench, "word " * 9000)
    monkeypatch.setattr("llama_widgets.engines.system.free_memory", lambda: 1)
    with pytest.raises(InsufficientMemoryError, match="To judge"):
        judge(bench, "A text.")


@pytest.mark.parametrize("arch", ["llama", "gemma2", "mamba", "lfm2"])
def test_every_kind_of_memory(empty: Bench, tmp_path: Path, arch: str) -> None:
    """With a sliding window and with a running state too, both say the same, and in front is what begins a text."""
    empty.load(tiny.write(tmp_path / "tiny.gguf", arch), n_ctx=512)
    text = "The quick brown fox jumps over the lazy dog, and again. " * 3
    done = judge(empty, text, top=0)
    assert (done.n_before, len(done.tokens)) == (1, len(text))
    assert done.tokens[0]["logprob"] is not None
    for length in (1, 70, len(text) - 1, 70):
        said = {each["token"]: each["p"] for each in predict(empty, prompt=text[:length]).candidates}
        token = done.tokens[length]
        assert np.exp(token["logprob"]) == pytest.approx(said[token["token"]], rel=0.02)
    empty.assert_memory_agrees()
    empty.cancel.request()
    assert predict(empty, prompt=text).cancelled
    empty.assert_memory_agrees()


# Answers that begin with given tokens


def test_an_answer_goes_on_from_tokens(bench: Bench) -> None:
    drawn = bench.complete("😀" * 4, max_tokens=9, top_logprobs=0)
    tokens = [each["token"] for each in drawn.logprobs]
    for position in (1, 4, 6):  # within a character too
        command = completion("😀" * 4, max_tokens=9 - position)
        again = bench.run(type(command)(**{**vars(command), "response_tokens": tokens[:position]}))
        assert again.text == drawn.text
        assert again.usage.completion_tokens == drawn.usage.completion_tokens
        assert again.usage.prompt_tokens == drawn.usage.prompt_tokens


def test_given_tokens_follow_the_prefix_and_the_grammar(bench: Bench) -> None:
    def ask(tokens: str) -> Any:
        options = GenerationOptions(grammar='root ::= "a b c" [0-9]', temperature=0.0)
        given = bench.model.tokens(tokens)
        return bench.run(
            GenerateChatCompletion(
                request_id="r", messages=CHAT, options=options, response_prefix="a", response_tokens=given
            )
        )

    done = ask(" b")
    assert done.text.startswith(" b c")
    assert done.text[4:].isdigit()
    with pytest.raises(GrammarError):
        ask(" c")


def test_given_tokens_must_be_tokens(bench: Bench) -> None:
    command = completion(PROMPT)
    for wrong in (-1, bench.model.n_vocab):
        with pytest.raises(ParameterError, match="no token"):
            bench.run(type(command)(**{**vars(command), "response_tokens": [wrong]}))
