"""The panel in every front end that can be had on a Linux machine: it is drawn, answers, and stops."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import PATIENCE_MS, Lab, Notebook, Notebook7, marimo, start_firefox, voila
from tests.browser.test_main_job import LONG, answers, ask, button, wait_for_text, wait_until_ready

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Playwright

KERNEL = "llama-widgets-ipykernel7"
# The model may not end an answer: where the first one was stopped decides what the second one is, and after 5, 10 or 20
# tokens it would end before Stop.
PANEL = """\
import llama_widgets as lw
lw.ChatPanel(lw.models()[0], temperature=0, logit_bias={"<|im_end|>": -100, "<|endoftext|>": -100})"""


def chat_and_stop(page: Page, panel: Locator) -> None:
    """Ask and stop, twice."""
    for index in range(2):
        ask(page, panel, LONG)
        wait_for_text(panel, index)
        # By key: the button moves as long as the panel grows. What Firefox clicked then, Playwright took for another
        # element, and waited for the button to come back.
        button(panel, "Stop").press("Enter")
        wait_until_ready(panel)
        expect(answers(panel).nth(index)).to_contain_text("stopped")


@pytest.mark.parametrize("release", ["4.4", "4.5"])
def test_an_older_jupyterlab(page: Page, kernelspecs: Path, tmp_path: Path, release: str) -> None:
    with closing(Lab(tmp_path, kernelspecs, release=Path(sys.prefix) / f"jupyterlab-{release}")) as lab:
        nb = Notebook(page, lab, lab.write([PANEL], KERNEL))
        assert page.evaluate("window.jupyterapp.version").startswith(release)
        nb.run(0)
        chat_and_stop(page, nb.output(0))


def test_notebook_7(page: Page, kernelspecs: Path, tmp_path: Path) -> None:
    with closing(Notebook7(tmp_path, kernelspecs)) as server:
        nb = Notebook(page, server, server.write([PANEL], KERNEL))
        nb.run(0)
        chat_and_stop(page, nb.output(0))


def test_firefox(playwright: Playwright, kernelspecs: Path, tmp_path: Path) -> None:
    firefox = start_firefox(playwright)
    if firefox is None:
        pytest.skip("There is no Firefox on this machine, and it could not be installed.")
    with closing(firefox), closing(Lab(tmp_path, kernelspecs)) as lab:
        page = firefox.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        nb = Notebook(page, lab, lab.write([PANEL], KERNEL))
        nb.run(0)
        chat_and_stop(page, nb.output(0))


def test_voila(page: Page, kernelspecs: Path, tmp_path: Path) -> None:
    with closing(voila(tmp_path, kernelspecs, [PANEL], KERNEL)) as server:
        page.goto(server.url)
        chat_and_stop(page, page.locator("body"))


@pytest.mark.parametrize("mode", ["run", "edit"])
def test_marimo(page: Page, tmp_path: Path, mode: str) -> None:
    with closing(marimo(tmp_path, mode, PANEL)) as server:
        page.goto(server.url)
        chat_and_stop(page, page.locator("marimo-anywidget"))
