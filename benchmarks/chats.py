"""Chats to compare, each in a notebook: ours, Panel's ChatInterface, and a bare widget that appends deltas.

All say the same words at the same rate, and note when they made the last one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.environments import panel_python
from llama_widgets.widgets.publisher import INTERVAL_S

TOKENS, RATE, QUICK = 2000, 150.0, 2500.0

WORDS = f"""
import os, time
made = [0.0]
def words(count={TOKENS}):
    "No two are alike, so that a word that is lost, cut or doubled is seen; in paragraphs, as people write."
    for i in range(count - 1):
        yield f"{{i}}" + (" " if i % 80 < 79 else "\\n\\n")
    yield "THE-END"
TEXT = "".join(words())
"""

OURS = f"""
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
class Engine(ScriptedEngine):
    def submit(self, command, emit, cancel):
        def told(event):
            if event.type == "completion_chunk":
                made[0] = time.time()
            emit(event)
        super().submit(command, told, cancel)
def panel_with(rate, count={TOKENS}, messages=()):
    worker = lw.Worker(lambda: Engine(lambda _: words(count), rate=rate), find=Path)
    return lw.ChatPanel("m.gguf", worker=worker, messages=messages)
"""

BARE = f"""
import anywidget, threading
class Bare(anywidget.AnyWidget):
    _esm = '''export default {{ render({{ model, el }}) {{
        let text;
        model.on("msg:custom", message => {{
            if (message.type === "begin") el.append(text = document.createElement("p"));
            else text.append(message.text);
        }});
    }} }}'''
def run(interval):
    widget.send({{"type": "begin"}})
    text, start, sent = "", time.time(), 0
    for i, word in enumerate(words()):
        time.sleep(max(0, start + i / {RATE} - time.time()))
        text += word
        made[0] = time.time()
        if made[0] - sent >= interval:
            widget.send({{"type": "delta", "text": text}})
            text, sent = "", made[0]
    widget.send({{"type": "delta", "text": text}})
widget = Bare()
widget
"""

PANEL = f"""
import asyncio
async def answer(contents, user, instance):
    start, text = time.time(), ""
    for i, word in enumerate(words()):
        await asyncio.sleep(start + i / {RATE} - time.time())
        text += word
        made[0] = time.time()
        yield text
chat = pn.chat.ChatInterface(callback=answer)
chat
"""


@dataclass(frozen=True)
class Side:
    """A way to chat.

    Attributes
    ----------
    name : str
        What it is called in the table.
    cells : tuple of str
        Makes the chat; the last one shows it.
    go : str
        Python that begins an answer and does not wait for it.
    answers : str
        JavaScript that gives the elements with the answers.
    """

    name: str
    cells: tuple[str, ...]
    go: str
    answers: str

    @property
    def kernel(self) -> str:
        """The name of its kernel."""
        return f"benchmark-{self.name}"

    @property
    def python(self) -> str:
        """The interpreter of its kernel."""
        return panel_python() if self is panel else sys.executable


LOG = "document.querySelectorAll('[role=log] .lw-markdown')"
PARAGRAPHS = "document.querySelectorAll('.jp-OutputArea p')"
RUN = "threading.Thread(target=run, args=({},)).start()"

ours = Side("ours", (WORDS, OURS, f"panel = panel_with({RATE})\npanel"), "answer = panel.submit('go')", LOG)
quick = Side("quick", (WORDS, OURS, f"panel = panel_with({QUICK})\npanel"), "answer = panel.submit('go')", LOG)
bare = Side("bare", (WORDS, BARE), RUN.format(1 / 30), PARAGRAPHS)
even = Side("even", (WORDS, BARE), RUN.format(INTERVAL_S), PARAGRAPHS)
panel = Side(
    "panel",
    # Inline: its code would come from the network otherwise. A part of its style comes from there even so.
    (WORDS, "import panel as pn\npn.extension(inline=True)", PANEL),
    "chat.send('go')",
    "deep('.message').filter((_, at) => at % 2)",  # the others are the questions
)
