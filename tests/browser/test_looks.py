"""What is seen where there is little room, much text, a second widget, or no kernel any more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_main_job import PANEL, answers, ask, button, conversation, message_box, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from tests.browser.lab import Notebook

    Open = Callable[..., Notebook]

ANSWER = """
# Methods

| Method | Complexity | Remark |
|--------|-----------:|--------|
| mergesort | linearithmic | stable, and what one mostly wants |

```python
sorted(people, key=lambda person: (person.surname, person.forename), reverse=True)
```

Averylongwordwithoutanyplacetobreakitaverylongwordwithoutanyplacetobreakit

مرحبا بالعالم
"""
SCRIPTED = f"""
import llama_widgets as lw
from pathlib import Path
from llama_widgets.engines.scripted import ScriptedEngine
engine = ScriptedEngine(lambda _: {ANSWER!r}.splitlines(keepends=True))
panel = lw.ChatPanel('m.gguf', worker=lw.Worker(lambda: engine, find=Path))
panel
"""


def from_end(panel: Locator) -> float:
    distance: float = conversation(panel).evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight")
    return distance


def expect_at_end(panel: Locator) -> None:
    conversation(panel).page.wait_for_function(
        "log => log.scrollHeight - log.scrollTop - log.clientHeight < 2 && log.scrollTop > 0",
        arg=conversation(panel).element_handle(),
    )


@pytest.mark.parametrize("width", [420, 700, 1280])
def test_an_answer_fits_its_panel_and_breaks_no_word_of_a_table(notebook: Open, width: int) -> None:
    nb = notebook([SCRIPTED])
    nb.page.evaluate("window.jupyterapp.shell.collapseLeft()")
    nb.page.set_viewport_size({"width": width, "height": 800})
    nb.run(0)
    panel = nb.output(0)
    ask(nb.page, panel, "How do I sort?")
    wait_until_ready(panel)
    room = conversation(panel).bounding_box()
    assert room is not None
    for part in (message_box(panel), button(panel, "Send"), button(panel, "Copy code"), button(answers(panel), "Copy")):
        box = part.bounding_box()
        assert box is not None
        assert room["x"] <= box["x"]
        assert box["x"] + box["width"] <= room["x"] + room["width"]
    for part in (conversation(panel), panel.locator(".jp-OutputArea-output").first):
        assert part.evaluate("part => part.scrollWidth - part.clientWidth") == 0

    heading, word = panel.get_by_role("columnheader", name="Complexity"), panel.get_by_role("cell", name="linearithmic")
    lines = [part.evaluate(LINES) for part in (heading, word)]
    assert lines == [1, 1]
    code, copy = answers(panel).get_by_text("sorted(people").bounding_box(), button(panel, "Copy code").bounding_box()
    assert code is not None
    assert copy is not None
    if width == 420:
        assert copy["y"] + copy["height"] <= code["y"] + 1, "the button hides the only line of code"


LINES = """element => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size;
}"""


def test_each_block_has_the_direction_of_its_script(notebook: Open) -> None:
    nb = notebook([SCRIPTED])
    nb.run(0)
    panel = nb.output(0)
    ask(nb.page, panel, "Greet me.")
    wait_until_ready(panel)
    direction = "element => getComputedStyle(element).direction"
    assert answers(panel).get_by_text("مرحبا بالعالم").evaluate(direction) == "rtl"
    assert panel.get_by_role("heading", name="Methods").evaluate(direction) == "ltr"


def test_an_answer_is_read_out_without_the_signs_of_markdown(notebook: Open) -> None:
    nb = notebook([SCRIPTED])
    nb.run(0)
    panel = nb.output(0)
    ask(nb.page, panel, "How do I sort?")
    wait_until_ready(panel)
    spoken = panel.locator("[aria-live=polite]", has_text="mergesort")
    expect(spoken).to_contain_text("stable, and what one mostly wants")
    expect(spoken).not_to_contain_text("|")
    expect(spoken).not_to_contain_text("#")


def test_who_asks_sees_the_answer_and_a_second_view_opens_at_the_end(notebook: Open) -> None:
    nb = notebook([SCRIPTED, "for _ in range(4): panel.ask('more')", "panel"])
    nb.run(0)
    nb.run(1)
    panel = nb.output(0)
    expect(answers(panel)).to_have_count(4)
    expect_at_end(panel)

    conversation(panel).focus()
    nb.page.keyboard.press("Home")
    expect(button(panel, "Jump to end")).to_be_visible()
    ask(nb.page, panel, "And now?")
    expect(answers(panel)).to_have_count(5)
    wait_until_ready(panel)
    expect_at_end(panel)
    expect(button(panel, "Jump to end")).to_have_count(0)

    nb.run(2)
    expect(answers(nb.output(2))).to_have_count(5)
    expect_at_end(nb.output(2))


def test_the_list_of_keys_is_seen_as_a_whole_above_a_long_conversation(notebook: Open) -> None:
    nb = notebook([SCRIPTED, "for _ in range(9): panel.ask('more')"])
    nb.run(0)
    nb.run(1)
    panel = nb.output(0)
    expect_at_end(panel)
    conversation(panel).focus()
    nb.page.keyboard.press("?")
    keys = panel.get_by_role("region", name="Keyboard")
    expect(keys).to_contain_text("Shift + Enter")
    assert keys.evaluate("list => list.scrollHeight - list.clientHeight") == 0


def test_who_reads_further_up_is_left_in_peace(notebook: Open) -> None:
    nb = notebook([SCRIPTED, "for _ in range(4): panel.ask('more')", "panel.ask('once more');"])
    nb.run(0)
    nb.run(1)
    panel = nb.output(0)
    expect_at_end(panel)
    conversation(panel).focus()
    nb.page.keyboard.press("Home")
    expect(button(panel, "Jump to end")).to_be_visible()
    nb.run(2)
    expect(answers(panel)).to_have_count(5)
    assert from_end(panel) > 0
    button(panel, "Jump to end").focus()
    nb.page.keyboard.press("Enter")
    expect_at_end(panel)
    expect(conversation(panel)).to_be_focused()


def test_a_second_panel_takes_the_model_that_the_first_has_loaded(notebook: Open) -> None:
    nb = notebook([PANEL, "panel.load();", "other = lw.ChatPanel()\nother", "other.model == panel.model"])
    for cell in (0, 1, 2):
        nb.run(cell)
    other = nb.output(2)
    row = other.get_by_role("row", name=re.compile("SmolLM2"))
    expect(row).to_contain_text("loaded")
    row.get_by_role("button", name=re.compile("^Load")).click()
    wait_until_ready(other)
    expect(message_box(other)).to_be_visible()
    expect(button(other, "SmolLM2-135M-Instruct · Q4_1")).to_be_visible()
    nb.run(3)
    expect(nb.output(3)).to_contain_text("True")


def test_side_by_side_each_has_its_room(notebook: Open) -> None:
    boxes = "w.HBox([lw.ChatPanel(), lw.ChatPanel(layout=w.Layout(width='300px'))])"
    nb = notebook([f"import ipywidgets as w, llama_widgets as lw\n{boxes}"])
    nb.run(0)
    logs = conversation(nb.output(0))
    expect(logs).to_have_count(2)
    seen = [logs.nth(index).bounding_box() for index in (0, 1)]
    widths = [round(box["width"]) for box in seen if box is not None]
    assert widths[0] > widths[1] > 200, widths


def test_selector_and_downloads_say_that_the_kernel_is_gone(notebook: Open) -> None:
    nb = notebook(["import llama_widgets as lw\nlw.ModelSelector(lw.models()[0])", "lw.DownloadProgress()"])
    nb.run(0)
    nb.run(1)
    expect(button(nb.output(0), "Load")).to_be_enabled()
    nb.restart_kernel()
    for cell in (0, 1):
        expect(nb.output(cell).get_by_role("status")).to_contain_text("The kernel was restarted")
    expect(button(nb.output(0), "Load")).to_be_disabled()
    nb.run(0)
    expect(button(nb.output(0), "Load")).to_be_enabled()
    expect(nb.output(0).get_by_role("status")).to_have_count(0)
