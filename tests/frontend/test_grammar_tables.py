"""grammar.json says what the grammar says, and the automaton that reads it agrees with lark's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark, Token
from lark.exceptions import UnexpectedInput
from lark.lexer import Lexer

from archspec.diagnostics import ArchError, Source
from archspec.frontend.automaton import load_tables
from archspec.frontend.build import MAKERS, NESTING
from archspec.frontend.newlines import hold_back_newlines
from archspec.frontend.parse import parse
from archspec.frontend.tables import GRAMMAR, TABLES, build_tables, load_grammar, write_json
from archspec.frontend.tokens import tokenize

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.arch"))


class OurLexer(Lexer):
    """Gives lark's parser the tokens of ours."""

    __future_interface__ = 1

    def __init__(self, lexer_conf: Any):
        self.names = {t.pattern.value: t.name for t in lexer_conf.terminals if t.pattern.type == "str"}

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Token]:
        for token in hold_back_newlines(tokenize(Source("", lexer_state.text.text))):
            yield Token(self.names.get(token.kind, token.kind), token.text)


@pytest.fixture(scope="module")
def lark_parser() -> Lark:
    return load_grammar(OurLexer)


def test_tables_are_those_of_the_grammar() -> None:
    assert TABLES.read_text("utf-8") == write_json(build_tables(load_grammar())), (
        "the grammar has changed: run `python -m archspec.frontend.tables`"
    )


def test_parsing_does_not_import_lark() -> None:
    code = "import sys; from archspec.frontend.parse import parse; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=GRAMMAR.parents[1], check=False).returncode == 0


def test_every_rule_has_a_maker() -> None:
    wanted = {maker for _, _, maker, _ in load_tables().rules if maker}
    assert wanted == set(MAKERS)
    assert wanted > NESTING


def test_the_grammar_names_no_layer_and_no_operation() -> None:
    words = {"linear", "lstm", "softmax", "relu", "sum", "embed", "dropout", "adam", "csv", "glorot"}
    assert not words & load_tables().keywords


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_tokens_are_those_of_lark(path: Path) -> None:
    text = path.read_text("utf-8")
    lark = Lark(GRAMMAR.read_text("utf-8"), parser="lalr", lexer="basic", start="file")
    texts = {t.name: t.pattern.value for t in lark.terminals if t.pattern.type == "str"}
    theirs = [(texts.get(t.type, t.type), str(t), t.line, t.column) for t in lark.lex(text)]
    assert [tuple(token) for token in tokenize(Source("", text))] == theirs


WORDS = [*load_tables().keywords, *(kind for row in load_tables().actions for kind in row if not kind[0].isalpha())]
scraps = st.lists(st.sampled_from(sorted({*WORDS, "x", "1", '"s"', "\n", "{ }"} - {"_NEWLINE", "$END"})), max_size=12)
starts = st.sampled_from(["", "let a = ", "block f(x[B]) -> y[B] { y = ", "data { ", "block f() -> y[] { "])


@settings(max_examples=300, deadline=None)
@given(starts, scraps, st.booleans())
def test_both_automata_accept_the_same(lark_parser: Lark, start: str, scrap: list[str], closes: bool) -> None:
    text = start + " ".join(scrap) + " }" * closes
    try:
        lark_parser.parse(text)
        accepted = True
    except UnexpectedInput:
        accepted = False
    assert accepted == is_accepted(text)


def is_accepted(text: str) -> bool:
    """Whether our parser takes `text`. What only a maker refuses, the grammar takes."""
    try:
        parse(Source("", text))
        return True
    except ArchError as error:
        of_makers = ("`state` belongs inside `over`", "the tensor `")
        return all(diagnostic.message.startswith(of_makers) for diagnostic in error.diagnostics)
