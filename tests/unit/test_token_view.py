"""TokenView without a page: its messages, what it tells a view that comes late, what it refuses."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import EngineError
from llama_widgets.tokens.stepping import tail
from llama_widgets.widgets import coloured
from llama_widgets.widgets.messages.tokens import FROM_VIEW, TO_VIEW
from llama_widgets.wire import decode
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "tokens.json").read_text(encoding="utf-8"))
TABLES = {"from_view": FROM_VIEW, "to_view": TO_VIEW}


@pytest.mark.parametrize(
    ("way", "message"),
    [pytest.param(way, each, id=f"{each['type']}-{each['request_id']}") for way in TABLES for each in GOLDEN[way]],
)
def test_golden_message_survives_the_way_in_and_out(way: str, message: dict[str, Any]) -> None:
    assert decode(message, TABLES[way]).to_dict() == message


@pytest.mark.parametrize("way", TABLES)
def test_each_declared_type_has_a_golden_message(way: str) -> None:
    assert {message["type"] for message in GOLDEN[way]} == set(TABLES[way])


OTHER: dict[str, Any] = {"token": 7, "text": "other", "logprob": -1.0}


class Engine(ScriptedEngine):
    """Fails where a text says so."""

    def judge(self, command: p.Judge, *others: Any) -> p.JudgeDone:  # noqa: ANN401 - as the seam has it
        if "fail" in command.text:
            raise EngineError("The engine failed.", "Ask again.")
        done = super().judge(command, *others)
        return replace(done, tokens=[{**each, "top": [*each["top"], OTHER]} for each in done.tokens])

    def submit(self, command: p.Generate, *others: Any) -> None:  # noqa: ANN401 - as the seam has it
        if "fail" in command.options.stop:
            raise EngineError("The engine failed.", "Ask again.")
        super().submit(command, *others)

    def predict(self, command: p.Predict, *others: Any) -> p.PredictDone:  # noqa: ANN401 - as the seam has it
        """End with the second token."""
        return replace(super().predict(command, *others), ended=len(command.response_tokens) == 2)


@pytest.fixture
def make() -> Iterator[Callable[..., lw.TokenView]]:
    made: list[Any] = []

    def build(source: object, script: Any = None, **arguments: Any) -> lw.TokenView:  # noqa: ANN401
        worker = Worker(lambda: Engine(script), find=Path)
        view = lw.TokenView(source, "a.gguf", worker=worker, **arguments)
        made.extend((view, worker))
        view.wait()
        return view

    yield build
    for each in made:
        each.close()


def flushed(view: lw.TokenView) -> None:
    """Send what is there."""
    assert view._publisher is not None
    view._publisher.flush()


def told(view: lw.TokenView, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the list to which all messages are added from now on."""
    sent: list[dict[str, Any]] = []
    flushed(view)
    monkeypatch.setattr(view, "send", lambda content, _buffers=None: sent.append(content))
    return sent


def test_a_text_is_read_when_the_view_is_made(make: Callable[..., lw.TokenView]) -> None:
    view = make("one two three")
    (line,) = view.lines
    assert (line.title, line.text, line.growing) == ("Text", "onetwothree", False)
    assert view.to_dataframe()["text"].tolist() == ["one", "two", "three"]
    assert view.to_dataframe()["surprise"].tolist() == [0, 0, 0]
    assert not view.error
    assert (view.busy, view.asked) == ([], "a")


