"""What a streamed answer costs on the WebSocket of a real JupyterLab, beside a bare widget that appends deltas.

The scripted engine says 2,000 tokens (8.5 kB) at 150 a second; the bare widget appends the same text 30 times a second.
Chromium counts the bytes and frames it receives, and tells when the last word is on the page.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.table import Row
from tests.browser.lab import Lab, Notebook, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, WebSocket

TOKENS, RATE = 2000, 150.0

WORDS = f"""
import time
words = [("word " if i % 4 else "and ") for i in range({TOKENS - 1})] + ["THE-END"]
"""

OURS = (
    WORDS
    + f"""
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
made = []
def script(command):
    for word in words:
        made[:] = [time.time()]
        yield word
panel = lw.ChatPanel("m.gguf", worker=lw.Worker(lambda: ScriptedEngine(script, rate={RATE}), find=Path))
panel
"""
)

BARE = (
    WORDS
    + """
import anywidget, threading, traitlets
class Bare(anywidget.AnyWidget):
    _esm = '''export default { render({ model, el }) {
        const text = document.createTextNode("");
        el.append(text);
        model.on("msg:custom", m => text.appendData(m.text));
    } }'''
made = []
def run(widget):
    start, sent = time.time(), 0
    while sent < len(words):
        due = min(len(words), int((time.time() - start) * RATE))
        if due > sent:
            made[:] = [time.time()]
            widget.send({"type": "delta", "text": "".join(words[sent:due])})
            sent = due
        time.sleep(1 / 30)
widget = Bare()
widget
"""
).replace("RATE", str(RATE))

GO = {"ours": "answer = panel.submit('go')", "bare": "threading.Thread(target=run, args=(widget,)).start()"}


@dataclass
class Cost:
    """What the browser received, and how long after its making the last word was there."""

    kilobytes: float
    frames: int
    late_s: float


def rows() -> Iterator[Row]:
    """Yield bytes, frames and lateness."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        root = Path(folder)
        lab = Lab(root / "lab", kernelspec(root))
        try:
            costs = {name: _measure(browser.new_page(), lab, name) for name in GO}
        finally:
            lab.close()
    ours, bare = costs["ours"], costs["bare"]
    name = f"{TOKENS} tokens at {RATE:g}/s:"
    yield Row(f"{name} received", "kB", ours.kilobytes, bare.kilobytes, "≤ 250", ours.kilobytes <= 250)
    yield Row(f"{name} received", "frames", ours.frames, bare.frames, "≤ 450", ours.frames <= 450)
    yield Row(f"{name} last token visible after", "s", ours.late_s, bare.late_s, "≤ 0.2", ours.late_s <= 0.2)


def _measure(page: Page, lab: Lab, name: str) -> Cost:
    sizes: list[int] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: sizes.append(len(data if isinstance(data, bytes) else data.encode())))

    page.on("websocket", listen)
    notebook = Notebook(page, lab, lab.write([OURS if name == "ours" else BARE, GO[name], "made[0]"], "benchmark"))
    notebook.run(0)
    page.wait_for_timeout(2000)  # the first pings of a view belong to opening it
    del sizes[:]
    notebook.start(1)
    page.evaluate(
        """() => new Promise(found => {
            const look = () => {
                const outputs = [...document.querySelectorAll('.jp-Cell-outputArea')];
                if (outputs.some(output => output.textContent.includes('THE-END'))) {
                    window.seenAt = Date.now() / 1000; found();
                } else requestAnimationFrame(look);
            };
            look();
        })"""
    )
    page.wait_for_timeout(500)  # the settled turn comes after the last word and is part of the cost
    kilobytes, frames = sum(sizes) / 1000, len(sizes)
    seen_at = page.evaluate("window.seenAt")
    notebook.run(2)
    made = float(notebook.output(2).inner_text().split("\n")[-1])
    page.close()
    return Cost(kilobytes, frames, seen_at - made)


def kernelspec(root: Path) -> Path:
    """Make a folder with a kernel named "benchmark", and return what belongs into ``JUPYTER_PATH``."""
    spec: dict[str, Any] = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "benchmark",
        "language": "python",
    }
    folder = root / "jupyter" / "kernels" / "benchmark"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    return root / "jupyter"
