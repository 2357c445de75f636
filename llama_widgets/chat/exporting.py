"""What a conversation can be turned into, and made from."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ConversationError, ParameterError
from ..protocol import Info
from . import archive, transcript
from .answer import reply_of
from .changes import CONTENT
from .classrooms import current
from .store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from .archive import Saved
    from .record import Record
    from .reply import Reply

logger = logging.getLogger(__name__)

T = TypeVar("T", bound="Exporting")


class Exporting:
    """Conversations as text, files and tables; needs ``record``, ``messages`` and the two ways to and from plain data.

    No abstract base class, as a widget has another metaclass.
    """

    model: Any
    _store: Store | None = None

    @property
    def record(self) -> Record:
        """What was said."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return all conversations with their branches and settings as plain data, as ``to_json`` writes it."""
        raise NotImplementedError

    def configure(self, **options: Any) -> None:  # noqa: ANN401
        """Change what all questions from now on are asked with."""
        raise NotImplementedError

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return all conversations, with their branches and settings, as JSON.

        Its ``messages`` are the open conversation in OpenAI's format; ``from_json`` reads everything back.

        Parameters
        ----------
        path : str or path, optional
            A file to write it to.

        Raises
        ------
        ConversationError
            If the file cannot be written.
        """
        return written(json.dumps(self.to_dict(), ensure_ascii=False, indent=1), path)

    def to_markdown(self, path: str | os.PathLike[str] | None = None, *, thoughts: bool = False) -> str:
        """Return what is shown of the conversation as Markdown, with what the model thought if ``thoughts`` is true."""
        return written(transcript.markdown(self._shown(), title=self._title(), thoughts=thoughts), path)

    def to_notebook(self, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """Return what is shown of the conversation as a notebook in Jupyter's format, with one cell for each turn."""
        made = transcript.notebook(self._shown(), title=self._title())
        written(json.dumps(made, ensure_ascii=False, indent=1) + "\n", path)
        return made

    def to_dataframe(self, library: str | None = None) -> Any:  # noqa: ANN401 - of pandas or polars
        """Return what is shown of the conversation as a table with a row for each turn.

        Parameters
        ----------
        library : "pandas" or "polars", optional
            What makes it; by default pandas, or polars where pandas is not installed.

        Raises
        ------
        ParameterError
            If neither is installed.
        """
        return table(transcript.rows(self._shown()), transcript.COLUMNS, library)

    def reply(self, turn: str | None = None) -> Reply:
        """Return an answer as ``ask`` returned it, also one of a conversation that was kept, to replay it for example.

        Parameters
        ----------
        turn : str, optional
            The id of the answer, by default the last one that is shown.

        Raises
        ------
        ParameterError
            If there is no such answer.
        """
        with self.record.lock:
            turns = self.record.turns
            ends = [at for at, each in enumerate(turns) if each.done is not None and turn in (None, each.id)]
            if not ends:
                msg = "There is no answer yet." if turn is None else f"No answer that is shown has the id {turn!r:.80}."
                raise ParameterError(msg, "Each of chat.messages has its 'id'; chat.switch(id) shows another branch.")
            return reply_of(turns, ends[-1])

    @classmethod
    def from_json(cls: type[T], source: object, model: object = None, **options: Any) -> T:  # noqa: ANN401, PYI019
        """Make a new one that goes on with conversations that were kept.

        Parameters
        ----------
        source : str, path, dict or list
            What ``to_json`` made, a file with it, or messages in OpenAI's format.
        model : str or path or Model, optional
            By default the one that is named there.
        **options
            As for the constructor, in place of what was kept.

        Raises
        ------
        ConversationError
            If it cannot be read.
        """
        saved = archive.read(source)
        make: Callable[..., T] = cls
        made = make(model, **options)
        made._restore(saved, model=model, **options)  # noqa: SLF001 - our own
        return made

    def import_json(self, source: object) -> None:
        """Add conversations that were kept to these, and open them; takes and raises what ``from_json`` does.

        Raises ``BusyError`` while an answer is being made.
        """
        self._take(archive.read(source))

    def _restore(self, saved: Saved, **given: Any) -> None:  # noqa: ANN401
        """Go on with what was kept, with the settings that were then, except those that are ``given``."""
        kept = current().free({"model": saved.model, "system": saved.system, **saved.settings})
        given["stop"] = given.get("stop", given.get("stop_strings"))
        options = {name: value for name, value in kept.items() if given.get(name) is None}
        self.model = options.pop("model", None) or self.model
        self.configure(**options)
        self._take(saved)

    def _open_store(self, path: str | os.PathLike[str] | None) -> None:
        """Read the file, which is refused before anything is made of it."""
        if path is not None:
            self._store = Store(path, self.to_dict, self._warn)

    def _begin_store(self, **given: Any) -> None:  # noqa: ANN401
        """Go on with what the file holds, and write it from now on."""
        if (store := self._store) is not None:
            if store.saved is not None:
                self._restore(store.saved, **given)
            self.record.watchers.add(lambda change: store.changed() if isinstance(change, CONTENT) else None)

    def _warn(self, message: str) -> None:
        """Tell what somebody should know."""
        logger.warning("%s", message)
        with self.record.lock:
            self.record.tell(Info(request_id="", level="warning", message=message))

    def _take(self, saved: Saved) -> None:
        with self.record.lock:
            self.record.forbid_busy()
            self.record.book.take(saved.book)
            self.record.tell_branch()

    def _shown(self) -> list[dict[str, Any]]:
        return self.record.messages()

    def _title(self) -> str:
        with self.record.lock:
            return self.record.book.current.given_name


def table(rows: list[dict[str, Any]], columns: Mapping[str, type], library: str | None = None) -> Any:  # noqa: ANN401
    """Return rows as a table of pandas, or of polars where pandas is not installed, or of the one that is named."""
    if library not in (None, "pandas", "polars"):
        msg = f"There are no tables of {library!r:.80}."
        raise ParameterError(msg, "Known: 'pandas', 'polars'.")
    if library != "polars":
        try:
            import pandas as pd
        except ModuleNotFoundError:
            pass
        else:
            return pd.DataFrame(rows, columns=list(columns))
    if library != "pandas":
        try:
            import polars as pl
        except ModuleNotFoundError:
            pass
        else:
            return pl.DataFrame(rows, schema=dict(columns))
    msg = f"{library or 'Neither pandas nor polars'} is {'not ' if library else ''}installed."
    raise ParameterError(msg, f"Install it: pip install {library or 'pandas'}.")


def written(text: str, path: str | os.PathLike[str] | None) -> str:
    """Write ``text`` to a file, if one is named, and return it; raises ``ConversationError`` if it cannot be."""
    if path is not None:
        try:
            Path(path).expanduser().write_text(text, encoding="utf-8", newline="\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            msg = f"{Path(path).name!r:.200} cannot be written: {reason}."
            raise ConversationError(msg, "Give another path.") from error
    return text
