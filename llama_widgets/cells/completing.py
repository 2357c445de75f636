"""Tab in a chat cell: options, their values, models, conversations, and names within braces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, context_matcher

from ..completing import completions
from . import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from .magics import LlamaMagics

_MAGIC = re.compile(r"\s*(%%?llama(?:_fix)?)(?=\s|$)")
_OPEN_BRACE = re.compile(r"\{([^{}]*)$")


def completer_for(magics: LlamaMagics) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return what completes the cells of these magics."""

    @context_matcher()  # type: ignore[untyped-decorator, unused-ignore]
    def llama_matcher(context: CompletionContext) -> SimpleMatcherResult:
        before = context.text_until_cursor
        magic = _MAGIC.match(before) or (_MAGIC.match(context.full_text) if context.cursor_line else None)
        if magic is None or (context.cursor_line and not magic[1].startswith("%%")):
            return {"completions": []}
        on_line = magic.string is before
        if brace := _OPEN_BRACE.search(before):
            start, names = completions(brace[1], magics.names)
            return _found(names, brace[1][start:], "variable")
        if not on_line or " -- " in before:
            return {"completions": []}
        return _on_line(magics, magic[1], before[magic.end() :])

    return llama_matcher  # type: ignore[no-any-return]


def _on_line(magics: LlamaMagics, magic: str, before: str) -> SimpleMatcherResult:
    words = before.split()
    word = "" if not words or before[-1:].isspace() else words.pop()
    if word.startswith("-"):
        name, given, value = word.partition("=")
        if given:
            return _found(_values(magics, _option(name)), value, "value")
        own = {"reset": line.RESET} if magic == "%llama" else {}
        return _found([line.written(each) for each in (*line.options(), *own)], word, "option")
    last = _option(words[-1]) if words else None
    if last is not None and last.kind != "flag" and last.name != "thinking":
        value = word.rpartition(",")[2] if last.kind == "object" else word
        return _found(_values(magics, last), value, "value")
    return _found(_models(), word, "model")


def _option(word: str) -> line.Option | None:
    return line.options().get(word[2:].replace("-", "_")) if word.startswith("--") else None


def _values(magics: LlamaMagics, option: line.Option | None) -> list[str]:
    """Return what may be the value of an option."""
    if option is None:
        return []
    if option.name == "chat":
        return sorted(magics.chats)
    if option.kind != "object":
        return list(option.words)
    return sorted(name for name in magics.own_names if _suits(magics.names[name], option.name))


def _suits(value: object, option: str) -> bool:
    if option == "json_schema":
        return isinstance(value, dict) or hasattr(value, "model_json_schema")
    return callable(value) and not isinstance(value, type)


def _models() -> list[str]:
    from ..library.local import models

    return [f'"{model.model}"' if " " in model.model else model.model for model in models()]


def _found(names: Iterable[str], word: str, kind: str) -> SimpleMatcherResult:
    """Return those that ``word`` may become, or that have it within them where none begins with it."""
    names = list(names)
    matching = [name for name in names if name.startswith(word)]
    matching = matching or [name for name in names if word.lower() in name.lower()]
    made = [SimpleCompletion(text=name, type=kind) for name in matching]
    return {"completions": made, "matched_fragment": word, "suppress": True}
