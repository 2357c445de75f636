"""A real JupyterLab, looked at and used through a real Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page, Playwright

    from tests.browser.line import Line

PATIENCE_MS = 60_000
"""How long anything may take before it is said not to come."""

# The network flags keep Chromium from looking for its maker's servers, which only costs time here.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


_NUMBERED = re.compile(r"\[\d+\]")


class Server:
    """A server that a test started, at ``url``.

    Parameters
    ----------
    root : Path
        The folder it works in, with its log.
    module : str
        The Python module that is run.
    arguments : sequence of str
        What it is told, beside its port.
    environ : mapping of str
        Environment variables that it gets, and with it the kernels.
    alive : str
        A path that is there as soon as the server is up.
    """

    def __init__(
        self,
        root: Path,
        module: str,
        arguments: Callable[[int], Sequence[str]],
        environ: Mapping[str, str],
        alive: str = "/",
    ) -> None:
        self.root = root
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (root / "server.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=root,
            env={
                **os.environ,
                "JUPYTER_CONFIG_DIR": str(root / "config"),
                "JUPYTER_DATA_DIR": str(root / "data"),
                "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
                "HF_HOME": str(root / "hf"),
                **environ,
            },
        )
        self._wait_until_up(alive)

    def close(self) -> None:
        """End the server, and with it the kernels."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _wait_until_up(self, alive: str) -> None:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while True:
            try:
                urllib.request.urlopen(self.url + alive, timeout=5).close()
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.root / "server.log").read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"The server did not start:\n{log}") from error
                time.sleep(0.2)
            else:
                return


class Lab(Server):
    """A JupyterLab server in a folder of its own.

    Parameters
    ----------
    root : Path
        The folder: notebooks, settings and caches are all in it.
    kernels : Path
        A folder with kernelspecs, as in ``JUPYTER_PATH``.
    release : Path, optional
        A folder with another release of JupyterLab, as ``pip install --target`` makes it.
    **environ : str
        Environment variables that the kernels get, such as ``HF_ENDPOINT``.
    """

    _module = "jupyterlab"
    _app = "LabApp"

    def __init__(self, root: Path, kernels: Path, *, release: Path | None = None, **environ: str) -> None:
        notebooks = root / "notebooks"
        notebooks.mkdir(parents=True)
        quiet = root / "settings" / "@jupyterlab" / "apputils-extension"
        quiet.mkdir(parents=True)
        (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.root_dir": notebooks,
            "ServerApp.password": "",
            "ServerApp.disable_check_xsrf": True,
            "ServerApp.allow_root": True,
            "ServerApp.open_browser": False,
            "IdentityProvider.token": "",
            f"{self._app}.expose_app_in_browser": True,
            f"{self._app}.user_settings_dir": root / "settings",
            f"{self._app}.workspaces_dir": root / "workspaces",
            "LabApp.news_url": "",
        }
        environ["JUPYTER_PATH"] = str(kernels)
        if release is not None:
            environ["JUPYTERLAB_DIR"] = str(release / "share" / "jupyter" / "lab")
            environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(release), os.environ.get("PYTHONPATH")]))

        def arguments(port: int) -> list[str]:
            return [f"--{name}={value}" for name, value in {**options, "ServerApp.port": port}.items()]

        super().__init__(root, self._module, arguments, environ, alive="/api/status")

    def write(self, cells: Sequence[str], kernel: str) -> str:
        """Write a notebook with these code cells, and return its name."""
        name = f"{uuid.uuid4().hex[:8]}.ipynb"
        write_notebook(self.root / "notebooks" / name, cells, kernel)
        return name

    def address(self, name: str) -> str:
        """Return where a notebook is shown, in a fresh workspace."""
        return f"{self.url}/lab/workspaces/{uuid.uuid4().hex[:8]}/tree/{name}?reset"


class Notebook7(Lab):
    """A Jupyter Notebook 7 server: JupyterLab's parts, one notebook per page."""

    _module = "notebook"
    _app = "JupyterNotebookApp"

    def address(self, name: str) -> str:
        """Return where a notebook is shown."""
        return f"{self.url}/notebooks/{name}"


def write_notebook(path: Path, cells: Sequence[str], kernel: str) -> None:
    """Write a notebook with these code cells."""
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{i}",
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for i, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook))


