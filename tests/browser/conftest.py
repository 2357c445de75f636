"""One JupyterLab and one Chromium for all tests; a page and a notebook for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.lab import PATIENCE_MS, Lab, Notebook, start_chromium

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from playwright.sync_api import Browser, Page, Playwright


expect.set_options(timeout=PATIENCE_MS)
_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Return what starts browsers."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Return the browser."""
    browser = start_chromium(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def lab(kernelspecs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return the server."""
    lab = Lab(tmp_path_factory.mktemp("lab"), kernelspecs)
    yield lab
    lab.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the page fixture know how its test went."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a fresh page; a script error in it fails the test, and a failed test leaves a screenshot."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    if request.node.stash.get(_FAILED, True):
        page.screenshot(path=Path(__file__).parent / "screenshots" / f"{request.node.name}.png")
    context.close()
    assert not [error for error in errors if "llama" in error or "lw-" in error], errors


@pytest.fixture
def notebook(page: Page, lab: Lab) -> Callable[..., Notebook]:
    """Return what opens a notebook with the given cells."""

    def open_with(cells: Sequence[str], kernel: str = "llama-widgets-ipykernel7") -> Notebook:
        return Notebook(page, lab, lab.write(cells, kernel))

    return open_with
