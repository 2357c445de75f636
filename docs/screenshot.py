"""Make ``docs/screenshot.png`` from the running product, with the demo model: ``python -m docs.screenshot``."""  # noqa: INP001

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import expect

from benchmarks.environments import kernelspec
from tests.browser.lab import Lab, Notebook, chromium

CELL = "import llama_widgets as lw\n\nlw.ChatPanel(lw.models()[0], temperature=0)"
QUESTIONS = ["How do I reverse a string in Python? Show code.", "Tell me a story about a llama."]


def main() -> None:
    """Ask two questions and take the picture while the second is answered."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        lab = Lab(Path(folder) / "lab", kernelspec(Path(folder)))
        try:
            page = browser.new_page(viewport={"width": 1180, "height": 1000})
            notebook = Notebook(page, lab, lab.write([CELL], "benchmark"))
            notebook.run(0)
            panel = notebook.output(0)
            ready = panel.get_by_role("status").get_by_text("Ready")
            for question in QUESTIONS:
                ready.wait_for()
                panel.get_by_role("textbox", name="Message").fill(question)
                panel.get_by_role("textbox", name="Message").press("Enter")
                panel.get_by_role("button", name="Stop").wait_for()
            answer = panel.get_by_role("group", name="Answer").nth(1)
            expect(answer).to_contain_text(".", timeout=60_000)
            page.wait_for_timeout(200)
            box = notebook.cell(0).bounding_box()
            page.screenshot(path=Path(__file__).with_suffix(".png"), clip=box)
        finally:
            lab.close()


if __name__ == "__main__":
    main()
