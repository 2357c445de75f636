"""The harness says what happened in the kernel, and which kernel it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel

VERSION = {"llama-widgets-ipykernel6": "6.31.", "llama-widgets-ipykernel7": "7."}


def test_a_cell_gives_its_result_and_output(kernel: Kernel) -> None:
    outcome = kernel.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 + 1")
    assert (outcome.status, outcome.result, outcome.stdout, outcome.stderr) == ("ok", "2", "out\n", "err\n")


def test_the_kernel_is_the_one_that_is_named(kernel: Kernel, kernel_name: str) -> None:
    assert kernel.run("import ipykernel; print(ipykernel.__version__)").stdout.startswith(VERSION[kernel_name])


def test_an_interrupt_ends_a_cell(kernel: Kernel) -> None:
    request = kernel.start("import time\nprint('started', flush=True)\ntime.sleep(600)")
    kernel.wait_for(lambda message: message["msg_type"] == "stream", of=request)
    kernel.interrupt()
    assert kernel.outcome(request).error.startswith("KeyboardInterrupt")
    assert kernel.run("1 + 1").result == "2"


def test_a_restart_forgets_and_a_shutdown_ends_the_process(kernel: Kernel) -> None:
    kernel.run("x = 1")
    assert kernel.restart() == 0
    assert kernel.run("x").error.startswith("NameError")
    pid = kernel.pid
    assert kernel.shutdown() == 0
    assert not psutil.pid_exists(pid)


def test_comms_carry_messages_both_ways(kernel: Kernel) -> None:
    kernel.run(
        "import comm\n"
        "def opened(comm, message):\n"
        "    def echo(m): comm.send({'method': 'custom', 'content': {'type': 'echo', **m['content']['data']}})\n"
        "    comm.on_msg(echo)\n"
        "comm.get_comm_manager().register_target('echo', opened)"
    )
    comm_id = kernel.open_comm("echo")
    kernel.send(comm_id, {"n": 1})
    kernel.until(lambda: bool(kernel.customs(comm_id, "echo")))
    assert kernel.customs(comm_id) == [{"type": "echo", "n": 1}]


def test_a_subshell_answers_while_a_cell_blocks(kernel: Kernel, kernel_name: str) -> None:
    if kernel_name == "llama-widgets-ipykernel6":
        assert "kernel subshells" not in kernel.features()
        return
    kernel.run(
        "import comm, threading\n"
        "go = threading.Event()\n"
        "comm.get_comm_manager().register_target('go', lambda comm, message: go.set())"
    )
    request = kernel.start("go.wait(60)")
    kernel.open_comm("go", subshell=kernel.create_subshell())
    assert kernel.outcome(request).result == "True"
