"""The code of all widgets comes to the page once, from a model of its own: real anywidget, real JupyterLab."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    Open = Callable[..., Notebook]

ALL = (
    "import llama_widgets as lw, ipywidgets\n"
    "ipywidgets.VBox([lw.ModelSelector(), lw.DownloadProgress(), *(lw.ChatPanel('no/model.gguf') for _ in range(8))])"
)

# A widget that carries our loader, with code that takes its time and writes down what it hears.
PROBE = """
import anywidget, ipywidgets, traitlets
from llama_widgets.widgets.bundle import built
code = '''
await new Promise(done => setTimeout(done, 100));
export default () => {
    const heard = [];
    return {
        initialize({ model }) { model.on("msg:custom", message => heard.push(message)); },
        render({ model, el }) {
            const draw = () => { el.textContent = "heard " + heard.join(" "); };
            model.on("msg:custom", draw);
            draw();
        },
    };
};'''
class Slow(ipywidgets.Widget):
    code = traitlets.Unicode(code).tag(sync=True)
    css = traitlets.Unicode("").tag(sync=True)
class Probe(anywidget.AnyWidget):
    _esm = built("loader.js")
    _bundle = traitlets.Instance(ipywidgets.Widget).tag(sync=True, **ipywidgets.widget_serialization)
slow = Slow(model_id='hash-id')
probes = [Probe(_bundle=slow) for _ in range(5)]
for n in range(100):
    for probe in probes:
        probe.send(n)
ipywidgets.VBox(probes)
"""


def boxes(within: Locator) -> Locator:
    """Return the boxes for messages, of which each panel has one."""
    return within.get_by_role("textbox", name="Message")


def expect_all(within: Locator) -> None:
    expect(boxes(within)).to_have_count(8)
    expect(boxes(within).first).to_be_visible()
    expect(within.get_by_text("Nothing is being downloaded.")).to_be_visible()
    expect(within.locator(".lw-selector")).to_have_count(1)


def evaluated(page: Page) -> int:
    """Return how many times the code was evaluated in this page."""
    count: int = page.evaluate("new Set(Object.values(globalThis.__llama_widgets)).size")
    return count


def styles(page: Page) -> int:
    count: int = page.evaluate(
        "[...document.head.querySelectorAll('style')].filter(s => /[.]lw\\b/.test(s.textContent)).length"
    )
    return count


@pytest.fixture
def errors(page: Page) -> list[str]:
    """Return what goes wrong in the page: what nobody catches, and what is told to the console."""
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    return told


def ours(errors: list[str]) -> list[str]:
    return [error for error in errors if any(word in error for word in ("anywidget", "llama", "widget", "lw-"))]


def test_all_widgets_of_a_page_share_one_code(notebook: Open, errors: list[str]) -> None:
    nb = notebook([ALL])
    nb.run(0)
    expect_all(nb.output(0))
    assert (evaluated(nb.page), styles(nb.page)) == (1, 1)
    assert ours(errors) == []


def test_no_message_is_lost_while_the_code_is_on_its_way(notebook: Open) -> None:
    nb = notebook([PROBE])
    nb.run(0)
    heard = "heard " + " ".join(str(n) for n in range(100))
    expect(nb.output(0).get_by_text(heard)).to_have_count(5)


def test_a_reload_gets_the_code_again(notebook: Open, errors: list[str]) -> None:
    nb = notebook([ALL])
    nb.run(0)
    expect_all(nb.output(0))
    nb.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    nb.page.reload()
    expect_all(nb.output(0))
    assert (evaluated(nb.page), styles(nb.page)) == (1, 1)
    assert ours(errors) == []


def test_after_a_restart_old_widgets_keep_still_and_new_ones_need_no_new_code(
    notebook: Open, errors: list[str]
) -> None:
    nb = notebook([ALL, ALL])
    nb.run(0)
    expect_all(nb.output(0))
    nb.restart_kernel()
    nb.run(1)
    for each in (nb.output(0), nb.output(1)):
        expect_all(each)
    expect(boxes(nb.output(1)).first).to_be_enabled()
    assert (evaluated(nb.page), styles(nb.page)) == (1, 1)
    assert ours(errors) == []


def test_after_closing_everything_the_next_widget_is_drawn(notebook: Open, errors: list[str]) -> None:
    nb = notebook([ALL, "ipywidgets.Widget.close_all()\n" + ALL])
    nb.run(0)
    expect_all(nb.output(0))
    nb.run(1)
    expect_all(nb.output(1))
    assert ours(errors) == []


def test_two_kernels_on_one_page(notebook: Open, lab: Lab, errors: list[str]) -> None:
    nb = notebook([ALL])
    nb.run(0)
    expect_all(nb.output(0))
    other = lab.write([ALL], "llama-widgets-ipykernel7")
    nb.page.evaluate("path => window.jupyterapp.commands.execute('docmanager:open', {path})", other)
    second = nb.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(second.locator(".jp-Cell")).to_have_count(1)
    expect(second.locator('.jp-NotebookPanel-toolbar [data-status="idle"]')).to_be_visible()
    nb.start(0)
    expect_all(second)
    assert evaluated(nb.page) == 1
    assert ours(errors) == []


@pytest.fixture
def keeping_lab(kernelspecs: Path, tmp_path: Path) -> Iterator[Lab]:
    """Return a server whose notebooks keep the state of their widgets."""
    settings = tmp_path / "lab" / "settings" / "@jupyter-widgets" / "jupyterlab-manager"
    settings.mkdir(parents=True)
    (settings / "plugin.jupyterlab-settings").write_text('{"saveState": true}')
    lab = Lab(tmp_path / "lab", kernelspecs)
    yield lab
    lab.close()


def test_a_saved_notebook_holds_the_code_once_and_comes_back(page: Page, keeping_lab: Lab, errors: list[str]) -> None:
    name = keeping_lab.write([ALL], "llama-widgets-ipykernel7")
    nb = Notebook(page, keeping_lab, name)
    nb.run(0)
    expect_all(nb.output(0))
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    file = keeping_lab.root / "notebooks" / name
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    metadata = json.loads(file.read_text())["metadata"]["widgets"]
    states = [model["state"] for model in metadata["application/vnd.jupyter.widget-state+json"]["state"].values()]
    assert sum("code" in state for state in states) == 1
    assert file.stat().st_size < 300_000
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    nb.open()
    expect_all(nb.output(0))
    assert ours(errors) == []
