"""The newline filter, between the lexer and the parser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archspec.frontend.tokens import Token

CLOSER = {"(": ")", "[": "]", "{": "}"}


def hold_back_newlines(tokens: Iterable[Token]) -> Iterator[Token]:
    """`tokens` with one _NEWLINE between two statements and none elsewhere.

    A newline says nothing inside ( ) and [ ], before `|>`, after `{` and before `}`. A `;` always separates.
    """
    brackets: list[str] = []
    separator, previous = None, "{"
    for token in tokens:
        if token.kind == "_NEWLINE":
            if token.text == ";" or (separator is None and (not brackets or brackets[-1] == "{")):
                separator = token
            continue
        if separator and _separates(separator, previous, token.kind):
            yield separator
        _follow(brackets, token.kind)
        separator, previous = None, token.kind
        yield token


def _separates(separator: Token, previous: str, following: str) -> bool:
    return previous != "{" and following != "}" and (following != "|>" or separator.text == ";")


def _follow(brackets: list[str], kind: str) -> None:
    if kind in CLOSER:
        brackets.append(kind)
    elif brackets and kind == CLOSER[brackets[-1]]:
        brackets.pop()
