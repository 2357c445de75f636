"""A connection that can be lost: what goes between a browser and a server, in the hands of a test."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.browser.lab import Lab


class Line:
    """A way to a server through which all bytes go, at ``url``."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._lost = False
        self._ends: set[socket.socket] = set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def address(self, name: str) -> str:
        """Return where a notebook is shown."""
        return self._lab.address(name).replace(self._lab.url, self.url)

    @contextlib.contextmanager
    def lost(self) -> Iterator[None]:
        """Swallow every byte, as a radio out of reach does; afterwards old connections are broken, new ones work."""
        self._lost = True
        yield
        ends = list(self._ends)  # those that have lost bytes, before others come
        self._lost = False
        self._break(ends)

    def close(self) -> None:
        """Break all connections, for good."""
        self._door.close()
        self._break(list(self._ends))

    def _break(self, ends: Iterable[socket.socket]) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                here = self._door.accept()[0]
                there = socket.create_connection(("127.0.0.1", self._lab.port))
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        self._ends.add(source)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._lost:
                    target.sendall(data)
        self._ends.discard(source)
        for end in (source, target):
            end.close()
