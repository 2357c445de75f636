"""The worker with a scripted engine: order, aborts, and exactly one end per request."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import BusyError, EngineError, ModelNotFoundError
from llama_widgets.options import LoadOptions
from llama_widgets.resident import ModelState
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

WAIT_S = 20
ENDS = (p.CompletionDone, p.ModelLoaded, p.DownloadDone, p.Error, p.Info)


class Ear:
    """Hears the events of one request and knows when it has ended."""

    def __init__(self, end: type[Any] = p.CompletionDone) -> None:
        self.events: list[p.Event] = []
        self.ended = threading.Event()
        self.chunk = threading.Event()
        self._end = end

    def __call__(self, event: p.Event) -> None:
        self.events.append(event)
        if isinstance(event, p.CompletionChunk):
            self.chunk.set()
        if isinstance(event, (self._end, p.Error)):
            self.ended.set()

    def wait(self) -> Any:  # noqa: ANN401 - whatever the end is
        assert self.ended.wait(WAIT_S), self.events
        return self.events[-1]


def generate(request_id: str = "g", prompt: str = "one two", model: str | None = "a.gguf") -> p.GenerateCompletion:
    return p.GenerateCompletion(request_id=request_id, prompt=prompt, model=model)


@pytest.fixture
def make() -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def build(engine: ScriptedEngine | None = None, find: Callable[[str], Path] = Path) -> Worker:
        chosen = engine or ScriptedEngine()
        made.append(Worker(lambda: chosen, find=find))
        return made[-1]

    yield build
    for worker in made:
        worker.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "llama-widgets-worker"]


def test_requests_run_in_order_and_end_once(make: Callable[..., Worker]) -> None:
    worker = make()
    ears = [Ear() for _ in range(5)]
    for i, ear in enumerate(ears):
        worker.submit(generate(str(i), f"word{i}"), ear)
    assert [ear.wait().text for ear in ears] == [f"word{i} " for i in range(5)]
    for i, ear in enumerate(ears):
        assert all(event.request_id == str(i) for event in ear.events)
        assert sum(isinstance(event, p.CompletionDone) for event in ear.events) == 1


def test_a_model_is_loaded_once_for_all_who_name_it(make: Callable[..., Worker]) -> None:
    engine = ScriptedEngine()
    worker = make(engine)
    for i in range(3):
        ear = Ear()
        worker.submit(generate(str(i)), ear)
        ear.wait()
    assert [call for call in engine.calls if call.startswith("load")] == ["load a.gguf"]


def test_two_who_name_different_models_each_get_theirs(make: Callable[..., Worker]) -> None:
    answered: list[tuple[str, str]] = []

    def script(command: p.Generate) -> list[str]:
        answered.append((command.request_id, str(worker.loaded)))
        return ["x"]

    engine = ScriptedEngine(script)
    worker = make(engine)
    ears = {name: Ear() for name in ("a.gguf", "b.gguf")}
    for name, ear in ears.items():
        worker.submit(generate(name, model=name), ear)
    for ear in ears.values():
        ear.wait()
    assert all(f"path='{name}'" in loaded for name, loaded in answered)
    assert len(answered) == 2


def test_abort_of_a_running_answer_keeps_what_was_said(make: Callable[..., Worker]) -> None:
    never = threading.Event()
    worker = make(ScriptedEngine(lambda _: ["partial ", never, "unseen"]))
    ear = Ear()
    worker.submit(generate(), ear)
    assert ear.chunk.wait(WAIT_S)
    assert worker.abort("g") == ["g"]
    done = ear.wait()
    assert (done.text, done.stop_reason) == ("partial ", "abort")


def test_abort_of_a_request_that_waits_its_turn_ends_it_while_others_go_on(make: Callable[..., Worker]) -> None:
    gate = threading.Event()
    engine = ScriptedEngine(lambda command: ["x", gate, "y"] if command.request_id == "first" else ["z"])
    worker = make(engine)
    first, second, third = Ear(), Ear(), Ear()
    worker.submit(generate("first"), first)
    worker.submit(generate("second"), second)
    worker.submit(generate("third"), third)
    assert first.chunk.wait(WAIT_S)
    assert worker.abort("second") == ["second"]
    assert second.wait().stop_reason == "abort"
    assert not first.ended.is_set()
    gate.set()
    assert first.wait().text == "xy"
    assert third.wait().text == "z"


def test_abort_of_what_waits_for_another_model_ends_it_at_once(make: Callable[..., Worker]) -> None:
    gate = threading.Event()
    engine = ScriptedEngine(lambda _: ["x", gate, "y"])
    worker = make(engine)
    first, second, third = Ear(), Ear(), Ear()
    worker.submit(generate("first"), first)
    worker.submit(generate("second", model="b.gguf"), second)
    worker.submit(generate("third"), third)
    assert first.chunk.wait(WAIT_S)
    assert worker.status().queued == ["second", "third"]  # the third must not overtake the second for ever
    assert worker.abort("second") == ["second"]
    assert second.ended.is_set()
    gate.set()
    assert [first.wait().text, third.wait().text] == ["xy", "xy"]
    assert [call for call in engine.calls if call.startswith("load")] == ["load a.gguf"]


def test_a_model_that_nobody_uses_is_freed_after_a_time(make: Callable[..., Worker]) -> None:
    worker = make()
    freed = threading.Event()
    worker.watch(lambda state: freed.set() if state == ModelState() else None)
    ear = Ear()
    worker.submit(replace(generate(), load=LoadOptions(unload_after=0.01)), ear)
    ear.wait()
    assert freed.wait(WAIT_S)
    again = Ear()
    worker.submit(generate("again"), again)
    assert again.wait().text == "two one "


def test_other_load_options_load_the_model_again(make: Callable[..., Worker]) -> None:
    engine = ScriptedEngine()
    worker = make(engine)
    for index, load in enumerate([LoadOptions(n_ctx=64), None, LoadOptions(n_ctx=64), LoadOptions(n_ctx=128)]):
        ear = Ear()
        worker.submit(replace(generate(str(index)), load=load), ear)
        ear.wait()
    assert [call for call in engine.calls if call.startswith("load")] == ["load a.gguf"] * 2


def test_status_tells_what_is_going_on(make: Callable[..., Worker]) -> None:
    gate = threading.Event()
    worker = make(ScriptedEngine(lambda _: ["x", gate]))
    assert "no model" in str(worker.status())
    ear = Ear()
    worker.submit(generate("g"), ear)
    assert ear.chunk.wait(WAIT_S)
    status = worker.status()
    assert (status.running, status.queued, status.memory) == (["g"], [], 1_000_000)
    assert status.model is not None
    assert "a: 1 MB" in str(status)
    gate.set()
    ear.wait()


def test_abort_of_what_is_finished_or_unknown_is_acknowledged(make: Callable[..., Worker]) -> None:
    worker = make()
    ear = Ear()
    worker.submit(generate(), ear)
    ear.wait()
    before = len(ear.events)
    for target in ("g", "never-was", "generation", "all"):
        acknowledged = Ear(p.Info)
        worker.submit(p.Abort(request_id="a", target=target), acknowledged)
        assert acknowledged.wait().data == {"target": target, "acted": []}
    assert len(ear.events) == before


@pytest.mark.parametrize(
    ("target", "ended"), [("generation", {"g1", "g2"}), ("load", {"l"}), ("all", {"g1", "g2", "l"})]
)
def test_abort_by_kind(make: Callable[..., Worker], target: str, ended: set[str]) -> None:
    gate = threading.Event()
    worker = make(ScriptedEngine(lambda _: ["x", gate]))
    ears = {"g1": Ear(), "l": Ear(p.ModelLoaded), "g2": Ear()}
    worker.submit(generate("g1"), ears["g1"])
    assert ears["g1"].chunk.wait(WAIT_S)
    worker.submit(p.LoadModel(request_id="l", model="b.gguf"), ears["l"])
    worker.submit(generate("g2", model="a.gguf"), ears["g2"])
    assert set(worker.abort(target)) == ended
    for name in ended:
        ears[name].wait()
    gate.set()
    for ear in ears.values():
        ear.wait()


def test_abort_of_a_load_leaves_nothing_loaded(make: Callable[..., Worker]) -> None:
    never, begun = threading.Event(), threading.Event()
    worker = make(ScriptedEngine(load=["10", never, "90"]))
    ear = Ear(p.ModelLoaded)

    def listen(event: p.Event) -> None:
        if isinstance(event, p.Progress):
            begun.set()
        ear(event)

    worker.submit(p.LoadModel(request_id="l", model="a.gguf"), listen)
    assert begun.wait(WAIT_S)
    assert worker.abort("load") == ["l"]
    assert ear.wait().cancelled
    assert worker.loaded is None
    again = Ear()
    never.set()
    worker.submit(generate(), again)
    assert again.wait().stop_reason == "eos"


def test_abort_while_the_model_loads_for_an_answer(make: Callable[..., Worker]) -> None:
    never = threading.Event()
    loading = threading.Event()
    worker = make(ScriptedEngine(load=["10", never]))
    worker.watch(lambda state: loading.set() if state.loading and state.done else None)
    ear = Ear()
    worker.submit(generate(), ear)
    assert loading.wait(WAIT_S)
    worker.abort("g")
    done = ear.wait()
    assert (done.text, done.stop_reason) == ("", "abort")
    assert worker.model_state == ModelState()


@pytest.mark.parametrize("failure", [EngineError("It broke."), RuntimeError("boom"), MemoryError()])
def test_a_failure_ends_the_request_and_not_the_worker(make: Callable[..., Worker], failure: Exception) -> None:
    engine = ScriptedEngine(lambda command: ["said ", failure] if command.request_id == "bad" else ["fine"])
    worker = make(engine)
    bad, good = Ear(), Ear()
    worker.submit(generate("bad"), bad)
    worker.submit(generate("good"), good)
    error = bad.wait()
    assert isinstance(error, p.Error)
    assert error.code == ("engine" if isinstance(failure, EngineError) else "internal")
    assert good.wait().text == "fine"
    assert not worker.busy


def test_a_model_that_is_not_there(make: Callable[..., Worker]) -> None:
    def find(_: str) -> Path:
        raise ModelNotFoundError("There is no such file.", "Look again.")

    worker = make(find=find)
    ear = Ear(p.ModelLoaded)
    worker.submit(p.LoadModel(request_id="l", model="no.gguf"), ear)
    assert ear.wait() == p.Error(
        request_id="l", code="model_not_found", message="There is no such file.", hint="Look again."
    )


def test_generating_without_a_model_says_so(make: Callable[..., Worker]) -> None:
    ear = Ear()
    make().submit(generate(model=None), ear)
    assert ear.wait().code == "no_model"


def test_loading_the_same_model_again_is_free_unless_the_options_differ(make: Callable[..., Worker]) -> None:
    engine = ScriptedEngine()
    worker = make(engine)
    for i, options in enumerate([{}, {}, {"n_ctx": 512}]):
        ear = Ear(p.ModelLoaded)
        worker.handle({"type": "load_model", "request_id": str(i), "model": "a.gguf", "options": options}, ear)
        assert ear.wait().request_id == str(i)
    assert engine.calls.count("load a.gguf") == 2


def test_the_other_commands(make: Callable[..., Worker]) -> None:
    engine = ScriptedEngine()
    worker = make(engine)
    answers = []
    messages: list[dict[str, Any]] = [
        {"type": "init"},
        {"type": "init", "protocol": 99},
        {"type": "create_context"},
        {"type": "load_model", "model": "a.gguf"},
        {"type": "create_context", "options": {"n_ctx": 1024}},
        {"type": "unload_model"},
    ]
    for i, message in enumerate(messages):
        ear = Ear(p.ModelLoaded if message["type"] == "load_model" else p.Info)
        worker.handle({**message, "request_id": str(i)}, ear)
        answers.append(ear.wait())
    assert [answer.type for answer in answers] == ["info", "error", "error", "model_loaded", "info", "info"]
    assert answers[0].data["backend"] == "scripted"
    assert answers[1].code == "protocol"
    assert answers[2].code == "no_model"
    assert answers[4].data["n_ctx"] == 1024
    assert worker.loaded is None


@pytest.mark.parametrize(
    "data", [None, 7, "abort", [], {}, {"type": "nonsense", "request_id": "x"}, {"type": "load_model", "request_id": 5}]
)
def test_a_malformed_message_is_answered_and_changes_nothing(make: Callable[..., Worker], data: object) -> None:
    engine = ScriptedEngine()
    worker = make(engine)
    ear = Ear()
    worker.handle(data, ear)
    assert ear.wait().code == "protocol"
    assert not worker.busy
    assert engine.calls == []


def test_an_id_that_is_in_use_is_refused(make: Callable[..., Worker]) -> None:
    gate = threading.Event()
    worker = make(ScriptedEngine(lambda _: ["x", gate, "y"]))
    first, second = Ear(), Ear()
    worker.submit(generate("same"), first)
    assert first.chunk.wait(WAIT_S)
    worker.submit(generate("same"), second)
    assert second.wait().code == "protocol"
    gate.set()
    assert first.wait().text == "xy"


def test_closing_ends_what_runs_and_what_waits(make: Callable[..., Worker]) -> None:
    never = threading.Event()
    engine = ScriptedEngine(lambda _: ["x", never])
    worker = make(engine)
    running, queued, late = Ear(), Ear(), Ear()
    worker.submit(generate("r"), running)
    worker.submit(generate("q"), queued)
    assert running.chunk.wait(WAIT_S)
    worker.close()
    assert running.wait().stop_reason == queued.wait().stop_reason == "abort"
    assert engine.calls[-1] == "close"
    worker.submit(generate("l"), late)
    assert late.wait().code == "closed"
    worker.close()


@pytest.mark.parametrize("failure", [ZeroDivisionError, SystemExit])
def test_a_listener_that_fails_harms_nobody(
    make: Callable[..., Worker], caplog: pytest.LogCaptureFixture, failure: type[BaseException]
) -> None:
    worker = make()

    def broken(_: p.Event) -> None:
        raise failure

    worker.submit(generate("b"), broken)
    ear = Ear()
    worker.submit(generate("g"), ear)
    assert ear.wait().stop_reason == "eos"
    assert "a listener failed" in caplog.text


def test_waiting_on_the_workers_own_thread_is_refused(make: Callable[..., Worker]) -> None:
    worker = make()
    caught: list[BaseException] = []
    ear = Ear()

    def listen(event: p.Event) -> None:
        try:
            worker.forbid_own_thread()
        except BusyError as error:
            caught.append(error)
        ear(event)

    worker.submit(generate(), listen)
    ear.wait()
    assert caught
    worker.forbid_own_thread()


_ENDS = {"generate": p.CompletionDone, "load": p.ModelLoaded, "predict": p.PredictDone, "judge": p.JudgeDone}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*_ENDS, "abort"]), st.integers(0, 5)), max_size=25))
def test_whatever_is_asked_and_aborted_ends_exactly_once(plan: Iterable[tuple[str, int]]) -> None:
    worker = Worker(ScriptedEngine, find=Path)
    ends: Counter[str] = Counter()
    asked: list[str] = []

    def listen(event: p.Event) -> None:
        if isinstance(event, (p.Error, _ENDS[event.request_id.rstrip("0123456789")])):
            ends[event.request_id] += 1

    for i, (what, n) in enumerate(plan):
        if what == "abort":
            worker.abort(asked[n % len(asked)] if asked else "generation")
            continue
        asked.append(f"{what}{i}")
        if what == "load":
            worker.submit(p.LoadModel(request_id=asked[-1], model=f"{n}.gguf"), listen)
        elif what == "predict":
            worker.submit(p.Predict(request_id=asked[-1], prompt="a b c", model=f"{n}.gguf"), listen)
        elif what == "judge":
            worker.submit(p.Judge(request_id=asked[-1], text="a b c", model=f"{n}.gguf"), listen)
        else:
            worker.submit(generate(asked[-1], "a b c", f"{n}.gguf"), listen)
    worker.close()
    assert ends == Counter(asked)


SCRIPT = """
import sys, threading
from pathlib import Path
from llama_widgets import protocol as p
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.worker import Worker
begun = threading.Event()
worker = Worker(lambda: ScriptedEngine(lambda _: ["x", threading.Event()]), find=Path)
listen = lambda e: begun.set() if isinstance(e, p.CompletionChunk) else print(e.type, e.request_id)
worker.submit(p.GenerateCompletion(request_id="g", prompt="x", model="a"), listen)
begun.wait()
"""


def test_the_interpreter_exits_in_the_middle_of_an_answer() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split("\n")[-2] == "completion_done g"
