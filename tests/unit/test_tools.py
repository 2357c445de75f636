"""Python functions as tools: what a model is told of them, and what it may give for their parameters."""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional, TypedDict

import jsonschema
import pytest
from pydantic import BaseModel

from llama_widgets.chat.tools import Tool
from llama_widgets.errors import ParameterError


class Unit(enum.Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: int
    y: float = 0.0


class Place(TypedDict):
    name: str
    at: Point


class Inner(BaseModel):
    text: str


class Model(BaseModel):
    number: int
    inner: list[Inner] = []


def echo(**hints: Any) -> Any:  # noqa: ANN401
    """Return a function with one parameter ``x`` of this annotation, which gives back what it gets."""

    def function(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return x

    function.__annotations__ = hints
    return function


STRING, INTEGER, NUMBER, NULL = ({"type": kind} for kind in ("string", "integer", "number", "null"))
POINT = {
    "type": "object",
    "properties": {"x": INTEGER, "y": NUMBER},
    "required": ["x"],
    "additionalProperties": False,
}
KINDS: list[tuple[Any, dict[str, Any], list[tuple[Any, Any]], list[Any]]] = [
    (str, STRING, [("a", "a"), (7, "7"), (1.5, "1.5")], [None, True, ["a"], {}]),
    (int, INTEGER, [(7, 7), ("7", 7), (7.0, 7), ("-7", -7), (2**60 + 1, 2**60 + 1)], [7.5, "x", True, None, "inf"]),
    (float, NUMBER, [(7, 7.0), (1.5, 1.5), ("1.5", 1.5)], ["x", True, None, "nan", "inf", 10**400]),
    (bool, {"type": "boolean"}, [(True, True), ("false", False)], [1, "yes", None]),
    (Any, {}, [(None, None), ([1], [1])], []),
    (list, {"type": "array", "items": {}}, [([1, "a"], [1, "a"])], ["a", {}]),
    (list[int], {"type": "array", "items": INTEGER}, [(["1", 2], [1, 2])], [["x"], 1]),
    (Sequence[str], {"type": "array", "items": STRING}, [(["a"], ["a"])], ["a"]),
    (set[int], {"type": "array", "items": INTEGER}, [([1, 1], {1})], [1]),
    (tuple[int, ...], {"type": "array", "items": INTEGER}, [([1, 2], (1, 2))], [1]),
    (dict, {"type": "object"}, [({"a": 1}, {"a": 1})], [[], "a"]),
    (
        dict[str, int],
        {"type": "object", "additionalProperties": INTEGER},
        [({"a": "1"}, {"a": 1})],
        [{"a": "x"}],
    ),
    (Literal["a", 1], {"enum": ["a", 1]}, [("a", "a"), (1, 1), ("1", 1)], ["b", None]),
    (Optional[int], {"anyOf": [INTEGER, NULL]}, [(None, None), ("1", 1)], ["x"]),  # noqa: UP045
    (int | str, {"anyOf": [INTEGER, STRING]}, [("1", "1"), (1, 1), ("x", "x")], [None]),
    (Unit, {"enum": ["C", "F"]}, [("C", Unit.CELSIUS)], ["K", "CELSIUS"]),
    (Rank, {"enum": ["LOW", "HIGH"]}, [("HIGH", Rank.HIGH)], ["MIDDLE", 3]),
    (Point, POINT, [({"x": "1"}, Point(1, 0.0))], [{}, {"x": 1, "z": 1}, {"x": "a"}, 1]),
    (
        Place,
        {
            "type": "object",
            "properties": {"name": STRING, "at": POINT},
            "required": ["name", "at"],
            "additionalProperties": False,
        },
        [({"name": "n", "at": {"x": 1}}, {"name": "n", "at": Point(1)})],
        [{"name": "n"}, {"name": "n", "at": 1}],
    ),
    (Annotated[int, "How many."], INTEGER | {"description": "How many."}, [("1", 1)], ["x"]),
]


@pytest.mark.parametrize(("hint", "schema", "good", "bad"), KINDS, ids=[str(kind[0]) for kind in KINDS])
def test_what_an_annotation_tells_and_takes(
    hint: Any,  # noqa: ANN401
    schema: dict[str, Any],
    good: list[tuple[Any, Any]],
    bad: list[Any],
) -> None:
    tool = Tool.of(echo(x=hint))
    jsonschema.Draft202012Validator.check_schema(tool.parameters)
    assert tool.parameters["properties"] == {"x": schema}
    for given, expected in good:
        made = tool(**tool.fit({"x": given}))
        assert (made, type(made)) == (expected, type(expected))
    for given in bad:
        with pytest.raises(ValueError, match="x"):
            tool.fit({"x": given})


def test_a_pydantic_model_brings_its_definitions_along() -> None:
    tool = Tool.of(echo(x=list[Model]))
    jsonschema.validate({"x": [{"number": 1, "inner": [{"text": "a"}]}]}, tool.parameters)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"x": [{"number": 1, "inner": [{"text": 1}]}]}, tool.parameters)
    assert tool(**tool.fit({"x": [{"number": "1"}]})) == [Model(number=1)]
    with pytest.raises(ValueError, match="number"):
        tool.fit({"x": [{}]})


