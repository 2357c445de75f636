"""Tokens from Python: tokenised without weights, predicted, judged, and each of them as a table."""

from __future__ import annotations

import gc
import math
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.engines import vocabulary
from llama_widgets.errors import InvalidModelError, ModelNotFoundError, NoModelError, ParameterError
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


TEXT = "Tokenisers split “words”: 😀, 山, naïve.\n"
CHAT = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def worker(demo_model: Path) -> Iterator[Worker]:
    worker = Worker()
    options = LoadOptions(n_ctx=1024, n_threads=1, n_threads_batch=1)
    worker.run(p.LoadModel(request_id="l", model=str(demo_model), options=options))
    yield worker
    worker.close()


@pytest.fixture
def idle() -> Iterator[Worker]:
    """A worker with no model."""
    worker = Worker()
    yield worker
    worker.close()


# Tokens of a text


def test_a_text_is_tokenised_without_weights(demo_model: Path, idle: Worker) -> None:
    tokens = lw.tokenize(TEXT, demo_model, worker=idle)

    assert "".join(token.text for token in tokens) == TEXT
    assert b"".join(token.bytes for token in tokens) == TEXT.encode()
    assert [TEXT[token.start : token.end] for token in tokens] == [token.text for token in tokens]
    assert "" in [token.text for token in tokens]  # a character of several tokens comes with the last
    assert not any(token.special for token in tokens)
    assert not idle.loaded
    assert lw.detokenize(tokens.ids, demo_model, worker=idle) == tokens


def test_they_are_those_of_the_model_in_memory(worker: Worker) -> None:
    tokens = lw.tokenize(TEXT, worker=worker)
    assert len(tokens) == lw.count_tokens(TEXT, worker=worker)
    judged = lw.judge(TEXT, worker=worker)
    assert [(each.id, each.text, each.bytes) for each in judged] == [(t.id, t.text, t.bytes) for t in tokens]


def test_tokens_that_steer_the_model_are_special(demo_model: Path) -> None:
    tokens = lw.tokenize("<|im_start|>user\nHi<|im_end|>", demo_model)
    assert [token.text for token in tokens if token.special] == ["<|im_start|>", "<|im_end|>"]
    assert "".join(token.text for token in tokens) == "<|im_start|>user\nHi<|im_end|>"


def test_nobody_waits_for_an_answer(worker: Worker) -> None:
    ends: list[p.Event] = []
    command = p.GenerateCompletion(request_id="g", prompt="On and on", options=GenerationOptions(seed=1))
    worker.submit(command, ends.append)
    try:
        assert lw.tokenize("Meanwhile", worker=worker)
        assert worker.busy
    finally:
        worker.abort("g")
    lw.predict("Then", worker=worker)  # waits for it
    assert isinstance(ends[-1], p.CompletionDone)


def test_what_cannot_be_tokenised(demo_model: Path, idle: Worker, tmp_path: Path) -> None:
    with pytest.raises(NoModelError):
        lw.tokenize("a", worker=idle)
    with pytest.raises(ModelNotFoundError):
        lw.tokenize("a", tmp_path / "none.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"not a model")
    with pytest.raises(InvalidModelError):
        lw.tokenize("a", tmp_path / "bad.gguf")
    with pytest.raises(ParameterError, match="must be text"):
        lw.tokenize(5, demo_model)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="no token 999999"):
        lw.detokenize([999_999], demo_model)
    with pytest.raises(ParameterError, match="whole number"):
        lw.detokenize(["a"], demo_model)  # type: ignore[list-item]
    assert lw.tokenize("", demo_model) == []
    assert lw.tokenize("\ud83d", demo_model)[-1].text == "\ufffd"  # half a character


VOCABULARIES = Path(__file__).resolve().parents[2] / ".cache" / "vocabularies"


@pytest.mark.parametrize(("name", "start"), [("llama-spm", 0), ("qwen2", 0), ("bert-bge", None)])
def test_two_tokenisers_side_by_side(demo_model: Path, name: str, start: int | None) -> None:
    if not VOCABULARIES.is_dir():
        pytest.skip("`python3 -m tests engine` fetches the vocabularies from the source of llama-cpp-python")
    other = lw.tokenize("Hello world", VOCABULARIES / f"ggml-vocab-{name}.gguf")  # which has no weights
    assert other[0].start == start
    if start is not None:  # one of them puts a space in front
        assert ["Hello world"[token.start : token.end] for token in other] == ["Hello", " world"]
    assert other.ids != lw.tokenize("Hello world", demo_model).ids


