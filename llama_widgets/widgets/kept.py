"""The conversation in the notebook's file: outputs beside a panel that hold what it shows, and what it knows.

A saved notebook keeps outputs, but of a widget only a reference to what is gone with the kernel. So a panel that is
displayed puts ordinary outputs before itself, in which the transcript is (HTML that is safe anywhere) and, for
``from_notebook``, the conversations as plain data. The style sheet hides them where the widget lives.

An output can only be written anew as a whole, and no others come after the cell has run. So there are several: what is
said fills short ones, which are left alone then, four of those become one that is four times as long, and so on: each
turn is written about four times in all. In one output, the tenth answer would cost ten times what the first one did.
"""

from __future__ import annotations

import sys
import weakref
from bisect import bisect_left
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from ..chat import transcript
from ..later import Later
from ..requests import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MIME = "application/vnd.llama-widgets+json"
STEPS = (524_288, 131_072, 32_768, 8_192)
"""How many characters the outputs hold, from the oldest turns to the newest."""
_FAN = 4
OUTPUTS = 2 + (len(STEPS) - 1) * (_FAN - 1)
_PAUSE_S = 0.1
_LEISURE_S = 5.0
"""When a long conversation is shown, the page and the kernel draw the panel first."""
_QUICK = 65_536
"""Characters whose transcript is made at once, when the panel is displayed; of more, when there is time."""


class Kept:
    """What a panel keeps in the notebook.

    Parameters
    ----------
    state : callable
        Returns the conversations as plain data, all turns in one list.
    size : callable
        Returns how many characters these are, quickly.
    """

    def __init__(self, state: Callable[[], dict[str, Any]], size: Callable[[], int]) -> None:
        self.state = state
        self._size = size
        self.id = ""
        self.name = ""
        self._displays = [new_id() for _ in range(OUTPUTS)]
        self._sent: list[object] = [None] * len(self._displays)
        self._publish: Callable[..., object] | None = None
        self._html: dict[str, tuple[dict[str, Any], str]] = {}
        self._soon = Later(self._update, _PAUSE_S)
        self._quick = False
        self.be(new_id())

    def be(self, name: str) -> None:
        """Go on as what was kept with this id."""
        self.id = name
        live[name] = self

    def display(self) -> None:
        """Put the outputs into the cell that runs; nothing happens where there is no kernel."""
        own = shell()
        if own is None:
            return
        self._publish = own.display_pub.publish
        if _flush_all not in own.events.callbacks["post_run_cell"]:
            own.events.register("post_run_cell", _flush_all)
        self._quick = self._size() <= _QUICK
        outputs = self._outputs(self.state()) if self._quick else [_EMPTY] * len(self._displays)
        self._sent = list(outputs)
        for display, data in zip(self._displays, outputs, strict=True):
            self._publish(data, {}, transient={"display_id": display})
        if not self._quick:
            self._soon(_LEISURE_S)

    def changed(self) -> None:
        """See that the outputs say what is so now, if there are any; return at once."""
        if self._publish is not None:
            self._soon()

    def flush(self) -> None:
        """Bring the outputs up to date now, unless that takes long: what runs a notebook takes no later messages."""
        if self._quick:
            self._soon.flush()

    def _update(self) -> None:
        if self._publish is None:
            return
        outputs = self._outputs(self.state())
        for at, (display, data) in enumerate(zip(self._displays, outputs, strict=True)):
            if data != self._sent[at]:
                self._publish(data, {}, transient={"display_id": display}, update=True)
                self._sent[at] = data
        self._quick = True

    def _outputs(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the data of the outputs, those of the oldest turns first."""
        turns = state.pop("turns")
        shown = _shown(turns, state["current"])
        self._html = {turn["id"]: self._drawn(turn) for turn in turns if _key(turn) in shown}
        cuts = [0, *_cuts([_size(turn) for turn in turns]), len(turns)]
        outputs: list[dict[str, Any]] = []
        for begin, end in pairwise(cuts):
            data: dict[str, Any] = dict(_EMPTY)
            if begin < end:
                part = turns[begin:end]
                html = "\n".join(self._html[turn["id"]][1] for turn in part if _key(turn) in shown)
                data["text/html"] = f'<div class="lw-transcript">\n{html}\n</div>'
                data[MIME] = {"panel": self.id, "block": len(outputs), "turns": part}
            outputs.append(data)
        if turns:
            # With the last of them, which changes with every turn anyway.
            last = outputs[-1].setdefault(MIME, {"panel": self.id, "block": len(outputs) - 1, "turns": []})
            last |= {"name": self.name, "count": len(turns), **state}
            outputs[-1]["text/plain"] = f"A conversation of {len(shown)} messages"
        return outputs

    def _drawn(self, turn: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Return a turn and its HTML, which is made only once."""
        before = self._html.get(turn["id"])
        return before if before is not None and before[0] == turn else (turn, transcript.html([turn]))


_EMPTY = {"text/html": '<div class="lw-transcript"></div>', "text/plain": ""}

live: weakref.WeakValueDictionary[str, Kept] = weakref.WeakValueDictionary()
"""What this kernel's panels keep, by id: what is newer than the file."""


def _flush_all(_result: object = None) -> None:
    for each in list(live.values()):
        each.flush()


def shell() -> Any:  # noqa: ANN401 - IPython's shell
    """Return the shell of a kernel; ``None`` in scripts and terminals."""
    ipython = sys.modules.get("IPython")
    own = ipython.get_ipython() if ipython is not None else None
    return own if getattr(own, "kernel", None) is not None else None


def _key(turn: dict[str, Any]) -> tuple[str, str]:
    # A conversation that was exported and imported again has turns of the same ids.
    return turn["conversation"], turn["id"]


def _shown(turns: Sequence[dict[str, Any]], current: str) -> set[tuple[str, str]]:
    """Return the keys of the turns that are shown."""
    shown = {(current, "")}
    for turn in turns:
        if turn.get("shown") and (turn["conversation"], turn["parent"]) in shown:
            shown.add(_key(turn))
    return shown - {(current, "")}


def _size(turn: dict[str, Any]) -> int:
    return len(turn["content"]) + len(turn.get("thoughts", "")) + 200


def _cuts(sizes: Sequence[int]) -> list[int]:
    """Return where each output but the first begins.

    Of each length but the longest there are as many as are full since the last that is longer; the first output takes
    all that is older, and the last one what fills none.
    """
    begins = [0, *accumulate(sizes)]
    ends = [begins[-1] // step * step for step in STEPS]
    places = [ends[0]]
    for step, begin, end in zip(STEPS[1:], ends, ends[1:], strict=False):
        places += [min(begin + count * step, end) for count in range(1, _FAN)]
    return [bisect_left(begins, place) for place in places]
