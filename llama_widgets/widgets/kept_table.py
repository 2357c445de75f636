"""A table in the notebook's file beside a widget, for when that is gone: what ``kept.py`` is for conversations."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from ..later import Later
from ..requests import new_id
from .base import aside
from .kept import shell

if TYPE_CHECKING:
    from collections.abc import Callable

_LEISURE_S = 5.0
"""Between two times that the table is written while it grows: each is all of it."""


class KeptTable:
    """An output that is written again when what it shows has changed.

    Parameters
    ----------
    html : callable
        Returns what it shows now. The style sheet hides it where the widget lives.
    title : str
        What stands there where there is no HTML.
    """

    def __init__(self, html: Callable[[], str], title: str = "A table of runs") -> None:
        self._html = html
        self._title = title
        self._id = new_id()
        self._sent = ""
        self._publish: Callable[..., object] | None = None
        self._later = Later(self._write, _LEISURE_S)

    def display(self) -> None:
        """Put the output into the cell that runs; nothing happens where there is no kernel."""
        own = shell()
        if own is None:
            return
        self._publish = own.display_pub.publish
        _live.add(self)
        if _flush_all not in own.events.callbacks["post_run_cell"]:
            own.events.register("post_run_cell", _flush_all)
        self._write(update=False)

    def changed(self, *, at_once: bool) -> None:
        """See that the output says what is so now, if there is one."""
        if self._publish is None:
            return
        self._later()
        if at_once:
            aside(self._later.flush)

    def flush(self) -> None:
        """Write now what is still to be written: what runs a notebook takes nothing after a cell."""
        self._later.flush()

    def _write(self, *, update: bool = True) -> None:
        html = self._html()
        if self._publish is not None and (html != self._sent or not update):
            self._sent = html
            data = {"text/html": html, "text/plain": self._title}
            self._publish(data, {}, transient={"display_id": self._id}, update=update)


_live: weakref.WeakSet[KeptTable] = weakref.WeakSet()


def _flush_all(_result: object = None) -> None:
    for each in list(_live):
        each.flush()
