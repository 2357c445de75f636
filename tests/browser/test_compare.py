"""Two settings side by side in JupyterLab, with the real model and the keyboard alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.test_access import PICTURES, small_targets, violations
from tests.browser.test_main_job import button, message_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from tests.browser.lab import Notebook

# The model may not end an answer: how many run together decides its words, and at times it would end before Stop.
COMPARE = """
import llama_widgets as lw
sides = [{"temperature": 0}, {"temperature": 1.5, "seed": 1}]
never = {"<|im_end|>": -100, "<|endoftext|>": -100}
duel = lw.Compare(sides, model=lw.models()[0], blind=True, seed=5, logit_bias=never)
duel
"""
LONG = "Tell me a very long story about a llama, with a list."
RESULTS = "[(r.vote, [e.said.stop_reason for e in r.entries]) for r in duel.rounds]"


def answer(within: Locator, letter: str) -> Locator:
    return within.get_by_role("group", name=f"Answer {letter}", exact=True)


def test_ask_read_vote_with_the_keyboard_in_a_blind_round(notebook: Callable[..., Notebook]) -> None:
    nb = notebook([COMPARE, RESULTS, "duel"])
    nb.run(0)
    page, compared = nb.page, nb.output(0)
    message_box(compared).focus()
    page.keyboard.type(LONG)
    page.keyboard.press("Enter")
    for letter in "AB":
        expect(answer(compared, letter)).to_have_text(re.compile(r"[A-Z]\s*.*\w{4,}.*\w{4,}"))
    expect(compared.get_by_role("group", name="Answers", exact=True)).to_be_focused()
    expect(compared.get_by_role("status")).to_have_text(re.compile(r"Answering · 0 of 2 done"))

    page.reload()  # in the middle: another page goes on
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    nb.wait_for_kernel()
    nb.run(2)
    again = nb.output(2)
    expect(answer(again, "A")).to_have_text(re.compile(r"\w{4,}"))
    message_box(again).focus()
    page.keyboard.press("Escape")
    expect(again.get_by_role("status")).to_have_text(re.compile("Which is better"))
    expect(again).not_to_contain_text("temperature")
    expect(answer(again, "A")).to_contain_text("stopped")

    again.get_by_role("group", name="Answers", exact=True).focus()
    page.keyboard.press("2")
    expect(answer(again, "B")).to_contain_text("better")
    expect(answer(again, "B")).to_contain_text("temperature")
    expect(message_box(again)).to_be_focused()
    expect(message_box(again)).to_have_value("")
    expect(again.get_by_role("table", name="Tally")).to_contain_text("100 %")
    expect(button(again, "B is better")).to_have_attribute("aria-pressed", "true")
    nb.run(1)
    expect(nb.output(1)).to_have_text(re.compile(r"\[\([01], \['abort', 'abort'\]\)\]"))

    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    found: list[str] = []
    for theme, width in (("Light", 1280), ("Dark", 1280), ("Dark High Contrast", 1280), ("Light", 400), ("Light", 320)):
        nb.use_theme(f"JupyterLab {theme}")
        page.set_viewport_size({"width": width, "height": 900})
        name = f"compare {theme} {width}.png".lower().replace(" ", "-")
        again.locator(".lw-compare").screenshot(path=PICTURES / name)
        found += [f"{theme} {width}: {each}" for each in violations(page, ".lw-compare") + small_targets(again)]
        assert again.locator(".lw-compare").evaluate("part => part.scrollWidth - part.clientWidth") == 0
    assert not found, "\n".join(found)
