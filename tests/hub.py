"""A small model hub on 127.0.0.1 that huggingface_hub takes for the real one, with every fault on a switch.

``with Hub({"user/repo/model.gguf": b"..."}) as hub:`` and set ``HF_ENDPOINT`` to ``hub.endpoint``. As on the real hub,
``resolve`` answers large files with a redirect to another host, whose ETag is not the file's hash. By hand::

    python -m tests.hub user/repo/model.gguf=path/to/model.gguf --rate 10e6
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMIT = "c0ffee" * 6 + "c0de"
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Request:
    """What was asked, and how it was answered: with which status, and how many bytes it was to be."""

    method: str
    path: str
    range: str | None
    if_range: str | None
    authorization: str | None
    status: int
    sent: int


@dataclass
class Fault:
    """The next ``times`` matching requests are answered with ``status``."""

    status: int
    times: int = 1
    where: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Hub:
    """The hub; its switches can be turned while it runs.

    Attributes
    ----------
    files : dict
        Content (bytes or a path) by "user/repo/file".
    rate : float or None
        Bytes per second of each connection.
    line : float or None
        Bytes per second of all connections together.
    hold_at : int or None
        No byte of a file beyond this one is sent until it is set to ``None``.
    cuts : list of int
        For each of the next file requests, after how many bytes the connection is cut.
    gated : dict
        Repositories whose files want a token of ``tokens``, with the status for those who have none: 401 or 403. What
        there is, the API says to everybody.
    facts : dict
        What the API says of repositories beyond their files, such as ``{"user/repo": {"downloads": 3}}``.
    hashes : dict
        Hashes that are promised without a look at the files, of those that are too large for that.
    answering : threading.Event
        Nothing is answered while it is not set.
    corrupt : set of str
        Files of which the first byte is sent wrong.
    sizes : dict
        Files with a size that is announced in place of the true one.
    ranges : bool
        Whether ranges are answered as such.
    redirect : bool
        Whether files come from another host, as large files do. Otherwise their etag is not their hash.
    shift : int
        How many bytes behind the asked one a part begins.
    requests : list of Request
        Everything that was asked.
    sent, most_at_once : int
        Bytes of files that were sent, and connections that sent some at the same time.
    """

    def __init__(self, files: Mapping[str, bytes | Path], *, rate: float | None = None, port: int = 0) -> None:
        self.files: dict[str, bytes | Path] = dict(files)
        self.rate = rate
        self.shift = 0
        self.sent = 0
        self.most_at_once = 0
        self.at_once: set[socket.socket] = set()
        self.line: float | None = None
        self.line_lock = threading.Lock()
        self.hold_at: int | None = None
        self.cuts: list[int] = []
        self.gated: dict[str, int] = {}
        self.tokens = {"hf_good"}
        self.facts: dict[str, dict[str, Any]] = {}
        self.corrupt: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.ranges = True
        self.redirect = True
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.closing = False
        self.hashes: dict[str, str] = {}
        self.answering = threading.Event()
        self.answering.set()
        self._hashes: dict[str, tuple[object, str]] = {}
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.hub = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering and cut all connections."""
        self.closing = True
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def drop(self) -> None:
        """Cut all connections on which files are sent."""
        with self.lock:
            for connection in self.at_once:
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def endpoint(self) -> str:
        """What belongs into ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def cdn(self) -> str:
        """The other host, from which large files come."""
        return f"http://localhost:{self._server.server_port}"

    def fail(self, status: int, times: int = 1, *, where: str = "", method: str = "", **headers: str) -> None:
        """Answer the next requests with ``status``, where path and method match; ``Retry_After="1"`` is a header."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(status, times, where, method, headers))

    def sha256(self, name: str) -> str:
        """Return the hash of a file, as it should be."""
        if name in self.hashes:
            return self.hashes[name]
        content = self.files[name]
        if name not in self._hashes or self._hashes[name][0] != content:
            digest = hashlib.sha256()
            with self.open(name) as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
            self._hashes[name] = (content, digest.hexdigest())
        return self._hashes[name][1]

    def size(self, name: str) -> int:
        """Return the true size of a file."""
        content = self.files[name]
        return len(content) if isinstance(content, bytes) else content.stat().st_size

    def open(self, name: str) -> BinaryIO:
        """Open the content of a file."""
        content = self.files[name]
        return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")

    def names(self, repo: str) -> list[str]:
        """Return the files of a repository, by their names within it."""
        return sorted(name.removeprefix(f"{repo}/") for name in self.files if name.startswith(f"{repo}/"))

    def asked(self, method: str, part: str = "") -> list[Request]:
        """Return the requests with this method and this text in their path."""
        with self.lock:
            return [request for request in self.requests if request.method == method and part in request.path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: Hub

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what is tested here, not an error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """The log is ``Hub.requests``."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.hub.answering.wait()
        if self.server.hub.closing:  # on a connection that was kept
            self.close_connection = True
            return
        if fault := self._fault(path):
            self._send(fault.status, {"error": "a fault"}, **fault.headers)
        elif path == "/api/models":
            self._search(parse_qs(urlsplit(self.path).query))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)/?)?", path):
            self._api(found[1], found[2] or "revision", found[3] or "main")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(found[1], found[2], found[3])
        elif found := re.fullmatch(r"/cdn/(.+)", path):
            self._file(found[1], f'"cdn-{self.server.hub.sha256(found[1])[:16]}"')
        else:
            self._send(404, {"error": "Not found"})

    def _fault(self, path: str) -> Fault | None:
        hub = self.server.hub
        with hub.lock:
            for fault in hub.faults:
                if fault.times > 0 and fault.where in path and fault.method in self.command:
                    fault.times -= 1
                    return fault
        return None

    def _refused(self, repo: str, revision: str, *, api: bool = False) -> bool:
        hub, token = self.server.hub, (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if not hub.names(repo):
            self._send(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        elif not api and repo in hub.gated and token not in hub.tokens:
            error = f"Access to model {repo} is restricted."
            self._send(hub.gated[repo], {"error": error}, X_Error_Code="GatedRepo", X_Error_Message=error)
        elif revision not in {"main", COMMIT}:
            self._send(404, {"error": f"Invalid rev id: {revision}"}, X_Error_Code="RevisionNotFound")
        else:
            return False
        return True

    def _api(self, repo: str, what: str, revision: str) -> None:
        if self._refused(repo, revision, api=True):
            return
        hub = self.server.hub
        files = [(name, hub.sha256(f"{repo}/{name}"), hub.size(f"{repo}/{name}")) for name in hub.names(repo)]
        if what == "tree":
            tree = [
                {"type": "file", "path": name, "size": size, "oid": sha[:40], "lfs": {"oid": sha, "size": size}}
                for name, sha, size in files
            ]
            self._send(200, tree)
        else:
            blobs = "blobs=true" in urlsplit(self.path).query.lower()
            siblings = [
                {"rfilename": name}
                | ({"size": size, "lfs": {"size": size, "sha256": sha, "pointerSize": 135}} if blobs else {})
                for name, sha, size in files
            ]
            self._send(200, self._facts(repo) | {"sha": COMMIT, "private": False, "siblings": siblings})

    def _facts(self, repo: str) -> dict[str, Any]:
        hub = self.server.hub
        facts = {"id": repo, "modelId": repo, "downloads": 0, "likes": 0, "tags": ["gguf"], "gated": repo in hub.gated}
        return facts | hub.facts.get(repo, {})

    def _search(self, asked: dict[str, list[str]]) -> None:
        """Answer as the real hub does: models that have all words in their names and all tags that are asked for."""
        hub = self.server.hub
        words = asked.get("search", [""])[0].lower().split()
        repos = {name.rsplit("/", name.count("/") - 1)[0] for name in hub.files}
        found = [self._facts(repo) for repo in repos if all(word in repo.lower() for word in words)]
        found = [facts for facts in found if set(asked.get("filter", [])) <= set(facts["tags"])]
        key = asked.get("sort", ["downloads"])[0]
        found.sort(key=lambda facts: (-facts.get(key, 0), facts["id"]))
        self._send(200, found[: int(asked.get("limit", ["1000"])[0])])

    def _resolve(self, repo: str, revision: str, file: str) -> None:
        if self._refused(repo, revision):
            return
        hub = self.server.hub
        name = f"{repo}/{file}"
        if name not in hub.files:
            self._send(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        elif hub.redirect:
            size = hub.sizes.get(name, hub.size(name))
            linked = {"X_Linked_Size": str(size), "X_Linked_Etag": f'"{hub.sha256(name)}"'}
            self._send(302, {}, X_Repo_Commit=COMMIT, Location=f"{hub.cdn}/cdn/{name}", **linked)
        else:
            # As small files have it on the real hub: an etag that is git's, and not the hash of the bytes.
            self._file(name, f'"{hub.sha256(name)[:40]}"', X_Repo_Commit=COMMIT)

    def _file(self, name: str, etag: str, **headers: str) -> None:
        hub = self.server.hub
        size, start, status = hub.size(name), 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        last = size - 1
        if asked and hub.ranges and self.headers.get("If-Range", etag) == etag:
            start, status = int(asked[1]) + hub.shift, 206
            if start >= size:
                self._send(416, {}, Content_Range=f"bytes */{size}")
                return
            last = min(last, int(asked[2] or last))
            headers["Content_Range"] = f"bytes {start}-{last}/{size}"
        self._head(status, last + 1 - start, ETag=etag, Accept_Ranges="bytes" if hub.ranges else "none", **headers)
        if self.command == "GET":
            with hub.open(name) as file:
                file.seek(start)
                with hub.lock:
                    hub.at_once.add(self.connection)
                    hub.most_at_once = max(hub.most_at_once, len(hub.at_once))
                try:
                    self._stream(name, file, start, last + 1)
                finally:
                    with hub.lock:
                        hub.at_once.discard(self.connection)

    def _stream(self, name: str, file: BinaryIO, start: int, stop: int) -> None:
        hub = self.server.hub
        with hub.lock:
            end = start + hub.cuts.pop(0) if hub.cuts else None
        position = start
        while True:
            room = min(_PIECE, *(limit - position for limit in (end, hub.hold_at) if limit is not None), _PIECE)
            if hub.closing or (end is not None and position >= end):
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            if room <= 0:
                time.sleep(0.01)
                continue
            rate = hub.rate or hub.line
            room = min(room, stop - position)
            piece = file.read(room if rate is None else min(room, max(1, int(rate / 50))))
            if not piece:
                return
            if position == 0 and name in hub.corrupt:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            self.wfile.write(piece)
            position += len(piece)
            with hub.lock:
                hub.sent += len(piece)
            if hub.rate is not None:
                time.sleep(len(piece) / hub.rate)
            if hub.line is not None:
                with hub.line_lock:
                    time.sleep(len(piece) / hub.line)

    def _send(self, status: int, body: Any, **headers: str) -> None:  # noqa: ANN401 - whatever JSON holds
        data = json.dumps(body).encode()
        self._head(status, len(data), Content_Type="application/json", **headers)
        if self.command == "GET":
            self.wfile.write(data)

    def _head(self, status: int, length: int, **headers: str) -> None:
        get = self.headers.get
        sent = length if self.command == "GET" else 0
        request = Request(self.command, self.path, get("Range"), get("If-Range"), get("Authorization"), status, sent)
        with self.server.hub.lock:
            self.server.hub.requests.append(request)
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


def main() -> None:
    """Serve files from the command line until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.hub", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", metavar="user/repo/file=path")
    parser.add_argument("--rate", type=float, help="bytes per second of each connection")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    files: dict[str, bytes | Path] = {}
    for pair in options.files:
        name, _, path = pair.partition("=")
        files[name] = Path(path)
    with Hub(files, rate=options.rate, port=options.port) as hub, contextlib.suppress(KeyboardInterrupt):
        print(f"export HF_ENDPOINT={hub.endpoint}", flush=True)  # noqa: T201 - for the terminal that started it
        threading.Event().wait()


if __name__ == "__main__":
    main()
