"""What a class begins with, as a student sees it: what is set is shown, and says that it cannot be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.test_main_job import button

if TYPE_CHECKING:
    from tests.browser.test_main_job import Open

CLASS = """import llama_widgets as lw
lw.classroom(model=lw.models()[0], max_tokens=20, temperature=0.5, lock=["model", "max_tokens"])"""
SET = "et for this class; it cannot be changed."


def test_what_is_set_for_a_class_is_shown_and_cannot_be_changed(notebook: Open) -> None:
    nb = notebook([CLASS, "panel = lw.ChatPanel()\npanel"])
    nb.run(0)
    nb.run(1)
    panel = nb.output(1)
    button(panel, "Settings").click()
    longest = panel.get_by_role("textbox", name="Max tokens")
    expect(longest).to_be_disabled()
    expect(longest).to_have_value("20")
    expect(longest).to_have_accessible_description(
        f"The longest answer; empty is until the model ends it. At least 1, default 20. S{SET}"
    )
    warmth = panel.get_by_role("textbox", name="Temperature")
    expect(warmth).to_be_enabled()
    expect(warmth).to_have_value("0.5")
    button(panel, "Settings").click()
    button(panel, "SmolLM2-135M-Instruct.Q4_1.gguf").click()
    expect(panel.get_by_role("combobox", name="Model")).to_be_disabled()
    expect(panel.get_by_role("note")).to_have_text(f"The model: s{SET}")
    expect(button(panel, "Hub")).to_have_count(0)
