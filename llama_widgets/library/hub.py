"""What the model hub says: the files that a reference means, and its refusals in our words.

Only the process that downloads imports this module, because it imports huggingface_hub.
"""

from __future__ import annotations

import errno
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, get_hf_file_metadata, get_session, hf_hub_url  # noqa: TID253 - see above
from huggingface_hub.errors import (  # noqa: TID253
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined] # noqa: TID253 - exported lazily
    build_hf_headers,
    hf_raise_for_status,
)

from ..engines.system import free_memory
from ..errors import (
    DiskFullError,
    DownloadError,
    GatedModelError,
    HubError,
    LlamaWidgetsError,
    NetworkError,
    UnknownReferenceError,
)
from .filenames import choose, describe, is_model, sets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import ModelInfo

    from .references import Reference

TRANSPORT_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
"""What httpx raises, or httpx2, on which huggingface_hub is built since 2.0."""
_HTTPX: Any = import_module(TRANSPORT_ERROR.__module__.partition(".")[0])

_SHARE = 0.8
"""Of the free memory, for the weights of a model of which no quantisation was named."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_STILL_WORKS = "Models that are on this machine still work: see llama_widgets.models()."


@dataclass(frozen=True)
class RemoteFile:
    """A file of the hub at one commit, so that its address can only ever mean these bytes."""

    repo: str
    name: str
    commit: str
    etag: str
    size: int

    @property
    def url(self) -> str:
        """Where the file is; the hub answers with a redirect that is good for a while."""
        return hf_hub_url(self.repo, self.name, revision=self.commit)

    @property
    def sha256(self) -> str | None:
        """The hash that the hub promises: large files have it as their etag, small ones have none."""
        return self.etag if _SHA256.fullmatch(self.etag) else None

    @property
    def if_range(self) -> str | None:
        """What a server must still say of a small file to send a part of it.

        Large files come from another host, with an etag of its own that may differ from server to server. The commit
        in the address and the hash in the name of the partial file say already that it is the same file.
        """
        return None if self.sha256 else f'"{self.etag}"'


def lookup(reference: Reference, token: str | None) -> list[RemoteFile]:
    """Return the files of the one model that ``reference`` means, in order.

    Raises
    ------
    UnknownReferenceError
        If the repository is there, but not what is wanted of it. Other refusals are raised as they come.
    """
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT  # by default huggingface_hub would wait for ever here
    info = HfApi().model_info(
        reference.repo, revision=reference.revision, files_metadata=True, token=token, timeout=timeout
    )
    names = chosen(reference, info)
    return [_file(reference.repo, name, str(info.sha), token) for name in names]


def chosen(reference: Reference, info: ModelInfo) -> tuple[str, ...]:
    """Return the files of the one model that ``reference`` means, as ``lookup`` does."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if file.rfilename.lower().endswith(".gguf")}
    room = int(_SHARE * free_memory())
    files = choose(sets(sizes), reference.file, reference.quantisation, sizes=sizes, room=room)
    if files is None and reference.file in sizes and not is_model(reference.file):
        files = (reference.file,)
    if files is None or info.sha is None:
        raise no_such_file(reference, list(sizes))
    return files


@contextmanager
def stream(file: RemoteFile, token: str | None, headers: dict[str, str]) -> Iterator[Any]:
    """Ask for the bytes of a file, as they are, and give the answer before they have come.

    The hub is asked each time, as the address that it redirects to is good for a limited time only. The token does not
    go there: httpx drops it when a redirect leaves the host.
    """
    with opened(file.url, build_hf_headers(token=token) | headers) as response:
        yield response


@contextmanager
def opened(url: str, headers: dict[str, str]) -> Iterator[Any]:
    """Ask for the bytes of an address, as they are, and give the answer before they have come."""
    headers = {"Accept-Encoding": "identity"} | headers
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        hf_raise_for_status(response)
        yield response


def _file(repo: str, name: str, commit: str, token: str | None) -> RemoteFile:
    found = get_hf_file_metadata(hf_hub_url(repo, name, revision=commit), token=token)
    # The etag becomes a file name.
    if found.size is None or found.etag is None or not _ETAG.fullmatch(found.etag):
        msg = f"The hub does not say what {repo}/{name} is: size {found.size}, etag {found.etag!r}."
        raise HubError(msg, "If HF_ENDPOINT names a mirror, try without it.")
    return RemoteFile(repo, name, commit, found.etag, found.size)


def no_such_file(reference: Reference, names: list[str]) -> UnknownReferenceError:
    """Return the error for a repository that is there, but not what is wanted of it."""
    models = sets(names)
    if not models:
        msg = f"{reference.repo} has no GGUF file."
        return UnknownReferenceError(msg, "Look for a repository whose name ends in GGUF: llama.cpp reads only those.")
    if reference.file is not None:
        msg = f"{reference.repo} has no file {reference.file}."
        known = [files[0] for files in models]
    else:
        msg = f"{reference.repo} has no quantisation {reference.quantisation}."
        known = sorted({describe(files[0])[1] or files[0] for files in models})
    return UnknownReferenceError(msg, f"It has {', '.join(known[:20])}{' ...' if known[20:] else ''}.")


