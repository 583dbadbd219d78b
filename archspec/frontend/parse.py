"""Text to syntax tree: the LALR(1) automaton, run over the tables that tables.py made."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from archspec.diagnostics import ArchError, Diagnostic, Source, Span
from archspec.frontend.automaton import Rule, Tables, load_tables
from archspec.frontend.build import MAKERS, NESTING
from archspec.frontend.newlines import hold_back_newlines
from archspec.frontend.source import LARGEST_FILE, read_source, too_large
from archspec.frontend.syntax import File
from archspec.frontend.tokens import Token, end_of_file, tokenize

__all__ = ["parse", "read_source"]

# Every later stage walks the tree with functions that call themselves, so its depth is bounded once, here.
DEEPEST = 100

Place: TypeAlias = tuple[int, int]


class Symbol(NamedTuple):
    """A token or what a rule made of several symbols, its extent, and the depth of its tree."""

    value: Any
    start: Place
    end: Place
    depth: int


def parse(source: Source, lines: range | None = None) -> File:
    """The tree of a file, or of the items on some of its lines, counted from 1.

    Raises ArchError with every syntax error that could be told apart.
    """
    if len(source.text) > LARGEST_FILE:
        raise ArchError(too_large(source.path))
    tokens = list(hold_back_newlines(tokenize(source, lines)))
    tree = _run(load_tables(), source, tokens)
    if tree is None:
        # Imported only here: a file without mistakes should not wait for the code that explains them.
        from archspec.frontend.errors.recovery import find_mistakes

        raise ArchError(find_mistakes(source, tokens))
    return tree


def _run(tables: Tables, source: Source, tokens: list[Token]) -> File | None:
    """The tree, or None where a token is refused. `states[i + 1]` is the state after `symbols[i]`."""
    states, symbols = [tables.start], list[Symbol]()
    for token in (*tokens, end_of_file(tokens)):
        while (action := tables.actions[states[-1]].get(token.kind)) is not None and action < 0:
            _reduce(states, symbols, tables.rules[-1 - action], tables, source)
        if action is None:
            break
        states.append(action)
        symbols.append(Symbol(token, (token.line, token.column), (token.line, token.end_column), 0))
    return symbols[0].value if states[-1] == tables.end else None


def _reduce(states: list[int], symbols: list[Symbol], rule: Rule, tables: Tables, source: Source) -> None:
    """Replaces the symbols of `rule` on top of the stack by the one that they make."""
    origin, size, maker, keep = rule
    # Most reductions pass one symbol on, from `operand` up to `expr`: they change the state and nothing else.
    if maker is not None or size != 1:
        parts = symbols[len(symbols) - size :]
        del states[len(states) - size :], symbols[len(symbols) - size :]
        symbols.append(_combine(parts, maker, keep, source))
    else:
        states.pop()
    states.append(tables.gotos[states[-1]][origin])


def _combine(parts: list[Symbol], maker: str | None, keep: list[int | None], source: Source) -> Symbol:
    """The symbol that `parts` make; that of an empty rule has no extent, and none is asked for."""
    start, end = (parts[0].start, parts[-1].end) if parts else ((1, 1), (1, 1))
    depth = _depth(parts, maker, source)
    return Symbol(_make(maker, _children(parts, keep), source, start, end), start, end, depth)


def _children(parts: list[Symbol], keep: list[int | None]) -> list[Any]:
    """What the maker of a rule receives. A list is what an inlined rule collected, and is taken apart."""
    children: list[Any] = []
    for position in keep:
        value = None if position is None else parts[position].value
        if type(value) is not list:
            children.append(value)
        elif children:
            children += value
        else:
            # Kept, not copied: a long list grows by one item at a time.
            children = value
    return children


def _make(maker: str | None, children: list[Any], source: Source, start: Place, end: Place) -> Any:
    if maker is None:
        return children[0]
    if maker == "":
        return children
    return MAKERS[maker](Span(source, *start, *end), *children)


def _depth(parts: list[Symbol], maker: str | None, source: Source) -> int:
    """The depth of the tree that `parts` make. Parentheses, which have no maker, count as a level."""
    depth = max([part.depth for part in parts], default=0) + (maker is None or maker in NESTING)
    if depth > DEEPEST:
        raise ArchError(_too_deep(parts, source))
    return depth


def _too_deep(parts: list[Symbol], source: Source) -> Diagnostic:
    mark = next(part.value for part in parts if isinstance(part.value, Token))
    hints = ("give a part of it a name on a line of its own",)
    return Diagnostic("P10", f"this is nested more than {DEEPEST} levels deep", mark.span(source), hints=hints)
