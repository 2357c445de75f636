"""What an answer may look like: GBNF grammars, given or made of a JSON schema."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ParameterError
from .gbnf import Rules
from .schema import compile_schema

if TYPE_CHECKING:
    from ...options import GenerationOptions


@dataclass(frozen=True)
class Grammar:
    """A grammar that an answer follows.

    Attributes
    ----------
    text : str
        Rules in GBNF.
    root : str
        The rule that is the whole answer.
    triggers : tuple of str
        Texts from which on the grammar binds; before the first of them, the answer is free. What the trigger itself
        says belongs to the grammar. None: it binds from the beginning.
    """

    text: str
    root: str = "root"
    triggers: tuple[str, ...] = ()

    def rules(self) -> Rules:
        """Return the grammar as it was read.

        Raises
        ------
        GrammarError
            If it cannot be read, or if no answer could follow it.
        """
        return _rules(self.text, self.root)

    @classmethod
    def of(cls, options: GenerationOptions) -> Grammar | None:
        """Return the grammar that ``options`` ask for, if any.

        Raises
        ------
        ParameterError
            If they ask for two.
        GrammarError
            If no answer can be held to it.
        """
        if options.grammar is not None and options.json_schema is not None:
            msg = "An answer cannot follow both 'grammar' and 'json_schema'."
            raise ParameterError(msg, "Give one of them.")
        if options.json_schema is not None:
            return cls(schema_rules(options.json_schema, "root"))
        if options.grammar is None:
            return None
        grammar = cls(options.grammar)
        grammar.rules()
        return grammar


@functools.lru_cache(maxsize=16)
def _rules(text: str, root: str) -> Rules:
    return Rules(text, root)


def schema_rules(schema: dict[str, Any], name: str) -> str:
    """Return GBNF rules for the JSON values that fulfil ``schema``, one rule to a line.

    The rule to enter by is ``name``; all others begin with ``name-``.

    Raises
    ------
    GrammarError
        If the schema cannot be compiled; it says what cannot.
    """
    rules = compile_schema(schema, name)
    Rules(rules, name, of_schema=True)
    return rules
