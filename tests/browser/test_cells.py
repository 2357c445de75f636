"""Chat cells in JupyterLab: an answer streams, is stopped, and stays as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from tests.browser.lab import Lab, Notebook

START = "%load_ext llama_widgets\nimport llama_widgets as lw\n%llama {lw.models()[0]} --temperature 0"
OVER = """import time, pathlib
while "later" not in dir():
    time.sleep(0.1)
pathlib.Path("over").touch()"""
LONG = "Tell me a very long story about a llama."


def stop(output: Locator) -> Locator:
    return output.get_by_role("button", name="Stop")


def wait_until_it_answers(output: Locator) -> None:
    expect(output.get_by_role("log").get_by_role("group", name="Answer")).to_have_text(re.compile(r"\w{2,}"))
    expect(output.get_by_role("status")).to_have_text(re.compile(r"Answering · [\d.]+ tokens/s"))


def test_an_answer_streams_is_stopped_and_stays_as_markdown(notebook: Callable[..., Notebook]) -> None:
    cells = [
        START,
        f"%%llama\n{LONG}",
        f"%%llama --background --as later\n{LONG}",
        "later.stop_reason",
        "%%llama --max-tokens 40\nHow do I reverse a string in Python? Show code.",
    ]
    nb = notebook(cells)
    nb.run(0)
    nb.start(1)
    output = nb.output(1)
    wait_until_it_answers(output)
    stop(output).click()
    nb.wait_for_cell(1)
    expect(output).to_contain_text("· stopped")
    expect(output).to_contain_text("llama")
    expect(stop(output)).to_have_count(0)

    nb.run(2)  # it answers on while later cells run
    wait_until_it_answers(nb.output(2))
    stop(nb.output(2)).press("Escape")
    expect(nb.output(2)).to_contain_text("· stopped")
    nb.run(3)
    expect(nb.output(3)).to_contain_text("'abort'")

    nb.run(4)
    expect(nb.output(4).locator("pre")).to_contain_text("[::-1]")
    expect(nb.output(4)).to_contain_text("40 tokens · cut at max tokens")
    nb.page.keyboard.press("Control+s")
    nb.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    nb.open()  # another page, with nothing of ours in it
    expect(nb.output(1)).to_contain_text("· stopped")
    expect(nb.output(1)).not_to_contain_text("Error displaying widget")


@pytest.mark.parametrize("away", [False, True], ids=["reloaded", "away until the end"])
def test_a_page_that_left_meanwhile_gets_the_whole_answer(
    notebook: Callable[..., Notebook], lab: Lab, *, away: bool
) -> None:
    # The first is long enough to be seen at work however fast the machine is; the second waits for it.
    cells = [START, f"%%llama --max-tokens 400\n{LONG}", f"%%llama --background --as later --max-tokens 60\n{LONG}"]
    nb = notebook([*cells, OVER])
    nb.run(0)
    nb.start(1)
    wait_until_it_answers(nb.output(1))
    nb.start(2)
    nb.start(3)
    nb.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    if away:
        nb.page.goto("about:blank")
        while not (lab.root / "notebooks" / "over").exists():
            nb.page.wait_for_timeout(100)
        nb.open()
    else:
        nb.page.reload()
    for index, tokens in ((1, 400), (2, 60)):  # the first was saved as a widget, of the second there was nothing
        expect(nb.output(index)).to_contain_text(f"{tokens} tokens · cut at max tokens")
        expect(nb.output(index).locator(".lw-answer")).to_have_count(0)
    nb.page.wait_for_function("() => window.jupyterapp.shell.currentWidget.context.model.dirty")  # the file gets it too


def test_what_a_kernel_said_before_it_was_killed_stays_in_the_file(notebook: Callable[..., Notebook]) -> None:
    nb = notebook([START, f"%%llama --background\n{LONG}", "import os\nos.kill(os.getpid(), 9)"])
    nb.run(0)
    nb.start(1)
    wait_until_it_answers(nb.output(1))
    nb.start(2)
    expect(nb.output(1)).to_have_text(re.compile(r"^\s*\w{2,}[\s\S]*\(The kernel was restarted or is gone"))
    expect(nb.output(1).locator(".lw-answer")).to_have_count(0)
