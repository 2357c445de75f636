"""What a streamed answer costs in a real JupyterLab, beside Panel's ChatInterface and a bare widget.

All say 2,000 tokens at 150 a second, in turns. Of the bare widget there are two: one appends 30 deltas a second, the
other as many as our panel gets.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks import chats
from benchmarks.pages import opened
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.pages import Cost

RUNS, FEW = 10, 2
ANSWERS = 100
KEYS = 100
NAME = f"{chats.TOKENS:,} tokens at {chats.RATE:g}/s:"


def rows() -> Iterator[Row]:
    """Yield what an answer costs beside a bare widget, and the last ones of a conversation beside the first."""
    costs = _measure({chats.ours: RUNS, chats.bare: RUNS, chats.even: FEW})
    ours, bare, even = costs[chats.ours], costs[chats.bare], costs[chats.even]
    for title, theirs in ((f"{NAME} received", bare), (f"{NAME} received; bare: as many deltas as ours", even)):
        yield _row(title, "kB", _median(ours, "kilobytes"), _median(theirs, "kilobytes"), 1.1)
    rate = _median(ours, "frames") / (chats.TOKENS / chats.RATE)
    yield Row(f"{NAME} frames a second", "", rate, None, "≤ 30", rate <= 30)
    yield _row(f"{NAME} the kernel's processor", "s", _median(ours, "cpu"), _median(bare, "cpu"), 2)
    late, theirs_late = (_percentile([1000 * cost.late for cost in side], 95) for side in (ours, bare))
    yield Row(f"{NAME} last token painted after, p95 of {RUNS}", "ms", late, theirs_late, "≤ 100 ms", late <= 100)
    gaps = _median(ours, "gaps")
    yield Row(f"{NAME} pauses of the page over 50 ms", "ms", gaps, _median(bare, "gaps"), "≤ 200 ms", gaps <= 200)
    for figure, unit in (("kilobytes", "kB"), ("cpu", "s")):  # three each: one is known to a tenth only
        title = f"answers 8 to 10 of a conversation; bare: 1 to 3, {figure}"
        yield _row(title, unit, _median(ours[-3:], figure), _median(ours[:3], figure), 1.1)


def panel() -> Iterator[Row]:
    """Yield what an answer costs beside Panel's ChatInterface."""
    costs = _measure({chats.ours: FEW, chats.panel: FEW})
    ours, theirs = costs[chats.ours], costs[chats.panel]
    yield _row(f"{NAME} received; bare: Panel's", "kB", _median(ours, "kilobytes"), _median(theirs, "kilobytes"), 0.05)
    for figure, unit in (("frames", ""), ("cpu", "s"), ("late", "s"), ("gaps", "ms"), ("words", "wrong")):
        yield Row(f"{NAME} {figure}; bare: Panel's", unit, _median(ours, figure), _median(theirs, figure))


def words() -> Iterator[Row]:
    """Yield how many words are not as they were said in 100 answers, as they stream and when they have ended."""
    with opened(chats.quick) as (chat,):
        wrong = sum(chat.wrong_words() for _ in range(ANSWERS))
    name = f"{ANSWERS} answers of {chats.TOKENS:,} tokens at {chats.QUICK:,g}/s: lost, cut or doubled"
    yield Row(name, "words", wrong, None, "0", wrong == 0)


def typing() -> Iterator[Row]:
    """Yield how long a letter takes to be painted in the message box while an answer streams."""
    with opened(chats.ours) as (chat,):
        slow = _percentile(chat.type(KEYS), 95)
    yield Row(f"a key in the message box while an answer streams, p95 of {KEYS}", "ms", slow, None, "≤ 32", slow <= 32)


def _measure(runs: dict[chats.Side, int]) -> dict[chats.Side, list[Cost]]:
    costs: dict[chats.Side, list[Cost]] = {side: [] for side in runs}
    with opened(*runs) as sides:
        for run in range(max(runs.values())):
            for (side, count), chat in zip(runs.items(), sides, strict=True):
                if run < count:
                    costs[side].append(chat.answer())
    return costs


def _row(name: str, unit: str, ours: float, bare: float, most: float) -> Row:
    return Row(name, unit, ours, bare, f"≤ {most:g}", ours <= most * bare)


def _median(costs: Sequence[Cost], figure: str) -> float:
    return float(statistics.median(getattr(cost, figure) for cost in costs))


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
