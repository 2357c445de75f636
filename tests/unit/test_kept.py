"""What a panel puts beside itself into the notebook: in parts that seldom change, each turn once, and read back."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llama_widgets as lw
from llama_widgets.chat import archive
from llama_widgets.errors import ConversationError
from llama_widgets.widgets import kept, notebooks
from llama_widgets.widgets.kept import MIME, OUTPUTS, STEPS, Kept

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def say(count: int, size: int = 10) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[at % 2], "content": f"{at} {'x' * size}"} for at in range(count)]


def keeper(chat: lw.Chat) -> Kept:
    return Kept(lambda: chat.to_dict(flat=True), chat.record.size)


def outputs(chat: lw.Chat, maker: Kept | None = None) -> list[dict[str, Any]]:
    return (maker or keeper(chat))._outputs(chat.to_dict(flat=True))


def write(path: Path, *cells: Sequence[dict[str, Any]]) -> Path:
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{at}",
            "outputs": [{"output_type": "display_data", "data": data, "metadata": {}} for data in datas],
        }
        for at, datas in enumerate(cells)
    ]
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@given(st.lists(st.integers(200, 100_000), max_size=60))
def test_each_turn_is_in_one_output(sizes: list[int]) -> None:
    cuts = [0, *kept._cuts(sizes), len(sizes)]
    assert all(begin <= end for begin, end in pairwise(cuts))
    assert len(cuts) == OUTPUTS + 1
    assert sum(sizes[cuts[-2] :]) < STEPS[-1]  # what every turn writes again


def test_what_is_old_is_seldom_written_again() -> None:
    chat = lw.Chat()
    maker = keeper(chat)
    written, before = [], outputs(chat, maker)
    for count in range(2, 402, 2):  # answers of 8.5 kB
        chat.messages = say(0)
        chat.record.book.current.tree.path = _grow(chat, count)
        after = outputs(chat, maker)
        written.append(sum(len(json.dumps(new)) for old, new in zip(before, after, strict=True) if old != new))
        before = after
    said = sum(len(message["content"]) for message in chat.messages)
    assert said > 800_000
    assert written[9] / written[0] < 1.1
    assert sum(written) / said < 16  # as JSON and as HTML; written as a whole each time, it would be 400


_turns: dict[int, Any] = {}


def _grow(_chat: lw.Chat, count: int) -> list[Any]:
    from llama_widgets.chat.turns import Turn

    for at in range(count):
        role: Any = ("user", "assistant")[at % 2]
        _turns.setdefault(at, Turn(role=role, pieces=["x" * (8_500 if at % 2 else 40)]))
    return [_turns[at] for at in range(count)]


def test_an_empty_conversation_takes_no_room() -> None:
    assert outputs(lw.Chat()) == [{"text/html": '<div class="lw-transcript"></div>', "text/plain": ""}] * OUTPUTS


def test_what_is_kept_is_clean_and_whole(tmp_path: Path) -> None:
    chat = lw.Chat(str(tmp_path / "secret" / "m.gguf"), system="Be terse.", messages=say(40, 5_000), temperature=0.5)
    datas = outputs(chat)
    assert str(tmp_path) not in json.dumps(datas)
    assert sum(MIME in data for data in datas) > 1
    for at in range(40):
        assert sum(f">{at} xxx" in data["text/html"] for data in datas) == 1
    found = notebooks.find(write(tmp_path / "a.ipynb", datas))
    assert found is not None
    saved = archive.read(found.data)
    again = lw.Chat.from_json(found.data)
    assert again.to_dict() == {**chat.to_dict(), "model": "m.gguf"}
    assert saved.system == "Be terse."


def test_a_conversation_that_is_there_twice_is_shown_once() -> None:
    chat = lw.Chat(messages=say(4))
    chat.import_json(chat.to_json().encode())
    assert len(chat.conversations) == 2
    assert sum(data["text/html"].count("0 xxx") for data in outputs(chat)) == 1


def panel_with(text: str, name: str = "") -> lw.ChatPanel:
    return lw.ChatPanel("m.gguf", name=name, messages=[{"role": "user", "content": text}])


def shown(panel: lw.ChatPanel) -> list[dict[str, Any]]:
    return panel._kept._outputs(panel._kept.state())


def gone(*panels: lw.ChatPanel) -> None:
    """Forget the panels, as a new kernel does."""
    for panel in panels:
        kept.live.pop(panel._kept.id)


def test_panels_are_told_apart(tmp_path: Path) -> None:
    one, two = panel_with("one"), panel_with("two", "second")
    path = write(tmp_path / "a.ipynb", [], shown(one), shown(two))
    gone(one, two)
    with pytest.raises(ConversationError, match=r"keeps 2 .* of 0, 'second'"):
        lw.ChatPanel.from_notebook(path=path)
    assert lw.ChatPanel.from_notebook(path=path, name="second").messages[0]["content"] == "two"
    assert lw.ChatPanel.from_notebook(path=path, name="second").name == "second"
    kept.live.clear()
    assert lw.ChatPanel.from_notebook(path=path, name=0).messages[0]["content"] == "one"
    with pytest.raises(ConversationError, match=r"keeps no conversation 'third'"):
        lw.ChatPanel.from_notebook(path=path, name="third")
    with pytest.raises(ConversationError, match=r"keeps no conversation 7"):
        lw.ChatPanel.from_notebook(path=path, name=7)
    new = lw.ChatPanel.from_notebook("m.gguf", path=path, name="third", or_new=True)
    assert (new.name, new.messages) == ("third", [])


def test_a_panel_that_was_shown_twice_is_one(tmp_path: Path) -> None:
    panel = panel_with("one")
    path = write(tmp_path / "a.ipynb", shown(panel), shown(panel))
    gone(panel)
    again = lw.ChatPanel.from_notebook(path=path)
    assert [message["content"] for message in again.messages] == ["one"]
    assert again._kept.id == panel._kept.id
    assert any("a.ipynb as it was saved at" in notice for notice in again.notices)


def test_what_lives_is_further_than_the_file(tmp_path: Path) -> None:
    panel = panel_with("one")
    path = write(tmp_path / "a.ipynb", shown(panel))
    panel.import_json([{"role": "user", "content": "later"}])
    again = lw.ChatPanel.from_notebook(path=path)
    assert [message["content"] for message in again.messages] == ["later"]
    assert not again.notices


def test_what_was_kept_can_be_set_otherwise(tmp_path: Path) -> None:
    panel = lw.ChatPanel("m.gguf", system="A", temperature=0.5, top_k=7, messages=say(2))
    path = write(tmp_path / "a.ipynb", shown(panel))
    gone(panel)
    again = lw.ChatPanel.from_notebook("n.gguf", path=path, temperature=1)
    assert (again.model, again.system, again.temperature, again.top_k) == ("n.gguf", "A", 1, 7)


def test_nothing_is_kept_where_nothing_shall_be() -> None:
    panel = lw.ChatPanel("m.gguf", messages=say(2), keep=False)
    assert MIME not in json.dumps(shown(panel))
    panel.keep = True
    assert MIME in json.dumps(shown(panel))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"cells": [3]}', "\0", '{"nbformat": 4}'])
def test_what_is_no_notebook_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(ConversationError, match=r"'a\.ipynb' is no notebook"):
        lw.ChatPanel.from_notebook(path=tmp_path / "a.ipynb")


@pytest.mark.parametrize("wrong", [None, 3, "x", [], {}, [3], [{}], ["x"], [{"id": "x"}]])
def test_what_somebody_changed_is_read_or_refused(tmp_path: Path, wrong: Any) -> None:  # noqa: ANN401
    for key in outputs(lw.Chat(messages=say(3)))[-1][MIME]:
        datas = outputs(lw.Chat(messages=say(3)))
        datas[-1][MIME][key] = wrong
        path = write(tmp_path / "a.ipynb", datas)
        try:
            lw.ChatPanel.from_notebook(path=path)
        except ConversationError as error:
            assert error.hint  # noqa: PT017 - it may be read all the same


def test_a_part_that_is_missing_is_told(tmp_path: Path) -> None:
    panel = lw.ChatPanel("m.gguf", messages=say(40, 5_000))
    datas = shown(panel)
    gone(panel)
    whole = [data for data in datas if MIME in data]
    with pytest.raises(ConversationError, match="only a part"):
        lw.ChatPanel.from_notebook(path=write(tmp_path / "a.ipynb", whole[1:]))
    with pytest.raises(ConversationError, match="only a part"):
        lw.ChatPanel.from_notebook(path=write(tmp_path / "a.ipynb", whole[:-1]))


def test_without_a_notebook_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    with pytest.raises(ConversationError, match="cannot be found out here"):
        lw.ChatPanel.from_notebook()
    assert lw.ChatPanel.from_notebook("m.gguf", or_new=True).messages == []
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "gone.ipynb"))
    with pytest.raises(ConversationError, match=r"'gone\.ipynb' is not where it was"):
        lw.ChatPanel.from_notebook()
    with pytest.raises(ConversationError, match="cannot be read"):
        lw.ChatPanel.from_notebook(path=tmp_path / "gone.ipynb", or_new=True)
    path = write(tmp_path / "a.ipynb", [{"text/plain": "x"}])
    with pytest.raises(ConversationError, match="as it was last saved, keeps no conversation"):
        lw.ChatPanel.from_notebook(path=path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    panel = panel_with("one")
    write(path, shown(panel))
    gone(panel)
    os.utime(path, (0, time.time() - 10 * 86_400))
    again = lw.ChatPanel.from_notebook()
    assert [message["content"] for message in again.messages] == ["one"]


def test_in_a_script_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    panel = panel_with("one")
    data, _ = panel._repr_mimebundle_()
    assert data["text/plain"] == "ChatPanel"
    panel.import_json(say(2))
    assert capfd.readouterr() == ("", "")
