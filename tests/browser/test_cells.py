"""Chat cells in JupyterLab: an answer streams, is stopped, and stays as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.line import Withheld

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator

    from tests.browser.lab import Notebook

START = "%load_ext llama_widgets\nimport llama_widgets as lw\n%llama {lw.models()[0]} --temperature 0"
WAIT = "import time, pathlib\nwhile not ({}):\n    time.sleep(0.1)\n"
LONG = "Tell me a very long story about a llama."


def stop(output: Locator) -> Locator:
    return output.get_by_role("button", name="Stop")


def wait_until_it_answers(output: Locator) -> None:
    expect(output.get_by_role("log").get_by_role("group", name="Answer")).to_have_text(re.compile(r"\w{2,}"))
    expect(output.get_by_role("status")).to_have_text(re.compile(r"Answering · [\d.]+ tokens/s"))


def wait_until(nb: Notebook, over: Callable[[], object]) -> None:
    while not over():
        nb.page.wait_for_timeout(50)


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
    notebook: Callable[..., Notebook], tmp_path: Path, *, away: bool
) -> None:
    # The first is long enough to be seen at work however fast the machine is; the second waits for it.
    cells = [START, f"%%llama --max-tokens 400\n{LONG}", f"%%llama --background --as later --max-tokens 60\n{LONG}"]
    over = tmp_path / "over"
    nb = notebook([*cells, WAIT.format("'later' in dir()") + f"pathlib.Path({str(over)!r}).touch()"])
    nb.run(0)
    nb.start(1)
    wait_until_it_answers(nb.output(1))
    nb.start(2)
    nb.start(3)
    nb.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    if away:
        nb.page.goto("about:blank")
        wait_until(nb, over.exists)
        nb.open()
    else:
        nb.page.reload()
    for index, tokens in ((1, 400), (2, 60)):  # the first was saved as a widget, of the second there was nothing
        expect(nb.output(index)).to_contain_text(f"{tokens} tokens · cut at max tokens")
        expect(nb.output(index).locator(".lw-answer")).to_have_count(0)
    nb.page.wait_for_function("() => window.jupyterapp.shell.currentWidget.context.model.dirty")  # the file gets it too


def test_a_page_that_hears_of_an_answer_before_it_knows_the_other_widgets_gets_it(
    notebook: Callable[..., Notebook], tmp_path: Path
) -> None:
    gate, line = tmp_path / "gate", Withheld("update_states", "comm_info_reply")
    shut = WAIT.format(f"pathlib.Path({str(gate)!r}).exists()")
    nb = notebook([START, "panel = lw.ChatPanel()", shut, f"%%llama --background --max-tokens 20\n{LONG}"])
    nb.run(0)
    nb.run(1)  # the code of all widgets is with the kernel
    nb.start(2)
    nb.start(3)
    nb.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    nb.page.route_web_socket(re.compile("/channels"), line.connect)
    nb.page.reload()
    wait_until(nb, lambda: line.has_sent("request_states"))
    nb.page.evaluate(
        """async () => {
            const { rendermime } = window.jupyterapp.shell.currentWidget.content;
            const made = rendermime.getFactory("application/vnd.jupyter.widget-view+json").createRenderer({});
            const manager = await (made._manager.promise ?? made._manager);
            const get = manager.get_model;
            manager.get_model = async id => {
                try { return await get.call(manager, id); } catch (error) { window.missed = true; throw error; }
            };
        }"""
    )
    gate.touch()
    nb.page.wait_for_function("() => window.missed")
    line.let_through()
    expect(nb.output(3)).to_contain_text("20 tokens · cut at max tokens")


def test_what_a_kernel_said_before_it_was_killed_stays_in_the_file(notebook: Callable[..., Notebook]) -> None:
    nb = notebook([START, f"%%llama --background\n{LONG}", "import os\nos.kill(os.getpid(), 9)"])
    nb.run(0)
    nb.start(1)
    wait_until_it_answers(nb.output(1))
    nb.start(2)
    expect(nb.output(1)).to_have_text(re.compile(r"^\s*\w{2,}[\s\S]*\(The kernel was restarted or is gone"))
    expect(nb.output(1).locator(".lw-answer")).to_have_count(0)
