"""What users install: built as a release is, from the sdist, and imported in a clean environment."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import llama_widgets

ROOT = Path(__file__).resolve().parents[2]
BUDGET_KB = {
    "loader.js": 1,
    "widgets.js": 200,
    "widgets.css": 20,
    "highlight.js": 120,
    "math.js": 230,
    "highlight.css": 2,
    "math.css": 2,
    **{f"{part}.{kind}": 30 for part in ("compare", "sweep", "tokens") for kind in ("js", "css")},
}
# With these, nothing can run or install Node.js packages: what is built here is built from what the sdist carries.
NO_NODE = {"PATH": os.defpath, "npm_config_offline": "true", "npm_config_cache": os.devnull}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    [archive] = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    run(*pip, "-w", folder, sdist, cwd=folder, **NO_NODE)
    [archive] = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds the wheel, and what it needs by reference to our own."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    purelib = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # Python reads no .pth files of a folder that a .pth file names, so our own editable install stays out.
    ours = Path(pytest.__file__).parents[1]
    (purelib / "dependencies.pth").write_text(f"{ours}\n")
    return python


def test_the_sdist_carries_sources_and_bundles(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"llama_widgets/static/{name}" for name in BUDGET_KB} <= names
    assert {"LICENSE", "README.md", "tests/__main__.py", "llama_widgets/frontend/package-lock.json"} <= names
    assert [name for name in names if "node_modules" in name or ".venv" in name] == []


def test_the_wheel_carries_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        sizes = {name: archive.getinfo(f"llama_widgets/static/{name}").file_size for name in BUDGET_KB}
    static = {Path(name).name for name in names if name.startswith("llama_widgets/static/")}
    assert static == set(BUDGET_KB)
    assert {name: size for name, size in sizes.items() if size > BUDGET_KB[name] * 1000} == {}
    info = f"llama_widgets-{llama_widgets.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"llama_widgets", info}
    assert {"llama_widgets/py.typed", f"{info}/licenses/LICENSE"} <= names
    assert [name for name in names if "frontend" in name] == []
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "llama_widgets").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == {m for m in modules if "frontend" not in m}


def test_an_import_is_light(clean_python: Path, tmp_path: Path) -> None:
    code = "import json, sys, llama_widgets; print(json.dumps([llama_widgets.__file__, *sys.modules]))"
    file, *modules = json.loads(run(clean_python, "-c", code, cwd=tmp_path))
    assert Path(file).is_relative_to(clean_python.parents[1])
    assert {"llama_cpp", "huggingface_hub", "numpy"} & set(modules) == set()


@pytest.mark.parametrize("order", [1, -1])
def test_every_public_name_is_there(clean_python: Path, tmp_path: Path, order: int) -> None:
    code = f"import llama_widgets as lw; print({{n: callable(getattr(lw, n)) for n in sorted(lw.__all__)[::{order}]}})"
    found = ast.literal_eval(run(clean_python, "-c", code, cwd=tmp_path))
    assert found == dict.fromkeys(llama_widgets.__all__, True) | {"__version__": False, "errors": False}


def test_a_widget_finds_its_bundle(clean_python: Path, tmp_path: Path) -> None:
    code = "import llama_widgets as lw; p = lw.ChatPanel(); print(*map(len, (p._esm, p._bundle.code, p._bundle.css)))"
    assert all(int(size) > 0 for size in run(clean_python, "-c", code, cwd=tmp_path).split())


def test_its_requirements_are_met_by_what_is_tested(clean_python: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "--python", clean_python, "check", cwd=tmp_path)
