"""The section ``LlamaWidgets`` of Jupyter's and IPython's configuration.

Read are ``jupyter_config.json`` and ``jupyter_config.d/*.json`` in the folders that ``jupyter --paths`` lists under
config, and what IPython has read: ``ipython_config.py``, ``ipython_kernel_config.py``. What comes first is what others
may not change: the folders of the system before those of the user.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTION = "LlamaWidgets"


def sections() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is set, each with where that was.

    Raises
    ------
    ParameterError
        If a file cannot be read.
    """
    for path in _files():
        if section := _read(path).get(SECTION):
            yield path.name, dict(section)
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and (section := shell.config.get(SECTION)):
        yield "IPython's configuration", dict(section)


def _files() -> Iterator[Path]:
    try:
        from jupyter_core.paths import jupyter_config_path
    except ModuleNotFoundError:  # a script, with no Jupyter around it
        return
    for folder in map(Path, reversed(jupyter_config_path())):
        yield from (path for path in [folder / "jupyter_config.json"] if path.is_file())
        yield from sorted((folder / "jupyter_config.d").glob("*.json"))


def _read(path: Path) -> dict[str, Any]:
    from traitlets.config.loader import JSONFileConfigLoader

    try:
        config: dict[str, Any] = JSONFileConfigLoader(path.name, str(path.parent)).load_config()
        dict(config.get(SECTION, {}))
    except Exception as error:
        msg = f"The configuration file {path} cannot be read: {error}."
        raise ParameterError(msg, "Correct it: it may lock what should stay as it is.") from error
    return config
