"""How long a page is busy at a stretch while 2,000 runs arrive in the grid of a sweep, in a real JupyterLab.

The engine follows a script, which leaves the page less time between two runs than any model does. What is counted is
what Chromium tells as long tasks, of which the shortest take 50 ms, by the clock; and the processor's time of every
task, which says what is ours where others keep the machine busy.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks import chats
from benchmarks.pages import opened
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

PROMPTS, HEATS, SEEDS, LIMIT_MS = 100, 5, 4, 100
RUNS = PROMPTS * HEATS * SEEDS

SWEEP = f"""
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
def reply(command):
    text = command.messages[-1]["content"]
    return [f"{{word}} " for word in f"An answer to {{text}}, as long as many of them are: about twenty words".split()]
def sweep_of(prompts):
    return lw.sweep([f"question {{i}}" for i in range(prompts)], models="m.gguf", seeds={SEEDS},
                    params={{"temperature": [heat / 10 for heat in range({HEATS})]}},
                    score=lambda row: len(row["text"]), worker=lw.Worker(lambda: ScriptedEngine(reply), find=Path))
"""

WATCH = """() => {
    window.tasks = [];
    window.observer ??= new PerformanceObserver(list => tasks.push(...list.getEntries().map(each => each.duration)));
    window.observer.observe({type: "longtask"});
}"""
"""Begins to count."""

DONE = f"() => document.querySelector('.lw-standing')?.textContent.startsWith('{RUNS:,} of {RUNS:,} runsdone')"
"""Looks at one element: to search the page for a text is a long task itself."""


def rows() -> Iterator[Row]:
    """Yield the longest task while runs arrive, and while a full grid is used."""
    side = chats.Side("grid", (chats.WORDS, SWEEP, "sweep_of(1)"), "", "")
    with opened(side) as (chat,):
        page = chat.page
        with _watched(page) as told:
            chat.show(f"sweep = sweep_of({PROMPTS})\nsweep")
            page.wait_for_function(DONE, polling=500)
        yield from _rows(f"{RUNS:,} runs arrive in a grid", told)
        with _watched(page) as told:
            grid = page.get_by_role("grid", name="Runs")
            for down, across in (("seed", "temperature"), ("prompt", "seed"), ("temperature", "prompt"), ("", "")):
                page.get_by_role("combobox", name="Rows", exact=True).select_option(down)
                page.get_by_role("combobox", name="Columns", exact=True).select_option(across)
                grid.focus()
                for key in ("Control+End", "PageUp", "ArrowUp", "Control+Home", "PageDown", "Enter"):
                    page.keyboard.press(key)
                page.locator(".lw-shown .lw-markdown p").wait_for()
                page.keyboard.press("Escape")
        yield from _rows("that grid is arranged, walked, and its runs are opened", told)


@contextmanager
def _watched(page: Page) -> Iterator[dict[str, list[float]]]:
    """Give the ms of each long task, and of each task on the processor, when the block has ended."""
    told: dict[str, list[float]] = {}
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=["toplevel"])
    page.evaluate(WATCH)
    yield told
    page.wait_for_timeout(500)  # a task is told when it is over
    told["long"] = page.evaluate("() => window.tasks")
    events = json.loads(browser.stop_tracing())["traceEvents"]
    mains = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    told["processor"] = [each.get("tdur", 0) / 1000 for each in events if (each["pid"], each["tid"]) in mains]


def _rows(name: str, told: dict[str, list[float]]) -> Iterator[Row]:
    for kind, tasks in told.items():
        longest = max(tasks, default=0.0)
        what = f"longest of {len(tasks)} long tasks" if kind == "long" else "longest task on the processor"
        yield Row(f"{name}: {what}", "ms", longest, limit=f"≤ {LIMIT_MS}", met=longest <= LIMIT_MS)
