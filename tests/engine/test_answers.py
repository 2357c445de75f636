"""What is in an answer beside its text: thoughts, calls of tools, values, log-probabilities, and how it goes on."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from llama_widgets.errors import ContextOverflowError, GrammarError, ParameterError
from llama_widgets.protocol import CompletionChunk, Info

from . import tiny
from .conftest import N_THREADS, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
)
THINKS = CHAT + "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}{% endif %}"
QUESTION = "What is the capital of France?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"enum": ["Paris", "Rome"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def thinker(demo_model: Path) -> Iterator[Bench]:
    """The demo model with a template that opens a thought."""
    bench = Bench()
    bench.load(demo_model, n_ctx=1024, n_threads=N_THREADS, chat_template=THINKS)
    yield bench
    bench.engine.close()


def segments(bench: Bench) -> list[str]:
    found = [chunk.segment for chunk in bench.chunks]
    return [segment for index, segment in enumerate(found) if index == 0 or found[index - 1] != segment]


def test_a_thought_that_the_template_opened_is_closed_when_its_budget_is_spent(thinker: Bench) -> None:
    done = thinker.chat("Count from 1 to 50.", max_tokens=60, thinking_budget=12)

    assert done.thoughts
    assert done.text
    assert "think>" not in done.thoughts
    assert 12 <= done.usage.thought_tokens <= 16  # and the tokens of the tag that closes it
    assert done.timings.thought_s is not None
    assert done.timings.thought_s > 0
    assert segments(thinker) == ["thought", "text"]


def test_a_model_that_ends_within_its_thought_is_made_to_answer(thinker: Bench) -> None:
    done = thinker.chat(QUESTION, max_tokens=60)
    assert done.thoughts == "The capital of France is Paris."
    assert done.text
    assert done.stop_reason == "eos"


def test_a_budget_of_nothing_closes_the_thought_at_once(thinker: Bench) -> None:
    done = thinker.chat(QUESTION, max_tokens=10, thinking_budget=0)
    assert not done.thoughts
    assert done.text


def test_without_thinking_the_template_closes_the_thought_itself(thinker: Bench) -> None:
    done = thinker.chat(QUESTION, max_tokens=10, thinking=False)
    assert (done.thoughts, done.usage.thought_tokens, done.timings.thought_s) == ("", 0, None)
    assert done.text


def test_a_thought_that_is_never_closed_is_all_thought(thinker: Bench) -> None:
    done = thinker.chat(QUESTION, max_tokens=10, logit_bias={"<|im_end|>": -100})
    assert done.text == ""
    assert done.thoughts
    assert done.usage.thought_tokens == done.usage.completion_tokens == 10


def test_a_schema_holds_the_answer_and_not_the_thought(thinker: Bench) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    done = thinker.chat(QUESTION, max_tokens=80, thinking_budget=10, json_schema=schema)
    assert done.thoughts
    assert json.loads(done.text) == {"city": "Paris"}
    assert done.stop_reason == "eos"


def test_a_template_that_knows_nothing_of_thinking_is_told_of(bench: Bench) -> None:
    bench.chat(QUESTION, thinking=True, max_tokens=1)
    warning = next(event for event in bench.events if isinstance(event, Info))
    assert warning.level == "warning"
    assert "no effect" in warning.message


def test_a_tool_that_is_required_is_called_with_what_its_schema_allows(bench: Bench) -> None:
    done = bench.chat_messages(
        [{"role": "user", "content": "How is the weather in Rome for 3 days?"}],
        tools=[WEATHER],
        tool_choice="required",
        max_tokens=70,  # a model of this size repeats itself: what is cut off of the last call does no harm
    )
    assert done.stop_reason == "tool_calls"
    assert len({call["id"] for call in done.tool_calls}) == len(done.tool_calls)
    call = done.tool_calls[0]
    assert call["name"] == "get_weather"
    assert call["arguments"]["city"] in ("Paris", "Rome")
    assert call["arguments"]["days"] in range(1, 10)
    assert done.text == ""


def test_the_result_of_a_tool_is_read(bench: Bench) -> None:
    call = {"id": "1", "name": "get_weather", "arguments": {"city": "Rome", "days": 1}}
    messages = [
        {"role": "user", "content": "How is the weather in Rome?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "1", "content": "raining frogs"},
    ]
    bench.chat_messages(messages, tools=[WEATHER], max_tokens=20)
    text = "".join((bench.model.pieces[token] or b"").decode("utf-8", "replace") for token in bench.tokens)
    assert "raining frogs" in text


def test_no_tool_is_called_that_was_not_to_be(bench: Bench) -> None:
    done = bench.chat_messages(
        [{"role": "user", "content": QUESTION}], tools=[WEATHER], tool_choice="none", max_tokens=10
    )
    assert done.tool_calls == []
    assert "get_weather" not in str(bench.tokens)


def test_tools_and_a_grammar_contradict_each_other(bench: Bench) -> None:
    with pytest.raises(ParameterError, match="tools"):
        bench.chat_messages(
            [{"role": "user", "content": QUESTION}], tools=[WEATHER], tool_choice="required", grammar='root ::= "a"'
        )
    bench.assert_memory_agrees()


def test_a_schema_that_nothing_fulfils_is_refused_before_anything_is_read(bench: Bench) -> None:
    with pytest.raises(GrammarError):
        bench.chat(QUESTION, json_schema={"type": "integer", "minimum": 3, "maximum": 2})
    assert bench.tokens == []


def test_log_probabilities_come_with_the_pieces_and_whole_at_the_end(bench: Bench) -> None:
    done = bench.chat(QUESTION, max_tokens=8, top_logprobs=2)
    pieces = [each for event in bench.events if isinstance(event, CompletionChunk) for each in event.logprobs]

    assert pieces == done.logprobs
    assert len(done.logprobs) == done.usage.completion_tokens
    assert "".join(each["text"] for each in done.logprobs).strip() == done.text.strip()
    for each in done.logprobs:
        assert each["top"][0]["token"] == each["token"]  # greedily
        assert each["logprob"] == each["top"][0]["logprob"] <= 0
        assert sum(math.exp(top["logprob"]) for top in each["top"]) <= 1 + 1e-6
    bench.chat(QUESTION, max_tokens=2)
    assert not bench.chunks[0].logprobs


def test_an_answer_that_was_cut_is_continued_as_if_it_had_not_been(bench: Bench) -> None:
    whole = bench.chat("Count from 1 to 20.", max_tokens=40)
    cut = bench.chat("Count from 1 to 20.", max_tokens=20)
    rest = bench.chat("Count from 1 to 20.", prefix=cut.text, max_tokens=20)

    assert cut.text + rest.text == whole.text
    assert rest.usage.evaluated_tokens < 5


def test_a_prefix_under_a_schema_is_part_of_the_value(bench: Bench) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    done = bench.chat(QUESTION, prefix='{"city": "R', json_schema=schema, max_tokens=20)
    assert json.loads('{"city": "R' + done.text) == {"city": "Rome"}
    with pytest.raises(GrammarError, match="prefix"):
        bench.chat(QUESTION, prefix="Sure: ", json_schema=schema)


def test_what_stands_between_two_texts_is_asked_with_the_models_own_marks(empty: Bench, tmp_path: Path) -> None:
    empty.load(tiny.write(tmp_path / "tiny.gguf", infill=True), n_threads=1)
    empty.complete("ab", suffix="cd", max_tokens=1)
    marks = empty.model.infill_marks
    assert marks is not None
    before, after, middle = marks
    letter = {text: ord(text) - 33 for text in "abcd"}
    assert empty.tokens[1:] == [before, letter["a"], letter["b"], after, letter["c"], letter["d"], middle]
    with pytest.raises(ContextOverflowError):
        empty.complete("ab" * 400, suffix="cd" * 400, max_tokens=1)


def test_a_model_that_cannot_fill_in_says_so(bench: Bench) -> None:
    with pytest.raises(ParameterError, match="middle") as error:
        bench.complete("def f():", suffix="return x", max_tokens=1)
    assert error.value.hint


def test_a_template_that_was_given_is_used(thinker: Bench, empty: Bench, tmp_path: Path) -> None:
    assert thinker.engine._model is not None
    assert thinker.model.template.origin == "given"
    with pytest.raises(ParameterError, match="template"):
        empty.load(tiny.write(tmp_path / "tiny.gguf"), chat_template="{% for")


def test_a_stop_string_within_a_thought_does_not_end_the_answer(thinker: Bench) -> None:
    free = thinker.chat(QUESTION, max_tokens=40, thinking_budget=12)
    word = free.thoughts.split()[0]
    done = thinker.chat(QUESTION, max_tokens=40, thinking_budget=12, stop=[word])
    assert done.thoughts == free.thoughts
