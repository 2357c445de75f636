"""What the model hub offers: models by name, and the files and facts of one.

Only the process that asks the hub imports this module, because it imports huggingface_hub.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, ModelInfo, constants, get_session  # noqa: TID253 - see above
from huggingface_hub.utils import (  # type: ignore[attr-defined] # noqa: TID253 - exported lazily
    build_hf_headers,
    hf_raise_for_status,
)

from ..engines.header import TOKENS, Array
from . import hub
from .filenames import choose, describe, sets

if TYPE_CHECKING:
    from .references import Reference

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
    models: list[ModelInfo] = [ModelInfo(**found) for found in response.json()[:limit]]  # type: ignore[no-untyped-call]
    return [_facts(model) for model in models]


def look(reference: Reference, token: str | None) -> dict[str, Any]:
    """Return what the hub says of a repository, its models, and what the header of the one that is meant says.

    The header is the one thing that may be missing: a gated repository shows its files to everybody, but not their
    bytes. ``reason`` says then why.
    """
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    info = HfApi().model_info(
        reference.repo, revision=reference.revision, files_metadata=True, timeout=timeout, token=token
    )
    files = {file.rfilename: file for file in info.siblings or () if file.rfilename.lower().endswith(".gguf")}
    models = sets(files)
    chosen = choose(models, reference.file, reference.quantisation)
    if chosen is None or info.sha is None:
        raise hub.no_such_file(reference, list(files))
    facts = _facts(info) | {
        "chosen": chosen[0],
        "files": [
            {
                "file": parts[0],
                "quantisation": describe(parts[0])[1],
                "size": sum(files[part].size or 0 for part in parts),
            }
            for parts in models
        ],
        "values": None,
        "reason": None,
    }
    first = files[chosen[0]]
    remote = hub.RemoteFile(reference.repo, chosen[0], info.sha, first.lfs.sha256 if first.lfs else "", first.size or 0)
    try:
        facts["values"] = _plain(hub.header(remote, token, vocabulary=False).values)
    except Exception as error:  # noqa: BLE001 - all else is known
        reason = hub.translate(error, reference)
        facts["reason"] = {"code": reason.code, "message": reason.message, "hint": reason.hint}
    return facts


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
