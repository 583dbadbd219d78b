"""A place where the parser could not go on, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from archspec.diagnostics import Diagnostic, Source, Span
from archspec.frontend.automaton import load_tables
from archspec.frontend.errors.brackets import Fault
from archspec.frontend.newlines import CLOSER
from archspec.frontend.tokens import Token
from archspec.records import record

COMPARISONS = frozenset(["==", "!=", "<", "<=", ">", ">="])
OPERATORS = COMPARISONS | {"|>", "or", "and", "+", "-", "*", "/", "%", "@", "^"}
VALUE_STARTS = frozenset(["NAME", "INT", "FLOAT", "STRING", "true", "false", "(", "[", "-", "not", "repeat", "where", ".."])
VALUE_ENDS = frozenset(["NAME", "INT", "FLOAT", "STRING", "true", "false", ")", "]", "}"])
UNIT_ENDS = frozenset(["_NEWLINE", "}", "$END"])


@record
class Mistake:
    """A token that the grammar refuses, and what surrounds it.

    position, first   in `tokens`: of the token, and of the first one of the unit that it is in
    unit              `item` at the top of a file, `statement` in a block, `entry` in a section or a rule
    accepted          the kinds of token that could have stood here
    fault             the bracket without a partner, wherever it is in the file
    """

    source: Source
    tokens: list[Token]
    position: int
    first: int
    unit: str
    accepted: frozenset[str]
    fault: Fault | None

    @property
    def found(self) -> Token:
        return self.tokens[self.position]

    @property
    def starts_unit(self) -> bool:
        return self.position == self.first

    @property
    def start(self) -> Token:
        """The first token of the unit."""
        return self.tokens[self.first]

    @property
    def previous(self) -> Token:
        """The token before, or the found one where there is none."""
        return self.tokens[max(self.position - 1, 0)]

    @property
    def following(self) -> Token:
        return self.tokens[min(self.position + 1, len(self.tokens) - 1)]

    @property
    def touches(self) -> bool:
        """Whether nothing stands between the found token and the one before."""
        previous = self.previous
        return previous.line == self.found.line and previous.end_column == self.found.column

    @property
    def brace_follows(self) -> bool:
        """Whether the `{` that is missing here is on the next line."""
        return self.found.kind == "_NEWLINE" and self.following.kind == "{" and "{" in self.accepted

    @cached_property
    def is_fault(self) -> bool:
        """Whether the found token is only a consequence of the bracket without a partner."""
        if self.fault is None or (self.found.line, self.found.column) < self.fault.start:
            return False
        if self.fault.opened is None or self.fault.opened.kind == "{":
            return (self.found.line, self.found.column) >= (self.fault.noticed.line, self.fault.noticed.column)
        return self.found.kind != "ODD"

    @property
    def span(self) -> Span:
        """Where the found token is; for the end of a line, the place after the last character."""
        if self.found.kind in ("_NEWLINE", "$END") and self.found.text != ";":
            return self.after_previous
        return self.found.span(self.source)

    @property
    def after_previous(self) -> Span:
        """The place after the token before."""
        last = self.previous
        return Span(self.source, last.line, last.end_column, last.line, last.end_column + 1)

    def text(self, start: int, end: int) -> str:
        """The text from token `start` to token `end` (exclusive), or to the end of the first one's line."""
        first, last = self.tokens[start], self.tokens[end - 1]
        line = self.source.line(first.line)
        return line[first.column - 1 : last.end_column - 1 if last.line == first.line else None]

    @cached_property
    def end(self) -> int:
        """The position of what ends the unit: a line break, or the `}` of what encloses it."""
        depth = 0
        for position in range(self.first, len(self.tokens) - 1):
            kind = self.tokens[position].kind
            depth += (kind in CLOSER) - (kind in CLOSER.values())
            if position >= self.position and (depth < 0 or (depth == 0 and kind == "_NEWLINE")):
                return position
        return len(self.tokens) - 1

    def error(
        self,
        code: str,
        message: str,
        *hints: str,
        at: Token | Span | None = None,
        label: str = "",
        notes: tuple[str, ...] = (),
    ) -> Diagnostic:
        """The diagnostic for this mistake, at the found token unless another place is given."""
        span = at.span(self.source) if isinstance(at, Token) else at or self.span
        return Diagnostic(code, message, span, label, notes, hints)


def is_keyword(token: Token) -> bool:
    return token.kind in load_tables().keywords


def quoted(token: Token) -> str:
    """How messages call a token."""
    if token.kind == "$END":
        return "the end of the file"
    if token.kind == "_NEWLINE" and token.text != ";":
        return "the end of the line"
    if token.kind == "STRING":
        return f"the string {token.text}" if len(token.text) <= 30 else "a string"
    return f"`{token.text}`" if len(token.text) <= 40 else f"`{token.text[:37]}…`"


def expectation(accepted: Iterable[str]) -> str:
    """What could have come, in the terms of the language: `"(", a value or an operator`."""
    rest, words = set(accepted), []
    if {"NAME", "INT"} <= rest:
        words.append("a value")
        rest -= VALUE_STARTS
    if {"*", "^"} <= rest:
        words.append("an operator")
        rest -= OPERATORS | {"if", "(", "[", "."}
    if rest & UNIT_ENDS:
        words.append("the end of the line")
        rest -= UNIT_ENDS
    names = {"NAME": "a name", "STRING": "a string", "INT": "a number"}
    words += [word for kind, word in names.items() if kind in rest]
    return one_of([f"`{kind}`" for kind in sorted(rest - set(names))] + words)


def one_of(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
