"""Chats that are open in the pages of a real JupyterLab, and what their answers take.

Chromium counts the frames of the WebSocket and tells when the last word has been painted; the processor's time is that
of the kernel's process. It has a window: without one it passes over most frames in which little has changed, and a
letter is drawn with the next frame that has more (its trace says "Draw skipped").
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks import chats
from benchmarks.environments import PANEL, kernelspec, screen
from tests.browser.lab import Lab, Notebook, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Browser, WebSocket

EXECUTE = """async code => {
    const panel = window.jupyterapp.shell.currentWidget;
    let said = "";
    const future = panel.sessionContext.session.kernel.requestExecute({code, store_history: false});
    future.onIOPub = ({content}) => { said += content.text ?? content.ename ?? ""; };
    await future.done;
    return said;
}"""

WATCH = """answers => {
    const deep = (wanted, root = document) => [...root.querySelectorAll("*")].flatMap(node =>
        node.matches(wanted) ? [node] : node.shadowRoot ? deep(wanted, node.shadowRoot) : []);
    const find = () => [...eval(answers)];
    const texts = answer => answer.shadowRoot ? [...answer.shadowRoot.querySelectorAll("p")] : [answer];
    const before = find().length;
    window.watched = new Promise(done => {
        let gaps = 0, last, answer;
        const look = now => {
            const gap = now - (last ?? now);
            if (gap > 50) gaps += gap;
            last = now;
            if (!answer?.isConnected) answer = find()[before];
            const end = answer && texts(answer).at(-1);
            if (end && (end.lastElementChild ?? end).textContent.includes("THE-END"))
                // In the next frame: this one is still to be painted. By then the answer may have settled, in another
                // element; one that has left the page runs its paragraphs together.
                requestAnimationFrame(() => done({
                    gaps, seen: Date.now() / 1000, text: texts(find()[before]).map(each => each.innerText).join(" "),
                }));
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    });
}"""


KEYS_SEEN = """() => {
    window.keys = [];
    new PerformanceObserver(list => {
        window.keys.push(...list.getEntries().filter(({name}) => name === "keydown").map(({duration}) => duration));
    }).observe({type: "event", durationThreshold: 16});
}"""


@dataclass(frozen=True)
class Cost:
    """What one answer took: kilobytes and frames received, seconds of the kernel's processor and of lateness.

    ``gaps`` are milliseconds that passed in pauses of the page longer than 50; ``words`` is how many are not as said.
    """

    kilobytes: float
    frames: int
    cpu: float
    late: float
    gaps: float
    words: int


class Chat:
    """A side in its notebook, in a page of its own."""

    def __init__(self, browser: Browser, lab: Lab, side: chats.Side) -> None:
        self._side = side
        self._sizes: list[int] = []
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.on("websocket", self._listen)
        self.notebook = Notebook(self.page, lab, lab.write(side.cells, side.kernel))
        for cell in range(len(side.cells)):
            self.notebook.run(cell)
        self.page.wait_for_timeout(2500)  # the first pings of a view belong to opening it
        self._kernel = psutil.Process(int(self.execute("print(os.getpid())")))
        self._text = self.execute("print(TEXT)").split()

    def execute(self, code: str) -> str:
        """Run code that is in no cell, and return what it prints."""
        said: str = self.page.evaluate(EXECUTE, code)
        return said

    def show(self, code: str) -> None:
        """Run code in the last cell, in place of what is there, and do not wait."""
        self.page.evaluate(
            """code => {
                const {widgets} = window.jupyterapp.shell.currentWidget.content;
                widgets.at(-1).model.sharedModel.setSource(code);
            }""",
            code,
        )
        self.notebook.start(len(self._side.cells) - 1)

    def begin(self) -> None:
        """Begin an answer."""
        self.page.evaluate(WATCH, self._side.answers)
        self.execute(self._side.go)

    def end(self) -> dict[str, Any]:
        """Wait for its last word, and return what the page saw."""
        seen: dict[str, Any] = self.page.evaluate("() => window.watched")
        return seen

    def answer(self) -> Cost:
        """Let it answer, and return what that took."""
        self.page.bring_to_front()
        self._sizes.clear()
        before = self._cpu()
        self.begin()
        seen = self.end()
        self.page.wait_for_timeout(500)  # what comes after the last word is part of the cost
        cpu, sizes = self._cpu() - before, list(self._sizes)
        late = seen["seen"] - float(self.execute("print(made[0])"))
        return Cost(sum(sizes) / 1000, len(sizes), cpu, late, seen["gaps"], wrong(seen["text"].split(), self._text))

    def wrong_words(self) -> int:
        """Let it answer, and return how many words are wrong, when the last one is there and when all is settled."""
        self.begin()
        streamed = self.end()["text"]
        self.page.wait_for_selector(".lw-growing", state="detached")
        settled = self.page.evaluate(f"() => [...{self._side.answers}].at(-1).innerText")
        return wrong(streamed.split(), self._text) + wrong(settled.split(), self._text)

    def type(self, keys: int) -> list[float]:
        """Let it answer and type meanwhile; return how many ms passed from each key to the next paint."""
        self.page.evaluate(KEYS_SEEN)
        box = self.notebook.output(len(self._side.cells) - 1).get_by_role("textbox", name="Message")
        box.focus()
        self.begin()
        self.page.wait_for_selector(".lw-growing")
        self.page.keyboard.type(("a word " * keys)[:keys], delay=100)
        if not self.page.locator(".lw-growing").count():
            raise RuntimeError("The answer ended before all was typed.")
        self.end()
        times: list[float] = self.page.evaluate("() => window.keys")
        return [*times, *[16.0] * (keys - len(times))]  # quicker ones are not told

    def _cpu(self) -> float:
        times = self._kernel.cpu_times()
        return float(times.user + times.system)

    def _listen(self, socket: WebSocket) -> None:
        socket.on(
            "framereceived", lambda data: self._sizes.append(len(data if isinstance(data, bytes) else data.encode()))
        )


def wrong(shown: Sequence[str], said: Sequence[str]) -> int:
    """Return how many words are missing, too many, or not what was said at their place."""
    return abs(len(shown) - len(said)) + sum(a != b for a, b in zip(shown, said, strict=False))


@contextmanager
def opened(*sides: chats.Side) -> Iterator[list[Chat]]:
    """Open the sides in one JupyterLab and one Chromium."""
    with tempfile.TemporaryDirectory() as folder, screen() as window, chromium(**window) as browser:
        root = Path(folder)
        for side in sides:
            kernels = kernelspec(root, side.kernel, side.python)
        if chats.panel in sides:
            (kernels / "labextensions").symlink_to(PANEL / "share" / "jupyter" / "labextensions")
        lab = Lab(root / "lab", kernels)
        try:
            yield [Chat(browser, lab, side) for side in sides]
        finally:
            lab.close()
