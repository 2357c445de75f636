"""Thousands of random operations: no request without its end, no sequence that stays in use, no wrong memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase

from llama_widgets.engines.answer import Answer
from llama_widgets.engines.context import Context
from llama_widgets.engines.scheduler import Scheduler

from . import tiny
from .conftest import completion
from .operations import ARCHITECTURES, SMALL, Operations, Request, operations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llama_widgets.protocol import StopReason

    from .conftest import Bench

EXAMPLES = 28
RARE = ("abort", "stop", "eos", "max_tokens", "context_full", "shifted", "refused", "reused", "read again")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_random_operations(arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = operations(Operations, arch, tmp_path, monkeypatch, EXAMPLES)
    assert counts["operations"] >= 1_000
    assert not [kind for kind in RARE if not counts[kind]]


def _ends_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Answer.end

    def twice(answer: Answer, reason: StopReason) -> None:
        end(answer, reason)
        if reason == "abort":
            end(answer, reason)

    monkeypatch.setattr(Answer, "end", twice)


def _does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Answer.end
    monkeypatch.setattr(Answer, "end", lambda answer, reason: None if reason == "abort" else end(answer, reason))


def _leaks_a_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler, "_release", lambda _, answer, **__: setattr(answer, "sequence", None))


def _forgets_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "cut", lambda *arguments: arguments[-1])


def _keeps_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Context.cut
    monkeypatch.setattr(Context, "cut", lambda context, sequence, length: cut(context, sequence, length and length + 1))


FAULTS = [_ends_twice, _does_not_end, _leaks_a_sequence, _forgets_to_cut, _keeps_too_much]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_faults_are_found(
    fault: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        operations(
            Operations, "llama", tmp_path, monkeypatch, EXAMPLES, phases=[Phase.generate], report_multiple_bugs=False
        )


def test_one_that_finds_no_room_lets_the_others_go_on(empty: Bench, tmp_path: Path) -> None:
    """What two share is one's alone when the other ends: then there is less room than it seemed."""
    empty.load(tiny.write(tmp_path / "tiny.gguf"), **SMALL, n_ctx=256, n_seq_max=4)
    same = "p" * 180
    asked = {"a": (same, 5), "b": (same + "x", None), "c": ("y" * 100, 2)}
    requests = []
    for name, (prompt, most) in asked.items():
        command = completion(prompt, max_tokens=most, conversation=name, logit_bias={tiny.EOS: -100.0})
        requests.append(Request(command, 256))
        empty.engine.submit(command, requests[-1].hear, requests[-1].cancel)
    for _ in range(1_000):
        empty.engine.step()

    reasons = [request.done.stop_reason for request in requests if request.done is not None]
    assert reasons == ["max_tokens", "context_full", "max_tokens"]
    assert not [wrong for request in requests for wrong in request.wrong]
