"""What a class begins with, and what of that stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets.chat import classrooms, configuration
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import LockedError, ParameterError
from llama_widgets.options import LoadOptions
from llama_widgets.widgets.described import groups, groups_of
from llama_widgets.worker import Worker
from tests.unit.test_panel_answers import sent

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _afterwards_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classrooms, "_own", None)
    monkeypatch.setattr(classrooms, "_configured", classrooms.Classroom())


@pytest.fixture
def asked() -> list[Any]:
    return []


@pytest.fixture
def worker(asked: list[Any]) -> Iterator[Worker]:
    def script(command: Any) -> list[str]:  # noqa: ANN401
        asked.append(command)
        return ["ok"]

    worker = Worker(lambda: ScriptedEngine(script, load=[]), find=Path)
    yield worker
    worker.close()


def test_whatever_is_asked_begins_as_the_class_does(worker: Worker, asked: list[Any]) -> None:
    room = lw.classroom(model="m.gguf", system="Be kind.", max_tokens=9, n_ctx=512, lock=["max_tokens"])
    assert str(room) == "model 'm.gguf', system 'Be kind.', max_tokens 9 (locked), n_ctx 512"
    lw.Chat(worker=worker).ask("one")
    panel = lw.ChatPanel(worker=worker)
    panel.ask("two")
    lw.complete("three", worker=worker)
    lw.sweep("four", worker=worker).wait(progress=False)
    assert len(asked) == 4
    for command in asked:
        assert (command.model, command.options.max_tokens) == ("m.gguf", 9)
    for command in (asked[0], asked[1], asked[3]):
        assert command.messages[0] == {"role": "system", "content": "Be kind."}
    for command in asked[:3]:
        assert command.load == LoadOptions(n_ctx=512)
    assert worker.load_options == LoadOptions(n_ctx=512)
    assert (panel.model, panel.system, panel.max_tokens, panel.n_ctx) == ("m.gguf", "Be kind.", 9, 512)
    panel.close()


def test_whoever_looks_at_tokens_asks_the_model_of_the_class(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    lw.classroom(model="m.gguf", temperature=0.5, n_ctx=512, lock=["model", "n_ctx"])
    heard: list[Any] = []
    run = worker.run

    def hear(command: Any) -> Any:  # noqa: ANN401
        heard.append(command)
        return run(command)

    monkeypatch.setattr(worker, "run", hear)
    found = lw.predict("one", worker=worker)
    lw.judge("one two", worker=worker)
    lw.embed(["one"], worker=worker)
    view = lw.TokenView("one two", worker=worker, tab="next")
    view.wait()
    assert found.chosen.text == "one"
    assert [(command.model, command.load) for command in heard] == [("m.gguf", LoadOptions(n_ctx=512))] * 4
    assert (heard[0].options.temperature, view.told["steps"].temperature, view.asked) == (0.5, 0.5, "m")
    view.close()
    for ask in (lw.predict, lw.judge, lw.TokenView):
        with pytest.raises(LockedError):
            ask("one", "other.gguf", worker=worker)
    for model, options in (("other.gguf", {}), ("m.gguf", {"n_ctx": 1024})):
        with pytest.raises(LockedError):
            lw.embed(["one"], model, worker=worker, **options)


def test_a_text_is_in_the_tokens_of_the_class_and_of_others_too(demo_model: Path) -> None:
    lw.classroom(model=demo_model, n_ctx=512, lock=True)
    text = "Tokenisers split words."
    assert lw.tokenize(text) == lw.tokenize(text, demo_model)
    assert lw.render([{"role": "user", "content": text}]).n_ctx == 512
    with pytest.raises(lw.errors.ModelError):  # it is looked for, and not refused
        lw.tokenize(text, "other.gguf")


def test_a_default_that_is_not_locked_can_be_changed(worker: Worker, asked: list[Any]) -> None:
    lw.classroom(model="m.gguf", system="Be kind.", temperature=0, lock=["seed"])
    chat = lw.Chat("other.gguf", system="", worker=worker, temperature=1)
    chat.ask("one", max_tokens=3)
    assert (asked[0].model, asked[0].options.temperature, asked[0].messages[0]["role"]) == ("other.gguf", 1, "user")
    panel = lw.ChatPanel(worker=worker, temperature=1)
    panel.temperature = 2
    panel.model = "other.gguf"
    panel.close()


def test_what_is_locked_is_refused_everywhere(worker: Worker) -> None:
    lw.classroom(model="m.gguf", system="Be kind.", max_tokens=9, temperature=0.5, n_ctx=512, lock=True)
    chat, panel = lw.Chat(worker=worker), lw.ChatPanel(worker=worker)
    attempts: list[Any] = [
        lambda: lw.Chat("other.gguf"),
        lambda: lw.Chat(system="Be rude."),
        lambda: lw.Chat(max_tokens=10),
        lambda: lw.ChatPanel("other.gguf"),
        lambda: lw.ChatPanel(max_tokens=10),
        lambda: lw.ModelSelector("other.gguf"),
        lambda: lw.complete("x", model="other.gguf", worker=worker),
        lambda: lw.complete("x", max_tokens=10, worker=worker),
        lambda: lw.sweep("x", params={"temperature": [0, 1]}, worker=worker),
        lambda: lw.sweep("x", models=["other.gguf"], worker=worker),
        lambda: lw.sweep("x", params={"system": ["Be rude."]}, worker=worker),
        lambda: chat.ask("x", max_tokens=None),
        lambda: chat.configure(system=None),
        lambda: chat.load(n_ctx=1024),
        lambda: chat.apply_preset("Creative"),
        lambda: setattr(chat, "model", "other.gguf"),
        lambda: setattr(chat, "load_options", None),
        lambda: setattr(panel, "model", "other.gguf"),
        lambda: setattr(panel, "temperature", 0.6),
        lambda: setattr(panel, "system", ""),
        lambda: setattr(panel, "n_ctx", 1024),
    ]
    for attempt in attempts:
        with pytest.raises(LockedError, match=r"is set for this class and cannot be changed\..*lw\.classroom"):
            attempt()
    assert (chat.model, chat.system, chat.options.max_tokens, panel.temperature) == ("m.gguf", "Be kind.", 9, 0.5)
    chat.ask("x", max_tokens=9, top_k=3)  # what it is anyway
    panel.close()


def test_the_drawer_says_what_is_locked_and_what_the_class_begins_with(worker: Worker) -> None:
    lw.classroom(temperature=0.5, stop=["."], system="Be kind.", n_ctx=512, lock=["temperature", "n_ctx", "seed"])
    panel = lw.ChatPanel("m.gguf", worker=worker)
    heard = sent(panel)
    found = {each["name"]: each for group in groups_of(panel._chat.classroom) for each in group["settings"]}
    assert {name for name, each in found.items() if each.get("locked")} == {"temperature", "n_ctx", "seed"}
    assert [found[name]["default"] for name in ("temperature", "stop_strings", "system")] == [0.5, ["."], "Be kind."]
    assert not any("locked" in each for group in groups() for each in group["settings"])
    panel.handle({"type": "configure", "request_id": "q", "options": {"temperature": 1}})
    (refusal,) = [each for each in heard if each.request_id == "q"]
    assert refusal.to_dict()["code"] == "locked"
    assert panel.temperature == 0.5
    panel.close()


def test_the_selector_offers_the_model_of_the_class(worker: Worker) -> None:
    assert lw.ModelSelector(worker=worker).locked == ""
    lw.classroom(model="m.gguf", lock=["model"])
    selector = lw.ModelSelector(worker=worker)
    assert (selector.value, selector.locked) == ("m.gguf", "The model: set for this class; it cannot be changed.")
    selector.handle({"type": "load_model", "request_id": "q", "model": "other.gguf"})
    assert selector.error is not None
    assert selector.error["code"] == "locked"
    selector.close()


def test_another_name_of_the_same_file_is_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "m-Q4_0.gguf"
    file.write_bytes(b"GGUF")
    lw.classroom(model=file, lock=True)
    monkeypatch.chdir(tmp_path)
    assert lw.Chat("m-Q4_0.gguf").model == "m-Q4_0.gguf"


def test_a_conversation_that_was_kept_with_other_settings_is_not_lost(worker: Worker) -> None:
    chat = lw.Chat("other.gguf", worker=worker, system="S", temperature=1, top_k=3)
    chat.ask("one")
    lw.classroom(model="m.gguf", system="Be kind.", temperature=0, lock=True)
    again = lw.Chat.from_json(chat.to_json(), worker=worker)
    assert (again.model, again.system, again.options.temperature, again.options.top_k) == ("m.gguf", "Be kind.", 0, 3)
    assert [each["content"] for each in again.messages] == ["one", "ok"]
    panel = lw.ChatPanel.from_json(chat.to_json(), worker=worker)
    assert (panel.model, panel.system, panel.temperature, panel.top_k) == ("m.gguf", "Be kind.", 0, 3)
    panel.close()


def test_a_later_call_takes_the_place_of_the_one_before() -> None:
    lw.classroom(max_tokens=9, lock=True)
    assert str(lw.classroom(temperature=0)) == "temperature 0"
    assert lw.Chat(max_tokens=10).options.max_tokens == 10
    assert repr(lw.classroom()) == "<Classroom: nothing is set>"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"temperature": -1}, "temperature"),
        ({"n_ctx": 1}, "n_ctx"),
        ({"system": 5}, "system prompt"),
        ({"model": 5}, "path or a reference"),
        ({"lock": ["temprature"]}, "Did you mean 'temperature'"),
        ({"lock": "model"}, "must be a list"),
        ({"lock": [5]}, "can be locked"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_and_nothing_is_changed(settings: dict[str, Any], words: str) -> None:
    before = lw.classroom(max_tokens=9)
    with pytest.raises(ParameterError, match=words):
        lw.classroom(**settings)
    assert classrooms.current() is before


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return the folders of the system and of the user, for the only configuration there is."""
    system, user = tmp_path / "system", tmp_path / "user"
    for folder in (system, user):
        (folder / "jupyter_config.d").mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(system))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(user))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "")
    monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(user), str(system)])
    monkeypatch.setattr(classrooms, "_configured", None)
    return system, user


