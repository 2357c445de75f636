"""The line of a chat cell: which options there are, and what a line gives them.

The settings come from their declaration; only what a cell has beside them is named here.
"""

from __future__ import annotations

import ast
import functools
import json
import keyword
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..chat.classrooms import current
from ..chat.settings import NAMES
from ..errors import ParameterError
from ..filling import Hole, fill, parse
from ..library.references import model_text
from ..options import LoadOptions
from ..wire import known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PIECE = r""""[^"]*"|'[^']*'|\{[^{}]*\}|[^\s"']"""
_WORD = re.compile(rf"\s*((?:{_PIECE})+)")
_QUOTED = re.compile(rf"{_PIECE}")
_LISTS = ("stop", "dry_sequence_breakers")
_YES = {"true": True, "false": False}


@dataclass(frozen=True)
class Option:
    """What may stand on a line.

    Attributes
    ----------
    name : str
        As it is written, without the dashes.
    kind : str
        "flag", "choice" (a flag or one of ``words``), "text", "value" (a number, a list, a dict), "object" (names of
        the notebook) or "name" (a word).
    help : str
        What it does.
    words : tuple of str
        What can be chosen.
    """

    name: str
    kind: str
    help: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """What a line says.

    Attributes
    ----------
    given : dict
        The values of options by their names in Python, "model" among them.
    question : str or None
        What follows ``--``.
    """

    given: dict[str, Any] = field(default_factory=dict)
    question: str | None = None

    def over(self, defaults: Mapping[str, Any]) -> Line:
        """Return this line with what it leaves open taken from ``defaults``."""
        return Line({**defaults, **self.given}, self.question)

    @property
    def settings(self) -> dict[str, Any]:
        """What the question is asked with."""
        return {name: value for name, value in self.given.items() if name in NAMES}


_OWN = (
    Option("system", "text", "What the model is told to be. A conversation keeps it."),
    Option("chat", "name", "The conversation that this cell is a part of; cells of one name go on with it."),
    Option("new", "flag", "Begin anew: the conversation of --chat, or without it one of this cell alone."),
    Option("as", "name", "The variable that gets the reply, or with --json-schema the value."),
    Option("background", "flag", "Let later cells run meanwhile; the variable of --as is there when it is done."),
    Option("cells", "value", "Show the model this many of the cells that were run before, with what they put out."),
    Option("error", "flag", "Show the model the last error."),
    Option("json_schema", "object", "A pydantic model or a JSON schema that the answer fulfils."),
    Option("tools", "object", "Functions of the notebook that the model may call: --tools f,g."),
    Option("confirm", "object", "A function that is asked before each call."),
)
_OF_ONE_QUESTION = ("new", "as", "background", "cells", "error")
RESET = Option("reset", "flag", "Forget the notebook's defaults.")


@functools.cache
def options() -> dict[str, Option]:
    """Return all options by their names in Python."""
    from ..widgets.described import described

    found = {option.name: option for option in _OWN}
    for name, shown in described().items():
        if name in NAMES and name not in found:
            kind = shown["kind"] if shown["kind"] in ("flag", "text", "choice") else "value"
            words = tuple(word for word in shown.get("options", ()) if isinstance(word, str))
            found[name] = Option(name, kind, shown["help"].replace("empty", "none"), words)
    return found


def written(name: str) -> str:
    """Return an option as it stands on a line."""
    return f"--{name.replace('_', '-')}"


def read(line: str, names: Mapping[str, Any], *, magic: str = "%%llama") -> Line:
    """Return what ``line`` says; ``{name}`` and ``{expression}`` in it are taken from ``names``.

    Raises
    ------
    ParameterError
        If there is no such option, or not with that value.
    """
    given: dict[str, Any] = {}
    words = _words(line)
    for word, end in words:
        if word == "--":
            return _checked(Line(given, line[end:].strip()))
        if not word.startswith("--"):
            if "model" in given:
                where = "below the line" if magic.startswith("%%") else "behind ' -- '"
                msg = f"The line names two models: {model_text(given['model'])!r:.80} and {word!r:.80}."
                raise ParameterError(msg, f"A question goes {where}.")
            given["model"] = _filled(word, names)
            continue
        option, on, value = _option(word, magic)
        if option.kind == "flag" or (option.kind == "choice" and _is_flag(option)):
            given[option.name] = on if value is None else _value(option, value, names)
            continue
        if value is None:
            value = next(words, (None, 0))[0]
        if value is None or value == "--":
            raise ParameterError(f"{written(option.name)} needs a value.", option.help)
        read_value = _value(option, value, names)
        if option.name in _LISTS and not isinstance(read_value, list):
            read_value = [*given.get(option.name, ()), read_value]
        given[option.name] = read_value
    return _checked(Line(given))


