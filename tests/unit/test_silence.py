"""Nothing is printed into the user's cells, whatever goes wrong behind them."""

from __future__ import annotations

import subprocess
import sys

import pytest

LISTENER = """
from pathlib import Path
from llama_widgets.chat.conversation import Chat
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.worker import Worker

worker = Worker(ScriptedEngine, find=Path)
worker.watch(lambda state: 1 / 0)
print(Chat("a.gguf", worker=worker).ask("world hello"))
"""

REFUSED = """
import gc
import llama_widgets as lw

for make in (lw.ChatPanel, lw.ModelSelector, lw.DownloadProgress):
    for arguments in ([5], [], ["a", 2, 3, 4]):
        try:
            make(*arguments, temprature=1)
        except (lw.LlamaWidgetsError, TypeError):
            gc.collect()
print("hello world")
"""


@pytest.mark.parametrize("script", [LISTENER, REFUSED], ids=["a listener that fails", "widgets that are refused"])
def test_nothing_goes_to_stderr(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "hello world", "")
