"""The magics, as IPython knows them."""

from __future__ import annotations

import re
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from ..chat.classrooms import current
from ..errors import LlamaWidgetsError, ParameterError
from ..filling import Filled, fill
from ..library.references import model_text
from ..running_cell import running_cell
from ..wire import known
from ..worker import shared
from . import above, line
from .chats import CellChat
from .job import Job
from .outputs import output_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from ..chat.conversation import Chat
    from ..worker import Worker
    from .line import Line

_EXPLAIN = "Explain this error in a few sentences, and show the code as it should be."
_DOC = """Ask a model about the cell's text; the answer is the cell's output.

::

    %%llama [model] [options]
    Summarise {df.describe()} in two sentences.

``{name}`` and ``{expression}`` are filled in from the notebook's variables, here and on the line: a table becomes a
short Markdown table, a long value is cut with a note. ``{{`` is a brace, and nothing is filled between backticks.

Without ``--chat`` a cell stands alone. Cells with the same ``--chat`` are one conversation, which is what these cells
show: a cell that is run again asks in the place of its question, the model is told what stands before it, and the
answers of later cells stay after it. What was there is kept as a branch beside it. Where cells have no names, as in a
terminal, each run asks one question more; ``--chat name --new`` begins the conversation anew.

The model is the one on the line, else that of the conversation, else the default, else the one in memory.
Stop ends the answer and later cells run on; interrupting the kernel ends it too, and with it a run of all cells. What
was said until then stays. Restart & Run All gives the same notebook again with ``--reproducible`` and a ``--seed`` or
``--temperature 0``.

``%llama`` alone shows what is set; ``%llama [model] [options]`` sets defaults for the notebook, and ``%llama --reset``
forgets them; ``%llama [options] -- question`` asks, as a cell does. ``%llama_fix`` explains the last error.

From Python, a conversation of cells is ``llama_widgets.cells.chat("name")``.

Options
-------
"""


_ASKED = re.compile(r"^(\s*)%(llama(?:_fix)?)\s+((?:.*\s)?--\s.*\?)\s*$")


