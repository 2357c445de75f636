"""What a docstring says of a function and of each of its parameters, in numpy's, Google's and Sphinx' way."""

from __future__ import annotations

import inspect
import re

_UNDERLINE = re.compile(r"\s*-{3,}\s*$")
_GOOGLE = re.compile(r"(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Attributes|See Also):\s*$")
_SPHINX = re.compile(r":(\w+)(?:\s+[^:]*?)??(?:\s+\*{0,2}(\w+))?:\s*(.*)$")
_PARAMETERS = ("parameters", "args", "arguments", "other parameters")


def describe(function: object) -> tuple[str, dict[str, str]]:
    """Return what ``function`` is for, which is all before the first section, and what each parameter is."""
    lines = (inspect.getdoc(function) or "").splitlines()
    said: list[str] = []
    parameters: dict[str, str] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        if at + 1 < len(lines) and line.strip() and _UNDERLINE.match(lines[at + 1]):
            end = _numpy_end(lines, at + 2)
            if line.strip().lower() in _PARAMETERS:
                parameters |= _numpy(lines[at + 2 : end])
            at = end
        elif section := _GOOGLE.match(line):
            end = _block_end(lines, at + 1)
            if section[1].lower() in _PARAMETERS:
                parameters |= _google(lines[at + 1 : end])
            at = end
        elif field := _SPHINX.match(line):
            end = _block_end(lines, at + 1)
            if field[1] in ("param", "parameter", "arg", "argument") and field[2]:
                parameters[field[2]] = _joined([field[3], *lines[at + 1 : end]])
            at = end
        else:
            if not parameters:
                said.append(line)
            at += 1
    return _paragraphs(said), parameters


def attributes(described: type) -> dict[str, str]:
    """Return what the docstring of a class says of each of its attributes, in numpy's way."""
    lines = (inspect.getdoc(described) or "").splitlines()  # none with python -OO
    start = lines.index("Attributes") + 2 if "Attributes" in lines else len(lines)
    return _numpy(lines[start : _numpy_end(lines, start)])


def _numpy_end(lines: list[str], start: int) -> int:
    """Return where the section ends that begins at ``start``: before the next title with a line under it."""
    for at in range(start, len(lines) - 1):
        if lines[at].strip() and _UNDERLINE.match(lines[at + 1]):
            return at
    return len(lines)


def _block_end(lines: list[str], start: int) -> int:
    """Return where the indented block ends that begins at ``start``."""
    for at in range(start, len(lines)):
        if lines[at].strip() and not lines[at].startswith((" ", "\t")):
            return at
    return len(lines)


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    heads = [at for at, line in enumerate(lines) if line.strip() and not line.startswith((" ", "\t"))]
    for at, following in zip(heads, [*heads[1:], len(lines)], strict=True):
        text = _joined(lines[at + 1 : following])
        for name in lines[at].split(":")[0].split(","):
            found[name.strip().lstrip("*")] = text
    return found


def _google(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    name = ""
    for line in lines:
        head = re.match(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$", line[indent:])
        if head and not line[indent:].startswith((" ", "\t")):
            name = head[1]
            found[name] = head[2].strip()
        elif name:
            found[name] = _joined([found[name], line])
    return found


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _paragraphs(lines: list[str]) -> str:
    """Return the text with one line for each paragraph."""
    return "\n".join(_joined(part.splitlines()) for part in re.split(r"\n\s*\n", "\n".join(lines)) if part.strip())
