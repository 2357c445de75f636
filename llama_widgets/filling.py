r"""Filling a message with the user's own data: ``{name}`` and ``{expression}``, and text files that go along.

What is filled, in one rule: a brace with a Python expression right after it, on one line, that names something. So
JSON, CSS, LaTeX and code stay as they were written:

* between backticks nothing is filled;
* a brace right behind a letter, a digit or one of ``\ ^ _ $ % # @ ] ) }`` is text: ``\frac{a}{b}``, ``${HOME}``;
* ``{{`` and ``}}`` stand for single braces;
* ``!r``, ``!s`` and a format spec work as in f-strings, and give the whole value where a bare one is shortened;
* what is no expression is text.
"""

from __future__ import annotations

import ast
import builtins
import codecs
import difflib
import re
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import FillError
from .values import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    File = str | os.PathLike[str] | tuple[str, str]

LARGEST_FILE = 1_000_000
"""Bytes of a file; a context of 128k tokens is about half of that. Twin: ``frontend/src/chat/attach.ts``."""
_ROWS = 50
_TRIES = 8
_LONGEST = 300
_APART = "\n\n"
_FILE = "<llama-widgets message>"

_TABLES = {".csv", ".tsv"}
_CODE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,}).*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)",
    re.MULTILINE | re.DOTALL,
)
_MARKS = re.compile(r"\{\{|\}\}|\{")
_BEHIND = re.compile(r"[\w\\^$%#@\])}]")
_FORMATTED = re.compile(
    r"(?P<source>.+?)(?:!(?P<conversion>[rsa]))?"
    r"(?::(?P<spec>(?:[^{}\s]?[<>=^])?[-+ ]?z?#?0?\d*[,_]?(?:\.\d+)?[a-zA-Z%]?|%[^{}]+))?"
)
_CONVERSIONS: dict[str, Callable[[object], object]] = {"r": repr, "s": str, "a": ascii}
_WORK = (ast.Call, ast.Await, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)

# The compiler warns on stderr of what a user types, which is whatever cell ran last.
warnings.filterwarnings("ignore", module=re.escape(_FILE))


@dataclass(frozen=True, kw_only=True)
class Insert:
    """What was put into a message: the characters from ``start`` to ``end``.

    ``source`` is the expression or the file's name, ``kind`` "value" or "file". ``tokens`` is ``None`` where no model
    was there to count them.
    """

    source: str
    start: int
    end: int
    kind: str = "value"
    tokens: int | None = None


class Filled(str):
    """A message that was filled: text like any other, which remembers what was typed and what was put in.

    Attributes
    ----------
    typed : str
        What it was made from, without the files.
    inserts : tuple of Insert
        What was put in, in the order of the text.
    """

    __slots__ = ("inserts", "typed")

    typed: str
    inserts: tuple[Insert, ...]

    def __new__(cls, text: str, typed: str, inserts: Iterable[Insert]) -> Filled:
        """Return ``text`` with its history."""
        made = super().__new__(cls, text)
        made.typed, made.inserts = typed, tuple(inserts)
        return made

    def counted(self, tokens: Iterable[int | None]) -> Filled:
        """Return the same with the tokens of each insert."""
        inserts = (replace(insert, tokens=count) for insert, count in zip(self.inserts, tokens, strict=True))
        return Filled(self, self.typed, inserts)

    def followed_by(self, other: Filled) -> Filled:
        """Return this and then ``other``, as if both had been typed in one."""
        at = len(self) + len(_APART)
        moved = (replace(insert, start=insert.start + at, end=insert.end + at) for insert in other.inserts)
        return Filled(f"{self}{_APART}{other}", self.typed, [*self.inserts, *moved])

    @property
    def pieces(self) -> list[str]:
        """What was put in."""
        return [self[insert.start : insert.end] for insert in self.inserts]


