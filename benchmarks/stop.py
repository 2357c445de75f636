"""How long Stop takes for the person who presses it, in a real JupyterLab, while a cell of the notebook blocks.

From the click to the word "Ready" on the page, both seen by the page's own clock.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environments import kernelspec
from benchmarks.table import Row
from tests.browser.lab import Lab, Notebook, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 12

PANEL = """
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
engine = ScriptedEngine(lambda _: ("word " for _ in range(100_000)), rate=150)
panel = lw.ChatPanel("m.gguf", worker=lw.Worker(lambda: engine, find=Path))
panel
"""

CLICK = """() => new Promise(done => {
    const find = (role, name) => [...document.querySelectorAll(role)].find(node => node.textContent.includes(name));
    const start = performance.now();
    find("button", "Stop").click();
    const look = () => find("[role=status]", "Ready") ? done(performance.now() - start) : requestAnimationFrame(look);
    look();
})"""


def rows() -> Iterator[Row]:
    """Yield the 50th and 95th percentile."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        lab = Lab(Path(folder) / "lab", kernelspec(Path(folder)))
        try:
            times = _measure(Notebook(browser.new_page(), lab, lab.write([PANEL, BLOCK], "benchmark")))
        finally:
            lab.close()
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    yield Row(f"Stop while a cell blocks, click to Ready, p50 of {TIMES}", "ms", cuts[9])
    yield Row(
        f"Stop while a cell blocks, click to Ready, p95 of {TIMES}", "ms", cuts[18], None, "≤ 500", cuts[18] <= 500
    )


BLOCK = "import time; print('blocking', flush=True); time.sleep(600)"


def _measure(notebook: Notebook) -> list[float]:
    page = notebook.page
    notebook.run(0)
    panel = notebook.output(0)
    # The control comm proves itself with the first answers of the kernel; a person is not faster.
    page.wait_for_timeout(2500)
    notebook.start(1)
    notebook.output(1).get_by_text("blocking").wait_for()
    times = []
    for _ in range(TIMES):
        panel.get_by_role("textbox", name="Message").fill("go")
        panel.get_by_role("button", name="Send").click()
        panel.get_by_role("status").get_by_text("Answering").wait_for()
        times.append(page.evaluate(CLICK))
    notebook.interrupt()
    return times
