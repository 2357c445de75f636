"""The header of a model that is still on the hub: the real huggingface_hub asks the local hub for parts of the file."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub import Hub

SIZE = 300 * 10**6
NAME = "user/large/m-Q4_K_M.gguf"
CODE = """
import dataclasses, json, sys
from llama_widgets.errors import LlamaWidgetsError
from llama_widgets.library import catalogue, hub
from llama_widgets.library.references import parse
reference = parse("hf:user/large")
try:
    file = hub.lookup(reference, None)[0]
    found = catalogue.header(file, None, vocabulary=json.loads(sys.argv[1]))
    print(json.dumps(dataclasses.asdict(found)))
except Exception as error:
    translated = hub.translate(error, reference)
    print(json.dumps({"code": translated.code, "message": translated.message}))
"""


@pytest.fixture
def large(hub: Hub, tmp_path: Path) -> Hub:
    path = tiny.write(tmp_path / "m.gguf", n_vocab=100_000, template="{{ messages }}")
    with path.open("r+b") as file:
        file.truncate(SIZE)
    hub.files[NAME] = path
    return hub


def look(*, vocabulary: bool) -> dict[str, Any]:
    """Ask in another process, as huggingface_hub reads its address when it is imported."""
    command = [sys.executable, "-c", CODE, json.dumps(vocabulary)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def fetched(hub: Hub) -> int:
    """Return the bytes of the file that were asked for."""
    parts = [re.fullmatch(r"bytes=(\d+)-(\d+)", request.range or "") for request in hub.asked("GET", "/cdn/")]
    return sum(int(part[2]) + 1 - int(part[1]) for part in parts if part)


def test_what_decides_on_its_size_is_in_64_kilobytes(large: Hub) -> None:
    found = look(vocabulary=False)
    assert found["values"]["llama.embedding_length"] == tiny.WIDTH
    assert found["values"]["tokenizer.ggml.tokens"]["count"] == 100_000
    assert fetched(large) == 2**16


def test_a_file_that_says_it_later_is_read_further(large: Hub, tmp_path: Path) -> None:
    large.files[NAME] = tiny.write(tmp_path / "late.gguf", n_vocab=100_000, vocabulary_first=True)
    found = look(vocabulary=False)
    assert found["values"]["llama.attention.head_count"] == 2
    assert found["values"]["tokenizer.ggml.tokens"]["count"] == 100_000
    assert fetched(large) > 10**6


def test_the_whole_header_is_a_few_megabytes(large: Hub) -> None:
    found = look(vocabulary=True)
    assert found["values"]["tokenizer.chat_template"] == "{{ messages }}"
    assert found["tensors"]["token_embd.weight"]["shape"] == [tiny.WIDTH, 100_000]
    assert 10**6 < fetched(large) < 10**7


@pytest.mark.parametrize(("key", "most"), [(b"general.x", 2**20), (b"tokenizer.x", 26 * 2**20)])
def test_what_goes_on_without_a_vocabulary_is_not_fetched(large: Hub, key: bytes, most: int) -> None:
    texts = b"".join(struct.pack("<Q", 1000) + bytes(1000) for _ in range(60_000))
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 8, 60_000) + texts
    large.files[NAME] = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry
    assert "m-Q4_K_M.gguf is cut short or damaged: there are more than" in look(vocabulary=False)["message"]
    assert fetched(large) < most


def test_a_hub_that_sends_only_whole_files(large: Hub) -> None:
    large.ranges = False
    assert look(vocabulary=False)["values"]["llama.block_count"] == 1
    assert look(vocabulary=True) == {
        "code": "hub",
        "message": "The server sends m-Q4_K_M.gguf as a whole only, so it cannot be looked into.",
    }


def test_what_is_no_model_is_refused(large: Hub) -> None:
    large.files[NAME] = b"<html>" * 1000
    assert "m-Q4_K_M.gguf is cut short or damaged" in look(vocabulary=False)["message"]


def test_a_refusal_of_the_hub_is_told_in_our_words(large: Hub) -> None:
    large.gated["user/large"] = 403
    assert look(vocabulary=False)["code"] == "gated"
