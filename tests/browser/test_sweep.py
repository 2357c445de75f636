"""The grid of a sweep in a real JupyterLab: with the mouse, with the keyboard alone, for all, and when all is gone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_access import small_targets, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from tests.browser.lab import Lab, Notebook

PICTURES = Path(__file__).parent / "screenshots" / "states"
CELL = """
import threading
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import EngineError
from llama_widgets.worker import Worker

go = threading.Event()
faults = [EngineError("The engine failed.", "Ask again.")]
def answer(command):
    asked, seed = command.messages[-1]["content"], command.options.seed
    if "child" in asked and seed == 1:
        return ["Once ", go, "upon ", "a time"]
    if seed == 1 and command.options.temperature == 0 and faults:
        return faults
    return [f"{word} " for word in f"A **cat** of {asked} at {command.options.temperature} runs.".split()]

sweep = lw.sweep(
    {"Summarise": "line", "… for a child": "child"},
    models="a.gguf",
    params={"temperature": [0, 0.7]},
    seeds=2,
    score=lambda row: len(row["text"]) / 10,
    worker=Worker(lambda: ScriptedEngine(answer), find=Path),
)
sweep
"""


def run(grid: Locator, text: str | re.Pattern[str]) -> Locator:
    return grid.get_by_role("gridcell").filter(has_text=text)


def names_of_run(kind: str) -> re.Pattern[str]:
    return re.compile(f"^{kind} ")


@pytest.fixture
def book(notebook: Callable[..., Notebook]) -> Notebook:
    """Return a notebook with a sweep that waits in the middle."""
    book = notebook([CELL, "go.set(); faults.clear()\nsweep.resume().wait(progress=False); None"])
    book.run(0)
    expect(run(book.output(0).get_by_role("grid", name="Runs"), "Once")).to_be_visible()
    return book


def test_a_sweep_is_followed_stopped_looked_into_and_good_for_all(book: Notebook) -> None:
    page, box = book.page, book.output(0)
    grid = box.get_by_role("grid", name="Runs")
    wrong: dict[str, list[str]] = {}

    def look(state: str) -> None:
        box.locator(".lw-sweep").screenshot(path=PICTURES / f"sweep {state}.png".replace(" ", "-"))
        if found := [*violations(page, ".lw-sweep"), *small_targets(box.locator(".lw-sweep"))]:
            wrong[state] = found

    expect(run(grid, "Failed: The engine failed.")).to_be_visible()
    expect(run(grid, "waiting").first).to_be_visible()
    expect(box.get_by_role("progressbar", name="Sweep")).to_be_visible()
    expect(grid.get_by_role("columnheader", name="temperature 0.7")).to_be_visible()
    look("running")
    box.get_by_role("button", name="Stop").click()
    expect(run(grid, "Once stopped")).to_be_visible()
    expect(box.get_by_role("button", name="Resume")).to_be_visible()

    run(grid, "line at 0.7").first.click()
    shown = box.get_by_role("region", name=names_of_run("Run"))
    expect(shown.locator("strong")).to_have_text("cat")
    for summary in shown.locator("summary").all():
        summary.click()
    expect(shown).to_contain_text("temperature0.7")
    look("one run")
    shown.get_by_role("button", name="Compare with").click()
    run(grid, "line at 0.0").click()
    expect(box.get_by_role("region", name=names_of_run("Runs")).locator("mark")).to_have_text(["7", "0"])
    box.get_by_role("combobox", name="Colour").select_option("stop_reason")
    look("two runs")

    book.run(1)  # from Python, to its end
    expect(box.get_by_text("8 of 8 runs", exact=True)).to_be_visible()
    expect(run(grid, "Once upon a time").first).to_be_visible()
    box.get_by_role("combobox", name="Colour").select_option("score")
    box.locator("summary", has_text="Score by").click()
    expect(box.get_by_role("row", name=re.compile(r"^temperature 0 .*±.* 4$"))).to_be_visible()
    look("scores")
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.set_viewport_size({"width": 420, "height": 900})
    for theme in ("Dark High Contrast", "Dark"):
        book.use_theme(f"JupyterLab {theme}")
        look(f"narrow {theme}".lower())
    assert not wrong, "\n".join(f"{state}: {each}" for state, found in wrong.items() for each in found)


def test_a_sweep_is_used_with_the_keyboard_alone_and_kept_by_the_notebook(book: Notebook, lab: Lab) -> None:
    page, box = book.page, book.output(0)
    grid = box.get_by_role("grid", name="Runs")
    box.get_by_role("combobox", name="Colour").focus()
    page.keyboard.press("t")
    expect(grid.get_by_role("columnheader").last).to_contain_text("mean tokens")
    box.get_by_role("button", name="Table").focus()
    page.keyboard.press("Tab")
    expect(grid).to_be_focused()
    page.keyboard.press("Control+End")
    at = grid.locator(".lw-active")
    expect(at).to_contain_text("waiting")
    assert grid.get_attribute("aria-activedescendant") == at.get_attribute("id")
    page.keyboard.press("Control+Home")
    page.keyboard.press("Enter")
    expect(box.get_by_role("region", name="Run 1")).to_be_focused()
    page.keyboard.press("Escape")
    expect(grid).to_be_focused()
    for key in ("Space", "ArrowRight", "ArrowDown", "ArrowUp", "Space"):
        page.keyboard.press(key)
    expect(box.get_by_role("region", name="Runs 1 and 3").locator("mark")).to_have_text(["0", "7"])

    book.run(1)
    kept = box.locator(".lw-sweep-kept")
    expect(kept).to_contain_text("Once upon a time")
    assert not kept.is_visible()  # beside the grid it would say everything twice
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    outputs = json.loads((lab.root / "notebooks" / book.name).read_text())["cells"][0]["outputs"]
    assert "Once upon a time" in "".join(outputs[0]["data"]["text/html"])
    assert not "".join(outputs[1]["data"]["text/html"])
