"""What may come next in an expression that is being typed; nothing is called to find out, not even a property."""

from __future__ import annotations

import builtins
import inspect
import re
from typing import TYPE_CHECKING, Any

from .filling import hidden_names, user_names

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 50


def completions(source: str, namespace: Mapping[str, Any] | None = None) -> tuple[int, list[str]]:
    """Return what may stand at the end of an expression that is being typed, and where in ``source`` that begins.

    Parameters
    ----------
    source : str
        The expression, up to where the cursor is.
    namespace : mapping, optional
        Where names are looked up; by default the notebook's or the script's own variables.

    Returns
    -------
    start : int
        Where in ``source`` the part begins that one of the names takes the place of.
    names : list of str
        At most 50.
    """
    names = user_names() if namespace is None else namespace
    match = re.search(r"((?:[^\W\d]\w*\.)*)(\w*)$", source)
    assert match is not None  # noqa: S101 - it may be empty, and then it is at the end
    owners, prefix = match[1].split(".")[:-1], match[2]
    start = match.start(2)
    if source[: match.start()].endswith(".") or prefix[:1].isdigit() or _in_text(source):
        return start, []
    if owners:
        if owners[0] not in names:
            return start, []
        owner = names[owners[0]]
        for name in owners[1:]:
            owner = _plain_attribute(owner, name)
        found = _attributes(owner)
    else:
        hidden = hidden_names()
        found = sorted(name for name in names if name not in hidden)
        found += [name for name in dir(builtins) if prefix and name.islower()]
    wanted = prefix.lower()
    shown = (name for name in dict.fromkeys(found) if prefix.startswith("_") or not name.startswith("_"))
    matching = [name for name in shown if name.lower().startswith(wanted) and name != prefix and name.isidentifier()]
    return start, matching[:_MOST]


def _in_text(source: str) -> bool:
    """Return whether the end of an expression is within a string."""
    return sum(source.count(quote) % 2 for quote in "'\"") == 1


def _plain_attribute(owner: object, name: str) -> object:
    found = inspect.getattr_static(owner, name, None)
    if isinstance(found, property) or (hasattr(type(found), "__get__") and not callable(found)):
        return None
    return getattr(owner, name, None)


def _attributes(owner: object) -> list[str]:
    try:
        return dir(owner)
    except Exception:  # noqa: BLE001 - a class may say anything here
        return []
