"""The settings of a panel: as traits, from the drawer, from a page, and as they are described."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest
import traitlets
from pydantic import BaseModel

import llama_widgets as lw
from llama_widgets import protocol as p
from llama_widgets.chat.settings import AnswerOptions
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import ParameterError
from llama_widgets.options import GenerationOptions
from llama_widgets.widgets.described import groups
from llama_widgets.widgets.traits import SETTINGS
from llama_widgets.worker import Worker
from tests.unit.conftest import until
from tests.unit.test_panel_answers import sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_widgets.wire import Message

ALL = [setting for group in groups() for setting in group["settings"]]


@pytest.fixture
def make() -> Iterator[Callable[..., lw.ChatPanel]]:
    made: list[Any] = []

    def build(script: Any = None, **arguments: Any) -> lw.ChatPanel:  # noqa: ANN401
        worker = Worker(lambda: ScriptedEngine(script, load=[]), find=Path)
        panel = lw.ChatPanel("a.gguf", worker=worker, **arguments)
        made.extend((panel, worker))
        return panel

    yield build
    for each in made:
        each.close()


def said(panel: lw.ChatPanel, message: dict[str, Any]) -> Message:
    """Return what the panel answers to a message of a view."""
    heard = sent(panel)
    panel.handle({"request_id": "q", **message})
    until(lambda: any(each.request_id == "q" for each in heard), "an answer")
    return next(each for each in heard if each.request_id == "q")


def test_every_option_is_described_once() -> None:
    names = [setting["name"].replace("stop_strings", "stop") for setting in ALL]
    options = {f.name for cls in (GenerationOptions, AnswerOptions) for f in fields(cls)} - {"response_prefix"}
    assert sorted(names) == sorted(options | {"system", "n_ctx"})


@pytest.mark.parametrize("setting", ALL, ids=[setting["name"] for setting in ALL])
def test_what_is_said_of_a_setting_is_so(setting: dict[str, Any], make: Callable[..., lw.ChatPanel]) -> None:
    panel = make()
    name = setting["name"]
    assert name in SETTINGS
    assert getattr(panel, name) == setting["default"]
    assert setting["help"].endswith(".")
    assert "`" not in setting["help"]
    good = [*setting.get("options", ()), *([None] if setting.get("empty") else ())]
    good += [bound for bound in (setting.get("low"), setting.get("high")) if bound is not None]
    for value in good:
        setattr(panel, name, value)
        assert getattr(panel, name) == value
    bad: list[Any] = [object()]
    bad += [setting["low"] - 1] if setting.get("low") is not None else []
    bad += [setting["high"] + 1] if setting.get("high") is not None else []
    bad += [] if setting.get("empty") else [None]
    before = getattr(panel, name)
    for value in bad:
        with pytest.raises(ParameterError):
            setattr(panel, name, value)
        assert getattr(panel, name) == before


def test_what_is_described_is_light() -> None:
    assert len(json.dumps(groups())) < 10_000


def test_widgets_can_be_linked_to_settings(make: Callable[..., lw.ChatPanel]) -> None:
    panel, slider = make(), ipywidgets.FloatSlider(min=0, max=5)
    traitlets.link((panel, "temperature"), (slider, "value"))
    assert slider.value == 0.8
    slider.value = 0.3
    assert (panel.temperature, panel._chat.options.temperature) == (0.3, 0.3)
    panel.temperature = 1
    assert slider.value == 1

    def f(temperature: float, thinking: str) -> None:
        panel.configure(temperature=temperature, thinking=thinking)

    controls = ipywidgets.interactive(f, temperature=(0.0, 2.0), thinking=["auto", True, False])
    controls.children[0].value = 0.5
    controls.children[1].value = True
    assert (panel.temperature, panel.thinking) == (0.5, True)
    ipywidgets.jslink((slider, "value"), (panel, "temperature"))  # refuses traits that do not travel


def test_a_page_may_set_what_is_linked_there(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make()
    seen: list[object] = []
    panel.observe(lambda change: seen.append(change.new), "temperature")
    panel.set_state({"temperature": 0.4})
    assert (seen, panel._chat.options.temperature) == ([0.4], 0.4)
    panel.set_state({"top_k": 7, "temperature": 99})
    assert (panel.temperature, panel.top_k, panel._chat.options.top_k) == (0.4, 40, 40)
    assert panel.error is not None
    assert "between 0 and 5" in panel.error["message"]


def test_changes_that_traitlets_takes_back_were_never_made(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make(system="S")
    hold = panel.hold_trait_notifications()
    hold.__enter__()
    panel.system, panel.top_k, panel.temperature = "T", 5, 99
    with pytest.raises(ParameterError):
        hold.__exit__(None, None, None)
    assert (panel.system, panel.top_k, panel.temperature) == ("S", 40, 0.8)
    assert (panel._chat.system, panel._chat.options) == ("S", GenerationOptions())


def test_configure_sets_all_or_nothing(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make()
    seen: list[str] = []
    panel.observe(lambda change: seen.append(change.name))
    for wrong in ({"temperature": 9}, {"temprature": 1}, {"n_ctx": 3}, {"system": 3}, {"model": "b.gguf"}):
        with pytest.raises(ParameterError):
            panel.configure(top_k=3, **wrong)
    assert seen == []
    panel.configure(stop=["x"], top_k=3, n_ctx=512, system="S")
    assert set(seen) == {"stop_strings", "top_k", "n_ctx", "system"}
    assert (panel.stop_strings, panel._chat.options.stop, panel._chat.system) == (["x"], ["x"], "S")


class Town(BaseModel):
    name: str


def test_settings_travel_as_json(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make(json_schema=Town, stop_strings=["half \ud83d"], system="half \ud83d", logit_bias={"\ud83d": 1})
    state = panel.get_state(set(SETTINGS) - {"tools", "confirm"})
    assert state["json_schema"] == Town.model_json_schema()
    json.dumps(state, ensure_ascii=False, allow_nan=False).encode()
    assert set(SETTINGS) - set(panel.keys) == {"tools", "confirm"}


def test_the_next_question_is_asked_with_what_the_drawer_sets(make: Callable[..., lw.ChatPanel]) -> None:
    asked: list[p.GenerateChatCompletion] = []

    def script(command: p.GenerateChatCompletion) -> list[str]:
        asked.append(command)
        return ["x"]

    panel = make(script)
    options = {"temperature": 0.2, "stop_strings": ["\n"], "thinking": False, "system": "S", "n_ctx": 512}
    assert said(panel, {"type": "configure", "options": options}).type == "configured"
    panel.ask("x")
    (command,) = asked
    assert (command.options.temperature, command.options.stop, command.thinking) == (0.2, ["\n"], False)
    assert command.messages[0] == {"role": "system", "content": "S"}
    assert command.load is not None
    assert command.load.n_ctx == 512


@pytest.mark.parametrize("options", [{"temperature": "warm"}, {"temperature": 9}, {"x": 1}, {"tools": [1]}])
def test_what_the_drawer_cannot_set_is_told_to_it_alone(
    make: Callable[..., lw.ChatPanel], options: dict[str, Any]
) -> None:
    panel = make()
    answer = said(panel, {"type": "configure", "options": {"top_k": 3, **options}})
    assert isinstance(answer, p.Error)
    assert answer.code == "parameter"
    assert next(iter(options)).rstrip("s") in answer.message
    assert panel.top_k == 40
    assert not panel.error


def test_the_page_cannot_take_away_who_confirms_calls(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make(confirm=lambda *_: False)
    for option, value in (("confirm", None), ("tools", [])):
        answer = said(panel, {"type": "configure", "options": {option: value}})
        assert isinstance(answer, p.Error)
        assert "from Python only" in answer.message
    panel.set_state({"confirm": None})
    assert panel.confirm is not None
    assert panel._chat.settings.confirm is not None


def test_an_observer_that_fails_stands_in_no_ones_way(
    make: Callable[..., lw.ChatPanel], caplog: pytest.LogCaptureFixture
) -> None:
    panel = make()

    def fail(_: object) -> None:
        msg = "the observer's own"
        raise RuntimeError(msg)

    panel.observe(fail, ["temperature", "top_k"])
    answer = said(panel, {"type": "configure", "options": {"temperature": 0.2, "top_k": 3}})
    assert answer.type == "configured"
    assert (panel._chat.options.temperature, panel._chat.options.top_k) == (0.2, 3)
    assert "the observer's own" in caplog.text


def test_a_model_that_is_picked_is_loaded_with_the_context_that_is_set(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make(n_ctx=512)
    assert panel.selector is not None
    panel.selector.handle({"type": "load_model", "request_id": "l", "model": "b.gguf"})
    until(lambda: (panel.loaded or {}).get("path") == "b.gguf", "the model")
    assert (panel.model, panel.stale) == ("b.gguf", False)
    assert panel._chat.worker.is_loaded("b.gguf", panel._chat.load_options)


def test_a_panel_says_when_its_model_will_be_loaded_anew(make: Callable[..., lw.ChatPanel]) -> None:
    panel = make()
    stale: list[bool] = []
    for n_ctx, asks in ((512, False), (512, True), (256, False), (512, False), ("auto", False), ("auto", True)):
        panel.n_ctx = n_ctx
        if asks:
            panel.ask("x")
        stale.append(panel.stale)
    assert stale == [False, False, True, False, True, False]  # at first, nothing is in memory
    panel.load(n_ctx=64)
    assert (panel.n_ctx, panel.stale) == (64, False)


def test_presets_of_a_panel(make: Callable[..., lw.ChatPanel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    panel = make(system="S", stop_strings=["a"])
    panel.save_preset("mine")
    panel.configure(system="T", stop_strings=[], temperature=0.1)
    panel.apply_preset("mine")
    assert (panel.system, panel.stop_strings, panel.temperature) == ("S", ["a"], 0.8)
    panel.apply_preset({"stop": ["b"]})
    assert panel.stop_strings == ["b"]
    assert list(panel.presets) == list(lw.presets()) == ["Precise", "Balanced", "Creative", "mine"]


def test_presets_from_the_drawer(
    make: Callable[..., lw.ChatPanel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    panel = make(temperature=0.3, stop_strings=["a"])

    def listed(message: dict[str, Any]) -> dict[str, Any]:
        answer = said(panel, message).to_dict()
        assert answer["type"] == "settings", answer
        return {preset["name"]: preset for preset in answer["presets"]}

    assert said(panel, {"type": "show_settings"}).to_dict()["groups"] == groups()
    mine = listed({"type": "save_preset", "name": "mine"})["mine"]
    assert (mine["built_in"], mine["settings"]["stop_strings"]) == (False, ["a"])
    exported = said(panel, {"type": "export_preset"}).to_dict()["text"]
    assert "Precise" in listed({"type": "apply_preset", "name": "Precise"})
    assert panel.temperature == 0.2
    assert "mine" not in listed({"type": "delete_preset", "name": "mine"})
    assert "yours" in listed({"type": "import_preset", "file": "yours.json", "text": exported})
    assert panel.temperature == 0.3
    for wrong in (
        {"type": "import_preset", "file": "bad.json", "text": '{"x": 1}'},
        {"type": "import_preset", "file": "../bad.json", "text": "{}"},
        {"type": "apply_preset", "name": "none"},
        {"type": "delete_preset", "name": "Precise"},
        {"type": "save_preset", "name": "a/b"},
    ):
        answer = said(panel, wrong)
        assert isinstance(answer, p.Error)
        assert answer.code == "preset"
    assert not panel.error
    assert panel.temperature == 0.3
    assert {path.name for path in tmp_path.rglob("*.json")} == {"yours.json"}
