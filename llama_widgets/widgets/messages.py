"""What a widget and its views say to each other, beside the commands and events of ``protocol.py``.

Views send commands and the messages of ``FROM_VIEW``; the kernel sends events and those of ``TO_VIEW``. All are custom
messages on the widget's comm; the browser never writes a trait. Twins: ``frontend/src/commands.ts``, ``messages.ts``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..chat.changes import Branched, Rejected, Snapshot, TurnChanged
from ..protocol import COMMANDS
from ..wire import Message, secret, table

PartName = Literal["highlight", "math"]
"""Code that a page loads when it first needs it: colours for code, formulas."""

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
class Part(Message):
    """The page needs code that is not in the bundle. Answered by ``part_code``."""

    type = "part"
    name: PartName


@dataclass(frozen=True, kw_only=True)
class Ask(Message):
    """The user sends a message to the model."""

    type = "ask"
    text: str
    files: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Draft(Message):
    """What stands in the message box and goes along with it; ``files`` are left as they are if not given.

    From the kernel: what was kept, for a page that has just been opened.
    """

    type = "draft"
    text: str
    files: list[dict[str, str]] | None = None


@dataclass(frozen=True, kw_only=True)
class Complete(Message):
    """What may come next in ``source``, an expression that is being typed? Answered by ``completions``."""

    type = "complete"
    source: str


@dataclass(frozen=True, kw_only=True)
class Preview(Message):
    """What would be put into this message? Answered by ``previewed``.

    Without ``run`` nothing is looked at that calls a function: that may take a while, or change something.
    """

    type = "preview"
    text: str = ""
    files: list[dict[str, str]] = field(default_factory=list)
    run: bool = False


@dataclass(frozen=True, kw_only=True)
class Clear(Message):
    """Forget the conversation."""

    type = "clear"


@dataclass(frozen=True, kw_only=True)
class Regenerate(Message):
    """Answer the question again that the answer ``turn`` belongs to."""

    type = "regenerate"
    turn: str


@dataclass(frozen=True, kw_only=True)
class Edit(Message):
    """Ask something else in place of the question ``turn``; with ``fill`` it is filled in as that one was."""

    type = "edit"
    turn: str
    text: str
    fill: bool = False


@dataclass(frozen=True, kw_only=True)
class Continue(Message):
    """Go on with the last answer, which was cut."""

    type = "continue"


@dataclass(frozen=True, kw_only=True)
class Delete(Message):
    """Delete a turn and all that follows it."""

    type = "delete"
    turn: str


@dataclass(frozen=True, kw_only=True)
class Switch(Message):
    """Show the branch in which ``turn`` is."""

    type = "switch"
    turn: str


@dataclass(frozen=True, kw_only=True)
class Undo(Message):
    """Bring back what was deleted or cleared last."""

    type = "undo"


@dataclass(frozen=True, kw_only=True)
class NewConversation(Message):
    """Open a new conversation."""

    type = "new_conversation"


@dataclass(frozen=True, kw_only=True)
class OpenConversation(Message):
    """Open the conversation whose id is ``conversation``."""

    type = "open_conversation"
    conversation: str


@dataclass(frozen=True, kw_only=True)
class RenameConversation(Message):
    """Name the conversation whose id is ``conversation``."""

    type = "rename_conversation"
    conversation: str
    name: str


@dataclass(frozen=True, kw_only=True)
class DeleteConversation(Message):
    """Delete the conversation whose id is ``conversation``."""

    type = "delete_conversation"
    conversation: str


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


@dataclass(frozen=True, kw_only=True)
class Search(Message):
    """Which models of the hub fit ``text``? Without words: which are good to begin with? Answered by ``found``."""

    type = "search"
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Look(Message):
    """What is this model, and does it fit? Answered by ``looked``. ``token`` is for gated ones, and never kept."""

    type = "look"
    model: str
    token: str | None = secret(None)


@dataclass(frozen=True, kw_only=True)
class DeleteModel(Message):
    """Delete a model from this machine; with ``dry_run`` say what that would free. Answered by ``deleted``."""

    type = "delete_model"
    model: str
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class DeleteLeftovers(Message):
    """Delete what other programs left unfinished in the hub's cache. Answered by ``deleted``."""

    type = "delete_leftovers"


@dataclass(frozen=True, kw_only=True)
class Discard(Message):
    """Cancel the download whose id is ``target``, and delete what has arrived of it."""

    type = "discard"
    target: str


