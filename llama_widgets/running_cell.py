"""Which cell of a notebook runs at present."""

from __future__ import annotations

import sys
from typing import Any


def running_cell(shell: Any = None) -> tuple[str, str]:  # noqa: ANN401 - a shell of any kind
    """Return the cell's id and what tells this execution of it from others; each is empty where no front end says so.

    Parameters
    ----------
    shell : InteractiveShell, optional
        Whose cell; by default that of this process, if there is one.
    """
    ipython = sys.modules.get("IPython")
    if shell is None and ipython is not None:
        shell = ipython.get_ipython()
    get_parent = getattr(shell, "get_parent", None)
    parent = (get_parent() if callable(get_parent) else None) or {}
    name, run = (parent.get("metadata") or {}).get("cellId"), (parent.get("header") or {}).get("msg_id")
    return str(name or ""), str(run or "")
