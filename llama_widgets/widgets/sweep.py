"""SweepGrid: the runs of a sweep as they come, one cell beside the other."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import traitlets

from ..errors import ParameterError
from ..protocol import Info
from ..requests import error_event
from ..sweeping.sweep import Sweep
from ..wire import known
from . import runs
from .base import LlamaWidget, aside
from .kept_table import KeptTable
from .messages import FROM_VIEW
from .messages import sweep as m

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .. import protocol as p
    from ..wire import Message
    from .messages import Hello

_BLOCK = 100
"""Runs in one output: the page takes 25 ms for so many, and is not to hang while they come."""
_FEW = 12
"""More columns than that are not what somebody wants to begin with."""


class SweepGrid(LlamaWidget):
    """A live grid of the runs of a sweep.

    A sweep at the end of a cell shows itself this way; to choose what is seen at first, make the grid yourself.

    Parameters
    ----------
    sweep : Sweep
        What ``lw.sweep`` returned, or ``Sweep.load``.
    rows, columns : str, optional
        Which dimension stands in the rows and in the columns: "prompt", "model", "seed", a variable or a parameter;
        "" for none. By default two that vary.
    colour : str
        What the runs are coloured by: "score" (as soon as there are scores), "mean_logprob", "tokens", "seconds",
        "stop_reason" or "none".

    Attributes
    ----------
    sweep : Sweep
        The sweep that is shown.
    """

    _arguments = frozenset({"sweep"})
    _takes: ClassVar[dict[str, type[Message]]] = FROM_VIEW | m.FROM_VIEW

    rows = traitlets.Unicode("", help="The dimension in the rows; empty for none.").tag(sync=True)
    columns = traitlets.Unicode("", help="The dimension in the columns; empty for none.").tag(sync=True)
    colour = traitlets.Enum(get_args(m.Colour), "score", help="What the runs are coloured by.").tag(sync=True)

    def __init__(
        self,
        sweep: Sweep,
        *,
        rows: str | None = None,
        columns: str | None = None,
        **traits: Any,  # noqa: ANN401 - checked by the base
    ) -> None:
        if not isinstance(sweep, Sweep):
            msg = f"A grid shows a sweep, not {type(sweep).__name__}."  # type: ignore[unreachable] # anything is given
            raise ParameterError(msg, "Give what lw.sweep returned, or Sweep.load(path).")
        self.sweep = sweep
        self._lock = threading.Lock()
        self._spanned = runs.dimensions(sweep)
        down, across = runs.axes(sweep, _FEW)
        super().__init__(rows=down if rows is None else rows, columns=across if columns is None else columns, **traits)
        self._kept = KeptTable(
            [
                partial(runs.to_html, sweep, self._spanned, begin, begin + _BLOCK)
                for begin in range(0, min(sweep.total, runs.KEPT_RUNS), _BLOCK)
            ]
        )
        self._at_close.append(sweep.watch(self._hear))

    @traitlets.validate("rows", "columns")
    def _check_dimension(self, proposal: Any) -> str:  # noqa: ANN401 - a traitlets Bunch
        name = str(proposal.value)
        if name and name not in self.sweep.dimensions:
            msg = f"The sweep has no dimension {name!r}."
            raise ParameterError(msg, known(name, self.sweep.dimensions))
        return name

    def to_csv(self) -> str:
        """Return all runs as comma-separated values, with the columns of ``Sweep.to_dataframe``."""
        return runs.to_csv(self.sweep)

    def to_html(self) -> str:
        """Return the runs as a table that needs neither scripts nor a kernel."""
        return runs.to_html(self.sweep, self._spanned)

    def _hear(self, indices: Sequence[int]) -> None:
        """Tell the views of runs that have changed; called at most 20 times a second, on a thread of the sweep."""
        rows = self.sweep.rows
        with self._lock:  # what is read later is told later
            changed = runs.columns(rows[index] for index in indices)
            self.publish(m.SweepChanged(request_id="", runs=changed, standing=self._standing()))
        self._kept.changed(at_once=self.sweep.state != "running")

    def _standing(self) -> m.Standing:
        sweep = self.sweep
        running = sweep.state == "running"
        return m.Standing(
            state=sweep.state,
            done=sweep.done,
            failed=sum(row["state"] == "failed" for row in sweep.rows),
            total=sweep.total,
            eta_s=sweep.eta_s,
            rate=sweep.tokens_per_s if running else None,
            notices=sweep.notices,
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # noqa: ANN401 - as anywidget has it
        self._kept.display()
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            # Where the widget is gone, the table says all there is to say.
            bundle[0].update({"text/plain": repr(self.sweep), "text/html": ""})
        return bundle

    def _on_hello(self, message: Hello) -> None:
        dimensions, codes = self._spanned
        with self._lock:
            shown = runs.columns(row for row in self.sweep.rows if row["state"] != "waiting")
            self.publish(
                m.SweepShown(
                    request_id=message.request_id,
                    dimensions=dimensions,
                    codes=codes,
                    runs=shown,
                    standing=self._standing(),
                )
            )

    def _on_arrange(self, message: m.Arrange) -> None:
        self.rows, self.columns, self.colour = message.rows, message.columns, message.colour

    def _on_open_run(self, message: m.OpenRun) -> None:
        rows = self.sweep.rows
        if not 0 <= message.index < len(rows):
            msg = f"There is no run {message.index}."
            raise ParameterError(msg, f"The sweep has {len(rows)}.")
        run = runs.whole(self.sweep, rows[message.index])
        self.publish(m.WholeRun(request_id=message.request_id, index=message.index, run=run))

    def _on_give_table(self, message: m.GiveTable) -> None:
        aside(lambda: self.publish(m.SweepTable(request_id=message.request_id, text=self.to_csv())))

    def _on_abort(self, message: p.Abort) -> None:
        self._do(message.request_id, self.sweep.stop)
        self.publish(Info(request_id=message.request_id, message="stopping", data={"target": message.target}))

    def _on_resume_sweep(self, message: m.ResumeSweep) -> None:
        self.show(error=None)
        self._do(message.request_id, self.sweep.resume)

    def _do(self, request_id: str, action: Callable[[], object]) -> None:
        """Do something with the sweep that may take a moment, and show why where it cannot be done."""

        def act() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - shown in the widget
                self.fail(error_event(request_id, error))
            self._hear([])

        aside(act)
