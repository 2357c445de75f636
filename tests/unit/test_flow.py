"""Events that wait: told in their order, not sooner than they should be, and not two at a time."""

from __future__ import annotations

import threading
import time

import pytest

from llama_widgets import flow
from llama_widgets.errors import BusyError
from llama_widgets.flow import Flow
from llama_widgets.worker import Worker

SOON, LATER = 0.01, 3600.0


def test_what_need_not_wait_is_told_at_once_by_who_tells_it() -> None:
    told: list[object] = []

    def hear(event: str) -> None:
        told.append((event, threading.current_thread()))

    Flow().lane(hear)("a")

    assert told == [("a", threading.current_thread())]


def test_what_waits_is_told_by_a_thread_of_the_flow_in_its_order_and_apart() -> None:
    told: list[int] = []
    times: list[float] = []
    done = threading.Event()

    def hear(event: int) -> None:
        told.append(event)
        times.append(time.perf_counter())
        assert flow.tells()
        if event == 4:
            done.set()

    lanes = Flow()
    lane = lanes.lane(hear)
    start = time.perf_counter()
    for number in range(5):
        lane.later(number, SOON)
    assert done.wait(30)
    lanes.close()

    assert told == list(range(5))
    assert all(at - start >= number * SOON for number, at in enumerate(times)), "none sooner than it should be"
    assert not flow.tells()


def test_what_is_told_now_comes_after_all_that_waits_in_its_lane_and_in_no_other() -> None:
    told: list[str] = []
    lanes = Flow()
    one, other = lanes.lane(told.append), lanes.lane(told.append)
    for lane, name in ((one, "a"), (other, "b")):
        lane.later(f"{name}1", 0)  # due at once, by whoever comes first
        lane.later(f"{name}2", LATER)
        lane.later(f"{name}3", LATER)
    one("a4")

    assert [event for event in told if event[0] == "a"] == ["a1", "a2", "a3", "a4"]
    assert "b2" not in told
    assert one.ahead < 0 < other.ahead
    lanes.close()


def test_one_that_is_closed_tells_nothing_more_and_ends() -> None:
    told: list[str] = []
    lanes = Flow()
    lane = lanes.lane(told.append)
    lane.later("now", 0)
    lane.later("never", LATER)
    thread = lanes.thread
    assert thread is not None
    lanes.close()
    thread.join(30)

    assert not thread.is_alive()
    assert "never" not in told


def test_a_listener_that_fails_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    heard = threading.Event()

    def hear(event: str) -> None:
        if event == "bad":
            raise ValueError(event)
        heard.set()

    lanes = Flow()
    lane = lanes.lane(hear)
    lane.later("bad", 0)
    lane.later("good", 0)
    assert heard.wait(30)
    lanes.close()

    assert "a listener failed" in caplog.text


def test_nobody_may_wait_for_an_answer_where_it_would_keep_all_others_waiting() -> None:
    worker, refused = Worker(), threading.Event()

    def hear(_: str) -> None:
        with pytest.raises(BusyError):
            worker.forbid_own_thread()
        refused.set()

    lanes = Flow()
    lanes.lane(hear).later("a", 0)
    assert refused.wait(30)
    lanes.close()
    worker.forbid_own_thread()
    worker.close()
