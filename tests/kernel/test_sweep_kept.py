"""The table of a sweep in the file of a notebook, with real kernels: there when the cell is over, and harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel, Message

SWEEP = """
import threading
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.worker import Worker
go = threading.Event()
worker = Worker(lambda: ScriptedEngine(lambda command: ["one ", go, "<b>two</b>"]), find=Path)
sweep = lw.sweep(["alpha"], models="/a/secret/place/m.gguf", seeds=2, worker=worker)
"""


def table(kernel: Kernel) -> str:
    """Return what the output holds now."""
    held = ""
    for message in kernel.received:
        content: Message = message["content"]
        if message["msg_type"] in {"display_data", "update_display_data"}:
            held = content["data"].get("text/html", held)
    return held


def test_the_table_says_all_when_the_cell_has_ended(kernel: Kernel) -> None:
    shown = kernel.run(SWEEP + "sweep")
    assert (shown.status, shown.stderr) == ("ok", "")
    assert "lw-sweep-kept" in table(kernel)

    # What runs notebooks takes nothing after the end of a cell.
    waited = kernel.run("go.set()\nsweep.wait(progress=False); None")
    assert (waited.status, waited.stdout, waited.stderr) == ("ok", "", "")
    assert {message["msg_type"] for message in waited.displays} == {"update_display_data"}
    assert table(kernel).count("one &lt;b&gt;two&lt;/b&gt;") == 2
    assert "secret" not in table(kernel)
