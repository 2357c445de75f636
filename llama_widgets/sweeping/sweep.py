"""A sweep: every combination of prompts, models, parameters and seeds, run together and kept as a table."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import SweepError
from ..listeners import Listeners
from ..requests import SLICE_S
from ..running_cell import running_cell
from ..worker import Worker, shared
from . import keeping, replies, scoring, tables
from .plan import BLANK, LIMIT, Plan, Row, duration, make
from .runner import Runner

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

    from ..chat.reply import Reply
    from .scoring import Score

Watcher = Callable[[list[int]], object]

_all: weakref.WeakSet[Sweep] = weakref.WeakSet()


class Sweep:
    """Runs of a model, or of several, that differ in prompt, parameters and seed. Made by ``lw.sweep``.

    Attributes
    ----------
    rows : list of dict
        A row for each run, in the order in which they run; see ``sweeping.plan.Row``. Only to be read.
    plan : Plan
        What it is made of.
    """

    def __init__(self, plan: Plan, rows: list[Row] | None = None, *, worker: Worker | None = None) -> None:
        self.plan = plan
        self.rows = plan.rows() if rows is None else rows
        self._worker = worker
        self._score: Score | None = None
        self._file: str | os.PathLike[str] | None = None
        self._keeper: keeping.Keeper | None = None
        self._watchers: Listeners[list[int]] = Listeners()
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        self._unkept = ""
        self._cell = running_cell()
        self._grid: Any = None  # what shows it, made when it is first shown
        _all.add(self)

    # What it is, and how far

    @property
    def dimensions(self) -> dict[str, list[Any]]:
        """The values of all that runs can differ in: "prompt", each variable, "model", each parameter, "seed"."""
        return self.plan.dimensions

    def place(self, row: Row) -> dict[str, Any]:
        """Return where a run stands: its value in each of ``dimensions``."""
        return self.plan.place(row)

    @property
    def state(self) -> str:
        """How it is: "running", "done", or "stopped" where there are runs left that ``resume`` would make."""
        if self._runner is not None and not self._runner.ended.is_set():
            return "running"
        return "done" if self.done == self.total else "stopped"

    @property
    def total(self) -> int:
        """How many runs there are."""
        return len(self.rows)

    @property
    def done(self) -> int:
        """How many runs have ended by themselves, those that failed too."""
        return sum(row["state"] in ("done", "failed") for row in self.rows)

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens that all runs together make in a second, since the sweep was begun or resumed."""
        return self._runner.tokens_per_s if self._runner else None

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest takes if it goes on like this; ``None`` before the first run has ended."""
        return self._runner.seconds_left if self._runner and self.state == "running" else None

    @property
    def notices(self) -> list[str]:
        """What there is to say of the runs: why some failed, that some have no score, that the file is not written."""
        return [*([self._unkept] if self._unkept else []), *scoring.notices(self.rows)]

    def __repr__(self) -> str:
        """Return how far it is."""
        left = f", {duration(self.eta_s)} left" if self.eta_s else ""
        said = "".join(f"\n{notice}" for notice in self.notices)
        return f"<Sweep {self.state}: {self.done:,} of {self.total:,} runs{left}>{said}"

    def _repr_mimebundle_(self, **_: Any) -> Any:  # noqa: ANN401 - as anywidget has it
        from ..widgets.sweep import SweepGrid  # late: widgets know sweeps, and not the other way round

        if self._grid is None or self._grid.comm is None:  # closed, by whoever has closed all widgets
            self._grid = SweepGrid(self)
        return self._grid._repr_mimebundle_()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with the indices of the rows that have changed, at most 20 times a second.

        The end of the sweep is told as well, when ``state`` says it, if need be with an empty list. Returns a function
        that ends that.
        """
        return self._watchers.add(watcher)

    # Running

    def stop(self) -> None:
        """Stop the runs that are made, whose text stays, and begin no others; ``resume`` goes on. Returns at once."""
        with self._lock:
            if self._runner is not None:
                self._runner.stop()

    def resume(self) -> Sweep:
        """Make the runs that were not begun, were stopped, or failed. Returns at once.

        Raises
        ------
        ModelError
            If a model is not there.
        """
        worker = self._worker or shared()
        with self._lock:
            if self._runner is not None and not self._runner.ended.is_set():
                if not self._runner.stopping:
                    return self
                self._runner.ended.wait()  # it stops within a token
            left = [row for row in self.rows if row["state"] != "done"]
            for name in dict.fromkeys(row["model"] for row in left):
                worker.find(name)
            self._open(self._file)
            for row in left:
                row.update(cast("Row", BLANK))
            if left:
                self._runner = Runner(self.plan, left, worker, self._settle, self._finish, self._watchers.tell)
                self._runner.start()
        self._watchers.tell([row["index"] for row in left])
        return self

    def wait(self, *, progress: bool = True) -> Sweep:
        """Wait for the end; interrupting the kernel stops the sweep, and what was done is kept.

        Parameters
        ----------
        progress : bool
            Whether to show a line with how far it is, where there is a terminal to show it.
        """
        runner = self._runner
        if runner is None:
            return self
        (self._worker or shared()).forbid_own_thread()
        from .progress import shown

        try:
            with shown(self, wanted=progress) as show:
                while not runner.ended.wait(SLICE_S):
                    show()
        except KeyboardInterrupt:
            self.stop()
            runner.ended.wait(10)  # a few milliseconds: what was made is in place when the cell ends
            raise
        return self

    # What came of it

    def score(self, function: Score | None) -> Sweep:
        """Give each run a score, those that are done now and the others as they end.

        Parameters
        ----------
        function : callable
            Takes a run as a dict and returns a number. What it raises is kept in ``score_error``.
        """
        self._score = scoring.checked(function)
        self._open(self._file)
        rows = [row for row in self.rows if row["state"] == "done"]
        for row in rows:
            if self._score is not None:
                scoring.score(row, self._score)
        self._keep(rows, at_end=self.state != "running")
        self._watchers.tell([row["index"] for row in rows])
        return self

    def reply(self, index: int) -> Reply:
        """Return a run as a ``Reply``: to make it again alone, to get it as code, or for a ``TokenView``.

        Parameters
        ----------
        index : int
            Which one, as in ``rows`` and in the column "index" of the table.

        Raises
        ------
        SweepError
            If there is no such run, or it has no reply yet.
        """
        if not hasattr(index, "__index__") or not 0 <= index < self.total:
            msg = f"There is no run {index!r}."
            raise SweepError(msg, f"Give a number from 0 to {self.total - 1:,}.")
        return replies.reply(self.plan, self.rows[index])

    def to_dataframe(self, backend: str | None = None, *, wait: bool = True) -> Any:  # noqa: ANN401 - of pandas or polars
        """Return a table with a row for each run.

        Parameters
        ----------
        backend : "pandas" or "polars", optional
            What makes it; by default the one that is imported or installed, pandas first.
        wait : bool
            Whether to wait for the end; False gives what is there.

        Raises
        ------
        ParameterError
            If neither is installed.
        """
        if wait:
            self.wait()
        return tables.made(self.plan, self.rows, backend)

    def plot(
        self, value: str = "score", *, x: str | None = None, colour: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw a summary of the runs that are done: a dot for each, and the means.

        Parameters
        ----------
        value : str
            "score", "mean_logprob", "completion_tokens", "seconds", "ttft_s" or "decode_tps".
        x, colour : str, optional
            Which of ``dimensions`` goes along the axis and which has colours; by default two that vary.
        ax : matplotlib Axes, optional
            Where to draw; by default in a new figure.

        Raises
        ------
        SweepError
            If there is nothing to draw yet.
        ParameterError
            If matplotlib is not installed, or there is no such value or dimension.
        """
        from .plotting import plot

        return plot(self, value, x, colour, ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all into a file, ``.jsonl`` or ``.parquet``, in place of what it holds, and go on with each run.

        Raises
        ------
        SweepError
            If it cannot be written.
        """
        keeping.forget(path)
        self._open(path)

    def keep(self, path: str | os.PathLike[str]) -> None:
        """Keep each run in a file from now on; what it holds of this very sweep is taken over.

        Raises
        ------
        SweepError
            If it holds something else, or cannot be written.
        """
        if keeping.exists(path):
            plan, rows = keeping.read(path)
            if plan.to_dict() != self.plan.to_dict():
                msg = f"{Path(path).name!r:.200} holds another sweep."
                raise SweepError(msg, "Name another file, delete this one, or look at it with Sweep.load(path).")
            self.rows[:] = rows
        self._open(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, worker: Worker | None = None) -> Sweep:
        """Return the sweep that a file holds; ``resume`` makes what is missing, and goes on writing the file.

        Scores are kept, the function that made them is not; of a pydantic model the JSON schema is.
        """
        plan, rows = keeping.read(path)
        made = cls(plan, rows, worker=worker)
        made._file = path  # not opened yet: who only looks need not be able to write it
        return made

    def _replaces(self, other: Sweep) -> bool:
        """Say whether ``other`` is of the same cell, which was run again, changed or not: its grid is gone."""
        if other is self or other._worker is not self._worker:
            return False
        name, number = self._cell
        again = name != "" and other._cell[0] == name and other._cell[1] != number
        return again or other.plan.to_dict() == self.plan.to_dict()

    def _open(self, path: str | os.PathLike[str] | None) -> None:
        if path is not None:
            self._keeper, self._file = keeping.keeper(path, self.plan, self.rows), None

    def _settle(self, row: Row) -> None:
        """Score and keep a run that has ended."""
        if self._score is not None:
            scoring.score(row, self._score)
        self._keep([row])

    def _finish(self) -> None:
        self._keep([], at_end=True)

    def _keep(self, rows: list[Row], *, at_end: bool = False) -> None:
        if self._keeper is None:
            return
        try:
            self._keeper.write(rows)
            if at_end:
                self._keeper.flush()
        except OSError as error:
            reason = error.strerror or str(error)
            self._unkept = (
                f"The results cannot be written to {self._keeper.path.name}: {reason}. The next run tries again."
            )
        else:
            self._unkept = ""


def sweep(
    prompts: object,
    *,
    models: object = None,
    params: object = None,
    seeds: object = None,
    schema: Any = None,  # noqa: ANN401 - a JSON schema or a pydantic model
    system: str | None = None,
    score: Score | None = None,
    save: str | os.PathLike[str] | None = None,
    limit: int = LIMIT,
    worker: Worker | None = None,
    **options: Any,  # noqa: ANN401 - checked by Settings
) -> Sweep:
    """Ask every combination of prompts, models, parameters and seeds; return at once, while they run together.

    A sweep that an earlier run of the same cell began is stopped. Its ``resume`` goes on.

    Parameters
    ----------
    prompts : str, list, dict or tuple
        A text, a list of texts, a dict of names and texts, or a list of conversations (lists of messages). With
        variables, ``(prompts, table)``: each prompt is asked for each row of a DataFrame (or list of dicts), whose
        columns are filled in where it says ``{column}``.
    models : str, path, Model or list, optional
        Who answers, one after the other, each loaded once; by default the model in memory.
    params : dict of lists or list of dicts, optional
        What is varied: ``{"temperature": [0, 1], "top_p": [0.9, 1]}`` stands for four combinations. Any option of
        ``GenerationOptions``, and ``system``.
    seeds : int or list of int, optional
        ``4`` stands for 0, 1, 2 and 3; by default 0 alone.
    schema : dict or pydantic model, optional
        What each answer is held to; ``parsed`` is its value.
    system : str, optional
        The system prompt.
    score : callable, optional
        Takes a run as a dict and returns a number; it is called as they end.
    save : path, optional
        A file for the results, ``.jsonl`` (written with each run) or ``.parquet`` (written now and then). If it holds
        this very sweep already, what it lacks is made.
    limit : int
        More runs than this are refused, with how long they would take.
    worker : Worker, optional
        By default the one that all conversations of this process share.
    **options
        What all runs share: max_tokens, temperature, stop, thinking, ...

    Returns
    -------
    Sweep
        A notebook shows it as a grid; ``to_dataframe()`` waits for the end.

    Raises
    ------
    SweepError
        If there is nothing to run, or more than ``limit``; if a prompt is none; if the file cannot be written, or holds
        something else.
    ParameterError
        If an option is wrong, or the schema cannot be compiled.
    ModelError
        If a model is not there.

    Examples
    --------
    >>> runs = lw.sweep(["Why?", "Why not?"], params={"temperature": [0, 1]}, seeds=4, max_tokens=40)  # doctest: +SKIP
    >>> runs.to_dataframe().groupby("temperature")["mean_logprob"].mean()  # doctest: +SKIP
    """
    worker = worker or shared()
    scoring.checked(score)
    plan = make(
        prompts,
        models=models,
        params=params,
        seeds=seeds,
        system=system,
        schema=schema,
        options=options,
        limit=limit,
        worker=worker,
    )
    made = Sweep(plan, worker=worker)
    replaced = [other for other in list(_all) if other.state == "running" and made._replaces(other)]  # noqa: SLF001 - its own class
    for other in replaced:  # all of them before one is waited for: the next would begin meanwhile
        other.stop()
    for other in replaced:
        other.wait(progress=False)
    if save is not None:
        made.keep(save)
    if score is not None:
        made.score(score)
    return made.resume()
