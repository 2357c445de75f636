"""The call of one tool: checked, confirmed, run in a thread of its own, and told to the model in every case."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import logging
import threading
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from .turns import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cancel import Cancel
    from .changes import ToolState
    from .settings import Settings
    from .tools import Tool

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST = 20_000
"""Characters of a result that the model is told; a result of a megabyte would push the conversation out."""


class _StoppedError(Exception):
    """The answer was stopped while a tool ran."""


class _TooLongError(Exception):
    """A tool did not end in time."""


@dataclass(frozen=True)
class Outcome:
    """What the model is told of a call, and how the call ended."""

    text: str
    state: ToolState = "done"


def perform(call: dict[str, Any], settings: Settings, cancel: Cancel, tell: Callable[[ToolState], None]) -> Outcome:
    """Make a call and wait for its end.

    Nothing that a tool does is raised here: the model is told. ``tell`` hears when the call waits to be confirmed and
    when it runs. When ``cancel`` is set, or a tool takes too long, its thread is left to itself.
    """
    tool = next((tool for tool in settings.tools if tool.name == call["name"]), None)
    if tool is None:
        known = ", ".join(tool.name for tool in settings.tools)
        return Outcome(f"Error: there is no tool {call['name']!r}. There are: {known}.", "failed")
    try:
        if settings.confirm is not None:
            tell("waiting")
            if not _confirmed(settings.confirm, call, cancel):
                return Outcome("The user does not allow this call.", "refused")
        tell("running")
        return Outcome(_apart(lambda: _result(tool, deepcopy(call["arguments"])), cancel, settings.tool_timeout))
    except _StoppedError:
        return Outcome("Stopped before it ended.", "stopped")
    except _TooLongError:
        return Outcome(f"Error: the tool took longer than {settings.tool_timeout:g} seconds.", "timeout")
    except BaseException as error:  # tools are anybody's code, and may even exit
        logger.info("the tool %s failed", call["name"], exc_info=error)
        return _failed(error)


def _confirmed(confirm: Callable[[str, dict[str, Any]], object], call: dict[str, Any], cancel: Cancel) -> bool:
    try:
        return bool(_apart(lambda: _awaited(confirm(call["name"], deepcopy(call["arguments"]))), cancel, None))
    except _StoppedError:
        raise
    except BaseException:
        logger.exception("the confirmation of a call of %s failed: it is refused", call["name"])
        return False


def _apart(work: Callable[[], T], cancel: Cancel, timeout: float | None) -> T:
    """Do ``work`` in a thread of its own and return what it returns, unless it is stopped or takes too long."""
    future: Future[T] = Future()
    over = threading.Event()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
            future.set_exception(error)

    future.add_done_callback(lambda _: over.set())
    cancel.on_request(over.set)
    threading.Thread(target=run, name="llama-widgets-tool", daemon=True).start()
    over.wait(timeout)
    if cancel.requested:
        raise _StoppedError
    if not future.done():
        raise _TooLongError
    return future.result()


def _result(tool: Tool, arguments: dict[str, Any]) -> str:
    """Return what the model is told of the tool's result."""
    text = without_lone_surrogates(_text(_awaited(tool(**tool.fit(arguments)))))
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n[Cut: these are the first {LONGEST:,} of {len(text):,} characters.]"


def _awaited(value: Any) -> Any:  # noqa: ANN401 - a tool's own
    """Return ``value``, or what it becomes where it is to be awaited."""
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:  # noqa: ANN401
        return await value

    return asyncio.run(wait())


def _text(value: Any) -> str:  # noqa: ANN401
    """Return a result as text: JSON where it has that form, or else what ``str`` makes of it."""
    if isinstance(value, str):
        return value
    if hasattr(value, "model_dump_json"):
        return str(value.model_dump_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _failed(error: BaseException) -> Outcome:
    try:
        text = without_lone_surrogates(f"Error: {type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - its __str__ is anybody's code too
        text = f"Error: {type(error).__name__}"
    return Outcome(text[:LONGEST], "failed")
