"""Every notebook runs from top to bottom, offline, says nothing on stderr, and shows what it promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import KERNELS

FOLDER = Path(__file__).parent.parent.parent / "notebooks"

PROMISES = {
    "chat_cells": ("Rayleigh", "'max_tokens'", "City(name='Paris'", "'name': 'wool'", "--temperature 0", "</small>"),
    "prompt_experiments": ("negative", "mean_logprob", "examples", "image/png", "('done', 12, 12)", "1,320,000 runs"),
    "quickstart": ("SmolLM2-135M-Instruct", "cached_tokens", "ChatPanel", "temperature", "True"),
    "structured_output": (
        *("Order(customer='Peter', item='coffee', count=2)", "Lars", "is not whole JSON", "uniqueItems"),
        *("sunny in Rome", "The same, to the last character.", "chat = lw.Chat("),
    ),
    "choosing_a_model": (
        *("135 million parameters", "fits: ", "ModelSelector", "tokens/s", "of 4 right", "max_tokens 200 (locked)"),
        *("'max_tokens' is set for this class", "nothing is set"),
    ),
    "how_language_models_work": (
        *("TokenView", "&lt;|im_start|&gt;", "left out", "surprise", "is drawn", "What is my name?", "rank 1"),
    ),
}
"""What a reader sees in the outputs of each notebook."""

*OLDER, LATEST = KERNELS


def _read(name: str) -> Any:  # noqa: ANN401 - nbformat says nothing of its types
    read: Any = nbformat.read
    return read(FOLDER / f"{name}.ipynb", as_version=4)


def test_no_notebook_is_forgotten() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PROMISES)


# What all of them share is tried in both kernels with one.
@pytest.mark.parametrize(
    ("name", "kernel"), [*((name, LATEST) for name in PROMISES), *(("quickstart", kernel) for kernel in OLDER)]
)
@pytest.mark.usefixtures("kernelspecs")
def test_a_notebook_runs(name: str, kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    notebook = _read(name)
    NotebookClient(notebook, timeout=120, kernel_name=kernel, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    failed = [cell for cell in notebook.cells if any(each.output_type == "error" for each in cell.get("outputs", []))]
    assert failed == [cell for cell in notebook.cells if "raises-exception" in cell.metadata.get("tags", [])]
    data = [output.get("data", {}) for output in outputs]
    # What stands beside a widget in one output is not seen where widgets are known and there is no kernel.
    assert not [each for each in data if "application/vnd.jupyter.widget-view+json" in each and each.get("text/html")]
    texts = [str(output.get("data", output)) for output in outputs]
    assert not [promise for promise in PROMISES[name] if not any(promise in text for text in texts)]


@pytest.mark.parametrize("name", PROMISES)
def test_a_notebook_is_kept_clean(name: str) -> None:
    notebook = _read(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")
