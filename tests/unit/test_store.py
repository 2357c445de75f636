"""A conversation that is kept in a file: after each turn, whole at each moment, and never at the cost of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llama_widgets as lw
from llama_widgets.chat import archive
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.errors import ConversationError
from llama_widgets.later import Later
from llama_widgets.protocol import Info
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 20


@pytest.fixture
def make() -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def build(store: Path, kind: Any = lw.Chat, script: Any = None, **options: Any) -> Any:  # noqa: ANN401
        worker = Worker(lambda: ScriptedEngine(script), find=Path)
        made.append(worker)
        return kind(options.pop("model", "a.gguf"), worker=worker, store=store, **options)

    yield build
    for each in made:
        each.close()


def said(path: Path) -> list[str]:
    """Return what a file holds."""
    return [turn.content for turn in archive.read(path).book.current.tree.path]


def holds(path: Path, *texts: str) -> None:
    until(lambda: path.exists() and path.stat().st_size and said(path) == list(texts), f"{texts} in {path.name}")


def warnings(chat: lw.Chat) -> list[str]:
    heard: list[str] = []
    chat.watch(lambda change: heard.append(change.message) if isinstance(change, Info) else None)
    return heard


@pytest.mark.parametrize("kind", [lw.Chat, lw.ChatPanel])
def test_the_next_one_goes_on(make: Callable[..., Any], tmp_path: Path, kind: type) -> None:
    path = tmp_path / "chat.json"
    chat = make(path, kind, system="Be terse.", temperature=0.25)
    chat.ask("b a")
    holds(path, "b a", "a b ")
    chat.regenerate()
    chat.new_conversation("Two")
    chat.ask("d c")
    holds(path, "d c", "c d ")
    again = make(path, kind, model=None)
    assert again.to_dict() == chat.to_dict()
    assert (again.model, again.system) == ("a.gguf", "Be terse.")
    other = make(path, kind, model="b.gguf", temperature=0.5)
    assert (other.model, other.system, other.to_dict()["settings"]) == ("b.gguf", "Be terse.", {"temperature": 0.5})
    assert list(tmp_path.iterdir()) == [path]


def test_the_question_is_kept_while_it_is_answered(make: Callable[..., Any], tmp_path: Path) -> None:
    path, gate = tmp_path / "chat.json", threading.Event()
    chat = make(path, script=lambda _: ["one ", gate, "two"])
    answer = chat.submit("x")
    until(lambda: path.exists() and said(path)[:1] == ["x"], "the question in the file")
    assert archive.read(path).book.current.tree.path[-1].stop_reason in ("", "abort")
    gate.set()
    answer.wait()
    holds(path, "x", "one two")


@pytest.mark.parametrize("text", ["{", "[1]", '{"messages": 3}', "nonsense", "\0\0\0"])
def test_a_broken_file_is_refused_and_left_alone(make: Callable[..., Any], tmp_path: Path, text: str) -> None:
    path = tmp_path / "chat.json"
    path.write_text(text)
    for kind in (lw.Chat, lw.ChatPanel):
        with pytest.raises(ConversationError, match=r"'chat\.json' cannot be gone on with"):
            make(path, kind)
    assert path.read_text() == text


@pytest.mark.parametrize("path", ["", ".", "nowhere/chat.json", "a\0b", 3])
def test_what_can_be_no_file_is_refused(make: Callable[..., Any], tmp_path: Path, path: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConversationError):
        make(tmp_path / path if isinstance(path, str) else path)


def test_an_empty_file_is_a_new_one(make: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.touch(mode=0o640)
    path.chmod(0o640)
    make(path).ask("b a")
    holds(path, "b a", "a b ")
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_written_is_told_and_written_with_the_next_turn(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "chat.json"
    panel = make(path, lw.ChatPanel)
    panel.ask("b a")
    holds(path, "b a", "a b ")
    folder.rename(tmp_path / "elsewhere")
    assert panel.ask("d c").text == "c d "
    until(lambda: any("could not be kept in chat.json" in notice for notice in panel.notices), "the notice")
    (tmp_path / "elsewhere").rename(folder)
    panel.ask("f e")
    holds(path, "b a", "a b ", "d c", "c d ", "f e", "e f ")
    assert not any("could not" in notice for notice in panel.notices)


def test_what_another_program_writes_is_not_overwritten(make: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    chat = make(path)
    chat.ask("b a")
    holds(path, "b a", "a b ")
    theirs = json.dumps([{"role": "user", "content": "theirs"}])
    path.write_text(theirs)
    heard = warnings(chat)
    chat.ask("d c")
    holds(tmp_path / "chat-2.json", "b a", "a b ", "d c", "c d ")
    chat.ask("f e")
    holds(tmp_path / "chat-2.json", "b a", "a b ", "d c", "c d ", "f e", "e f ")
    assert path.read_text() == theirs
    assert len([text for text in heard if "now kept in chat-2.json" in text]) == 1


def test_two_of_one_process_lose_nothing(make: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    first = make(path)
    first.ask("b a")
    second = make(path)  # the cell was run again
    assert [message["content"] for message in second.messages] == ["b a", "a b "]
    second.ask("d c")
    heard = warnings(first)
    first.ask("f e")
    holds(path, "b a", "a b ", "d c", "c d ")
    holds(tmp_path / "chat-2.json", "b a", "a b ", "f e", "e f ")
    assert any("Another chat goes on with chat.json" in text for text in heard)


def test_a_file_that_was_deleted_is_written_again(make: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    chat = make(path)
    chat.ask("b a")
    holds(path, "b a", "a b ")
    path.unlink()
    chat.ask("d c")
    holds(path, "b a", "a b ", "d c", "c d ")


ENDLESS = """
import sys
from pathlib import Path
import llama_widgets as lw
from llama_widgets.engines.scripted import ScriptedEngine
from llama_widgets.worker import Worker
worker = Worker(lambda: ScriptedEngine(lambda _: ["x" * 50_000]), find=Path)
chat = lw.Chat("a.gguf", worker=worker, store=sys.argv[1])
for number in range(10_000):
    chat.ask(str(number))
    chat._store.flush()
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [3, 17, 31])
def test_a_kill_leaves_a_whole_file(tmp_path: Path, after: int) -> None:
    path = tmp_path / "chat.json"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = -1
    while told < after:
        told = int(process.stdout.readline())
    time.sleep(0.001 * after)  # somewhere in the middle of the next one
    process.kill()
    process.wait()
    told = max([told, *map(int, process.stdout.read().split())])
    process.stdout.close()
    kept = said(path)
    assert kept[2 * told : 2 * told + 2] == [str(told), "x" * 50_000]
    assert len(lw.Chat("a.gguf", store=path).messages) == len(kept)


