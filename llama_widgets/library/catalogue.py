"""What the model hub offers: models by name, and the files and facts of one.

Only the process that asks the hub imports this module, because it imports huggingface_hub.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, ModelInfo, constants, get_session  # noqa: TID253 - see above
from huggingface_hub.utils import (  # type: ignore[attr-defined] # noqa: TID253 - exported lazily
    build_hf_headers,
    hf_raise_for_status,
)

from ..engines import header as gguf
from ..engines.header import TOKENS, Array
from ..errors import HubError
from . import hub, web
from .filenames import describe, sets
from .ranges import Ranges
from .references import Reference

if TYPE_CHECKING:
    from .hub import RemoteFile
    from .web import WebFile

_EXPANDED = ["downloads", "gated", "gguf", "lastModified", "likes", "tags"]
_LONGEST_TEXT = 1000
_LONGEST_TEMPLATE = 200_000


def search(text: str, limit: int, token: str | None) -> list[dict[str, Any]]:
    """Return the models with GGUF files whose names fit ``text``, the most wanted first; at most ``limit``."""
    # Not by HfApi.list_models, which tries for half a minute before it says that there is no network.
    asked: dict[str, Any] = {"search": text, "filter": "gguf", "sort": "downloads", "limit": limit, "expand": _EXPANDED}
    headers = build_hf_headers(token=token)
    response = get_session().get(f"{constants.ENDPOINT}/api/models", params=asked, headers=headers)
    hf_raise_for_status(response)
    answer = response.json()
    if not isinstance(answer, list):
        msg = "The answer is not one of a model hub."
        raise HubError(msg, "If HF_ENDPOINT is set, check it; otherwise check your proxy settings.")
    models: list[ModelInfo] = [ModelInfo(**found) for found in answer[:limit]]  # type: ignore[no-untyped-call]
    return [_facts(model) for model in models]


def look(reference: Reference, token: str | None) -> dict[str, Any]:
    """Return what the hub says of a repository, its models, and what the header of the one that is meant says.

    The header is the one thing that may be missing: a gated repository shows its files to everybody, but not their
    bytes. ``reason`` says then why.
    """
    if reference.url:
        (file,) = web.lookup(reference, token)
        files = [{"file": file.name, "quantisation": describe(file.name)[1], "size": file.size}]
        return _with_header({"chosen": file.name, "files": files, "values": None, "reason": None}, file, token)
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    info = HfApi().model_info(
        reference.repo, revision=reference.revision, files_metadata=True, timeout=timeout, token=token
    )
    there = {file.rfilename: file for file in info.siblings or () if file.rfilename.lower().endswith(".gguf")}
    chosen = hub.chosen(reference, info)[0]
    facts = _facts(info) | {
        "chosen": chosen,
        "files": [
            {
                "file": parts[0],
                "quantisation": describe(parts[0])[1],
                "size": sum(there[part].size or 0 for part in parts),
            }
            for parts in sets(there)
        ],
        "values": None,
        "reason": None,
    }
    large = there[chosen].lfs
    etag, size = large.sha256 if large else "", there[chosen].size or 0
    return _with_header(facts, hub.RemoteFile(reference.repo, chosen, str(info.sha), etag, size), token)


def _with_header(facts: dict[str, Any], file: RemoteFile | WebFile, token: str | None) -> dict[str, Any]:
    try:
        facts["values"] = _plain(header(file, token, vocabulary=False).values)
    except Exception as error:  # noqa: BLE001 - all else is known
        reason = hub.translate(error, Reference(repo=file.repo, file=file.name))
        facts["reason"] = {"code": reason.code, "message": reason.message, "hint": reason.hint}
    return facts


def header(file: RemoteFile | WebFile, token: str | None, *, vocabulary: bool = True) -> gguf.Header:
    """Return what the header of a file says, of which only that is fetched.

    Parameters
    ----------
    file : RemoteFile or WebFile
        The file; of a model in parts, the first.
    token : str or None
        For gated and private models.
    vocabulary : bool
        Whether to read on where the tokens begin, as ``engines.header.parse`` does: some 10 MB instead of 64 kB.

    Raises
    ------
    InvalidModelError
        If it is not the header of a model.
    HubError
        If the hub sends other parts than it was asked for. Other refusals are raised as they come.
    """
    return gguf.parse(Ranges(partial(_fetch, file, token), file.size), file.size, file.name, vocabulary=vocabulary)


def _fetch(file: RemoteFile | WebFile, token: str | None, first: int, last: int) -> bytes:
    """Return the bytes of a file from ``first`` up to, and without, ``last``; nothing behind them is waited for."""
    found = b""
    stream: Any = web.stream if isinstance(file, web.WebFile) else hub.stream
    with stream(file, token, {"Range": f"bytes={first}-{last - 1}"}) as response:
        if response.status_code != 206 and first:  # noqa: PLR2004 - partial content
            msg = f"The server sends {file.name} as a whole only, so it cannot be looked into."
            raise HubError(msg, "Download it, or try another mirror if HF_ENDPOINT names one.")
        for piece in response.iter_raw():
            found += piece
            if len(found) >= last - first:
                break
    return found[: last - first]


def _facts(info: ModelInfo) -> dict[str, Any]:
    tags, gguf = info.tags or [], info.gguf if isinstance(info.gguf, dict) else {}
    licence = next((tag.partition(":")[2] for tag in tags if tag.startswith("license:")), "")
    updated = info.last_modified
    return {
        "repo": info.id,
        "downloads": info.downloads or 0,
        "likes": info.likes or 0,
        "licence": licence,
        "gated": bool(info.gated),
        "updated": updated.timestamp() if isinstance(updated, datetime) else None,
        "n_params": _count(gguf.get("total")),
        "n_ctx_train": _count(gguf.get("context_length")),
        "architecture": _text(gguf.get("architecture"), _LONGEST_TEXT),
        "template": _text(gguf.get("chat_template"), _LONGEST_TEMPLATE),
    }


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _text(value: object, longest: int) -> str:
    return value[:longest] if isinstance(value, str) else ""


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return what is worth sending on: no long texts, and of the arrays of texts only how long the vocabulary is."""
    return {
        key: asdict(value) if isinstance(value, Array) else value
        for key, value in values.items()
        if key == TOKENS
        or (not isinstance(value, Array) and not (isinstance(value, str) and len(value) > _LONGEST_TEXT))
    }