class Hole(NamedTuple):
    """An expression in a message, between ``start`` and ``end``."""

    start: int
    end: int
    source: str
    conversion: str
    spec: str
    code: Any
    works: bool
    """Whether it calls something, so that looking at its value may take a while or change something."""

    def evaluate(self, namespace: Mapping[str, Any]) -> object:
        """Return what the expression is, or raise ``FillError``."""
        try:
            return eval(self.code, dict(namespace))  # noqa: S307 - the user's own code, in the user's own kernel
        except (Exception, SystemExit) as error:
            raise _failed(self.source, error, namespace) from error

    def value(self, namespace: Mapping[str, Any]) -> str:
        """Return what goes in its place, or raise ``FillError``."""
        value = self.evaluate(namespace)
        try:
            if self.conversion or self.spec:
                return format(_CONVERSIONS.get(self.conversion, _same)(value), self.spec)
            return shown(value)
        except (Exception, SystemExit) as error:
            raise _failed(self.source, error, namespace) from error


def fill(text: str, namespace: Mapping[str, Any] | None = None, files: Iterable[File] = ()) -> Filled:
    """Put values and files into a message, as the chat panel does with what is typed there.

    Parameters
    ----------
    text : str
        ``{name}`` or ``{expression}`` stands for its value: a DataFrame becomes a short Markdown table, long values
        are cut with a note. ``{{`` is a brace, and nothing is filled between backticks.
    namespace : mapping, optional
        Where names are looked up; by default the notebook's or the script's own variables.
    files : iterable of path or (name, text), optional
        Text files that go along, each as a block of code under its name. Long CSV files are cut with a note.

    Returns
    -------
    Filled
        What the model is to see; a ``str``, for ``chat.ask`` and wherever else text goes.

    Raises
    ------
    FillError
        If an expression fails, or a file is not text or too large.

    Examples
    --------
    >>> fill("Is {x} prime, and {x / 7:.2f} whole? {{x}}", {"x": 91})
    'Is 91 prime, and 13.00 whole? {x}'
    """
    names = user_names() if namespace is None else namespace
    made = _Making()
    for part in parse(text):
        if isinstance(part, str):
            made.add(part)
        else:
            made.insert(part.source, part.value(names))
    for name, content in map(_read, files):
        made.attach(name, content)
    return Filled(made.text, text, made.inserts)


def user_names() -> dict[str, Any]:
    """Return the variables of the notebook or script."""
    return vars(sys.modules["__main__"])  # in a notebook too: IPython's user namespace is that of __main__


def hidden_names() -> Collection[str]:
    """Return the variables that a notebook has from the beginning, and nobody means."""
    if (ipython := sys.modules.get("IPython")) is not None and (shell := ipython.get_ipython()) is not None:
        return set(shell.user_ns_hidden)
    return ()


def parse(text: str) -> Iterator[str | Hole]:
    """Yield the parts of a message: text, with its doubled braces made single, and what is to be filled."""
    at = opened = 0
    quoted = [match.span() for match in _CODE.finditer(text)]
    while match := _MARKS.search(text, at):
        start, end = match.span()
        if start > at:
            yield text[at:start]
        if quote := next((span for span in quoted if span[0] <= start < span[1]), None):
            end = quote[1]
            yield text[start:end]
        elif match[0] == "{{":
            opened += 1
            yield "{"
        elif match[0] == "}}":
            if not opened:
                end = start + 1
            opened = max(0, opened - 1)
            yield "}"
        elif hole := _hole(text, start, at):
            end = hole.end
            yield hole
        else:
            yield "{"
        at = end
    if at < len(text):
        yield text[at:]


def _hole(text: str, start: int, seen: int) -> Hole | None:
    # Up to ``seen`` all is said: a brace behind the end of a filled one is not behind text.
    if start > seen and _BEHIND.match(text, start - 1):
        return None
    line_end = text.find("\n", start)
    end = start
    for _ in range(_TRIES):
        end = text.find("}", end + 1, min(line_end if line_end >= 0 else len(text), start + _LONGEST))
        if end < 0:
            return None
        if read := _expression(text[start + 1 : end]):
            return Hole(start, end + 1, *read)
    return None