def test_a_few_vocabularies_are_kept(demo_model: Path) -> None:
    first = vocabulary.vocabulary(demo_model)
    assert vocabulary.vocabulary(demo_model) is first
    others = [vocabulary.vocabulary(demo_model, f"{{{{ messages[0].content }}}}{number}") for number in range(9)]
    assert first.tokens("still there") == others[0].tokens("still there")  # nobody loses what he uses
    gone = [weakref.ref(other) for other in others]
    del first, others
    gc.collect()
    assert sum(each() is not None for each in gone) == 4


# What may come next


def test_what_comes_next_as_python_has_it(worker: Worker) -> None:
    found = lw.predict("The capital of France is", worker=worker, top=5, temperature=2, seed=1, top_k=3)

    assert [each.rank for each in found.candidates] == [1, 2, 3, 4, 5]
    assert found.candidates[0].text == " Paris"
    assert [each.cut_by for each in found.candidates[3:]] == ["top_k", "top_k"]
    assert found.stages[0].name == "top_k"
    assert found.chosen.id in [each.id for each in found.candidates[:3]]
    assert found.n_vocab == 49_152
    table = found.to_dataframe()
    assert list(table.columns) == ["id", "text", "logprob", "p", "p_after", "rank", "cut_by"]
    assert np.allclose(np.exp(table["logprob"]), table["p"])


def test_what_comes_next_in_a_conversation(worker: Worker, demo_model: Path) -> None:
    chat = lw.Chat(demo_model, messages=CHAT, worker=worker, temperature=0, json_schema={"type": "object"})
    found = lw.predict(chat, prefix="The capital of France is")
    same = lw.predict(CHAT, prefix="The capital of France is", worker=worker, temperature=0)
    assert found == same
    assert found.candidates[0].text == " Paris"
    assert found.stages[0].kept == 1
    ids = lw.tokenize("The capital of France is", demo_model).ids
    assert lw.predict(chat, prefix=ids) == found
    chat.messages = [*CHAT, {"role": "assistant", "content": "It was said already."}]
    assert lw.predict(chat, prefix=ids) == found


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (5, {}, "text or a list"),
        ([], {}, "text or a list"),
        ("a", {"warmth": 1}, "warmth"),
        ("a", {"temperature": -1}, "temperature"),
        ("a", {"top": 0}, "top"),
        ("a", {"prefix": ["x"]}, "response_tokens"),
        ("a", {"grammar": "root ::= [a]"}, "grammar"),
    ],
    ids=str,
)
def test_what_is_not_predicted(worker: Worker, source: object, options: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words) as error:
        lw.predict(source, worker=worker, **options)  # type: ignore[arg-type]
    assert error.value.hint


# How likely a text is


def test_a_judgement_is_a_list_and_a_table(worker: Worker) -> None:
    found = lw.judge("The capital of France is Paris", worker=worker, top=2)

    assert found[-1].text == " Paris"
    assert found[-1].rank == 1
    assert found[-1].p == pytest.approx(math.exp(found[-1].logprob or 0))
    assert 2 ** -(found[-1].surprise or 0) == pytest.approx(found[-1].p)
    assert found[-1].top[0] == {"id": found[-1].id, "text": " Paris", "logprob": pytest.approx(found[-1].logprob)}
    assert (found[0].p, found[0].surprise, found[0].top) == (None, None, [])
    assert found.perplexity == pytest.approx(math.exp(-found.logprob / (len(found) - 1)))
    assert lw.judge("The", worker=worker).perplexity is None
    table = found.to_dataframe("polars")
    assert table.columns == ["id", "text", "logprob", "p", "rank", "surprise"]
    assert table["rank"].null_count() == 1


