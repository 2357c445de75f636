"""llama.cpp's log goes to ``logging`` alone, and what the user prints is left alone."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llama_widgets.engines import native
from llama_widgets.errors import ContextError
from llama_widgets.options import LoadOptions

from . import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Bench

SCRIPT = """
import os, sys, threading
from pathlib import Path
from llama_widgets.cancel import Cancel
from llama_widgets.engines.llama import LlamaEngine
from llama_widgets.errors import ModelError
from llama_widgets.options import GenerationOptions
from llama_widgets.protocol import GenerateCompletion, LoadModel

model, bad = map(Path, sys.argv[1:])
engine = LlamaEngine()
lines = 0

def work():
    engine.init({})
    for path in (bad, model):
        try:
            engine.load(LoadModel(request_id="1", model="m"), path, lambda _: None, Cancel())
        except ModelError:
            pass
    cancel = Cancel()
    command = GenerateCompletion(request_id="2", prompt="Hello", options=GenerationOptions(max_tokens=16))
    for listener in (lambda _: None, lambda _: cancel.request()):
        engine.submit(command, listener, cancel)
        while engine.active:
            engine.step()

thread = threading.Thread(target=work)
thread.start()
while thread.is_alive():
    lines += 1
    print("user", lines)
    os.write(1, b"raw\\n")
    thread.join(0.01)
print("end", lines)
"""


def test_nothing_is_printed_and_no_print_is_lost(demo_model: Path, tmp_path: Path) -> None:
    bad = tiny.write(tmp_path / "bad.gguf")
    bad.write_bytes(bad.read_bytes().replace(b"llama", b"lemma"))
    # -u: the interpreter's own buffer would mix up the lines of print and os.write. The engine is not closed.
    command = [sys.executable, "-u", "-c", SCRIPT, str(demo_model), str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)

    *lines, end = done.stdout.splitlines()
    count = len(lines) // 2
    assert count > 1
    assert lines == [line for number in range(1, count + 1) for line in (f"user {number}", "raw")]
    assert end == f"end {count}"
    assert done.stderr == ""


def test_the_log_goes_to_logging_with_its_levels(
    empty: Bench, demo_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="llama_widgets.llama")
    empty.load(demo_model, n_ctx=256)
    loading = [record.levelno for record in caplog.records if "general.name" in record.getMessage()]
    assert logging.INFO in loading
    assert logging.DEBUG in {record.levelno for record in caplog.records}
    assert not any("\n" in record.getMessage() for record in caplog.records)

    with pytest.raises(ContextError):
        empty.engine.create_context(LoadOptions(n_ctx=16_777_216, check_memory=False), empty.cancel)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert any("failed to allocate" in error for error in errors)


def test_an_abort_is_not_logged_as_an_error(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    context = bench.context
    context.flag.set()
    context.add([1, 2, 3], 0, 0, draw=True)
    assert context.decode() == "aborted"
    context.clear()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_pieces_of_a_line_are_joined(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="llama_widgets.llama")
    router = native._LogRouter()
    with router.capture() as lines:
        for level, text in ((3, b"one "), (5, b"two"), (5, b"\nthr"), (5, b"ee\n"), (1, b"detail "), (5, b"of it\n")):
            router.write(level, text, None)
    assert list(lines) == [(logging.WARNING, "one two"), (logging.WARNING, "three")]
    assert caplog.messages == ["one two", "three"]