def voila(root: Path, kernels: Path, cells: Sequence[str], kernel: str) -> Server:
    """Serve a notebook with these cells as a page of its outputs."""
    write_notebook(root / "notebook.ipynb", cells, kernel)
    options = ["--Voila.ip=127.0.0.1", "--no-browser", "notebook.ipynb"]
    environ = {"JUPYTER_PATH": str(kernels)}
    return Server(root, "voila", lambda port: [*options, f"--port={port}"], environ, alive="/voila/static/voila.js")


def marimo(root: Path, mode: str, cell: str) -> Server:
    """Serve a marimo notebook with this cell, to "edit" or to "run"."""
    options = ["-q", mode, "notebook.py", "--headless", "--no-token"]
    function = "\n    ".join(["def _():", *cell.splitlines()])
    (root / "notebook.py").write_text(f"import marimo\n\napp = marimo.App()\n\n@app.cell\n{function}\n")
    (root / "pyproject.toml").write_text("[tool.marimo.runtime]\nauto_instantiate = true\n")  # cells run at once
    return Server(root, "marimo", lambda port: [*options, "--port", str(port)], {})


class Notebook:
    """A notebook that is open in a page.

    Cells are counted from 0. ``page`` is Playwright's, for all that a person would do by hand.
    """

    def __init__(self, page: Page, lab: Lab | Line, name: str) -> None:
        self.page = page
        self.name = name
        self._lab = lab
        self.open()

    def open(self) -> None:
        """Open the notebook in the page, in a fresh workspace, and wait for its kernel."""
        self.page.goto(self._lab.address(self.name))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE_MS)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.kernelDisplayStatus === 'idle'",
            timeout=PATIENCE_MS,
        )

    def cell(self, index: int) -> Locator:
        """Return a cell."""
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{index}"]')

    def output(self, index: int) -> Locator:
        """Return a cell's output area."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def start(self, index: int) -> None:
        """Run a cell and do not wait for its end."""
        # Not by clicks and keys: on a busy machine they can come before the notebook listens. After a reload a page
        # shows what is in it before the shell has a current widget.
        self.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context")
        self.page.evaluate(
            """async index => {
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.context.ready;
                await panel.sessionContext.ready;
                panel.content.activeCellIndex = index;
                panel.content.deselectAll();
                window.jupyterapp.commands.execute("notebook:run-cell");
            }""",
            index,
        )

    def run(self, index: int) -> None:
        """Run a cell and wait for its end."""
        self.start(index)
        self.wait_for_cell(index)

    def wait_for_cell(self, index: int) -> None:
        """Wait until a cell that was started has ended."""
        expect(self.cell(index).locator(".jp-InputPrompt")).to_have_text(_NUMBERED, timeout=PATIENCE_MS)

    def interrupt(self) -> None:
        """Interrupt the kernel with the notebook's own button."""
        self.page.get_by_role("button", name="Interrupt the kernel").first.click()

    def restart_kernel(self) -> None:
        """Restart the kernel through the menu, as a person does."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('kernelmenu:restart') }")  # not awaited: it asks
        self.page.get_by_role("button", name="Confirm Kernel Restart").click(timeout=PATIENCE_MS)
        self.wait_for_kernel()

    def use_theme(self, name: str) -> None:
        """Switch to "JupyterLab Light" or "JupyterLab Dark"."""
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        light = "true" if "Light" in name else "false"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached", timeout=PATIENCE_MS)


@contextmanager
def chromium(**options: Any) -> Iterator[Browser]:  # noqa: ANN401 - as Playwright has them
    """Start the machine's Chromium."""
    with sync_playwright() as playwright:
        browser = start_chromium(playwright, **options)
        yield browser
        browser.close()


def start_chromium(playwright: Playwright, **options: Any) -> Browser:  # noqa: ANN401 - as Playwright has them
    """Start the machine's Chromium; whoever calls closes it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise RuntimeError("There is no Chromium on this machine: install the package chromium.")
    return playwright.chromium.launch(executable_path=path, args=FLAGS, **options)


def start_firefox(playwright: Playwright) -> Browser | None:
    """Start the machine's Firefox, if it has one; whoever calls closes it.

    It is the ordinary one, driven through WebDriver BiDi, not the one that Playwright patches for itself.
    """
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    return playwright.firefox.launch(executable_path=path, channel="moz-firefox") if path else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
