"""Markdown in JupyterLab: what is loaded when it is first needed, and how it looks and stays while it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.test_main_job import answers, ask, button, conversation, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.lab import Notebook

    Open = Callable[..., Notebook]

ANSWER = r"""
The mean of $n$ numbers is \(\bar{x}\), which costs $5 and $6.[^why]

$$
\bar{x} = \frac{1}{n} \sum_{i=1}^{n} x_i
$$

\[
A = \begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}, \qquad \begin{aligned} a &= 1 \\ b &= \sqrt{a} \end{aligned}
\]

```python
def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)  # the usual one
```

- [x] mean
- [ ] median &copy; &rarr; &hellip;

| a | b |
|--:|---|
| 1 | $x^2$ |

See <https://example.org/a> or www.example.org.

[^why]: Because of *inflation*.
"""
TWO = f"""
import llama_widgets as lw
from pathlib import Path
from llama_widgets.engines.scripted import ScriptedEngine
engine = ScriptedEngine(lambda _: {ANSWER!r}.splitlines(keepends=True))
worker = lw.Worker(lambda: engine, find=Path)
panel, other = (lw.ChatPanel('m.gguf', worker=worker, height='800px') for _ in range(2))
panel
"""


def test_colours_and_formulas_come_when_they_are_needed_and_once_for_all_panels(notebook: Open) -> None:
    nb = notebook([TWO, "other"])
    received: list[str] = []

    def look(frame: bytes | str) -> None:
        text = frame if isinstance(frame, str) else frame.decode(errors="replace")
        if '"part_code"' in text:
            received.extend(part for part in ("highlight", "math") if f'"name": "{part}"' in text)

    nb.page.on("websocket", lambda socket: socket.on("framereceived", look))
    nb.page.reload()
    nb.page.wait_for_selector(".jp-Notebook .jp-Cell")
    nb.wait_for_kernel()
    nb.run(0)
    nb.run(1)
    for index in (0, 1):
        panel = nb.output(index)
        ask(nb.page, panel, "What is the mean?")
        wait_until_ready(panel)
        answer = answers(panel)
        expect(answer.locator("math")).to_have_count(5)
        expect(answer.locator("pre code span").first).to_be_visible()
        expect(answer).to_contain_text("costs $5 and $6")
    assert sorted(received) == ["highlight", "math"]
    panel = nb.output(1)
    # Of the panel: JupyterLab draws the formulas of the hidden transcript too.
    formulas = conversation(panel).locator("math")
    formulas.first.scroll_into_view_if_needed()
    letter, _, fraction = (math.evaluate("e => e.getBoundingClientRect().height") for math in formulas.all()[:3])
    assert fraction > 1.5 * letter
    panel.get_by_role("button", name="Footnote 1").click()
    expect(panel.get_by_role("listitem").filter(has_text="inflation")).to_be_focused()
    panel.get_by_role("button", name="Back to the text").click()
    expect(panel.get_by_role("button", name="Footnote 1")).to_be_focused()
    expect(button(conversation(panel), "Copy code")).to_be_visible()
