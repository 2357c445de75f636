"""DownloadProgress and ModelSelector in JupyterLab: what goes on is seen, and can be paused, resumed and cancelled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook
from tests.browser.test_main_job import ask, button, message_box, wait_until_ready
from tests.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    Open = Callable[..., Notebook]

SIZE = 4_000_000
SCRIPTED = """
import threading
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
gate = threading.Event()
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub({"user/one/One-Q4_0.gguf": b"1" * SIZE, "user/two/Two-Q4_0.gguf": b"2" * SIZE}) as hub:
        yield hub


@pytest.fixture(scope="module")
def hub_lab(hub: Hub, kernelspecs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("two-lab"), kernelspecs, HF_ENDPOINT=hub.endpoint)
    yield lab
    lab.close()


def bar(within: Locator, name: str) -> Locator:
    return within.get_by_role("progressbar", name=re.compile(name))


def test_two_downloads_each_on_its_own(page: Page, hub: Hub, hub_lab: Lab) -> None:
    hub.hold_at = SIZE // 2
    nb = Notebook(
        page,
        hub_lab,
        hub_lab.write(
            [
                (
                    "import llama_widgets as lw\n"
                    "one, two = lw.download('hf:user/one:Q4_0'), lw.download('hf:user/two:Q4_0')\n"
                    "lw.DownloadProgress(two)"
                ),
                "lw.DownloadProgress()",
                "one.state, two.state, one.wait().stat().st_size",
            ],
            "llama-widgets-ipykernel7",
        ),
    )
    nb.run(0)
    nb.run(1)
    only, both = nb.output(0), nb.output(1)
    expect(bar(both, "One")).to_have_attribute("aria-valuenow", re.compile("49|50"))
    expect(bar(both, "Two")).to_have_attribute("aria-valuenow", re.compile("49|50"))
    expect(bar(only, "One")).to_have_count(0)

    button(only, "Pause").focus()
    page.keyboard.press("Enter")
    expect(button(only, "Resume")).to_be_visible()
    expect(both.get_by_text("paused")).to_have_count(1)
    button(only, "Cancel").click()
    expect(both.get_by_text("cancelled")).to_have_count(1)
    hub.hold_at = None
    expect(both.get_by_text(re.compile("done"))).to_have_count(1)
    nb.run(2)
    expect(nb.output(2)).to_contain_text(f"('done', 'cancelled', {SIZE})")


def test_a_load_is_seen_and_cancelled(notebook: Open) -> None:
    nb = notebook(
        [
            SCRIPTED + "engine = ScriptedEngine(load=['10', gate, '90'])\n"
            "panel = lw.ChatPanel(worker=lw.Worker(lambda: engine, find=Path))\npanel",
            "gate.set()",
        ]
    )
    nb.run(0)
    panel, page = nb.output(0), nb.page
    box = panel.get_by_role("combobox", name="Model")
    box.fill("./Slow-Q4_0.gguf")
    page.keyboard.press("Enter")
    expect(bar(panel, "Slow")).to_have_attribute("aria-valuenow", re.compile(r"\d+"))
    button(panel, "Cancel").click()
    expect(bar(panel, "Slow")).to_have_count(0)
    expect(panel.get_by_role("alert")).to_have_count(0)
    nb.run(1)
    box.fill("./Slow-Q4_0.gguf")
    page.keyboard.press("Enter")
    wait_until_ready(panel)
    expect(button(panel, "Slow · F32")).to_be_visible()


def test_a_second_panel_says_that_it_waits(notebook: Open) -> None:
    nb = notebook(
        [
            SCRIPTED + "engine = ScriptedEngine(lambda c: ['one ', gate, 'two'])\n"
            "worker = lw.Worker(lambda: engine, find=Path)\n"
            "a, b = lw.ChatPanel('m.gguf', worker=worker), lw.ChatPanel('m.gguf', worker=worker)\na",
            "b",
            "gate.set()",
        ]
    )
    nb.run(0)
    nb.run(1)
    first, second = nb.output(0), nb.output(1)
    ask(nb.page, first, "first")
    expect(first.get_by_role("status")).to_contain_text("Answering")
    ask(nb.page, second, "second")
    expect(second.get_by_role("status")).to_contain_text("Waiting")
    nb.run(2)
    for panel in (first, second):
        wait_until_ready(panel)
        expect(panel.get_by_role("group", name="Answer")).to_contain_text("one two")


def test_a_panel_without_its_kernel_says_so_and_keeps_what_was_said(notebook: Open) -> None:
    nb = notebook(
        [
            SCRIPTED + "engine = ScriptedEngine(lambda c: ['said ', 'before'])\n"
            "panel = lw.ChatPanel('m.gguf', worker=lw.Worker(lambda: engine, find=Path))\npanel"
        ]
    )
    nb.run(0)
    panel = nb.output(0)
    ask(nb.page, panel, "question")
    wait_until_ready(panel)
    message_box(panel).fill("a draft")
    nb.restart_kernel()
    expect(panel.get_by_role("status")).to_contain_text("kernel")
    expect(panel.get_by_role("group", name="Answer")).to_contain_text("said before")
    expect(message_box(panel)).to_have_value("a draft")
    expect(button(panel, "Send")).to_be_disabled()
    nb.run(0)
    expect(button(panel, "Send")).to_be_disabled()  # a new panel, with nothing to send
    expect(panel.get_by_role("group", name="Answer")).to_have_count(0)
