"""What a view gets of many answers that stream as fast as they can: every word, once, in its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel

ANSWERS = 30
PANEL = """
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
def script(command):
    return (f"{len(command.messages)}-{i} " for i in range(2000))
worker = lw.Worker(lambda: ScriptedEngine(script), find=Path)
panel = lw.ChatPanel("m.gguf", worker=worker)
print(panel.model_id)
"""


def test_no_word_is_lost_cut_or_doubled(kernel: Kernel) -> None:
    panel = kernel.run(PANEL).stdout.strip()
    for turn in range(ANSWERS):
        request = f"q{turn}"
        kernel.send_custom(panel, {"type": "ask", "request_id": request, "text": "go"})
        kernel.wait_for(partial(_ends, request=request))
        chunks = [chunk for chunk in kernel.customs(panel, "completion_chunk") if chunk["request_id"] == request]
        settled = [each for each in kernel.customs(panel, "turn") if each["request_id"] == request][-1]["turn"]
        said = "".join(f"{2 * turn + 1}-{i} " for i in range(2000))
        assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
        assert "".join(chunk["text"] for chunk in chunks) == said
        assert settled["streamed"] == [len(said), 0]
        assert kernel.run(f"panel.messages[-1]['content'] == {said!r}").result == "True"


def _ends(message: dict[str, Any], request: str) -> bool:
    content = message["content"].get("data", {}).get("content", {})
    return bool(content.get("type") == "completion_done" and content["request_id"] == request)
