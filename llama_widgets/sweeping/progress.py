"""The line that shows how far a sweep is where there are no widgets: in scripts and terminals."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from ..library.progress import is_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .sweep import Sweep


class _Line(tqdm):  # type: ignore[misc] # untyped
    monitor_interval = 0  # tqdm has a thread that writes too


@contextlib.contextmanager
def shown(sweep: Sweep, *, wanted: bool) -> Iterator[Callable[[], object]]:
    """Show a line while the body runs, if somebody sees it; gives what draws it again."""
    if not wanted or not is_wanted():
        yield lambda: None
        return
    with _Line(total=sweep.total, initial=sweep.done, unit="run", dynamic_ncols=True, file=sys.stderr) as line:

        def show() -> None:
            line.set_postfix_str(f"{sweep.tokens_per_s:.0f} tokens/s" if sweep.tokens_per_s else "", refresh=False)
            line.update(sweep.done - line.n)

        yield show
        show()
        for notice in sweep.notices:
            line.write(notice, file=sys.stderr)
