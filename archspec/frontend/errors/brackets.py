"""Brackets that do not match."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.frontend.newlines import CLOSER
from archspec.frontend.tokens import Token
from archspec.records import record

TOP_WORDS = ("import", "let", "dim", "block", "model", "data", "train", "generate")

# `let` stands in blocks too; the others show that all brackets above them should be closed.
_ONLY_AT_TOP = frozenset(TOP_WORDS) - {"let"}
_CLOSERS = frozenset(CLOSER.values())


@record
class Fault:
    """`opened` is never closed, which `noticed` shows; or `noticed` cannot close it; or `noticed` closes nothing."""

    noticed: Token
    opened: Token | None = None
    is_mixed: bool = False

    @property
    def start(self) -> tuple[int, int]:
        """The line and the column from which on tokens may be misread."""
        first = self.opened or self.noticed
        return first.line, first.column


def find_fault(tokens: Sequence[Token]) -> Fault | None:
    """The first bracket of `tokens`, which end in $END, that has no partner."""
    opened: list[Token] = []
    indents = _indents(tokens)
    outdented: Token | None = None
    for token in tokens:
        fault = _fault_at(token, opened, indents)
        if fault:
            return _nearer(fault, outdented)
        if token.kind in CLOSER:
            opened.append(token)
        elif token.kind in _CLOSERS:
            opener = opened.pop()
            if outdented is None and indents[token.line] == token.column < indents[opener.line]:
                outdented = opener
    return None


def _indents(tokens: Sequence[Token]) -> dict[int, int]:
    """The column of the first token of each line."""
    indents: dict[int, int] = {}
    for token in tokens:
        if token.kind != "_NEWLINE":
            indents.setdefault(token.line, token.column)
    return indents


def _fault_at(token: Token, opened: list[Token], indents: dict[int, int]) -> Fault | None:
    if opened and (token.kind == "$END" or (token.kind in _ONLY_AT_TOP and token.column == 1)):
        return Fault(token, opened[-1])
    if token.kind not in _CLOSERS:
        return None
    if opened and CLOSER[opened[-1].kind] == token.kind:
        return None
    has_partner = any(CLOSER[bracket.kind] == token.kind for bracket in opened)
    if not opened or (opened[-1].kind == "{" and not has_partner):
        return Fault(token)
    return Fault(token, opened[-1], is_mixed=not has_partner)


def _nearer(fault: Fault, outdented: Token | None) -> Fault:
    """The fault as the indentation shows it: a `}` further left than its `{` was meant for a bracket further out."""
    if outdented and fault.opened and fault.opened.kind == "{":
        return Fault(fault.noticed, outdented)
    return fault
