"""What a widget shows, as one ordinary output before it: for those who read the notebook without us.

The style sheet hides it where the widget lives. For a conversation, which may be long, see ``kept.py``.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from ..later import Later
from ..requests import new_id
from .kept import shell

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE_S = 0.1


class Page:
    """An output that is written anew when what it shows has changed.

    Parameters
    ----------
    html : callable
        Returns what is shown, as HTML that is safe anywhere.
    title : str
        What stands there where there is no HTML.
    """

    def __init__(self, html: Callable[[], str], title: str) -> None:
        self._html = html
        self._title = title
        self._display = new_id()
        self._publish: Callable[..., object] | None = None
        self._sent = ""
        self._soon = Later(self._update, _PAUSE_S)

    def display(self) -> None:
        """Put the output into the cell that runs; nothing happens where there is no kernel."""
        own = shell()
        if own is None:
            return
        self._publish = own.display_pub.publish
        if _flush_all not in own.events.callbacks["post_run_cell"]:
            own.events.register("post_run_cell", _flush_all)
        _shown.add(self)
        self._send()

    def changed(self) -> None:
        """See that the output says what is so now, if there is one; return at once."""
        if self._publish is not None:
            self._soon()

    def flush(self) -> None:
        """Bring the output up to date now: what runs a notebook takes no later messages."""
        self._soon.flush()

    def _update(self) -> None:
        if self._html() != self._sent:
            self._send(update=True)

    def _send(self, *, update: bool = False) -> None:
        assert self._publish is not None  # noqa: S101 - it was displayed
        self._sent = self._html()
        data = {"text/html": f'<div class="lw-transcript">\n{self._sent}\n</div>', "text/plain": self._title}
        self._publish(data, {}, transient={"display_id": self._display}, update=update)


_shown: weakref.WeakSet[Page] = weakref.WeakSet()


def _flush_all(_result: object = None) -> None:
    for each in list(_shown):
        each.flush()
