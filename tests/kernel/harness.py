"""A real kernel in a process of its own, spoken to as a front end does.

A test pulls the strings one at a time: it sends, and then waits for a condition on what came back. Nothing is read in
between, so nothing can be missed: all messages stay in `Kernel.received`, in the order in which they came.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_client.blocking.client import BlockingKernelClient

Message = dict[str, Any]
"""A Jupyter message: ``msg_type``, ``header``, ``parent_header``, ``content``, ``buffers``."""

PATIENCE = 60.0
"""Seconds after which something that was waited for is said not to come."""


@dataclass(frozen=True)
class Outcome:
    """What running a cell gave."""

    status: str
    stdout: str
    stderr: str
    result: str
    error: str
    displays: list[Message] = field(repr=False)


class Kernel:
    """A kernel and the one client of it.

    Parameters
    ----------
    name : str
        Name of its kernelspec.
    **launch : object
        ``cwd``, ``env``: as for ``subprocess.Popen``.
    """

    def __init__(self, name: str, **launch: object) -> None:
        self.received: list[Message] = []
        self._replies: dict[str, Message] = {}
        self._manager = KernelManager(kernel_name=name)
        self._manager.start_kernel(**launch)
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)

    # Cells

    def run(self, code: str, cell: str | None = None) -> Outcome:
        """Run a cell and wait for its end; ``cell`` is its id, which front ends that show widgets send along."""
        return self.outcome(self.start(code, cell))

    def start(self, code: str, cell: str | None = None) -> str:
        """Run a cell, do not wait, and return the id of the request."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self._send("execute_request", content, None, {"cellId": cell} if cell else None)

    def outcome(self, request: str) -> Outcome:
        """Wait for the end of a cell that was started."""
        status = self.reply(request)["content"]["status"]
        self.wait_for(lambda m: m["msg_type"] == "status" and m["content"]["execution_state"] == "idle", of=request)
        mine = [message for message in self.received if message["parent_header"].get("msg_id") == request]
        streams = [message["content"] for message in mine if message["msg_type"] == "stream"]
        results = [message["content"]["data"] for message in mine if message["msg_type"] == "execute_result"]
        errors = [message["content"] for message in mine if message["msg_type"] == "error"]
        return Outcome(
            status=status,
            stdout="".join(stream["text"] for stream in streams if stream["name"] == "stdout"),
            stderr="".join(stream["text"] for stream in streams if stream["name"] == "stderr"),
            result=results[0]["text/plain"] if results else "",
            error=f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else "",
            displays=[message for message in mine if message["msg_type"] in {"display_data", "update_display_data"}],
        )

    def reply(self, request: str) -> Message:
        """Wait for the reply to a request, on whichever channel and in whichever order replies come."""
        self.until(lambda: request in self._replies)
        return self._replies[request]

    # Comms

    def open_comm(
        self,
        target: str,
        data: Message | None = None,
        *,
        metadata: Message | None = None,
        subshell: str | None = None,
    ) -> str:
        """Open a comm on ``target`` as a front end does, and return its id."""
        comm_id = uuid.uuid4().hex
        content = {"comm_id": comm_id, "target_name": target, "data": data or {}}
        self._send("comm_open", content, subshell, metadata)
        return comm_id

    def send(self, comm_id: str, data: Message, *, subshell: str | None = None) -> str:
        """Send ``data`` on a comm and return the id of the message."""
        return self._send("comm_msg", {"comm_id": comm_id, "data": data}, subshell)

    def send_custom(self, comm_id: str, content: Message, *, subshell: str | None = None) -> str:
        """Send a custom message to the widget whose model id is ``comm_id``: what ``model.send`` does."""
        return self.send(comm_id, {"method": "custom", "content": content}, subshell=subshell)

    def close_comm(self, comm_id: str, *, subshell: str | None = None) -> str:
        """Close a comm from this side."""
        return self._send("comm_close", {"comm_id": comm_id, "data": {}}, subshell)

    def customs(self, comm_id: str, kind: str | None = None) -> list[Message]:
        """Return the contents of the custom messages that came from a widget, all or those of one ``type``."""
        data = [m["content"]["data"] for m in self.received if m["msg_type"] == "comm_msg" and _comm(m) == comm_id]
        contents = [each["content"] for each in data if each.get("method") == "custom"]
        return [content for content in contents if kind in {None, content.get("type")}]

    def features(self) -> list[str]:
        """Return what the kernel says that it can: ``"kernel subshells"`` ..."""
        content = self.reply(self._client.kernel_info())["content"]
        features: list[str] = content.get("supported_features", [])
        return features

    def create_subshell(self) -> str:
        """Ask for a subshell, as JupyterLab does for each comm target, and return its id (ipykernel 7 and later)."""
        subshell: str = self._control("create_subshell_request", {})["subshell_id"]
        return subshell

    def delete_subshell(self, subshell: str) -> None:
        """Delete a subshell, as JupyterLab does when the last comm of its target is closed."""
        self._control("delete_subshell_request", {"subshell_id": subshell})

    # Waiting

    def wait_for(self, match: Callable[[Message], bool], *, of: str | None = None, after: int = 0) -> Message:
        """Wait for a message on IOPub and return it.

        Parameters
        ----------
        match : Callable[[Message], bool]
            Says whether this is the message.
        of : str, optional
            Look only at messages that request ``of`` caused.
        after : int
            Look only at messages from ``received[after]`` on.
        """

        def found() -> Message | None:
            candidates = (m for m in self.received[after:] if of in {None, m["parent_header"].get("msg_id")})
            return next(filter(match, candidates), None)

        self.until(lambda: found() is not None)
        message = found()
        assert message is not None
        return message

    def until(self, condition: Callable[[], bool]) -> None:
        """Read messages until ``condition`` holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                last = [(message["msg_type"], message["content"]) for message in self.received[-5:]]
                raise TimeoutError(f"Waited {PATIENCE:.0f} s in vain. The last messages: {last}")
            if not self._manager.is_alive():
                raise RuntimeError("The kernel died.")
            self._read()

    # Life and death

    @property
    def pid(self) -> int:
        """Id of the kernel's process."""
        return self._process.pid

    def interrupt(self) -> None:
        """Interrupt the kernel, as the Stop button of the notebook does."""
        self._manager.interrupt_kernel()

    def restart(self) -> int:
        """Restart as the user does: ask the kernel to go, start it anew. Returns the exit code of the old process."""
        code = self._ask_to_go(restart=True)
        self._manager.restart_kernel(now=True)
        self._client.wait_for_ready(timeout=PATIENCE)
        return code

    def shutdown(self) -> int:
        """Ask the kernel to go, wait until its process is gone, and return its exit code."""
        code = self._ask_to_go(restart=False)
        self.close()
        return code

    def close(self) -> None:
        """Free everything, the kernel's process by force if it still runs."""
        self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        provisioner = self._manager.provisioner
        assert isinstance(provisioner, LocalProvisioner)
        assert isinstance(provisioner.process, subprocess.Popen)
        return provisioner.process

    def _ask_to_go(self, *, restart: bool) -> int:
        process = self._process
        self._client.shutdown(restart=restart)
        return process.wait(PATIENCE)  # raises if it hangs: killing it would hide that

    def _control(self, kind: str, content: Message) -> Message:
        message = self._client.session.msg(kind, content)
        self._client.control_channel.send(message)
        reply: Message = self.reply(message["header"]["msg_id"])["content"]
        return reply

    def _send(self, kind: str, content: Message, subshell: str | None, metadata: Message | None = None) -> str:
        message = self._client.session.msg(kind, content, metadata=metadata)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)
        request: str = message["header"]["msg_id"]
        return request

    def _read(self) -> None:
        """Take what is there on any channel, or wait a moment for something to come."""
        channels = [self._client.iopub_channel, self._client.shell_channel, self._client.control_channel]
        poller = zmq.Poller()
        for channel in channels:
            poller.register(channel.socket, zmq.POLLIN)
        ready = dict(poller.poll(100))
        for channel in channels:
            while channel.socket in ready and channel.msg_ready():
                message = channel.get_msg(timeout=0)
                if channel is self._client.iopub_channel:
                    self.received.append(message)
                else:
                    self._replies[message["parent_header"]["msg_id"]] = message


def _comm(message: Message) -> str:
    comm_id: str = message["content"]["comm_id"]
    return comm_id
