"""How the code of the widgets gets out of a real kernel: once, and before the first widget that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel

MAKE = "import llama_widgets as lw\nmade = [lw.ChatPanel(), lw.ModelSelector(), lw.DownloadProgress(), lw.ChatPanel()]"


def opened(kernel: Kernel) -> dict[str, dict[str, Any]]:
    """Return the states of the models that the kernel has opened, by id, in this order."""
    messages = (message["content"] for message in kernel.received if message["msg_type"] == "comm_open")
    return {content["comm_id"]: content["data"]["state"] for content in messages}


def bundles(states: dict[str, dict[str, Any]]) -> list[str]:
    return [model for model, state in states.items() if "code" in state]


def references(states: dict[str, dict[str, Any]]) -> set[str]:
    return {state["_bundle"].removeprefix("IPY_MODEL_") for state in states.values() if "_bundle" in state}


def test_the_code_goes_out_once_and_first(kernel: Kernel) -> None:
    kernel.run(MAKE)
    states = opened(kernel)
    (bundle,) = bundles(states)
    assert states[bundle]["_model_name"] == "WidgetModel"
    assert references(states) == {bundle}
    assert list(states).index(bundle) < min(list(states).index(m) for m in states if "_bundle" in states[m])
    assert {(len(state["_esm"]) <= 1_000, state["_css"]) for state in states.values() if "_esm" in state} == {
        (True, "")
    }


def test_a_page_that_comes_back_gets_the_code_with_all_else(kernel: Kernel) -> None:
    kernel.run(MAKE)
    comm = kernel.open_comm("jupyter.widget.control", metadata={"version": "1.0.0"})
    kernel.send(comm, {"method": "request_states"})
    message = kernel.wait_for(lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm)
    states = {model: each["state"] for model, each in message["content"]["data"]["states"].items()}
    assert references(states) == set(bundles(states)) == set(bundles(opened(kernel)))


def test_after_closing_everything_the_code_is_sent_again(kernel: Kernel) -> None:
    kernel.run(MAKE)
    outcome = kernel.run("import ipywidgets\nipywidgets.Widget.close_all()\nnext = lw.ChatPanel()")
    assert (outcome.status, outcome.stderr) == ("ok", "")
    first, second = bundles(opened(kernel))
    closed = [message["content"]["comm_id"] for message in kernel.received if message["msg_type"] == "comm_close"]
    assert first in closed
    assert second not in closed
    assert references(opened(kernel)) == {first, second}


def test_the_next_kernel_sends_the_same_code_by_another_id(kernel: Kernel) -> None:
    kernel.run(MAKE)
    kernel.restart()
    kernel.run(MAKE)
    first, second = bundles(opened(kernel))
    assert first != second
    assert first.partition("-")[0] == second.partition("-")[0]
