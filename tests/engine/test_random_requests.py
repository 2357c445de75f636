"""Random requests to a worker with a real engine, from the outside: each ends once, whatever overtakes it."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from llama_widgets import protocol as p
from llama_widgets.errors import ModelNotFoundError
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.worker import Worker

from . import tiny
from .operations import CONTEXTS, CONVERSATIONS, OPTIONS, SMALL, TEMPLATE, TEXTS

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 60
EXAMPLES = 12
MODELS = {"a": "llama", "b": "mamba", "c": "gemma2"}
NAMES = st.sampled_from([None, None, None, "a", "b", "c", "missing"])
EXPECTED = {"no_model", "model_not_found", "context_overflow"}


class Ear:
    """Hears the events of one request; may stop it, or fail, at its first."""

    def __init__(self, worker: Worker, command: p.Command, at_first: str) -> None:
        self._worker, self._command, self._at_first = worker, command, at_first
        self.events: list[p.Event] = []
        self.ends = 0
        self.ended = threading.Event()

    def __call__(self, event: p.Event) -> None:
        self.events.append(event)
        if isinstance(event, p.Error) or (
            isinstance(event, p.ENDS[self._command.type])
            and not (isinstance(event, p.Info) and event.level == "warning")
        ):
            self.ends += 1
            self.ended.set()
        if len(self.events) == 1 and self._at_first == "stop":
            self._worker.abort(self._command.request_id)
        if self._at_first == "fail":
            msg = "listener"
            raise RuntimeError(msg)

    def check(self) -> str:
        """Wait for the end, and return what it was."""
        assert self.ended.wait(WAIT_S), f"no end: {self._command}, {self.events[-3:]}"
        assert self.ends == 1, self.events
        assert all(event.request_id == self._command.request_id for event in self.events)
        end = self.events[-1]
        if isinstance(end, p.Error):
            assert end.code in EXPECTED, end
            return end.code
        assert isinstance(end, p.ENDS[self._command.type]), end
        return end.stop_reason if isinstance(end, p.CompletionDone) else end.type


class Requests(RuleBasedStateMachine):
    """Asks, loads, unloads and stops, faster than that is done."""

    folder: ClassVar[Path]
    counts: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.worker = Worker(find=self.find)
        self.ears: list[Ear] = []
        self.load("a", {"n_ctx": 512})

    def find(self, model: str) -> Path:
        if model not in MODELS:
            raise ModelNotFoundError(model)
        return self.folder / f"{model}.gguf"

    @rule(
        prompt=TEXTS,
        model=NAMES,
        conversation=CONVERSATIONS,
        options=OPTIONS,
        reproducible=st.booleans(),
        at_first=st.sampled_from(["", "", "stop", "fail"]),
    )
    def complete(
        self,
        prompt: str,
        model: str | None,
        conversation: str,
        options: dict[str, Any],
        reproducible: bool,
        at_first: str,
    ) -> None:
        given = GenerationOptions(**options, reproducible=reproducible)
        load = LoadOptions(**SMALL, n_ctx=256) if model else None
        self.submit(
            p.GenerateCompletion,
            at_first,
            prompt=prompt,
            conversation=conversation,
            options=given,
            model=model,
            load=load,
        )

    @rule(prompts=st.lists(TEXTS, min_size=2, max_size=8), conversation=CONVERSATIONS, options=OPTIONS)
    def complete_many(self, prompts: list[str], conversation: str, options: dict[str, Any]) -> None:
        for prompt in prompts:
            self.complete(prompt, None, conversation, options, reproducible=False, at_first="")

    @rule(text=TEXTS, model=NAMES, turns=st.integers(0, 6), options=OPTIONS)
    def chat(self, text: str, model: str | None, turns: int, options: dict[str, Any]) -> None:
        messages = [{"role": role, "content": text} for _ in range(turns) for role in ("user", "assistant")]
        given = GenerationOptions(**options)
        messages.append({"role": "user", "content": text})
        self.submit(p.GenerateChatCompletion, messages=messages, conversation=text, options=given, model=model)

    @rule(model=st.sampled_from(["a", "b", "c", "missing"]), options=CONTEXTS)
    def load(self, model: str, options: dict[str, Any]) -> None:
        self.submit(p.LoadModel, model=model, options=LoadOptions(**SMALL, **options))

    @rule(options=CONTEXTS)
    def create_context(self, options: dict[str, Any]) -> None:
        self.submit(p.CreateContext, options=LoadOptions(**SMALL, **options))

    @rule()
    def unload(self) -> None:
        self.submit(p.UnloadModel)

    @rule(texts=st.lists(TEXTS, max_size=3))
    def embed(self, texts: list[str]) -> None:
        self.submit(p.Embed, texts=texts)

    @rule(what=st.sampled_from(["generation", "load", "all", "unknown"]))
    def abort_all(self, what: str) -> None:
        self.submit(p.Abort, target=what)
        assert self.ears[-1].ended.is_set()  # at once, whatever runs

    @rule(which=st.integers(0, 100))
    def abort(self, which: int) -> None:
        self.submit(p.Abort, target=str(max(0, len(self.ears) - 1 - which % 10)))

    @rule(which=st.integers(0, 100))
    def wait(self, which: int) -> None:
        if self.ears:
            self.ears[which % len(self.ears)].check()

    @rule()
    def look(self) -> None:
        status = self.worker.status()
        assert len(status.running) + len(status.queued) <= len(self.ears)

    def teardown(self) -> None:
        try:
            self.counts.update(ear.check() for ear in self.ears)
            assert not self.worker.busy
            self.complete(
                "A fresh question", "a", "fresh", {"max_tokens": 3, "seed": 0}, reproducible=False, at_first=""
            )
            assert self.ears[-1].check() in ("max_tokens", "eos")
            assert not any(sequence["busy"] for sequence in self.worker.status().sequences)
            self.counts["operations"] += len(self.ears)
        finally:
            self.worker.close()

    def submit(self, command: Any, at_first: str = "", **fields: Any) -> None:  # noqa: ANN401 - any command
        made = command(request_id=str(len(self.ears)), **fields)
        ear = Ear(self.worker, made, at_first)
        self.ears.append(ear)
        self.worker.submit(made, ear)


def test_random_requests(tmp_path: Path) -> None:
    for name, arch in MODELS.items():
        tiny.write(tmp_path / f"{name}.gguf", arch, template=TEMPLATE)
    counts = Counter[str]()
    machine = type("Requests_", (Requests,), {"folder": tmp_path, "counts": counts})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=50, suppress_health_check=list(HealthCheck)),
    )
    assert counts["operations"] >= EXAMPLES * 25
    assert not [kind for kind in ("abort", "max_tokens", "model_loaded", "embed_done") if not counts[kind]]
    assert not [thread for thread in threading.enumerate() if thread.name == "llama-widgets-worker"]
