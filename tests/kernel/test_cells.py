"""Chat cells in real kernels, with the real model, run as front ends do: those that name their cells, and others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KERNELS
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.harness import Outcome

START = "%load_ext llama_widgets\nimport llama_widgets as lw\n%llama {lw.models()[0]} --temperature 0 --max-tokens 12"
LONG = "Tell me a very long story about a llama."


*_, LATEST = KERNELS
in_one_kernel = pytest.mark.parametrize("loaded", [LATEST], indirect=True)
"""For what does not hang on threads and on who is answered."""


@pytest.fixture(scope="module", params=KERNELS)
def loaded(
    request: pytest.FixtureRequest, kernelspecs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    """Return a kernel that has the magics, one for all tests: each would load the model again."""
    del kernelspecs  # made for its effect
    folder = str(tmp_path_factory.mktemp("cells"))
    kernel = Kernel(request.param, cwd=folder, env={**os.environ, "HF_HOME": folder})
    outcome = kernel.run(START)
    assert (outcome.status, outcome.stdout, outcome.stderr) == ("ok", "", ""), outcome
    yield kernel
    kernel.close()


@pytest.fixture
def cells(loaded: Kernel) -> Kernel:
    """Return the kernel, of which nothing was heard yet."""
    loaded.received.clear()
    return loaded


def data(message: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = message["content"]["data"]
    return found


def settled(outcome: Outcome) -> str:
    """Return the Markdown that stays of a cell's one output."""
    (display_id,) = {message["content"]["transient"]["display_id"] for message in outcome.displays}
    assert display_id
    return data(outcome.displays[-1])["text/markdown"]


def questions(kernel: Kernel, chat: str) -> str:
    code = f"[turn['content'] for turn in __import__('llama_widgets.cells').cells.chat({chat!r}).messages[::2]]"
    return kernel.run(code).result


def view_of(kernel: Kernel, request: str) -> str:
    """Wait for the view of the cell that runs, and return its model id."""
    mime = "application/vnd.jupyter.widget-view+json"
    shown = kernel.wait_for(lambda m: m["msg_type"] == "display_data" and mime in data(m), of=request)
    model: str = shown["content"]["data"][mime]["model_id"]
    kernel.send_custom(model, {"type": "hello", "request_id": "hello"})
    return model


def test_a_cell_ends_as_markdown_with_no_widget_left(cells: Kernel) -> None:
    cells.run("colour = 'blue'")
    outcome = cells.run("%%llama --as answer\nIs the sky {colour}?", "a")
    assert (outcome.status, outcome.stdout, outcome.stderr, outcome.result) == ("ok", "", "", "")
    first, last = data(outcome.displays[0]), data(outcome.displays[-1])
    assert "application/vnd.jupyter.widget-view+json" in first
    assert set(last) == {"text/markdown", "text/plain"}
    assert "12 tokens · cut at max tokens</small>" in last["text/markdown"]
    assert cells.run("answer.text").result == repr(last["text/plain"])
    model = first["application/vnd.jupyter.widget-view+json"]["model_id"]  # type: ignore[index]
    told = cells.wait_for(lambda m: m["msg_type"] == "comm_msg" and "settled" in m["content"]["data"].get("state", {}))
    assert told["content"]["data"]["state"]["settled"] == last  # for a page that was reloaded
    cells.send_custom(model, {"type": "shown", "request_id": "shown"})
    cells.wait_for(lambda m: m["msg_type"] == "comm_close" and m["content"]["comm_id"] == model)


@in_one_kernel
def test_a_run_from_end_to_end_is_the_same_each_time_and_has_no_widget(cells: Kernel) -> None:
    cell = "%%llama --chat story --temperature 1 --seed 4 --reproducible\nName a {what}."
    texts = []
    for _ in range(2):
        cells.run("what = 'bird'")
        texts.append([settled(cells.run(cell)), settled(cells.run(cell.replace("{what}", "fish")))])
        cells.run("from llama_widgets.cells import chat; chat('story').clear()")
    assert texts[0] == texts[1]
    assert "tokens/s" not in texts[0][0]
    assert not [m for m in cells.received if m["msg_type"] == "comm_open"]


