"""Every notebook runs from top to bottom, offline, in both kernels, and says nothing on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Callable

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))


def _read(path: Path) -> Any:  # noqa: ANN401 - nbformat says nothing of its types
    read: Any = nbformat.read
    return read(path, as_version=4)


@pytest.fixture
def run(kernel_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[Any]]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))

    def execute(path: Path) -> list[Any]:
        notebook = _read(path)
        client = NotebookClient(
            notebook, timeout=120, kernel_name=kernel_name, resources={"metadata": {"path": tmp_path}}
        )
        client.execute()
        return [output for cell in notebook.cells for output in cell.get("outputs", [])]

    return execute


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, run: Callable[[Path], list[Any]]) -> None:
    outputs = run(path)
    assert outputs
    assert not [output for output in outputs if output.get("name") == "stderr" or output.output_type == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_clean(path: Path) -> None:
    notebook = _read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")


def test_the_quickstart_shows_what_it_promises(run: Callable[[Path], list[Any]]) -> None:
    (path,) = [path for path in NOTEBOOKS if path.stem == "quickstart"]
    texts = [str(output.get("data", output)) for output in run(path)]
    for promise in ("SmolLM2-135M-Instruct", "cached_tokens", "ChatPanel", "temperature", "True"):
        assert any(promise in text for text in texts), promise
