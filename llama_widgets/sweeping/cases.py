"""What is asked in a sweep: texts, templates with a table of variables, or whole conversations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..chat.turns import prompt, read_turns, without_lone_surrogates
from ..errors import SweepError
from ..filling import fill, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABEL = 60
_MISSING = ("NAType", "NaTType")
"""What pandas has in place of a text, a number or a date."""
_EXAMPLE = 'For example lw.sweep(["Sum up: ...", "In one line: ..."]), or lw.sweep(("Sum up: {text}", df)).'


@dataclass(frozen=True, kw_only=True)
class Case:
    """One prompt: its name, the variables that were filled in, and what the model is told, without a system prompt."""

    prompt: str
    variables: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]]


class Cases:
    """What the prompts of a sweep stand for; counted before they are made.

    Parameters
    ----------
    prompts : object
        As for ``lw.sweep``.
    """

    def __init__(self, prompts: object) -> None:
        self._table: list[dict[str, Any]] | None = None
        if isinstance(prompts, tuple) and len(prompts) == 2 and (table := _records(prompts[1])) is not None:  # noqa: PLR2004
            prompts, self._table = prompts[0], table
            if not table:
                msg = "The sweep is empty: its table has no rows."
                raise SweepError(msg, "Give a table with at least one.")
        self._prompts = _named(prompts)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._prompts) * (1 if self._table is None else len(self._table))

    def __iter__(self) -> Iterator[Case]:
        """Make them one after the other; of each prompt those with all variables."""
        for name, content in self._prompts.items():
            if self._table is None:
                yield Case(prompt=name, messages=_messages(content))
                continue
            _check_template(content, self._table)
            for variables in self._table:
                # Only the table's own columns: a sweep must not depend on what else the notebook holds. Nobody means
                # "None" by a cell that is empty.
                filled = {column: "" if value is None else value for column, value in variables.items()}
                yield Case(prompt=name, variables=variables, messages=_messages(content, filled))


def _named(prompts: object) -> dict[str, Any]:
    """Return the prompts by their names; those that have none are named by what they say."""
    if isinstance(prompts, str):
        prompts = [prompts]
    if isinstance(prompts, Mapping):
        wrong = [name for name in prompts if not isinstance(name, str) or not name]
        if wrong:
            msg = f"The name of a prompt must be text, not {wrong[0]!r:.80}."
            raise SweepError(msg, _EXAMPLE)
        named = dict(prompts)
    elif hasattr(prompts, "columns"):  # else their names would be asked, each as a prompt
        msg = "A table alone says nothing to ask."
        raise SweepError(msg, 'Give a prompt beside it: lw.sweep(("Sum up: {text}", df)), or a column: df["text"].')
    elif isinstance(prompts, Iterable):
        named = {}
        for content in prompts:
            label = _label(content)
            number = 1
            while (name := label if number == 1 else f"{label} ({number})") in named:
                number += 1
            named[name] = content
    else:
        msg = f"Prompts must be texts or conversations, not {type(prompts).__name__}."
        raise SweepError(msg, _EXAMPLE)
    return named


def _label(content: object) -> str:
    if not isinstance(content, str):
        last = content[-1] if isinstance(content, Sequence) and content else None
        content = last.get("content") if isinstance(last, Mapping) else None
    text = " ".join(content.split()) if isinstance(content, str) else ""
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1].rstrip()}…"


def _messages(content: object, variables: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"role": "user", "content": content}]
    if not isinstance(content, Sequence) or not content:
        msg = f"A prompt must be text or a list of messages, not {content!r:.80}."
        raise SweepError(msg, _EXAMPLE)
    turns = read_turns(content)
    if turns[-1].role not in ("user", "tool"):
        msg = f"A conversation must end with a question, not with a message of the {turns[-1].role}."
        raise SweepError(msg, 'What an answer is to begin with is given as response_prefix="...".')
    if variables is not None:
        for turn in turns:
            turn.pieces[:] = [str(fill(turn.content, variables))]
    if not any(turn.content.strip() for turn in turns):
        msg = "A prompt is empty."
        raise SweepError(msg, _EXAMPLE)
    return prompt(turns, None)


def _check_template(content: object, table: list[dict[str, Any]]) -> None:
    """Refuse a template that would be the same for each row: its braces were not meant as they are read."""
    texts = [content] if isinstance(content, str) else [m.get("content") for m in content if isinstance(m, Mapping)]  # type: ignore[attr-defined] # checked with the messages
    if not table or any(not isinstance(part, str) for text in texts for part in parse(str(text))):
        return
    columns = ", ".join(map(repr, list(table[0])[:10]))
    msg = f"The prompt {_label(content)!r} fills in nothing from the table, whose columns are {columns}."
    raise SweepError(msg, "Write a column as {name}; one whose name is not a Python name must be renamed first.")


def _records(table: object) -> list[dict[str, Any]] | None:
    """Return the rows of a DataFrame, or of a list of dicts, as plain data; ``None`` if it is neither."""
    if isinstance(table, list) and table and all(isinstance(row, Mapping) for row in table):
        if all("role" in row for row in table):  # a conversation
            return None
        rows: list[Any] = table
    else:
        import narwhals as nw

        frame = nw.from_native(table, eager_only=True, pass_through=True)
        if not isinstance(frame, nw.DataFrame):
            return None
        rows = frame.rows(named=True)
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a cell holds
    """Return a value as JSON has it, and as text what JSON has not."""
    if hasattr(value, "model_dump"):  # a pydantic model
        return plain(value.model_dump(mode="json"))
    if hasattr(value, "item") and not getattr(value, "ndim", 0):  # a number of numpy
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)
