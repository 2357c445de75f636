"""Where an answer appears while it is made, and stays when it is done.

Front ends that show widgets get one with Stop, whose place Markdown takes at the end; those that run a notebook from
end to end, such as nbconvert and papermill, get Markdown that grows; a terminal gets text.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from ..chat.asking import pieces_of, wait_for
from ..chat.transcript import quiet
from ..requests import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..chat.answer import Answer
    from ..chat.conversation import Chat

_INTERVAL_S = 0.25


class Output(Protocol):
    """The output of one question."""

    def follow(self, answer: Answer) -> None:
        """Show the answer while it is made, until it has ended, or raise its error."""

    def end(self, markdown: str, text: str, note: str) -> None:
        """Show what stays: all of it as Markdown, or as the ``text`` that was followed with a ``note`` below."""


def output_for(shell: Any, chat: Chat, request_id: str, stop: Callable[[], None], *, cell: str) -> Output:  # noqa: ANN401
    """Return what suits the front end; ``cell`` is how it has named the cell, as those do that show widgets."""
    if getattr(shell, "kernel", None) is None:
        return _Terminal()
    return _View(chat, request_id, stop, cell) if cell else _Growing()


class _View:
    def __init__(self, chat: Chat, request_id: str, stop: Callable[[], None], cell: str) -> None:
        from ..widgets.answer import AnswerView

        self._id = new_id()
        self._view = AnswerView(chat=chat, request_id=request_id, stop=stop, cell=cell)
        _show(self._view, self._id)

    def follow(self, answer: Answer) -> None:
        wait_for(answer)

    def end(self, markdown: str, text: str, note: str) -> None:
        del note
        _update(self._id, markdown, text)
        self._view.show(settled=_data(markdown, text))  # a page that was reloaded meanwhile heard nothing of the update


class _Growing:
    def __init__(self) -> None:
        self._id = new_id()
        _show({"text/markdown": "", "text/plain": ""}, self._id, raw=True)

    def follow(self, answer: Answer) -> None:
        text, shown_at = "", time.monotonic()
        for piece in pieces_of(answer):
            text += piece
            if time.monotonic() - shown_at >= _INTERVAL_S:
                _update(self._id, quiet(text), text)
                shown_at = time.monotonic()

    def end(self, markdown: str, text: str, note: str) -> None:
        del note
        _update(self._id, markdown, text)


class _Terminal:
    def follow(self, answer: Answer) -> None:
        for piece in pieces_of(answer):
            sys.stdout.write(piece)
            sys.stdout.flush()

    def end(self, markdown: str, text: str, note: str) -> None:
        del markdown
        sys.stdout.write("\n" * (bool(text) and not text.endswith("\n")) + (f"({note})\n" if note else ""))
        sys.stdout.flush()


def _update(display_id: str, markdown: str, text: str) -> None:
    _show(_data(markdown, text), display_id, raw=True, update=True)


def _data(markdown: str, text: str) -> dict[str, str]:
    return {"text/markdown": markdown, "text/plain": text}


def _show(content: object, display_id: str, **how: bool) -> None:
    from IPython.display import display

    display(content, display_id=display_id, **how)  # type: ignore[no-untyped-call]
