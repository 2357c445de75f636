"""The chat panel in a real kernel, with the real model, spoken to as a front end does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel

LONG = "Tell me a very long story about a llama."


@pytest.fixture
def panel(kernel: Kernel) -> str:
    """Make a panel on the demo model and return its model id."""
    outcome = kernel.run(
        "import llama_widgets as lw\npanel = lw.ChatPanel(lw.models()[0], temperature=0)\nprint(panel.model_id)"
    )
    assert (outcome.status, outcome.stderr) == ("ok", ""), outcome
    return outcome.stdout.strip()


def ask(kernel: Kernel, panel: str, text: str, request_id: str = "q") -> None:
    kernel.send_custom(panel, {"type": "ask", "request_id": request_id, "text": text})


def chunks(kernel: Kernel, panel: str, request_id: str = "q") -> list[dict[str, Any]]:
    return [chunk for chunk in kernel.customs(panel, "completion_chunk") if chunk["request_id"] == request_id]


def wait_for_chunk(kernel: Kernel, panel: str, request_id: str = "q") -> None:
    kernel.until(lambda: bool(chunks(kernel, panel, request_id)))


def wait_for_end(kernel: Kernel, panel: str, request_id: str = "q") -> dict[str, Any]:
    def ends() -> list[dict[str, Any]]:
        return [done for done in kernel.customs(panel, "completion_done") if done["request_id"] == request_id]

    kernel.until(lambda: bool(ends()))
    return ends()[0]


def answer(kernel: Kernel, panel: str, request_id: str = "q") -> dict[str, Any]:
    turns = [turn for turn in kernel.customs(panel, "turn") if turn["request_id"] == request_id]
    settled: dict[str, Any] = turns[-1]["turn"]
    return settled


def test_an_answer_streams_while_cells_run(kernel: Kernel, panel: str) -> None:
    ask(kernel, panel, LONG)
    wait_for_chunk(kernel, panel)
    assert kernel.run("1 + 1").result == "2"
    assert not kernel.customs(panel, "completion_done"), "the cell returned only after the answer"
    kernel.send_custom(panel, {"type": "abort", "request_id": "a", "target": "q"})
    assert wait_for_end(kernel, panel)["stop_reason"] == "abort"
    settled = answer(kernel, panel)
    joined = chunks(kernel, panel)
    said = "".join(chunk["text"] for chunk in joined)
    assert kernel.run("panel.messages[-1]['content']").result == repr(said) != "''"
    assert settled["streamed"] == [len(said), 0]  # its text is not sent again
    assert [chunk["seq"] for chunk in joined] == list(range(len(joined)))

    ask(kernel, panel, "And then?", "next")
    wait_for_chunk(kernel, panel, "next")
    kernel.send_custom(panel, {"type": "abort", "request_id": "b", "target": "next"})
    wait_for_end(kernel, panel, "next")
    assert answer(kernel, panel, "next")["usage"]["cached_tokens"] > 0
    assert len(kernel.run("[m['content'] for m in panel.messages]").result) > 0


def test_a_view_that_comes_late_gets_all_and_goes_on(kernel: Kernel, panel: str) -> None:
    ask(kernel, panel, LONG)
    wait_for_chunk(kernel, panel)
    kernel.send_custom(panel, {"type": "hello", "request_id": "h"})
    kernel.until(lambda: bool(kernel.customs(panel, "snapshot")))
    (snapshot,) = kernel.customs(panel, "snapshot")
    assert snapshot["running"] == "q"
    begun = len(chunks(kernel, panel))
    kernel.until(lambda: len(chunks(kernel, panel)) > begun + 2)
    kernel.send_custom(panel, {"type": "abort", "request_id": "a", "target": "q"})
    wait_for_end(kernel, panel)
    rest = [chunk["text"] for chunk in chunks(kernel, panel) if chunk["seq"] >= snapshot["seq"]]
    said = snapshot["turns"][-1]["content"] + "".join(rest)
    assert kernel.run("panel.messages[-1]['content']").result == repr(said)


def test_interrupting_a_blocking_ask_keeps_the_partial_answer(kernel: Kernel, panel: str) -> None:
    request = kernel.start(f"panel.ask({LONG!r})")
    kernel.until(lambda: bool(kernel.customs(panel, "completion_chunk")))
    kernel.interrupt()
    assert kernel.outcome(request).error.startswith("KeyboardInterrupt")
    outcome = kernel.run("m = panel.messages[-1]; print(m['stop_reason'], len(m['content']) > 0, panel.state)")
    assert outcome.stdout == "abort True ready\n"
    assert kernel.run("panel.ask('Hello', max_tokens=3).usage.cached_tokens > 0").result == "True"


class Control:
    """The control comm of a front end, on a subshell as JupyterLab makes it; absent where the kernel has none."""

    def __init__(self, kernel: Kernel, panel: str, kernel_name: str) -> None:
        self._kernel, self._panel = kernel, panel
        self.works = kernel_name == "llama-widgets-ipykernel7"
        if self.works:
            self._subshell = kernel.create_subshell()
            self._comm = kernel.open_comm("llama_widgets.control", subshell=self._subshell)

    def send(self, message: dict[str, Any]) -> None:
        """Send as the front end does: on the control comm, or else as the widget's own message."""
        if self.works:
            self._kernel.send(self._comm, {**message, "widget": self._panel}, subshell=self._subshell)
        else:
            self._kernel.send_custom(self._panel, message)


