"""The conversation in the file of a notebook, with real kernels: written by any thread, read by the next kernel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert.exporters import HTMLExporter, MarkdownExporter

from llama_widgets.widgets.kept import MIME, OUTPUTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.harness import Kernel, Message

PANEL = """
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.worker import Worker
worker = Worker(lambda: ScriptedEngine(None), find=Path)
panel = lw.ChatPanel("/a/secret/place/m.gguf", worker=worker)
"""


def transcripts(kernel: Kernel) -> dict[str, dict[str, Any]]:
    """Return what the outputs hold now, by their display ids, in their order."""
    held: dict[str, dict[str, Any]] = {}
    for message in kernel.received:
        content: Message = message["content"]
        if message["msg_type"] in {"display_data", "update_display_data"} and "display_id" in content["transient"]:
            held[content["transient"]["display_id"]] = content["data"]
    return held


def says(kernel: Kernel, text: str) -> bool:
    return any(text in data["text/html"] for data in transcripts(kernel).values())


def test_turns_are_written_where_the_panel_is_shown(kernel: Kernel) -> None:
    shown = kernel.run(PANEL + "print(panel.model_id)\npanel")
    assert (shown.status, shown.stderr, len(shown.displays)) == ("ok", "", OUTPUTS)
    panel = shown.stdout.strip()
    kernel.send_custom(panel, {"type": "ask", "request_id": "q", "text": "delta gamma"})
    kernel.until(lambda: says(kernel, "gamma delta"))

    asked = kernel.run("panel.ask('beta alpha').text")  # what runs notebooks takes nothing after the end of a cell
    assert (asked.stdout, asked.stderr, asked.result) == ("", "", "'alpha beta '")
    assert [message["msg_type"] for message in asked.displays] == ["update_display_data"]
    assert says(kernel, "alpha beta")
    assert len(transcripts(kernel)) == OUTPUTS

    again = kernel.run("panel")
    assert [message["msg_type"] for message in again.displays] == ["display_data"] * OUTPUTS
    assert "/a/secret" not in json.dumps(transcripts(kernel))
    assert "ChatPanel" in again.result

    kernel.run("panel.clear()")
    assert not says(kernel, "alpha beta")
    kernel.run("panel.undo()")
    assert says(kernel, "alpha beta")
    kernel.run("panel.keep = False")
    assert MIME not in json.dumps(transcripts(kernel))


def test_the_next_kernel_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(PANEL + "panel")
    kernel.run("panel.ask('beta alpha'); panel.regenerate(); panel.new_conversation('Two'); panel.ask('delta gamma')")
    whole = kernel.run("print(panel.to_json())").stdout
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in transcripts(kernel).values()]
    cell = {"cell_type": "code", "id": "a", "source": "", "metadata": {}, "execution_count": 1, "outputs": outputs}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook))
    kernel.restart()
    setup = PANEL.rpartition("panel = ")[0]
    going_on = setup + f"__session__ = {str(tmp_path / 'a.ipynb')!r}\npanel = lw.ChatPanel.from_notebook(worker=worker)"
    assert kernel.run(going_on).error == ""
    assert json.loads(kernel.run("print(panel.to_json())").stdout) == {**json.loads(whole), "model": "m.gguf"}
    assert kernel.run("panel.ask('b a').text").result == "'a b '"
    noticed = kernel.run("panel = lw.ChatPanel.from_notebook(worker=worker)\nprint(len(panel.messages))")
    assert noticed.stdout == "4\n"  # this kernel's own, which is not saved


@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter])
def test_a_converted_notebook_shows_it_once(kernel_name: str, tmp_path: Path, exporter: Any) -> None:  # noqa: ANN401
    new: Any = nbformat.v4
    sources = [PANEL + "panel", "panel.ask('beta <b>alpha</b>')\nNone", "for _ in range(3): panel.ask('x')"]
    notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=120, kernel_name=kernel_name, resources={"metadata": {"path": tmp_path}}).execute()
    notebook.metadata.pop("widgets", None)  # front ends save no state of widgets unless they are told to
    validate: Any = nbformat.validate
    validate(notebook)
    text, _ = exporter(exclude_input=True).from_notebook_node(notebook)
    assert text.count("&lt;b&gt;alpha&lt;/b&gt; beta") == 1
    assert text.count("lw-transcript") == OUTPUTS
    assert "ChatPanel" not in text
    assert "secret" not in text
    assert "Error" not in text.partition("lw-transcript")[2]
