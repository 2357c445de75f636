"""A real model comes from a hub on loopback: paused, the kernel restarted, resumed, chosen and asked."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook
from tests.browser.test_main_job import answers, ask, button, message_box, wait_for_text, wait_until_ready
from tests.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

FILE = "user/smol/Fetched-135M-Q4_K_M.gguf"
PANEL = "import llama_widgets as lw\npanel = lw.ChatPanel(temperature=0)\npanel"


@pytest.fixture(scope="module")
def hub(demo_model: Path) -> Iterator[Hub]:
    with Hub({FILE: demo_model, "user/gated/m-Q4_0.gguf": b"GGUF"}) as hub:
        hub.gated["user/gated"] = 403
        yield hub


@pytest.fixture(scope="module")
def hub_lab(hub: Hub, kernelspecs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("hub-lab"), kernelspecs, HF_ENDPOINT=hub.endpoint)
    yield lab
    lab.close()


def name_model(page: Page, notebook: Notebook, reference: str) -> None:
    notebook.output(0).get_by_role("combobox", name="Model").fill(reference)
    page.keyboard.press("Enter")


def test_download_pause_restart_resume_choose_chat(page: Page, hub: Hub, hub_lab: Lab, demo_model: Path) -> None:
    size = demo_model.stat().st_size
    hub.hold_at = size * 3 // 10
    nb = Notebook(page, hub_lab, hub_lab.write([PANEL], "llama-widgets-ipykernel7"))
    nb.run(0)
    panel = nb.output(0)
    name_model(page, nb, "hf:user/smol:Q4_K_M")
    bar = panel.get_by_role("progressbar", name=re.compile("Fetched-135M"))
    expect(bar).to_have_attribute("aria-valuenow", re.compile("29|30"))
    button(panel, "Pause").click()
    expect(button(panel, "Resume")).to_be_visible()
    expect(panel).to_contain_text("paused")
    page.screenshot(path=str(hub_lab.root / "paused.png"))

    nb.restart_kernel()
    hub.hold_at = None
    hub.requests.clear()
    nb.run(0)
    name_model(page, nb, "hf:user/smol:Q4_K_M")
    expect(panel.get_by_role("row", name=re.compile("Fetched-135M"))).to_be_visible()
    ranges = [request.range for request in hub.requests if request.range and "gguf" in request.path]
    begun = [int(re.findall(r"\d+", each)[0]) for each in ranges]
    assert min(begun) >= size * 29 // 100, ranges
    (fetched,) = [path for path in hub_lab.root.rglob("Fetched-135M-Q4_K_M.gguf") if path.exists()]
    assert hashlib.sha256(fetched.read_bytes()).hexdigest() == hub.sha256(FILE)

    panel.get_by_role("button", name=re.compile("Load Fetched-135M")).click()
    wait_until_ready(panel)
    expect(button(panel, "Fetched-135M · Q4_1")).to_be_visible()
    ask(page, panel, "Say hello.")
    wait_for_text(panel)
    message_box(panel).press("Escape")
    wait_until_ready(panel)
    expect(answers(panel)).to_have_count(1)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("hf:user/unknown:Q4_K_M", "unknown"),
        ("hf:user/smol:Q2_K", "Q4_K_M"),
        ("hf:user/gated:Q4_0", "token"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_to_do(page: Page, hub_lab: Lab, reference: str, words: str) -> None:
    nb = Notebook(page, hub_lab, hub_lab.write([PANEL], "llama-widgets-ipykernel7"))
    nb.run(0)
    name_model(page, nb, reference)
    alert = nb.output(0).get_by_role("alert")
    expect(alert).to_have_count(1)
    expect(alert).to_contain_text(words)