def test_an_answer_is_judged_after_messages_or_a_beginning(worker: Worker) -> None:
    right, wrong = (lw.judge((CHAT, f"The capital of France is {city}."), worker=worker) for city in ("Paris", "Oslo"))
    assert right.logprob > wrong.logprob
    ids = [each.id for each in right]
    assert lw.judge((CHAT, ids), worker=worker) == right
    assert [each.text for each in lw.judge(("One, two,", " three"), worker=worker)] == [" three"]


def test_a_reply_is_judged_as_it_was_made(worker: Worker, demo_model: Path) -> None:
    chat = lw.Chat(demo_model, worker=worker, temperature=0, max_tokens=6, tools=[len], tool_choice="none")
    kept = chat.ask("Count to ten.", response_prefix="One", top_logprobs=1)
    judged = lw.judge(kept, worker=worker)
    assert "".join(each.text for each in judged) == kept.text
    assert [each.id for each in judged[1:]] == [each["token"] for each in kept.logprobs]
    assert [each.logprob for each in judged[1:]] == pytest.approx([e["logprob"] for e in kept.logprobs], abs=0.5)
    other = chat.regenerate(response_prefix="One", top_logprobs=None)
    assert other.text == kept.text
    assert lw.judge(other, worker=worker) == judged
    completed = lw.complete("one, two,", worker=worker, max_tokens=2, temperature=0, top_logprobs=0)
    assert [each.rank for each in lw.judge(completed, worker=worker)] == [1, 1]
    with pytest.raises(ParameterError, match="not known what this reply answers"):
        lw.judge(lw.Reply(text="a", stop_reason="eos"), worker=worker)


def test_tools_are_told_of(worker: Worker, demo_model: Path) -> None:
    def weather(city: str) -> str:
        """Tell the weather in a city."""
        return city

    chat = lw.Chat(demo_model, messages=CHAT, worker=worker, tools=[weather])
    rendered = lw.render(chat)
    assert "Tell the weather" in rendered.text
    assert lw.predict(chat).n_tokens == len(rendered.tokens)
    assert lw.judge(chat.ask("Hi", max_tokens=1, tool_choice="none"), worker=worker)
    chat.configure(tool_choice="none")
    assert "weather" not in lw.render(chat).text


@pytest.mark.parametrize("source", ["", 5, (CHAT, ""), (5, "a"), ("a", 5), ("a", ["x"])], ids=str)
def test_what_is_not_judged(worker: Worker, source: object) -> None:
    with pytest.raises(ParameterError) as error:
        lw.judge(source, worker=worker)  # type: ignore[arg-type]
    assert error.value.hint


def test_it_can_be_stopped_and_the_worker_goes_on(worker: Worker) -> None:
    ends: list[p.Event] = []

    def stop(event: p.Event) -> None:
        ends.append(event)
        if isinstance(event, p.Progress):
            worker.abort("j")

    worker.submit(p.Judge(request_id="j", text="On and on it goes. " * 100), stop)
    lw.predict("Then", worker=worker)
    done = ends[-1]
    assert isinstance(done, p.JudgeDone)
    assert done.cancelled
    assert 0 < len(done.tokens) < 300
    assert [type(event) for event in ends].count(p.JudgeDone) == 1


# What a model is told

TALK = [
    {"role": "system", "content": "Be terse."},
    {"role": "user", "content": "Why is the sky blue? 😀"},
    {"role": "assistant", "content": "Rayleigh."},
    {"role": "user", "content": "  And red?  "},
]


def shown(rendered: lw.Rendered) -> list[tuple[str, str, str]]:
    return [(span.role, span.state, rendered.text[span.start : span.end]) for span in rendered.spans]


