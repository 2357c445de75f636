"""The code of all widgets is in one model; what each of them carries is small and leads there."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import ipywidgets
import pytest
from ipywidgets.embed import dependency_state

import llama_widgets as lw
from llama_widgets.widgets import bundle
from llama_widgets.widgets.messages import PartName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llama_widgets.widgets.base import LlamaWidget

WIDGETS = [lw.ChatPanel, lw.ModelSelector, lw.DownloadProgress]


@pytest.fixture(autouse=True)
def _leave_no_widgets() -> Iterator[None]:
    yield
    ipywidgets.Widget.close_all()


def bundle_of(widget: LlamaWidget) -> bundle.Bundle:
    assert widget._bundle is not None
    return widget._bundle


@pytest.mark.parametrize("make", WIDGETS)
def test_each_widget_names_its_code_and_carries_none(make: Callable[[], LlamaWidget]) -> None:
    widget, other = make(), lw.ChatPanel()
    shared = bundle_of(other)
    assert widget._bundle is shared is bundle.shared()
    state = widget.get_state()
    assert state["_bundle"] == f"IPY_MODEL_{shared.model_id}"
    assert f"{state['_widget']}:" in shared.code  # as a key of the object in widgets.ts
    assert len(state["_esm"]) <= 1_000
    assert state["_css"] == ""


def test_a_class_of_the_users_own_is_drawn_as_what_it_is() -> None:
    class Mine(lw.DownloadProgress):
        pass

    assert Mine().get_state()["_widget"] == "DownloadProgress"


def test_when_all_is_closed_the_next_widget_brings_the_code_anew() -> None:
    first = bundle_of(lw.ChatPanel())
    ipywidgets.Widget.close_all()
    second = bundle_of(lw.ChatPanel())
    assert first.comm is None
    assert second.comm is not None
    assert first.code == second.code


def test_an_id_says_what_code_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def model_id(code: str) -> str:
        (tmp_path / "widgets.js").write_text(code)
        parts = [f"{name}.{kind}" for name in get_args(PartName) for kind in ("js", "css")]
        for name in ("widgets.css", *parts):
            (tmp_path / name).write_text("")
        bundle.built.cache_clear()
        made: str = bundle.Bundle().model_id
        return made

    monkeypatch.setattr(bundle, "_STATIC", tmp_path)
    ids = [model_id("1"), model_id("1"), model_id("2")]
    bundle.built.cache_clear()
    assert len(set(ids)) == 3
    assert [each.partition("-")[0] == ids[0].partition("-")[0] for each in ids] == [True, True, False]


def test_a_page_of_its_own_gets_the_code_with_the_widget() -> None:
    panel = lw.ChatPanel()
    assert bundle_of(panel).model_id in dependency_state(panel)


def test_where_widgets_cannot_reach_each_other_each_carries_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = bundle.shared()
    assert shared is not None
    running = True
    monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(running_in_notebook=lambda: running))
    state: dict[str, Any] = lw.ModelSelector().get_state()
    assert (state["_esm"], state["_css"], state["_bundle"]) == (shared.code, shared.css, None)
    running = False  # imported by an ordinary kernel
    assert lw.ModelSelector()._bundle is shared


def test_a_checkout_that_was_not_installed_is_told_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle.built.cache_clear()
    monkeypatch.setattr(bundle, "_STATIC", tmp_path)
    with pytest.raises(lw.LlamaWidgetsError, match="pip install -e"):
        lw.DownloadProgress()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_process_makes_widgets_too() -> None:
    lw.ChatPanel()
    if (child := os.fork()) == 0:
        failed = True
        try:
            failed = bundle_of(lw.ChatPanel()).comm is None
        finally:
            os._exit(failed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
