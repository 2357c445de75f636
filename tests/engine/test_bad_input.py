"""Bad input as a user meets it: one clear message, nothing lost, and the next good question works.

All of it goes through the widgets and functions of the package to one real worker with a real llama.cpp, which lives
through all of these tests.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets import errors
from llama_widgets.library import downloads
from llama_widgets.library.downloads import Downloads
from llama_widgets.options import GenerationOptions
from llama_widgets.protocol import CompletionChunk, Event, GenerateCompletion, Progress
from llama_widgets.requests import new_id
from tests.hub import Hub
from tests.unit.conftest import until

from . import tiny
from .test_load import BAD as BAD_FILES
from .test_load import unprivileged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFERENCE = "hf:user/repo"
NAME = "user/repo/m-Q4_K_M.gguf"
LONG = "Tell me more. " * 100
"""Longer than the context of the model here, which has a token for each byte."""


@pytest.fixture(scope="module")
def worker() -> Iterator[lw.Worker]:
    worker = lw.Worker()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("models") / "good.gguf")


class User:
    """Somebody with a panel, in the middle of a conversation, who also looks at what the panel sends to its views."""

    def __init__(self, worker: lw.Worker, good: Path) -> None:
        self.good = good
        self.panel = lw.ChatPanel(good, worker=worker, max_tokens=4, seed=1)
        self.sent: list[dict[str, Any]] = []
        self.panel.send = self.sent.append
        self.panel.load(n_threads=1)
        self.panel.ask("Hello")
        self.said = self.panel.messages

    @property
    def selector(self) -> lw.ModelSelector:
        assert self.panel.selector is not None
        return self.panel.selector

    def type(self, text: str) -> None:
        """Ask as the browser does."""
        self.sent.clear()
        self.panel.handle({"type": "ask", "request_id": "typed", "text": text})

    def heard(self, kind: str, request_id: str = "typed") -> dict[str, Any]:
        """Wait for a message to the views."""
        found: list[dict[str, Any]] = until(
            lambda: [m for m in list(self.sent) if m["type"] == kind and m["request_id"] == request_id], kind
        )
        return found[0]

    def assert_nothing_lost(self) -> None:
        assert (self.panel.state, self.panel.running) == ("ready", "")
        assert not self.panel.progress
        assert self.panel.messages == self.said

    def assert_goes_on(self) -> None:
        """The conversation is as it was, and the next good question is answered."""
        self.assert_nothing_lost()
        self.panel.model = self.good
        self.panel.load(n_threads=1)
        assert_answered(self.panel.ask("And now?"))
        assert not self.panel.error
        assert self.panel.messages[:-2] == self.said
        assert self.panel.state == "ready"


@pytest.fixture
def user(worker: lw.Worker, good: Path) -> Iterator[User]:
    user = User(worker, good)
    yield user
    user.panel.close()


def assert_clear(told: dict[str, Any] | errors.LlamaWidgetsError | None, code: str, words: str = "") -> None:
    """What the user is told is a line of what failed and a line of what to do, in the words of this package."""
    assert told is not None
    if isinstance(told, errors.LlamaWidgetsError):
        told = {"code": told.code, "message": told.message, "hint": told.hint}
    assert told["code"] == code
    assert words in told["message"] + told["hint"]
    for text in (told["message"], told["hint"]):
        assert text.strip() == text != ""
        assert len(text) < 400
        assert text.endswith((".", "...", "?"))
        for noise in ("\n", "Traceback", "Error:", "Errno", "llama_model_load", "gguf_init"):
            assert noise not in text


def assert_answered(reply: lw.Reply) -> None:
    # What a model of random weights says, and whether it says anything, is its own affair.
    assert reply.usage.prompt_tokens
    assert reply.stop_reason in ("eos", "stop", "max_tokens")


def assert_refused(
    user: User, expected: type[errors.LlamaWidgetsError], words: str = "", text: str = "Precious"
) -> None:
    """Asked from Python and from the browser, the question is refused alike and handed back."""
    with pytest.raises(expected) as raised:
        user.panel.ask(text)
    assert_clear(raised.value, expected.code, words)
    assert_clear(user.panel.error, expected.code, words)
    user.assert_nothing_lost()
    user.type(text)
    assert user.heard("rejected")["text"] == text
    assert_clear(user.heard("error"), expected.code, words)
    until(lambda: user.panel.running == "", "the end")
    assert_clear(user.panel.error, expected.code, words)
    user.assert_nothing_lost()


# Models


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_model(user: User, demo_model: Path, tmp_path: Path, kind: str) -> None:
    make, expected, words = BAD_FILES[kind]
    bad = tmp_path / "bad.gguf"
    make(demo_model, bad)
    user.panel.model = bad
    assert_refused(user, expected, words)
    user.selector.load()
    assert_clear(until(lambda: user.selector.error, "the error"), expected.code, words)
    until(lambda: user.selector.loading is None, "the end of the load")
    user.assert_goes_on()


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX permissions")
def test_a_file_that_may_not_be_read(user: User, tmp_path: Path) -> None:
    private = tiny.write(tmp_path / "private.gguf")
    for parent in (*tmp_path.parents[:3], tmp_path):  # pytest's own folders are private
        parent.chmod(0o755)
    private.chmod(0)
    user.panel.model = private
    with unprivileged():
        assert_refused(user, errors.ModelPermissionError, "may not be read")
        user.selector.load()
        assert_clear(until(lambda: user.selector.error, "the error"), "model_permission", "read permission")
    private.chmod(0o644)
    user.assert_goes_on()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("what is this?", "not a reference"),
        ("hf:nobody/nothing:Q4_K_M", "Download it first"),
        ("a\0b.gguf", "no file"),
        ("a\ud83d.gguf", "no file"),
        ("./" + "a" * 1_000_000 + ".gguf", "not a reference"),
    ],
    ids=["nonsense", "not here yet", "NUL", "a lone surrogate", "a megabyte"],
)
def test_a_reference_to_nothing(user: User, model: str, words: str) -> None:
    user.panel.model = model
    assert_refused(user, errors.ModelNotFoundError, words)
    user.selector.load()
    assert_clear(until(lambda: user.selector.error, "the error"), "model_not_found", words)
    user.assert_goes_on()


@pytest.mark.parametrize("model", [7, b"good.gguf", ["good.gguf"]], ids=repr)
def test_what_is_not_a_name(user: User, model: object) -> None:
    for use in (lw.Chat, lw.ChatPanel, lw.ModelSelector, lambda name: setattr(user.panel, "model", name)):
        with pytest.raises(errors.ParameterError) as raised:
            use(model)
        assert_clear(raised.value, "parameter", "path or a reference")
    user.assert_goes_on()


def test_no_model_at_all(worker: lw.Worker, user: User) -> None:
    panel = lw.ChatPanel(worker=worker)
    with pytest.raises(errors.NoModelError) as raised:
        panel.ask("Precious")
    assert_clear(raised.value, "no_model")
    panel.handle({"type": "ask", "request_id": "typed", "text": "Precious"})
    assert_clear(panel.error, "no_model")
    assert (panel.state, panel.running, panel.messages) == ("idle", "", [])
    selector = lw.ModelSelector(worker=worker)
    selector.load()
    assert_clear(until(lambda: selector.error, "the error"), "model_not_found", "No model is named")
    selector.close()
    panel.close()
    user.assert_goes_on()


# Downloads


@pytest.fixture
def hub(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve the good model; the downloads of this process begin anew, in a cache of their own."""
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    shared = Downloads(retry_delay=0.01)
    monkeypatch.setattr(downloads._shared, "_held", shared)
    with Hub({NAME: good.read_bytes()}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield hub
        shared.close()


class Faults:
    """What can be wrong with a hub. Each returns the way to cure it."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hub, self.monkeypatch = hub, monkeypatch

    def no_network(self) -> Callable[[], object]:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        return lambda: self.monkeypatch.setenv("HF_ENDPOINT", self.hub.endpoint)

    def gated(self, status: int) -> Callable[[], object]:
        self.hub.gated["user/repo"] = status
        return lambda: self.monkeypatch.setenv("HF_TOKEN", "hf_good")

    def busy(self, status: int) -> Callable[[], object]:
        self.hub.fail(status, times=1_000)
        return self.hub.faults.clear

    def unknown(self) -> Callable[[], object]:
        files, self.hub.files = self.hub.files, {}
        return lambda: setattr(self.hub, "files", files)

    def small_disk(self) -> Callable[[], object]:
        self.hub.sizes[NAME] = 10**16
        return self.hub.sizes.clear


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        ("no_network", errors.NetworkError, "cannot be reached"),
        ("gated 401", errors.GatedModelError, "hf auth login"),
        ("gated 403", errors.GatedModelError, "accept its conditions"),
        ("busy 429", errors.HubError, "too often"),
        ("busy 500", errors.HubError, "cannot answer now"),
        ("unknown", errors.UnknownReferenceError, "knows no model"),
        ("small_disk", errors.DiskFullError, "are free"),
    ],
)
def test_a_model_that_cannot_be_downloaded(
    user: User,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    expected: type[errors.DownloadError],
    words: str,
) -> None:
    name, *status = fault.split()
    cure = getattr(Faults(hub, monkeypatch), name)(*map(int, status))
    bar, selector = lw.DownloadProgress(), lw.ModelSelector(REFERENCE, worker=user.panel._chat.worker)

    job = lw.download(REFERENCE)
    with pytest.raises(expected) as raised:
        job.wait(60)
    assert_clear(raised.value, expected.code, words)
    for widget in (bar, selector):
        until(lambda shown=widget: shown.downloads and shown.downloads[0]["error"], "the error in the widget")  # type: ignore[misc]
        assert_clear(widget.downloads[0]["error"], expected.code, words)
    user.assert_nothing_lost()
    assert_answered(user.panel.ask("Meanwhile?"))
    user.said = user.panel.messages

    cure()
    selector.handle({"type": "resume", "request_id": "r", "target": job.id})
    path = job.wait(60)
    until(
        lambda: REFERENCE + "/m-Q4_K_M.gguf" in [model["model"] for model in selector.models], "the model in the list"
    )
    user.good = Path(path)
    user.panel.model = REFERENCE
    assert user.panel.ask("And you?").model == REFERENCE
    user.said = user.panel.messages
    user.assert_goes_on()
    bar.close()
    selector.close()


@pytest.mark.parametrize("reference", ["what is this?", "", "./good.gguf", "x" * 1_000_000], ids=lambda text: text[:20])
def test_what_cannot_be_downloaded_at_all(user: User, hub: Hub, reference: str) -> None:
    with pytest.raises(errors.UnknownReferenceError) as raised:
        lw.download(reference)
    assert_clear(raised.value, "unknown_reference")
    user.selector.handle({"type": "download_model", "request_id": "d", "model": reference})
    assert_clear(user.selector.error, "unknown_reference")
    assert not hub.requests
    user.assert_goes_on()


# Questions


@pytest.mark.parametrize("text", ["", " \n\t ", "\u2003"], ids=repr)
def test_an_empty_question(user: User, text: str) -> None:
    with pytest.raises(errors.ParameterError) as raised:
        user.panel.ask(text)
    assert_clear(raised.value, "parameter", "empty")
    user.type(text)
    assert_clear(user.heard("error"), "parameter", "empty")  # it never became a turn, so the box of the view keeps it
    assert_clear(user.panel.error, "parameter", "empty")
    user.assert_goes_on()


@pytest.mark.parametrize("text", [None, 7, b"bytes", ["Hello"]], ids=repr)
def test_what_is_not_a_question(user: User, text: Any) -> None:  # noqa: ANN401
    with pytest.raises(errors.ParameterError) as raised:
        user.panel.ask(text)
    assert_clear(raised.value, "parameter", "must be text")
    user.type(text)
    assert user.heard("error")["code"] == "protocol"
    user.assert_goes_on()


@pytest.mark.parametrize("text", [LONG, "word " * 200_000, "é" * 500_000, "\0" * 1_000_000], ids=lambda text: text[:5])
def test_a_question_that_is_too_long(user: User, text: str) -> None:
    assert_refused(user, errors.ContextOverflowError, "begin a new conversation", text)
    user.assert_goes_on()


@pytest.mark.parametrize("text", ["a\0b", "\0", "lone \ud83d half", "\udc00", "whole \U0001f999", "\x1b[31m\x07\u202e"])
def test_characters_that_are_none_to_others(user: User, text: str) -> None:
    assert_answered(user.panel.ask(text, stop=[text]))
    question = user.panel.messages[-2]["content"]
    assert question == text.replace("\ud83d", "\ufffd").replace("\udc00", "\ufffd")
    user.type(text)
    user.heard("completion_done")
    json.dumps([user.sent, user.panel.messages], ensure_ascii=False).encode()  # all can travel
    user.said = user.panel.messages
    user.assert_goes_on()


# Parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("temperature", "hot"),
        ("temperature", float("nan")),
        ("top_p", 1.5),
        ("top_k", 1.5),
        ("min_p", None),
        ("repeat_penalty", 0),
        ("max_tokens", 0),
        ("max_tokens", True),
        ("seed", 2**32),
        ("stop", "full"),
        ("stop", [1]),
        ("temprature", 1),
    ],
)
def test_a_parameter_that_is_wrong(user: User, name: str, value: Any) -> None:  # noqa: ANN401
    trait = {"stop": "stop_strings"}.get(name, name)
    ways: list[Callable[[], object]] = [
        lambda: user.panel.ask("Hello", **{name: value}),
        lambda: lw.Chat(user.good, **{name: value}),
        lambda: lw.ChatPanel(user.good, **{trait: value}),
    ]
    if user.panel.has_trait(trait):
        before = getattr(user.panel, trait)
        ways.append(lambda: setattr(user.panel, trait, value))
    for way in ways:
        with pytest.raises(errors.ParameterError, match=name) as raised:
            way()
        assert_clear(raised.value, "parameter", name)
    if user.panel.has_trait(trait):
        assert getattr(user.panel, trait) == before
    user.assert_goes_on()


@pytest.mark.parametrize(
    "options", [{"n_ctx": 5}, {"n_ctx": "much"}, {"n_threads": 0}, {"n_gpu_layers": 1.5}, {"x": 1}]
)
def test_a_load_option_that_is_wrong(user: User, options: dict[str, Any]) -> None:
    for load in (user.panel.load, user.selector.load, lw.Chat(user.good).load):
        with pytest.raises(errors.ParameterError) as raised:
            load(**options)
        assert_clear(raised.value, "parameter", next(iter(options)))
    user.assert_goes_on()


def test_a_system_prompt_or_a_conversation_that_is_none(user: User) -> None:
    wrong: list[dict[str, Any]] = [{"system": 7}, {"messages": 7}, {"messages": ["x"]}, {"messages": [{"role": "x"}]}]
    for arguments in wrong:
        for make in (lw.Chat, lw.ChatPanel):
            with pytest.raises(errors.ParameterError) as raised:
                make(user.good, **arguments)
            assert_clear(raised.value, "parameter", "must be" if 7 in arguments.values() else "role")
    user.assert_goes_on()


@pytest.mark.parametrize("message", [None, 7, {}, {"type": "ask"}, {"type": "warp", "request_id": "typed"}], ids=repr)
def test_a_message_that_is_none(user: User, message: object) -> None:
    user.sent.clear()
    user.panel.handle(message)
    assert_clear(user.panel.error, "protocol")
    user.assert_goes_on()


# Stop, and at the same time


class Held:
    """Holds the worker's thread in a listener, at the first event of a kind, until the end of the block."""

    def __init__(self, at: type[Event] = Progress) -> None:
        self._at = at
        self.reached, self.gate = threading.Event(), threading.Event()

    def hold(self, event: object) -> None:
        if isinstance(event, self._at):
            self.reached.set()
            assert self.gate.wait(60)

    def behind(self, worker: lw.Worker) -> Held:
        """Hold it with a request of somebody else, behind which all others wait."""
        options = GenerationOptions(max_tokens=2)
        worker.submit(GenerateCompletion(request_id=new_id(), prompt="x", options=options), self.hold)
        assert self.reached.wait(60)
        return self

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()


def test_stop_with_nothing_running(user: User) -> None:
    assert user.panel.stop() is False
    assert lw.Chat(user.good).stop() is False
    for target in ("typed", "generation", "all", "nobody", ""):
        user.panel.handle({"type": "abort", "request_id": "a", "target": target})
        assert user.heard("info", "a")["message"] == "nothing was running"
        user.sent.clear()
    assert not user.panel.error
    user.assert_goes_on()


def test_two_panels_ask_at_once(user: User, worker: lw.Worker) -> None:
    other = User(worker, user.good)
    with Held().behind(worker):
        first, second = user.panel.submit("First"), other.panel.submit("Second")
        assert (user.panel.state, other.panel.state) == ("waiting", "waiting")
        with pytest.raises(errors.BusyError) as raised:
            user.panel.ask("Impatient")
        assert_clear(raised.value, "busy", "stop it first")
        user.type("Impatient")
        assert_clear(user.heard("error"), "busy", "stop it first")
        with pytest.raises(errors.BusyError):
            user.panel.clear()
        assert user.panel.running == first.request_id
    for each, answer, text in ((user, first, "First"), (other, second, "Second")):
        assert_answered(answer.wait())
        assert [message["content"] for message in each.panel.messages[len(each.said) :: 2]] == [text]
        each.said = each.panel.messages
        each.assert_goes_on()
    other.panel.close()


def test_a_panel_that_is_closed_while_it_answers(user: User, worker: lw.Worker, demo_model: Path) -> None:
    user, other = User(worker, demo_model), user
    with Held(CompletionChunk) as held:
        unwatch = user.panel._chat.watch(held.hold)
        answer = user.panel.submit("First", max_tokens=400)
        assert held.reached.wait(60)
        waiting = other.panel.submit("Second")
        user.panel.close()
    unwatch()
    assert answer.wait().stop_reason == "abort"
    assert user.panel.messages[-1]["content"] == answer.wait().text != ""
    assert user.panel.messages[:-2] == user.said
    assert (user.panel.state, user.panel.running) == ("ready", "")
    assert_answered(user.panel.ask("Without a widget?"))
    assert_answered(waiting.wait())
    other.said = other.panel.messages
    other.assert_goes_on()


def test_a_panel_that_is_closed_while_its_question_waits(user: User, worker: lw.Worker) -> None:
    other = User(worker, user.good)
    with Held().behind(worker):
        answer, waiting = user.panel.submit("First"), other.panel.submit("Second")
        other.panel.close()
        assert waiting.wait().stop_reason == "abort"
        assert (other.panel.state, other.panel.running) == ("ready", "")
        assert [message["content"] for message in other.panel.messages[len(other.said) :]] == ["Second", ""]
    assert_answered(answer.wait())
    user.said = user.panel.messages
    user.assert_goes_on()
