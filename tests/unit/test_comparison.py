"""One message to several sides, with a scripted engine: who answers, votes, blind rounds, and that nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import (
    BusyError,
    ConversationError,
    EngineError,
    LlamaWidgetsError,
    ModelNotFoundError,
    NoModelError,
    ParameterError,
)
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_widgets.comparing.comparison import Happened

    Make = Callable[..., lw.Comparison]

WAIT_S = 20
TWO = ({"temperature": 0}, {"temperature": 1})


def warmth(command: p.GenerateChatCompletion) -> list[str]:
    return ["said ", f"at {command.options.temperature:g}"]


@pytest.fixture
def engines() -> list[ScriptedEngine]:
    return []


@pytest.fixture
def worker(engines: list[ScriptedEngine]) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def build(script: Any = warmth, find: Any = Path) -> Worker:  # noqa: ANN401
        engine = ScriptedEngine(script, load=["50"])
        engines.append(engine)
        workers.append(Worker(lambda: engine, find=find))
        return workers[-1]

    yield build
    for each in workers:
        each.close()


@pytest.fixture
def make(worker: Callable[..., Worker]) -> Make:
    def build(sides: Any = TWO, script: Any = warmth, **options: Any) -> lw.Comparison:  # noqa: ANN401
        options.setdefault("worker", worker(script))
        return lw.Comparison(sides, **{"model": "a.gguf", **options})

    return build


def test_one_message_to_two_settings(make: Make) -> None:
    duel = make()
    cold, warm = duel.ask("hello")
    assert (cold.text, warm.text) == ("said at 0", "said at 1")
    assert [side.name for side in duel.sides] == ["temperature 0", "temperature 1"]
    assert duel.names() == ["temperature 0", "temperature 1"]
    assert [entry.said.state for entry in duel.rounds[0].entries] == ["done", "done"]
    assert not duel.busy


@pytest.mark.parametrize(
    ("sides", "names"),
    [
        (["/m/a-Q4_1.gguf", "hf:u/r"], ["a · Q4_1", "hf:u/r"]),
        ({"one": "a.gguf", "other": {"temperature": 1}}, ["one", "other"]),
        ([{"name": "terse", "system": "Be terse."}, {}], ["terse", "default settings"]),
        ([{"system": "Be terse."}, {"system": "Be\nkind."}], ["system Be terse.", "system Be kind."]),
        ([{"temperature": 1.5, "seed": 3}, {}], ["temperature 1.5, seed 3", "temperature 0.8"]),
        (["a.gguf", "a.gguf"], ["a (1)", "a (2)"]),
    ],
    ids=str,
)
def test_names_say_what_differs(make: Make, sides: Any, names: list[str]) -> None:  # noqa: ANN401
    assert [side.name for side in make(sides).sides] == names


def test_conversations_that_are_there_go_on_and_others_begin_anew(make: Make, worker: Callable[..., Worker]) -> None:
    seen: list[list[dict[str, Any]]] = []

    def script(command: p.GenerateChatCompletion) -> list[str]:
        seen.append(command.messages)
        return ["ok"]

    shared = worker(script)
    chat = lw.Chat("a.gguf", worker=shared)
    duel = make([chat, {"system": "Be terse."}], worker=shared)
    duel.ask("one")
    duel.ask("two")
    assert [len(messages) for messages in seen] == [1, 2, 3, 2]
    assert [message["content"] for message in chat.messages] == ["one", "ok", "two", "ok"]
    seen.clear()
    duel = make(worker=shared, follow=True)
    duel.ask("one")
    duel.ask("two")
    assert [len(messages) for messages in seen] == [1, 1, 3, 3]


def test_sides_of_one_model_answer_together_and_each_model_is_loaded_once(
    make: Make, engines: list[ScriptedEngine]
) -> None:
    go = threading.Event()
    duel = make(["a.gguf", "b.gguf", {"model": "a.gguf", "temperature": 1}], lambda _: [go, "x"])
    asked = duel.submit("hello")
    for _ in range(3_000):
        if engines[0].calls.count("generate_chat_completion") == 2:
            break
        threading.Event().wait(0.01)
    go.set()
    asked.future.result(WAIT_S)
    assert engines[0].calls == [
        "load a.gguf",
        "generate_chat_completion",
        "generate_chat_completion",
        "load b.gguf",
        "generate_chat_completion",
    ]
    engines[0].calls.clear()
    duel.ask("again")  # the model in memory first
    assert [call for call in engines[0].calls if call.startswith("load")] == ["load a.gguf"]


def test_votes_and_how_the_sides_stand(make: Make) -> None:
    duel = make()
    for vote in (0, "A", "tie", 1):
        duel.ask("hello")
        duel.vote(vote)
    duel.ask("not judged")
    assert duel.tally() == [
        {"side": "temperature 0", "wins": 2, "ties": 1, "losses": 1, "rate": 0.625},
        {"side": "temperature 1", "wins": 1, "ties": 1, "losses": 2, "rate": 0.375},
    ]
    duel.vote(1, 0)
    assert duel.tally()[1]["wins"] == 2


@pytest.mark.parametrize("vote", [2, -1, True, "both", "C", "", None, 1.5, [1]], ids=str)
def test_what_is_no_vote(make: Make, vote: Any) -> None:  # noqa: ANN401
    duel = make()
    with pytest.raises(ParameterError, match="no round"):
        duel.vote(0)
    duel.ask("hello")
    with pytest.raises(ParameterError, match="no answer"):
        duel.vote(vote)
    assert duel.rounds[0].vote is None


def test_a_blind_round_hides_who_is_who_until_there_is_a_vote(make: Make) -> None:
    duel = make(blind=True, seed=1)
    orders = set()
    for number in range(8):
        replies = duel.ask("hello")
        order = duel.rounds[number].order
        orders.add(tuple(order))
        assert [reply.text for reply in replies] == [f"said at {side}" for side in order]
        assert duel.names() == ["A", "B"]
        hidden = duel.to_dataframe()[-2:]
        assert hidden["side"].isna().all()
        assert hidden["settings"].isna().all()
        assert hidden["seconds"].isna().all()  # how fast a side is tells a lot
        duel.vote(0)
        assert duel.names()[0] == duel.sides[order[0]].name
        with pytest.raises(ParameterError, match="vote already"):
            duel.vote(1)
    assert orders == {(0, 1), (1, 0)}
    again = make(blind=True, seed=1)
    for number in range(3):
        again.ask("hello")
        assert again.rounds[number].order == duel.rounds[number].order


def test_a_blind_conversation_keeps_the_places(make: Make) -> None:
    duel = make(blind=True, seed=2, follow=True)
    for _ in range(6):
        duel.ask("hello")
    assert len({tuple(asked.order) for asked in duel.rounds}) == 1


def test_the_table_has_a_row_for_each_answer(make: Make) -> None:
    duel = make(max_tokens=7)
    duel.ask("one")
    duel.vote(1)
    duel.ask("two")
    table = duel.to_dataframe()
    assert table[["round", "message", "place", "text"]].to_numpy().tolist() == [
        [0, "one", "A", "said at 0"],
        [0, "one", "B", "said at 1"],
        [1, "two", "A", "said at 0"],
        [1, "two", "B", "said at 1"],
    ]
    assert table["won"].tolist()[:2] == [0.0, 1.0]
    assert table.groupby("side")["won"].mean().to_dict() == {"temperature 0": 0.0, "temperature 1": 1.0}
    assert json.loads(table["settings"][0]) == {"max_tokens": 7, "temperature": 0.0}
    assert table["completion_tokens"].tolist() == [2] * 4
    assert duel.to_dataframe("polars").columns == list(table.columns)


def test_what_is_saved_is_read_again(make: Make, tmp_path: Path) -> None:
    duel = make([*TWO, {"name": "terse", "system": "Be terse."}], blind=True, seed=3)
    for vote in (2, "tie"):
        duel.ask("hello")
        duel.vote(vote)
    path = tmp_path / "duel.json"
    duel.save(path)
    again = lw.Comparison.load(path, worker=duel._given_worker)
    assert again.to_dict() == duel.to_dict()
    assert (again.tally(), again.sides) == (duel.tally(), duel.sides)
    again.ask("more")
    assert len(again.rounds) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "llama-widgets-comparison"}',
        '{"format": "llama-widgets-comparison", "version": 1, "sides": [], "rounds": []}',
        '{"format": "llama-widgets-comparison", "version": 99}',
    ],
)
def test_what_is_no_comparison(tmp_path: Path, text: str) -> None:
    path = tmp_path / "duel.json"
    path.write_text(text)
    with pytest.raises(ConversationError, match="no comparison"):
        lw.Comparison.load(path)
    with pytest.raises(ConversationError, match="cannot be read"):
        lw.Comparison.load(tmp_path / "not there.json")


@pytest.mark.parametrize(
    "changes",
    [{"order": [0, 0]}, {"vote": 2}, {"answers": []}, {"answers": [{"state": "dancing"}, {}]}, {"order": "01"}],
    ids=str,
)
def test_a_round_that_was_damaged_is_refused(make: Make, tmp_path: Path, changes: dict[str, Any]) -> None:
    duel = make()
    duel.ask("hello")
    data = duel.to_dict()
    data["rounds"][0] = {**data["rounds"][0], **changes}
    path = tmp_path / "duel.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ConversationError, match="no comparison"):
        lw.Comparison.load(path)


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ([], "2 to 4 sides"),
        (["a.gguf"], "2 to 4 sides"),
        (["a.gguf"] * 5, "2 to 4 sides"),
        ("a.gguf", "a list"),
        (5, "a list"),
        ([5, "a.gguf"], "must be a path"),
        ([{"warmth": 1}, {}], "warmth"),
        ([{"temperature": -1}, {}], "temperature"),
        ([{"name": 3}, {}], "name of a side"),
        ({1: "a.gguf", 2: "b.gguf"}, "name of a side"),
    ],
    ids=str,
)
def test_what_cannot_be_compared(make: Make, sides: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(ParameterError, match=words) as error:
        make(sides)
    assert error.value.hint


@pytest.mark.parametrize("seed", ["1", 1.5, True])
def test_what_is_no_seed(make: Make, seed: Any) -> None:  # noqa: ANN401
    with pytest.raises(ParameterError, match="seed"):
        make(seed=seed)


def test_a_conversation_is_one_side_only(make: Make) -> None:
    chat = lw.Chat("a.gguf")
    with pytest.raises(ParameterError, match="twice"):
        make([chat, chat])


def test_what_cannot_be_asked(make: Make, worker: Callable[..., Worker]) -> None:
    with pytest.raises(NoModelError, match="has no model"):
        make(model=None).ask("hello")
    for text in ("", "  ", 5):
        with pytest.raises(ParameterError):
            make().ask(text)

    go = threading.Event()
    shared = worker(lambda _: [go, "x"])
    chat = lw.Chat("a.gguf", worker=shared)
    duel = make([chat, {}], worker=shared)
    answer = chat.submit("its own")
    with pytest.raises(BusyError, match="still answering"):
        duel.ask("hello")
    assert duel.rounds == []
    go.set()
    answer.future.result(WAIT_S)
    go.clear()
    asked = duel.submit("hello")
    with pytest.raises(BusyError, match="still being answered"):
        duel.submit("more")
    with pytest.raises(BusyError, match="still being made"):
        duel.vote(0)
    go.set()
    asked.future.result(WAIT_S)


def test_stop_ends_all_and_keeps_what_was_said(make: Make) -> None:
    never = threading.Event()
    duel = make(script=lambda _: ["begun ", never, "x"])
    begun = threading.Event()
    duel.watch(lambda happened: begun.set() if happened.kind == "grown" and happened.round.entries[0].pieces else None)
    asked = duel.submit("hello")
    assert begun.wait(WAIT_S)
    assert duel.stop()
    asked.future.result(WAIT_S)
    assert [entry.said.stop_reason for entry in asked.entries] == ["abort", "abort"]
    assert asked.entries[0].said.text == "begun "
    assert not duel.stop()
    duel.vote(0)


def test_one_side_that_fails_does_not_keep_the_others(make: Make, worker: Callable[..., Worker]) -> None:
    def find(model: str) -> Path:
        if model == "b.gguf":
            msg = "There is no file b.gguf."
            raise ModelNotFoundError(msg, "Download it.")
        return Path(model)

    duel = make(["a.gguf", "b.gguf"], worker=worker(find=find))
    with pytest.raises(ModelNotFoundError, match=r"b: There is no file b\.gguf\. Download it\."):
        duel.ask("hello")
    (asked,) = duel.rounds
    assert [entry.said.text for entry in asked.entries] == ["said at 0.8", ""]
    assert asked.entries[1].said.error == "There is no file b.gguf. Download it."
    assert duel.to_dataframe("polars")["error"].to_list() == [None, "There is no file b.gguf. Download it."]


def test_a_round_in_which_nobody_said_anything_is_none(make: Make) -> None:
    def fail(_: p.GenerateChatCompletion) -> list[str]:
        msg = "It broke."
        raise EngineError(msg, "Ask again.")

    duel = make(script=fail)
    happened: list[str] = []
    duel.watch(lambda what: happened.append(what.kind))
    with pytest.raises(LlamaWidgetsError, match="It broke"):
        duel.ask("hello")
    assert duel.rounds == []
    assert happened[0] == "begun"
    assert happened[-1] == "withdrawn"


def test_panels_are_compared_as_they_are(make: Make, worker: Callable[..., Worker]) -> None:
    shared = worker()
    panels = [lw.ChatPanel("a.gguf", worker=shared, temperature=each) for each in (0, 1)]
    panels[1].name = "warm"
    duel = make(panels, worker=shared)
    assert [reply.text for reply in duel.ask("hello")] == ["said at 0", "said at 1"]
    assert [panel.messages[-1]["content"] for panel in panels] == ["said at 0", "said at 1"]
    assert [side.settings for side in duel.sides] == [{"temperature": 0.0}, {"temperature": 1.0}]
    assert duel.names() == ["temperature 0", "warm"]
    for panel in panels:
        panel.close()


def test_awaiting_and_giving_up(make: Make) -> None:
    assert [reply.text for reply in asyncio.run(make().ask_async("hello"))] == ["said at 0", "said at 1"]
    never = threading.Event()
    duel = make(script=lambda _: [never])

    async def give_up() -> None:
        await asyncio.wait_for(duel.ask_async("hello"), 0.05)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(give_up())
    duel.rounds[0].future.result(WAIT_S)
    assert [entry.said.stop_reason for entry in duel.rounds[0].entries] == ["abort", "abort"]


def test_interrupting_a_blocking_ask_keeps_what_was_said(make: Make) -> None:
    duel = make(script=lambda _: ["begun ", threading.Event()])

    def interrupt(happened: Happened) -> None:
        if happened.round.entries[0].pieces and not happened.round.stopped:
            os.kill(os.getpid(), signal.SIGINT)

    duel.watch(interrupt)
    with pytest.raises(KeyboardInterrupt):
        duel.ask("hello")
    assert not duel.busy
    assert duel.rounds[0].entries[0].said.text == "begun "
    assert [entry.said.stop_reason for entry in duel.rounds[0].entries] == ["abort", "abort"]


def test_half_a_character_does_not_stand_in_the_way(make: Make, tmp_path: Path) -> None:
    duel = make({"\ud83d": {"temperature": 0}, "b": {"temperature": 1}})
    duel.ask("half \ud83d")
    duel.save(tmp_path / "duel.json")
    assert json.loads((tmp_path / "duel.json").read_text())["rounds"][0]["message"] == "half \ufffd"
    assert duel.sides[0].name == "\ufffd"


def test_waiting_within_a_callback_is_refused(make: Make) -> None:
    duel = make()
    refused: list[Exception] = []

    def ask_again(happened: Happened) -> None:
        if happened.kind == "grown" and not refused:
            try:
                duel.ask("more")
            except BusyError as error:
                refused.append(error)

    duel.watch(ask_again)
    duel.ask("hello")
    assert "callback" in str(refused[0])
