"""Processes of our own, started so that neither the user's files nor a cell's interrupt get in their way."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

# No telemetry from a notebook that did not ask for it; no bars on a stderr that nobody sees; and bytes by HTTP ranges,
# as a Xet download can be neither stopped alone nor resumed.
_ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}


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
