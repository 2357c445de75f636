"""Messages that are filled in a real kernel, with the real model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel

PANEL = (
    "import llama_widgets as lw\n"
    "panel = lw.ChatPanel(lw.models()[0], temperature=0, max_tokens=8)\n"
    "print(panel.model_id)"
)


def test_variables_of_the_notebook_are_filled_in_and_counted(kernel: Kernel) -> None:
    outcome = kernel.run(f"{PANEL}\ntown = 'Winterthur'\n_ = panel.load()")
    panel = outcome.stdout.strip()
    kernel.send_custom(panel, {"type": "complete", "request_id": "c", "source": "tow"})
    kernel.until(lambda: bool(kernel.customs(panel, "completions")))
    assert kernel.customs(panel, "completions")[0]["names"] == ["town"]
    kernel.send_custom(panel, {"type": "preview", "request_id": "p", "text": "{town} {town.upper()}"})
    kernel.until(lambda: bool(kernel.customs(panel, "previewed")))
    simple, call = kernel.customs(panel, "previewed")[0]["inserts"]
    assert (simple["text"], call["text"]) == ("Winterthur", None)
    assert 2 <= simple["tokens"] <= 8
    kernel.send_custom(panel, {"type": "ask", "request_id": "q", "text": "Where is {town.upper()}?"})
    kernel.until(lambda: bool(kernel.customs(panel, "completion_done")))
    shown = kernel.run("print(panel.messages[0]['content'], panel.messages[0]['inserts'][0]['tokens'] > 1)")
    assert (shown.stdout.strip(), shown.stderr) == ("Where is WINTERTHUR? True", "")


def test_the_draft_comes_back_to_a_page_that_is_opened(kernel: Kernel) -> None:
    panel = kernel.run(PANEL).stdout.strip()
    kernel.send_custom(panel, {"type": "draft", "request_id": "d", "text": "Half a"})
    kernel.send_custom(panel, {"type": "hello", "request_id": "h"})
    kernel.until(lambda: bool(kernel.customs(panel, "draft")))
    assert kernel.customs(panel, "draft")[0]["text"] == "Half a"
