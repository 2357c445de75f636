"""What a panel does while a question is being written, until it is one: draft, completion, preview, filling."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import protocol as p
from ..completing import completions
from ..errors import FillError, LlamaWidgetsError
from ..filling import block, fill, parse, user_names
from ..requests import error_event
from ..shortcuts import counted
from .messages import Completions, Draft, Previewed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..chat.conversation import Chat
    from ..filling import Hole
    from ..wire import Message
    from .messages import Ask, Complete, Preview


class Writing:
    """Takes what is typed in the browser.

    Values are made in threads. The user's objects may not be meant for that, but the thread that runs cells may run one
    for hours, and no expression may hold it up either; an object that minds raises an error, which is shown. Only the
    typed text is evaluated: never a file, an answer or a conversation that was imported.
    """

    def __init__(
        self,
        chat: Chat,
        submit: Callable[..., object],
        publish: Callable[[Message], None],
        fail: Callable[[p.Error], None],
    ) -> None:
        self._chat = chat
        self._ask = submit
        self._publish = publish
        self._fail = fail
        self._draft = Draft(request_id="", text="", files=[])
        self._filling: set[str] = set()  # request ids of questions that are none yet
        self._lock = threading.Lock()

    def show(self, request_id: str) -> None:
        """Send what was being written, if anything was."""
        if self._draft.text or self._draft.files:
            self._publish(replace(self._draft, request_id=request_id))

    def keep(self, draft: Draft) -> None:
        """Keep what is being written."""
        self._draft = replace(draft, files=self._draft.files if draft.files is None else draft.files)

    def complete(self, message: Complete) -> None:
        """Tell what may come next."""
        start, names = completions(message.source)
        self._publish(Completions(request_id=message.request_id, start=start, names=names))

    def ask(self, message: Ask) -> None:
        """Fill the message and ask it."""
        if "{" not in message.text and not message.files:
            self._submit(message, message.text)
            return
        with self._lock:
            self._filling.add(message.request_id)
        _start(lambda: self._fill(message))

    def stop(self, target: str) -> bool:
        """Give up the questions that are being filled; return whether there were any."""
        with self._lock:
            stopped = {each for each in self._filling if target in (each, "generation", "all")}
            self._filling -= stopped
        for request_id in stopped:
            text, hint = "The message was stopped before it was sent.", "It is still in the box."
            self._publish(p.Error(request_id=request_id, code="stopped", message=text, hint=hint))
        return bool(stopped)

    def preview(self, message: Preview) -> None:
        """Tell what would be put into a message."""
        _start(lambda: self._preview(message))

    def _fill(self, message: Ask) -> None:
        try:
            filled = fill(message.text, files=_files(message.files))
            filled = filled.counted(self._counted(filled.pieces))
        except Exception as error:  # noqa: BLE001 - shown in the widget
            if self._claim(message.request_id):
                self._fail(error_event(message.request_id, error))
        else:
            if self._claim(message.request_id):
                self._submit(message, filled)

    def _claim(self, request_id: str) -> bool:
        """Return whether the question is still wanted; from now on it is one."""
        with self._lock:
            wanted = request_id in self._filling
            self._filling.discard(request_id)
            return wanted

    def _submit(self, message: Ask, text: str) -> None:
        try:
            self._ask(text, request_id=message.request_id)
        except Exception as error:  # noqa: BLE001 - shown in the widget
            self._fail(error_event(message.request_id, error))
            return
        if self._draft.text == message.text:
            self._draft = Draft(request_id="", text="", files=[])

    def _preview(self, message: Preview) -> None:
        names = user_names()
        holes = [part for part in parse(message.text) if not isinstance(part, str)]
        inserts = [_look(hole, names, run=message.run) for hole in holes]
        inserts += [_insert(name, block(name, text), "file") for name, text in _files(message.files)]
        known = [insert for insert in inserts if insert["text"] is not None]
        for insert, tokens in zip(known, self._counted([insert["text"] for insert in known]), strict=True):
            insert["tokens"] = tokens
        self._publish(Previewed(request_id=message.request_id, inserts=inserts))

    def _counted(self, texts: list[str]) -> list[int] | list[None]:
        worker, model = self._chat.worker, self._chat.model
        try:
            # Where it is being loaded, the count would wait for that.
            return counted(texts, model, worker) if texts and worker.is_loaded(model) else [None] * len(texts)
        except LlamaWidgetsError:
            return [None] * len(texts)


def _look(hole: Hole, names: dict[str, Any], *, run: bool) -> dict[str, Any]:
    if hole.works and not run:
        return _insert(hole.source, None)
    try:
        return _insert(hole.source, hole.value(names))
    except FillError as error:
        return {**_insert(hole.source, None), "error": error.message}


def _insert(source: str, text: str | None, kind: str = "value") -> dict[str, Any]:
    return {"source": source, "kind": kind, "text": text, "tokens": None, "error": ""}


def _files(files: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(file["name"], file["text"]) for file in files]


def _start(action: Callable[[], None]) -> None:
    threading.Thread(target=action, name="llama-widgets-filling", daemon=True).start()
