"""Processes of our own, and how they are heard: neither the user's files nor a cell's interrupt get in their way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# No telemetry from a notebook that did not ask for it; no bars on a stderr that nobody sees; and bytes by HTTP ranges,
# as a Xet download can be neither stopped alone nor resumed.
_ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}

_writing = threading.Lock()
"""Long lines are written in pieces, which must not mix."""


def spawn(module: str, errors: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start ``main`` of a module of this package, such as "library.transfer", in a process of its own.

    What it is told goes through its stdin, tokens too: a command line and an environment can be read by others. It ends
    itself when stdin does, which is how it learns that the kernel is gone.
    """
    # The kernel's folder does not come first on this path, so no json.py of the user's gets in the way.
    path = [entry for entry in sys.path if entry]
    code = f"import sys; sys.path[:] = {path!r}; from llama_widgets.{module} import main; main()"
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=os.environ | _ENVIRONMENT,
        # Not of the kernel's group, to which the interrupt of a cell goes.
        start_new_session=True,
    )


def events(process: subprocess.Popen[bytes], first: str) -> Iterator[dict[str, Any]]:
    """Yield what a process says with ``say``, until it ends; ``first`` is the first key of all that."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    for line in process.stdout:
        # Python's own start may print things, such as those of a sitecustomize.py.
        if line.startswith(b'{"%s"' % first.encode()):
            yield json.loads(line)


def say(event: dict[str, Any], token: str | None) -> None:
    """Tell the kernel, from within such a process, without the token; end the process if the kernel is gone."""
    line = json.dumps(event)
    if token:
        # httpx, for one, quotes a header that it does not take.
        line = line.replace(json.dumps(token)[1:-1], "***")
    rest = f"{line}\n".encode()
    try:
        with _writing:
            while rest:
                rest = rest[os.write(1, rest) :]
    except OSError:
        os._exit(0)