def defaults_of(line: Line) -> dict[str, Any]:
    """Return what a line sets for the whole notebook, or raise ``ParameterError`` for what only a question has."""
    if wrong := [name for name in line.given if name in _OF_ONE_QUESTION]:
        msg = f"{written(wrong[0])} belongs to one question, and there is none."
        raise ParameterError(msg, "Put it behind ' -- ', or write it on the line of a %%llama cell.")
    return line.given


def _words(line: str) -> Iterator[tuple[str, int]]:
    """Yield each word without its quotes, and where it ends."""
    at = 0
    while found := _WORD.match(line, at):
        at = found.end()
        yield _QUOTED.sub(lambda piece: piece[0][1:-1] if piece[0][0] in "\"'" else piece[0], found[1]), at
    if line[at:].strip():
        msg = f"A quote is not closed: {line[at:].strip()!r:.80}."
        raise ParameterError(msg, 'Write a text that has one of these quotes between two of the other: "don\'t".')


def _option(word: str, magic: str) -> tuple[Option, bool, str | None]:
    """Return which option a word names, whether it switches that on, and the value it gives."""
    named, given, value = word[2:].partition("=")
    name = named.replace("-", "_")
    all_options = options() | ({"reset": RESET} if magic == "%llama" else {})
    if name in all_options:
        return all_options[name], True, value if given else None
    negated = all_options.get(name.removeprefix("no_"))
    if name.startswith("no_") and negated is not None and _is_flag(negated) and not given:
        return negated, False, None
    msg = f"There is no option {word.partition('=')[0]!r:.80}."
    if name in LoadOptions.__dataclass_fields__:
        raise ParameterError(msg, f"A model is loaded with it: lw.classroom({name}=...) holds for all cells.")
    raise ParameterError(msg, known(f"--{named}", [written(each) for each in all_options]))


def _is_flag(option: Option) -> bool:
    return option.kind == "flag" or option.name == "thinking"


def _filled(word: str, names: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the notebook has
    """Return what stands in a word's place: the object itself where the word is nothing but ``{expression}``."""
    parts = list(parse(word))
    if len(parts) == 1 and isinstance(parts[0], Hole) and not (parts[0].conversion or parts[0].spec):
        return parts[0].evaluate(names)
    return str(fill(word, names))


def _value(option: Option, word: str, names: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of an option of any type
    if option.kind == "object":
        return _objects(option, word, names)
    value = _filled(word, names)
    if not isinstance(value, str) or option.kind in ("text", "name"):
        return value
    if option.kind != "value":
        return _YES.get(value.lower(), value)
    if value.lower() in ("none", "null"):
        return None
    for reader in (json.loads, ast.literal_eval):
        try:
            made = reader(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return made if option.name not in _LISTS or isinstance(made, list) else value
    return value


def _objects(option: Option, word: str, names: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return what an expression of the notebook stands for; a schema may be written out."""
    try:
        made = json.loads(word)
    except ValueError:
        parts = list(parse(word if word.startswith("{") else f"{{{word}}}"))
        if len(parts) != 1 or not isinstance(parts[0], Hole):
            msg = f"{written(option.name)} takes names of the notebook, not {word!r:.80}."
            raise ParameterError(msg, "JSON that is written out stands between single quotes.") from None
        made = parts[0].evaluate(names)
    if option.name == "tools" and (callable(made) or not isinstance(made, (list, tuple))):
        return [made]
    return made


def _checked(line: Line) -> Line:
    given = line.given
    room = current()
    room.settings.changed(line.settings)
    if "model" in given:
        room.check_model(given["model"])
    name = given.get("as", "_")
    if not (isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)):
        raise ParameterError(f"{name!r:.80} cannot be the name of a variable.", "For example --as answer.")
    count = given.get("cells", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ParameterError(f"--cells takes a number of cells from 1 on, not {count!r:.80}.", "For example --cells 3.")
    for each in ("chat", "system"):
        if not isinstance(given.get(each, ""), str):
            raise ParameterError(f"--{each} takes text, not {type(given[each]).__name__}.", options()[each].help)
    return line
