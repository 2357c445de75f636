"""A file at an address of its own, which is asked for without a token, wherever that is."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import HubError
from . import hub

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .references import Reference


@dataclass(frozen=True)
class WebFile:
    """A file somewhere, of no repository; ``etag`` is what tells one version of it from another."""

    url: str
    name: str
    etag: str
    size: int
    if_range: str | None
    sha256: str | None = None
    repo: str = ""
    commit: str = ""


def lookup(reference: Reference, token: str | None) -> list[WebFile]:
    """Return the one file that is at ``reference.url``; the token is for the hub, and stays here.

    Raises
    ------
    HubError
        If there is something else. Other refusals are raised as they come.
    """
    del token
    # Not by HEAD, which many a signed address does not take.
    with hub.opened(reference.url, {"Range": "bytes=0-0"}) as response:
        header = response.headers.get
        part = re.fullmatch(r"bytes 0-0/(\d+)", header("Content-Range", ""))
        whole = re.fullmatch(r"\d+", header("Content-Length", "")) if response.status_code == 200 else None  # noqa: PLR2004
        if "text/html" in header("Content-Type", "") or not (part or whole):
            msg = f"{reference.url} is not a file, or does not say its size."
            raise HubError(msg, "Check the address with a browser: it must be that of the file, and not of its page.")
        size = int(part[1] if part else whole[0] if whole else 0)
        etag = header("ETag", "")
        same = (etag if etag.startswith('"') else "") or header("Last-Modified")
    # What cannot be told from another version is resumed within this process only.
    return [WebFile(reference.url, reference.file or "", same or f"of {time.time_ns()}", size, same)]


def stream(file: WebFile, token: str | None, headers: dict[str, str]) -> AbstractContextManager[Any]:
    """Ask for the bytes of a file, as they are, and give the answer before they have come."""
    del token
    return hub.opened(file.url, headers)
