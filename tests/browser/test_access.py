"""Access for all: WCAG 2.2 AA as far as axe and a ruler can tell, in all themes, and everything with the keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

import llama_widgets
from tests.browser.test_main_job import message_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.browser.lab import Notebook

AXE = Path(llama_widgets.__file__).parent / "frontend" / "node_modules" / "axe-core" / "axe.min.js"

PICTURES = Path(__file__).parent / "screenshots" / "states"
"""How the panel looked in each of them, for people to look at."""

ANSWER = """
# Outliers

Two columns stand out: **fare**, *age*, ~~name~~ and `df.fare`; see [the docs](https://example.org) and[^1].

- [x] looked at
- [ ] cleaned

> A quote

| column | maximum |
|--------|--------:|
| fare   | 512.3   |

```python
def far(fare: float) -> bool:  # beyond the fence
    return fare > 1.5 * float("31.0")
```

$$x = \\frac{1}{2}$$

[^1]: A note.
"""

CELL = f"""
import threading
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import EngineError
from llama_widgets.worker import Worker

go = threading.Event()
def answer(command):
    asked = command.messages[-1]["content"]
    if asked == "slow":
        return ["<think>", "Hm", "</think>", "Beginning ", go, "end"]
    if asked == "fail":
        raise EngineError("The engine failed.", "Ask again.")
    return {ANSWER!r}.splitlines(keepends=True)

panel = lw.ChatPanel("a.gguf", worker=Worker(lambda: ScriptedEngine(answer), find=Path))
panel
"""


def violations(page: Page, within: str) -> list[str]:
    """Return what axe finds in the widget: the page around it is not ours."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        """async within => {
            const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
            // "region" wants landmarks of the page, which is not ours.
            const options = { runOnly: tags, rules: { region: { enabled: false } } };
            return (await axe.run(within, options)).violations;
        }""",
        within,
    )
    return [
        f"{each['id']}: {node['failureSummary']} {node['html'][:200]}" for each in found for node in each["nodes"][:5]
    ]


def small_targets(panel: Locator) -> list[str]:
    """Return what is smaller than a finger: WCAG 2.5.8 asks for 24 CSS pixels, but not of what stands in a sentence."""
    found: list[str] = panel.evaluate(
        """root => [...root.querySelectorAll("button, input, select, summary, textarea, [role=menuitem]")]
            .filter(each => each.checkVisibility({ visibilityProperty: true }) && !each.disabled)
            .map(each => [each, each.getBoundingClientRect()])
            .filter(([each, { width, height }]) => width && (width < 24 || height < 24))
            .filter(([each]) => !each.closest(".lw-markdown li, .lw-markdown p"))
            .map(([each, { width, height }]) => `${each.outerHTML.slice(0, 120)} ${width}x${height}`)"""
    )
    return found


@pytest.fixture
def opened(notebook: Callable[..., Notebook]) -> Notebook:
    """Return a notebook with a panel."""
    book = notebook([CELL])
    book.run(0)
    return book


def ask(panel: Locator, text: str) -> None:
    message_box(panel).fill(text)
    message_box(panel).press("Enter")


@pytest.mark.parametrize(
    ("theme", "width"), [("Light", 1280), ("Dark", 1280), ("Dark High Contrast", 1280), ("Light", 420), ("Dark", 420)]
)
def test_axe_finds_nothing(opened: Notebook, theme: str, width: int) -> None:
    page, panel = opened.page, opened.output(0)
    opened.use_theme(f"JupyterLab {theme}")
    if width < 600:
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.set_viewport_size({"width": width, "height": 900})
    found: dict[str, list[str]] = {}

    def look(state: str) -> None:
        panel.locator(".lw-panel").screenshot(path=PICTURES / f"{theme} {width} {state}.png".lower().replace(" ", "-"))
        wrong = [*violations(page, ".lw-panel"), *small_targets(panel)]
        if wrong:
            found[state] = wrong

    look("empty")
    ask(panel, "all")
    expect(panel.get_by_role("log").locator("math")).to_be_visible()
    expect(panel.get_by_role("button", name="Send")).to_be_visible()
    look("answered")
    panel.get_by_role("button", name="Regenerate").last.click()
    expect(panel.get_by_role("group", name="Branches").last).to_be_visible()
    look("branches")
    panel.get_by_role("button", name="Edit").last.focus()
    page.keyboard.press("Enter")
    look("editing")
    page.keyboard.press("Escape")
    panel.get_by_role("button", name="More").click()
    look("menu")
    page.keyboard.press("Escape")
    for drawer in ("Conversations", "Keyboard"):
        panel.get_by_role("button", name="More").click()
        panel.get_by_role("menuitem", name=drawer).click()
        look(drawer)
        page.keyboard.press("Escape")
    panel.get_by_role("button", name="Settings").click()
    temperature = panel.get_by_role("textbox", name="Temperature")
    temperature.fill("9")
    temperature.press("Enter")
    expect(temperature).to_have_accessible_description(re.compile("between 0 and 5"))
    for heading in panel.locator("summary").all():
        if not heading.evaluate("heading => heading.parentElement.open"):
            heading.click()
    panel.get_by_role("button", name="Save as").click()
    look("settings")
    panel.get_by_role("button", name="Settings").click()
    ask(panel, "slow")
    expect(panel.get_by_text("Beginning")).to_be_visible()
    look("answering")
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_role("button", name="Send")).to_be_visible()
    ask(panel, "fail")
    expect(panel.get_by_role("alert")).to_be_visible()
    look("failed")
    assert not found, "\n".join(f"{state}: {each}" for state, all_of_it in found.items() for each in all_of_it)


def test_every_control_is_reached_with_tab_and_shows_it(opened: Notebook) -> None:
    page, panel = opened.page, opened.output(0)
    ask(panel, "all")
    expect(panel.get_by_role("button", name="Regenerate")).to_be_visible()
    names: list[str] = []
    panel.locator("button").first.focus()
    while page.evaluate("() => !!document.activeElement.closest('.lw-panel')"):
        name, outline = page.evaluate(
            """() => {
                const now = document.activeElement;
                const style = getComputedStyle(now);
                const shown = style.outlineStyle !== "none" || style.boxShadow !== "none";
                return [now.getAttribute("aria-label") ?? now.textContent.trim().slice(0, 40), shown];
            }"""
        )
        assert outline, f"{name} has the focus and does not show it"
        names.append(name)
        page.keyboard.press("Tab")
    expected = [
        "More",
        "Conversation",
        "Copy",
        "Edit",
        "Delete",
        "Copy code",
        "Copy",
        "Regenerate",
        "Delete",
        "Message",
    ]
    assert [name for name in names if name in expected] == expected


def test_nothing_moves_for_those_who_want_no_motion(opened: Notebook) -> None:
    page, panel = opened.page, opened.output(0)
    page.emulate_media(reduced_motion="reduce")
    ask(panel, "slow")
    expect(panel.get_by_text("Beginning")).to_be_visible()
    moving: list[str] = page.evaluate(
        """() => document.getAnimations()
            .filter(each => each.effect?.target?.closest?.(".lw"))
            .filter(each => each.effect.getComputedTiming().activeDuration > 1)
            .map(each => each.animationName ?? each.transitionProperty)"""
    )
    assert moving == []
    panel.get_by_role("button", name="Stop").click()
