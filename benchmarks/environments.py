"""What the notebooks run in that are measured: their kernels, and a screen for the browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@contextmanager
def screen() -> Iterator[dict[str, Any]]:
    """Give a browser a window: on a screen in memory where the machine has none, and needs one to have windows."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        yield {"headless": False}
        return
    path = shutil.which("Xvfb")
    if path is None:
        msg = "There is no screen for the browser on this machine: install the package xvfb."
        raise RuntimeError(msg)
    with subprocess.Popen(
        [path, "-displayfd", "1", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield {"headless": False, "env": {**os.environ, "DISPLAY": f":{server.stdout.readline().strip()}"}}
        finally:
            server.terminate()
