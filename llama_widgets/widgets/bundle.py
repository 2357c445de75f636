"""The code of all widgets, which travels once per kernel: one model has it, and each widget carries only a loader.

Twin: ``frontend/src/loader.ts``.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from functools import cache
from pathlib import Path
from typing import get_args

import ipywidgets
import traitlets

from ..errors import LlamaWidgetsError
from .messages import PartName

_STATIC = Path(__file__).parent.parent / "static"


@cache
def built(name: str) -> str:
    """Return a built file, which a checkout has only after it was installed."""
    path = _STATIC / name
    if not path.is_file():
        msg = f"The front-end file {name} is missing."
        raise LlamaWidgetsError(msg, "It is built when the package is installed: pip install -e .")
    return path.read_text(encoding="utf-8")


class Bundle(ipywidgets.Widget):  # type: ignore[misc] # ipywidgets is untyped
    """The code and the style of all widgets, as a model that is never shown.

    Its id begins with a hash of both and of the parts, which a page asks for when it needs them. So a page evaluates
    them once, however many kernels bring them.
    """

    code = traitlets.Unicode().tag(sync=True)
    css = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        code, css = built("widgets.js"), built("widgets.css")
        parts = [built(f"{name}.{kind}") for name in get_args(PartName) for kind in ("js", "css")]
        everything = "".join([code, css, *parts])
        digest = hashlib.sha256(everything.encode()).hexdigest()[:16]
        super().__init__(code=code, css=css, model_id=f"{digest}-{uuid.uuid4().hex}")

    def __repr__(self) -> str:
        """Say what it is, as all of it is long."""
        return object.__repr__(self)


_shared: Bundle | None = None


def shared() -> Bundle | None:
    """Return this kernel's bundle, or None where a widget cannot reach another and must carry the code itself."""
    global _shared  # noqa: PLW0603 - one per kernel; two threads that come first at once make two, which is as good
    if _is_marimo():
        return None
    if _shared is None or _shared.comm is None:  # closed, by ``Widget.close_all()``
        _shared = Bundle()
    return _shared


def _is_marimo() -> bool:
    marimo = sys.modules.get("marimo")
    return marimo is not None and marimo.running_in_notebook()
