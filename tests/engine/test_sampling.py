"""Every sampler does what its option says, at both ends of its range too."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - tests of the engine need it
import numpy as np
import pytest

from llama_widgets.engines.grammar import Grammar
from llama_widgets.errors import GrammarError, ParameterError
from llama_widgets.options import GenerationOptions
from tests.engine.desk import LAST, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llama_widgets.engines.sampling import Sampler

ALL: dict[str, Any] = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "temperature": 1.0, "seed": 1}
"""Nothing is cut off."""

CATS = "The cat sat on the mat. The cat sat on the mat. The cat sat on the"


@pytest.fixture(scope="module")
def desk(demo_model: Path) -> Iterator[Desk]:
    desk = Desk(demo_model)
    yield desk
    desk.close()


@pytest.fixture
def open_end(desk: Desk) -> Desk:
    """After a text that may go on in many ways."""
    desk.read("My favourite thing in the world is")
    return desk


@pytest.fixture
def cats(desk: Desk) -> Desk:
    """After a text that repeats itself."""
    desk.read(CATS)
    return desk


def probabilities(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    likely = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(likely / likely.sum())


def ranked(desk: Desk) -> list[int]:
    return [int(token) for token in np.argsort(-desk.logits)]


def names(sampler: Sampler) -> list[str]:
    chain = sampler._chain
    parts = [llama_cpp.llama_sampler_chain_get(chain, i) for i in range(llama_cpp.llama_sampler_chain_n(chain))]
    return [llama_cpp.llama_sampler_name(part).decode() for part in parts]


# The chain


@pytest.mark.parametrize(
    ("options", "chain"),
    [
        ({}, ["top-k", "top-p", "min-p", "temp", "dist"]),
        ({"temperature": 0.0, "top_k": 3, "mirostat": 2}, ["greedy"]),
        ({"top_k": 0, "top_p": 1.0, "min_p": 0.0}, ["temp", "dist"]),
        ({"repeat_penalty": 2.0, "repeat_last_n": 0, "top_n_sigma": 0.0}, ["top-k", "top-p", "min-p", "temp", "dist"]),
        ({"presence_penalty": 1.0, "temperature": 0.0}, ["penalties", "greedy"]),
        ({"mirostat": 1, "dry_multiplier": 1.0, "xtc_probability": 1.0}, ["dry", "temp", "mirostat"]),
        ({"mirostat": 2, "repeat_penalty": 2.0}, ["penalties", "temp", "mirostat-v2"]),
        (
            {
                "logit_bias": {"a": 1}, "frequency_penalty": 1.0, "dry_multiplier": 1.0, "top_n_sigma": 2.0,
                "typical_p": 0.5, "xtc_probability": 0.5, "dynatemp_range": 0.5,
            },
            ["logit-bias", "penalties", "dry", "top-n-sigma", "top-k", "min-p", "typical", "top-p", "min-p", "xtc",
             "temp-ext", "dist"],
        ),
    ],
)  # fmt: skip
def test_the_chain_has_what_does_something_in_the_order_of_llama_cpp(
    desk: Desk, options: dict[str, Any], chain: list[str]
) -> None:
    with desk.sampler(**options) as sampler:
        assert [name.lstrip("?+-") for name in names(sampler)] == chain


# Which tokens


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"top_k": 1},
        {"top_p": 0.0},
        {"min_p": 1.0},
        {"top_n_sigma": 0.001},
        {"temperature": 0.01},
        {"mirostat": 2, "mirostat_tau": 0.0},
        {"temperature": 0.0, "mirostat": 1, "top_k": 7},
    ],
)
def test_the_narrowest_setting_takes_the_likeliest_token(open_end: Desk, options: dict[str, Any]) -> None:
    assert set(open_end.draws(20, **ALL | options)) == {ranked(open_end)[0]}


def test_top_k_is_the_likeliest_k(open_end: Desk) -> None:
    assert set(open_end.draws(300, **ALL | {"top_k": 3})) == set(ranked(open_end)[:3])


def test_top_p_is_the_fewest_that_reach_p(open_end: Desk) -> None:
    likely = probabilities(open_end.logits)
    order = ranked(open_end)
    count = int(np.searchsorted(np.cumsum(likely[order]), 0.3)) + 1
    drawn = set(open_end.draws(400, **ALL | {"top_p": 0.3}))
    assert drawn <= set(order[:count])
    assert len(drawn) > count / 2


def test_min_p_is_relative_to_the_likeliest(open_end: Desk) -> None:
    likely = probabilities(open_end.logits)
    kept = set(np.flatnonzero(likely >= 0.2 * likely.max()).tolist())
    assert set(open_end.draws(400, **ALL | {"min_p": 0.2})) == kept


def test_top_n_sigma_is_within_n_deviations(open_end: Desk) -> None:
    logits = open_end.logits.astype(np.float64)
    kept = set(np.flatnonzero(logits >= logits.max() - 0.5 * logits.std()).tolist())
    drawn = set(open_end.draws(400, **ALL | {"top_n_sigma": 0.5}))
    assert drawn <= kept
    assert len(drawn) > 1


@pytest.mark.parametrize("bias", [{}, {" the": -100}])
def test_typical_p_is_about_as_surprising_as_expected(open_end: Desk, bias: dict[str, float]) -> None:
    logits = open_end.logits.astype(np.float64)
    for text in bias:
        logits[open_end.token(text)] = -np.inf  # whose logarithm must not spoil the others
    likely = probabilities(logits)
    surprise = -np.log(np.maximum(likely, 1e-300))
    order = np.argsort(np.abs(surprise - (likely * surprise).sum()))
    count = int(np.searchsorted(np.cumsum(likely[order]), 0.2)) + 1
    drawn = set(open_end.draws(60, **ALL | {"typical_p": 0.2, "logit_bias": bias}))
    assert len(drawn - set(order[: count + 3].tolist())) == 0  # at the edge float32 may differ
    assert len(drawn) > 3


def test_xtc_takes_out_the_likeliest(open_end: Desk) -> None:
    order = ranked(open_end)
    likely = probabilities(open_end.logits)
    out = set(np.flatnonzero(likely >= 0.03).tolist()) - {order[int((likely >= 0.03).sum()) - 1]}
    options = ALL | {"xtc_probability": 1.0, "xtc_threshold": 0.03}
    assert out
    assert not out & set(open_end.draws(100, **options))
    half = open_end.draws(60, **options | {"xtc_probability": 0.5})
    assert sum(token in out for token in half) > 0
    assert out & set(open_end.draws(100, **options | {"xtc_threshold": 0.6}))


def test_a_higher_temperature_is_more_varied(open_end: Desk) -> None:
    counts = [len(set(open_end.draws(200, **ALL | {"temperature": heat}))) for heat in (0.2, 1.0, 3.0)]
    assert counts == sorted(set(counts))


def test_dynamic_temperature_rises_where_the_model_is_unsure(open_end: Desk) -> None:
    still = len(set(open_end.draws(60, **ALL | {"temperature": 0.5})))
    moved = len(set(open_end.draws(60, **ALL | {"temperature": 0.5, "dynatemp_range": 4.0})))
    damped = len(
        set(open_end.draws(60, **ALL | {"temperature": 0.5, "dynatemp_range": 4.0, "dynatemp_exponent": 10.0}))
    )
    assert moved > still
    assert damped < moved


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_rises_with_the_surprise_that_is_wished_for(open_end: Desk, version: int) -> None:
    surprise = -np.log2(probabilities(open_end.logits))
    found = [
        float(np.mean(surprise[open_end.draws(100, **ALL | {"mirostat": version, "mirostat_tau": tau})]))
        for tau in (0.5, 2.0, 4.0, 8.0)
    ]
    assert found == sorted(set(found))
    assert found[-1] > found[0] + 2


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_learns_as_fast_as_it_is_told(open_end: Desk, version: int) -> None:
    slow, fast = (
        open_end.draws(100, **ALL | {"mirostat": version, "mirostat_eta": eta, "mirostat_tau": 1.0})
        for eta in (0.0, 1.0)
    )
    assert slow != fast


# What is repeated


def test_penalties_make_what_occurred_less_likely(cats: Desk) -> None:
    mat = cats.token(" mat")
    assert ranked(cats)[0] == mat
    strong: list[dict[str, Any]] = [{"repeat_penalty": 3.0}, {"presence_penalty": 30.0}, {"frequency_penalty": 15.0}]
    none: list[dict[str, Any]] = [{"presence_penalty": -5.0}, {"repeat_penalty": 1.0}]
    assert mat not in [cats.draws(1, temperature=0.0, **options)[0] for options in strong]
    assert {mat} == {cats.draws(1, temperature=0.0, **options)[0] for options in none}
    assert {mat} == {cats.draws(1, temperature=0.0, repeat_last_n=0, **options)[0] for options in strong}


def test_penalties_look_back_only_so_far(cats: Desk) -> None:
    mat = cats.token(" mat")
    for window, seen in ((3, False), (12, True), (-1, True), (16_777_216, True)):
        drawn = cats.draws(1, temperature=0.0, presence_penalty=50.0, repeat_last_n=window)
        assert (drawn != [mat]) == seen


def test_penalties_see_what_is_drawn_and_what_is_put_there(open_end: Desk) -> None:
    drawn = open_end.draws(8, temperature=0.0, presence_penalty=100.0, repeat_last_n=4)
    assert all(token not in drawn[max(0, at - 4) : at] for at, token in enumerate(drawn))
    best = ranked(open_end)[0]
    with open_end.sampler(temperature=0.0, presence_penalty=100.0) as sampler:
        sampler.accept(best)
        assert sampler.draw(open_end.context, LAST) != best


def test_dry_breaks_up_what_repeats_itself(cats: Desk) -> None:
    mat = cats.token(" mat")
    options: dict[str, Any] = {"temperature": 0.0, "dry_multiplier": 10.0, "dry_sequence_breakers": []}
    assert cats.draws(1, **options) != [mat]
    assert cats.draws(1, **options | {"dry_allowed_length": 200}) == [mat]
    assert cats.draws(1, **options | {"dry_penalty_last_n": 3}) == [mat]
    assert cats.draws(1, **options | {"dry_penalty_last_n": 0}) == [mat]
    assert cats.draws(1, **options | {"dry_sequence_breakers": [" the"]}) == [mat]
    assert cats.draws(1, **options | {"dry_sequence_breakers": ["", "\0", "\ud800", "x" * 1000]}) != [mat]


# Biases


def test_logit_bias_forbids_and_forces_all_tokens_of_a_text(open_end: Desk) -> None:
    best = open_end.text([ranked(open_end)[0]])
    assert open_end.text(open_end.draws(1, temperature=0.0, logit_bias={best: -100})) != best
    assert set(open_end.draws(300, **ALL | {"temperature": 5.0, "logit_bias": {best: -math.inf}})).isdisjoint(
        {open_end.token(best)}
    )
    assert open_end.draws(1, temperature=0.0, logit_bias={best: -100, " zebra": 200}) == open_end.model.tokens(" zebra")
    long = open_end.model.tokens(" antidisestablishmentarianism")
    assert len(long) > 1
    assert set(open_end.draws(200, **ALL | {"logit_bias": {" antidisestablishmentarianism": 1e12}})) <= set(long)


def test_logit_bias_can_keep_a_model_from_ending(desk: Desk) -> None:
    desk.chat("Say hi.")
    assert desk.write(60, temperature=0.0).ended
    assert not desk.write(60, temperature=0.0, logit_bias={"<|im_end|>": -100, "<|endoftext|>": -100}).ended


@pytest.mark.parametrize(
    "bias", [{"": 1}, {"a": "b"}, {"a": None}, {"a": True}, {"a": math.nan}, {"a": math.inf}, {"a": [1]}]
)
def test_a_bias_that_is_none_is_refused(desk: Desk, bias: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="logit_bias"), desk.sampler(logit_bias=bias):
        pass


# Seeds


def test_the_same_seed_draws_the_same_text(open_end: Desk) -> None:
    first, again, other = (open_end.write(12, temperature=1.5, seed=seed).tokens for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert len({tuple(open_end.draws(12, temperature=1.5)) for _ in range(3)}) == 3


# The ends of the ranges


def _ends() -> list[tuple[str, float]]:
    ranged = {field.name: field.metadata["range"] for field in fields(GenerationOptions) if "range" in field.metadata}
    ours = ranged.keys() - {"max_tokens", "top_logprobs", "thinking_budget"}
    return [(name, end) for name in sorted(ours) for end in ranged[name]]


@pytest.mark.parametrize(("name", "end"), _ends())
def test_both_ends_of_every_range_can_be_drawn_with(open_end: Desk, name: str, end: float) -> None:
    grammar = Grammar("root ::= [a-z ]+")
    for others in (
        {}, {"temperature": 0.0}, {"mirostat": 1}, {"mirostat": 2}, {"dry_multiplier": 1.0}, {"xtc_probability": 1.0},
        {"dynatemp_range": 1.0}, {"typical_p": 0.5, "top_k": 0}, {"repeat_penalty": 2.0}, {"top_n_sigma": 1.0},
    ):  # fmt: skip
        options: dict[str, Any] = {"seed": 1, **others, name: end}
        assert all(0 <= token < open_end.model.n_vocab for token in open_end.draws(3, **options))
        assert set(open_end.text(open_end.draws(3, grammar, **options))) <= set(" abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize(
    "options",
    [
        {}, {"temperature": 0.0}, {"mirostat": 1}, {"mirostat": 2}, {"top_k": 0, "top_p": 1.0, "min_p": 0.0},
        {"typical_p": 0.5, "top_k": 0}, {"top_n_sigma": 1.0}, {"xtc_probability": 1.0, "xtc_threshold": 0.0},
        {"dynatemp_range": 1.0}, {"repeat_penalty": 2.0},
    ],
)  # fmt: skip
def test_a_grammar_wins_over_a_bias_that_forbids_all_it_allows(open_end: Desk, options: dict[str, Any]) -> None:
    """There llama.cpp computes with infinities; what comes out must be a token all the same."""
    grammar = Grammar("root ::= [a-c]")
    bias = dict.fromkeys("abc", -100.0)
    assert open_end.text(open_end.draws(1, grammar, logit_bias=bias, **options)) in set("abc")


def test_a_closed_sampler_says_so(desk: Desk) -> None:
    with desk.sampler() as sampler:
        sampler.close()
        for call in (lambda: sampler.draw(desk.context, LAST), lambda: sampler.accept(1)):
            with pytest.raises(RuntimeError, match="closed"):
                call()


def test_nothing_is_left_behind_by_a_sampler_that_cannot_be_made(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()

    def count(name: str) -> None:
        function = getattr(llama_cpp, name)
        monkeypatch.setattr(llama_cpp, name, lambda given: [counts.update([name]), function(given)][1])

    count("llama_sampler_chain_init")
    count("llama_sampler_free")
    with pytest.raises(ParameterError), desk.sampler(logit_bias={"a": "b"}):
        pass
    with pytest.raises(GrammarError), desk.sampler(Grammar("root ::= root")):
        pass
    with desk.sampler(Grammar('root ::= "a"')) as sampler:
        sampler.close()  # and once more behind this
    assert counts == {"llama_sampler_chain_init": 1, "llama_sampler_free": 1}
