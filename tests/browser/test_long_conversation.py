"""A conversation of 2,000 messages in JupyterLab: opens at its end, can be reached as a whole, is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.test_main_job import answers, button, conversation, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.lab import Notebook

    Open = Callable[..., Notebook]

PANEL = """
import threading
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
ANSWER = "- one\\n- two\\n\\n" + "Some words of an answer. " * 60
messages = [
    {"role": "assistant" if i % 2 else "user", "content": f"message {i} " + (ANSWER if i % 2 else "")}
    for i in range(2000)
]
more = threading.Event()
def script(_):
    for word in range(300):
        yield f"word {word}\\n\\n"
    yield more
    for word in range(300, 600):
        yield f"word {word}\\n\\n"
    yield "THE-END"
worker = lw.Worker(lambda: ScriptedEngine(script), find=Path)
panel = lw.ChatPanel("m.gguf", messages=messages, worker=worker, height="330px")
panel
"""


def test_it_opens_at_its_end_and_all_of_it_can_be_reached(notebook: Open) -> None:
    nb = notebook([PANEL])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    log = conversation(panel)
    expect(answers(panel).last).to_contain_text("message 1999 ")
    expect(answers(panel).last.get_by_text("Some words").last).to_be_in_viewport()
    expect(answers(panel)).to_have_count(1000)
    expect(answers(panel).last.get_by_role("button", name="Copy")).to_be_in_viewport()
    expect(button(panel, "Jump to end")).to_be_hidden()

    log.focus()
    page.keyboard.press("Home")
    expect(log.get_by_text("message 0", exact=True)).to_be_in_viewport()
    assert button(panel, "Jump to end").is_visible()
    page.keyboard.press("End")
    expect(answers(panel).last.get_by_role("button", name="Copy")).to_be_in_viewport()

    # Neither the keyboard nor a search stops at what is out of sight.
    button(answers(panel).nth(500), "Copy").focus()
    expect(button(answers(panel).nth(500), "Copy")).to_be_in_viewport()
    assert page.evaluate("() => window.find('message 301 ')")
    assert "message 301 " in page.evaluate("() => getSelection().anchorNode.textContent")


def test_an_answer_at_its_end_is_followed_until_the_reader_scrolls_up(notebook: Open) -> None:
    nb = notebook([PANEL, "answer = panel.submit('go')", "more.set()"])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    log = conversation(panel)
    expect(answers(panel)).to_have_count(1000)
    nb.run(1)
    last = answers(panel).last
    expect(last.get_by_text("word 299", exact=True)).to_be_in_viewport()

    log.hover()
    page.mouse.wheel(0, -3000)
    expect(button(panel, "Jump to end")).to_be_visible()
    _wait_until_still(page)
    top = log.evaluate("log => log.scrollTop")
    nb.run(2)
    expect(last.get_by_text("THE-END")).to_be_attached()
    expect(status(panel)).to_have_text("Ready")
    assert log.evaluate("log => log.scrollTop") == top
    button(panel, "Jump to end").click()
    expect(last.get_by_text("THE-END")).to_be_in_viewport()
    expect(button(panel, "Jump to end")).to_be_hidden()


def _wait_until_still(page: Page) -> None:
    page.evaluate(
        """() => new Promise(done => {
            const log = document.querySelector("[role=log]");
            let before, still = 0;
            const look = () => {
                still = log.scrollTop === before ? still + 1 : 0;
                before = log.scrollTop;
                if (still > 10) done(); else requestAnimationFrame(look);
            };
            look();
        })"""
    )