def test_a_view_that_comes_late_is_told_everything(
    make: Callable[..., lw.TokenView], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make("one two", tab="next")
    sent = told(view, monkeypatch)
    view.handle({"type": "hello", "request_id": "h"})
    assert [message["type"] for message in sent if "type" in message] == ["steps"]
    assert sent[0]["texts"] == ["two"]
    assert (sent[0]["temperature"], sent[0]["top_k"]) == (0.8, 40)
    for request in ("show_tab", "show_tab", "hello"):
        tab = {"tab": "probabilities"} if request == "show_tab" else {}
        view.handle({"type": request, "request_id": "r", **tab})
        view.wait()
    flushed(view)
    assert [message["type"] for message in sent if "type" in message][1:] == ["line", "line", "steps"]


def test_what_fails_is_told_and_the_rest_goes_on(
    make: Callable[..., lw.TokenView], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[lw.TokenView, dict[str, Any]]] = []
    monkeypatch.setattr(lw.TokenView, "send", lambda view, content, _buffers=None: sent.append((view, content)))
    view = make("this will fail")
    flushed(view)
    # One of an earlier test may send its last just now.
    assert [each["growing"] for whose, each in sent if whose is view and each.get("type") == "line"] == [False]
    assert view.error == {"code": "engine", "message": "The engine failed.", "hint": "Ask again."}
    assert (view.busy, view.lines[0].growing) == ([], False)
    view.begin("another text")
    view.wait()
    assert not view.error


def test_a_branch_that_came_to_nothing_is_gone(
    make: Callable[..., lw.TokenView], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make("one two", stop=["fail"])
    sent = told(view, monkeypatch)
    branch = view.branch(1, OTHER["token"])
    view.wait()
    flushed(view)
    assert view.error is not None
    assert [line.title for line in view.lines] == ["Text"]
    told_of = [each["type"] for each in sent if each.get("request_id") == branch.id]
    assert told_of == ["line", "line_gone"]


def test_a_branch_that_grows_keeps_no_vocabulary_waiting(make: Callable[..., lw.TokenView]) -> None:
    gate = threading.Event()
    view = make("one two", lambda _: [gate])
    branch = view.branch(1, OTHER["token"])
    view.tokenize("three four")
    while "tokenizer" in view.busy:
        assert branch.growing
    assert view.told["tokenized"].text == "three four"
    assert view.busy == ["probabilities"]
    gate.set()
    view.wait()
    assert not branch.growing
    assert not view.error


def test_steps_are_taken_and_taken_away(make: Callable[..., lw.TokenView], monkeypatch: pytest.MonkeyPatch) -> None:
    view = make("one two", tab="next")
    sent = told(view, monkeypatch)
    for message in (
        {"type": "take", "token": 0},
        {"type": "draw", "temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0},
        {"type": "untake"},
        {"type": "predict", "text": "three four"},
    ):
        view.handle({**message, "request_id": "r"})
    view.wait()
    flushed(view)
    steps = [message for message in sent if message.get("type") == "steps"]
    assert [[each["text"] for each in message["taken"]] for message in steps] == [["two"], ["two", "two"], ["two"], []]
    assert steps[-1]["prompt"] == "three four"


def test_nothing_comes_after_the_end_until_it_is_taken_away(make: Callable[..., lw.TokenView]) -> None:
    view = make("one two", tab="next")
    for _ in range(3):
        view.take(0)
    view.wait()
    assert view.error is not None
    assert "has ended here" in view.error["message"]
    assert len(view.stepper.taken) == 2
    assert view.told["steps"].ended
    assert "The model ends here" in view.as_html()
    view.undo()
    view.draw(temperature=0)
    view.wait()
    assert not view.error
    assert len(view.stepper.taken) == 2


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "take", "token": 99}, "99 is not among"),
        ({"type": "predict", "text": ""}, "nothing to go on from"),
        ({"type": "branch", "line": "", "position": 7, "token": 1}, "no token 7"),
        ({"type": "branch", "line": "", "position": 0, "token": 1}, "no alternative"),
        ({"type": "branch", "line": "gone", "position": 0, "token": 1}, "no answer 'gone'"),
        ({"type": "show_tab", "tab": "colours"}, "'tab'"),
        ({"type": "draw", "temperature": -1, "top_k": 0, "top_p": 1, "min_p": 0}, "temperature"),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_and_changes_nothing(
    make: Callable[..., lw.TokenView], message: dict[str, Any], words: str
) -> None:
    view = make("one two", tab="next")
    view.handle({"type": "show_tab", "request_id": "r", "tab": "probabilities"})
    view.wait()
    view.handle({**message, "request_id": "r"})
    view.wait()
    assert view.error is not None
    assert words in view.error["message"]
    assert len(view.lines) == 1


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (3, {}, "not of int"),
        ("a", {"warmth": 1}, "warmth"),
        ("a", {"temperature": -1}, "temperature"),
        ([{"role": "nobody"}], {}, "role"),
    ],
    ids=str,
)
def test_what_no_view_is_made_of(source: object, options: dict[str, Any], words: str) -> None:
    with pytest.raises(lw.errors.ParameterError, match=words):
        lw.TokenView(source, "a.gguf", **options)


def test_a_notebook_keeps_the_tokens_for_those_without_us(make: Callable[..., lw.TokenView]) -> None:
    view = make("<b> two")
    assert view._repr_mimebundle_()[0]["text/plain"] == "Text: <b>two"  # it waits for the tokens
    kept = view.as_html()
    assert "&lt;b&gt;" in kept
    assert "<b> two" not in kept
    assert 'title="100.0%, rank 1"' in kept


def test_a_notebook_keeps_what_a_tab_shows() -> None:
    made = {each["type"]: decode(each, TO_VIEW) for each in GOLDEN["to_view"]}
    html = coloured.page([], {kind: made[kind] for kind in ("steps", "tokenized", "template", "context")})
    for words in ("The capital of France is", "Paris", "60.7%", "a: 1 token", "&lt;|im_start|&gt;", "left out", "210"):
        assert words in html
    assert "<|im_start|>" not in html


def test_the_tail_keeps_what_it_stands_for() -> None:
    import numpy as np

    known = np.sort(np.log(np.random.default_rng(1).dirichlet(np.full(5000, 0.2))))[::-1]
    pairs = np.array(tail(known.tolist()))
    assert pairs[:, 1].sum() == len(known)
    for temperature in (0.5, 1, 2):
        exact = np.exp(known / temperature).sum()
        assert (pairs[:, 1] * np.exp(pairs[:, 0] / temperature)).sum() == pytest.approx(exact, rel=2e-3)
    assert tail([]) == []