def status(error: BaseException) -> int | None:
    """Return the status with which the hub refused, if that is what happened."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def is_temporary(error: BaseException) -> bool:
    """Return whether the same request may succeed a little later."""
    code = status(error)
    if code is not None:
        return code in {408, 425, 429} or code >= 500  # noqa: PLR2004 - errors of the server
    return isinstance(error, (TRANSPORT_ERROR, NetworkError)) and not _is_astray(error)


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that the hub asks to wait, if it does."""
    text = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def translate(error: BaseException, reference: Reference) -> LlamaWidgetsError:
    """Return ``error`` as one of ours, with what to do about it."""
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, LlamaWidgetsError):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        msg = "The model hub is not asked: offline mode is on."
        return NetworkError(msg, f"Unset HF_HUB_OFFLINE and restart the kernel. {_STILL_WORKS}")
    if isinstance(error, HfHubHTTPError):
        return _refusal_elsewhere(error, reference) if reference.url else _refusal(error, reference)
    if isinstance(error, HFValidationError):
        msg = f"{reference.repo!r} is not the name of a repository."
        return UnknownReferenceError(msg, "Write hf:user/repo/file.gguf or hf:user/repo:Q4_K_M.")
    if isinstance(error, FileMetadataError):
        msg = "The answer is not one of a model hub."
        return HubError(msg, "If HF_ENDPOINT is set, check it; otherwise check your proxy settings.")
    if isinstance(error, (TRANSPORT_ERROR, _HTTPX.InvalidURL)):
        return _unreachable(error, _server(reference))
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = f"The disk is full; what has arrived of {reference} is kept."
            return DiskFullError(msg, "Make room, then resume; or name another directory.")
        msg = f"{reference} cannot be saved: {error.strerror or _words(error)}{where}."
        return DownloadError(msg, "Check the permissions of the folder, or name another directory.")
    msg = f"{reference} cannot be downloaded ({_words(error)})."
    return DownloadError(msg, "Try again; if it stays, please report it.")


def _is_astray(error: BaseException) -> bool:
    """Return whether a server sent us in circles, or to what is no address of the web."""
    kinds = (_HTTPX.TooManyRedirects, _HTTPX.UnsupportedProtocol, _HTTPX.InvalidURL)
    return isinstance(error, kinds) or "URL in location header" in str(error)


def _unreachable(error: BaseException, server: str) -> DownloadError:
    if _is_astray(error):
        msg = f"{server} sends on to where no file can be fetched from ({_words(error)})."
        return HubError(msg, "Check the address; if HF_ENDPOINT names a mirror, try without it.")
    msg = f"{server} cannot be reached ({_words(error)})."
    return NetworkError(msg, f"Check the connection, then resume. {_STILL_WORKS}")


def _server(reference: Reference) -> str:
    return urlsplit(reference.url).netloc or "The model hub"


def _words(error: BaseException) -> str:
    """Return what an error of somebody else says, without its number and, where it says something, its class."""
    text = re.sub(r"\[Errno [^]]*\] *", "", str(error)).strip()
    # httpx quotes a header that it does not take, with the token in it.
    return re.sub(r"Bearer [^'\"]*", "Bearer ***", text) or type(error).__name__


def _refusal(error: HfHubHTTPError, reference: Reference) -> DownloadError:
    code = error.response.status_code
    named = error.response.headers.get("X-Error-Code")
    if isinstance(error, RevisionNotFoundError):
        msg = f"{reference.repo} has no revision {reference.revision}."
        return UnknownReferenceError(msg, "Leave it out for the newest, or name a branch, tag or commit.")
    if named == "RepoNotFound" or (code == 404 and isinstance(error, RepositoryNotFoundError)):  # noqa: PLR2004
        msg = f"The model hub knows no model {reference.repo}."
        hint = "Check the spelling. If it is private, log in with `hf auth login`, or pass token= to the download."
        return UnknownReferenceError(msg, hint)
    if code == 401 and named is None and "Authorization" in error.response.request.headers:  # noqa: PLR2004
        msg = "The model hub does not accept the token (401): it may have expired."
        return GatedModelError(
            msg, "Make a new one in your account's settings, then run `hf auth login`, or pass token=."
        )
    if not reference.repo:
        msg = f"The model hub cannot search now: it says {code}."
        return HubError(msg, f"Try again later; if HF_ENDPOINT names a mirror, it may not search. {_STILL_WORKS}")
    if isinstance(error, GatedRepoError) or code in {401, 403}:
        msg = f"The model hub does not give {reference.repo} to everyone: it answered {code}."
        hint = (
            f"Three steps: 1. log in to the model's page, {constants.ENDPOINT}/{reference.repo}, and accept its "
            "conditions; 2. in your account's settings make a token that may read; 3. run `hf auth login` in a "
            "terminal, or pass token= to the download."
        )
        return GatedModelError(msg, hint)
    if code == 404:  # noqa: PLR2004 - not found
        msg = f"The model hub has no file for {reference}."
        return UnknownReferenceError(msg, "Check the spelling.")
    if code == 429:  # noqa: PLR2004 - too many requests
        wait = retry_after(error)
        when = f"in {wait:.0f} seconds" if wait else "in some minutes"
        msg = "The model hub is asked too often from here (429)."
        return HubError(msg, f"Resume {when}; users who are logged in (`hf auth login`) may ask more often.")
    msg = f"The model hub cannot answer now: it says {code}."
    return HubError(msg, "Resume in some minutes; what has arrived is kept.")


def _refusal_elsewhere(error: HfHubHTTPError, reference: Reference) -> DownloadError:
    code, server = error.response.status_code, _server(reference)
    if code in {401, 403}:
        msg = f"{server} does not give {reference.file} to everyone: it answered {code}."
        return GatedModelError(msg, "Download it with a browser that is logged in there, then name its path.")
    if code in {404, 410}:
        msg = f"{server} has no file {reference.file} at this address: it answered {code}."
        return UnknownReferenceError(msg, "Check the address with a browser.")
    msg = f"{server} cannot answer now: it says {code}."
    return HubError(msg, "Resume in some minutes; what has arrived is kept.")
