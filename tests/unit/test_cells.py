"""Chat cells in a real IPython shell, with an engine that follows a script."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pydantic
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import llama_widgets as lw
from llama_widgets import cells
from llama_widgets import protocol as p
from llama_widgets.cells import magics as rooms
from llama_widgets.cells.above import fault, fitted
from llama_widgets.cells.chats import CellChat
from llama_widgets.cells.line import options, read
from llama_widgets.chat.settings import NAMES
from llama_widgets.engines.scripted import ScriptedEngine, Step, Thought, ToolCalls
from llama_widgets.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class City(pydantic.BaseModel):
    name: str


class Notebook:
    """A shell in which cells are run, and what the model was asked in them."""

    def __init__(self, shell: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN401 - IPython is untyped
        self.shell = shell
        self.asked: list[p.Generate] = []
        self.script: Callable[[p.Generate], Iterable[Step]] = lambda _: ["One ", "two."]
        self.worker = Worker(lambda: ScriptedEngine(self._answer), find=Path)
        self._capsys = capsys

    def _answer(self, command: p.Generate) -> Iterable[Step]:
        self.asked.append(command)
        return self.script(command)

    @property
    def told(self) -> list[str]:
        """What the last question told the model."""
        command = self.asked[-1]
        assert isinstance(command, p.GenerateChatCompletion)
        return [message["content"] for message in command.messages]

    @property
    def options(self) -> dict[str, Any]:
        """What the last question was asked with."""
        return self.asked[-1].options.__dict__

    def run(self, source: str) -> str:
        """Run a cell that succeeds, and return what it printed."""
        result = self.shell.run_cell(source, store_history=True)
        printed = self._capsys.readouterr().out
        assert result.success, printed
        return printed

    def fails(self, source: str) -> str:
        """Run a cell that fails, and return what it printed."""
        result = self.shell.run_cell(source, store_history=True)
        printed = self._capsys.readouterr().out
        assert not result.success, printed
        return printed


@pytest.fixture
def notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"hist_file": ":memory:"}, "InteractiveShell": {"colors": "nocolor"}})
    shell: Any = InteractiveShell.instance(config=config)
    made = Notebook(shell, capsys)
    monkeypatch.setattr(rooms, "shared", lambda: made.worker)
    monkeypatch.setattr(rooms, "CellChat", lambda _worker: CellChat(made.worker))
    made.run("%load_ext llama_widgets")
    shell.user_ns.update(m="m.gguf", City=City)
    made.run("%llama m.gguf --temperature 0")
    yield made
    made.worker.close()
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def test_a_cell_is_filled_asked_and_bound(notebook: Notebook) -> None:
    notebook.shell.user_ns["df"] = pd.DataFrame({"fare": [1.5, 2.5]})
    printed = notebook.run('%%llama --seed 3 --system "Mind {m}." --as answer\nWhat of {df} and {1 + len(m)}, {{x}}?')
    assert printed.startswith("One two.\n(")
    assert notebook.told == ["Mind m.gguf.", "What of\n\n| fare |\n| --- |\n| 1.5 |\n| 2.5 |\n\nand 7, {x}?"]
    assert (notebook.asked[0].options.seed, notebook.asked[0].options.temperature) == (3, 0)
    answer = notebook.shell.user_ns["answer"]
    assert isinstance(answer, lw.Reply)
    assert answer.text == "One two."


def test_cells_of_one_name_are_one_conversation_and_others_stand_alone(notebook: Notebook) -> None:
    notebook.run("%%llama --chat a\nfirst")
    notebook.run("%%llama\nalone")
    assert notebook.told == ["alone"]
    notebook.run("%%llama --chat a\nsecond")
    assert notebook.told == ["first", "One two.", "second"]
    notebook.run("%llama --chat a")
    notebook.run("%llama -- third?")
    assert notebook.told[-1] == "third?"
    assert len(notebook.told) == 5
    notebook.run("%%llama --new\nalone again")
    assert notebook.told == ["alone again"]
    notebook.run("%%llama --chat a --new\nanew")
    assert notebook.told == ["anew"]
    notebook.run("%%llama\ngoes on")
    assert notebook.told == ["anew", "One two.", "goes on"]
    assert len(cells.chat("a").conversations) == 2
    with pytest.raises(lw.errors.ParameterError, match="'b'"):
        cells.chat("b")


def test_a_conversation_keeps_the_model_and_the_system_prompt_of_its_cells(notebook: Notebook) -> None:
    notebook.run("%%llama other.gguf --chat a --system 'Be brief.'\nfirst")
    notebook.run("%%llama --chat a\nsecond")
    assert notebook.told[0] == "Be brief."
    assert cells.chat("a").model == "other.gguf"
    notebook.run("%%llama\nalone")
    assert notebook.told == ["alone"]
    assert notebook.asked[-1].model == "m.gguf"


def test_what_could_not_be_asked_leaves_its_conversation_as_it_was(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.run("%%llama --chat a\nfirst")
    assert "nobody" in notebook.fails("%%llama other.gguf --chat a --system 'Be brief.'\n{nobody}")

    def missing(_: str) -> Path:
        raise lw.errors.ModelNotFoundError("There is no such model.")

    with monkeypatch.context() as patched:
        patched.setattr(notebook.worker, "find", missing)
        assert "no such model" in notebook.fails("%%llama typo.gguf --chat a\nsecond")
        assert "no such model" in notebook.fails("%%llama typo.gguf --chat b\nfirst")
    notebook.run("%%llama --chat a\nsecond")
    assert notebook.told == ["first", "One two.", "second"]
    assert notebook.asked[-1].model == "m.gguf"
    assert "b (" not in notebook.run("%llama")


def test_a_class_sets_what_cells_begin_with(notebook: Notebook) -> None:
    lw.classroom(system="Be kind.", max_tokens=9, lock=["max_tokens"])
    try:
        notebook.run("%%llama\nx")
        assert notebook.told == ["Be kind.", "x"]
        assert notebook.options["max_tokens"] == 9
        assert "LockedError" in notebook.fails("%%llama --max-tokens 10\nx")
        assert "LockedError" in notebook.fails("%llama --max-tokens 10")
    finally:
        lw.classroom()


def test_a_cell_that_is_run_again_takes_its_own_place(notebook: Notebook) -> None:
    talk = CellChat(notebook.worker)
    talk.chat.model = "m.gguf"

    def ask(cell: str, text: str, *, new: bool = False) -> list[str]:
        talk.submit(cell, text, new=new).wait()
        talk.settle()
        return [turn.content for turn in talk.chat.record.turns if turn.role == "user"]

    assert [ask("A", "a"), ask("B", "b"), ask("C", "c")][-1] == ["a", "b", "c"]
    assert ask("B", "b2") == ["a", "b2", "c"]
    assert notebook.told == ["a", "One two.", "b2"]
    assert ask("B", "b3") == ["a", "b3", "c"]
    assert ask("C", "c2") == ["a", "b3", "c2"]
    assert notebook.told[-1] == "c2"
    assert ask("D", "d") == ["a", "b3", "c2", "d"]
    second = next(turn for turn in talk.chat.messages if turn["content"] == "b3")
    assert len(second["siblings"]) == 3
    notebook.script = lambda _: [ValueError("no")]
    with pytest.raises(lw.errors.LlamaWidgetsError):
        ask("A", "a2")
    talk.settle()
    assert [turn.content for turn in talk.chat.record.turns if turn.role == "user"] == ["a", "b3", "c2", "d"]
    notebook.script = lambda _: ["fine"]
    assert ask("B", "b4") == ["a", "b4", "c2", "d"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%llama --temprature 1\nx", "no option '--temprature'. Did you mean '--temperature'?"),
        ("%%llama --n-ctx 1\nx", "no option '--n-ctx'. A model is loaded with it: lw.classroom(n_ctx=...)"),
        ("%%llama --temperature 9\nx", "temperature"),
        ("%%llama --temperature warm\nx", "temperature"),
        ("%%llama --temperature\nx", "--temperature needs a value"),
        ("%%llama a.gguf b.gguf\nx", "two models"),
        ('%%llama --system "open\nx', "quote is not closed"),
        ("%%llama\nWhat is {nobody}?", "no variable 'nobody'"),
        ("%%llama\nWhat is {1 / (len(m) - len(m))}?", "ZeroDivisionError: division by zero. Braces"),
        ("%%llama --seed {nobody}\nx", "no variable 'nobody'"),
        ("%%llama --json-schema Town\nx", "no variable 'Town'"),
        ("%%llama --json-schema m\nx", "json_schema"),
        ('%%llama --json-schema {"not":{"type":"null"}}\nx', "between single quotes"),
        ("%%llama --tools m\nx", "tool"),
        ("%%llama --as not-a-name\nx", "'not-a-name' cannot be the name"),
        ("%%llama --cells 0\nx", "--cells"),
        ("%%llama\n   \n", "no question"),
        ("%%llama --background\nx", "terminal"),
        ("%%llama -- x\ny", "below that line"),
        ("%llama --as x", "--as belongs to one question"),
        ("%llama_fix", "no error to explain"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_asked(notebook: Notebook, cell: str, words: str) -> None:
    printed = notebook.fails(cell)
    assert words in printed
    assert printed.count("\n") == 1
    assert not notebook.asked
    notebook.run("%%llama\nfine")


def test_an_error_in_the_middle_keeps_what_was_said(notebook: Notebook) -> None:
    notebook.script = lambda _: ["Half", lw.errors.EngineError("It broke.", "Ask again.")]
    printed = notebook.fails("%%llama --chat a\nx")
    assert "Half" in printed
    assert "EngineError: It broke. Ask again." in printed
    assert [turn["content"] for turn in cells.chat("a").messages] == ["x", "Half"]
    assert "Traceback" not in printed


def test_an_interrupt_keeps_what_was_said(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook.script = lambda _: ["Half", threading.Event()]

    class Interrupting:
        def follow(self, answer: Any) -> None:  # noqa: ANN401
            assert answer.pieces.get() == "Half"
            answer.stop()
            answer.wait()
            raise KeyboardInterrupt

        def end(self, markdown: str, text: str, note: str) -> None:
            print(markdown, text, note, sep="\n")  # noqa: T201

    monkeypatch.setattr(rooms, "output_for", lambda *_, **__: Interrupting())
    printed = notebook.fails("%%llama --reproducible --as half\nx")
    assert (
        "<small>1 token · stopped</small>" in printed.replace("tokens/s", "").replace("  ", " ") or "stopped" in printed
    )
    assert "KeyboardInterrupt: the answer was stopped; what was said until then is kept." in printed
    assert "Traceback" not in printed
    assert notebook.shell.user_ns["half"].text == "Half"


def test_a_schema_binds_its_value_or_says_why_not(notebook: Notebook) -> None:
    notebook.script = lambda _: ['{"name": ', '"Rome"}']
    notebook.run("%%llama --json-schema City --as city\nWhich?")
    assert notebook.shell.user_ns["city"] == City(name="Rome")
    notebook.run('%%llama --json-schema \'{"type": "object"}\' --as plain\nWhich?')
    assert notebook.shell.user_ns["plain"] == {"name": "Rome"}
    notebook.script = lambda _: ['{"name": ']
    printed = notebook.fails("%%llama --json-schema City --as other\nWhich?")
    assert "'other' was not set." in printed
    assert '{"name": ' in printed
    assert "other" not in notebook.shell.user_ns


def test_functions_of_the_notebook_are_tools(notebook: Notebook) -> None:
    notebook.run("def weather(town: str) -> str:\n    'Tell the weather.'\n    return f'Sun in {town}.'")
    notebook.script = lambda command: (
        ["Sunny."]
        if "tool" in str(command.to_dict()["messages"][-1]["role"])
        else [ToolCalls([{"name": "weather", "arguments": {"town": "Bern"}}])]
    )
    notebook.run("%%llama --tools weather --as reply\nHow is Bern?")
    assert notebook.shell.user_ns["reply"].tool_calls[0]["result"] == "Sun in Bern."
    assert notebook.told[-1] == "Sun in Bern."


def test_the_model_is_shown_the_cells_before(notebook: Notebook) -> None:
    notebook.run("x = 40 + 2")
    notebook.run("print('printed'); x")
    notebook.run("%%llama\nnot shown")
    notebook.fails("x / 0")
    notebook.run("%%llama --cells 2\nWhat happened?")
    (told,) = notebook.told
    assert "print('printed'); x" in told
    assert "42" in told
    assert "ZeroDivisionError" in told
    assert "40 + 2" not in told
    assert "not shown" not in told
    assert told.endswith("\n\nWhat happened?")


def test_the_last_error_is_explained_and_not_one_of_ours(notebook: Notebook) -> None:
    notebook.run("def divide(a):\n    return 1 / a")
    notebook.fails("y = 1\ndivide(0)")
    notebook.fails("%llama_fix --temprature 2")
    notebook.run("%llama_fix")
    (told,) = notebook.told
    assert "ZeroDivisionError: division by zero" in told
    assert "y = 1\ndivide(0)" in told
    assert "return 1 / a" in told
    assert "IPython" not in told
    notebook.run("%llama_fix -- In one word?")
    assert notebook.told[0].endswith("In one word?")
    notebook.fails("for")
    notebook.run("%%llama --error\nWhat is wrong?")
    assert "SyntaxError" in notebook.told[0]


def test_what_does_not_fit_is_shortened_and_told() -> None:
    def count(texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    assert fitted(["a" * 10, "b" * 10], 30, count) == ("a" * 10 + "\n\n" + "b" * 10, "")
    kept, note = fitted(["a" * 3000, "b" * 3000, "c" * 100], 2100, count)
    assert kept.endswith("c" * 100)
    assert "1,000 characters left out" in kept
    assert "a" not in kept.replace("characters", "")
    assert note == "To fit into the context: 1 of 3 cells left out, one shortened."


def test_an_error_without_a_cell_is_shown_too() -> None:
    assert "KeyError: 'x'" in fault(KeyError("x"))


def test_thoughts_stay_out_of_the_way(notebook: Notebook) -> None:
    notebook.script = lambda _: [Thought("hmm"), "Yes."]
    printed = notebook.run("%%llama --reproducible\nx")
    assert printed == "Yes.\n(2 tokens)\n"


def test_the_line_shows_and_sets_defaults(notebook: Notebook) -> None:
    assert "--temperature 0" in notebook.run("%llama")
    notebook.run("%llama --max-tokens 5 --chat c")
    notebook.run("%%llama --max-tokens none\nx")
    assert notebook.options.get("max_tokens", 0) is None
    notebook.run("%%llama\nx")
    assert notebook.options["max_tokens"] == 5
    assert "c (2 questions)" in notebook.run("%llama")
    notebook.run("%llama --reset --top-k 3")
    assert "Defaults  --top-k 3\n" in notebook.run("%llama")


def test_every_setting_is_an_option_and_takes_what_it_takes_in_python() -> None:
    assert set(NAMES) <= set(options())
    names = {"stops": ["a", "b"], "bias": {" yes": 5}, "n": 3, "f": len, "City": City}
    line = read(
        "m.gguf --stop X --stop '[\"\\n\"]' --thinking --no-reproducible --seed=7 --tools f --top-k {n}"
        ' --logit-bias \'{" no": -1}\' --tool-choice required --response-prefix "It\'s" --json-schema City',
        names,
    )
    assert line.given["model"] == "m.gguf"
    assert line.settings == {
        "stop": ["\n"],
        "thinking": True,
        "reproducible": False,
        "seed": 7,
        "tools": [len],
        "top_k": 3,
        "logit_bias": {" no": -1},
        "tool_choice": "required",
        "response_prefix": "It's",
        "json_schema": City,
    }
    assert read("--stop X --stop Y --thinking=auto", {}).settings == {"stop": ["X", "Y"], "thinking": "auto"}
    assert read("--stop {stops} --logit-bias {bias}", names).settings == {"stop": ["a", "b"], "logit_bias": {" yes": 5}}
    assert read("{n}.gguf -- Why 'this'?", names).question == "Why 'this'?"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("%%llama --temp", "--temperature"),
        ("%llama --res", "--reset"),
        ("%%llama --chat s", "story"),
        ("%%llama --json-schema Ci", "City"),
        ("%%llama --tools round,wea", "weather"),
        ("%%llama --context-overflow ", "shift"),
        ("%%llama --thinking=", "auto"),
        ("%%llama\nSum {tab", "table"),
        ('%%llama --system "Mind {tab', "table"),
        ("%llama_fix --max-to", "--max-tokens"),
    ],
)
def test_tab_completes(notebook: Notebook, before: str, expected: str) -> None:
    notebook.run("def weather(town: str) -> str: ...\ntable = 1")
    notebook.run("%%llama --chat story\nx")
    with provisionalcompleter():
        found = list(notebook.shell.Completer.completions(before, len(before)))
    assert expected in [completion.text for completion in found]
    made = [before[: each.start] + each.text for each in found if each.text == expected]
    assert made[0].endswith(expected)
    assert made[0].startswith(before[: before.rfind(" ") + 1])


def test_the_help_names_every_option(notebook: Notebook) -> None:
    text = notebook.shell.object_inspect_mime("%%llama")["text/plain"]
    for word in ("--temperature", "--json-schema", "--cells", "Restart & Run All", "%llama_fix"):
        assert word in text
