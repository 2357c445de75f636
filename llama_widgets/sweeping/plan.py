"""What a sweep does: every combination of prompts, models, parameters and seeds, each checked before the first runs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict, cast

from ..chat.classrooms import current
from ..chat.presets import system_text
from ..errors import SweepError
from .cases import Case, Cases, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..chat.settings import Settings
    from ..worker import Worker

LIMIT = 10_000
"""Runs that are begun without asking back."""
_TOKENS = 200
_BYTES_PER_S = 1.5e10
"""What a CPU reads of its memory, roughly, when it answers several at once: a token needs all weights."""
_OTHERS = ("tools", "tool_choice", "tool_timeout", "max_tool_rounds", "confirm")
_ELSEWHERE = {"seed": "seeds=[...]", "json_schema": "schema=...", "model": "models=[...]"}


class Row(TypedDict):
    """One run: what was asked, how far it is, and what came of it. What is not known is ``None``.

    ``state`` is "waiting", "running", "done", "failed" (``error`` says why) or "stopped"; ``text`` grows while it runs.
    ``seconds`` are from its start to its end; ``ttft_s`` and ``decode_tps`` are slower than alone, as others run with
    it. ``logprobs`` are kept where ``top_logprobs`` asked for them. ``made`` is how it was made, as in ``Reply.made``.
    """

    index: int
    prompt: str
    variables: dict[str, Any]
    messages: list[dict[str, Any]]
    model: str
    params: dict[str, Any]
    seed: int
    state: str
    text: str
    thoughts: str
    parsed: Any
    parse_error: str
    stop_reason: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    ttft_s: float | None
    decode_tps: float | None
    seconds: float | None
    mean_logprob: float | None
    logprobs: list[dict[str, Any]]
    score: float | None
    score_error: str
    error: str
    model_sha256: str | None
    made: dict[str, Any]


BLANK: dict[str, Any] = {
    "state": "waiting",
    "text": "",
    "thoughts": "",
    "parsed": None,
    "parse_error": "",
    "stop_reason": None,
    "prompt_tokens": None,
    "cached_tokens": None,
    "completion_tokens": None,
    "ttft_s": None,
    "decode_tps": None,
    "seconds": None,
    "mean_logprob": None,
    "logprobs": [],
    "score": None,
    "score_error": "",
    "error": "",
    "model_sha256": None,
    "made": {},
}
"""What a run has before it begins."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a sweep is made of, in the order in which it runs: models, then prompts, parameters, seeds.

    ``schema`` is a JSON schema or a pydantic model, ``options`` are those that all runs share.
    """

    cases: list[Case]
    models: list[str]
    params: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    seeds: list[int] = field(default_factory=lambda: [0])
    system: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    schema: Any = None

    def rows(self) -> list[Row]:
        """Return the runs, none of which has begun."""
        combinations = itertools.product(self.models, self.cases, self.params, self.seeds)
        return [
            cast(
                "Row",
                {
                    "index": index,
                    "prompt": case.prompt,
                    "variables": case.variables,
                    "messages": self._told(case, params),
                    "model": model,
                    "params": params,
                    "seed": seed,
                    **BLANK,
                },
            )
            for index, (model, case, params, seed) in enumerate(combinations)
        ]

    def settings(self, params: Mapping[str, Any], seed: int) -> Settings:
        """Return what a run is asked with; raises ``ParameterError`` for what cannot be."""
        changes = {**self.options, **params, "seed": seed, "json_schema": self.schema}
        room = current()
        room.keep("system", changes.pop("system", self.system))
        settings = room.settings.changed(changes)
        top = settings.options.top_logprobs or 0  # those of the tokens themselves tell how sure the model was
        return replace(settings, options=replace(settings.options, top_logprobs=top))

    @property
    def dimensions(self) -> dict[str, list[Any]]:
        """The values of all that runs can differ in: "prompt", each variable, "model", each parameter, "seed"."""
        variables = dict.fromkeys(name for case in self.cases for name in case.variables)
        params = dict.fromkeys(name for each in self.params for name in each)
        return {
            "prompt": _distinct(case.prompt for case in self.cases),
            **{self.variable(name): _distinct(c.variables.get(name) for c in self.cases) for name in variables},
            "model": self.models,
            **{name: _distinct(each.get(name) for each in self.params) for name in params},
            "seed": self.seeds,
        }

    def variable(self, name: str) -> str:
        """Return what a variable is called beside the other columns: "input_text" for "text", which is taken."""
        return f"input_{name}" if name in Row.__annotations__ or any(name in each for each in self.params) else name

    def place(self, row: Row) -> dict[str, Any]:
        """Return where a run stands: its value in each dimension."""
        params = dict.fromkeys(name for each in self.params for name in each)
        return {
            "prompt": row["prompt"],
            **{self.variable(name): value for name, value in row["variables"].items()},
            "model": row["model"],
            **{name: row["params"].get(name) for name in params},
            "seed": row["seed"],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; of a pydantic model the schema is kept."""
        schema = self.schema if self.schema is None else self.settings({}, 0).options.json_schema
        made: dict[str, Any] = plain({**vars(self), "cases": [asdict(case) for case in self.cases], "schema": schema})
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Make it of what ``to_dict`` returned."""
        return cls(**{**data, "cases": [Case(**case) for case in data["cases"]]})

    def _told(self, case: Case, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        system = params.get("system", self.system)
        return [{"role": "system", "content": system}, *case.messages] if system else case.messages


def make(
    prompts: object,
    *,
    models: object,
    params: object,
    seeds: object,
    system: object,
    schema: object,
    options: Mapping[str, Any],
    limit: int,
    worker: Worker,
) -> Plan:
    """Return the plan, or raise what is wrong with it; nothing large is made before it is counted."""
    cases, named = Cases(prompts), _models(models, worker)
    combinations, drawn = _Combinations(params), _seeds(seeds)
    counts = {"prompts": len(cases), "models": len(named), "parameters": len(combinations), "seeds": len(drawn)}
    runs = math.prod(counts.values())
    if not runs:
        empty = next(name for name, count in counts.items() if not count)
        msg = f"The sweep is empty: there are no {empty}."
        raise SweepError(msg, "Give at least one of each.")
    if runs > limit:
        raise _too_many(runs, counts, named, options, limit, worker)
    if wrong := [name for name in (*options, *combinations.names) if name in _ELSEWHERE]:
        msg = f"{wrong[0]!r} is not given as an option of a sweep."
        raise SweepError(msg, f"Give {_ELSEWHERE[wrong[0]]}.")
    if wrong := [name for name in (*options, *combinations.names) if name in _OTHERS]:
        msg = f"{wrong[0]!r} is an option of a conversation: the runs of a sweep call no tools."
        raise SweepError(msg, "Ask a Chat, or leave it out.")
    plan = Plan(
        cases=list(cases),
        models=named,
        params=list(combinations),
        seeds=list(drawn),
        system=current().system if system is None else system_text(system),
        options=dict(options),
        schema=schema,
    )
    _check(plan)
    return plan


class _Combinations:
    """Every combination of parameters: the product of a dict of lists, or a list of dicts as it is."""

    def __init__(self, params: object) -> None:
        self._lists: dict[str, list[Any]] | None = None
        self._given: list[dict[str, Any]] = [{}]
        if isinstance(params, Mapping):
            self._lists = {str(name): _values(values) for name, values in params.items()}
        elif isinstance(params, Iterable) and not isinstance(params, str):
            self._given = [dict(each) if isinstance(each, Mapping) else _no_params(each) for each in params]
        elif params is not None:
            _no_params(params)
        self.names = list(dict.fromkeys(self._lists or (name for each in self._given for name in each)))

    def __len__(self) -> int:
        return len(self._given) if self._lists is None else math.prod(map(len, self._lists.values()))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._lists is None:
            return iter(self._given)
        return (dict(zip(self._lists, values, strict=True)) for values in itertools.product(*self._lists.values()))


def _values(values: object) -> list[Any]:
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        return [values]
    return [plain(value) for value in values]


def _no_params(given: object) -> dict[str, Any]:
    msg = f"Parameters must be a dict of lists or a list of dicts, not {given!r:.80}."
    raise SweepError(msg, 'For example params={"temperature": [0, 0.7], "top_p": [0.9, 1]}.')


def _seeds(seeds: object) -> list[int] | range:
    if seeds is None:
        seeds = 1
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds >= 0:
        return range(seeds)
    given = list(map(plain, seeds)) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else [None]
    if wrong := [seed for seed in given if not isinstance(seed, int) or isinstance(seed, bool)]:
        msg = f"Seeds must be a number or a list of numbers, not {wrong[0] if len(given) > 1 else seeds!r:.80}."
        raise SweepError(msg, "seeds=4 stands for 0, 1, 2 and 3.")
    return _distinct(given)


def _models(models: object, worker: Worker) -> list[str]:
    room = current()
    if models is None:
        if room.model:
            return [room.model]
        loaded = worker.loaded
        if loaded is None:
            from ..errors import NoModelError

            msg = "No model is named, and none is in memory."
            raise NoModelError(msg, "Give models=..., such as lw.models()[0].")
        return [loaded.model]
    several = isinstance(models, Iterable) and not isinstance(models, str) and not hasattr(models, "__fspath__")
    named: list[str] = _distinct(room.check_model(model) for model in (models if several else [models]))  # type: ignore[attr-defined] # just looked at
    for name in named:
        worker.find(name)  # raises now what would fail later
    return named


def _check(plan: Plan) -> None:
    """Raise what is wrong with any of the runs; whether a grammar can be followed is known without the model."""
    from ..engines.grammar import Grammar

    for seed in plan.seeds:
        options = plan.settings(plan.params[0], seed).options
    Grammar.of(options)
    for params in plan.params:
        system_text(params.get("system"))
        options = plan.settings(params, plan.seeds[0]).options
        if options.grammar is not None:
            Grammar.of(options)


def _too_many(
    runs: int, counts: dict[str, int], models: list[str], options: Mapping[str, Any], limit: int, worker: Worker
) -> SweepError:
    """Return the question whether so many are meant, with the time that they would take, roughly."""
    most = options.get("max_tokens")
    tokens = most if isinstance(most, int) else _TOKENS
    seconds = sum(_size(worker.find(name)) for name in models) / _BYTES_PER_S * tokens * runs / len(models)
    product = " x ".join(f"{count:,} {name if count > 1 else name[:-1]}" for name, count in counts.items() if count)
    return SweepError(
        f"The sweep has {runs:,} runs: {product}. They would take roughly {duration(seconds)}.",
        f"Give fewer values, or limit={runs} if you mean it; without, the limit is {limit:,}.",
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def duration(seconds: float) -> str:
    """Return a time in words, such as "3 hours"."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count:,} {unit}{'s' if count > 1 else ''}"
    return f"{max(1, round(seconds))} seconds"


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Return each value once, in order, also of those that cannot be hashed."""
    found: dict[str, Any] = {}
    for value in values:
        found.setdefault(json.dumps(value, sort_keys=True, default=str), value)
    return list(found.values())
