"""The words and marks of a file."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

from archspec.diagnostics import Source, Span
from archspec.frontend.automaton import load_tables

LONGEST_NAME = 200

# What no terminal of the grammar matches: a string without its end, a single-quoted one, any other character.
_ODD = r"""(?P<ODD>"[^\n]*|'[^'\n]*'?|[\s\S])"""


class Token(NamedTuple):
    """`kind` is the text itself for marks and keywords, a terminal of the grammar for the others, or ODD."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def end_column(self) -> int:
        return self.column + len(self.text)

    def span(self, source: Source) -> Span:
        return Span(source, self.line, self.column, self.line, self.end_column)


def tokenize(source: Source, lines: range | None = None, comments: bool = False) -> list[Token]:
    """The tokens of a file, or of some of its lines. What is not in the language becomes a token of the kind ODD."""
    start, end = _extent(source.text, lines)
    line, line_start = (lines.start if lines else 1), start
    keywords = load_tables().keywords
    tokens = []
    for match in _pattern().finditer(source.text, start, end):
        kind, text = match.lastgroup or "", match.group()
        if kind == "SPACE" or (kind == "COMMENT" and not comments):
            continue
        if kind == "NAME":
            kind = text if text in keywords else _kind_of_name(text)
        tokens.append(Token(text if kind == "MARK" else kind, text, line, match.start() - line_start + 1))
        if kind == "_NEWLINE" and text != ";":
            line, line_start = line + 1, match.end()
    return tokens


def end_of_file(tokens: list[Token]) -> Token:
    """The token after the last one."""
    return Token("$END", "", tokens[-1].line, tokens[-1].end_column) if tokens else Token("$END", "", 1, 1)


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(f"{load_tables().pattern}|{_ODD}")


def _extent(text: str, lines: range | None) -> tuple[int, int]:
    """Where `lines` start and end in `text`."""
    if lines is None:
        return 0, len(text)
    start = _line_start(text, 0, lines.start - 1)
    return start, _line_start(text, start, lines.stop - lines.start)


def _line_start(text: str, offset: int, count: int) -> int:
    """The offset of the line that is `count` lines below the one that starts at `offset`."""
    for _ in range(count):
        offset = text.find("\n", offset) + 1
        if offset == 0:
            return len(text)
    return offset


def _kind_of_name(text: str) -> str:
    if len(text) <= LONGEST_NAME and (text.isascii() or all(map(_may_be_in_name, text))):
        return "NAME"
    return "ODD"


def _may_be_in_name(character: str) -> bool:
    """Whether it is a letter, a decimal digit or `_`. Python's `\\w` takes `²` and `½` as well."""
    return character == "_" or unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")
