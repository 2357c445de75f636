"""What a panel does while a question is being written, until it is one: draft, completion, preview, filling."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import protocol as p
from ..completing import completions
from ..errors import FillError, LlamaWidgetsError
from ..filling import Filled, Insert, block, fill, parse, user_names
from ..requests import error_event
from ..shortcuts import counted
from .messages.talking import Completions, Draft, Edit, Previewed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..chat.answer import Answer
    from ..chat.conversation import Chat
    from ..filling import Hole
    from ..wire import Message
    from .messages.talking import Ask, Complete, Preview


_ENDS = (p.CompletionDone, p.Error)


class Writing:
    """Takes what is typed in the browser.

    Values are made in threads. The user's objects may not be meant for that, but the thread that runs cells may run one
    for hours, and no expression may hold it up either; an object that minds raises an error, which is shown. Only the
    typed text is evaluated: never a file, an answer or a conversation that was imported.
    """

    def __init__(self, chat: Chat, publish: Callable[[Message], None], fail: Callable[[p.Error], None]) -> None:
        self._chat = chat
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

    def ask(self, message: Ask | Edit) -> None:
        """Fill the message and ask it; a question that is edited is filled as it was before."""
        if not (message.fill if isinstance(message, Edit) else message.files or "{" in message.text):
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

    def _fill(self, message: Ask | Edit) -> None:
        try:
            filled = fill(message.text, files=[] if isinstance(message, Edit) else _files(message.files))
            for file in self._files_of(message.turn) if isinstance(message, Edit) else []:
                filled = filled.followed_by(file)
            filled = filled.counted(self._counted(filled.pieces))
        except Exception as error:  # noqa: BLE001 - shown in the widget
            if self._claim(message.request_id):
                self._fail(error_event(message.request_id, error))
        else:
            answer = self._submit(message, filled) if self._claim(message.request_id) else None
            if answer is not None and any(insert.tokens is None for insert in filled.inserts):
                self._count_later(answer)

    def _claim(self, request_id: str) -> bool:
        """Return whether the question is still wanted; from now on it is one."""
        with self._lock:
            wanted = request_id in self._filling
            self._filling.discard(request_id)
            return wanted

    def _submit(self, message: Ask | Edit, text: str) -> Answer | None:
        try:
            if isinstance(message, Edit):
                answer = self._chat.submit_edit(message.turn, text, request_id=message.request_id)
            else:
                answer = self._chat.submit(text, request_id=message.request_id)
        except Exception as error:  # noqa: BLE001 - shown in the widget
            self._fail(error_event(message.request_id, error))
            return None
        if self._draft.text == message.text:
            self._draft = Draft(request_id="", text="", files=[])
        return answer

    def _files_of(self, turn: str) -> list[Filled]:
        """Return the files that went along with a question, as they stand in it."""
        question = next((each for each in self._chat.messages if each["id"] == turn), {})
        inserts = [Insert(**each) for each in question.get("inserts", ()) if each["kind"] == "file"]
        texts = [question["content"][each.start : each.end] for each in inserts]
        return [
            Filled(text, "", [replace(insert, start=0, end=len(text))])
            for text, insert in zip(texts, inserts, strict=True)
        ]

    def _count_later(self, answer: Answer) -> None:
        """Count what was put into a question as soon as its model answers, which is there by then."""
        begun = threading.Event()

        def hear(change: Message) -> None:
            if change.request_id == answer.request_id and isinstance(change, (p.CompletionChunk, *_ENDS)):
                begun.set()

        unwatch = self._chat.watch(hear)
        if not answer.tokens and not answer.future.done():
            begun.wait()
        unwatch()
        question, record = answer.plan.question, self._chat.record
        assert question is not None  # noqa: S101 - it was asked
        tokens = self._counted([question.content[each["start"] : each["end"]] for each in question.inserts])
        with record.lock:
            question.inserts = [each | {"tokens": n} for each, n in zip(question.inserts, tokens, strict=True)]
            if any(turn is question for turn in record.turns):
                record.tell_turn(answer.request_id, question)

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
