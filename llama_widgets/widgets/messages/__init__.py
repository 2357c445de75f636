"""What a widget and its views say to each other, beside the commands and events of ``protocol.py``.

Views send commands and the messages of ``FROM_VIEW``; the kernel sends events and those of ``TO_VIEW``. All are custom
messages on the widget's comm; the browser never writes a trait. Twins: ``frontend/src/commands.ts``, ``messages.ts``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...chat.changes import Branched, Rejected, Snapshot, TurnChanged
from ...protocol import COMMANDS
from ...wire import Message, table
from . import models, settings, talking

PartName = Literal["highlight", "math", "compare", "sweep", "tokens"]
"""Code that a page loads when it first needs it: colours for code, formulas, some widgets."""

CONTROL_TARGET = "llama_widgets.control"
"""Comm target that front ends open for themselves. The kernel never sends on it: see ``widgets/control.py``."""


@dataclass(frozen=True, kw_only=True)
class Hello(Message):
    """A view is there, or has missed something: send the snapshot."""

    type = "hello"


@dataclass(frozen=True, kw_only=True)
class Ping(Message):
    """Are you able to answer now? The way of this message is the way an abort would take."""

    type = "ping"


@dataclass(frozen=True, kw_only=True)
class Part(Message):
    """The page needs code that is not in the bundle. Answered by ``part_code``."""

    type = "part"
    name: PartName


@dataclass(frozen=True, kw_only=True)
class Pong(Message):
    """The answer to ``ping``."""

    type = "pong"


@dataclass(frozen=True, kw_only=True)
class PartCode(Message):
    """A part: a module of JavaScript, and its style."""

    type = "part_code"
    name: PartName
    code: str
    css: str


FROM_VIEW: dict[str, type[Message]] = COMMANDS | table(
    Hello,
    Ping,
    Part,
    talking.Ask,
    talking.Draft,
    talking.Complete,
    talking.Preview,
    talking.Earlier,
    talking.Clear,
    talking.Regenerate,
    talking.Edit,
    talking.Continue,
    talking.ToCode,
    talking.Delete,
    talking.Switch,
    talking.Undo,
    talking.Shown,
    talking.NewConversation,
    talking.OpenConversation,
    talking.RenameConversation,
    talking.DeleteConversation,
    models.Choose,
    models.Refresh,
    models.Pause,
    models.Resume,
    models.Search,
    models.Look,
    models.DeleteModel,
    models.DeleteLeftovers,
    models.Discard,
    settings.ShowSettings,
    settings.Configure,
    settings.ApplyPreset,
    settings.SavePreset,
    settings.DeletePreset,
    settings.ImportPreset,
    settings.ExportPreset,
    talking.Export,
    talking.Import,
)
TO_VIEW: dict[str, type[Message]] = table(
    Pong,
    PartCode,
    Snapshot,
    TurnChanged,
    Branched,
    Rejected,
    talking.Draft,
    talking.Completions,
    talking.Previewed,
    talking.Code,
    talking.EarlierTurns,
    models.Found,
    models.Looked,
    models.Deleted,
    settings.SettingsShown,
    settings.Configured,
    settings.PresetFile,
    talking.Exported,
)
