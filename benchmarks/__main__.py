"""Measure what the widgets cost, as ratios in one run: ``python -m benchmarks``, or ``python -m benchmarks decode``.

Each figure stands beside the bare way of doing the same thing, measured in turn with it. Machines are noisy: look at
the ratios, which drift together, not at the absolute numbers.
"""

from __future__ import annotations

import sys
import traceback

from benchmarks import (
    aborts,
    bundles,
    cells,
    decode,
    downloads,
    estimates,
    grid,
    imports,
    kernel,
    listing,
    memory,
    opening,
    stop,
    streaming,
    sweeping,
    together,
    tokens,
    turns,
)

PARTS = {
    "decode": decode.rows,
    "turns": turns.rows,
    "together": together.rows,
    "sweeping": sweeping.rows,
    "aborts": aborts.rows,
    "kernel": kernel.rows,
    "cells": cells.rows,
    "memory": memory.rows,
    "imports": imports.rows,
    "listing": listing.rows,
    "estimates": estimates.rows,
    "downloads": downloads.rows,
    "streaming": streaming.rows,
    "panel": streaming.panel,
    "words": streaming.words,
    "typing": streaming.typing,
    "opening": opening.rows,
    "grid": grid.rows,
    "tokens": tokens.rows,
    "stop": stop.rows,
    "bundles": bundles.rows,
}


def main() -> int:
    """Print one table; return 1 if a figure misses its limit."""
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        sys.exit(f"No such part: {', '.join(unknown)}. There are: {', '.join(PARTS)}.")
    missed = 0
    print(f"{'figure':<78} {'ours':>10} {'bare':>10} {'ratio':>7}  limit")
    for name in wanted:
        try:
            for row in PARTS[name]():
                print(row, flush=True)
                missed += not row.met
        except Exception:  # noqa: BLE001 - the others may take a quarter of an hour, and are worth having
            traceback.print_exc()
            missed += 1
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
