"""What the settings make of what may come next, held to the same golden numbers as the page (``sampling.test.ts``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llama_widgets.cancel import Cancel
from llama_widgets.options import GenerationOptions
from llama_widgets.protocol import Predict
from llama_widgets.tokens.stepping import tail

if TYPE_CHECKING:
    from tests.engine.conftest import Bench

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "distributions.json").read_text(encoding="utf-8"))
LIKELIEST = len(GOLDEN["logprobs"])


def _candidates(bench: Bench, **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    command = Predict(request_id="r", prompt=GOLDEN["prompt"], options=GenerationOptions(**settings), top=1_000_000)
    return bench.engine.predict(command, Cancel()).candidates


def test_what_may_come_next_is_as_written_down(bench: Bench) -> None:
    logprobs = [each["logprob"] for each in _candidates(bench)]
    assert logprobs[:LIKELIEST] == pytest.approx(GOLDEN["logprobs"], abs=1e-2)
    others = tail(logprobs[LIKELIEST:])
    assert [count for _, count in others] != []
    assert sum(count for _, count in others) == GOLDEN["n_vocab"] - LIKELIEST
    assert others[0] == pytest.approx(GOLDEN["tail"][0], abs=0.1)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["settings"]))
def test_settings_do_what_is_written_down(bench: Bench, case: dict[str, Any]) -> None:
    shown = _candidates(bench, **case["settings"])[: len(case["after"])]
    assert [each["p_after"] for each in shown] == pytest.approx(case["after"], abs=2e-3)
    assert [each["cut_by"] for each in shown] == case["cut"]
