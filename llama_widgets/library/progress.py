"""The line that shows how far a download is where there are no widgets: in scripts and terminals."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from .local import readable

if TYPE_CHECKING:
    from .job import Job


class ProgressLine(tqdm):  # type: ignore[misc] # untyped
    """A line on stderr, which only the thread that calls it writes.

    Parameters
    ----------
    job : Job
        What it shows.
    """

    monitor_interval = 0  # tqdm has a thread that writes too

    def __init__(self, job: Job) -> None:
        form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
        super().__init__(unit="B", unit_scale=True, bar_format=form, dynamic_ncols=True, file=sys.stderr)
        self.show(job)

    def show(self, job: Job) -> None:
        """Draw how far the job is."""
        self.n, self.total = job.done, job.total
        self.set_description_str(job.name if job.state == "downloading" else f"{job.name}: {job.state}", refresh=False)
        left = "" if job.eta_s is None else f", {self.format_interval(job.eta_s)} left"
        self.set_postfix_str(f"{readable(job.rate)}/s{left}" if job.rate else job.note, refresh=False)
        self.refresh()


def is_wanted() -> bool:
    """Return whether somebody sees the line: stderr is a terminal, and no notebook shows widgets instead."""
    ipython = sys.modules.get("IPython")
    in_notebook = getattr(ipython.get_ipython(), "kernel", None) is not None if ipython else False
    return not in_notebook and sys.stderr is not None and sys.stderr.isatty()