@in_one_kernel
def test_running_cells_again_replaces_their_turns(cells: Kernel) -> None:
    for cell, text in [("a", "one"), ("b", "two"), ("c", "three"), ("b", "two again"), ("b", "two at last")]:
        assert cells.run(f"%%llama --chat x --max-tokens 2\n{text}", cell).status == "ok"
    assert questions(cells, "x") == "['one', 'two at last', 'three']"
    ask = "get_ipython().run_cell_magic('llama', '--chat x --max-tokens 2', text)"
    cells.run(f"for text in ('four', 'five'): {ask}", "d")
    assert questions(cells, "x") == "['one', 'two at last', 'three', 'four', 'five']"


def test_interrupting_keeps_the_partial_answer_in_the_output(cells: Kernel) -> None:
    request = cells.start(f"%%llama --max-tokens none --as story\n{LONG}", "a")
    model = view_of(cells, request)
    cells.until(lambda: bool(cells.customs(model, "completion_chunk")))
    cells.interrupt()
    outcome = cells.outcome(request)
    assert outcome.status == "error"
    assert outcome.error.startswith("KeyboardInterrupt")
    assert "· stopped</small>" in settled(outcome)
    (error,) = [m for m in cells.received if m["msg_type"] == "error"]
    assert error["content"]["traceback"] == [
        "KeyboardInterrupt: the answer was stopped; what was said until then is kept."
    ]
    assert cells.run("story.stop_reason").result == "'abort'"
    assert cells.run("%%llama\nAgain.", "a").status == "ok"


def test_later_cells_run_while_one_answers_in_the_background(cells: Kernel) -> None:
    cells.run("story = None")
    request = cells.start(f"%%llama --background --max-tokens none --as story\n{LONG}", "a")
    model = view_of(cells, request)
    assert cells.outcome(request).status == "ok"
    assert cells.run("story is None").result == "True"
    assert "1 cell" in cells.run("%llama").stdout
    cells.until(lambda: bool(cells.customs(model, "completion_chunk")))
    cells.send_custom(model, {"type": "abort", "request_id": "stop", "target": "generation"})
    last = cells.wait_for(lambda m: m["msg_type"] == "update_display_data")
    assert "· stopped</small>" in data(last)["text/markdown"]
    assert cells.run("story.stop_reason").result == "'abort'"


def test_a_cell_that_is_run_twice_quickly_in_the_background_is_asked_once_more(cells: Kernel) -> None:
    cell = f"%%llama --chat y --background --max-tokens none --as story\n{LONG}"
    first = view_of(cells, cells.start(cell, "a"))
    second = view_of(cells, cells.start(cell.replace("none", "3"), "a"))
    third = cells.start("%%llama --chat y --max-tokens 3\nAnd then?", "b")
    assert first != second
    assert cells.outcome(third).status == "ok"
    assert cells.run("story.stop_reason").result == "'max_tokens'"
    assert questions(cells, "y") == f"[{LONG!r}, 'And then?']"


@in_one_kernel
def test_what_goes_wrong_is_one_line_also_in_the_background(cells: Kernel) -> None:
    outcome = cells.run("%%llama nothing.gguf\nx", "a")
    assert outcome.error.startswith("ModelNotFoundError: There is no file 'nothing.gguf'.")
    outcome = cells.run('%%llama --json-schema \'{"type": "object", "not": {}}\'\nx', "b")
    assert outcome.error.startswith("GrammarError")
    cells.run("open('broken.gguf', 'w').write('no model')")
    cells.run("%%llama --background broken.gguf\nx", "c")
    last = cells.wait_for(
        lambda m: m["msg_type"] == "update_display_data" and "InvalidModelError:" in data(m).get("text/markdown", "")
    )
    assert "broken.gguf" in data(last)["text/plain"]
