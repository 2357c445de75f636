"""A connection that can be lost or slow: what goes between a browser and a server, in the hands of a test."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from playwright.sync_api import WebSocketRoute

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


class Withheld:
    """A page's socket to its kernel, on which messages from the kernel that name one of ``names`` wait.

    ``connect`` is for Playwright's ``route_web_socket``.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._sent: list[str] = []
        self._waiting: list[Callable[[], None]] | None = []

    def connect(self, route: WebSocketRoute) -> None:
        """Pass on what comes over a socket of the page."""
        server = route.connect_to_server()

        def up(message: str | bytes) -> None:
            self._sent.append(_words(message))
            server.send(message)

        def down(message: str | bytes) -> None:
            if self._waiting is not None and any(name in _words(message) for name in self._names):
                self._waiting.append(lambda: route.send(message))
            else:
                route.send(message)

        route.on_message(up)
        server.on_message(down)

    def has_sent(self, name: str) -> bool:
        """Return whether a message of the page has named this."""
        return any(name in message for message in self._sent)

    def let_through(self) -> None:
        """Send the page what has waited, and from now on all at once."""
        waiting, self._waiting = self._waiting or [], None
        for send in waiting:
            send()


def _words(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode(errors="replace")
