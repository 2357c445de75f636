"""Python functions that a model may call, described to it by their signature and docstring."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from .docstrings import describe
from .schema import NoSchemaError, fit, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, eq=False)
class Tool:
    """A function that a model may call; made by ``Tool.of``, or by naming the function in ``tools=[...]``.

    Attributes
    ----------
    function : callable
        What is called, in a thread of its own. It may be a coroutine function.
    name : str
        How the model calls it.
    description : str
        What the model is told of it.
    parameters : dict
        The JSON schema of its arguments.
    """

    function: Callable[..., Any]
    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    _hints: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, function: object, *, name: str | None = None, description: str | None = None) -> Tool:
        """Describe a function as a tool.

        Parameters
        ----------
        function : callable
            Its parameters are described by their annotations (text, numbers, booleans, lists, dicts, ``Literal``,
            ``Optional`` and other unions, enumerations, dataclasses, TypedDicts, pydantic models, and ``Annotated``
            with a text) and by its docstring. A parameter without annotation takes what its default is, or any JSON.
        name : str, optional
            By default the function's own.
        description : str, optional
            By default the docstring up to its first section.

        Raises
        ------
        ParameterError
            If a model could not know how to call it.

        Examples
        --------
        >>> def weather(town: str, unit: Literal["C", "F"] = "C") -> str:
        ...     '''Look up the weather in a town.'''
        >>> Tool.of(weather).parameters["required"]
        ['town']
        """
        if isinstance(function, Tool):
            return function
        if not callable(function):
            msg = f"A tool must be a function, not {type(function).__name__}."
            raise ParameterError(msg, "For example a function with annotations and a docstring.")
        called = str(name or getattr(function, "__name__", None) or "")
        if not _NAME.fullmatch(called):
            msg = f"A tool cannot have the name {called!r}." if called else "This tool has no name."
            raise ParameterError(msg, "Give it one of letters, digits, _ and -: lw.Tool.of(function, name='...').")
        said, of_parameters = describe(_annotated(function))
        hints, required = _parameters(function, called)
        definitions: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        for parameter, hint in hints.items():
            try:
                schema = schema_of(hint, definitions)
            except (NoSchemaError, TypeError, NameError) as error:
                msg = f"The parameter {parameter!r} of the tool {called} cannot be described to a model: {error}."
                raise ParameterError(msg, "Annotate it with str, int, float, bool, list, dict, Literal ...") from error
            if parameter in of_parameters and "description" not in schema:
                schema["description"] = of_parameters[parameter]
            properties[parameter] = schema
        parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        if definitions:
            parameters["$defs"] = definitions
        return cls(function, called, said if description is None else description, parameters, hints)

    @property
    def spec(self) -> dict[str, Any]:
        """The tool as ``generate_chat_completion`` takes it."""
        about = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": about}

    def fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments that a model gave as the function expects them; raises ``ValueError`` for wrong ones."""
        if unknown := [name for name in arguments if name not in self._hints]:
            msg = f"{self.name} has no parameter {unknown[0]!r}; it has {', '.join(self._hints) or 'none'}"
            raise ValueError(msg)
        if missing := [name for name in self.parameters["required"] if name not in arguments]:
            msg = f"{self.name} needs {missing[0]!r}"
            raise ValueError(msg)
        return {name: fit(self._hints[name], value, name) for name, value in arguments.items()}

    def __call__(self, **arguments: Any) -> Any:  # noqa: ANN401 - the function's own
        """Call the function with arguments that fit."""
        parameters = inspect.signature(self.function).parameters.values()
        positional = [each for each in parameters if each.kind is each.POSITIONAL_ONLY]
        given = [arguments.pop(each.name, each.default) for each in positional]
        return self.function(*given, **arguments)


def _parameters(function: Callable[..., Any], called: str) -> tuple[dict[str, Any], list[str]]:
    """Return the annotations of the parameters by name, and the names of those that must be given."""
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(_annotated(function), include_extras=True)
    except Exception as error:
        msg = f"The parameters of the tool {called} cannot be read: {error}."
        raise ParameterError(msg, "Write a function with annotations around it.") from error
    found: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            msg = f"The tool {called} takes {parameter}, and a model cannot know what to give for that."
            raise ParameterError(msg, "Name each parameter.")
        found[name] = hints.get(name, Any if parameter.default is parameter.empty else _like(parameter.default))
    return found, [name for name, parameter in signature.parameters.items() if parameter.default is parameter.empty]


def _annotated(function: Any) -> Any:  # noqa: ANN401
    """Return what carries the annotations of a callable: itself, what a partial wraps, or the method of an object."""
    function = inspect.unwrap(function)
    if isinstance(function, functools.partial):
        return _annotated(function.func)
    return function if inspect.isroutine(function) else type(function).__call__


def _like(default: object) -> Any:  # noqa: ANN401
    """Return the annotation that a default suggests."""
    return type(default) if type(default) in (str, int, float, bool, list, dict) else Any
