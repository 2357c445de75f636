"""The settings of a panel, by keyboard and by mouse, from Python and in two views."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_main_job import answers, ask, button, status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.browser.lab import Notebook

    Open = Callable[..., Notebook]

PANEL = """
import llama_widgets as lw
from pathlib import Path
from llama_widgets.engines.scripted import ScriptedEngine

def told(command):
    o, load = command.options, command.load
    system = command.messages[0]["content"] if command.messages[0]["role"] == "system" else ""
    yield f"temperature {o.temperature}, stop {o.stop}, thinking {command.thinking}, system {system!r}, "
    yield f"n_ctx {load.n_ctx if load else None}"

panel = lw.ChatPanel("m.gguf", worker=lw.Worker(lambda: ScriptedEngine(told), find=Path))
heard = []
panel.observe(lambda change: heard.append((change.name, change.new)), ["temperature", "system", "stop_strings"])
panel
"""

LINKED = """
import ipywidgets as w
slider = w.FloatSlider(max=5, description="Linked")
w.jslink((slider, "value"), (panel, "temperature"))
slider
"""


def field(within: Locator, name: str) -> Locator:
    return within.get_by_role("textbox", name=name, exact=True)


def drawer(panel: Locator) -> Locator:
    return panel.get_by_role("group", name="Settings")


def open_drawer(panel: Locator) -> Locator:
    button(panel, "Settings").click()
    expect(field(panel, "Temperature")).to_be_visible()
    return drawer(panel)


def asked_with(nb: Notebook, panel: Locator, text: str, question: str = "With what?") -> None:
    """Ask, and wait until the answer says what it was asked with."""
    count = answers(panel).count()
    ask(nb.page, panel, question)
    expect(answers(panel)).to_have_count(count + 1)
    expect(answers(panel).last).to_contain_text(text)
    expect(status(panel).last).to_have_text("Ready")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the focus is there."""
    for _ in range(12):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail("the keyboard does not reach it")