def test_messages_are_rendered_as_the_model_is_told_them(demo_model: Path, worker: Worker) -> None:
    rendered = lw.render(TALK, demo_model, worker=worker)

    assert shown(rendered) == [
        ("system", "system", "<|im_start|>system\nBe terse.<|im_end|>\n"),
        ("user", "kept", "<|im_start|>user\nWhy is the sky blue? 😀<|im_end|>\n"),
        ("assistant", "kept", "<|im_start|>assistant\nRayleigh.<|im_end|>\n"),
        ("user", "new", "<|im_start|>user\n  And red?  <|im_end|>\n"),
        ("template", "template", "<|im_start|>assistant\n"),
    ]
    contents = [rendered.text[span.content_start : span.content_end] for span in rendered.spans]
    assert contents == [*(message["content"] for message in TALK), ""]
    assert [span.message for span in rendered.spans] == [0, 1, 2, 3, None]
    assert [rendered.tokens_of(span)[0].text for span in rendered.spans] == ["<|im_start|>"] * 5
    assert sum(span.tokens for span in rendered.spans) == len(rendered.tokens)
    assert rendered.tokens == lw.tokenize(rendered.text, demo_model)
    asked = worker.run(p.Predict(request_id="p", messages=TALK))
    assert isinstance(asked, p.PredictDone)
    assert asked.n_tokens == len(rendered.tokens)
    assert (rendered.n_ctx, rendered.free) == (1024, 1024 - asked.n_tokens)


def test_what_the_template_says_by_itself_is_nobodys(demo_model: Path, idle: Worker) -> None:
    first, *others = shown(lw.render(TALK[1:2], demo_model, worker=idle))
    assert first[:2] == ("template", "template")
    assert "SmolLM" in first[2]
    assert [role for role, _, _ in others] == ["user", "template"]
    assert not idle.loaded


def test_the_context_of_a_conversation(demo_model: Path, worker: Worker) -> None:
    said = [{"role": role, "content": f"{role} {index} " * 12} for index in range(4) for role in ("user", "assistant")]
    messages = [*said, {"role": "user", "content": "And now?"}]
    chat = lw.Chat(demo_model, system="Be terse.", messages=messages, worker=worker, temperature=0, max_tokens=4)
    rendered = lw.render(chat, n_ctx=256)

    states = [span.state for span in rendered.spans]
    assert states[0] == "system"
    assert states == sorted(states, key=["system", "dropped", "kept", "new", "template"].index)
    assert 0 < rendered.dropped < 8
    ids = [turn["id"] for turn in chat.messages]
    assert [span.turn for span in rendered.spans] == ["", *ids, ""]
    assert all(span.tokens > 0 for span in rendered.spans)
    assert all(span.start == span.end for span in rendered.spans if span.state == "dropped")
    assert sum(span.tokens for span in rendered.spans if span.state != "dropped") == len(rendered.tokens)

    reply = chat.regenerate()
    whole = lw.render(chat)
    assert whole.dropped == 0
    assert shown(whole)[-1] == ("assistant", "new", f"<|im_start|>assistant\n{reply.text}")
    assert whole.spans[-1].turn == chat.messages[-1]["id"]
    assert len(whole.tokens) >= reply.usage.prompt_tokens + reply.usage.completion_tokens - 1
    assert whole.n_ctx == 1024


def test_what_is_rendered_is_a_table(demo_model: Path) -> None:
    rendered = lw.render(TALK, demo_model)
    table = rendered.to_dataframe()
    assert "".join(table["text"]) == rendered.text
    assert table.query("role == 'user' and message == 3 and not special")["text"].sum() == "user\n  And red?  \n"
    assert rendered.spans.to_dataframe("polars")["tokens"].sum() == len(table)


@pytest.mark.parametrize("source", ["a text", [], [{"role": "nobody", "content": "a"}], 5], ids=str)
def test_what_cannot_be_rendered(demo_model: Path, source: object) -> None:
    with pytest.raises(ParameterError) as error:
        lw.render(source, demo_model)  # type: ignore[arg-type]
    assert error.value.hint


def test_a_tokeniser_that_adds_spaces_and_a_beginning(demo_model: Path) -> None:
    if not VOCABULARIES.is_dir():
        pytest.skip("`python3 -m tests engine` fetches the vocabularies from the source of llama-cpp-python")
    rendered = lw.render(TALK[:2], VOCABULARIES / "ggml-vocab-llama-spm.gguf")
    assert (rendered.tokens[0].text, rendered.tokens[0].start, rendered.tokens[0].end) == ("<s>", 0, 0)
    texts = [rendered.text[token.start : token.end] for token in rendered.tokens]
    assert "".join(texts) == rendered.text
    assert sum(span.tokens for span in rendered.spans) == len(rendered.tokens)
    assert lw.render(TALK[:2], demo_model).text != rendered.text