def _expression(text: str) -> tuple[str, str, str, Any, bool] | None:
    if not text or text[0].isspace():
        return None
    formatted = _FORMATTED.fullmatch(text)
    choices = [(text, "", "")]
    if formatted and (formatted["conversion"] or formatted["spec"]):
        choices.append((formatted["source"], formatted["conversion"] or "", formatted["spec"] or ""))
    for source, conversion, spec in choices:
        try:
            tree = ast.parse(source.strip(), _FILE, "eval")
            code = compile(tree, _FILE, "eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        nodes = list(ast.walk(tree))
        if any(isinstance(node, ast.Name) for node in nodes):
            return source.strip(), conversion, spec, code, any(isinstance(node, _WORK) for node in nodes)
    return None


def _same(value: object) -> object:
    return value


def _failed(source: str, error: BaseException, namespace: Mapping[str, Any]) -> FillError:
    text = "Braces that are text are doubled, {{ }}, or stand between backticks."
    if isinstance(error, NameError) and (name := getattr(error, "name", None)):
        close = _meant(name, namespace)
        return FillError(
            f"{{{source}}} cannot be filled in: there is no variable {name!r}.",
            f"Did you mean {close[0]!r}? {text}" if close else f"Run the cell that makes it. {text}",
        )
    why = " ".join(f"{type(error).__name__}: {error}".split())[:450].rstrip(":.")
    return FillError(f"{{{source}}} cannot be filled in: {why}.", text)


def _meant(name: str, namespace: Mapping[str, Any]) -> list[str]:
    """Return the name that was meant, if one is close: the user's own, else a function that is always there."""
    hidden = hidden_names()
    own = [each for each in namespace if each not in hidden and not each.startswith("_")]
    always = [each for each in dir(builtins) if each.islower() and each not in hidden and not each.startswith("_")]
    return difflib.get_close_matches(name, own, 1, 0.75) or difflib.get_close_matches(name, always, 1, 0.85)


class _Making:
    """A message on its way."""

    def __init__(self) -> None:
        self.text = ""
        self.inserts: list[Insert] = []
        self._apart = False

    def add(self, text: str) -> None:
        if self._apart and not text.startswith("\n"):  # what follows a table is no row of it
            self.text += _APART
            text = text.lstrip(" ")
        self.text += text
        self._apart = False

    def insert(self, source: str, value: str, kind: str = "value") -> None:
        value = value.encode("utf-8", "replace").decode()
        block = "\n" in value
        if self.text and (block or self._apart):
            self.text = self.text.rstrip(" ")
            self.text += _APART[len(self.text) - len(self.text.rstrip("\n")) :]
        start = len(self.text)
        self.text += value
        self._apart = block
        self.inserts.append(Insert(source=source, start=start, end=len(self.text), kind=kind))

    def attach(self, name: str, content: str) -> None:
        self.insert(name, block(name, content), "file")


def block(name: str, content: str) -> str:
    """Return a file as it stands in a message: its name, and its text as a block of code that nothing in it ends."""
    suffix = Path(name).suffix.lower()
    lines = content.splitlines()
    note = ""
    if suffix in _TABLES and len(lines) > _ROWS + 1:
        note = f"\n({len(lines) - 1:,} lines after the header; the first {_ROWS} are shown)"
        content = "\n".join(lines[: _ROWS + 1])
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", content)), default=0))
    language = suffix[1:] if re.fullmatch(r"\.\w+", suffix) else ""
    return f"{name}:\n{ticks}{language}\n{content.rstrip()}\n{ticks}{note}"


def _read(file: File) -> tuple[str, str]:
    """Return the name and text of a file."""
    if isinstance(file, tuple):
        return file
    path = Path(file).expanduser()
    try:
        if path.stat().st_size > LARGEST_FILE:
            msg = f"{path.name} is too large: it has {path.stat().st_size / 1e6:.1f} MB."
            raise FillError(msg, f"Give a part of it; at most {LARGEST_FILE / 1e6:.0f} MB goes into a message.")
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        msg = f"{path.name} cannot be read: {error.strerror or error}."
        raise FillError(msg, "Check the path.") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        msg = f"{path.name} is not a text file."
        raise FillError(msg, "Text in UTF-8 goes into a message; pictures and documents do not.")
    return path.name, text
