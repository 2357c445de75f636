"""An answer becomes a cell that makes it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.test_main_job import answers, ask, wait_until_ready

if TYPE_CHECKING:
    from tests.browser.test_main_job import Open

PANEL = """import llama_widgets as lw
panel = lw.ChatPanel(lw.models()[0], system="You are brief.", max_tokens=12, reproducible=True)
panel"""


def test_an_answer_becomes_a_cell_that_makes_it_again(notebook: Open) -> None:
    nb = notebook([PANEL, "reply.text == panel.messages[-1]['content']"])
    nb.run(0)
    panel, page = nb.output(0), nb.page
    ask(page, panel, 'Say "hi" in a colour.')
    wait_until_ready(panel)
    insert = answers(panel).get_by_role("button", name="Insert as cell")
    insert.focus()
    page.keyboard.press("Enter")
    expect(insert).to_have_text("Inserted")
    expect(nb.cell(1).locator(".cm-content")).to_be_focused()
    expect(nb.cell(1)).to_contain_text("reply = chat.ask('Say \"hi\" in a colour.')")
    page.keyboard.press("Shift+Enter")
    nb.wait_for_cell(1)
    nb.run(2)
    expect(nb.output(2)).to_contain_text("True")
