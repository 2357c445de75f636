"""One question of a cell: asked, shown, waited for or left to the background, and bound to its name."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..cancel import Cancel
from ..errors import GenerationError, NoModelError
from ..filling import Filled, Insert
from ..library.references import model_text
from ..requests import new_id
from ..shortcuts import counted
from .above import fitted
from .markdown import figures, settled

if TYPE_CHECKING:
    from ..chat.answer import Answer
    from ..chat.reply import Reply
    from ..chat.turns import Turn
    from ..worker import Worker
    from .chats import CellChat
    from .line import Line
    from .outputs import Output

_APART = "\n\n"


@dataclass(eq=False)
class Job:
    """One question on its way.

    Attributes
    ----------
    cell : str
        What tells the cell from others.
    text : str
        The question.
    shown : list of str
        What goes before it: cells and errors, of which what fits is told.
    names : dict
        The variables of the notebook.
    done : Future of Reply or None
        Done when all is shown, bound and settled; ``None`` where nothing was said.
    """

    cell: str
    line: Line
    text: str
    shown: list[str]
    names: dict[str, Any]
    talk: CellChat
    request_id: str = field(default_factory=new_id)
    done: Future[Any] = field(default_factory=Future)
    before: Job | None = None
    _cancel: Cancel = field(default_factory=Cancel)
    _answer: Answer | None = None
    _notices: list[str] = field(default_factory=list)

    def stop(self) -> None:
        """Stop it, whether it is asked already or not."""
        self._cancel.request()

    def run(self, output: Output) -> None:
        """Ask, show the answer until it has ended, and bind it; raise what went wrong."""
        try:
            reply = self._ask(output)
        except BaseException as error:
            self.done.set_result(None)
            raise error from None
        self.done.set_result(reply)

    def run_aside(self, output: Output) -> None:
        """Do the same in a thread; what goes wrong is shown in place of the answer."""

        def act() -> None:
            try:
                self.run(output)
            except Exception as error:  # noqa: BLE001 - shown
                self._show(output, f"**{type(error).__name__}:** {error}")

        threading.Thread(target=act, name="llama-widgets-cell", daemon=True).start()

    def _ask(self, output: Output) -> Reply:
        try:
            if self.before is not None:
                self._wait_for(self.before)
            self._answer = self._submit()
            self._cancel.on_request(self._answer.stop)
            output.follow(self._answer)
            reply = self._answer.future.result()
            self._bind(reply)  # before its end is shown: who sees that may use the name
        except KeyboardInterrupt:
            if self._answer is not None and "json_schema" not in self.line.settings:
                self._bind(self._answer.future.result())
            raise
        finally:  # interrupted too: what was said is in place by now
            self.talk.settle()
            self._show(output)
        return reply

    def _wait_for(self, other: Job) -> None:
        """Wait until another question of the same conversation has ended."""
        ended = threading.Event()
        other.done.add_done_callback(lambda _: ended.set())
        self._cancel.on_request(ended.set)
        while not ended.wait(0.1):
            pass

    def _submit(self) -> Answer:
        chat, given = self.talk.chat, self.line.given
        chat.model = model_text(given.get("model")) or chat.model or _in_memory(chat.worker)
        if "system" in given:
            chat.system = given["system"]
        text = self._with_shown() if self.shown else self.text
        new = bool(given.get("new"))
        return self.talk.submit(self.cell, text, new=new, request_id=self.request_id, **self.line.settings)

    def _with_shown(self) -> str:
        """Return the question with what fits of the cells before it."""
        chat = self.talk.chat
        if not chat.worker.is_loaded(chat.model, chat.load_options):
            chat.load()

        def count(texts: list[str]) -> list[int]:
            return counted(texts, chat.model, chat.worker)

        loaded = chat.worker.loaded
        n_ctx = loaded.n_ctx if loaded is not None else 0
        room = max(n_ctx // 2 - count([self.text])[0], n_ctx // 8)
        shown, note = fitted(self.shown, room, count)
        self._notices += [note] if note else []
        if not shown:
            return self.text
        at = len(shown) + len(_APART)
        typed = self.text if isinstance(self.text, Filled) else Filled(self.text, self.text, ())
        moved = (replace(insert, start=insert.start + at, end=insert.end + at) for insert in typed.inserts)
        cells = Insert(source="the notebook", start=0, end=len(shown))
        return Filled(f"{shown}{_APART}{self.text}", typed.typed, [cells, *moved])

    def _turns(self) -> list[Turn]:
        """Return what was said in answer, and the results of tools."""
        turns = self.talk.chat.record.turns
        question = self._answer.plan.question if self._answer is not None else None
        if question is None or question not in turns:
            return []
        mine = turns[turns.index(question) + 1 :]
        end = next((at for at, turn in enumerate(mine) if turn.role == "user"), len(mine))
        return mine[:end]

    def _show(self, output: Output, instead: str = "") -> None:
        turns = self._turns()
        notices = [*self._notices, *(self._answer.notices if self._answer is not None else ())]
        steady = self.line.settings.get("reproducible", False)
        as_json = "json_schema" in self.line.settings
        text = turns[-1].content if turns else ""
        markdown = settled(turns, notices, steady=steady, as_json=as_json)
        note = " · ".join([*notices, figures(turns, steady=steady)] if turns else notices)
        output.end(_APART.join(filter(None, [markdown, instead])), text or instead, note)

    def _bind(self, reply: Reply) -> None:
        name = self.line.given.get("as")
        if not name:
            return
        if "json_schema" not in self.line.settings:
            self.names[name] = reply
        elif reply.parse_error:
            raise GenerationError(f"{name!r} was not set. {reply.parse_error}", "Allow more with --max-tokens.")
        else:
            self.names[name] = reply.parsed


def _in_memory(worker: Worker) -> str:
    if worker.loaded is not None:
        return worker.loaded.model
    from ..library.local import models

    names = [repr(model.model) for model in models()[:3]]
    hint = f"Name one on the line, or for all cells: %llama {names[0]}" if names else "Download one with lw.download()."
    raise NoModelError("No model is chosen, and none is in memory.", hint)
