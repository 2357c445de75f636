"""The connections that fill one partial file: one at first, more of them as long as that makes it faster."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import HubError, NetworkError
from . import hub
from .patience import DeclinedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from .partial import Gap, Partial
    from .patience import Patience

_MOST = 4
_SPAN = 1.0
"""Seconds over which the speed is measured, and between two looks at the disk."""
_FASTER = 1.15
"""What a further connection must have raised the speed by, so that one more is tried."""
_PIECE = 2**17
"""More bytes than come at once, so that none are written behind an end that has come nearer."""
_WRONG = "Try again later; if HF_ENDPOINT names a mirror, try without it."


class File(Protocol):
    """What is fetched."""

    @property
    def name(self) -> str:
        """What it is called where it comes from."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def if_range(self) -> str | None:
        """What a server must still say of it to send a part, where its address does not make that sure."""


class Segments:
    """Fills a partial file.

    Parameters
    ----------
    partial : Partial
        The file.
    file : File
        What it is of.
    ask : callable
        Opens a connection with additional headers.
    patience : Patience
        Asks again where connections fail.
    note : callable
        Takes what the user should know.
    watch : callable
        Is called each second, and may raise to end all.
    large : int
        Bytes from which on more than one connection is tried.
    """

    def __init__(
        self,
        partial: Partial,
        file: File,
        ask: Callable[[dict[str, str]], AbstractContextManager[Any]],
        patience: Patience,
        *,
        note: Callable[[str], None],
        watch: Callable[[], None],
        large: int,
    ) -> None:
        self._partial = partial
        self._file = file
        self._ask = ask
        self._patience = patience
        self._note = note
        self._watch = watch
        self._least = max(large // 8, _PIECE)
        self._condition = threading.Condition()
        self._connections = 0
        self._error: Exception | None = None
        self._stopped = False
        self._more = file.size >= large
        self._rate = 0.0
        self._since: float | None = None
        self._before = 0

    def fill(self) -> None:
        """Return when all bytes are there; raise what the last connection failed with."""
        try:
            self._connect()
            with self._condition:
                while not self._condition.wait_for(lambda: not self._connections, _SPAN):
                    self._watch()
                    self._grow()
            if self._error and self._partial.done < self._file.size:
                raise self._error
        finally:
            self._stopped = True

    def _connect(self) -> None:
        self._connections += 1
        threading.Thread(target=self._work, name=f"connection {self._connections}", daemon=True).start()

    def _grow(self) -> None:
        """Add a connection, as long as the last one helped. Each is measured from its first byte on."""
        if not self._more or self._since is None or (span := time.monotonic() - self._since) < _SPAN:
            return
        rate = (self._partial.done - self._before) / span
        self._more = rate > _FASTER * self._rate and self._connections < _MOST
        if self._more:
            self._rate, self._since = rate, None
            self._connect()

    def _work(self) -> None:
        """Fill gaps until there are none, then help with those of others."""
        try:
            while not self._stopped:
                if gap := self._partial.take():
                    self._fill(gap)
                elif not self._help():
                    break
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error
        finally:
            with self._condition:
                self._connections -= 1
                self._condition.notify_all()

    def _fill(self, gap: Gap) -> None:
        try:
            self._patience.ask(lambda: self._receive(gap), lambda: gap.at)
        finally:
            gap.taken = False

    def _help(self) -> bool:
        """Take over half of the largest gap, which is given away only when the server has begun to send it."""
        gap = self._partial.largest()
        if gap is None or len(gap) < 2 * self._least:
            return False
        at, end = (gap.at + gap.end) // 2, gap.end
        half = None
        try:
            with self._asked(at, end) as (response, start):
                half = self._partial.split(gap, at, end, self._least) if start == at else None
                if half is not None:
                    self._pour(response, half)
        except Exception:  # noqa: BLE001 - it was an offer; what it took over is asked for again, with patience
            self._more = False
        finally:
            if half is not None:
                half.taken = False
        return half is not None

    def _receive(self, gap: Gap) -> None:
        """Ask once for the rest of a gap and write what comes."""
        try:
            with self._asked(gap.at, gap.end) as (response, start):
                if start != gap.at:
                    self._begin_anew(gap)
                self._pour(response, gap)
        except Exception as error:
            if hub.status(error) != 416:  # noqa: PLR2004 - range not satisfiable
                raise
            self._begin_anew(gap)
            msg = f"The server has no part of {self._file.name}."
            raise DeclinedError(msg, "Resume later.") from error
        if gap and not self._stopped:
            msg = f"The connection ended after {self._partial.done} of {self._file.size} bytes."
            raise NetworkError(msg, "Check the connection, then resume.")

    def _begin_anew(self, gap: Gap) -> None:
        """Take the whole file where the server does not send a part of it."""
        if self._connections > 1:
            # The others get their parts; who is the last of them looks again.
            msg = f"The server does not send a part of {self._file.name}."
            raise DeclinedError(msg, "Resume later.")
        self._more = False
        self._partial.restart(gap)
        self._note("The server sends the file from its beginning.")

    @contextmanager
    def _asked(self, start: int, end: int) -> Iterator[tuple[Any, int]]:
        """Ask for bytes; give a connection and where it starts, which is 0 if the server sends the whole file."""
        size = self._file.size
        headers = {}
        if (start, end) != (0, size):
            headers["Range"] = f"bytes={start}-{end - 1 if end < size else ''}"
            if self._file.if_range:
                headers["If-Range"] = self._file.if_range
        with self._ask(headers) as response:
            part = response.status_code == 206  # noqa: PLR2004 - partial content
            if part:
                good = re.match(rf"bytes {start}-\d+/{size}$", response.headers.get("Content-Range", ""))
            else:
                good = response.headers.get("Content-Length", str(size)) == str(size)
            if not good:
                msg = f"The server sends something else than the {size} bytes of {self._file.name}, or a part of them."
                raise HubError(msg, _WRONG)
            yield response, start if part else 0

    def _pour(self, response: Any, gap: Gap) -> None:  # noqa: ANN401 - of httpx or httpx2
        if self._more:
            self._since, self._before = time.monotonic(), self._partial.done
        with self._partial.open() as out:
            out.seek(gap.at)
            for piece in response.iter_raw():
                # The end may have come nearer: another connection helps.
                rest = view = memoryview(piece)[: len(gap)]
                while rest:
                    rest = rest[out.write(rest) :]
                gap.at += len(view)
                if self._stopped or not gap:
                    return
