"""Grammars are read as llama.cpp reads them; what would end or hang it is refused with a reason."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_cpp import llama_grammar  # noqa: TID253 - its grammars are tests

from llama_widgets.engines.grammar.gbnf import Chars, Rules
from llama_widgets.errors import GrammarError
from tests.unit.walks import allows, begins, follower


@pytest.mark.parametrize(
    ("grammar", "whole", "part", "refused"),
    [
        ('root ::= "a"+', ["a", "aaa"], [""], ["b", "ab"]),
        ('root ::= "a"* "b"?', ["", "aab", "b"], [], ["ba"]),
        ('root ::= "ab"{2,3}', ["abab", "ababab"], ["ab"], ["abababab"]),
        ('root ::= "ab"{2}', ["abab"], ["ab"], ["ababa"]),
        ("root ::= [0-9]{2,}", ["12", "123456"], ["1"], ["1a"]),
        ('root ::= "x"{0}', [""], [], ["x"]),
        ('root ::= "a" | "b" "c" |', ["a", "bc", ""], ["b"], ["c"]),
        ('root ::= ("a" | "b"\n | "c")+ # which\n', ["abc"], [], ["d"]),
        ('root ::= a |\n  b\na ::= "x"\nb ::= "y"', ["x", "y"], [], ["z"]),
        ('root ::= x\r\nx ::= "1"\r\n', ["1"], [], ["x"]),
        ("root ::= [^a-c\\n]", ["d", "é", "😀"], [], ["a", "\n"]),
        ("root ::= [a-c-]+", ["a-c"], [], ["d"]),
        ("root ::= [\\]\\[\\-\\\\]+", ["]-[\\"], [], ["a"]),
        ('root ::= "\\x41\\u00e9\\U0001F600\\"\\t"', ['Aé😀"\t'], ["Aé"], ["B"]),
        ("root ::= . .", ["ab", "\n😀"], ["x"], ["abc"]),
        ('root ::= ("a"*)*', ["", "aaaa"], [], ["b"]),
        ('root ::= ("a"? "b"?)* "c"', ["c", "abbac"], ["ab"], ["d"]),
        ('root ::= ""', [""], [], ["a"]),
        ('root ::= item ("," item)*\nitem ::= "(" root ")" | "x"', ["x,(x,x)", "((x))"], ["(x"], ["x)", ",x"]),
        ('root ::= "a" root "b" | ""', ["", "aabb"], ["aa", "aab"], ["aabbb"]),
        ('root ::= "a"{1,1000000}', ["a" * 3000], [], ["ab"]),
        ('root ::= (("a"{500}){500}){500}', [], ["a" * 500], ["b"]),
        ('one ::= "1"\nroot ::= one two\ntwo ::= "2"', ["12"], ["1"], ["2"]),
        ("root ::= " + "(" * 90 + '"a"' + ")" * 90, ["a"], [], ["b"]),
    ],
)  # fmt: skip
def test_what_a_grammar_allows(grammar: str, whole: list[str], part: list[str], refused: list[str]) -> None:
    found = follower(grammar)
    assert all(allows(found, text) for text in whole)
    assert all(begins(found, text) and not allows(found, text) for text in part)
    assert not any(begins(found, text) for text in refused)


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        (llama_grammar.JSON_GBNF, '{"a": [1, -2.5e3, "x\\n\\u00e9", true, null], "b": {}}'),
        (llama_grammar.JSON_ARR_GBNF, '[\n{"a": 1},\n2]'),
        (llama_grammar.ARITHMETIC_GBNF, "(1 +2 )= 3\n"),
        (llama_grammar.C_GBNF, "int main(){return 0;}"),
        (llama_grammar.LIST_GBNF, "- one\n- two\n"),
    ],
)
def test_the_grammars_of_llama_cpp_can_be_followed(grammar: str, text: str) -> None:
    found = follower(grammar)
    assert allows(found, text)
    assert not begins(found, text + "\x00")


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ('a ::= "x"', "no rule 'root'"),
        ("root ::= a b\na ::= c", "rules that it does not have: b, c"),
        ("root ::= (", "a closing ) is missing"),
        ('root ::= "abc', 'a closing " is missing'),
        ("root ::= [abc", "a closing ] is missing"),
        ('root ::= "a"{3', "a closing } is missing"),
        ('root ::= "a"{,3}', "a number is missing"),
        ('root ::= "a"{5,2}', "at least 5 and at most 2"),
        ("root ::= *", "nothing to repeat"),
        ('root ::= ""*', "nothing to repeat"),
        ("root ::= []", "no character between the brackets"),
        ("root ::= [^]", "no character between the brackets"),
        ("root ::= [z-a]", "wrong way round"),
        ('root ::= "\\q"', "no escape \\q"),
        ('root ::= "\\x4"', "no escape \\x"),
        ('root = "a"', "'::=' is missing"),
        ('ro_ot ::= "a"', "'::=' is missing"),
        ('root ::= "a"\nroot ::= "b"', "is there already (line 2"),
        ('root ::= "a" )', "the rule should end here"),
        ('root ::= "a"\n  | "b"', "put the | at the end"),
        ('root ::= \0 "a"', "the rule should end here"),
        ("root ::= <think> .", "tokens cannot be named"),
        ("root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000, "parentheses within each other"),
        ('root ::= "' + "a" * 1_000_000 + '"', "1,000,011 characters"),
        # Those that loop
        ("root ::= root", "'root' of the grammar begins with itself"),
        ('root ::= root "a" | "b"', "begins with itself"),
        ('root ::= a\na ::= b "x" | "y"\nb ::= a', "begins with itself"),
        ('root ::= a root "x" | "y"\na ::= b\nb ::= ""', "begins with itself"),
        ('root ::= "a"* root "x" | "y"', "begins with itself"),
        ('root ::= ("a" | root)*', "begins with itself"),
        ('root ::= "a" root', "never ends"),
        ('root ::= a\na ::= "(" b ")"\nb ::= "[" a "]"', "never ends"),
        # Those that could be read in too many ways from the beginning
        ("\n".join(f'r{i} ::= r{i + 1} "a" | r{i + 1} "b"' for i in range(40)) + '\nr40 ::= "c"\nroot ::= r0', "ways"),
        ('root ::= (("a"?){0,1000}){0,1000}', "too many ways"),
    ],
)  # fmt: skip
def test_a_grammar_that_cannot_be_followed_is_refused_with_its_reason(grammar: str, reason: str) -> None:
    with pytest.raises(GrammarError) as caught:
        follower(grammar)
    assert reason in caught.value.message
    assert caught.value.hint


def test_the_place_of_a_fault_is_told() -> None:
    with pytest.raises(GrammarError, match=r"wrong way round \(line 3, at '\] \"y\"'\)"):
        Rules('root ::= a\na ::= "x" |\n  [z-a] "y"')


@pytest.mark.parametrize("grammar", ["r{} ::= r{}", 'r{} ::= r{} | "b"', 'r{} ::= r{} "x"'])
def test_long_chains_of_rules_take_no_stack_and_little_time(grammar: str) -> None:
    chain = "\n".join(grammar.format(number, number + 1) for number in range(20_000))
    found = Rules(f'{chain}\nr20000 ::= "a"\nroot ::= "(" r0')
    assert len(found.alternatives) == 20_002


@pytest.mark.timeout(30)
def test_an_ambiguous_grammar_stays_bounded() -> None:
    """Each character doubles the ways in which these can be read: llama.cpp runs out of memory."""
    found = follower('root ::= "a" root "b" | "a" root "c" | "a"')
    begun = time.process_time()
    assert begins(found, "aaa")
    assert not begins(found, "a" * 64)
    assert allows(found, "aaabc")
    assert time.process_time() - begun < 10


def test_what_is_kept_of_what_was_read_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_widgets.engines.grammar.follower._MOST_MEMORY", 100)
    found = follower('root ::= "a" root "b" | ""')
    assert allows(found, "a" * 500 + "b" * 500)
    assert not allows(found, "a" * 500 + "b" * 499)
    assert len(found._steps) <= 101
    assert len(found._nodes) <= 500


@pytest.mark.parametrize(
    ("chars", "first", "last", "meets"),
    [
        (Chars(((97, 122),)), 0, 96, False),
        (Chars(((97, 122),)), 122, 200, True),
        (Chars(((97, 122),), negated=True), 97, 122, False),
        (Chars(((97, 110), (100, 122)), negated=True), 97, 122, False),
        (Chars(((97, 110), (112, 122)), negated=True), 97, 122, True),
        (Chars(((97, 110),), negated=True), 105, 111, True),
    ],
)
def test_ranges_of_characters_meet(chars: Chars, first: int, last: int, meets: bool) -> None:
    assert chars.meets(first, last) == meets
    assert chars.meets(first, last) == any(chars.has(code) for code in range(first, last + 1))


@given(st.text('root ::=ab|()[]{}*+?"\\\\-^.,019\n\r\t#x<!\0é', max_size=40))
def test_any_text_is_a_grammar_or_is_refused(text: str) -> None:
    for grammar in (text, f"root ::= {text}", f'root ::= "a" ({text})*'):
        with contextlib.suppress(GrammarError):
            found = follower(grammar)
            found.read(found.start, "ab019")