@dataclass(frozen=True, kw_only=True)
class ShowSettings(Message):
    """Which settings and presets are there? Answered by ``settings``."""

    type = "show_settings"


@dataclass(frozen=True, kw_only=True)
class Configure(Message):
    """Set these traits, or none where one of them cannot be. Answered by ``configured``."""

    type = "configure"
    options: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ApplyPreset(Message):
    """Set what the preset ``name`` sets. Answered by ``settings``, as the next three are."""

    type = "apply_preset"
    name: str


@dataclass(frozen=True, kw_only=True)
class SavePreset(Message):
    """Keep the present settings under ``name``."""

    type = "save_preset"
    name: str


@dataclass(frozen=True, kw_only=True)
class DeletePreset(Message):
    """Delete the saved preset ``name``."""

    type = "delete_preset"
    name: str


@dataclass(frozen=True, kw_only=True)
class ImportPreset(Message):
    """Save and apply the preset that is in a ``file`` of this name, with this ``text``."""

    type = "import_preset"
    file: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ExportPreset(Message):
    """Give the present settings as the text of a file. Answered by ``preset_file``."""

    type = "export_preset"


@dataclass(frozen=True, kw_only=True)
class Export(Message):
    """Make a file of the conversation. Answered by ``exported``."""

    type = "export"
    format: Literal["markdown", "json", "notebook"]


@dataclass(frozen=True, kw_only=True)
class Import(Message):
    """Add the conversations of a file, whose ``text`` this is, and open them."""

    type = "import"
    text: str


# To a view


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


@dataclass(frozen=True, kw_only=True)
class Completions(Message):
    """Names that may stand in the expression from ``start`` on."""

    type = "completions"
    start: int
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class Previewed(Message):
    """What would be put in, in order: dicts with ``source``, ``kind``, ``text``, ``tokens`` and ``error``.

    ``text`` is ``None`` where it is not known yet, ``tokens`` where no model is there to count them.
    """

    type = "previewed"
    inserts: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Found(Message):
    """The models that a ``search`` found, as ``HubModel.to_dict`` has them."""

    type = "found"
    models: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Looked(Message):
    """What a model is.

    ``info`` is as ``ModelInfo.to_dict`` has it, each of its files with a ``fit``. ``estimates`` are for contexts of
    several sizes, as ``Estimate.to_dict`` has them. Where the hub does not show the header there are none, and
    ``refusal`` says why.
    """

    type = "looked"
    info: dict[str, Any]
    estimates: list[dict[str, Any]]
    refusal: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Deleted(Message):
    """So many bytes are free again, or would be."""

    type = "deleted"
    freed: int
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class SettingsShown(Message):
    """The presets that are there, each with its traits; and to who asked, all settings as ``described.py`` has them."""

    type = "settings"
    presets: list[dict[str, Any]]
    groups: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Configured(Message):
    """What ``configure`` asked for is set."""

    type = "configured"


@dataclass(frozen=True, kw_only=True)
class PresetFile(Message):
    """The text of a preset's file."""

    type = "preset_file"
    text: str


@dataclass(frozen=True, kw_only=True)
class Exported(Message):
    """A file for the view to save: its name, and what is in it."""

    type = "exported"
    name: str
    text: str


FROM_VIEW: dict[str, type[Message]] = COMMANDS | table(
    Hello,
    Ping,
    Part,
    Ask,
    Draft,
    Complete,
    Preview,
    Clear,
    Regenerate,
    Edit,
    Continue,
    Delete,
    Switch,
    Undo,
    NewConversation,
    OpenConversation,
    RenameConversation,
    DeleteConversation,
    Choose,
    Refresh,
    Pause,
    Resume,
    Search,
    Look,
    DeleteModel,
    DeleteLeftovers,
    Discard,
    ShowSettings,
    Configure,
    ApplyPreset,
    SavePreset,
    DeletePreset,
    ImportPreset,
    ExportPreset,
    Export,
    Import,
)
TO_VIEW: dict[str, type[Message]] = table(
    Pong,
    PartCode,
    Snapshot,
    TurnChanged,
    Branched,
    Rejected,
    Draft,
    Completions,
    Previewed,
    Found,
    Looked,
    Deleted,
    SettingsShown,
    Configured,
    PresetFile,
    Exported,
)
