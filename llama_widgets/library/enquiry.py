"""Questions to the model hub, asked by a process of our own, and answers that are remembered for a while."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from ..errors import HubError, from_code
from ..per_process import PerProcess
from .child import events, spawn
from .references import Reference

GOOD_FOR_S = 300.0
"""How long an answer is remembered, and the process is kept that nobody asks."""
_MOST_KNOWN = 256

Answer = Future[Any]


class Enquiries:
    """Asks the hub. Everything can be called from any thread, and nothing here waits.

    Nobody is told the answer to a question whose future was cancelled. Failures and refusals are not remembered.
    """

    closed = False
    """After ``close`` it can go on being asked, by a new process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Answer]] = {}
        self._asker: _Asker | None = None
        self._timer: threading.Timer | None = None

    def search(self, text: str, limit: int, token: str | None = None) -> Answer:
        """Ask for models by name; see ``catalogue.search``."""
        return self._ask({"ask": "search", "text": text, "limit": limit, "reference": asdict(Reference())}, token)

    def look(self, reference: Reference, token: str | None = None) -> Answer:
        """Ask for the files and facts of a repository; see ``catalogue.look``."""
        return self._ask({"ask": "look", "reference": asdict(reference)}, token)

    def close(self) -> None:
        """End the process; what is being asked fails."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            asker, self._asker = self._asker, None
        if asker is not None:
            asker.close()

    def _ask(self, question: dict[str, Any], token: str | None) -> Answer:
        # The process goes on with the environment of the moment in which it was started.
        surroundings = {name: value for name, value in os.environ.items() if name.startswith(("HF_", "XDG_"))}
        key = json.dumps([question, token, surroundings])
        with self._lock:
            at, known = self._known.get(key, (0.0, None))
            if known is not None and time.monotonic() - at < GOOD_FOR_S and not _refused(known):
                return _another(known)
            if self._asker is None or self._asker.ended or self._asker.surroundings != surroundings:
                if self._asker is not None:
                    self._asker.retire()
                self._asker = _Asker(surroundings)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            answer = self._asker.ask(question | {"token": token})
            self._known[key] = time.monotonic(), answer
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(GOOD_FOR_S, self.close)
            self._timer.daemon = True
            self._timer.start()
        return _another(answer)


def _refused(answer: Answer) -> bool:
    """Return whether the hub did not tell all: access may be given, or the failure pass, at any moment."""
    if not answer.done():
        return False
    found = None if answer.exception() else answer.result()
    return found is None or (isinstance(found, dict) and found["reason"] is not None)


def _another(answer: Answer) -> Answer:
    """Return a future of its own for each who asks, so that one who gives up does not give up for others."""
    mine: Answer = Future()

    def pass_on(answer: Answer) -> None:
        if mine.set_running_or_notify_cancel():
            error = answer.exception()
            if error is not None:
                mine.set_exception(error)
            else:
                mine.set_result(answer.result())

    answer.add_done_callback(pass_on)
    return mine


class _Asker:
    """One process, and what it is being asked."""

    def __init__(self, surroundings: dict[str, str]) -> None:
        self.surroundings = surroundings
        self.ended = False
        self._lock = threading.Lock()
        self._asked: dict[int, Answer] = {}
        self._process = spawn("library.answering", subprocess.DEVNULL)
        threading.Thread(target=self._listen, name="llama-widgets-hub", daemon=True).start()

    def ask(self, question: dict[str, Any]) -> Answer:
        answer: Answer = Future()
        with self._lock:
            number = len(self._asked)
            self._asked[number] = answer
            over = self.ended
        if over:
            answer.set_exception(_gone())
        else:
            # It may just have ended, or be closed while it ends: that fails all that it was asked.
            with contextlib.suppress(OSError, ValueError):
                assert self._process.stdin is not None  # noqa: S101 - it was asked for
                self._process.stdin.write(json.dumps(question | {"number": number}).encode() + b"\n")
                self._process.stdin.flush()
        return answer

    def retire(self) -> None:
        """Let it answer what it was asked, and end."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None  # noqa: S101 - it was asked for
            self._process.stdin.close()

    def close(self) -> None:
        self._process.kill()

    def _listen(self) -> None:
        with self._process as process:
            for event in events(process, "number"):
                self._heard(event)
        with self._lock:
            self.ended = True
            left = [answer for answer in self._asked.values() if not answer.done()]
        for answer in left:
            answer.set_exception(_gone())

    def _heard(self, event: dict[str, Any]) -> None:
        with self._lock:
            answer = self._asked[event["number"]]
        error = event.get("error")
        if error is None:
            answer.set_result(event["answer"])
        else:
            answer.set_exception(from_code(error["code"], error["message"], error["hint"]))


def _gone() -> HubError:
    return HubError("The process that asks the model hub ended by itself.", "Try again.")


_shared = PerProcess[Enquiries](lambda _: Enquiries())


def shared() -> Enquiries:
    """Return the enquiries of this process."""
    return _shared.get()
