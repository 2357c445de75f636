"""As a new user would: search, see what fits, download, pause, come back, resume, chat, delete. By keyboard, mostly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook
from tests.browser.test_main_job import ask, button, wait_until_ready
from tests.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

REPO, FILE = "maker/SmolLM2-135M-GGUF", "SmolLM2-135M-Instruct-Q4_1.gguf"
CELLS = [
    "import llama_widgets as lw\nselector = lw.ModelSelector()\nselector",
    "lw.ChatPanel(selector.value, max_tokens=20)",
]


@pytest.fixture
def hub(demo_model: Path) -> Iterator[Hub]:
    with Hub({f"{REPO}/{FILE}": demo_model, "maker/closed-GGUF/m-Q4_1.gguf": demo_model}) as hub:
        hub.facts[REPO] = {"downloads": 3000, "tags": ["gguf", "license:apache-2.0"]}
        hub.gated["maker/closed-GGUF"] = 403
        yield hub


@pytest.fixture
def lab(hub: Hub, kernelspecs: Path, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "lab", kernelspecs, HF_ENDPOINT=hub.endpoint, HF_HOME=str(tmp_path / "hf"))
    yield lab
    lab.close()


def opened(page: Page, lab: Lab) -> Notebook:
    return Notebook(page, lab, lab.write(CELLS, "llama-widgets-ipykernel7"))


def model_box(within: Locator) -> Locator:
    return within.get_by_role("combobox", name="Model")


def bar(within: Locator) -> Locator:
    return within.get_by_role("progressbar", name=re.compile("SmolLM2"))


def test_from_nothing_to_a_chat_and_back(page: Page, lab: Lab, hub: Hub, demo_model: Path) -> None:
    nb = opened(page, lab)
    nb.run(0)
    out = nb.output(0)
    button(out, "Hub").focus()
    page.keyboard.press("Enter")
    expect(out.get_by_role("grid", name="Models on the hub")).to_contain_text("Good prose")

    # Search, and see what fits.
    model_box(out).focus()
    page.keyboard.type("smollm2 135m")
    grid = out.get_by_role("grid", name="Models on the hub")
    expect(grid.get_by_role("row")).to_have_count(2)
    expect(grid).to_contain_text("apache-2.0 · 3,000 downloads a month")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(grid.get_by_role("row").nth(2)).to_contain_text(re.compile(r"fits · \d+ MB at 8k"))

    # Download, pause.
    hub.hold_at = 20_000_000
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(bar(out)).to_have_attribute("aria-valuenow", re.compile("19|20"))
    expect(bar(out)).to_have_attribute("aria-valuetext", re.compile(r"of 98.4 MB"))
    button(out, "Pause").focus()
    page.keyboard.press("Enter")
    expect(out.get_by_text("paused", exact=False).first).to_be_visible()

    # Close the notebook and its kernel, come back, and resume from where it was.
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.goto("about:blank")
    nb.open()
    nb.run(0)
    out = nb.output(0)
    button(out, "Resume").focus()
    hub.hold_at = None
    page.keyboard.press("Enter")
    button(out, re.compile(r"On this machine \(2\)")).wait_for()
    sent = sum(request.sent for request in hub.asked("GET", f"/cdn/{REPO}") if request.range and request.status == 206)
    assert sent < 2 * demo_model.stat().st_size

    # Load it, chat.
    model_box(out).focus()
    page.keyboard.type("maker")
    page.keyboard.press("Enter")
    expect(out.get_by_role("grid", name="Models on this machine")).to_contain_text("loaded")
    nb.run(1)
    panel = nb.output(1)
    wait_until_ready(panel)
    ask(page, panel, "Say hello.")
    wait_until_ready(panel)
    expect(panel.get_by_role("group", name="Answer")).to_have_count(1)

    delete(out)


def delete(out: Locator) -> None:
    """Delete what is loaded: that is refused at first."""
    button(out, "Details").click()
    details = out.get_by_role("region")
    expect(details).to_contain_text("135 million")
    button(details, "Delete model").click()
    expect(details.get_by_role("alert")).to_contain_text("in memory")
    button(details, "Close").click()
    button(out, "Unload").first.click()
    expect(button(out, "Load").first).to_be_visible()
    button(out, "Details").click()
    button(details, "Delete model").click()
    expect(details).to_contain_text("frees 98.4 MB")
    button(details, "Delete it").click()
    expect(button(out, re.compile(r"On this machine \(1\)"))).to_be_visible()


def test_a_closed_model_says_how_to_get_access_and_takes_a_token(page: Page, lab: Lab, hub: Hub) -> None:
    nb = opened(page, lab)
    nb.run(0)
    out = nb.output(0)
    button(out, "Hub").click()
    model_box(out).fill("closed")
    button(out, "Show files maker/closed-GGUF").click()
    button(out, "How to get access").click()
    details = out.get_by_role("region")
    expect(details).to_contain_text("Three steps")
    details.get_by_label("Access token").fill("hf_good")
    page.keyboard.press("Enter")
    expect(details.get_by_role("table")).to_contain_text("8k")
    button(out, "Download m-Q4_1.gguf").click()
    expect(button(out, re.compile(r"On this machine \(2\)"))).to_be_visible()
    assert {request.authorization for request in hub.asked("GET", "/resolve/") if request.status == 302} == {
        "Bearer hf_good"
    }
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    saved = [path.read_text() for path in lab.root.rglob("*.ipynb")]
    assert saved
    assert not [text for text in saved if "hf_good" in text]


def test_without_a_network_it_says_so_and_what_is_here_still_works(page: Page, lab: Lab, hub: Hub) -> None:
    hub.close()
    nb = opened(page, lab)
    nb.run(0)
    out = nb.output(0)
    button(out, "Hub").click()
    model_box(out).fill("qwen")
    expect(out.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(button(out, "Try again")).to_be_visible()
    button(out, re.compile("On this machine")).click()
    expect(out.get_by_role("alert")).to_have_count(0)
    expect(out.get_by_role("grid", name="Models on this machine")).to_contain_text("comes with the demo")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_320_pixels_are_enough(page: Page, lab: Lab, theme: str) -> None:
    nb = opened(page, lab)
    nb.use_theme(theme)
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    page.set_viewport_size({"width": 400, "height": 900})
    nb.run(0)
    out = nb.output(0)
    button(out, "Hub").click()
    model_box(out).fill("smollm2 135m")
    button(out, f"Show files {REPO}").click()
    button(out, f"Download {FILE}").wait_for()
    model_box(out).press("ArrowDown")
    model_box(out).press("ArrowDown")
    button(out, "Details").click()
    expect(out.get_by_role("region").get_by_role("table")).to_contain_text("8k")
    room = out.get_by_role("region").bounding_box()
    assert room is not None
    assert room["width"] <= 320
    for part in [model_box(out), *out.get_by_role("button").all(), *out.get_by_role("row").all()]:
        box = part.bounding_box()
        assert box is not None
        assert room["x"] <= box["x"]
        assert box["x"] + box["width"] <= room["x"] + room["width"] + 1, part
