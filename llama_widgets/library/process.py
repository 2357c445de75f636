"""The process of one download, as its parent has it: what it is told, and how it is heard and stopped."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

from .child import events, spawn
from .references import Reference

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


OUTAGE = 15 * 60.0
"""Seconds for which a network that is gone is waited for."""


@dataclass(frozen=True)
class Order:
    """What to download, and where to.

    ``cache`` is the hub's cache; ``directory`` a folder that is wanted in its place. ``retry_delay`` is the first wait
    in seconds when the hub fails; each further one is twice as long. After ``outage`` seconds without a network it
    gives up. From ``large`` bytes on, more than one connection is tried.
    """

    reference: Reference
    cache: str
    directory: str | None = None
    token: str | None = field(default=None, repr=False)
    retry_delay: float = 1.0
    outage: float = OUTAGE
    large: int = 64_000_000

    @property
    def key(self) -> tuple[object, ...]:
        """What is the same in orders for the same file in the same place."""
        return self.reference, self.cache, self.directory

    def to_json(self) -> str:
        """Return the line that the process reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Order:
        """Return the order that the line holds."""
        data = json.loads(line)
        return cls(**data | {"reference": Reference(**data["reference"])})


class Process:
    """A process of ``transfer.py`` and the thread that reads it.

    Parameters
    ----------
    order : Order
        What it does.
    heard : callable
        Takes this object and each event, on that thread.
    gone : callable
        Takes this object when all is over, with the reason if the process did not give one in an event.
    """

    def __init__(
        self,
        order: Order,
        heard: Callable[[Process, dict[str, Any]], None],
        gone: Callable[[Process, str], None],
    ) -> None:
        self._order = order
        self._heard = heard
        self._gone = gone
        self._lock = threading.Lock()
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._read, name=f"download {order.reference}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process, once it is there."""
        return None if self._process is None else self._process.pid

    def stop(self) -> None:
        """End the process at once: its partial file is good at every moment."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def join(self, timeout: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _read(self) -> None:
        why = ""
        try:
            with tempfile.TemporaryFile() as errors:
                process = self._spawn(errors)
                if process is None:
                    return
                with process:
                    self._listen(process)
                code = process.returncode
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().rpartition("\n")[2][-200:]
                why = f"exit code {code}" + (f": {last}" if last else "")
                if self._order.token:
                    why = why.replace(self._order.token, "***")
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must not stay as if it ran
            why = f"{type(error).__name__}: {error}"
        finally:
            self._gone(self, why)

    def _spawn(self, errors: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            self._process = spawn("library.transfer", errors)
            return self._process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None:
            return
        # Stdin stays open, as its end is how the process learns that the kernel is gone.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{self._order.to_json()}\n".encode())
            process.stdin.flush()
        for event in events(process, "event"):
            self._heard(self, event)
