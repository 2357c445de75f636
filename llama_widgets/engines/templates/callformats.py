"""What a call of a tool looks like: written, read, and as the grammar that holds a model to it."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..grammar import Grammar, schema_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Call = dict[str, Any]
Tool = dict[str, Any]
_MORE = "{0,7}"  # small models call without end
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def complete(tool: Tool) -> Tool:
    """Return a tool with all that templates ask for without looking whether it is there."""
    function = tool["function"]
    parameters = {"type": "object", "properties": {}, **(function.get("parameters") or {})}
    function = {**function, "description": function.get("description") or "", "parameters": parameters}
    return {"type": "function", "function": function}


@dataclass(frozen=True, kw_only=True)
class ToolFormat(ABC):
    """What a call looks like.

    Attributes
    ----------
    open, close : str
        What stands around a call. Without the one it is known by how it begins, without the other it lasts to the end.
    starts : tuple of str
        Beginnings of answers that are calls without what opens one, written without white space.
    marks : tuple of str
        Further texts within calls that may be tokens of their own.
    native : bool
        Whether a template asks for it in its own words; otherwise the system prompt must, with ``describe``.
    """

    open: str = ""
    close: str = ""
    starts: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    native: bool = True

    @property
    def trigger(self) -> str:
        """The text that begins a call."""
        return self.open

    def grammar(self, tools: Sequence[Tool], choice: Literal["auto", "required"]) -> Grammar:
        """Return the grammar of calls: "required" binds from the beginning of the answer, "auto" once a call begins.

        Thoughts are no part of what it describes.

        Raises
        ------
        GrammarError
            If the parameters of a tool cannot be compiled.
        """
        functions = [complete(tool)["function"] for tool in tools]
        names = " | ".join(f"call-{index}" for index in range(len(functions)))
        rules = [f"call ::= {names}", r"ws ::= [ \t\n]{0,8}", *self._rules(functions)]
        triggers: tuple[str, ...] = ()
        if choice == "required":
            root = f"{self._ahead} calls"
        elif self.starts:
            root = "ws calls | free"
            rules += [f"free ::= {_unlike(self.starts[0])}", r"any ::= [^\x00]*"]
        else:
            root, triggers = "calls", (self.trigger,)
        return Grammar("\n".join([f"root ::= {root}", *rules]), triggers=triggers)

    def parse(self, call_text: str, tools: Sequence[Tool] = ()) -> list[Call]:
        """Return the calls that a model wrote, each with ``name`` and ``arguments``.

        Parameters
        ----------
        call_text : str
            All that it wrote as calls, with their tags.
        tools : sequence of dict
            Tell texts from numbers in formats that write both without quotes.

        Returns
        -------
        list of dict
            Empty if any of it cannot be read: nothing is raised, whatever the model wrote.
        """
        functions = [complete(tool)["function"] for tool in tools]
        try:
            calls = list(self._read(call_text, {one["name"]: one["parameters"] for one in functions}))
        except (ValueError, RecursionError):
            return []
        whole = all(isinstance(call["name"], str) and isinstance(call["arguments"], dict) for call in calls)
        return calls if whole and all(call["name"] for call in calls) else []

    @abstractmethod
    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""

    @property
    def _ahead(self) -> str:
        """GBNF for what may stand before a call that is required."""
        return ""

    @abstractmethod
    def _read(self, text: str, schemas: dict[str, dict[str, Any]]) -> Iterator[Call]:
        """Yield the calls in ``text``; raise ``ValueError`` where there is none."""

    @abstractmethod
    def _rules(self, functions: list[dict[str, Any]]) -> list[str]:
        """Return the GBNF rules ``calls``, ``call-0`` ... and what they need; ``call`` and ``ws`` are there."""


@dataclass(frozen=True, kw_only=True)
class JsonCalls(ToolFormat):
    """``{"name": ..., "arguments": {...}}``, each between tags, or a list of them.

    ``before`` and ``after`` are GBNF for further keys that the model may write.
    """

    listed: bool = False
    keys: tuple[str, str] = ("name", "arguments")
    space: str = ""
    before: str = ""
    after: str = ""

    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""
        name, arguments = self.keys
        bodies = [_dump({name: call["name"], arguments: call["arguments"]}) for call in calls]
        bodies = [f"[{', '.join(bodies)}]"] if self.listed else bodies
        opening = "" if self.starts else self.open
        return "\n".join(f"{opening}{self.space}{body}{self.space}{self.close}" for body in bodies)

    def _read(self, text: str, schemas: dict[str, dict[str, Any]]) -> Iterator[Call]:
        del schemas  # JSON says itself what is a number
        name, key = self.keys
        for tag in filter(None, (self.open, self.close)):
            text = text.replace(tag, " ")
        for value in _values(text):
            for call in value if isinstance(value, list) else [value]:
                if not isinstance(call, dict):
                    raise ValueError(text)  # noqa: TRY004 - the text is at fault
                arguments = call.get(key, call.get("arguments", call.get("parameters", {})))
                if isinstance(arguments, str):  # some models write JSON within JSON
                    arguments = json.loads(arguments, parse_constant=_refuse)
                yield {"name": call.get(name, call.get("name")), "arguments": arguments}

    def _rules(self, functions: list[dict[str, Any]]) -> list[str]:
        body = f'"[" ws call (ws "," ws call){_MORE} ws "]"' if self.listed else "call"
        opening = f"{_literal(self.open)}{'?' if self.starts else ''} ws " if self.open else ""
        one = opening + body + (f" ws {_literal(self.close)}" if self.close else "")
        rules = [f"calls ::= {one} (ws {one}){_MORE}" if self.close and not self.listed else f"calls ::= {one}"]
        for index, function in enumerate(functions):
            name = f'{_literal(_dump(self.keys[0]))} ws ":" ws {_literal(_dump(function["name"]))}'
            arguments = f'{_literal(_dump(self.keys[1]))} ws ":" ws args-{index}'
            rules.append(f'call-{index} ::= "{{" ws {self.before} {name} ws "," ws {arguments} ws {self.after} "}}"')
            rules.append(schema_rules(function["parameters"], f"args-{index}"))
        return rules


@dataclass(frozen=True, kw_only=True)
class NamedCalls(ToolFormat):
    """The name as it is, then the arguments as JSON: ``[TOOL_CALLS]name[ARGS]{...}``.

    ``between`` is GBNF for what may stand after the name, ``ahead`` for what may stand before a call.
    """

    mark: str  # stands before the name, after what opens a call
    then: str  # and this before the arguments
    between: str = ""
    ahead: str = ""

    @property
    def trigger(self) -> str:
        """The text that begins a call beyond doubt."""
        return self.open + self.mark

    @property
    def _ahead(self) -> str:
        return self.ahead

    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""
        bodies = (call["name"] + self.then + _dump(call["arguments"]) for call in calls)
        return "".join(self.trigger + body + self.close for body in bodies)

    def _read(self, text: str, schemas: dict[str, dict[str, Any]]) -> Iterator[Call]:
        del schemas
        for part in text.split(self.trigger.strip())[1:]:
            head, _, body = part.partition(self.then)
            name = NAME.match(head)
            body = body.lstrip()
            arguments, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(body)
            rest = body[end:].strip()
            if name is None or (rest and not rest.startswith("<|")):  # the header of the next call
                raise ValueError(text)
            yield {"name": name[0], "arguments": arguments}

    def _rules(self, functions: list[dict[str, Any]]) -> list[str]:
        rules = [f"calls ::= ({_literal(self.trigger)} call){{1,8}}"]
        for index, function in enumerate(functions):
            name, then = _literal(function["name"]), _literal(self.then)
            rules.append(f"call-{index} ::= {name} {self.between} {then} ws args-{index}")
            rules.append(schema_rules(function["parameters"], f"args-{index}"))
        return rules


@dataclass(frozen=True, kw_only=True)
class TaggedCalls(ToolFormat):
    """Name and arguments between tags; texts stand there as they are, everything else as JSON.

    Each tag has its line breaks, which a model may leave out.
    """

    name: tuple[str, str]  # before and after the name
    key: tuple[str, str]  # before and after the name of an argument, whose value follows
    value_end: str
    end: str = ""

    def write(self, calls: Sequence[Call]) -> str:
        """Return calls as the model would write them."""
        return "\n".join(self.open + self._body(call) + self.close for call in calls)

    def _body(self, call: Call) -> str:
        texts = {key: value if isinstance(value, str) else _dump(value) for key, value in call["arguments"].items()}
        arguments = (self.key[0] + key + self.key[1] + text + self.value_end for key, text in texts.items())
        return f"{self.name[0]}{call['name']}{self.name[1]}{''.join(arguments)}{self.end}"

    def _read(self, text: str, schemas: dict[str, dict[str, Any]]) -> Iterator[Call]:
        name = re.compile(_loose(self.name[0] or self.open) + r"([\w.-]+)" + _loose(self.name[1]))
        key, end = _loose(self.key[0]) + "([^<>\n]+)" + _loose(self.key[1]), _loose(self.value_end)
        argument = re.compile(f"{key}(.*?){end}", re.DOTALL)
        begun = list(name.finditer(argument.sub(lambda found: "\0" * len(found[0]), text)))
        if not begun:
            raise ValueError(text)
        for found, until in zip(begun, [*(one.start() for one in begun[1:]), len(text)], strict=True):
            body = text[found.end() : until]
            rest = argument.sub("", body)
            for tag in filter(None, (self.open, self.close, self.end.strip())):
                rest = rest.replace(tag, "")
            if rest.strip():  # an argument that is cut off, for one
                raise ValueError(text)
            properties = schemas.get(found[1], {}).get("properties", {})
            arguments = {one[1]: _value(one[2], properties.get(one[1])) for one in argument.finditer(body)}
            yield {"name": found[1], "arguments": arguments}

    def _rules(self, functions: list[dict[str, Any]]) -> list[str]:
        one = f"{_literal(self.open)} ws call ws {_literal(self.close)}"
        stop = self.value_end.strip()
        rules = [f"calls ::= {one} (ws {one}){_MORE}", f"raw ::= {_anything_but(stop)}"]
        for index, function in enumerate(functions):
            parts = []
            for number, (key, value) in enumerate(function["parameters"]["properties"].items()):
                rule = f"args-{index}-{number}"
                part = f"{_literal(self.key[0].strip() + key)} {_tag(self.key[1])} {rule} {_literal(stop)} ws"
                parts.append(part if key in function["parameters"].get("required", ()) else f"({part})?")
                rules += self._value_rules(value, function["parameters"], rule)
            name = f"{_literal(self.name[0].strip() + function['name'])} {_tag(self.name[1])}"
            rules.append(f"call-{index} ::= {name} ws {' '.join(parts)} {_tag(self.end)}")
        return rules

    @staticmethod
    def _value_rules(value: Any, schema: dict[str, Any], rule: str) -> list[str]:  # noqa: ANN401 - a schema, or a bool
        if _may_be_text(value):
            choices = value.get("enum", []) if isinstance(value, dict) else []
            words = " | ".join(_literal(choice) for choice in choices if isinstance(choice, str))
            return [f"{rule} ::= ws ({words}) ws" if words else f"{rule} ::= raw"]
        shared: dict[str, Any] = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        return [f"{rule} ::= ws {rule}-value ws", schema_rules(shared | value, f"{rule}-value")]


# JSON and tags


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values in ``text``, which has nothing else but white space, commas and semicolons between."""
    decoder, at = json.JSONDecoder(parse_constant=_refuse), 0
    while at < len(text):
        if text[at].isspace() or text[at] in ",;":
            at += 1
        else:
            value, at = decoder.raw_decode(text, at)
            yield value


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity, which are not JSON


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _may_be_text(schema: object) -> bool:
    if not isinstance(schema, dict):
        return True
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return any(map(_may_be_text, choices))
    kind = schema.get("type")
    if kind is None:
        choices = [*schema.get("enum", ()), schema.get("const", "")]
        return "$ref" not in schema and all(isinstance(choice, str) for choice in choices)
    return kind == "string" or (isinstance(kind, list) and "string" in kind)


