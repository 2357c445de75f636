"""The Jinja that chat templates are written in, within limits: a template is a program of the model's author."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import ext, meta, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2.parser import Parser
    from jinja2.runtime import Context

SECONDS = 10.0
CHARACTERS = 50_000_000


class TemplateLimitError(Exception):
    """The template ran for too long or wrote too much."""


class Template:
    """A compiled template, in the sandbox and with the names that ``transformers`` gives to chat templates.

    What it writes and how long it runs are limited. What a single expression builds is not, beyond repetitions and
    powers: a template that doubles a text forty times still takes all memory.

    Parameters
    ----------
    source : str
        The Jinja text.
    names : mapping
        What it knows beside its arguments, for example ``bos_token``.

    Attributes
    ----------
    source : str
        The same.
    variables : set of str
        The names it asks for from outside.
    """

    def __init__(self, source: str, names: Mapping[str, Any]) -> None:
        self.source = source
        self._environment = _Environment()
        self._environment.globals.update(names)
        self.variables = meta.find_undeclared_variables(self._environment.parse(source))
        self._template = self._environment.from_string(source)

    def render(self, **arguments: Any) -> str:  # noqa: ANN401 - whatever a template asks for
        """Return what the template writes, or raise whatever it fails with.

        Raises
        ------
        TemplateLimitError
            If it runs or writes beyond the limits.
        """
        self._environment.deadline = time.monotonic() + SECONDS
        pieces, size = [], 0
        for piece in self._template.generate(arguments):
            pieces.append(piece)
            size += len(piece)
            if size > CHARACTERS:
                msg = "it writes without end"
                raise TemplateLimitError(msg)
        return "".join(pieces)


class _Generator(CodeGenerator):
    """Looks at the clock in every turn of every loop: ranges are limited, loops within loops are not."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 - jinja2's name
        tick = nodes.Call(nodes.EnvironmentAttribute("tick"), [], [], None, None)
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        super().visit_For(node, frame)


class _Generation(ext.Extension):
    """Takes the tag that marks what a model is trained on for what it is otherwise: nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's way

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[ext.loopcontrols, _Generation])
        self.deadline = 0.0
        self.filters["tojson"] = _tojson
        self.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)

    def tick(self) -> None:
        if time.monotonic() > self.deadline:
            msg = f"it does not come to an end within {SECONDS:g} seconds"
            raise TemplateLimitError(msg)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        self.tick()
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        sizes = [len(side) if isinstance(side, str | list | tuple) else side for side in (left, right)]
        if operator == "**":
            large = isinstance(right, int) and right > 64  # noqa: PLR2004 - beyond what a text needs
        else:
            large = any(side is not size for side, size in zip((left, right), sizes, strict=True))
            large = large and sizes[0] * sizes[1] > CHARACTERS
        if large:
            msg = f"it computes something too large with {operator}"
            raise TemplateLimitError(msg)
        return super().call_binop(context, operator, left, right)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _tojson(
    value: Any,  # noqa: ANN401 - anything that JSON can say
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON as ``transformers`` does: jinja2's own escapes what HTML would read."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
