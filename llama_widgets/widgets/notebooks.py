"""The conversations that a notebook's file keeps, and which of them a cell means."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..chat import archive
from ..errors import ConversationError
from .kept import MIME, live, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME_IT = "Save the notebook, and name its file: lw.ChatPanel.from_notebook(path='analysis.ipynb')."


@dataclass(frozen=True, kw_only=True)
class Found:
    """One panel's conversations.

    Attributes
    ----------
    id, name : str
        What tells the panel from others.
    cell : str
        The id of the cell in whose output they are.
    data : dict
        What ``archive.read`` takes.
    remark : str
        What there is to say of where they are from.
    """

    id: str
    name: str
    cell: str
    data: dict[str, Any]
    remark: str = ""


def find(path: str | os.PathLike[str] | None = None, name: str | int | None = None) -> Found | None:
    """Return what a notebook keeps.

    Parameters
    ----------
    path : str or path, optional
        The notebook; by default the one that this kernel belongs to.
    name : str or int, optional
        The panel's name, or its number in the notebook; by default the panel of the running cell, or the only one.

    Returns
    -------
    Found or None
        ``None`` if the notebook keeps no conversation, or none of this name.

    Raises
    ------
    ConversationError
        If the notebook is not found, cannot be read, or keeps several of which any could be meant.
    """
    file = Path(path).expanduser() if path is not None else _own()
    found = _newest(_of(file))
    chosen = _choose(found, name)
    if chosen is None:
        return None
    if chosen.id in live:  # in this kernel, and perhaps further than when the notebook was saved
        state = live[chosen.id].state()
        if state["turns"]:
            return Found(id=chosen.id, name=chosen.name, cell=chosen.cell, data=state)
    saved = time.localtime(file.stat().st_mtime)
    today = saved[:3] == time.localtime()[:3]
    when = time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", saved)
    remark = f"This goes on from {file.name} as it was saved at {when}; what was said after that is not in it."
    return Found(id=chosen.id, name=chosen.name, cell=chosen.cell, data=chosen.data, remark=remark)


def _own() -> Path:
    """Return the file of the notebook that this kernel belongs to."""
    own = shell()
    names = own.user_ns if own is not None else {}
    # VS Code's name for it, ipykernel's, and what Jupyter Server tells the kernel it starts.
    for told in (names.get("__vsc_ipynb_file__"), names.get("__session__"), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            if Path(told).is_file():
                return Path(told)
            msg = f"The notebook {Path(told).name!r:.200} is not where it was when its kernel started."
            raise ConversationError(msg, _NAME_IT)
    msg = "Which notebook this is cannot be found out here."
    raise ConversationError(msg, _NAME_IT)


def _of(file: Path) -> list[Found]:
    """Return what is in a notebook, in the order of its cells."""
    try:
        cells = json.loads(archive.load(file))["cells"]
        return [found for cell in cells for found in _in_cell(cell)]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ConversationError):
            raise
        msg = f"{file.name!r:.200} is no notebook."
        raise ConversationError(msg, "Give the path of a notebook in Jupyter's format 4.") from error


def _in_cell(cell: dict[str, Any]) -> Iterator[Found]:
    panels: dict[str, list[dict[str, Any]]] = {}
    for output in cell.get("outputs", ()):
        part = output.get("data", {}).get(MIME)
        if isinstance(part, dict):
            panels.setdefault(str(part["panel"]), []).append(part)
    for panel, parts in panels.items():
        parts.sort(key=lambda part: int(part["block"]))
        whole, turns = parts[-1], [turn for part in parts for turn in part["turns"]]
        if len(turns) != whole.get("count"):
            msg = "The notebook keeps only a part of a conversation: some outputs of its cell were deleted."
            raise ConversationError(msg, "Save it again while its kernel runs, or start a new conversation.")
        data = {**whole, "turns": turns}
        yield Found(id=panel, name=str(whole.get("name", "")), cell=str(cell.get("id", "")), data=data)


def _newest(found: list[Found]) -> list[Found]:
    """Return each panel once, although it may have been displayed in several cells."""
    own = _cell()
    best: dict[str, Found] = {}
    for each in found:
        before = best.get(each.id)
        if before is None or each.cell == own or (before.cell != own and each.data["count"] > before.data["count"]):
            best[each.id] = each
    return list(best.values())


def _choose(found: list[Found], name: str | int | None) -> Found | None:
    if isinstance(name, int):
        return found[name] if -len(found) <= name < len(found) else None
    if name is not None:
        found = [each for each in found if each.name == name]
    if len(found) > 1:
        found = [each for each in found if each.cell == _cell()] or found
    if len(found) > 1:
        there = ", ".join(repr(each.name) if each.name else str(at) for at, each in enumerate(found))
        msg = f"The notebook keeps {len(found)} conversations that could be meant."
        raise ConversationError(msg, f"Say which: lw.ChatPanel.from_notebook(name=...), of {there}.")
    return found[0] if found else None


def _cell() -> str:
    """Return the id of the cell that runs, where the front end tells it."""
    own = shell()
    if own is None:
        return ""
    try:
        return str(own.kernel.get_parent("shell")["metadata"].get("cellId", ""))
    except (AttributeError, LookupError, TypeError):
        return ""
