"""Everything that a widget sends goes through here: in order, one thread at a time, tokens at most 20 times a second.

Any thread may put something in; one thread takes it out, and whoever handles a message of a view when it is done. So
ipywidgets' own state, which is not made for threads, is sent by one at a time, and tokens that arrive faster than the
eye can follow travel together.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ..chat.changes import Snapshot, TurnChanged
from ..protocol import CompletionChunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..wire import Message

    Made = Callable[[], Message | None]

logger = logging.getLogger(__name__)

INTERVAL_S = 0.05
"""The least time between two sendings: 20 a second look steady, and 2,000 tokens then cost 0.2 MB on the wire.

jupyter_server drops messages above 1,000 a second, and JupyterLab awaits the handler of each one.
"""


class Sender(Protocol):
    """What a publisher needs of its widget."""

    def send(self, content: dict[str, Any]) -> None:
        """Send a custom message."""

    def send_traits_now(self, names: set[str]) -> None:
        """Send the present values of these traits."""


class Publisher:
    """The outbox of one widget.

    The chunks of an answer are numbered here, as they are sent, and a snapshot gets the number that comes next: what a
    view has and what it gets fit together, whatever was joined on the way.
    """

    def __init__(self, widget: Sender) -> None:
        self._widget = widget
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._outbox: list[Message | set[str] | Made] = []
        self._numbered = ""
        self._seq = 0
        self.sent_at = 0.0

    def send(self, message: Message) -> None:
        """Send a message after all that was put in before."""
        with self._lock:
            last = self._outbox[-1] if self._outbox else None
            if isinstance(message, CompletionChunk) and isinstance(last, CompletionChunk) and _same(last, message):
                logprobs = [*last.logprobs, *message.logprobs]
                self._outbox[-1] = replace(
                    last, text=last.text + message.text, tokens=message.tokens, logprobs=logprobs
                )
            else:
                if isinstance(message, Snapshot):  # it holds what these say
                    self._outbox = [item for item in self._outbox if not isinstance(item, CompletionChunk)]
                self._outbox.append(message)
        if isinstance(message, TurnChanged):
            self.sent_at = 0.0  # a turn that begins or has ended is what somebody waits for
        _pump.wake(self)

    def send_made(self, make: Made) -> None:
        """Send what ``make`` returns when its turn comes: all that has grown until then, or nothing."""
        with self._lock:
            if make not in self._outbox:
                self._outbox.append(make)
        _pump.wake(self)

    def send_traits(self, names: set[str]) -> None:
        """Send these traits' values, as they will be then, after all that was put in before."""
        with self._lock:
            if self._outbox and isinstance(self._outbox[-1], set):
                self._outbox[-1] |= names
            else:
                self._outbox.append(set(names))
        _pump.wake(self)

    def flush(self) -> None:
        """Send what is there, from this thread."""
        with self._sending:
            with self._lock:
                outbox, self._outbox = self._outbox, []
            for item in outbox:
                try:
                    if isinstance(item, set):
                        self._widget.send_traits_now(item)
                        continue
                    made = item() if callable(item) else item
                    if made is not None:
                        message = self._number(made)
                        # Of chunks there are hundreds: what a reader fills in by itself would be a tenth of an answer.
                        short = isinstance(message, CompletionChunk)
                        self._widget.send(message.to_short_dict() if short else message.to_dict())
                except Exception:  # the comm may be gone: closed, or the kernel is going down
                    logger.debug("could not send %r", item, exc_info=True)

    def _number(self, message: Message) -> Message:
        if isinstance(message, CompletionChunk):
            if message.request_id != self._numbered:
                self._numbered, self._seq = message.request_id, 0
            self._seq += 1
            return replace(message, seq=self._seq - 1)
        if isinstance(message, Snapshot):
            return replace(message, seq=self._seq if message.running == self._numbered else 0)
        return message


def _same(a: CompletionChunk, b: CompletionChunk) -> bool:
    return a.request_id == b.request_id and a.segment == b.segment


class _Pump:
    """The thread that sends. It starts with the first message and costs nothing while there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Publisher] = []
        self._thread: threading.Thread | None = None

    def wake(self, publisher: Publisher) -> None:
        with self._changed:
            if publisher not in self._waiting:
                self._waiting.append(publisher)
            elif publisher.sent_at:
                return  # its time will come
            if self._thread is None or not self._thread.is_alive():  # not alive: something ended it
                self._thread = threading.Thread(target=self._run, name="llama-widgets-publisher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (due := self._due()):
                    self._changed.wait(self._next())
                self._waiting = [publisher for publisher in self._waiting if publisher not in due]
            for publisher in due:
                publisher.sent_at = time.monotonic()
                publisher.flush()

    def _due(self) -> list[Publisher]:
        now = time.monotonic()
        return [publisher for publisher in self._waiting if publisher.sent_at + INTERVAL_S <= now]

    def _next(self) -> float | None:
        times = [publisher.sent_at + INTERVAL_S for publisher in self._waiting]
        return max(0.0, min(times) - time.monotonic()) if times else None


_pump = _Pump()


def _forget_after_fork() -> None:
    global _pump  # noqa: PLW0603 - a forked child has neither the thread nor whoever held the lock
    _pump = _Pump()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_after_fork)
