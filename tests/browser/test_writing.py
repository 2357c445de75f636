"""The message box in a real JupyterLab: variables, files, drafts, earlier questions, and code that goes into a cell."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Notebook, Notebook7
from tests.browser.test_main_job import (
    LONG,
    PANEL,
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
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    Open = Callable[..., Notebook]

# The answer is always the same; everything else is real.
SCRIPTED = """
import pandas as pd, llama_widgets as lw
from pathlib import Path
from llama_widgets.engines.scripted import ScriptedEngine
fares = pd.DataFrame({"fare": [1.5, 512.3], "age": [22, 71]})
answer = "Try this:\\n\\n```python\\nx = 6 * 7\\nx\\n```\\n\\n```sql\\nselect 1\\n```\\n"
worker = lw.Worker(lambda: ScriptedEngine(lambda _: [answer]), find=Path)
panel = lw.ChatPanel("m.gguf", worker=worker)
panel
"""


def offered(panel: Locator) -> Locator:
    return panel.get_by_role("listbox", name="Variables").get_by_role("option")


def goes_along(panel: Locator) -> Locator:
    return panel.get_by_role("list", name="Goes along").get_by_role("listitem")


def questions(panel: Locator) -> Locator:
    return conversation(panel).get_by_role("group", name="Question")


def drop(panel: Locator, name: str, content: str, kind: str, event: str = "drop") -> None:
    """Drop or paste a file onto the message box, as the browser tells of it."""
    message_box(panel).evaluate(
        """(box, [name, bytes, type, event]) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], name, {type}));
            const how = {bubbles: true, cancelable: true};
            box.dispatchEvent(event === "drop"
                ? new DragEvent("drop", {...how, dataTransfer: data})
                : new ClipboardEvent("paste", {...how, clipboardData: data}));
        }""",
        [name, list(content.encode("latin-1")), kind, event],
    )


def test_variables_are_completed_previewed_and_filled_in_with_the_keyboard_alone(notebook: Open) -> None:
    nb = notebook([SCRIPTED, "print(panel.messages[0]['content'])"])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    message_box(panel).focus()
    page.keyboard.type("What of {far")
    expect(offered(panel)).to_have_text(["fares"])
    expect(message_box(panel)).to_have_attribute("aria-activedescendant", re.compile("-0$"))
    page.keyboard.press("Enter")
    expect(message_box(panel)).to_have_value("What of {fares")
    page.keyboard.type(".des")
    expect(offered(panel)).to_have_text(["describe"])
    page.keyboard.press("Tab")
    page.keyboard.type("()}?")
    expect(message_box(panel)).to_have_value("What of {fares.describe()}?")
    preview = goes_along(panel).get_by_role("button", name="{fares.describe()} · Preview")
    preview.focus()  # it calls something, so it is looked at only now
    page.keyboard.press("Enter")
    expect(goes_along(panel)).to_have_text(re.compile(r"\{fares\.describe\(\)\} · \d+ characters"))
    expect(goes_along(panel)).to_contain_text("| mean |")
    message_box(panel).focus()
    page.keyboard.type(" {far")
    names, along = panel.get_by_role("listbox", name="Variables").bounding_box(), goes_along(panel).bounding_box()
    assert names is not None
    assert along is not None
    assert names["y"] + names["height"] <= along["y"], "the names hide what goes along"
    for _ in " {far":
        page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    wait_until_ready(panel)
    folded = questions(panel).get_by_role("button", name=re.compile(r"^\{fares\.describe\(\)\} · .* of data$"))
    expect(folded).to_have_attribute("aria-expanded", "false")
    expect(questions(panel)).not_to_contain_text("| mean |")
    folded.focus()
    page.keyboard.press("Enter")
    expect(questions(panel)).to_contain_text("| mean | 256.9 | 46.5 |")
    nb.run(1)
    expect(nb.output(1)).to_contain_text("| mean | 256.9 | 46.5 |")
    # Now that the model is there, its tokens are counted.
    message_box(panel).fill("{fares}")
    expect(goes_along(panel)).to_have_text(re.compile(r"\{fares\} · \d+ tokens"))


def test_what_cannot_be_filled_in_is_said_and_the_draft_stays(notebook: Open) -> None:
    nb = notebook([SCRIPTED])
    nb.run(0)
    panel = nb.output(0)
    message_box(panel).fill("Why {nothing_of_that_name}?")
    expect(goes_along(panel)).to_contain_text("there is no variable 'nothing_of_that_name'")
    message_box(panel).press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("there is no variable 'nothing_of_that_name'")
    expect(message_box(panel)).to_have_value("Why {nothing_of_that_name}?")
    expect(questions(panel)).to_have_count(0)
    message_box(panel).fill('{"json": [1, {"a": 2}]} \\frac{a}{b} `{x}`')
    message_box(panel).press("Enter")
    expect(questions(panel)).to_contain_text('{"json": [1, {"a": 2}]} \\frac{a}{b} `{x}`')


def test_escape_closes_the_names_first_and_then_stops(notebook: Open) -> None:
    nb = notebook([PANEL])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    ask(page, panel, LONG)
    wait_for_text(panel)
    page.keyboard.type("{pan")
    expect(offered(panel)).to_have_text(["panel"])
    page.keyboard.press("Escape")
    expect(offered(panel)).to_have_count(0)
    expect(status(panel)).to_have_text(re.compile("Answering"))
    page.keyboard.press("Escape")
    wait_until_ready(panel)
    expect(answers(panel).first).to_contain_text("stopped")
    expect(message_box(panel)).to_have_value("{pan")


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_code_goes_into_a_new_cell_where_the_reader_runs_it(notebook: Open, way: str) -> None:
    nb = notebook([SCRIPTED, "'the last cell'"])
    nb.run(0)
    inserts_below(nb, way)


def test_code_goes_into_a_new_cell_of_notebook_7(page: Page, kernelspecs: Path, tmp_path: Path) -> None:
    with closing(Notebook7(tmp_path, kernelspecs)) as server:
        nb = Notebook(page, server, server.write([SCRIPTED, "'the last cell'"], "llama-widgets-ipykernel7"))
        nb.run(0)
        inserts_below(nb, "keyboard")


def inserts_below(nb: Notebook, way: str) -> None:
    panel, page = nb.output(0), nb.page
    ask(page, panel, "Show code.")
    insert = answers(panel).get_by_role("button", name="Insert below")
    expect(insert).to_have_count(1)  # SQL is nothing for a cell of this notebook
    if way == "mouse":
        insert.click()
    else:
        insert.focus()
        page.keyboard.press("Enter")
    expect(nb.cell(1).locator(".cm-content")).to_have_text("x = 6 * 7x")
    expect(nb.cell(1).locator(".cm-content")).to_be_focused()
    expect(nb.cell(1).locator(".jp-Cell-outputArea")).not_to_contain_text("42")  # nothing runs by itself
    expect(nb.cell(2)).to_contain_text("'the last cell'")
    page.keyboard.press("Shift+Enter")
    expect(nb.output(1)).to_contain_text("42")


def test_where_no_cell_can_be_inserted_the_code_is_copied_with_a_hint(notebook: Open) -> None:
    nb = notebook([SCRIPTED])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    ask(page, panel, "Show code.")
    insert = answers(panel).get_by_role("button", name="Insert below")
    # As in front ends whose widget manager knows no document.
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.context.model.sharedModel.insertCell = undefined }")
    insert.click()
    expect(insert).to_have_text("Copied: paste it into a new cell")
    assert page.evaluate("navigator.clipboard.readText()").strip() == "x = 6 * 7\nx"


def test_files_go_along_and_are_taken_away_again(notebook: Open, tmp_path: Path) -> None:
    nb = notebook([SCRIPTED, "print(panel.messages[0]['content'])"])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    notes = tmp_path / "notes.txt"
    notes.write_text("the first words\n")
    with page.expect_file_chooser() as chooser:
        button(panel, "Attach").press("Enter")
    chooser.value.set_files(notes)
    expect(goes_along(panel)).to_contain_text(["notes.txt16 B"])
    drop(panel, "data.csv", "a,b\n1,{x}\n", "text/csv")
    drop(panel, "pasted.py", "print(1)\n", "text/x-python", "paste")
    expect(goes_along(panel)).to_contain_text(["notes.txt", "data.csv", "pasted.py"])
    button(panel, "Remove pasted.py").focus()
    page.keyboard.press("Enter")
    expect(goes_along(panel)).to_have_count(2)

    drop(panel, "cat.png", "\x89PNG", "image/png")
    expect(panel.get_by_role("alert")).to_contain_text("this model takes text only")
    drop(panel, "model.bin", "a\0b", "")
    expect(panel.get_by_role("alert")).to_contain_text("model.bin is not a text file")
    drop(panel, "old.txt", "caf\xe9", "text/plain")
    expect(panel.get_by_role("alert")).to_contain_text("old.txt is not a text file")
    drop(panel, "large.txt", "a" * 1_000_001, "text/plain")
    expect(panel.get_by_role("alert")).to_contain_text("large.txt is too large")
    expect(goes_along(panel)).to_have_count(2)

    ask(page, panel, "Sum it up.")
    expect(goes_along(panel)).to_have_count(0)
    expect(questions(panel).get_by_role("button", name=re.compile(r"^data\.csv · "))).to_be_visible()
    nb.run(1)
    expect(nb.output(1)).to_contain_text("Sum it up.\n\nnotes.txt:\n```txt\nthe first words\n```\n\ndata.csv:\n```csv")
    expect(nb.output(1)).to_contain_text("1,{x}")  # a file is never evaluated


def test_the_draft_outlives_a_reload_and_earlier_questions_come_back(notebook: Open) -> None:
    nb = notebook([SCRIPTED])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    for question in ("first {1 + len(answer) * 0}", "second"):
        ask(page, panel, question)
        expect(questions(panel).last).to_contain_text(question[:5])
        wait_until_ready(panel)
    message_box(panel).press("ArrowUp")
    expect(message_box(panel)).to_have_value("second")
    page.keyboard.press("ArrowUp")
    expect(message_box(panel)).to_have_value("first {1 + len(answer) * 0}")  # as it was typed
    page.keyboard.press("ArrowDown")
    expect(message_box(panel)).to_have_value("second")
    page.keyboard.press("ArrowDown")
    expect(message_box(panel)).to_have_value("")

    page.keyboard.type("half a thou")
    drop(panel, "data.csv", "a,b\n1,2\n", "text/csv")
    expect(goes_along(panel)).to_contain_text(["data.csv"])
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    expect(message_box(panel)).to_have_value("half a thou")
    expect(goes_along(panel)).to_contain_text(["data.csv"])
