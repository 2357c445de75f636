"""How a panel's conversations outlast it: in the notebook's file, and as files that a view saves and opens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import traitlets

from ..chat import archive
from ..chat.changes import CONTENT
from ..chat.exporting import Exporting
from ..errors import ConversationError
from ..protocol import CompletionDone, Error
from ..requests import error_event
from . import notebooks
from .base import LlamaWidget, aside
from .kept import Kept
from .messages.talking import Code, Exported

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from .. import protocol as p
    from ..chat.changes import Change
    from ..chat.conversation import Chat
    from .messages.talking import Export, Import, ToCode

T = TypeVar("T", bound="Keeping")


class Keeping(Exporting, LlamaWidget):
    """A panel that keeps what was said; needs ``_chat`` before it is constructed."""

    name = traitlets.Unicode("", help="What tells this panel from others of its notebook.")
    keep = traitlets.Bool(True, help="Whether the notebook's file keeps the conversation.")

    _chat: Chat
    _kept: Kept

    def to_dict(self) -> dict[str, Any]:
        """Return all conversations with their branches and settings as plain data, as ``to_json`` writes it."""
        return self._chat.to_dict()

    @classmethod
    def from_notebook(  # noqa: PYI019 - Python 3.10 has no Self
        cls: type[T],
        model: object = None,
        *,
        path: str | os.PathLike[str] | None = None,
        name: str | int | None = None,
        or_new: bool = False,
        **options: Any,  # noqa: ANN401 - as for the constructor
    ) -> T:
        """Make a panel that goes on with a conversation that the notebook keeps, as it was last saved or further.

        Parameters
        ----------
        model : str or path or Model, optional
            By default the one that was used.
        path : str or path, optional
            The notebook's file; by default that of this kernel's notebook.
        name : str or int, optional
            The ``name`` of the panel, or its number in the notebook. By default it is the panel that this cell has
            shown, or the only one that there is.
        or_new : bool
            Begin a new conversation if there is none, instead of raising.
        **options
            As for the constructor, in place of what was kept.

        Raises
        ------
        ConversationError
            If the notebook is not found, or keeps no conversation, or several that could be meant.
        """
        make: Callable[..., T] = cls
        try:
            found = notebooks.find(path, name)
        except ConversationError:
            if not or_new or path is not None:
                raise
            found = None
        named = {"name": name} if isinstance(name, str) else {}
        if found is None:
            if or_new:
                return make(model, **named, **options)
            which = f"no conversation {name!r:.80}" if name is not None else "no conversation"
            msg = f"The notebook, as it was last saved, keeps {which}."
            raise ConversationError(msg, "Save it after the first answer. With or_new=True a new one is begun.")
        saved = archive.read(found.data)
        panel = make(model, **{"name": found.name, **named, **options})
        panel._go_on(found, saved, model=model, **options)  # noqa: SLF001 - our own
        return panel

    def _go_on(self, found: notebooks.Found, saved: archive.Saved, **given: Any) -> None:  # noqa: ANN401
        self._kept.be(found.id)
        self._restore(saved, **given)
        if found.remark:
            self._warn(found.remark)

    def _begin_keeping(self) -> None:
        self._kept = Kept(
            lambda: self._chat.to_dict(flat=True) if self.keep else {"turns": [], "current": ""},
            self._chat.record.size,
        )
        self._kept.name = self.name
        self._chat.watch(self._keep_change)

    def _keep_change(self, change: p.Event | Change) -> None:
        # Not while an answer is made: the question would be written again with it.
        if isinstance(change, (*CONTENT, CompletionDone, Error)) and not self._chat.busy:
            self._kept.changed()

    @traitlets.observe("name", "keep")
    def _keep_otherwise(self, _change: object) -> None:
        if hasattr(self, "_kept"):
            self._kept.name = self.name
            self._kept.changed()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # noqa: ANN401 - as anywidget has it
        if self.keep:
            self._kept.display()
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            # Where the widget is gone, the transcript says all there is to say.
            bundle[0].update({"text/plain": type(self).__name__, "text/html": ""})
        return bundle

    def _on_export(self, message: Export) -> None:
        aside(lambda: self.publish(self._exported(message)))

    def _exported(self, message: Export) -> Exported:
        match message.format:
            case "markdown":
                text, suffix = self.to_markdown(), "md"
            case "json":
                text, suffix = self.to_json(), "json"
            case "notebook":
                text, suffix = json.dumps(self.to_notebook(), ensure_ascii=False, indent=1), "ipynb"
        return Exported(request_id=message.request_id, name=f"{self._file_name()}.{suffix}", text=text)

    def _file_name(self) -> str:
        """Return the name of the conversation as a file can have it."""
        words = "".join(c if c.isalnum() or c in "-_" else " " for c in self.record.book.current.name).split()
        return "-".join(words)[:60].rstrip("-") or "conversation"

    def _on_to_code(self, message: ToCode) -> None:
        self.publish(Code(request_id=message.request_id, text=self.reply(message.turn).to_code()))

    def _on_import(self, message: Import) -> None:
        def act() -> None:
            try:
                self.import_json(message.text.encode(errors="replace"))  # as text, it could be the path of a file here
            except Exception as error:  # noqa: BLE001 - shown in the widget
                self.fail(error_event(message.request_id, error))

        aside(act)
