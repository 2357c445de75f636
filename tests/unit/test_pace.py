"""How much of a prompt a step may read beside answers, given how long steps took."""

from __future__ import annotations

import pytest

from llama_widgets.engines.pace import Pace

STEP, TOKEN = 0.01, 0.002
"""Seconds of a step in which one answer draws, and of each token of a prompt beside it."""


@pytest.fixture
def pace() -> Pace:
    """Return one that has seen an answer draw for long, and slices of a prompt."""
    made = Pace()
    made.steps.extend([(1, STEP)] * 500)
    for _ in range(4):
        made.learn(STEP + 128 * TOKEN, 128)
    made.begin()
    return made


def test_nothing_is_read_before_it_is_known_how_long_a_step_takes() -> None:
    pace = Pace()
    assert pace.gap == pace.slice(10.0, 1000) == 0
    pace.steps.append((1, STEP))
    assert 0 < pace.slice(0.0, 1000) <= 10, "nobody knows yet how long they take"


def test_a_slice_is_read_when_there_is_enough_to_tell_meanwhile(pace: Pace) -> None:
    takes = 128 * TOKEN
    assert pace.slice(0.5 * takes, 1000) == 0
    assert pace.slice(1.5 * takes, 1000) == 128
    assert pace.slice(1.5 * takes, 5) == 5


def test_what_was_drawn_before_the_prompt_came_is_nothing_to_tell(pace: Pace) -> None:
    assert pace.slice(-1.0, 1000) == 0


def test_who_says_nothing_does_not_keep_a_prompt_waiting(pace: Pace) -> None:
    spare = pace.gap - STEP
    waited = next(number for number in range(100) if pace.slice(-1.0, 1000))
    assert 128 * TOKEN / spare / 2 < waited < 4 * 128 * TOKEN / spare


def test_the_gap_is_some_usual_steps_and_follows_how_many_draw(pace: Pace) -> None:
    alone = pace.gap
    assert 5 * STEP < alone < 8 * STEP
    pace.steps.extend([(1, 1.3 * STEP)] * 9)
    assert pace.gap == alone, "what steps are like with a prompt is not what is usual"
    pace.steps.extend([(2, 3 * STEP)] * 9)
    assert pace.gap == pytest.approx(3 * alone)


def test_one_late_step_changes_nothing(pace: Pace) -> None:
    before = pace.gap
    pace.steps.append((1, 50 * STEP))
    pace.begin()
    assert pace.gap == before
