"""A class that begins the same because a file says so, in a kernel as a hub starts it."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import TYPE_CHECKING

from tests.conftest import KERNELS
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_files_set_and_lock_holds_in_a_kernel(
    kernelspecs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del kernelspecs  # known to Jupyter now
    folder, profile = tmp_path / "jupyter_config.d", tmp_path / "ipython" / "profile_default"
    folder.mkdir()
    profile.mkdir(parents=True)
    (folder / "class.json").write_text(json.dumps({"LlamaWidgets": {"max_tokens": 9, "lock": ["max_tokens"]}}))
    (profile / "ipython_kernel_config.py").write_text("c.LlamaWidgets.temperature = 0.5\n")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with closing(Kernel(list(KERNELS)[-1], cwd=str(tmp_path), env=dict(os.environ))) as kernel:
        shown = kernel.run("import llama_widgets as lw; panel = lw.ChatPanel(); panel.max_tokens, panel.temperature")
        assert shown.result == "(9, 0.5)"
        refused = kernel.run("lw.classroom(max_tokens=10)")
        assert "LockedError" in refused.error
        assert "It was locked by class.json." in refused.error
        assert kernel.run("lw.classroom(top_k=1)").result == (
            "<Classroom: max_tokens 9 (locked), temperature 0.5, top_k 1>"
        )
