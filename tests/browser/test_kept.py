"""What is left when the kernel is gone: the transcript in the saved notebook, and files that were saved and opened."""

from __future__ import annotations

import json
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook, Notebook7
from tests.browser.test_main_job import PANEL, answers, ask, button, conversation, wait_for_text, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    Open = Callable[..., Notebook]

KERNEL = "llama-widgets-ipykernel7"
SHORT = PANEL.replace("temperature=0", "temperature=0, max_tokens=20")
QUESTION = "Name a colour, <b>please</b>."
GO_ON = (
    "import llama_widgets as lw\npanel = lw.ChatPanel.from_notebook(lw.models()[0], or_new=True, max_tokens=20)\npanel"
)


def save(page: Page) -> None:
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


def end_kernels(server: Lab | Notebook7) -> None:
    with urllib.request.urlopen(f"{server.url}/api/sessions") as answer:
        sessions = json.load(answer)
    for session in sessions:
        request = urllib.request.Request(f"{server.url}/api/sessions/{session['id']}", method="DELETE")
        urllib.request.urlopen(request).close()


def transcript(output: Locator) -> Locator:
    return output.locator(".lw-transcript")


def pick(panel: Locator, item: str) -> None:
    button(panel, "More").click()
    panel.get_by_role("menuitem", name=item).click()


@pytest.mark.parametrize("server", [Lab, Notebook7])
def test_the_saved_notebook_shows_what_was_said(page: Page, kernelspecs: Path, tmp_path: Path, server: Any) -> None:  # noqa: ANN401
    with closing(server(tmp_path, kernelspecs)) as running:
        name = running.write([SHORT, "panel"], KERNEL)
        nb = Notebook(page, running, name)
        nb.run(0)
        nb.run(1)
        ask(page, nb.output(0), QUESTION)
        wait_for_text(nb.output(0))
        wait_until_ready(nb.output(0))
        words = " ".join(answers(nb.output(0)).locator(".lw-markdown").inner_text().split()[:5])
        for index in (0, 1):  # shown in two cells, and in neither beside the widget
            expect(transcript(nb.output(index)).filter(has_text=QUESTION)).to_contain_text(words)
            assert transcript(nb.output(index)).filter(visible=True).count() == 0
            expect(conversation(nb.output(index))).to_contain_text(QUESTION)
        save(page)
        kept = next(tmp_path.rglob(name)).read_text()
        assert str(Path.home()) not in kept
        assert "<script" not in kept
        page.goto("about:blank")
        end_kernels(running)
        nb.open()
        for index in (0, 1):
            shown = transcript(nb.output(index)).filter(has_text=QUESTION)
            expect(shown).to_be_visible()
            expect(shown).to_contain_text(words)
            expect(nb.output(index).get_by_text(QUESTION)).to_have_count(1)


def test_running_the_cell_again_goes_on(page: Page, kernelspecs: Path, tmp_path: Path) -> None:
    with closing(Lab(tmp_path, kernelspecs)) as lab:
        name = lab.write([GO_ON, "1 + 1"], KERNEL)
        nb = Notebook(page, lab, name)
        nb.run(0)
        ask(page, nb.output(0), QUESTION)
        wait_for_text(nb.output(0))
        wait_until_ready(nb.output(0))
        expect(transcript(nb.output(0)).filter(has_text=QUESTION)).to_have_count(1)
        save(page)
        page.goto("about:blank")
        end_kernels(lab)
        nb.open()
        expect(transcript(nb.output(0)).filter(has_text=QUESTION)).to_be_visible()
        nb.run(0)
        panel = nb.output(0)
        expect(conversation(panel)).to_contain_text(QUESTION)
        expect(answers(panel)).to_have_count(1)
        expect(panel).to_contain_text(f"This goes on from {name} as it was saved")
        assert transcript(panel).filter(visible=True).count() == 0
        ask(page, panel, "Another one.")
        expect(answers(panel)).to_have_count(2)
        wait_until_ready(panel)


def test_files_are_saved_and_opened_from_the_menu(notebook: Open, tmp_path: Path) -> None:
    nb = notebook([SHORT, "panel.clear()", "len(panel.conversations), panel.messages[0]['content']"])
    nb.run(0)
    page, panel = nb.page, nb.output(0)
    ask(page, panel, QUESTION)
    wait_for_text(panel)
    wait_until_ready(panel)
    saved: dict[str, Path] = {}
    for item in ("Markdown", "JSON", "notebook"):
        with page.expect_download() as download:
            pick(panel, f"Export as {item}")
        saved[item] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[item])
    assert [path.name for path in saved.values()] == [f"Name-a-colour-b-please-b.{s}" for s in ("md", "json", "ipynb")]
    assert saved["Markdown"].read_text().startswith(f"**You**\n\n{QUESTION}\n\n**Assistant**\n\n")
    assert len(json.loads(saved["notebook"].read_text())["cells"]) == 2

    pick(panel, "Clear")
    expect(answers(panel)).to_have_count(0)
    with page.expect_file_chooser() as chooser:
        pick(panel, "Import JSON")
    chooser.value.set_files(saved["JSON"])
    expect(answers(panel)).to_have_count(1)
    expect(conversation(panel)).to_contain_text(QUESTION)
    with page.expect_file_chooser() as chooser:
        pick(panel, "Import JSON")
    chooser.value.set_files(saved["Markdown"])
    expect(panel.get_by_role("alert")).to_contain_text("This is no conversation that can be read.")
    expect(answers(panel)).to_have_count(1)
