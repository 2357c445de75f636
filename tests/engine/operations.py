"""Random operations on a real engine, and what must hold after each of them."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from llama_widgets.cancel import Cancel
from llama_widgets.engines import scheduler
from llama_widgets.errors import BusyError, ContextOverflowError, NoModelError
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.protocol import (
    CompletionChunk,
    CompletionDone,
    Error,
    GenerateChatCompletion,
    GenerateCompletion,
    Progress,
)

from . import tiny
from .conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llama_widgets.engines.scheduler import Scheduler
    from llama_widgets.protocol import Event, Generate

ARCHITECTURES = ("llama", "qwen2", "gemma2", "mamba", "lfm2")
"""Keys and values; the same with biases; a sliding window; a running state; both of them."""

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if enable_thinking %}<think>{% endif %}{% endif %}"
)
MOST_STEPS = 1_000
"""Without a piece of an answer: a prompt is a few hundred tokens, and some are read again."""

SMALL: dict[str, Any] = {"n_threads": 1, "n_threads_batch": 1, "swa_full": False}
CONTEXTS = st.fixed_dictionaries(
    {
        "n_ctx": st.sampled_from([256, 512, 768]),
        "n_seq_max": st.sampled_from([1, 2, 3, 5]),
        "n_batch": st.sampled_from([16, 32, 64, 512]),
    }
)
TEXTS = st.builds(
    lambda start, unit, count, end: start + unit * count + end,
    st.sampled_from(["", "A rule that all of them begin with, word by word. "]),
    st.sampled_from(["ab", "xyz", "hello ", "12345 "]),
    st.integers(1, 20),
    st.sampled_from(["", ".", "?"]),
)
CONVERSATIONS = st.sampled_from(["a", "b", "c", ""])
OPTIONS = st.fixed_dictionaries(
    {
        "max_tokens": st.sampled_from([1, 2, 5, 20, 20, 60, None]),
        "temperature": st.sampled_from([0.0, 1.0]),
        "seed": st.integers(0, 100),
    },
    optional={
        "stop": st.sampled_from([["a"], ["e", "qq"]]),
        "top_logprobs": st.integers(0, 3),
        "repeat_penalty": st.just(1.3),
        "grammar": st.sampled_from(['root ::= "yes" | "no"', "root ::= [a-z]+"]),
        "context_overflow": st.just("stop"),
        "thinking_budget": st.integers(0, 5),
        "logit_bias": st.just({tiny.EOS: -100.0}),
    },
)
SEGMENTS = ("text", "thought")
LONGEST_CLOSING = 20  # tokens that are put there to close a thought
SOMETIMES = st.integers(0, 7).map(lambda number: number == 0)


@dataclass
class Request:
    """A request that was submitted, and what came of it.

    What it finds wrong is kept for the machine: the engine catches what a listener raises.
    """

    command: Generate
    n_ctx: int
    stops_at: type[Event] | None = None
    cancel: Cancel = field(default_factory=Cancel)
    chunks: list[CompletionChunk] = field(default_factory=list)
    done: CompletionDone | None = None
    ended: bool = False
    then: Callable[[], object] = lambda: None
    wrong: list[str] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        if self.ended:
            self.wrong.append(f"{event} came after the end")
        if isinstance(event, CompletionChunk):
            self.chunks.append(event)
        if isinstance(event, CompletionDone):
            self.done, self.ended = event, True
            self._check(event)
            self.then()
        if isinstance(event, Error):
            self.ended = True
            self.wrong.append(f"{event}")
        if self.stops_at is not None and isinstance(event, self.stops_at):
            self.cancel.request()

    def _check(self, done: CompletionDone) -> None:
        options, usage = self.command.options, done.usage
        drawn, prompt = usage.completion_tokens, usage.prompt_tokens
        told = {name: "".join(chunk.text for chunk in self.chunks if chunk.segment == name) for name in SEGMENTS}
        put = LONGEST_CLOSING if usage.thought_tokens else 0
        claims = {
            "the chunks are the answer": told == {"text": done.text, "thought": done.thoughts},
            "the chunks are numbered": [chunk.seq for chunk in self.chunks] == list(range(len(self.chunks))),
            "each token has its log-probability": len(done.logprobs) == (0 if options.top_logprobs is None else drawn),
            "no more tokens than asked for": options.max_tokens is None or drawn <= options.max_tokens,
            "all was read before a token was drawn": not drawn
            or usage.cached_tokens + usage.evaluated_tokens >= prompt,
            "what is reproducible reuses nothing": not options.reproducible or not usage.cached_tokens,
            "an abort was asked for": done.stop_reason != "abort" or self.cancel.requested,
            "full is full": done.stop_reason != "context_full" or prompt + drawn + put > self.n_ctx,
        }
        self.wrong += [
            f"not so: {claim} ({done.stop_reason}, {usage}, {options}, n_ctx {self.n_ctx})"
            for claim, holds in claims.items()
            if not holds
        ]


class Operations(RuleBasedStateMachine):
    """Submits, steps, stops, reads other contexts; ``drain`` ends an example."""

    bench: ClassVar[Bench]
    path: ClassVar[Path]
    counts: ClassVar[Counter[str]]
    clock: ClassVar[SimpleNamespace]
    load: ClassVar[dict[str, Any]] = SMALL

    def __init__(self) -> None:
        super().__init__()
        if self.bench.engine.loaded:
            self.bench.fresh(**self.load, n_ctx=512, n_seq_max=3, n_batch=32)
        else:  # the example before failed in between
            self.bench.load(self.path, **self.load, n_ctx=512, n_seq_max=3, n_batch=32)
        # How long steps take decides how prompts are sliced: here it is the same each time.
        self.clock.perf_counter = itertools.accumulate(itertools.cycle([1, 2, 1, 30, 1, 1, 9])).__next__
        self.contexts = 0
        self.requests: list[Request] = []
        self.messages: dict[str, list[dict[str, str]]] = {}

    @property
    def scheduler(self) -> Scheduler:
        assert self.bench.engine.scheduler is not None
        return self.bench.engine.scheduler

    # Requests

    @rule(text=TEXTS, conversation=CONVERSATIONS, options=OPTIONS, alone=SOMETIMES, steps=st.integers(0, 3))
    def complete(self, text: str, conversation: str, options: dict[str, Any], alone: bool, steps: int) -> None:
        options = {**options, "reproducible": alone}
        self.submit(
            GenerateCompletion(
                request_id=self._next_id, prompt=text, conversation=conversation, options=GenerationOptions(**options)
            ),
            steps,
        )

    @rule(
        name=st.sampled_from("abc"),
        text=TEXTS,
        how=st.sampled_from(["new", "go on", "go on", "regenerate", "edit"]),
        options=OPTIONS,
        thinking=st.sampled_from(["auto", True, False]),
        steps=st.integers(0, 3),
    )
    def chat(self, name: str, text: str, how: str, options: dict[str, Any], thinking: Any, steps: int) -> None:  # noqa: ANN401
        said = self.messages.get(name, [])
        question = {"role": "user", "content": text}
        if how == "new" or not said:
            said = [{"role": "system", "content": "You answer all that is asked."}, question]
        elif how == "go on":
            said = [*said, {"role": "assistant", "content": self._last_answer(name)}, question]
        elif how == "edit":
            users = [index for index, message in enumerate(said) if message["role"] == "user"]
            said = [*said[: users[len(text) % len(users)]], question]
        self.messages[name] = said
        command = GenerateChatCompletion(
            request_id=self._next_id,
            messages=list(said),
            conversation=name,
            thinking=thinking,
            options=GenerationOptions(**options),
        )
        self.counts[f"chat: {how}"] += 1
        try:
            self.submit(command, steps)
        except ContextOverflowError:
            del self.messages[name]
            self.counts["refused"] += 1

    @rule(text=TEXTS, options=OPTIONS)
    def ask_twice_at_once(self, text: str, options: dict[str, Any]) -> None:
        for _ in range(2):
            self.complete(text, "a", options, alone=False, steps=0)

    @rule(
        text=TEXTS,
        options=OPTIONS,
        conversation=CONVERSATIONS,
        stops_at=st.sampled_from([Progress, CompletionChunk]),
        steps=st.integers(0, 3),
    )
    def stop_at_an_event(
        self, text: str, options: dict[str, Any], conversation: str, stops_at: type[Event], steps: int
    ) -> None:
        """An abort that comes within a step: after the first event, which may be before a batch is evaluated."""
        command = GenerateCompletion(
            request_id=self._next_id, prompt=text, conversation=conversation, options=GenerationOptions(**options)
        )
        self.submit(command, steps, stops_at)

    @rule(name=st.sampled_from("abc"), turns=st.integers(1, 3), options=OPTIONS)
    def outgrow(self, name: str, turns: int, options: dict[str, Any]) -> None:
        """An answer that does not fit unless what was said before leaves."""
        words = "word " * (self.bench.context.n_ctx // (15 * turns))
        said = [{"role": role, "content": words} for _ in range(turns) for role in ("user", "assistant")]
        self.messages[name] = [*said, {"role": "user", "content": "And now?"}]
        self.chat(name, "", "regenerate", {**options, "max_tokens": None}, thinking="auto", steps=3)

    @rule(text=TEXTS, shift=st.booleans(), chat=st.booleans())
    def overflow(self, text: str, shift: bool, chat: bool) -> None:
        """A prompt that does not fit, or not with what there is room for in the answer."""
        text *= self.bench.context.n_ctx // len(text) + 1
        options = GenerationOptions(context_overflow="shift" if shift else "stop", max_tokens=5)
        if chat:
            said = [{"role": "user", "content": text}]
            command: Generate = GenerateChatCompletion(
                request_id=self._next_id, messages=said, conversation="a", options=options
            )
        else:
            command = GenerateCompletion(request_id=self._next_id, prompt=text, conversation="a", options=options)
        before = len(self.scheduler.waiting)
        with pytest.raises(ContextOverflowError):
            self.submit(command, 0)
        assert len(self.scheduler.waiting) == before
        self.counts["refused"] += 1

    # The engine

    @rule(count=st.integers(1, 12), on=st.integers(0, 3))
    def step(self, count: int, on: int = 0) -> None:
        """Work so often, and each time on for so many batches more where answers only draw."""
        for _ in range(count):
            asked = [request for request in self.requests if request.cancel.requested]
            alone = self.scheduler.running
            self.bench.engine.step(iter([True] * on + [False]).__next__)
            assert all(request.ended for request in asked), "an abort acts in the next step"
            assert len(alone) <= 1 or not any(answer.alone for answer in alone)

    @rule(which=st.integers(0, 100))
    def abort(self, which: int) -> None:
        """Of any request: one that runs, one that waits, one that ended, one that was aborted."""
        if self.requests:
            self.requests[-1 - which % min(8, len(self.requests))].cancel.request()

    @rule(options=CONTEXTS)
    def create_context(self, options: dict[str, Any]) -> None:
        options = {**self.load, **options}
        if self.bench.engine.active:
            with pytest.raises(BusyError):
                self.bench.engine.create_context(LoadOptions(**options), Cancel())
        elif self.contexts % 3:
            self.bench.engine.create_context(LoadOptions(**options), Cancel())
        else:
            self.bench.load(self.path, **options)
        self.contexts += 1

    @rule()
    def unload(self) -> None:
        if self.bench.engine.active:
            return
        self.bench.engine.unload()
        self.bench.engine.unload()
        with pytest.raises(NoModelError):
            self.submit(GenerateCompletion(request_id=self._next_id, prompt="Hello"), 0)
        self.bench.engine.step()
        self.bench.load(self.path, **self.load, n_ctx=256, n_seq_max=2, n_batch=64)

    @rule()
    def drain(self) -> None:
        """Answer all that was asked: each has one end, and nothing is left of it but what can be reused."""
        heard = without = 0
        while self.bench.engine.active:
            self.bench.engine.step(iter([True] * 20 + [False]).__next__)
            now = sum(len(request.chunks) + request.ended for request in self.requests)
            heard, without = now, (0 if now != heard else without + 1)
            if without > MOST_STEPS:
                pytest.fail(f"stuck: {len(self.scheduler.running)} run, {len(self.scheduler.waiting)} wait")
        assert all(request.ended for request in self.requests)
        assert not self.scheduler.waiting
        assert not any(sequence.busy for sequence in self.scheduler.cache.sequences)

    def teardown(self) -> None:
        self.drain()
        self.complete("A fresh question", "fresh", {"max_tokens": 3}, alone=False, steps=0)
        self.drain()
        self.every_request_is_in_order()
        done = [request.done for request in self.requests if request.done is not None]
        assert done[-1].stop_reason in ("max_tokens", "eos")
        self.counts.update(one.stop_reason for one in done)
        self.counts["shifted"] += sum(one.dropped > 0 for one in done)
        self.counts["read again"] += sum(
            one.usage.cached_tokens + one.usage.evaluated_tokens > one.usage.prompt_tokens for one in done
        )
        self.counts["reused"] += sum(one.usage.cached_tokens > 1 for one in done)

    # What must hold after each operation

    @invariant()
    def every_request_is_in_order(self) -> None:
        self.counts["operations"] += 1
        if wrong := [wrong for request in self.requests for wrong in request.wrong]:
            pytest.fail("\n".join(wrong))

    @invariant()
    def only_running_answers_have_a_sequence(self) -> None:
        running = self.scheduler.running
        busy = [sequence for sequence in self.scheduler.cache.sequences if sequence.busy]
        assert {id(answer.sequence) for answer in running} == set(map(id, busy))
        assert len(running) == len(busy) <= self.bench.context.n_seq_max
        assert all(answer.sequence is None for answer in self.scheduler.waiting)

    @invariant()
    def the_memory_holds_what_the_books_say(self) -> None:
        for sequence in self.scheduler.cache.sequences:
            first, last = self.bench.positions(sequence)
            assert last == len(sequence.tokens) - 1
            if not self.bench.context.can_cut:
                assert first == last
            elif self.bench.context._window:
                assert first <= max(0, last + 2 - tiny.WINDOW)  # all that the next token looks back on
            else:
                assert first == min(0, last)
        for answer in self.scheduler.running:
            assert answer.sequence is not None
            assert answer.sequence.tokens == answer.tokens[: len(answer.sequence.tokens)]

    # Parts

    def submit(self, command: Generate, steps: int, stops_at: type[Event] | None = None) -> None:
        request = Request(command, self.bench.context.n_ctx if self.bench.engine.loaded else 0, stops_at)
        self.bench.engine.submit(command, request.hear, request.cancel)
        self.requests.append(request)
        self.step(steps)

    @property
    def _next_id(self) -> str:
        return str(len(self.requests))

    def _last_answer(self, name: str) -> str:
        ends = [request.done for request in self.requests if request.command.conversation == name]
        return next((done.text for done in reversed(ends) if done), "Yes.")


def operations(
    machine: type[Operations],
    arch: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    examples: int,
    **how: Any,  # noqa: ANN401 - settings of Hypothesis
) -> Counter[str]:
    """Do fifty operations on a tiny model of ``arch``, ``examples`` times; return how often what was done."""
    clock = SimpleNamespace()
    monkeypatch.setattr(scheduler, "time", clock)
    bench, counts = Bench(), Counter[str]()
    path = tiny.write(folder / f"{arch}.gguf", arch, template=TEMPLATE)
    # By its name Hypothesis chooses what is done, so that it is something else for each.
    these = {"bench": bench, "path": path, "counts": counts, "clock": clock}
    on_this_model = type(f"{machine.__name__}_{arch}", (machine,), these)
    checks = list(HealthCheck)
    try:
        run_state_machine_as_test(
            on_this_model,
            settings=settings(max_examples=examples, stateful_step_count=50, suppress_health_check=checks, **how),
        )
    finally:
        bench.engine.close()
    return counts
