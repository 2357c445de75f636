"""Named settings: saved, read, passed on, and refused where a file is not one."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llama_widgets as lw
from llama_widgets.chat import presets
from llama_widgets.errors import LlamaWidgetsError, ParameterError, PresetError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    before = os.environ["XDG_CONFIG_HOME"]
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    yield tmp_path / "config" / "llama-widgets" / "presets"
    os.environ["XDG_CONFIG_HOME"] = before


def test_what_is_saved_is_applied_to_another_conversation(folder: Path) -> None:
    chat = lw.Chat(system="You are terse. שלום", temperature=0.2, stop=["\n\n"], logit_bias={" yes": -1}, seed=7)
    path = chat.save_preset("terse")
    assert path == folder / "terse.json"
    assert "שלום" in path.read_text(encoding="utf-8")
    assert list(folder.iterdir()) == [path]
    other = lw.Chat(system="?", thinking=False, top_k=3)
    other.apply_preset("terse")
    assert (other.system, other.settings) == (chat.system, chat.settings)
    assert other.presets["terse"] == other.preset() == json.loads(path.read_text(encoding="utf-8"))
    other.delete_preset("terse")
    assert "terse" not in lw.presets()


@pytest.mark.parametrize("name", ["Precise", "Balanced", "Creative"])
def test_built_in_presets_set_how_tokens_are_drawn_and_nothing_else(name: str) -> None:
    chat = lw.Chat(system="S", max_tokens=5, stop=["x"], seed=3, xtc_probability=0.5, thinking=True)
    chat.apply_preset(name)
    assert chat.options.xtc_probability == 0
    assert (chat.system, chat.options.max_tokens, chat.options.stop, chat.options.seed) == ("S", 5, ["x"], 3)
    assert chat.settings.thinking is True
    chat.apply_preset("Balanced")
    assert chat.options == lw.Chat(max_tokens=5, stop=["x"], seed=3).options


def test_temperatures_of_the_built_in_presets_are_in_order() -> None:
    temperatures = [lw.presets()[name]["temperature"] for name in ("Precise", "Balanced", "Creative")]
    assert temperatures == sorted(set(temperatures))


def test_a_preset_sets_only_what_it_names(tmp_path: Path) -> None:
    chat = lw.Chat(system="S", top_k=3)
    chat.apply_preset({"temperature": 1})
    (tmp_path / "mine.json").write_text('\ufeff{"min_p": 0.5}', encoding="utf-8")
    chat.apply_preset(tmp_path / "mine.json")
    chat.apply_preset(str(tmp_path / "mine.json"))
    assert (chat.system, chat.options.top_k, chat.options.temperature, chat.options.min_p) == ("S", 3, 1.0, 0.5)


HOSTILE = {
    "nothing": b"",
    "cut short": b'{"temperature": 0.',
    "a list": b"[1]",
    "a number": b"7",
    "unknown": b'{"temprature": 0.2, "temperature": 0.2}',
    "too hot": b'{"temperature": 99}',
    "text": b'{"temperature": "0.2"}',
    "true": b'{"top_k": true}',
    "no number": b'{"temperature": NaN}',
    "endless": b'{"temperature": Infinity}',
    "1e999": b'{"temperature": 1e999}',
    "huge integer": b'{"top_k": ' + b"9" * 5000 + b"}",
    "no text": b'{"system": 7}',
    "not UTF-8": b'{"system": "\xff"}',
    "NUL": b"\0" * 100,
    "deep": b'{"json_schema": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "huge": b'{"system": "' + b"x" * 1_000_001 + b'"}',
    "objects": b'{"tools": ["print"]}',
    "own class": b'{"__class__": 1}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_is_no_preset_is_refused_and_changes_nothing(
    data: bytes, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    chat = lw.Chat(system="S")
    before = chat.preset()
    with pytest.raises(PresetError, match=r"bad\.json is not a preset"):
        chat.apply_preset(path)
    assert chat.preset() == before
    folder.mkdir(parents=True)
    path.rename(folder / "bad.json")
    assert "bad" not in lw.presets()
    assert "bad.json is not a preset" in caplog.text


def test_unknown_names_are_told_with_what_may_be_meant() -> None:
    with pytest.raises(ParameterError, match=r"'temprature', 'x'.*Did you mean 'temperature'"):
        lw.Chat().apply_preset({"temprature": 1, "x": 2})


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path, why in ((tmp_path / "pipe.json", "not a file"), (tmp_path, "not a file"), (tmp_path / "x", "no file")):
        with pytest.raises(PresetError, match=why):
            lw.Chat().apply_preset(path)
    for preset in (7, None, ["Precise"]):
        with pytest.raises(PresetError, match="a name, a file or a dict"):
            lw.Chat().apply_preset(preset)
    with pytest.raises(PresetError, match="Did you mean 'Precise'"):
        lw.Chat().apply_preset("Precis")


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", ".hidden", "a/b", "../a", "a\\b", "C:x", "a\0", "a\nb", "x" * 61, 7]
)
def test_names_that_no_file_can_have_are_refused(name: Any, folder: Path) -> None:  # noqa: ANN401
    for act in (lw.Chat().save_preset, lw.Chat().delete_preset):
        with pytest.raises(PresetError, match="name"):
            act(name)
    assert not folder.exists()


@given(st.text(max_size=80))
def test_a_name_is_refused_or_is_that_of_a_file_in_the_folder(name: str) -> None:
    try:
        path = presets.save(name, {"temperature": 0.2})
    except LlamaWidgetsError:
        return
    assert path.parent == presets._folder()
    assert lw.presets()[path.stem] == presets.read(name) == {"temperature": 0.2}
    presets.delete(name)
    assert not path.exists()


def test_built_in_names_are_taken(folder: Path) -> None:
    with pytest.raises(PresetError, match="built in"):
        lw.Chat().save_preset("precise")
    with pytest.raises(PresetError, match="built in"):
        lw.Chat().delete_preset("Precise")
    assert not folder.exists()


def test_a_preset_from_elsewhere_takes_no_name_away(folder: Path) -> None:
    one, two = {"temperature": 0.1}, {"temperature": 0.2}
    assert presets.add("mine", one).stem == "mine"
    assert presets.add("mine", one).stem == "mine"
    assert presets.add("mine", two).stem == "mine 2"
    assert presets.add("Precise", two).stem == "Precise 2"
    assert len(list(folder.iterdir())) == 3


def test_a_preset_that_cannot_be_written_leaves_the_one_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = lw.Chat(temperature=0.1)
    chat.save_preset("mine")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        chat.configure(temperature=0.9)
        with pytest.raises(PresetError, match="No space left"):
            chat.save_preset("mine")
    assert [path.name for path in folder.iterdir()] == ["mine.json"]
    chat.apply_preset("mine")
    assert chat.options.temperature == 0.1


def test_where_the_folder_is_a_file_one_is_told(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("")
    with pytest.raises(PresetError, match="cannot be saved"):
        lw.Chat().save_preset("mine")
    assert set(lw.presets()) == {"Precise", "Balanced", "Creative"}


def test_others_may_not_read_what_is_saved(folder: Path) -> None:
    lw.Chat(system="secret").save_preset("mine")
    assert stat.S_IMODE((folder / "mine.json").stat().st_mode) & 0o077 == 0


def test_configure_changes_all_or_nothing() -> None:
    chat = lw.Chat(system="S", temperature=0.1)
    for wrong in ({"system": "T", "temperature": 9}, {"system": 7, "temperature": 0.5}):
        with pytest.raises(ParameterError):
            chat.configure(**wrong)
    assert (chat.system, chat.options.temperature) == ("S", 0.1)
