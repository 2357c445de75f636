"""What every request has: an id, exactly one end, and somebody who may wait for it."""

from __future__ import annotations

import logging
import os
import random
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

from . import protocol as p
from .errors import LlamaWidgetsError

logger = logging.getLogger(__name__)

T = TypeVar("T")

SLICE_S = 0.1
"""How long a blocking wait may hold back a KeyboardInterrupt, in seconds."""


# Not `uuid4`, which asks the system for each: a saved conversation has thousands. Of our own, so that nobody who sets
# `random.seed` for his experiment gets the same ids again; and in a forked process other ones.
_random = random.Random()  # noqa: S311 - an id is no secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """Return an id that nobody else has: 12 hexadecimal digits."""
    return f"{_random.getrandbits(48):012x}"


def wait(future: Future[T]) -> T:
    """Wait for ``future`` in slices, so that a KeyboardInterrupt is raised at once; return or raise what it holds."""
    while True:
        try:
            return future.result(timeout=SLICE_S)
        except NotYet:
            if future.done():
                raise


def error_event(request_id: str, error: BaseException) -> p.Error:
    """Return the ``error`` event that tells of ``error``; what is not ours is logged with its traceback."""
    if isinstance(error, LlamaWidgetsError):
        return p.Error(
            request_id=request_id,
            code=error.code,
            message=error.message,
            hint=error.hint,
            recoverable=error.recoverable,
        )
    logger.error("unexpected error in request %s", request_id, exc_info=error)
    return p.Error(
        request_id=request_id,
        code="internal",
        message=f"Something went wrong inside llama-widgets: {type(error).__name__}: {error}",
        hint="The log of 'llama_widgets' has the traceback; please report it.",
    )


def aborted(command: p.Command) -> p.Event:
    """Return the success in which ``command`` ends when it was stopped before it began."""
    match p.ENDS[command.type]:
        case p.CompletionDone:
            return p.CompletionDone(request_id=command.request_id, text="", stop_reason="abort")
        case p.ModelLoaded:
            model = command.model if isinstance(command, p.LoadModel) else ""
            return p.ModelLoaded(request_id=command.request_id, model=model, cancelled=True)
        case p.EmbedDone:
            return p.EmbedDone(request_id=command.request_id, cancelled=True)
        case p.PredictDone:
            return p.PredictDone(request_id=command.request_id, cancelled=True)
        case p.JudgeDone:
            return p.JudgeDone(request_id=command.request_id, cancelled=True)
        case p.DownloadDone:
            return p.DownloadDone(request_id=command.request_id, cancelled=True)
        case _:
            return p.Info(request_id=command.request_id, message="aborted", data={"cancelled": True})