@magics_class
class LlamaMagics(Magics):
    """``%%llama``, ``%llama`` and ``%llama_fix``.

    Parameters
    ----------
    shell : InteractiveShell
        Whose they are.
    worker : Worker, optional
        Who answers; by default the one that all conversations of this process share.
    """

    def __init__(self, shell: InteractiveShell, worker: Worker | None = None) -> None:
        super().__init__(shell)
        self._shell = shell
        self.defaults: dict[str, Any] = {}
        self.chats: dict[str, CellChat] = {}
        self._worker = worker
        self._jobs: dict[str, Job] = {}  # the newest of each cell, while they run
        self._place = ("", 0)
        self._error: BaseException | None = None

    @no_var_expand
    @line_cell_magic
    def llama(self, text: str, cell: str | None = None) -> None:
        """Ask; what is said here is replaced by what stands above, with the options."""
        with self._one_line():
            names = self.names
            if cell is not None:
                given = line.read(text, names)
                if given.question is not None:
                    raise ParameterError("' -- ' stands on the line of %%llama.", "The question goes below that line.")
                self._ask(given, cell)
                return
            given = line.read(text, names, magic="%llama")
            if given.question is not None:
                self._ask(given, given.question)
            elif given.given:
                self._set(given)
            else:
                print(self._overview())  # noqa: T201 - what the user asked for

    @no_var_expand
    @line_magic
    def llama_fix(self, text: str) -> None:
        """Explain the last error: ``%llama_fix [model] [options] [-- question]``. The options are those of %%llama."""
        with self._one_line():
            given = line.read(text, self.names, magic="%llama_fix")
            self._ask(line.Line({**given.given, "error": True}), given.question or _EXPLAIN)

    @property
    def names(self) -> dict[str, Any]:
        """The variables of the notebook."""
        names: dict[str, Any] = self._shell.user_ns
        return names

    @property
    def own_names(self) -> list[str]:
        """The names of those that the user has made."""
        return [name for name in self.names if name not in self._shell.user_ns_hidden and not name.startswith("_")]

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Let what goes wrong be one line, not a traceback; and keep the user's last error apart from ours."""
        error = above.last_error()
        if error is not None and not hasattr(error, "_render_traceback_"):
            self._error = error
        try:
            yield
        except LlamaWidgetsError as failed:
            _show_as(failed, f"{type(failed).__name__}: {failed}")
            raise
        except KeyboardInterrupt as interrupt:
            _show_as(interrupt, "KeyboardInterrupt: the answer was stopped; what was said until then is kept.")
            raise

    def _ask(self, given: Line, text: str) -> None:
        if not text.strip():
            raise ParameterError("There is no question.", "Write one below the line of %%llama, or behind ' -- '.")
        name = given.given.get("chat", "" if given.given.get("new") else self.defaults.get("chat"))
        talk = self.chats.get(name or "") or CellChat(self._worker)
        asked = given.over({**self.defaults, **talk.given})
        question: Filled | str = fill(text.strip("\n"), self.names)
        shown = above.executed(self._shell, asked.given["cells"]) if "cells" in asked.given else []
        if asked.given.get("error"):
            if self._error is None:
                raise ParameterError("There is no error to explain.", "Run the cell that fails first.")
            shown.append(above.fault(self._error))
        background = bool(asked.given.get("background"))
        if background and getattr(self._shell, "kernel", None) is None:
            raise ParameterError("In a terminal an answer has no place in the background.", "Leave --background out.")
        if "model" in asked.given:
            self._find(asked.given["model"])
        if name:  # nothing was wrong
            self.chats[name] = talk
            talk.given |= {key: given.given[key] for key in ("model", "system") if key in given.given}
        cell, named = self._cell()
        job = Job(cell=cell, line=asked, text=question, shown=shown, names=self.names, talk=talk, before=talk.last)
        output = output_for(self._shell, talk.chat, job.request_id, job.stop, cell=named)
        if before := self._jobs.get(cell):
            before.stop()  # it is asked again
        self._jobs[cell] = talk.last = job
        job.done.add_done_callback(lambda _: self._ended(job))
        if background and named:  # nobody waits for outputs that change after the last cell of a run without a page
            job.run_aside(output)
        else:
            job.run(output)

    def _ended(self, job: Job) -> None:
        if self._jobs.get(job.cell) is job:
            del self._jobs[job.cell]
        if job.talk.last is job:
            job.talk.last = None

    def _find(self, model: object) -> None:
        """Raise an error if there is no such model on this machine."""
        (self._worker or shared()).find(current().check_model(model))

    def _cell(self) -> tuple[str, str]:
        """Return what tells this question of this cell from others, and how the front end has named the cell."""
        name, number = running_cell(self._shell)
        cell = name or f"In [{self._shell.execution_count}]"
        run = f"{cell} {number or self._shell.execution_count}"
        self._place = (run, self._place[1] + 1 if self._place[0] == run else 0)
        return f"{cell}:{self._place[1]}", name

    def _set(self, given: Line) -> None:
        defaults = dict(line.defaults_of(given))
        if defaults.pop("reset", False):
            self.defaults = {}
        if "model" in defaults:
            self._find(defaults["model"])
        self.defaults |= defaults

    def _overview(self) -> str:
        worker = self._worker or shared()
        in_memory = worker.loaded.model if worker.loaded is not None else ""
        model = model_text(self.defaults.get("model")) or current().model or in_memory
        memory = " (in memory)" if model and worker.is_loaded(model) else ""
        settings = [f"{line.written(name)} {value}" for name, value in self.defaults.items() if name != "model"]
        chats = [f"{name} ({_times(talk.asked, 'question')})" for name, talk in self.chats.items()]
        rows = {
            "Model": f"{model or 'none: name one with %llama <model>'}{memory}",
            "Defaults": " ".join(settings) or "none",
            "Chats": ", ".join(chats) or "none",
        }
        if self._jobs:
            rows["Answering"] = _times(len(self._jobs), "cell")
        return "\n".join([*(f"{name:<9} {text}" for name, text in rows.items()), "%%llama? tells all options."])


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _show_as(error: BaseException, text: str) -> None:
    vars(error)["_render_traceback_"] = lambda: [text]


def _options() -> str:
    """Return the options for ``%%llama?``."""
    rows = []
    for option in line.options().values():
        values = {"flag": "", "choice": " " + "|".join(option.words), "object": " name"}
        head = f"{line.written(option.name)}{values.get(option.kind, ' ' + option.kind)}"
        rows.append(f"{head}\n{textwrap.indent(textwrap.fill(option.help, 92), '    ')}")
    return "\n".join(rows)


LlamaMagics.llama.__doc__ = _DOC


def load(shell: InteractiveShell) -> None:
    """Give a shell the magics, with Tab completion of their options."""
    from .completing import completer_for

    magics = LlamaMagics(shell)
    LlamaMagics.llama.__doc__ = _DOC + _options() + "\n"
    shell.register_magics(magics)
    shell.input_transformers_cleanup.append(_with_question_marks)
    shell.Completer.custom_matchers.append(completer_for(magics))


def _with_question_marks(lines: list[str]) -> list[str]:
    """Keep IPython from taking the question mark that ends ``%llama -- Why?`` for a call for help."""
    if lines and lines[0].startswith("%%"):
        return lines
    return [_ASKED.sub(_called, each) for each in lines]


def _called(asked: re.Match[str]) -> str:
    return f"{asked[1]}get_ipython().run_line_magic({asked[2]!r}, {asked[3]!r})\n"


def chat(name: str) -> Chat:
    """Return the conversation of the cells with ``--chat name``: a ``Chat`` like any other.

    Raises
    ------
    ParameterError
        If no cell has asked in it.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    magics = shell.magics_manager.registry.get("LlamaMagics") if shell is not None else None
    chats = magics.chats if isinstance(magics, LlamaMagics) else {}
    if name not in chats:
        raise ParameterError(f"No cell has asked in a conversation {name!r:.80}.", known(name, sorted(chats)))
    return chats[name].chat
