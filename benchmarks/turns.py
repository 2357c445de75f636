"""What of a conversation is computed again: in its tenth turn, and where two conversations take turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.subjects import N_CTX, subjects
from benchmarks.table import Row
from llama_widgets.chat.conversation import Chat
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.subjects import Subject
    from llama_widgets.chat.reply import Reply

TURNS = 10
ANSWER = 16
TOPICS = ("llamas", "bread")


def rows() -> Iterator[Row]:
    """Yield both for each model."""
    for subject in subjects():
        yield _tenth(subject)
        yield _two(subject)


def _tenth(subject: Subject) -> Row:
    worker = Worker()
    chat = _chat(subject, worker, TOPICS[0])
    replies = [_ask(chat, number) for number in range(TURNS)]
    worker.close()
    last, before = replies[-1].usage, replies[-2].usage
    new = last.prompt_tokens - before.prompt_tokens - before.completion_tokens
    met = abs(last.evaluated_tokens - new) <= 4
    name = f"{subject.name}: turn {TURNS} of a chat, of {last.prompt_tokens} in the prompt evaluated; bare: new ones"
    return Row(name, "tokens", last.evaluated_tokens, new, "new ± 4", met)


def _two(subject: Subject) -> Row:
    """Compare what two chats evaluate in turns with what each does alone, in a worker of its own."""
    alone = []
    for topic in TOPICS:
        worker = Worker()
        chat = _chat(subject, worker, topic)
        alone.append([_ask(chat, number) for number in range(TURNS // 2)])
        worker.close()
    worker = Worker()
    chats = [_chat(subject, worker, topic) for topic in TOPICS]
    pairs = [[_ask(chat, number) for chat in chats] for number in range(TURNS // 2)]
    worker.close()
    turns = [list(replies) for replies in zip(*pairs, strict=True)]
    if [[str(reply) for reply in replies] for replies in turns] != [[str(r) for r in replies] for replies in alone]:
        raise RuntimeError("The chats said something else in turns: their tokens cannot be compared.")
    ours, bare = (sum(reply.usage.evaluated_tokens for each in both for reply in each) for both in (turns, alone))
    # The first prompt of the second chat may begin as the other's did: then it evaluates less than alone.
    return Row(
        f"{subject.name}: two chats in turns, evaluated; bare: each alone", "tokens", ours, bare, "≤ 1", ours <= bare
    )


def _chat(subject: Subject, worker: Worker, topic: str) -> Chat:
    chat = Chat(subject.path, system=f"You know all of {topic}.", worker=worker, temperature=0, max_tokens=ANSWER)
    chat.load_options = {"n_ctx": N_CTX, "n_threads": 1, "n_threads_batch": 1}  # nobody watches the clock
    return chat


def _ask(chat: Chat, number: int) -> Reply:
    return chat.ask(f"Question {number}: what is there to say about it?")
