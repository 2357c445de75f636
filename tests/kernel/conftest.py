"""A kernel of each kind for each test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.conftest import KERNELS
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=KERNELS)
def kernel_name(request: pytest.FixtureRequest, kernelspecs: Path) -> str:  # noqa: ARG001 - made for its effect
    """Name of the kernelspec: every test that uses this runs with each of them."""
    name: str = request.param
    return name


@pytest.fixture
def kernel(kernel_name: str, tmp_path: Path) -> Iterator[Kernel]:
    """Return a fresh kernel, at work in an empty folder."""
    # No models but the demo model: the tests take the first there is.
    environ = {name: value for name, value in os.environ.items() if name != "LLAMA_WIDGETS_MODELS"}
    kernel = Kernel(kernel_name, cwd=str(tmp_path), env={**environ, "HF_HOME": str(tmp_path)})
    yield kernel
    kernel.close()
