"""A table in the notebook's file beside a widget, for when that is gone: what ``kept.py`` is for conversations."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from ..later import Later
from ..requests import new_id
from .base import aside
from .kept import shell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEISURE_S = 5.0
"""Between two times that what has changed is written while the table grows."""


class KeptTable:
    """Outputs that are written again when what they show has changed.

    Parameters
    ----------
    blocks : sequence of callables
        Return what each output shows now. The style sheet hides them where the widget lives.
    title : str
        What stands there where there is no HTML.
    """

    def __init__(self, blocks: Sequence[Callable[[], str]], title: str = "A table of runs") -> None:
        self._blocks = blocks
        self._title = title
        self._ids = [new_id() for _ in blocks]
        self._sent = [""] * len(blocks)
        self._publish: Callable[..., object] | None = None
        self._later = Later(self._write, _LEISURE_S)

    def display(self) -> None:
        """Put the outputs into the cell that runs; nothing happens where there is no kernel."""
        own = shell()
        if own is None:
            return
        self._publish = own.display_pub.publish
        _live.add(self)
        if _flush_all not in own.events.callbacks["post_run_cell"]:
            own.events.register("post_run_cell", _flush_all)
        self._write(update=False)

    def changed(self, *, at_once: bool) -> None:
        """See that the outputs say what is so now, if there are any."""
        if self._publish is None:
            return
        self._later()
        if at_once:
            aside(self._later.flush)

    def flush(self) -> None:
        """Write now what is still to be written: what runs a notebook takes nothing after a cell."""
        self._later.flush()

    def _write(self, *, update: bool = True) -> None:
        for at, block in enumerate(self._blocks):
            html = block()
            if self._publish is not None and (html != self._sent[at] or not update):
                self._sent[at] = html
                data = {"text/html": html, "text/plain": "" if at else self._title}
                self._publish(data, {}, transient={"display_id": self._ids[at]}, update=update)


_live: weakref.WeakSet[KeptTable] = weakref.WeakSet()


def _flush_all(_result: object = None) -> None:
    for each in list(_live):
        each.flush()
