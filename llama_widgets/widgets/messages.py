"""What a widget and its views say to each other, beside the commands and events of ``protocol.py``.

Views send commands and the messages of ``FROM_VIEW``; the kernel sends events and those of ``TO_VIEW``. All are custom
messages on the widget's comm; the browser never writes a trait. Twins: ``frontend/src/commands.ts``, ``messages.ts``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..chat.changes import Rejected, Snapshot, TurnChanged
from ..protocol import COMMANDS
from ..wire import Message, table

CONTROL_TARGET = "llama_widgets.control"
"""Comm target that front ends open for themselves. The kernel never sends on it: see ``widgets/control.py``."""


# From a view


@dataclass(frozen=True, kw_only=True)
class Hello(Message):
    """A view is there, or has missed something: send the snapshot."""

    type = "hello"


@dataclass(frozen=True, kw_only=True)
class Ping(Message):
    """Are you able to answer now? The way of this message is the way an abort would take."""

    type = "ping"


@dataclass(frozen=True, kw_only=True)
class Ask(Message):
    """The user sends a message to the model."""

    type = "ask"
    text: str


@dataclass(frozen=True, kw_only=True)
class Clear(Message):
    """Forget the conversation."""

    type = "clear"


@dataclass(frozen=True, kw_only=True)
class Choose(Message):
    """The user picks a model in the list, or types a path or reference."""

    type = "choose"
    model: str


@dataclass(frozen=True, kw_only=True)
class Refresh(Message):
    """Look again what is on this machine; ``folder`` is one more folder to look in."""

    type = "refresh"
    folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pause(Message):
    """Pause the download whose id is ``target``."""

    type = "pause"
    target: str


@dataclass(frozen=True, kw_only=True)
class Resume(Message):
    """Go on with the paused or failed download whose id is ``target``."""

    type = "resume"
    target: str


# To a view


@dataclass(frozen=True, kw_only=True)
class Pong(Message):
    """The answer to ``ping``."""

    type = "pong"


FROM_VIEW: dict[str, type[Message]] = COMMANDS | table(Hello, Ping, Ask, Clear, Choose, Refresh, Pause, Resume)
TO_VIEW: dict[str, type[Message]] = table(Pong, Snapshot, TurnChanged, Rejected)
