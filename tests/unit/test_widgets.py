"""Widgets without a front end: their traits say what is so, whoever looks on and whatever threads do."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets import execution
from llama_widgets import protocol as p
from llama_widgets import worker as workers
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.library import downloads
from llama_widgets.library.local import Model
from llama_widgets.widgets.base import Coalesced
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 20


@pytest.fixture
def make() -> Iterator[Callable[..., lw.ChatPanel]]:
    made: list[Any] = []

    def build(script: Any = None, *, load: Any = (), find: Any = Path, **arguments: Any) -> lw.ChatPanel:  # noqa: ANN401
        worker = Worker(lambda: ScriptedEngine(script, load=load), find=find)
        panel = lw.ChatPanel(arguments.pop("model", "a.gguf"), worker=worker, **arguments)
        made.extend((panel, worker))
        return panel

    yield build
    for each in made:
        each.close()


def selector_of(panel: lw.ChatPanel) -> lw.ModelSelector:
    assert panel.selector is not None
    return panel.selector


def test_an_action_never_runs_twice_at_once_and_always_after_the_last_call() -> None:
    entered, gate = threading.Event(), threading.Event()
    value, seen = 0, []

    def action() -> None:
        seen.append(value)
        entered.set()
        assert gate.wait(WAIT_S)

    run = Coalesced(action)
    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(WAIT_S)
    for value in (1, 2):  # noqa: B007 - read by the action
        run()  # returns, although the action still runs
    assert seen == [0]
    gate.set()
    thread.join(WAIT_S)
    assert seen == [0, 2]
    run()
    assert seen == [0, 2, 2]


def test_an_action_that_fails_can_run_again() -> None:
    seen: list[int] = []

    def action() -> None:
        seen.append(1)
        if len(seen) == 1:
            raise KeyboardInterrupt

    run = Coalesced(action)
    with pytest.raises(KeyboardInterrupt):
        run()
    run()
    assert len(seen) == 2


def test_a_slow_observer_does_not_bring_an_old_state_back(make: Callable[..., lw.ChatPanel]) -> None:
    never, loading, ended = threading.Event(), threading.Event(), threading.Event()
    panel = make(load=["1", never])

    def note(change: Any) -> None:  # noqa: ANN401 - a traitlets Bunch
        if change.new is not None:
            loading.set()
        elif threading.current_thread() is threading.main_thread():
            assert ended.wait(WAIT_S)  # the answer ends while stop() is about to show that it is stopping

    panel.observe(note, "progress")
    answer = panel.submit("x")
    answer.future.add_done_callback(lambda _: ended.set())
    assert loading.wait(WAIT_S)
    assert panel.stop()
    assert answer.wait().stop_reason == "abort"
    assert (panel.state, panel.running) == ("ready", "")
    assert panel.progress is None


@pytest.mark.parametrize("failure", [RuntimeError, SystemExit])
def test_observers_that_fail_stop_nothing(
    make: Callable[..., lw.ChatPanel], caplog: pytest.LogCaptureFixture, failure: type[BaseException]
) -> None:
    panel = make(load=["1"])

    def fail(_: object) -> None:
        msg = "the observer's own"
        raise failure(msg)

    panel.observe(fail, ["messages", "state", "running", "loaded", "progress", "error"])
    assert panel.ask("hello world").text == "world hello "
    assert (panel.state, panel.running, len(panel.messages)) == ("ready", "", 2)
    assert "the observer's own" in caplog.text


def test_an_observer_may_ask_when_an_answer_has_settled(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make()
    second = threading.Event()

    def go_on(change: Any) -> None:  # noqa: ANN401 - a traitlets Bunch
        if change.new == "ready" and len(panel.messages) == 2:
            panel.submit("b a").future.add_done_callback(lambda _: second.set())

    panel.observe(go_on, "state")
    panel.ask("d c")
    assert second.wait(WAIT_S)
    assert [message["content"] for message in panel.messages] == ["d c", "c d ", "b a", "a b "]


def test_tokens_do_not_look_for_the_model_each_time(make: Callable[..., lw.ChatPanel]) -> None:
    looked: list[str] = []

    def find(name: str) -> Path:
        looked.append(name)
        return Path("a.gguf")

    panel = make(lambda _: ["x"] * 500, find=find)
    panel.ask("as a.gguf")
    panel.model = "the same by another name"
    looked.clear()
    assert panel.ask("x").usage.completion_tokens == 500
    assert 0 < len(looked) < 50


def test_a_stop_that_comes_late_does_not_mark_the_next_answer(make: Callable[..., lw.ChatPanel]) -> None:
    gate = threading.Event()
    panel = make(lambda command: [gate] if len(command.messages) == 1 else ["a", gate])
    first = panel.submit("x")
    stop = panel._chat.stop

    def stop_and_ask_again() -> bool:
        stopped = stop()
        first.wait()
        gate.clear()
        panel.submit("y")
        return stopped

    panel._chat.stop = stop_and_ask_again  # type: ignore[method-assign] # another thread is that quick
    assert panel.stop()
    assert panel.state != "stopping"
    gate.set()
    stop()


@pytest.mark.parametrize("given", [Path("b.gguf"), "b.gguf"])
def test_a_model_is_named_by_assignment_as_it_is_in_the_constructor(
    make: Callable[..., lw.ChatPanel], given: object
) -> None:
    panel = make(model=None)
    assert panel.state == "idle"
    panel.model = given
    selector = selector_of(panel)
    assert (panel.model, selector.value, panel.state) == ("b.gguf", "b.gguf", "ready")
    selector.value = Model(model="c.gguf", name="", quantisation="", size=0, path="", source="folder")
    assert selector.value == "c.gguf"
    for widget, trait in ((panel, "model"), (selector, "value")):
        with pytest.raises(lw.errors.ParameterError, match="path or a reference"):
            setattr(widget, trait, 7)
    panel.model = None
    assert panel.state == "idle"


def test_traits_are_what_the_next_question_is_asked_with(make: Callable[..., lw.ChatPanel]) -> None:
    asked: list[p.Generate] = []

    def script(command: p.Generate) -> list[str]:
        asked.append(command)
        return ["x"]

    panel = make(script, max_tokens=5, stop_strings=["a"])
    panel.seed = 7
    panel.ask("x")
    assert (asked[0].options.max_tokens, asked[0].options.stop, asked[0].options.seed) == (5, ["a"], 7)
    panel.max_tokens = panel.seed = None
    panel.stop_strings = []
    panel.ask("x")
    assert (asked[1].options.max_tokens, asked[1].options.stop, panel.seed) == (None, [], None)
    assert asked[1].options.seed not in (None, asked[0].options.seed)  # drawn for this answer


def test_what_is_closed_is_not_watched_any_more() -> None:
    worker = Worker(ScriptedEngine, find=Path)
    before = len(downloads.shared()._listeners)
    for _ in range(5):
        lw.ChatPanel("a.gguf", worker=worker).close()
        lw.ModelSelector(worker=worker).close()
        lw.DownloadProgress().close()
    assert len(worker._resident.watchers) == 0
    assert len(downloads.shared()._listeners) == before
    worker.close()


def test_what_is_closed_is_freed() -> None:
    worker = Worker(ScriptedEngine, find=Path)
    panels = [lw.ChatPanel("a.gguf", worker=worker) for _ in range(20)]
    for panel in panels:
        panel.ask("b a")
        panel.close()
    left = [weakref.ref(panel) for panel in panels]
    panels.clear()
    del panel

    def freed() -> bool:
        gc.collect()
        return sum(ref() is not None for ref in left) <= 2  # a thread may hold what it worked for last

    until(freed, "the memory of closed panels")
    worker.close()


def test_what_a_user_types_can_travel(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make(model="half \ud83d.gguf", messages=[{"role": "user", "content": "half \ud83d"}])
    selector_of(panel).handle({"type": "load_model", "request_id": "l", "model": "other \ud83d half"})
    panel.ask("and \udc00 half")
    for widget in (panel, selector_of(panel)):
        state = {name: getattr(widget, name) for name in widget.keys if name not in ("selector", "layout")}
        json.dumps(state, ensure_ascii=False, default=str).encode()
    assert panel.model == "other \ufffd half"
    assert panel._chat.model == panel.model


def test_a_closed_panel_hears_the_end_of_its_answer(make: Callable[..., lw.ChatPanel]) -> None:
    chunk = threading.Event()
    panel = make(lambda _: ["a", threading.Event()])
    panel._chat.watch(lambda change: chunk.set() if isinstance(change, p.CompletionChunk) else None)
    answer = panel.submit("x")
    assert chunk.wait(WAIT_S)
    panel.close()
    assert answer.wait().stop_reason == "abort"
    assert [message["content"] for message in panel.messages] == ["x", "a"]
    assert (panel.state, panel.running) == ("ready", "")


def test_widgets_follow_the_shared_worker_to_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers._shared, "_held", Worker(ScriptedEngine, find=Path))
    monkeypatch.setattr(execution, "_llama_engine", ScriptedEngine)
    monkeypatch.setattr(workers, "_find", Path)
    panel = lw.ChatPanel("a.gguf")
    states: list[str] = []
    panel.observe(lambda change: states.append(change.new), "state")
    workers.shared().close()
    selector_of(panel).load()
    panel.ask("x")
    assert "loading" in states
    assert (panel.loaded or {}).get("path") == selector_of(panel).loaded == "a.gguf"
    workers.shared().close()
    assert selector_of(panel).loaded == ""
    panel.close()


def test_of_a_long_conversation_a_view_gets_the_end_first_and_the_rest_when_it_asks(
    make: Callable[..., lw.ChatPanel], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [{"role": ("user", "assistant")[i % 2], "content": str(i)} for i in range(200)]
    panel = make(messages=said)
    sent: list[Any] = []
    monkeypatch.setattr(panel, "publish", sent.append)
    panel.handle({"type": "hello", "request_id": "h"})
    snapshot = sent.pop()
    assert snapshot.earlier + len(snapshot.turns) == len(said)
    assert [turn["content"] for turn in snapshot.turns] == [str(i) for i in range(snapshot.earlier, 200)]

    panel.handle({"type": "earlier", "request_id": "e", "turn": snapshot.turns[0]["id"]})
    assert (sent[0].request_id, sent[0].turns + snapshot.turns) == ("e", panel.messages)
    panel.handle({"type": "earlier", "request_id": "f", "turn": "one that was deleted"})
    assert (sent[1].request_id, sent[1].turns) == ("f", None)
    assert panel.error is None  # type: ignore[unreachable,unused-ignore]
