"""What a model is shown of the notebook: cells that were run, with what they put out, and the last error."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST = 2_000
"""Characters of one output or traceback: what matters of them stands at their ends."""
_LONGEST_SOURCE = 6_000
_STYLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_OURS = re.compile(r"\s*%%?llama\b|\s*%%?llama_fix\b")
_MACHINERY = re.compile(r"[/\\](?:IPython|ipykernel)[/\\]")
_APART = "\n\n"


def executed(shell: Any, count: int) -> list[str]:  # noqa: ANN401 - an InteractiveShell
    """Return the last ``count`` cells that were run before this one, oldest first.

    Of a cell that was run more than once, the last time counts; cells that ask a model are left out.
    """
    history = shell.history_manager
    sources: list[str] = history.input_hist_raw
    found: dict[str, int] = {}
    for number in range(min(shell.execution_count, len(sources)) - 1, 0, -1):
        source = sources[number].strip()
        if source and source not in found and not _OURS.match(source):
            found[source] = number
        if len(found) == count:
            break
    return [_cell(history, number, source) for source, number in reversed(found.items())]


def fault(error: BaseException) -> str:
    """Return an error as a model is to see it: the cell that raised it, and the traceback without the machinery."""
    trace = error.__traceback__
    while trace is not None and _MACHINERY.search(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename if trace is not None else getattr(error, "filename", None) or ""
    source = "".join(linecache.getlines(file)) if file else ""
    text = "".join(traceback.format_exception(type(error), error, trace, chain=False))
    blocks = [f"The error:\n{_fenced(_shortened(text, 2 * _LONGEST))}"]
    if source:
        blocks.insert(0, f"The code:\n{_fenced(_shortened(source, _LONGEST_SOURCE), 'python')}")
    return _APART.join(blocks)


def last_error() -> BaseException | None:
    """Return the error that was shown last."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None


def fitted(blocks: Sequence[str], room: int, count: Callable[[list[str]], list[int]]) -> tuple[str, str]:
    """Return what fits of ``blocks`` into ``room`` tokens, the last ones first, and what there is to say about it.

    The first that does not fit as a whole is shortened in its middle, if that leaves something to read.
    """
    tokens = count(list(blocks))
    kept: list[str] = []
    shortened = False
    for block, needed in zip(reversed(blocks), reversed(tokens), strict=True):
        if needed > room:
            fits = int(len(block) * room / needed)
            if fits >= min(_LONGEST, len(block)) // 4:
                kept.insert(0, _shortened(block, fits))
                shortened = True
            break
        kept.insert(0, block)
        room -= needed
    left_out = len(blocks) - len(kept)
    said = []
    if left_out:
        said.append(f"{left_out} of {len(blocks)} cells left out")
    if shortened:
        said.append("one shortened")
    return _APART.join(kept), f"To fit into the context: {', '.join(said)}." if said else ""


def _cell(history: Any, number: int, source: str) -> str:  # noqa: ANN401 - a HistoryManager
    blocks = [f"Cell {number}:\n{_fenced(_shortened(source, _LONGEST_SOURCE), 'python')}"]
    if output := _output(history, number).strip():
        blocks.append(f"Its output:\n{_fenced(_shortened(output, _LONGEST))}")
    if error := getattr(history, "exceptions", {}).get(number):
        text = "\n".join(error["traceback"])
        blocks.append(f"Its error:\n{_fenced(_shortened(_STYLE.sub('', text), _LONGEST))}")
    return _APART.join(blocks)


def _output(history: Any, number: int) -> str:  # noqa: ANN401 - a HistoryManager
    """Return the text of an output: all of it since IPython 9, and the value of the cell before that."""
    kept = getattr(history, "outputs", None)
    if kept is None:
        return str(history.output_hist_reprs.get(number, "") or _repr(history.output_hist.get(number)))
    texts = []
    for output in kept.get(number, ()):
        for kind in ("stream", "text/markdown", "text/plain"):
            if text := output.bundle.get(kind):
                texts.append("".join(text))
                break
    return _STYLE.sub("", "\n".join(texts))


def _repr(value: object) -> str:
    return "" if value is None else repr(value)


def _shortened(text: str, longest: int) -> str:
    text = text.strip("\n")
    if len(text) <= longest:
        return text
    head, tail = text[: longest // 2], text[len(text) - (longest - longest // 2) :]
    return f"{head}\n… ({len(text) - longest:,} characters left out) …\n{tail}"


def _fenced(text: str, language: str = "") -> str:
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.strip(chr(10))}\n{ticks}"