def write(folder: Path, **section: Any) -> None:  # noqa: ANN401
    (folder / "jupyter_config.d" / "class.json").write_text(json.dumps({configuration.SECTION: section}))


def test_a_file_sets_and_locks(folders: tuple[Path, Path]) -> None:
    system, user = folders
    write(system, max_tokens=9, temperature=0, lock=["max_tokens"])
    write(user, temperature=1)
    chat = lw.Chat()
    assert (chat.options.max_tokens, chat.options.temperature) == (9, 1)
    with pytest.raises(LockedError, match=r"It was locked by class\.json"):
        lw.classroom(max_tokens=10)
    assert str(lw.classroom(top_k=1)) == "max_tokens 9 (locked), temperature 1, top_k 1"


def test_what_the_system_locks_the_user_cannot_change(folders: tuple[Path, Path]) -> None:
    write(folders[0], max_tokens=9, lock=["max_tokens"])
    write(folders[1], max_tokens=10_000)
    for _ in range(2):  # it does not go away by itself
        with pytest.raises(LockedError, match=r"class\.json: 'max_tokens' is set for this class"):
            lw.Chat()


@pytest.mark.parametrize("text", ["{", '{"LlamaWidgets": 5}', '{"LlamaWidgets": {"warmth": 1}}', "\0"])
def test_a_file_that_cannot_be_understood_is_named(folders: tuple[Path, Path], text: str) -> None:
    (folders[0] / "jupyter_config.d" / "class.json").write_text(text)
    with pytest.raises(ParameterError, match=r"class\.json"):
        lw.Chat()


def test_a_script_finds_the_file(tmp_path: Path) -> None:
    (tmp_path / "jupyter_config.d").mkdir()
    write(tmp_path, max_tokens=9)
    script = "import llama_widgets as lw; print(lw.Chat().options.max_tokens)"
    environ = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path)}
    assert subprocess.check_output([sys.executable, "-c", script], env=environ, text=True).strip() == "9"
