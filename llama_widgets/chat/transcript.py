"""A conversation as something to read: Markdown, HTML that is safe anywhere, a notebook, a table."""

from __future__ import annotations

import html as escape
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

    Message = Mapping[str, Any]

COLUMNS: dict[str, type] = {
    **dict.fromkeys(("role", "content", "thoughts", "stop_reason", "name", "tool_calls"), str),
    **dict.fromkeys(("prompt_tokens", "cached_tokens", "completion_tokens", "thought_tokens"), int),
    **dict.fromkeys(("ttft_s", "prefill_tps", "decode_tps", "thought_s"), float),
}
"""What a table of turns has."""
_NAMES = {"user": "You", "assistant": "Assistant", "system": "System"}
_CUT = {
    "abort": "Stopped.",
    "error": "Ended by an error.",
    "max_tokens": "Cut: the greatest number of tokens was reached.",
    "context_full": "Cut: the context was full.",
}
_SCHEMES = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_MATH = re.compile(r"\$\$[^$]+\$\$|\$(?![\s$])[^$\n]*[^\s$\\]\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_LOADS = re.compile(r"!(?=\[)|<(?=[A-Za-z/!?])")
_BLANK_LINE = re.compile(r"\n(?=[ \t]*\n)")


def markdown(messages: Iterable[Message], *, title: str = "", thoughts: bool = False) -> str:
    """Return the conversation as Markdown, with the words as they were said."""
    parts = [f"# {title}"] if title else []
    for message in messages:
        parts.append(f"**{_who(message)}**")
        if thoughts and message.get("thoughts"):
            parts.append("\n".join(f"> {line}".rstrip() for line in str(message["thoughts"]).splitlines()))
        parts.extend(said(message))
    return "\n\n".join(parts) + "\n" if parts else ""


def notebook(messages: Iterable[Message], *, title: str = "") -> dict[str, Any]:
    """Return a notebook in Jupyter's format 4.5, with a Markdown cell for each turn that loads nothing when shown."""
    texts = [f"# {title}"] if title else []
    texts += ["\n\n".join([f"**{_who(message)}**", *map(quiet, said(message))]) for message in messages]
    cells = [
        {"cell_type": "markdown", "id": f"turn-{at}", "metadata": {}, "source": text.splitlines(keepends=True)}
        for at, text in enumerate(texts)
    ]
    return {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


def rows(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return the turns as the rows of a table with ``COLUMNS``."""
    made = []
    for message in messages:
        calls = message.get("tool_calls")
        flat = {**message, **(message.get("usage") or {}), **(message.get("timings") or {})}
        flat["tool_calls"] = json.dumps(calls, ensure_ascii=False) if calls else None
        made.append({name: flat.get(name) for name in COLUMNS})
    return made


def html(messages: Iterable[Message]) -> str:
    """Return the conversation as HTML that holds no script, no style, no image, no address but those of links.

    It has no blank lines, so that within Markdown it is one block.
    """
    return "\n".join(_BLANK_LINE.sub("&#10;", _html(message).strip()) for message in messages)


def _html(message: Message) -> str:
    role, content = message["role"], str(message["content"])
    if role == "tool":
        return f"<details><summary>{_text(_who(message))}</summary><pre>{_text(content)}</pre></details>"
    if role != "assistant":
        return f"<blockquote><p><strong>{_who(message)}</strong><br>{_lines(content)}</p></blockquote>"
    parts = []
    if message.get("thoughts"):
        parts.append(f"<details><summary>Thoughts</summary><p>{_lines(str(message['thoughts']))}</p></details>")
    parts.append(cast("str", _renderer().render(content)))
    parts += [f"<p><code>{_text(called)}</code></p>" for called in _calls(message)]
    if cut := _CUT.get(str(message.get("stop_reason"))):
        parts.append(f"<p><em>{cut}</em></p>")
    return "".join(parts)


def said(message: Message) -> list[str]:
    """Return the blocks of a turn in Markdown."""
    content = str(message["content"])
    if message["role"] == "tool":
        longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
        fence = "`" * max(3, longest + 1)
        return [f"{fence}\n{content}\n{fence}"]
    blocks = [_closed(content)] if content else []
    blocks += [f"`{called}`" for called in _calls(message)]
    if cut := _CUT.get(str(message.get("stop_reason"))):
        blocks.append(f"*{cut}*")
    return blocks


def _who(message: Message) -> str:
    return _NAMES.get(message["role"]) or f"Tool {message.get('name', '')}".strip()


def _calls(message: Message) -> list[str]:
    calls = message.get("tool_calls") or []
    return [f"{call['name']}({json.dumps(call['arguments'], ensure_ascii=False)})" for call in calls]


def _closed(text: str) -> str:
    """Return ``text`` with its last fence closed, so that an answer that was cut does not swallow what follows it."""
    fence = ""
    for line in text.splitlines():
        if found := _FENCE.match(line):
            marks, rest = found.groups()
            if not fence:
                fence = marks
            elif marks.startswith(fence) and not rest.strip():
                fence = ""
    return f"{text}\n{fence}" if fence else text


def quiet(text: str) -> str:
    """Return Markdown in which images are links and raw HTML is text."""
    lines = text.split("\n")
    for token in _parser().parse(text):
        if token.type in ("inline", "html_block") and token.map:
            begin, end = token.map
            lines[begin:end] = _without_loads("\n".join(lines[begin:end])).split("\n")
    return "\n".join(lines)


def _without_loads(text: str) -> str:
    parts, at = [], 0
    for span in _CODE_SPAN.finditer(text):
        parts += [_LOADS.sub(_harmless, text[at : span.start()]), span[0]]
        at = span.end()
    return "".join([*parts, _LOADS.sub(_harmless, text[at:])])


def _harmless(found: re.Match[str]) -> str:
    return "&lt;" if found[0] == "<" else ""


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


@cache
def _renderer() -> MarkdownIt:
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    made.validateLink = _is_harmless  # type: ignore[method-assign] # the way its documentation names
    made.inline.ruler.before("escape", "math", _math)
    made.add_render_rule("image", _image)
    made.core.ruler.push("bare", _bare)
    return made


def _is_harmless(url: str) -> bool:
    return _SCHEMES.match(url) is not None


def _math(state: StateInline, silent: bool) -> bool:
    """Leave formulas as they are, for MathJax: to Markdown, their backslashes and stars mean something else."""
    found = _MATH.match(state.src, state.pos) if state.src[state.pos] in "$\\" else None
    if found is None:
        return False
    if not silent:
        state.push("text", "", 0).content = found[0]
    state.pos = found.end()
    return True


def _image(_renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:  # noqa: ANN401
    token = tokens[index]
    address = _text(str(token.attrs["src"]))
    return f'<a href="{address}">{_text(token.content) or address}</a>'


def _bare(state: Any) -> None:  # noqa: ANN401 - a StateCore, whose module must not be imported here
    """Take the style from the cells of tables, which some front ends would cut out and others refuse."""
    for token in state.tokens:
        token.attrs.pop("style", None)


def _lines(text: str) -> str:
    """Return plain text as HTML that keeps its lines and its indentation."""
    spaced = re.sub(r"^ +| {2,}", lambda found: "&nbsp;" * len(found[0]), _text(text), flags=re.MULTILINE)
    return spaced.replace("\t", "&nbsp;" * 4).replace("\n", "<br>\n")


def _text(text: str) -> str:
    return escape.escape(text)