def test_the_last_words_are_kept_at_exit(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    code = ENDLESS.replace("range(10_000)", "range(1)").replace("    chat._store.flush()\n", "")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=WAIT_S, stdout=subprocess.DEVNULL)
    assert said(path) == ["0", "x" * 50_000]


def test_what_is_asked_for_meanwhile_is_done_once_more() -> None:
    entered, gate = threading.Event(), threading.Event()
    seen: list[int] = []

    def act() -> None:
        seen.append(len(seen))
        entered.set()
        assert gate.wait(WAIT_S)

    later = Later(act)
    later()
    assert entered.wait(WAIT_S)
    for _ in range(5):
        later()
    gate.set()
    later.flush()
    assert seen == [0, 1]
    later.flush()
    assert seen == [0, 1]


def test_a_hurry_does_not_wait_for_more() -> None:
    done = threading.Event()
    later = Later(done.set, delay=10_000)
    later()
    later.flush()
    assert done.is_set()


def test_what_fails_later_is_logged_and_the_next_is_done(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[int] = []

    def fail() -> None:
        tried.append(1)
        msg = "the action's own"
        raise OSError(msg)

    later = Later(fail)
    for count in (1, 2):
        later()
        later.flush()
        assert len(tried) == count
    assert "the action's own" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_stays_a_link(make: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, real = tmp_path / "chat.json", tmp_path / "real" / "chat.json"
    link.symlink_to(real)
    make(link).ask("b a")
    holds(real, "b a", "a b ")
    assert link.is_symlink()
