"""The parser once more, without values, over a file that it refused: to go on after a mistake and find the next."""

from __future__ import annotations

from archspec.diagnostics import Diagnostic, Source
from archspec.frontend.automaton import Tables, load_tables
from archspec.frontend.errors.brackets import find_fault
from archspec.frontend.errors.explain import explain
from archspec.frontend.errors.mistake import UNIT_ENDS, Mistake, is_keyword
from archspec.frontend.newlines import CLOSER
from archspec.frontend.tokens import Token, end_of_file
from archspec.records import record

MOST_MISTAKES = 20

# What a mistake is confined to: the rest of it is skipped, and what follows is read as if it had been right.
_UNITS = ("statement", "entry", "item")


@record
class Frame:
    """A symbol on the stack: the state after it and the position of its first token."""

    state: int
    first: int


def find_mistakes(source: Source, tokens: list[Token]) -> list[Diagnostic]:
    """What is wrong with `tokens`, which the grammar refuses, in the order of the file."""
    tables, tokens = load_tables(), [*tokens, end_of_file(tokens)]
    fault = find_fault(tokens)
    found: list[Diagnostic] = []
    stack, position = [Frame(tables.start, 0)], 0
    while position < len(tokens) and len(found) < MOST_MISTAKES:
        before = stack.copy()
        if _advance(tables, stack, tokens[position].kind, position):
            position += 1
            continue
        unit, stack, first = _abandon(tables, before, position)
        mistake = Mistake(source, tokens, position, first, unit, _accepted(tables, before), fault)
        found.append(explain(mistake))
        if mistake.found.kind == "$END" or _is_hopeless(mistake):
            break
        if mistake.brace_follows:
            stack, position = before, position + 1
            continue
        position = _resume(tables, stack, mistake, found[-1].code == "P13")
    return found


def _is_hopeless(mistake: Mistake) -> bool:
    """Whether brackets do not match around here, so that it is unclear which lines belong together."""
    return mistake.is_fault or (mistake.fault is not None and mistake.found.kind in CLOSER.values())


def _advance(tables: Tables, stack: list[Frame], kind: str, position: int) -> bool:
    """Whether a token of this kind is taken. If so, `stack` is the stack after it."""
    while (action := tables.actions[stack[-1].state].get(kind)) is not None:
        if action >= 0:
            stack.append(Frame(action, position))
            return True
        _reduce(tables, stack, -1 - action, position)
        if stack[-1].state == tables.end:
            return kind == "$END"
    return False


def _reduce(tables: Tables, stack: list[Frame], rule: int, position: int) -> None:
    origin, size, _, _ = tables.rules[rule]
    first = stack[-size].first if size else position
    del stack[len(stack) - size :]
    stack.append(Frame(tables.gotos[stack[-1].state][origin], first))


def _accepted(tables: Tables, stack: list[Frame]) -> frozenset[str]:
    """The kinds of token that could come next."""
    kinds = {kind for row in tables.actions for kind in row}
    return frozenset(kind for kind in kinds if _advance(tables, stack.copy(), kind, 0))


def _abandon(tables: Tables, stack: list[Frame], position: int) -> tuple[str, list[Frame], int]:
    """The kind of unit that was being read, the stack before it, and the position of its first token."""
    stack, first = stack.copy(), position
    # After a `}` the body is complete whatever follows; without this its last statement would be the unit.
    while stack[-1].state != tables.end and len(actions := {*tables.actions[stack[-1].state].values()}) == 1:
        if (action := actions.pop()) >= 0:
            break
        _reduce(tables, stack, -1 - action, position)
    while True:
        unit = next((unit for unit in _UNITS if unit in tables.gotos[stack[-1].state]), None)
        if unit:
            return unit, stack, first
        first = stack.pop().first


def _resume(tables: Tables, stack: list[Frame], mistake: Mistake, is_broken_line: bool) -> int:
    """The position to go on from. `stack`, as it was before the unit of the mistake, becomes the one to go on with."""
    brace = _body_of(mistake)
    if brace:
        for kind in _HEADERS[mistake.start.kind]:
            _advance(tables, stack, kind, mistake.first)
        return brace
    stack.append(Frame(tables.gotos[stack[-1].state][mistake.unit], mistake.first))
    return _end_of_continuation(mistake) if is_broken_line and not mistake.starts_unit else mistake.end


# For a mistake before the body of a block and the like: the shortest right way to come to the `{`.
_HEADERS = {
    "block": ["block", "NAME", "(", ")", "->", "NAME", "[", "]"],
    "model": ["model", "NAME", "(", ")", "->", "NAME", "[", "]"],
    "if": ["if", "NAME"],
    "over": ["over", "NAME", "in", "NAME"],
}


def _body_of(mistake: Mistake) -> int | None:
    """The position of the `{` of the body that the mistake is in front of."""
    if mistake.starts_unit or mistake.start.kind not in _HEADERS:
        return None
    depth = 0
    for position in range(mistake.first, mistake.end):
        kind = mistake.tokens[position].kind
        if kind == "{" and depth == 0 and position >= mistake.position:
            return position
        depth += (kind in CLOSER) - (kind in CLOSER.values())
    return None


def _end_of_continuation(mistake: Mistake) -> int:
    """The end of the line after the unit if that line only goes on with a value, else the end of the unit."""
    tokens, start = mistake.tokens, mistake.end + 1
    end = next((p for p in range(start, len(tokens)) if tokens[p].kind in UNIT_ENDS), start)
    line = tokens[start:end]
    is_value = bool(line) and not is_keyword(line[0]) and all(token.kind != "=" for token in line)
    return end if is_value else mistake.end
