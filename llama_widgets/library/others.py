"""Models that other programs keep on this machine. We read them where they are, and change nothing there.

Ollama has a manifest per model, ``manifests/<host>/<user>/<name>/<tag>``, and files named by their hash in ``blobs``.
LM Studio has ``<user>/<repository>/<file>.gguf``.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import File, entries, folders, gguf_files, look, read
from .references import absolute

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM = "/usr/share/ollama/.ollama/models"
"""Where Ollama keeps its models when it runs as a service."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def ollama() -> Iterator[tuple[str, str, File]]:
    """Yield name, quantisation and file of each model of Ollama, named as Ollama lists them: "llama3.2:3b"."""
    for root in dict.fromkeys([absolute(os.environ.get("OLLAMA_MODELS") or "~/.ollama/models"), Path(SYSTEM)]):
        for host in folders(root / "manifests", links=False):
            for user in folders(host, links=False):
                for name in folders(user, links=False):
                    for tag in entries(name):
                        manifest = _json(tag.path)
                        layers = manifest.get("layers")
                        for layer in layers if isinstance(layers, list) else ():
                            if file := _weights(root, layer):
                                whose = "" if user.name == "library" else f"{user.name}/"
                                yield f"{whose}{name.name}:{tag.name}", _quantisation(root, manifest), file


def lm_studio() -> Iterator[File]:
    """Yield the model files of LM Studio."""
    pointer = read(absolute("~/.lmstudio-home-pointer")).decode(errors="replace").strip()
    homes = [absolute(home) for home in (pointer, "~/.lmstudio", "~/.cache/lm-studio") if home]
    for home in dict.fromkeys(homes):
        chosen = _text(_json(home / "settings.json"), "downloadsFolder")
        yield from gguf_files(absolute(chosen) if chosen else home / "models", depth=2)


def _weights(root: Path, layer: object) -> File | None:
    return _blob(root, layer) if _text(layer, "mediaType").endswith(".model") else None


def _quantisation(root: Path, manifest: dict[str, Any]) -> str:
    config = _blob(root, manifest.get("config"))
    found = _text(_json(config.path), "file_type") if config else ""
    return found if re.fullmatch(r"\w{1,16}", found, re.ASCII) else ""


def _blob(root: Path, layer: object) -> File | None:
    digest = _DIGEST.fullmatch(_text(layer, "digest"))
    return look(f"{root}/blobs/sha256-{digest[1]}") if digest else None


def _text(data: object, key: str) -> str:
    """Return a text of a table that may be none, and may have anything in that place."""
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""


def _json(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        found = json.loads(read(path))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
