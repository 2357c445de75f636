"""What a widget sends: in order, joined, numbered, from one thread."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llama_widgets.chat.changes import Snapshot, TurnChanged
from llama_widgets.protocol import EVENTS, CompletionChunk, CompletionDone, Info
from llama_widgets.widgets.publisher import INTERVAL_S, Publisher
from llama_widgets.wire import decode

if TYPE_CHECKING:
    import pytest

WAIT_S = 20


class Sink:
    """Takes what a widget would send."""

    def __init__(self, expected: int) -> None:
        self.sent: list[Any] = []
        self.threads: set[int] = set()
        self.full = threading.Event()
        self._expected = expected

    def _note(self, item: object) -> None:
        self.sent.append(item)
        self.threads.add(threading.get_ident())
        if len(self.sent) >= self._expected:
            self.full.set()

    def send(self, content: dict[str, Any]) -> None:
        self._note(content)

    def send_traits_now(self, names: set[str]) -> None:
        self._note(names)


def chunk(text: str, tokens: int = 1, request_id: str = "g") -> CompletionChunk:
    return CompletionChunk(request_id=request_id, seq=99, text=text, tokens=tokens)


def test_chunks_are_joined_and_numbered_anew() -> None:
    sink = Sink(2)
    publisher = Publisher(sink)
    for i in range(500):
        publisher.send(chunk(f"{i} ", i + 1))
    publisher.send(CompletionDone(request_id="g", text="", stop_reason="eos"))
    while not any(item["type"] == "completion_done" for item in list(sink.sent)):
        assert sink.full.wait(WAIT_S)
    chunks = [item for item in sink.sent if item["type"] == "completion_chunk"]
    assert "".join(item["text"] for item in chunks) == "".join(f"{i} " for i in range(500))
    assert [item["seq"] for item in chunks] == list(range(len(chunks)))
    assert chunks[-1]["tokens"] == 500
    assert len(chunks) < 50
    assert sink.sent[-1]["type"] == "completion_done"


def test_no_more_than_one_sending_per_interval() -> None:
    sink = Sink(6)
    publisher = Publisher(sink)
    start = time.monotonic()
    while not sink.full.is_set():
        publisher.send(chunk("x"))
        time.sleep(INTERVAL_S / 20)
    # An upper bound only: a slow machine sends less often, never more.
    assert len(sink.sent) <= (time.monotonic() - start) / INTERVAL_S + 1


def test_order_is_kept_between_messages_and_traits() -> None:
    sink = Sink(5)
    publisher = Publisher(sink)
    publisher.sent_at = time.monotonic()  # so that all five are there before the first goes
    publisher.send(Info(request_id="1"))
    publisher.send_traits({"a"})
    publisher.send_traits({"b"})
    publisher.send(chunk("x"))
    publisher.send_traits({"a"})
    publisher.send(chunk("y"))
    assert sink.full.wait(WAIT_S)
    assert [item if isinstance(item, set) else item["type"] for item in sink.sent] == [
        "info",
        {"a", "b"},
        "completion_chunk",
        {"a"},
        "completion_chunk",
    ]


def test_a_snapshot_gets_the_number_that_comes_next() -> None:
    sink = Sink(5)
    publisher = Publisher(sink)
    for message in (
        chunk("a"),
        Snapshot(request_id="h", running="g"),
        chunk("b"),
        chunk("c", request_id="other"),
        Snapshot(request_id="h", running="third"),
    ):
        publisher.send(message)
        publisher.flush()
    assert [item["seq"] for item in sink.sent] == [0, 1, 1, 0, 0]


def test_a_snapshot_replaces_the_chunks_that_wait_as_it_holds_what_they_say() -> None:
    sink = Sink(3)
    publisher = Publisher(sink)
    publisher.sent_at = time.monotonic()
    publisher.send(chunk("a"))
    publisher.send(Info(request_id="1"))
    publisher.send(Snapshot(request_id="h", running="g"))
    publisher.send(chunk("b"))
    assert sink.full.wait(WAIT_S)
    assert [(item["type"], item.get("seq")) for item in sink.sent] == [
        ("info", None),
        ("snapshot", 0),
        ("completion_chunk", 0),
    ]


def test_whoever_flushes_sends_from_its_own_thread_and_in_order() -> None:
    sink = Sink(300)
    publisher = Publisher(sink)
    publisher.sent_at = time.monotonic()
    publisher.send(Info(request_id="0"))
    publisher.flush()
    assert sink.threads == {threading.get_ident()}
    for n in range(1, 300):  # while the other thread sends too
        publisher.send(Info(request_id=str(n)))
        if n % 7 == 0:
            publisher.flush()
    assert sink.full.wait(WAIT_S)
    assert [item["request_id"] for item in sink.sent] == [str(n) for n in range(300)]


def test_many_widgets_and_threads_share_one_sending_thread() -> None:
    sinks = [Sink(1) for _ in range(20)]
    publishers = [Publisher(sink) for sink in sinks]

    def post(i: int) -> None:
        for publisher in publishers:
            publisher.send(Info(request_id=str(i)))

    posters = [threading.Thread(target=post, args=(i,)) for i in range(8)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    for sink in sinks:
        while len(sink.sent) < 8:
            assert sink.full.wait(WAIT_S)
    assert all(sorted(item["request_id"] for item in sink.sent) == [str(i) for i in range(8)] for sink in sinks)
    assert len({thread for sink in sinks for thread in sink.threads}) == 1


def test_a_widget_that_cannot_send_harms_no_other() -> None:
    class Broken(Sink):
        def send(self, content: dict[str, Any]) -> None:
            super().send(content)
            raise OSError

    broken, fine = Broken(2), Sink(1)
    one, two = Publisher(broken), Publisher(fine)
    one.send(Info(request_id="1"))
    one.send(Info(request_id="2"))
    two.send(Info(request_id="3"))
    assert broken.full.wait(WAIT_S)
    assert fine.full.wait(WAIT_S)


def test_joining_loses_no_log_probabilities() -> None:
    sink = Sink(2)
    publisher = Publisher(sink)
    publisher.sent_at = time.monotonic()
    for token in range(3):
        publisher.send(replace(chunk("x"), logprobs=[{"token": token}]))
    publisher.send(replace(chunk("y"), segment="thought", logprobs=[{"token": 3}]))
    assert sink.full.wait(WAIT_S)
    assert [[entry["token"] for entry in item["logprobs"]] for item in sink.sent] == [[0, 1, 2], [3]]


def test_a_chunk_leaves_out_what_its_reader_fills_in() -> None:
    sink = Sink(3)
    publisher = Publisher(sink)
    publisher.sent_at = time.monotonic()
    publisher.send(chunk("text"))
    publisher.send(replace(chunk("x"), segment="thought"))
    publisher.send(replace(chunk("y", 3), logprobs=[{"token": 1}]))
    assert sink.full.wait(WAIT_S)
    assert sink.sent[0] == {"type": "completion_chunk", "request_id": "g", "seq": 0, "text": "text", "tokens": 1}
    assert [decode(item, EVENTS) for item in sink.sent] == [
        replace(chunk("text"), seq=0),
        replace(chunk("x"), seq=1, segment="thought"),
        replace(chunk("y", 3), seq=2, logprobs=[{"token": 1}]),
    ]


def test_a_turn_that_has_ended_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_widgets.widgets.publisher.INTERVAL_S", 10 * WAIT_S)
    sink = Sink(2)
    publisher = Publisher(sink)
    publisher.sent_at = time.monotonic()
    publisher.send(chunk("the last word"))
    publisher.send(TurnChanged(request_id="g", turn={"id": "1"}))
    assert sink.full.wait(WAIT_S)
    assert [item["type"] for item in sink.sent] == ["completion_chunk", "turn"]
