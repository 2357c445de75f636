"""The main job in JupyterLab, as a person does it, with the real model and the keyboard alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.browser.lab import Lab, Notebook

    Open = Callable[..., Notebook]

LONG = "Tell me a very long story about a llama."
PANEL = "import llama_widgets as lw\npanel = lw.ChatPanel(lw.models()[0], temperature=0)\npanel"
BLOCK = "import time; time.sleep(300)"


def message_box(within: Locator) -> Locator:
    return within.get_by_role("textbox", name="Message")


def button(within: Locator, name: str | re.Pattern[str]) -> Locator:
    return within.get_by_role("button", name=name, exact=True)


def conversation(within: Locator) -> Locator:
    return within.get_by_role("log", name="Conversation")


def status(within: Locator) -> Locator:
    return within.get_by_role("status")


def answers(within: Locator) -> Locator:
    return conversation(within).get_by_role("group", name="Answer")


def ask(page: Page, panel: Locator, text: str) -> None:
    message_box(panel).focus()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def wait_for_text(panel: Locator, index: int = 0) -> None:
    """Wait until an answer has begun to appear."""
    expect(answers(panel).nth(index)).to_have_text(re.compile(r"\w{2,}"))


def wait_until_ready(panel: Locator) -> None:
    expect(status(panel)).to_have_text("Ready")


def test_choose_load_ask_stop_ask_with_the_keyboard_alone(notebook: Open) -> None:
    nb = notebook(["import llama_widgets as lw\npanel = lw.ChatPanel(temperature=0)\npanel", "1 + 1", "panel.messages"])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    panel.get_by_role("combobox", name="Model").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_until_ready(panel)
    expect(button(panel, "SmolLM2-135M-Instruct · Q4_1")).to_be_visible()

    ask(page, panel, LONG)
    wait_for_text(panel)
    expect(status(panel)).to_have_text(re.compile(r"Answering · \d+ tokens/s"))
    place = stop_in(panel)
    nb.run(1)
    expect(nb.output(1)).to_contain_text("2")
    expect(button(panel, "Stop")).to_be_visible()
    grown = (
        "() => { const log = document.querySelector('[role=log]'); return log.scrollHeight > log.clientHeight + 40 }"
    )
    page.wait_for_function(grown)
    assert stop_in(panel) == place  # a button that moves is hard to hit

    message_box(panel).focus()
    page.keyboard.press("Escape")
    wait_until_ready(panel)
    expect(answers(panel).first).to_contain_text("stopped")
    wait_for_text(panel)

    ask(page, panel, "In one word: what was it about?")
    expect(answers(panel)).to_have_count(2)
    wait_for_text(panel, 1)
    message_box(panel).focus()
    page.keyboard.press("Escape")
    wait_until_ready(panel)
    figures = re.compile(r"([\d,]+) of ([\d,]+) reused")
    expect(answers(panel).nth(1)).to_contain_text(figures)
    reused = figures.search(answers(panel).nth(1).inner_text())
    assert reused is not None
    assert int(reused[1].replace(",", "")) > 0
    nb.run(2)
    expect(nb.output(2)).to_contain_text("'stop_reason': 'abort'")


def stop_in(panel: Locator) -> int:
    """Return how far below the model Stop is."""
    boxes = [button(panel, name).bounding_box() for name in ("SmolLM2-135M-Instruct · Q4_1", "Stop")]
    tops = [round(box["y"]) for box in boxes if box is not None]
    return tops[1] - tops[0]


def test_stop_while_the_prompt_is_read_and_the_next_answer_is_right(notebook: Open) -> None:
    nb = notebook([PANEL, "panel.messages[-1]['stop_reason'], panel.messages[-1]['usage']"])
    nb.run(0)
    panel = nb.output(0)
    message_box(panel).fill("word " * 4000)
    message_box(panel).press("Enter")
    expect(status(panel)).to_have_text(re.compile(r"Reading the prompt · [\d,]+ of 4,\d+"))
    message_box(panel).press("Escape")
    wait_until_ready(panel)
    nb.run(1)
    expect(nb.output(1)).to_contain_text("'completion_tokens': 0")
    button(panel, "More").click()
    panel.get_by_role("menuitem", name="Clear").click()  # the next question would be read together with the 4,000 words
    expect(conversation(panel)).not_to_contain_text("word")
    ask(nb.page, panel, "How do I reverse a string in Python? Show code.")
    expect(answers(panel)).to_contain_text("[::-1]")
    message_box(panel).press("Escape")
    wait_until_ready(panel)


def test_shift_enter_breaks_the_line_and_does_not_run_the_cell(notebook: Open) -> None:
    nb = notebook(["n = globals().get('n', 0) + 1\n" + PANEL, "n"])
    nb.run(0)
    message_box(nb.output(0)).focus()
    nb.page.keyboard.type("one")
    nb.page.keyboard.press("Shift+Enter")
    nb.page.keyboard.type("dd")  # a notebook command outside of a text box: delete the cell
    expect(message_box(nb.output(0))).to_have_value("one\ndd")
    nb.run(1)
    expect(nb.output(1)).to_contain_text("1")


def test_the_notebook_is_saved_from_the_message_box(notebook: Open) -> None:
    nb = notebook([PANEL])
    nb.run(0)
    message_box(nb.output(0)).fill("a draft")
    nb.page.keyboard.press("Control+s")
    nb.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    expect(message_box(nb.output(0))).to_be_focused()


def test_stop_acts_while_a_cell_blocks(notebook: Open) -> None:
    nb = notebook([PANEL, BLOCK])
    nb.run(0)
    panel = nb.output(0)
    ask(nb.page, panel, LONG)
    wait_for_text(panel)
    nb.start(1)
    expect(nb.cell(1).locator(".jp-InputPrompt")).to_have_text("[*]:")
    button(panel, "Stop").click()
    wait_until_ready(panel)
    expect(answers(panel).first).to_contain_text("stopped")
    expect(nb.cell(1).locator(".jp-InputPrompt")).to_have_text("[*]:")
    nb.interrupt()


def test_without_subshells_the_panel_tells_the_truth_about_stop(notebook: Open) -> None:
    nb = notebook([PANEL, BLOCK], "llama-widgets-ipykernel6")
    nb.run(0)
    panel = nb.output(0)
    ask(nb.page, panel, LONG)
    wait_for_text(panel)
    nb.start(1)
    expect(nb.cell(1).locator(".jp-InputPrompt")).to_have_text("[*]:")
    button(panel, "Stop").click()
    expect(panel).to_contain_text("interrupt the kernel")
    nb.interrupt()
    wait_until_ready(panel)
    expect(answers(panel).first).to_contain_text("stopped")
    expect(panel).not_to_contain_text("interrupt the kernel")


def test_asking_from_a_cell_streams_into_the_panel(notebook: Open) -> None:
    nb = notebook([PANEL, f"panel.ask({LONG!r})", "panel.messages[-1]['stop_reason']"])
    nb.run(0)
    panel = nb.output(0)
    nb.start(1)
    wait_for_text(panel)
    nb.interrupt()
    nb.wait_for_cell(1)
    expect(nb.output(1)).to_contain_text("KeyboardInterrupt")
    wait_until_ready(panel)
    expect(answers(panel).first).to_contain_text("stopped")
    nb.run(2)
    expect(nb.output(2)).to_contain_text("abort")


def test_stop_ends_an_awaited_answer(notebook: Open) -> None:
    nb = notebook([PANEL, f"reply = await panel.ask_async({LONG!r})\nreply.stop_reason"])
    nb.run(0)
    panel = nb.output(0)
    nb.start(1)
    wait_for_text(panel)
    button(panel, "Stop").click()
    nb.wait_for_cell(1)
    expect(nb.output(1)).to_contain_text("abort")
    wait_until_ready(panel)


def test_a_reload_and_a_second_view_go_on(notebook: Open) -> None:
    nb = notebook([PANEL, "panel"])
    nb.run(0)
    nb.run(1)
    ask(nb.page, nb.output(0), LONG)
    for view in (nb.output(0), nb.output(1)):
        wait_for_text(view)
    nb.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    nb.page.reload()
    nb.page.wait_for_selector(".jp-Notebook .jp-Cell")
    for view in (nb.output(0), nb.output(1)):
        wait_for_text(view)
        expect(button(view, "Stop")).to_be_visible()
        expect(conversation(view)).to_contain_text(LONG)
    before = len(answers(nb.output(0)).inner_text())
    nb.page.wait_for_function(
        "n => document.querySelector('[role=log] [aria-label=Answer]').innerText.length > n + 40", arg=before
    )
    button(nb.output(1), "Stop").click()
    for view in (nb.output(0), nb.output(1)):
        wait_until_ready(view)
    # Not what is laid out, which is nothing of the view that is out of sight.
    texts = {answers(view).first.text_content() for view in (nb.output(0), nb.output(1))}
    assert len(texts) == 1


def test_what_goes_wrong_is_shown_with_what_to_do_and_the_text_comes_back(notebook: Open) -> None:
    nb = notebook(["import llama_widgets as lw\npanel = lw.ChatPanel('no/such/model.gguf')\npanel"])
    nb.run(0)
    panel = nb.output(0)
    ask(nb.page, panel, "precious words")
    alert = panel.get_by_role("alert")
    expect(alert).to_contain_text("model.gguf")
    expect(message_box(panel)).to_have_value("precious words")
    expect(answers(panel)).to_have_count(0)


def test_markup_in_a_message_is_text(notebook: Open, page: Page) -> None:
    attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>[x](javascript:hacked=1)'
    script = f"eng = ScriptedEngine(lambda _: [{attack!r}])"
    nb = notebook(
        [
            (
                "import llama_widgets as lw\nfrom pathlib import Path\n"
                "from llama_widgets.engines.scripted import ScriptedEngine\n"
                f"{script}\npanel = lw.ChatPanel('m.gguf', worker=lw.Worker(lambda: eng, find=Path))\npanel"
            )
        ]
    )
    nb.run(0)
    panel = nb.output(0)
    ask(page, panel, attack)
    wait_until_ready(panel)
    expect(answers(panel).first).to_contain_text("onerror")
    assert page.evaluate("window.hacked === undefined")
    assert conversation(panel).locator("img, script, a[href^=javascript]").count() == 0


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_panel_follows_the_theme_and_fits_a_narrow_window(notebook: Open, lab: Lab, theme: str) -> None:
    nb = notebook([PANEL])
    nb.run(0)
    nb.use_theme(theme)
    nb.page.set_viewport_size({"width": 420, "height": 800})
    panel = nb.output(0)
    expect(message_box(panel)).to_be_visible()
    colours = nb.page.evaluate(
        """() => {
            const root = document.querySelector('.lw-panel') ?? document.querySelector('[class*=lw-]');
            const style = getComputedStyle(root);
            return [style.backgroundColor, getComputedStyle(document.body).getPropertyValue('--jp-layout-color1')];
        }"""
    )
    dark = "Dark" in theme
    numbers = [int(n) for n in re.findall(r"\d+", colours[0])[:3]]
    assert (sum(numbers) < 200) is dark, colours
    overflow = panel.evaluate("node => node.scrollWidth - node.clientWidth")
    assert overflow <= 1, overflow
    assert lab.root.exists()