def test_by_keyboard_alone(notebook: Open) -> None:
    nb = notebook([PANEL, "heard"])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    button(panel, "Settings").focus()
    page.keyboard.press("Enter")
    expect(button(panel, "Settings")).to_have_attribute("aria-expanded", "true")
    expect(field(panel, "System prompt")).to_be_visible()
    tab_to(page, field(panel, "System prompt"))
    page.keyboard.type("You are terse.")
    tab_to(page, panel.get_by_role("slider", name="Temperature"))
    page.keyboard.press("ArrowRight")
    expect(field(panel, "Temperature")).to_have_value("0.85")
    page.keyboard.press("Tab")
    expect(field(panel, "Temperature")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("0.3")
    page.keyboard.press("Enter")
    expect(button(panel, "Reset Temperature")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer(panel)).to_have_count(0)
    expect(button(panel, "Settings")).to_be_focused()
    asked_with(nb, panel, "temperature 0.3, stop [], thinking auto, system 'You are terse.'")
    nb.run(1)
    expect(nb.output(1)).to_contain_text(
        "[('system', 'You are terse.'), ('temperature', 0.85), ('temperature', 0.3)]", use_inner_text=True
    )


def test_by_mouse(notebook: Open) -> None:
    nb = notebook([PANEL])
    nb.run(0)
    panel = nb.output(0)
    settings = open_drawer(panel)
    slider = panel.get_by_role("slider", name="Temperature")
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
    expect(field(panel, "Temperature")).to_have_value("5")
    panel.get_by_role("combobox", name="Thinking").select_option("off")
    settings.get_by_text("End and form of the answer").click()
    field(panel, "Stop texts").fill("\\n\\n\nEND")
    asked_with(nb, panel, r"temperature 5.0, stop ['\n\n', 'END'], thinking False")
    expect(settings.get_by_text("End and form of the answer · 1 changed")).to_be_visible()
    button(panel, "Reset Temperature").click()
    expect(field(panel, "Temperature")).to_have_value("0.8")
    button(panel, "Reset all").click()
    expect(panel.get_by_role("button", name=re.compile("^Reset .*(?<!all)$"))).to_have_count(0)
    expect(button(panel, "Reset all")).to_be_disabled()
    asked_with(nb, panel, "temperature 0.8, stop [], thinking auto, system ''")


def test_what_cannot_be_is_told_beside_its_field_and_nothing_is_lost(notebook: Open) -> None:
    nb = notebook([PANEL, "panel.temperature, panel.error"])
    nb.run(0)
    panel = nb.output(0)
    open_drawer(panel)
    temperature = field(panel, "Temperature")
    for typed, why in (("9", "between 0 and 5, not 9"), ("warm", "must be a number, not 'warm'")):
        temperature.fill(typed)
        temperature.press("Enter")
        expect(temperature).to_have_accessible_description(re.compile(re.escape(why)))
        expect(temperature).to_have_value(typed)
        expect(temperature).to_have_attribute("aria-invalid", "true")
    nb.run(1)
    expect(nb.output(1)).to_contain_text("(0.8, None)")
    temperature.fill("1")
    temperature.press("Enter")
    expect(temperature).not_to_have_attribute("aria-invalid", "true")
    asked_with(nb, panel, "temperature 1.0")


def test_python_and_a_second_view_see_and_set_the_same(notebook: Open) -> None:
    nb = notebook(
        [
            PANEL,
            "panel",
            "panel.temperature = 0.25; panel.system = 'From Python'",
            LINKED,
            "import asyncio\nwhile panel.temperature != 1.5:\n    await asyncio.sleep(0.05)\n'set'",
        ]
    )
    nb.run(0)
    nb.run(1)
    one, two = nb.output(0), nb.output(1)
    open_drawer(one)
    open_drawer(two)
    nb.run(2)
    for view in (one, two):
        expect(field(view, "Temperature")).to_have_value("0.25")
        expect(field(view, "System prompt")).to_have_value("From Python")
    field(two, "Temperature").fill("0.6")
    field(two, "Temperature").press("Enter")
    expect(field(one, "Temperature")).to_have_value("0.6")
    button(one, "Reset System prompt").click()
    expect(field(two, "System prompt")).to_have_value("")
    nb.run(3)
    readout = nb.output(3).get_by_role("textbox").or_(nb.output(3).locator(".widget-readout")).first
    readout.click()
    nb.page.keyboard.press("Control+A")
    nb.page.keyboard.type("1.5")
    nb.page.keyboard.press("Enter")
    for view in (one, two):
        expect(field(view, "Temperature")).to_have_value("1.5")
    nb.run(4)
    expect(nb.output(4)).to_contain_text("set")


def test_a_change_of_the_context_says_that_the_model_is_loaded_anew(notebook: Open) -> None:
    nb = notebook([PANEL])
    nb.run(0)
    panel = nb.output(0)
    asked_with(nb, panel, "n_ctx None")
    open_drawer(panel)
    size = field(panel, "Context size")
    expect(size).to_have_value("auto")
    size.fill("512")
    size.press("Enter")
    expect(panel.get_by_text("The model will be loaded anew with the next question.")).to_be_visible()
    asked_with(nb, panel, "n_ctx 512")
    expect(panel.get_by_text("The model will be loaded anew with the next question.")).to_have_count(0)


def test_presets_are_saved_chosen_passed_on_and_deleted(notebook: Open, tmp_path: Path) -> None:
    nb = notebook([PANEL, "sorted(lw.presets())"])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    open_drawer(panel)
    preset = panel.get_by_role("combobox", name="Preset")
    expect(preset).to_have_value("Balanced")
    preset.select_option("Precise")
    expect(field(panel, "Temperature")).to_have_value("0.2")
    field(panel, "System prompt").fill("You are terse.")
    button(panel, "Save as…").click()
    field(panel, "Name of the preset").fill("terse")
    page.keyboard.press("Enter")
    expect(preset).to_have_value("terse")

    preset.select_option("Creative")
    expect(field(panel, "Temperature")).to_have_value("1.2")
    preset.select_option("terse")
    expect(field(panel, "Temperature")).to_have_value("0.2")
    with page.expect_download() as download:
        button(panel, "Export").click()
    assert download.value.suggested_filename == "terse.json"
    path = tmp_path / "shared.json"
    download.value.save_as(path)
    assert json.loads(path.read_text(encoding="utf-8"))["system"] == "You are terse."

    button(panel, "Delete preset").click()
    expect(preset.get_by_role("option", name="terse")).to_have_count(0)
    button(panel, "Reset all").click()
    expect(preset).to_have_value("Balanced")
    with page.expect_file_chooser() as chooser:
        button(panel, "Import").click()
    chooser.value.set_files(path)
    expect(preset).to_have_value("shared")
    expect(field(panel, "System prompt")).to_have_value("You are terse.")
    asked_with(nb, panel, "temperature 0.2, stop [], thinking auto, system 'You are terse.'")
    nb.run(1)
    expect(nb.output(1)).to_contain_text("['Balanced', 'Creative', 'Precise', 'shared']")

    path.write_text('{"temprature": 1}')
    with page.expect_file_chooser() as chooser:
        button(panel, "Import").click()
    chooser.value.set_files(path)
    expect(panel.get_by_role("alert")).to_contain_text("shared.json is not a preset: A preset cannot set 'temprature'.")
    button(panel, "Delete preset").click()
    expect(preset.get_by_role("option", name="shared")).to_have_count(0)


@pytest.mark.parametrize("width", [400, 1280])
def test_the_drawer_fits_its_panel_and_leaves_the_message_in_reach(notebook: Open, width: int) -> None:
    nb = notebook([PANEL])
    nb.page.evaluate("window.jupyterapp.shell.collapseLeft()")
    nb.page.set_viewport_size({"width": width, "height": 800})
    nb.run(0)
    panel = nb.output(0)
    settings = open_drawer(panel)
    for summary in settings.locator("summary").all():
        summary.click()
    assert settings.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    small = settings.evaluate("""box => [...box.querySelectorAll("button, input, select, textarea, summary")]
        .filter(each => each.checkVisibility())
        .map(each => [each.getAttribute("aria-label") ?? each.textContent, each.getBoundingClientRect()])
        .filter(([, {width, height}]) => width < 24 || height < 24).map(([name]) => name)""")
    assert small == []
    last = settings.get_by_role("button", name="Reset all")
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    expect(panel.get_by_role("textbox", name="Message")).to_be_visible()
    asked_with(nb, panel, "temperature 0.8")
