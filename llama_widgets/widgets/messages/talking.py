"""What a view says to the conversation of its panel, and what it hears of it beside ``chat/changes.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ...wire import Message


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
class Earlier(Message):
    """What was said before the turn ``turn``? Answered by ``earlier_turns``."""

    type = "earlier"
    turn: str


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
class ToCode(Message):
    """Which Python makes the answer ``turn`` again? Answered by ``code``."""

    type = "to_code"
    turn: str


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
class Shown(Message):
    """The settled answer stands in the notebook, so that its widget is of no more use."""

    type = "shown"


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
class Export(Message):
    """Make a file of the conversation. Answered by ``exported``."""

    type = "export"
    format: Literal["markdown", "json", "notebook"]


@dataclass(frozen=True, kw_only=True)
class Import(Message):
    """Add the conversations of a file, whose ``text`` this is, and open them."""

    type = "import"
    text: str


@dataclass(frozen=True, kw_only=True)
class Completions(Message):
    """Names that may stand in the expression from ``start`` on."""

    type = "completions"
    start: int
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class Code(Message):
    """A cell that makes an answer again."""

    type = "code"
    text: str


@dataclass(frozen=True, kw_only=True)
class EarlierTurns(Message):
    """The turns from the first of the conversation to that one, without it; ``None`` if that one has left meanwhile."""

    type = "earlier_turns"
    turns: list[dict[str, Any]] | None


@dataclass(frozen=True, kw_only=True)
class Previewed(Message):
    """What would be put in, in order: dicts with ``source``, ``kind``, ``text``, ``tokens`` and ``error``.

    ``text`` is ``None`` where it is not known yet, ``tokens`` where no model is there to count them.
    """

    type = "previewed"
    inserts: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Exported(Message):
    """A file for the view to save: its name, and what is in it."""

    type = "exported"
    name: str
    text: str