def numpy_style(town, days, /, unit="C", *, exact: bool = False):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Look up the weather
    in a town.

    Not in villages.

    Parameters
    ----------
    town : str
        The town's name,
        in English.
    days, unit : int
        What is wanted: "C" or 3.

    Returns
    -------
    str
        The weather.
    """
    return town, days, unit, exact


def google_style(town, days, unit="C", *, exact: bool = False):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Look up the weather
    in a town.

    Not in villages.

    Args:
        town (str): The town's name,
            in English.
        days: What is wanted: "C" or 3.
        unit: What is wanted: "C" or 3.

    Returns:
        The weather.
    """
    return town, days, unit, exact


def sphinx_style(town, days, unit="C", *, exact: bool = False):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Look up the weather
    in a town.

    Not in villages.

    :param str town: The town's name,
        in English.
    :param days: What is wanted: "C" or 3.
    :param unit: What is wanted: "C" or 3.
    :return: The weather.
    """
    return town, days, unit, exact


@pytest.mark.parametrize("function", [numpy_style, google_style, sphinx_style])
def test_a_docstring_describes_the_function_and_its_parameters(function: Any) -> None:  # noqa: ANN401
    tool = Tool.of(function)
    assert tool.description == "Look up the weather in a town.\nNot in villages."
    wanted = {"description": 'What is wanted: "C" or 3.'}
    assert tool.parameters["properties"] == {
        "town": {"description": "The town's name, in English."},
        "days": wanted,
        "unit": STRING | wanted,
        "exact": {"type": "boolean"},
    }
    assert tool.parameters["required"] == ["town", "days"]
    assert tool(**tool.fit({"days": 3, "town": "a", "exact": "true"})) == ("a", 3, "C", True)
    assert tool.spec["function"]["name"] == function.__name__


def test_methods_partials_and_objects_are_functions_too() -> None:
    class Shop:
        def price(self, article: str) -> str:
            """Tell what it costs."""
            return f"{article} costs 3"

        def __call__(self, article: str) -> str:
            """Buy it."""
            return f"bought {article}"

    price, buy = Tool.of(Shop().price), Tool.of(Shop(), name="buy")
    of_bread = Tool.of(functools.partial(Shop().price, article="bread"), name="bread", description="What bread costs.")
    assert [(tool.name, tool.description) for tool in (price, buy, of_bread)] == [
        ("price", "Tell what it costs."),
        ("buy", "Buy it."),
        ("bread", "What bread costs."),
    ]
    assert (price(article="a"), buy(article="a"), of_bread()) == ("a costs 3", "bought a", "bread costs 3")
    assert of_bread.parameters["required"] == []
    assert Tool.of(price) is price


def with_star(*numbers: int) -> None:
    """Take any."""
    del numbers


def with_stars(**numbers: int) -> None:
    """Take any."""
    del numbers


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (5, "A tool must be a function, not int"),
        (lambda x: x, "cannot have the name '<lambda>'"),
        (functools.partial(with_star), "has no name"),
        (with_star, "takes \\*numbers"),
        (with_stars, "takes \\*\\*numbers"),
        (echo(x=complex), "'x' of the tool function cannot be described to a model: complex has no form in JSON"),
        (echo(x="Nowhere"), "parameters of the tool function cannot be read: name 'Nowhere' is not defined"),
        (echo(x=list[object()]), "cannot be described"),  # type: ignore[misc]
        (dict.update, "cannot be read|takes"),
    ],
)
def test_what_no_model_could_call_is_refused(function: object, words: str) -> None:
    with pytest.raises(ParameterError, match=words) as refused:
        Tool.of(function)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("arguments", "words"), [({}, "function needs 'x'"), ({"x": 1, "y": 2}, "function has no parameter 'y'; it has x")]
)
def test_arguments_that_are_missing_or_unknown_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Tool.of(echo(x=int)).fit(arguments)