def _value(text: str, schema: object) -> Any:  # noqa: ANN401 - whatever the text says
    """Return the value that stands between tags."""
    if isinstance(schema, dict) and schema.get("type") == "string":
        return text
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text, text)  # as some templates write them


def _loose(tag: str) -> str:
    """Return a pattern for a tag of which the line breaks may be missing."""
    return r"\n?".join(map(re.escape, tag.split("\n")))


# GBNF


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _tag(text: str) -> str:
    """Return GBNF for a tag of which the line breaks may be missing."""
    return " ws ".join(_literal(part) for part in text.split("\n") if part)


def _anything_but(stop: str) -> str:
    """Return GBNF for texts in which ``stop`` does not occur."""
    choices = [f"[^{stop[0]}]"] + [f"{_literal(stop[:at])} [^{stop[at]}]" for at in range(1, len(stop))]
    return f"({' | '.join(choices)})*"


def _unlike(start: str) -> str:
    """Return GBNF for texts that do not begin with ``start``, which is JSON, with white space in it or without."""
    rule = ""
    for part in reversed(re.findall(r'"\w+"|\W', start)):
        for at in range(len(part) - 1, -1, -1):
            space = "" if at else " \\t\\n"
            go_on = f" | {_literal(part[at])} {rule}" if rule else ""
            rule = f"({f'[{space}]* ' if space else ''}([^{part[at]}{space}] any{go_on})?)"
    return rule