def test_stop_while_a_cell_awaits(kernel: Kernel, panel: str, kernel_name: str) -> None:
    control = Control(kernel, panel, kernel_name)
    request = kernel.start(f"reply = await panel.ask_async({LONG!r})\nprint(reply.stop_reason, len(reply.text) > 0)")
    kernel.until(lambda: bool(kernel.customs(panel, "completion_chunk")))
    running = kernel.customs(panel, "completion_chunk")[0]["request_id"]
    control.send({"type": "abort", "request_id": "a", "target": running})
    if control.works:
        assert kernel.outcome(request).stdout == "abort True\n"
        return
    kernel.interrupt()  # ipykernel 6 takes no message before the cell ends; interrupting it is the way
    assert kernel.outcome(request).status == "error"
    wait_for_end(kernel, panel, running)
    assert kernel.run("panel.messages[-1]['stop_reason']").result == "'abort'"


def test_stop_while_a_cell_blocks(kernel: Kernel, panel: str, kernel_name: str) -> None:
    control = Control(kernel, panel, kernel_name)
    ask(kernel, panel, LONG)
    wait_for_chunk(kernel, panel)
    request = kernel.start("import time\npanel.height = '400px'\nprint('blocking', flush=True)\ntime.sleep(600)")
    kernel.wait_for(lambda message: message["msg_type"] == "stream", of=request)
    if control.works:
        control.send({"type": "ping", "request_id": "p"})
        kernel.until(lambda: bool(kernel.customs(panel, "pong")))
    control.send({"type": "abort", "request_id": "a", "target": "q"})
    if control.works:
        assert wait_for_end(kernel, panel)["stop_reason"] == "abort"
        assert request not in kernel._replies, "the cell still runs"
    kernel.interrupt()
    kernel.outcome(request)
    assert wait_for_end(kernel, panel)["stop_reason"] == "abort"


def test_stop_when_the_subshell_that_was_last_at_work_is_no_more(kernel: Kernel, panel: str) -> None:
    """After a lost connection ipywidgets opens and closes a comm of its own, and JupyterLab deletes its subshell."""
    if "kernel subshells" not in kernel.features():
        pytest.skip("this kernel has no subshells")
    ask(kernel, panel, LONG)
    wait_for_chunk(kernel, panel)
    subshell = kernel.create_subshell()
    comm = kernel.open_comm("jupyter.widget.control", metadata={"version": "1.0.0"}, subshell=subshell)
    closing = kernel.close_comm(comm, subshell=subshell)
    kernel.wait_for(lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == panel, of=closing)
    kernel.delete_subshell(subshell)
    kernel.send_custom(panel, {"type": "abort", "request_id": "a", "target": "q"})
    assert wait_for_end(kernel, panel)["stop_reason"] == "abort"


def test_prints_during_a_load_are_the_users_own(kernel: Kernel) -> None:
    outcome = kernel.run(
        "import sys, time, llama_widgets as lw\n"
        "panel = lw.ChatPanel(lw.models()[0])\n"
        "answer = panel.submit('Hello', max_tokens=5)\n"
        "n = 0\n"
        "while not answer.future.done():\n"
        "    n += 1\n"
        "    print('line', n); print('error', n, file=sys.stderr)\n"
        "    time.sleep(0.01)\n"
        "print('said', n, 'lines')"
    )
    lines = outcome.stdout.splitlines()
    assert lines[:-1] == [f"line {i + 1}" for i in range(len(lines) - 1)]
    assert outcome.stderr.splitlines() == [f"error {i + 1}" for i in range(len(lines) - 1)]


def test_a_closed_panel_keeps_what_was_said(kernel: Kernel, panel: str) -> None:
    ask(kernel, panel, LONG)
    wait_for_chunk(kernel, panel)
    outcome = kernel.run(
        "panel.close()\n"
        "while panel._chat.busy: pass\n"
        "print(panel.messages[-1]['stop_reason'], len(panel.messages[-1]['content']) > 0)\n"
        "print(lw.Chat(lw.models()[0]).ask('Hello', max_tokens=3).stop_reason)"
    )
    assert outcome.stdout == "abort True\nmax_tokens\n", outcome


@pytest.mark.parametrize("way", ["shutdown", "restart"])
def test_the_kernel_goes_in_the_middle_of_an_answer(kernel: Kernel, panel: str, way: str) -> None:
    ask(kernel, panel, LONG)
    wait_for_chunk(kernel, panel)
    process = psutil.Process(kernel.pid)
    children = process.children(recursive=True)
    assert getattr(kernel, way)() == 0
    assert not process.is_running()
    assert not [child for child in children if child.is_running()]
    if way == "restart":
        assert kernel.run("import llama_widgets as lw; lw.Chat(lw.models()[0]).ask('Hi', max_tokens=2).text").result


@pytest.mark.parametrize(
    "message",
    [{}, {"type": "ask"}, {"type": "ask", "request_id": "x", "text": 5}, {"type": "nonsense", "request_id": "x"}, "x"],
)
def test_a_malformed_message_is_answered_and_printed_nowhere(kernel: Kernel, panel: str, message: Any) -> None:  # noqa: ANN401
    before = len(kernel.received)
    kernel.send_custom(panel, message)
    kernel.until(lambda: bool(kernel.customs(panel, "error")))
    assert kernel.customs(panel, "error")[0]["code"] == "protocol"
    assert kernel.run("panel.messages, panel.state").result == "([], 'ready')"
    assert not [m for m in kernel.received[before:] if m["msg_type"] in {"stream", "error"}]
