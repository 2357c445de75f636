"""How a model is named: a file on this machine, or a file, a quantisation or a whole repository of the model hub.

=====================================  ==========================================================
``hf:user/repo``                       the repository's best quantisation below 5 bits
``hf:user/repo:Q4_K_M``                that quantisation
``hf:user/repo/folder/file.gguf``      that file; of a model in parts, any part names the whole
``...@revision``                       the same at a branch, tag or commit
``user/repo``, ``user/repo:Q4_K_M``    the same without ``hf:``, where no such path exists
``https://<hub>/user/repo/...``        the page or the file of the hub with this address
``https://.../file.gguf``              a file somewhere else, also by ``http://``
``file.gguf``, ``./folder``, ``~/...`` a path on this machine
=====================================  ==========================================================
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ParameterError, UnknownReferenceError

_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_HUB = re.compile(
    rf"(?P<scheme>hf:(?://)?)?(?P<repo>{_NAME}/{_NAME})(?:@(?P<early>[^\s/@:]+))?"
    r"(?::(?P<quantisation>[\w.-]+)|/(?P<file>[^@\0\\]+\.gguf))?(?:@(?P<late>[^\s@:]+))?",
    re.IGNORECASE | re.ASCII,
)
_FILE = re.compile(r"[^./\\\s\0-\x1f\x7f][^/\\\0-\x1f\x7f]{0,249}\.gguf", re.IGNORECASE)
_LONGEST = 4096
"""No path is longer on most systems, and what is has been pasted by mistake."""
_LOOKS_LOCAL = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")
_HINT = "Write hf:user/repo/file.gguf, hf:user/repo:Q4_K_M, or the path or the https address of a GGUF file."


@dataclass(frozen=True)
class Reference:
    """What a text names: ``path`` here, ``repo`` on the hub and what is wanted of it, or ``file`` at ``url``."""

    path: Path | None = None
    repo: str = ""
    file: str | None = None
    quantisation: str | None = None
    revision: str | None = None
    url: str = ""

    def __str__(self) -> str:
        """Return the reference in its one canonical form, which ``parse`` takes again."""
        if self.path is not None:
            return str(self.path)
        if self.url:
            return self.url
        what = f"/{self.file}" if self.file else f":{self.quantisation}" if self.quantisation else ""
        return f"hf:{self.repo}{what}" + (f"@{self.revision}" if self.revision else "")


def parse(text: str) -> Reference:
    """Return what ``text`` names; nothing but the existence of a local path is looked up.

    Raises
    ------
    UnknownReferenceError
        If it is neither a path nor a reference.
    """
    text = text.strip()
    if not text:
        msg = "No model is named."
        raise UnknownReferenceError(msg, _HINT)
    if len(text) > _LONGEST:
        msg = f"{_shown(text)} is not a reference to a model."
        raise UnknownReferenceError(msg, _HINT)
    path = absolute(text)
    if os.path.lexists(path):
        return Reference(path=path)
    if "://" in text:
        address = _address(text)
        text = _of_page(address) or text
        if "://" in text and (file := _file_elsewhere(address)):
            return Reference(file=file, url=address.geturl())
    found = None if _LOOKS_LOCAL.match(text) else _HUB.fullmatch(text)
    if found and not (found["scheme"] is None and _is_file(found)) and _is_safe(found):
        if found["early"] and found["late"]:
            msg = f"{_shown(text)} names two revisions."
            raise UnknownReferenceError(msg, _HINT)
        return Reference(None, found["repo"], found["file"], found["quantisation"], found["early"] or found["late"])
    if (
        "://" not in text
        and not text.lower().startswith("hf:")
        and (_LOOKS_LOCAL.match(text) or text.lower().endswith(".gguf"))
    ):
        return Reference(path=path)
    msg = f"{_shown(text)} is not a reference to a model."
    raise UnknownReferenceError(msg, _HINT)


def model_text(model: object) -> str:
    """Return how ``model`` (a path, reference, entry of ``lw.models()`` or nothing) is named in messages."""
    if model is None:
        return ""
    named = getattr(model, "model", model)
    if isinstance(named, os.PathLike):
        named = os.fspath(named)
    if not isinstance(named, str):
        msg = f"A model must be a path or a reference, not {type(model).__name__}."
        raise ParameterError(msg, 'For example "hf:user/repo:Q4_K_M", or an entry of lw.models().')
    # It travels to the browser, and half a character cannot; the others of these stand for bytes in a file's name.
    return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", named)


def _address(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:  # half an IPv6 address
        return urlsplit("")


def _file_elsewhere(address: SplitResult) -> str | None:
    """Return the name of the file with this address. One with a password in it would be shown and saved."""
    file = unquote(address.path).rpartition("/")[2]
    known = address.scheme in {"http", "https"} and address.netloc and "@" not in address.netloc
    return file if known and _FILE.fullmatch(file) else None


def _of_page(address: SplitResult) -> str | None:
    """Return the reference that a page or a file of the model hub stands for, as its address is copied from a browser.

    Such an address is ``user/repo``, then perhaps ``blob``, ``resolve``, ``raw`` or ``tree``, a revision and a path. Of
    all other pages of a model, and of folders, it is the model.
    """
    if address.scheme not in {"http", "https"}:
        return None
    from huggingface_hub import constants

    hosts = {urlsplit(url).netloc for url in (constants.HUGGINGFACE_CO_URL_HOME, constants.ENDPOINT)}
    hosts |= getattr(constants, "HF_URL_HOSTS", frozenset())  # early versions do not know its short name
    parts = [unquote(part) for part in address.path.strip("/").split("/")]
    if address.netloc.lower() not in hosts or len(parts) < 2:  # noqa: PLR2004 - user and repository
        return None
    user, repo, *rest = parts
    file = revision = ""
    if len(rest) > 1 and rest[0] in {"blob", "resolve", "raw", "tree"}:
        revision = "" if rest[1] == "main" else f"@{rest[1]}"
        file = "/".join(["", *rest[2:]]) if rest[-1].lower().endswith(".gguf") else ""
    return f"hf:{user}/{repo}{file}{revision}"


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the path from the root, with "~" filled in and links left as they are."""
    # By os.path, which never raises, whatever the text.
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111


def _is_file(found: re.Match[str]) -> bool:
    # "folder/file.gguf" is a path that does not exist, not a repository called file.gguf.
    return found["file"] is None and found["repo"].lower().endswith(".gguf")


def _is_safe(found: re.Match[str]) -> bool:
    # File and revision become parts of paths in the cache.
    return not any({"", ".", ".."} & set(found[part].split("/")) for part in ("file", "late", "early") if found[part])


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:97]}...")  # noqa: PLR2004 - one line of an error text
