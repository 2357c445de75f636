"""What may happen while an answer streams: afterwards every word is there once, and Stop and Send work."""

from __future__ import annotations

import os
import re
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Notebook
from tests.browser.line import Line
from tests.browser.test_main_job import (
    answers,
    ask,
    button,
    conversation,
    message_box,
    status,
    wait_for_text,
    wait_until_ready,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page

    from tests.browser.lab import Lab

    Open = Callable[..., Notebook]

KERNEL = "llama-widgets-ipykernel7"
WORDS = [f"w{n}" for n in range(600)]
LAST_BEFORE_GATE = 399
# The answer goes on for 4 s and then waits for the gate, so what happens before that happens in its middle.
PANEL = f"""
import os, threading
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
gate = threading.Event()
words = [f"w{{n}} " for n in range({len(WORDS)})]
steps = [*words[:{LAST_BEFORE_GATE + 1}], gate, *words[{LAST_BEFORE_GATE + 1}:]]
engine = ScriptedEngine(lambda _: steps, rate=100)
panel = lw.ChatPanel("model.gguf", worker=lw.Worker(lambda: engine, find=Path))
panel
"""
GATE = "gate.set()"
QUESTION = "Count."


@pytest.fixture
def line(lab: Lab) -> Iterator[Line]:
    """Return a connection to the server that can be lost."""
    with closing(Line(lab)) as line:
        yield line


def words(panel: Locator) -> list[str]:
    """Return what an answer says, word by word."""
    # What is out of sight is not laid out and has no inner text.
    return re.findall(r"\bw\d+\b", answers(panel).first.text_content() or "")


def wait_for_word(panel: Locator, number: int) -> None:
    expect(answers(panel).first).to_contain_text(f"w{number} ")


def expect_all_words(*panels: Locator) -> None:
    for panel in panels:
        wait_until_ready(panel)
        assert words(panel) == WORDS
        expect(conversation(panel).get_by_text(QUESTION, exact=True)).to_have_count(1)


def save(page: Page) -> None:
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")


def begin(nb: Notebook) -> Locator:
    """Show a panel and ask it; return when it has begun to answer."""
    nb.run(0)
    panel = nb.output(0)
    expect(status(panel)).to_have_text(re.compile("^Ready"))  # not an older one, whose kernel is gone
    ask(nb.page, panel, QUESTION)
    wait_for_word(panel, 20)
    return panel


def test_a_page_that_is_reloaded(notebook: Open) -> None:
    nb = notebook([PANEL, GATE])
    panel = begin(nb)
    save(nb.page)
    nb.page.reload()
    wait_for_word(panel, LAST_BEFORE_GATE)
    nb.run(1)
    expect_all_words(panel)


def test_a_second_view_that_opens_late(notebook: Open) -> None:
    nb = notebook([PANEL, "panel", GATE])
    panel = begin(nb)
    nb.run(1)
    second = nb.output(1)
    wait_for_word(second, 200)
    nb.run(2)
    expect_all_words(panel, second)


def test_a_second_browser(notebook: Open, lab: Lab, browser: Browser) -> None:
    nb = notebook([PANEL, GATE])
    panel = begin(nb)
    save(nb.page)
    with closing(browser.new_context(viewport={"width": 1280, "height": 900})) as context:
        other = Notebook(context.new_page(), lab, nb.name)
        second = other.output(0)
        wait_for_word(second, 200)
        nb.run(1)
        expect_all_words(panel, second)
        ask(other.page, second, "Again.")
        for each in (panel, second):
            wait_for_text(each, 1)
        button(second, "Stop").click()
        for each in (panel, second):
            wait_until_ready(each)
            expect(answers(each).nth(1)).to_contain_text("stopped")
        assert answers(panel).nth(1).inner_text() == answers(second).nth(1).inner_text()


def test_a_kernel_that_is_restarted(notebook: Open) -> None:
    nb = notebook([PANEL, GATE])
    panel = begin(nb)
    message_box(panel).fill("a draft")
    nb.restart_kernel()
    expect(status(panel)).to_contain_text("kernel")
    wait_for_word(panel, 20)
    expect(message_box(panel)).to_have_value("a draft")
    expect(button(panel, "Stop")).to_have_count(0)
    begin(nb)
    nb.run(1)
    expect_all_words(panel)


def test_a_kernel_that_is_killed(notebook: Open) -> None:
    nb = notebook([PANEL, "os.getpid()"])
    panel = begin(nb)
    message_box(panel).fill("a draft")
    nb.run(1)
    os.kill(int(nb.output(1).locator(".jp-OutputArea-output").inner_text()), signal.SIGKILL)
    expect(status(panel)).to_contain_text("kernel")
    wait_for_word(panel, 20)
    expect(message_box(panel)).to_have_value("a draft")
    expect(button(panel, "Stop")).to_have_count(0)


def test_a_connection_that_is_lost(page: Page, lab: Lab, line: Line) -> None:
    nb = Notebook(page, line, lab.write([PANEL, GATE], KERNEL))
    panel = begin(nb)
    with line.lost():
        page.wait_for_timeout(10_000)
    wait_for_word(panel, LAST_BEFORE_GATE)
    nb.run(1)
    expect_all_words(panel)


def test_a_connection_that_is_lost_while_the_answer_ends(page: Page, lab: Lab, line: Line) -> None:
    nb = Notebook(page, line, lab.write([PANEL.replace(", gate,", ","), "1 + 1"], KERNEL))
    panel = begin(nb)
    with line.lost():
        page.wait_for_timeout(7_000)
    expect_all_words(panel)


def test_stop_after_a_lost_connection(page: Page, lab: Lab, line: Line) -> None:
    nb = Notebook(page, line, lab.write([PANEL], KERNEL))
    panel = begin(nb)
    with line.lost():
        page.wait_for_timeout(2_000)
    wait_for_word(panel, LAST_BEFORE_GATE)
    button(panel, "Stop").click()
    wait_until_ready(panel)
    assert words(panel) == WORDS[: LAST_BEFORE_GATE + 1]
