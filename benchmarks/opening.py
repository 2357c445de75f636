"""How long a saved conversation of 2,000 messages takes to be there, in a real JupyterLab.

From the moment that the cell with the panel is run to the end of the conversation on the screen, and to the page that
has drawn all of it and pauses no more.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks import chats
from benchmarks.pages import opened
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES, RUNS, PAUSE_MS = 2000, 5, 2000

CONVERSATION = f'''
ANSWER = """To turn a **string** around, take a slice with a step of `-1`:

```python
def backwards(text: str) -> str:
    "Return the text from its end to its beginning."
    return text[::-1]
```

1. A slice has a *beginning*, an *end* and a *step*.
2. A negative step goes from the end to the beginning.

| text | backwards |
|---|---|
| llama | amall |

""" + "The words of a long answer go on for a while, as those of models do. " * 20
MADE = {{
    "stop_reason": "eos",
    "usage": {{"prompt_tokens": 100, "cached_tokens": 50, "completion_tokens": 200}},
    "timings": {{"ttft_s": 0.1, "prefill_tps": 500.0, "decode_tps": 20.0}},
}}
messages = [
    {{"role": "assistant", "content": ANSWER, **MADE}} if i % 2 else
    {{"role": "user", "content": "And how do I turn it around? " * 7}}
    for i in range({MESSAGES})
]
messages[-1]["content"] += "THE-LAST"
'''

WATCH = """count => {
    const turns = document.getElementsByClassName("lw-turn");
    const start = performance.now();
    let painted, looked = 0, busy = start, last = start, before = 0;
    window.opened = new Promise(done => {
        const look = now => {
            if (now - last > 50) busy = now;
            last = now;
            if (!painted && turns[turns.length - 1]?.textContent.includes("THE-LAST"))
                requestAnimationFrame(() => { painted = performance.now(); });
            if (now - looked > 100) { // to count costs time
                looked = now;
                if (turns.length !== before) busy = now;
                before = turns.length;
                if (before === count && now - busy > 500) return done([painted - start, busy - start]);
            }
            requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    });
}"""


def rows() -> Iterator[Row]:
    """Yield the time to the first paint and to the last."""
    side = chats.Side(
        "opening",
        (chats.WORDS, chats.OURS, CONVERSATION, "panel = panel_with(None, messages=messages[:2])\npanel"),
        "",
        "",
    )
    times = []
    with opened(side) as (chat,):
        for _ in range(RUNS):
            chat.show("panel.close()")  # what the one before leaves behind is cleared away in the pause
            chat.page.locator(".lw-turn").first.wait_for(state="detached")
            chat.page.wait_for_timeout(PAUSE_MS)
            chat.page.evaluate(WATCH, MESSAGES)
            chat.show("panel = panel_with(None, messages=messages)\ndisplay(panel)")
            times.append(chat.page.evaluate("() => window.opened"))
    first, idle = (statistics.median(each) for each in zip(*times, strict=True))
    yield Row(f"{MESSAGES:,} messages, 2 MB, to first paint", "ms", first, limit="≤ 300", met=first <= 300)
    yield Row(f"{MESSAGES:,} messages, 2 MB, to idle", "ms", idle, limit="≤ 1500", met=idle <= 1500)
