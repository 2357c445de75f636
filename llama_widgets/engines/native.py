"""llama.cpp as a library: its log, its abort flag, its devices. The only module that knows about C calling.

llama-cpp-python's high-level class is not used: it points the process's stdout and stderr elsewhere while it loads,
so that what the user prints meanwhile is lost, and it can neither report nor abort a load.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import logging
import os
import re
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - this module is imported late

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger("llama_widgets.llama")

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}  # enum ggml_log_level
_CONTINUED = 5
_GPU, _IGPU = 1, 2  # enum ggml_backend_dev_type
_GPUS = ("gpu", "igpu")
# What llama.cpp says of an abort, as an error. It is none: somebody asked for it.
_ABORT = re.compile(
    r"failed with error 1$|compute status: 1$|failed to decode, ret = 2$|removing memory module entries"
)


class _LogRouter:
    """Takes llama.cpp's log from any thread and gives whole lines to ``logging``."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may free somebody's model, which logs, while a line is being written here.
        self._lock = threading.RLock()
        self._level = logging.INFO
        self._line = ""
        self._captures: list[deque[tuple[int, str]]] = []
        self._quiet = 0

    def write(self, level: int, text: bytes, _: object) -> None:
        with contextlib.suppress(Exception):  # ctypes would print it to stderr
            self._write(level, text)

    def _write(self, level: int, text: bytes) -> None:
        with self._lock:
            if level != _CONTINUED:
                self._level = _LEVELS.get(level, logging.INFO)
            # A context alone writes a thousand lines for llama.cpp's own developers.
            if self._level == logging.DEBUG and not _log.isEnabledFor(logging.DEBUG):
                return
            *lines, self._line = (self._line + text.decode("utf-8", "replace")).split("\n")
            found = [(logging.DEBUG if _ABORT.search(line) else self._level, line) for line in lines if line.strip()]
            for capture in self._captures:
                capture.extend(pair for pair in found if pair[0] > logging.DEBUG)
            if self._quiet:
                return
        for line_level, line in found:
            _log.log(line_level, "%s", line)

    @contextlib.contextmanager
    def capture(self, *, quiet: bool = False) -> Iterator[deque[tuple[int, str]]]:
        """Collect the lines above debug, with their levels, written meanwhile; ``quiet`` keeps them out of the log."""
        lines: deque[tuple[int, str]] = deque(maxlen=1_000)
        with self._lock:
            self._captures.append(lines)
            self._quiet += quiet
        try:
            yield lines
        finally:
            with self._lock:
                self._captures = [other for other in self._captures if other is not lines]
                self._quiet -= quiet


log = _LogRouter()
_log_callback = llama_cpp.llama_log_callback(log.write)  # must live as long as llama.cpp may call it
# Importing llama_cpp has set a callback that prints to stderr.
llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p())


@atexit.register
def _mute() -> None:
    """Let native threads log into nothing while the interpreter goes down; calling Python then would hang or crash.

    NULL would mean stderr, so any C function that does nothing takes the place of the callback.
    """
    nothing = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, llama_cpp.llama_log_callback)
    llama_cpp.llama_log_set(nothing, ctypes.c_void_p())


def reason(lines: deque[tuple[int, str]]) -> str:
    """Return why something failed in llama.cpp's own words: the first error it logged."""
    for level, line in lines:
        if level >= logging.ERROR:
            return re.sub(r"^\w+: (error loading model: )?", "", line).strip().rstrip(".")
    return "llama.cpp gives no reason"


class AbortFlag:
    """A flag that makes ``llama_decode`` return early, set from any thread.

    llama.cpp asks its abort callback after every node of a graph, thousands of times per batch, from its own threads. A
    Python function would take the GIL each time. The C library's ``strlen`` needs none: over a buffer that holds an
    empty string it answers 0, go on; over one that holds a character it answers 1, abort.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Abort the evaluation that runs and every one that starts."""
        self._buffer[0] = b"\x01"

    def clear(self) -> None:
        """Let evaluations run again."""
        self._buffer[0] = b"\x00"

    def attach(self, ctx: int) -> bool:
        """Let ``ctx`` look at this flag; return whether that is possible here."""
        callback = _strlen()
        if callback is None:
            return False
        llama_cpp.llama_set_abort_callback(ctx, callback, ctypes.cast(self._buffer, ctypes.c_void_p))
        return True


