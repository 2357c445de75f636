"""How long 2,000 tokens with ten alternatives each take to be drawn, in a real JupyterLab.

From the moment that their message arrives in the page to the paint that shows all of them.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environments import kernelspec, screen
from benchmarks.table import Row
from tests.browser.lab import Lab, Notebook, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKENS, RUNS = 2000, 7

CELLS = (
    f"""
import random
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.widgets.messages.tokens import Line

draw = random.Random(1)
worker = lw.Worker(ScriptedEngine, find=Path)
WORDS = [" " + "".join(draw.choices("abcdefghij", k=draw.randint(1, 9))) for _ in range(500)]
def token(i):
    top = [{{"token": 10 * i + j, "text": draw.choice(WORDS), "logprob": -draw.random() * 4}} for j in range(10)]
    return {{**draw.choice(top), "rank": 1, "top": top}}
TOKENS = [token(i) for i in range({TOKENS})]
""",
    """
view = lw.TokenView("", "m.gguf", worker=worker)
view
""",
    'view.publish(Line(request_id="a", id="a", title="Answer", tokens=TOKENS))',
)

NOTE_ARRIVALS = """(() => {
    const {set, ...others} = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
    const note = handler => event => {
        const {data} = event;
        if ((data.byteLength ?? data.length ?? data.size) > 200_000) window.arrived = performance.now();
        return handler?.call(event.target, event);
    };
    const noting = {...others, set(handler) { set.call(this, note(handler)); }};
    Object.defineProperty(WebSocket.prototype, "onmessage", noting);
})()"""

WATCH = """count => {
    window.arrived = undefined;
    window.drawn = new Promise(done => {
        const look = () => {
            if (document.querySelectorAll("[role=option]").length === count)
                // In the next frame: this one is still to be painted.
                requestAnimationFrame(() => done(performance.now() - window.arrived));
            else requestAnimationFrame(look);
        };
        look();
    });
}"""


def rows() -> Iterator[Row]:
    """Yield the time to the paint."""
    times = []
    with tempfile.TemporaryDirectory() as folder, screen() as window, chromium(**window) as browser:
        root = Path(folder)
        lab = Lab(root / "lab", kernelspec(root, "tokens"))
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(NOTE_ARRIVALS)
            notebook = Notebook(page, lab, lab.write(CELLS, "tokens"))
            notebook.run(0)
            for _ in range(RUNS):
                notebook.run(1)
                notebook.output(1).get_by_role("tab").first.wait_for()
                page.wait_for_timeout(1000)  # what belongs to opening it
                page.evaluate(WATCH, TOKENS)
                notebook.start(2)
                times.append(page.evaluate("() => window.drawn"))
        finally:
            lab.close()
    median = statistics.median(times)
    yield Row(f"{TOKENS:,} tokens with alternatives, to the paint", "ms", median, limit="≤ 200", met=median <= 200)
