"""How much memory there is: of the machine, of this process, and of the container that it runs in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator


def size(count: int) -> str:
    """Return a number of bytes as people write it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"  # noqa: PLR2004 - a billion


def resident() -> int:
    """Return the bytes of memory that this process occupies."""
    return int(psutil.Process().memory_info().rss)


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may still use: of the machine, and of the container that it runs in.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    available = int(psutil.virtual_memory().available)
    return min([available, *_cgroups(root)]) if sys.platform.startswith("linux") else available


def _cgroups(root: Path) -> Iterator[int]:
    """Yield what is left of the limit of each control group that this process is in, the outer ones too.

    Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. Pages of files count towards the limit,
    but are dropped when it is reached, unless they are written to.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        controllers, _, group = line.partition(":")[2].partition(":")
        if not controllers:
            yield from _limits(mounts, group, "memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            yield from _limits(mounts / "memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def _limits(mount: Path, group: str, limit: str, usage: str, prefix: str) -> Iterator[int]:
    inner = mount / group.strip("/")
    # Within a container its own group is mounted as the root, whatever its name is outside.
    for folder in (inner, *inner.parents):
        try:
            most, used = (int((folder / name).read_text("ascii")) for name in (limit, usage))
            stat = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
            files = sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))
        except (OSError, ValueError):  # no such group here, no limit ("max")
            pass
        else:
            yield max(0, most - used + files)
        if folder == mount:
            return