@functools.cache
def _strlen() -> Any | None:  # noqa: ANN401 - ctypes has no public type for a function pointer
    """Return ``strlen`` as an abort callback, or None where it does not answer as one must."""
    try:
        libc = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        callback = ctypes.cast(libc.strlen, llama_cpp.ggml_abort_callback)
        empty, full = ctypes.create_string_buffer(2), ctypes.create_string_buffer(b"\x01", 2)
        works = callback(ctypes.addressof(empty)) is False and callback(ctypes.addressof(full)) is True
    except (OSError, AttributeError):
        return None
    return callback if works else None


logits = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)(
    ctypes.cast(llama_cpp.llama_get_logits_ith, ctypes.c_void_p).value  # type: ignore[arg-type] # a function of C
)
"""``llama_get_logits_ith`` as a number: it is asked for after each token, and a pointer is one object more."""


def start() -> dict[str, Any]:
    """Start llama.cpp, once per process; return its versions, backend and devices."""
    _backend_init()
    devices = _devices()
    return {
        "llama_cpp_python": llama_cpp.__version__,
        "llama_cpp": llama_cpp.llama_version().decode(),
        "system": llama_cpp.llama_print_system_info().decode().strip(" |"),
        "backend": next((device["name"] for device in devices if device["type"] in _GPUS), "CPU"),
        "devices": devices,
        "abort_in_prefill": _strlen() is not None,
    }


@functools.cache
def has_gpu() -> bool:
    """Return whether llama.cpp can compute on anything but the CPU."""
    return any(device["type"] in _GPUS for device in _devices())


@functools.cache
def _backend_init() -> None:
    llama_cpp.llama_backend_init()


def _devices() -> list[dict[str, str]]:
    """Return what llama.cpp can compute on."""
    ggml = _ggml()
    if ggml is None:
        return []
    kinds = {0: "cpu", _GPU: "gpu", _IGPU: "igpu"}
    return [
        {
            "name": ggml["name"](device).decode(),
            "description": ggml["description"](device).decode().strip(),
            "type": kinds.get(ggml["type"](device), "other"),
        }
        for device in map(ggml["get"], range(ggml["count"]()))
    ]


def gpu_memory() -> tuple[int, bool]:
    """Return the bytes that are free on all GPUs with memory of their own, and whether there is one without."""
    ggml = _ggml()
    if ggml is None:
        return 0, False
    total, shares = 0, False
    for device in map(ggml["get"], range(ggml["count"]())):
        kind = ggml["type"](device)
        if kind == _IGPU or (kind == _GPU and sys.platform == "darwin"):  # Macs have one memory for both
            shares = True
        elif kind == _GPU:
            free, most = ctypes.c_size_t(), ctypes.c_size_t()
            ggml["memory"](device, ctypes.byref(free), ctypes.byref(most))
            total += free.value
    return total, shares


@functools.cache
def _ggml() -> dict[str, Any] | None:
    """Return functions on devices. The binding has none, its library has."""
    try:
        from llama_cpp._ggml import libggml

        names = ("count", "get", "name", "description", "type", "memory")
        functions = {name: getattr(libggml, f"ggml_backend_dev_{name}") for name in names}
    except (ImportError, AttributeError):
        return None
    for name, function in functions.items():
        function.argtypes = [ctypes.c_void_p]
        function.restype = ctypes.c_char_p if name in ("name", "description") else ctypes.c_int
    functions["count"].argtypes, functions["count"].restype = [], ctypes.c_size_t
    functions["get"].argtypes, functions["get"].restype = [ctypes.c_size_t], ctypes.c_void_p
    size = ctypes.POINTER(ctypes.c_size_t)
    functions["memory"].argtypes, functions["memory"].restype = [ctypes.c_void_p, size, size], None
    return functions


def default_threads() -> int:
    """Return one less than the physical cores that this process may use.

    llama.cpp's threads wait for each other many times per token, by turning in circles. Where one of them has to share
    its core with the browser, the server or the kernel's own thread, all of them wait for it: in JupyterLab on two
    cores, two threads made 6 to 10 tokens/s, and one made 28 to 53 at the same time.
    """
    return max(1, physical_cores() - 1)


def physical_cores() -> int:
    """Return the number of physical cores that this process may use, container limits included."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    cores = len({_siblings(cpu) for cpu in os.sched_getaffinity(0)})
    with contextlib.suppress(OSError, ValueError):  # no such file, or no limit ("max")
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def _siblings(cpu: int) -> str:
    """Name the physical core that ``cpu`` is a thread of."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii")
    except OSError:
        return str(cpu)
