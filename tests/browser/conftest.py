"""One JupyterLab and one Chromium for all tests; a page and a notebook for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import PATIENCE_MS, Lab, Notebook, chromium

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return the browser."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(kernelspecs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return the server."""
    lab = Lab(tmp_path_factory.mktemp("lab"), kernelspecs)
    yield lab
    lab.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a fresh page; a script error in it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not [error for error in errors if "llama" in error or "lw-" in error], errors


@pytest.fixture
def notebook(page: Page, lab: Lab) -> Callable[..., Notebook]:
    """Return what opens a notebook with the given cells."""

    def open_with(cells: Sequence[str], kernel: str = "llama-widgets-ipykernel7") -> Notebook:
        return Notebook(page, lab, lab.write(cells, kernel))

    return open_with
