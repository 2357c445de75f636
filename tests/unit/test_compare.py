"""The widget of a comparison: what its views are told, what they may ask, and what stays in the notebook."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets.comparing import page
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import EngineError, LlamaWidgetsError
from llama_widgets.widgets.messages.compare import FROM_VIEW, TO_VIEW
from llama_widgets.wire import decode
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_widgets import protocol as p

    Make = Callable[..., lw.Compare]

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "compare.json").read_text(encoding="utf-8"))
TABLES = {"from_view": FROM_VIEW, "to_view": TO_VIEW}


@pytest.mark.parametrize("way", TABLES)
def test_golden_messages_survive_the_way_in_and_out(way: str) -> None:
    for message in GOLDEN[way]:
        assert decode(message, TABLES[way]).to_dict() == message
    assert {message["type"] for message in GOLDEN[way]} == set(TABLES[way])


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Any] = []

    def build(script: Any = None, **options: Any) -> lw.Compare:  # noqa: ANN401
        worker = Worker(lambda: ScriptedEngine(script, load=[]), find=Path)
        sides = [{"temperature": 0}, {"temperature": 1}]
        made.extend([lw.Compare(sides, model="a.gguf", worker=worker, **options), worker])
        compared: lw.Compare = made[-2]
        return compared

    yield build
    for each in made:
        each.close()


def wire(compared: lw.Compare) -> list[dict[str, Any]]:
    """Return what goes to the views from now on."""
    sent: list[dict[str, Any]] = []
    compared.send = sent.append
    return sent


def last(sent: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return until(lambda: next((each for each in reversed(sent) if each["type"] == kind), None), kind)  # type: ignore[no-any-return]


def replayed(sent: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the last round as a view has it that got these messages."""
    shown: dict[str, Any] = {}
    seq = 0
    for message in sent:
        if message["type"] == "compared" and message["rounds"]:
            shown, seq = message["rounds"][-1], message["seq"]
        if message["type"] == "round":
            shown, seq = message["round"], message["seq"]
        if message["type"] == "grown":
            assert message["seq"] == seq
            seq += 1
            for piece in message["answers"]:
                shown["answers"][piece["place"]]["text"] += piece["text"]
    return shown


def test_views_get_each_word_once_and_late_ones_the_whole(make: Make) -> None:
    halts = [threading.Event(), threading.Event()]

    def script(command: p.GenerateChatCompletion) -> list[Any]:
        return ["one ", "two ", halts[round(command.options.temperature)], "three"]

    compared = make(script)
    sent = wire(compared)
    compared.handle({"type": "ask", "request_id": "q", "text": "hello"})
    until(lambda: replayed(sent).get("answers", [{}])[0].get("text") == "one two ")
    assert (last(sent, "round")["request_id"], last(sent, "round")["running"]) == ("q", "q")
    compared.handle({"type": "hello", "request_id": "h"})
    snapshot = last(sent, "compared")
    assert snapshot["rounds"][0]["answers"][0]["text"] == "one two "
    halts[0].set()
    until(lambda: replayed(sent)["answers"][1]["text"] == "one two ")
    assert replayed(sent)["answers"][0]["text"] == "one two three"
    halts[1].set()
    until(lambda: last(sent, "round")["running"] == "")
    assert [answer["text"] for answer in replayed(sent)["answers"]] == ["one two three"] * 2


def test_a_blind_round_says_nothing_of_who_is_who(make: Make) -> None:
    compared = make(blind=True)
    sent = wire(compared)
    compared.handle({"type": "ask", "request_id": "q", "text": "hello"})
    until(lambda: last(sent, "round")["running"] == "")
    shown = last(sent, "round")["round"]
    assert shown["names"] == []
    assert all(answer["usage"] is answer["timings"] is answer["seconds"] is None for answer in shown["answers"])
    assert "temperature" not in json.dumps(shown)
    assert "temperature" not in page.html(compared)
    compared.handle({"type": "judge", "request_id": "j", "round": 0, "vote": 0})
    assert last(sent, "round")["round"]["vote"] == 0
    assert set(last(sent, "round")["round"]["names"]) == {"temperature 0", "temperature 1"}
    assert last(sent, "round")["round"]["answers"][0]["usage"]["completion_tokens"] == 1
    compared.handle({"type": "judge", "request_id": "k", "round": 0, "vote": 1})
    assert "vote already" in last(sent, "error")["message"]
    compared.handle({"type": "hide_names", "request_id": "n", "blind": False})
    assert not last(sent, "blind")["blind"]
    assert not compared.blind


def test_what_a_message_is_filled_with(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_widgets.filling.user_names", lambda: {"x": 7})
    compared = make()
    sent = wire(compared)
    compared.handle({"type": "ask", "request_id": "q", "text": "times {x}"})
    until(lambda: sent and last(sent, "round")["running"] == "")
    assert compared.rounds[0].message == "times 7"
    assert last(sent, "round")["round"]["message"] == "times {x}"
    compared.handle({"type": "ask", "request_id": "r", "text": "times {y}"})
    assert "no variable 'y'" in last(sent, "error")["message"]
    assert len(compared.rounds) == 1


def test_stop_from_the_page(make: Make) -> None:
    never = threading.Event()
    compared = make(lambda _: ["begun ", never])
    sent = wire(compared)
    compared.handle({"type": "ask", "request_id": "q", "text": "hello"})
    until(lambda: compared.busy)
    compared.handle({"type": "abort", "request_id": "a", "target": "q"})
    until(lambda: last(sent, "round")["running"] == "")
    assert [answer["stop_reason"] for answer in last(sent, "round")["round"]["answers"]] == ["abort", "abort"]
    compared.handle({"type": "abort", "request_id": "b", "target": "q"})
    assert last(sent, "info")["message"] == "nothing was running"


def test_a_message_that_nobody_can_answer_is_given_back(make: Make) -> None:
    def fail(_: object) -> list[str]:
        msg = "It broke."
        raise EngineError(msg, "Ask again.")

    compared = make(fail)
    sent = wire(compared)
    compared.handle({"type": "ask", "request_id": "q", "text": "hello"})
    assert last(sent, "withdrawn")["text"] == "hello"
    assert last(sent, "error")["request_id"] == "q"
    assert compared.error["message"] == "It broke."
    assert compared.rounds == []


def test_python_and_the_page_see_the_same(make: Make) -> None:
    compared = make()
    sent = wire(compared)
    first, _ = compared.ask("hello there")
    until(lambda: last(sent, "round")["running"] == "")
    assert [answer["text"] for answer in last(sent, "round")["round"]["answers"]] == [first.text] * 2
    compared.vote("tie")
    until(lambda: last(sent, "round")["round"]["vote"] == "tie")
    assert compared.tally()[0]["ties"] == 1
    with pytest.raises(LlamaWidgetsError):
        compared.vote(7)


def test_the_page_that_stays_is_safe_and_says_all(make: Make) -> None:
    compared = make(lambda _: ["**bold** <script>x</script> ![p](http://e.org/p.png)"])
    assert "<p>" not in page.html(compared)
    compared.ask("<b>me</b>")
    compared.vote(1)
    html = page.html(compared)
    assert "<strong>bold</strong>" in html
    assert "<strong>B · temperature 1</strong> ✓ better" in html
    assert "<td>100%</td>" in html
    assert not any(bad in html for bad in ("<script", "<img", "<b>me"))
    assert "Compare" in compared._repr_mimebundle_()[0]["text/plain"]
