"""Branches, edits, taking back and several conversations: with the mouse and with the keyboard, in JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from tests.browser.lab import Notebook

CELL = """
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.worker import Worker

numbers = iter(range(1, 100))
def answer(command):
    question = command.messages[-1]["content"]
    return [f"Answer {next(numbers)} to ", f"*{question}*."]

panel = lw.ChatPanel("a.gguf", worker=Worker(lambda: ScriptedEngine(answer), find=Path))
panel
"""


@pytest.fixture
def panel(notebook: Callable[..., Notebook]) -> Locator:
    """Return a panel whose answers are numbered."""
    opened = notebook([CELL])
    opened.run(0)
    return opened.output(0)


def ask(panel: Locator, text: str, answer: str) -> None:
    box = panel.get_by_role("textbox", name="Message")
    box.fill(text)
    box.press("Enter")
    expect(panel.get_by_role("group", name="Answer").last).to_contain_text(answer)
    expect(panel.get_by_role("button", name="Send")).to_be_visible()


def says(panel: Locator, *turns: str) -> None:
    """Wait until these are the turns that are shown."""
    log = panel.get_by_role("log", name="Conversation")
    shown = log.get_by_role("group", name="Answer").or_(log.get_by_role("group", name="Question"))
    expect(shown).to_have_count(len(turns))
    for index, text in enumerate(turns):
        expect(shown.nth(index)).to_contain_text(text)


def press(panel: Locator, button: Locator, key: str = "Enter") -> None:
    """Press a button with the keyboard."""
    button.focus()
    panel.page.keyboard.press(key)


def test_with_the_mouse(panel: Locator) -> None:
    ask(panel, "one", "Answer 1")
    ask(panel, "two", "Answer 2")
    answers = panel.get_by_role("group", name="Answer")
    answers.nth(1).get_by_role("button", name="Regenerate").click()
    says(panel, "one", "Answer 1", "two", "Answer 3")
    expect(answers.nth(1).get_by_role("group", name="Branches")).to_contain_text("2 / 2")
    answers.nth(1).get_by_role("button", name="Previous branch").click()
    says(panel, "one", "Answer 1", "two", "Answer 2")

    first = panel.get_by_role("group", name="Question").first
    first.hover()
    first.get_by_role("button", name="Edit").click()
    panel.get_by_role("textbox", name="Edit message").fill("other")
    panel.get_by_role("button", name="Resend").click()
    says(panel, "other", "Answer 4 to other")
    first.get_by_role("button", name="Previous branch").click()
    says(panel, "one", "Answer 1", "two", "Answer 2")

    answers.nth(0).get_by_role("button", name="Delete").click()
    says(panel, "one")
    panel.get_by_role("button", name="Undo").click()
    says(panel, "one", "Answer 1", "two", "Answer 2")

    panel.get_by_role("button", name="More").click()
    panel.get_by_role("menuitem", name="New conversation").click()
    says(panel)
    ask(panel, "elsewhere", "Answer 5")
    panel.get_by_role("button", name="More").click()
    panel.get_by_role("menuitem", name="Conversations").click()
    panel.get_by_role("button", name="one", exact=True).click()
    says(panel, "one", "Answer 1", "two", "Answer 2")


def test_with_the_keyboard(panel: Locator) -> None:
    keyboard = panel.page.keyboard
    ask(panel, "one", "Answer 1")
    answer = panel.get_by_role("group", name="Answer")
    press(panel, answer.get_by_role("button", name="Regenerate"), "Space")
    says(panel, "one", "Answer 2")
    press(panel, answer.get_by_role("button", name="Previous branch"))
    says(panel, "one", "Answer 1")
    expect(answer.get_by_role("button", name="Previous branch")).to_be_focused()

    press(panel, panel.get_by_role("button", name="Edit"))
    expect(panel.get_by_role("textbox", name="Edit message")).to_be_focused()
    keyboard.press("Shift+Enter")  # must not run the cell again, which would take the panel away
    keyboard.type("more")
    keyboard.press("Escape")
    says(panel, "one", "Answer 1")
    press(panel, panel.get_by_role("button", name="Edit"))
    keyboard.press("Control+A")
    keyboard.type("two")
    keyboard.press("Enter")
    says(panel, "two", "Answer 3")

    press(panel, panel.get_by_role("button", name="More"))
    keyboard.press("End")
    keyboard.press("Enter")
    expect(panel.get_by_role("region", name="Keyboard")).to_be_visible()
    keyboard.press("Escape")
    expect(panel.get_by_role("textbox", name="Message")).to_be_focused()
    press(panel, panel.get_by_role("button", name="More"))
    keyboard.press("c")
    expect(panel.get_by_role("menuitem", name="Conversations")).to_be_focused()
    keyboard.press("c")
    expect(panel.get_by_role("menuitem", name="Clear")).to_be_focused()
    keyboard.press("Enter")
    says(panel)
    press(panel, panel.get_by_role("button", name="Undo"))
    says(panel, "two", "Answer 3")
