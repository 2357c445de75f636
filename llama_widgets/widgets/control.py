"""The way of an abort while a cell runs.

ipykernel 7.4 answers a widget's comm on the thread that last published on it, which may be the one that the running
cell blocks; older ones always do. So a front end opens a comm of its own, on which the kernel never sends: with
JupyterLab's defaults, its messages are handled at once on a subshell's thread (ipykernel 7.3 and later). Views try it
with a ping and fall back to the widget's comm. Twin: ``frontend/src/transport.ts``.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any

from comm import get_comm_manager

from .messages import CONTROL_TARGET

if TYPE_CHECKING:
    from .base import LlamaWidget

logger = logging.getLogger(__name__)

_widgets: weakref.WeakValueDictionary[str, LlamaWidget] = weakref.WeakValueDictionary()


def register(widget: LlamaWidget) -> None:
    """Let control comms reach ``widget``, by its model id."""
    manager = get_comm_manager()
    if manager.targets.get(CONTROL_TARGET) is not _opened:
        manager.register_target(CONTROL_TARGET, _opened)
    if widget.model_id:
        _widgets[widget.model_id] = widget
    # ipykernel 7.4 hands a view's message not to the thread that its sender names, but to the subshell of the request
    # that was handled when the kernel last sent something over this comm, whichever comm that request came over. Where
    # that subshell is no more, as after a connection was lost, the message would be refused: nothing would arrive.
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _as_sent  # noqa: SLF001 - there is no public way


def _as_sent(_data: object, subshell: str | None) -> str | None:
    return subshell


def _opened(comm: Any, _message: dict[str, Any]) -> None:  # noqa: ANN401 - comm has no common base class
    comm.on_msg(_route)


def _route(message: dict[str, Any]) -> None:
    data = message["content"]["data"]
    if not isinstance(data, dict) or (widget := _widgets.get(str(data.get("widget")))) is None:
        logger.warning("control message for no widget: %.200r", data)
        return
    widget.handle({key: value for key, value in data.items() if key != "widget"})
