"""The kernels of the notebooks that are measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

PANEL = Path(__file__).resolve().parent.parent / ".cache" / "panel"
_RIVAL = ("panel==1.9.4", "jupyter_bokeh==4.1.0", "ipykernel==7.4.0")


def kernelspec(root: Path, name: str = "benchmark", python: str = sys.executable) -> Path:
    """Make a folder with a kernel of that name, and return what belongs into ``JUPYTER_PATH``."""
    spec: dict[str, Any] = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
    }
    folder = root / "jupyter" / "kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    return root / "jupyter"


def panel_python() -> str:
    """Return a Python that has Panel, in an environment of its own that stays in ``.cache``."""
    python = PANEL / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = PANEL / "done"
    if not done.exists():
        venv.create(PANEL, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_RIVAL], check=True)
        done.touch()
    return str(python)
