"""What replies say of how they were made, and the Python that makes them again."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets.chat.recipe import code
from llama_widgets.engines.scripted import ScriptedEngine, ToolCalls
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(ScriptedEngine, find=Path)
    yield worker
    worker.close()


def weather(town: str) -> str:
    """Say how the weather is."""
    return f"Sun in {town}."


def made(**facts: Any) -> dict[str, Any]:  # noqa: ANN401
    question = {"role": "user", "content": "Why?"}
    return {"model": "m.gguf", "parameters": {"seed": 1}, "messages": [question], **facts}


def test_a_short_question_is_short_code() -> None:
    first = "import llama_widgets as lw\n\n"
    rest = 'chat = lw.Chat("m.gguf", seed=1, reproducible=True)\nreply = chat.ask("Why?")\nreply\n'
    assert code(made(parameters={"seed": 1, "reproducible": True})) == first + rest
    warned = "# The reply was not made with reproducible=True: this one may have other words.\n"
    assert code(made()) == first + warned + rest


def test_all_that_matters_is_in_the_code() -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    call = {"id": "c", "name": "weather", "arguments": {"town": "Ulm"}}
    messages = [
        {"role": "system", "content": "You are\nterse."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": 'It\'s "hi".'},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "Sun.", "name": "weather", "tool_call_id": "c"},
    ]
    parameters = {"seed": 1, "json_schema": {"type": "object"}, "tools": [tool], "tool_choice": "none"}
    lines = code(made(messages=messages, parameters=parameters, load={"n_ctx": 512}))
    calls = {
        ast.unparse(node.func): {word.arg: ast.unparse(word.value) for word in node.keywords}
        for node in ast.walk(ast.parse(lines))
        if isinstance(node, ast.Call)
    }
    assert calls["lw.Chat"] == {
        "system": repr("You are\nterse."),
        "messages": repr(messages[1:3]),
        "seed": "1",
        "json_schema": "{'type': 'object'}",
        "reproducible": "True",
        "tools": "[weather]",
    }
    assert calls["chat.load"] == {"n_ctx": "512"}
    assert "chat.ask('Weather?')" in lines.replace('"', "'")


@pytest.mark.parametrize(
    "text", ["", "'", '"', "\"'", '"""\n', "\\\n", 'a\n"', "a\r\nb", "a\n\tb", "\0\n", "\x85\n\u2028", "é\n例", "{x}\n"]
)
def test_each_text_is_written_as_it_is(text: str) -> None:
    lines = code(made(messages=[{"role": "user", "content": text}]))
    (ask,) = [n for n in ast.walk(ast.parse(lines)) if isinstance(n, ast.Call) and ast.unparse(n.func) == "chat.ask"]
    assert ast.literal_eval(ask.args[0]) == text


def test_a_reply_that_knows_nothing_says_so() -> None:
    reply = lw.Reply(text="x", stop_reason="eos")
    assert reply.made == {}
    for ask in (reply.replay, reply.to_code):
        with pytest.raises(lw.errors.ParameterError, match="does not say how it was made"):
            ask()


def test_an_answer_with_tools_is_replayed_without_calling_them() -> None:
    called: list[str] = []

    def script(command: Any) -> list[Any]:  # noqa: ANN401
        if command.messages[-1]["role"] == "tool":
            return [command.messages[-1]["content"]]
        return [ToolCalls([{"name": "weather", "arguments": {"town": "Ulm"}}])]

    tools = Worker(lambda: ScriptedEngine(script=script), find=Path)

    def noted(town: str) -> str:
        """Say how the weather is."""
        called.append(town)
        return weather(town)

    chat = lw.Chat("m.gguf", worker=tools, tools=[lw.Tool.of(noted, name="weather")])
    reply = chat.ask("Weather in Ulm?")
    assert reply.text == "Sun in Ulm."
    assert reply.replay(worker=tools).same
    assert chat.reply().replay(worker=tools).same
    assert called == ["Ulm"]
    assert "tools=[weather]" in reply.to_code()
    tools.close()


def test_views_do_not_get_it_and_exports_do(worker: Worker) -> None:
    chat = lw.Chat("m.gguf", worker=worker, system="S")
    chat.ask("one")
    assert "made" not in chat.messages[-1]
    kept = chat.to_dict()["messages"][-1]["made"]
    assert kept["model"] == "m.gguf"
    assert "system" not in kept
    assert "messages" not in kept


@pytest.mark.parametrize(
    "wrong", [5, [], {}, {"model": 5}, {"model": None, "parameters": []}, {"parameters": {"seed": "x"}, "system": 3}]
)
def test_what_was_kept_may_be_anything(worker: Worker, wrong: Any) -> None:  # noqa: ANN401
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two", "stop_reason": "eos", "made": wrong},
    ]
    chat = lw.Chat.from_json({"messages": messages}, "m.gguf", worker=worker)
    chat.to_json()
    reply = chat.reply()
    assert reply.text == "two"
    if not isinstance(wrong, dict) or wrong.get("parameters"):
        with pytest.raises(lw.errors.LlamaWidgetsError):
            reply.replay(worker=worker)


def test_there_may_be_no_answer(worker: Worker) -> None:
    chat = lw.Chat("m.gguf", worker=worker)
    with pytest.raises(lw.errors.ParameterError, match="no answer yet"):
        chat.reply()
    chat.ask("one")
    with pytest.raises(lw.errors.ParameterError, match="has the id 'x'"):
        chat.reply("x")
    assert chat.reply(chat.messages[-1]["id"]).text == "one "
