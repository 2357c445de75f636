"""A process that ends in the middle of an answer ends: no hang, no crash, not a word on stderr."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys, threading
from llama_widgets import protocol as p
from llama_widgets.worker import Worker

model, prompt, until = sys.argv[1:]
reached = threading.Event()

def hear(event):
    if event.type == until:
        reached.set()

worker = Worker()
worker.submit(p.LoadModel(request_id="1", model=model), hear)
worker.submit(p.GenerateCompletion(request_id="2", prompt=prompt), hear)
reached.wait()
print("goodbye")
"""


@pytest.mark.parametrize(
    ("prompt", "until"),
    [("Once upon a time", "completion_chunk"), ("blue " * 4000, "progress")],
    ids=["decode", "read"],
)
def test_the_interpreter_exits_while_the_model_answers(demo_model: Path, prompt: str, until: str) -> None:
    command = [sys.executable, "-c", SCRIPT, str(demo_model), prompt, until]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, done.stdout, done.stderr) == (0, "goodbye\n", "")
