"""The process that asks the model hub: ``python -m llama_widgets.library.answering``.

Questions come as lines of JSON on stdin; each is answered by a line on stdout, as soon as the hub has answered. It is a
process of its own so that the kernel need not import huggingface_hub, which takes a third of a second of its lock, and
sends no telemetry. It ends with its stdin, when it has answered what it was asked.
"""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .child import say
from .references import Reference

_TIMEOUT_S = 20.0
_AT_ONCE = 4


def main() -> None:
    """Answer until nobody asks any more."""
    # An interrupt of a cell goes to all processes of the kernel's group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from huggingface_hub import get_session

    get_session().timeout = _TIMEOUT_S  # by default huggingface_hub would wait for ever
    pool = ThreadPoolExecutor(_AT_ONCE)
    with os.fdopen(0, "rb") as questions:
        for line in questions:
            pool.submit(_answer, json.loads(line))
    pool.shutdown()
    os._exit(0)


def _answer(question: dict[str, Any]) -> None:
    from . import catalogue, hub

    number, token = question["number"], question["token"]
    reference = Reference(**question["reference"])
    try:
        if question["ask"] == "search":
            answer: Any = catalogue.search(question["text"], question["limit"], token)
        else:
            answer = catalogue.look(reference, token)
    except Exception as error:  # noqa: BLE001 - told to who asked
        failure = hub.translate(error, reference)
        told = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        say({"number": number, "error": told}, token)
    else:
        say({"number": number, "answer": answer}, token)


if __name__ == "__main__":
    main()
