"""A TokenView in JupyterLab, with the real model: a teacher's lesson with the keyboard alone, and access for all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.test_access import small_targets, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.lab import Notebook

CELLS = (
    """
import llama_widgets as lw
chat = lw.Chat(lw.models()[0], temperature=0, max_tokens=12)
reply = chat.ask("Why is the sky blue?", top_logprobs=5)
lw.TokenView(chat)""",
    "chat.messages[-1]['content'], len(chat.messages[-1]['siblings'])",
)
CUT_OFF = """tab => {
    tab.style.width = "320px";
    const cut = tab.scrollWidth > tab.clientWidth;
    tab.style.width = "";
    return cut;
}"""
TABS = ("Next token", "Tokenizer", "Template", "Context")


def test_a_lesson_with_the_keyboard(notebook: Callable[..., Notebook]) -> None:
    book = notebook(CELLS)
    book.run(0)
    page, view = book.page, book.output(0)
    answer = view.get_by_role("listbox", name="Tokens of Answer")
    expect(answer.get_by_role("option")).to_have_count(12)
    answer.get_by_role("option").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    chosen = view.get_by_role("button", name=re.compile("^Continue with")).first
    expect(chosen).to_be_focused()
    page.keyboard.press("Enter")
    branch = view.get_by_role("region", name=re.compile("^Branch 1: "))
    expect(branch).to_contain_text(re.compile(r"1[0-9] tokens"))
    expect(branch.get_by_role("button", name="Stop")).to_have_count(0)
    book.run(1)
    expect(book.output(1)).to_contain_text(", 2)")  # it is a branch of the conversation too

    found: dict[str, list[str]] = {}

    def look(state: str) -> None:
        narrow = view.get_by_role("tabpanel").evaluate(CUT_OFF) * ["cut off at 320 pixels"]
        if wrong := [*violations(page, ".lw-tokens"), *small_targets(view), *narrow]:
            found[state] = wrong

    for theme in ("Light", "Dark"):
        book.use_theme(f"JupyterLab {theme}")
        view.get_by_role("tab", name="Probabilities").click()
        look(f"{theme} Probabilities")
        for _ in TABS:
            page.keyboard.press("ArrowRight")
            tab = view.locator("[role=tab]:focus")
            expect(view.get_by_role("tabpanel", name=tab.inner_text())).to_have_attribute("aria-busy", "false")
            expect(view.get_by_role("status").filter(has_text="There is nothing")).to_have_count(0)
            look(f"{theme} {tab.inner_text()}")
    assert not found

    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    take = view.get_by_role("button", name=re.compile("^Take ")).first
    level = take.get_attribute("aria-label")
    for slider, key in (("Min p", "Home"), ("Top p", "End"), ("Temperature", "End")):  # nothing is cut, all level out
        view.get_by_role("slider", name=slider).press(key)
    expect(view.get_by_role("button", name=re.compile("^Take ")).first).not_to_have_attribute("aria-label", level or "")
    view.get_by_role("button", name="Draw one").press("Enter")
    expect(view.get_by_role("button", name="Undo")).to_be_enabled()
    expect(view.get_by_role("button", name="Draw one")).to_be_focused()
    expect(view.get_by_role("status", name="Text so far")).to_have_text(re.compile(r"Why is the sky blue\?\s*\S+"))
