"""The parser once more, without values, over a file that it refused: to go on after a mistake and find the next."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.diagnostics import Diagnostic, Source
from archspec.frontend.automaton import Tables, load_tables
from archspec.frontend.errors.brackets import find_fault
from archspec.frontend.errors.explain import explain
from archspec.frontend.errors.mistake import UNIT_ENDS, Mistake, is_keyword
from archspec.frontend.tokens import Token, end_of_file

MOST_MISTAKES = 20

# What a mistake is confined to: the rest of it is skipped, and what follows is read as if it had been right.
_UNITS = ("statement", "entry", "item")


@dataclass(frozen=True)
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
        unit, stack = _abandon(tables, before, position)
        mistake = Mistake(source, tokens, position, stack[-1].first, unit, _accepted(tables, before), fault)
        found.append(explain(mistake))
        # Beyond an open bracket it is unclear which lines belong together.
        if mistake.is_fault or mistake.found.kind == "$END":
            break
        position = mistake.end
        if found[-1].code == "P13" and not mistake.starts_unit:
            position = _end_of_continuation(tokens, position)
    return found


def _advance(tables: Tables, stack: list[Frame], kind: str, position: int) -> bool:
    """Whether a token of this kind is taken. If so, `stack` is the stack after it."""
    while (action := tables.actions[stack[-1].state].get(kind)) is not None:
        if action >= 0:
            stack.append(Frame(action, position))
            return True
        origin, size, _, _ = tables.rules[-1 - action]
        first = stack[-size].first if size else position
        del stack[len(stack) - size :]
        stack.append(Frame(tables.gotos[stack[-1].state][origin], first))
        if stack[-1].state == tables.end:
            return kind == "$END"
    return False


def _accepted(tables: Tables, stack: list[Frame]) -> frozenset[str]:
    """The kinds of token that could come next."""
    kinds = {kind for row in tables.actions for kind in row}
    return frozenset(kind for kind in kinds if _advance(tables, stack.copy(), kind, 0))


def _abandon(tables: Tables, stack: list[Frame], position: int) -> tuple[str, list[Frame]]:
    """The kind of unit that was being read, and the stack as if all of it had been read."""
    stack, first = stack.copy(), position
    while True:
        gotos = tables.gotos[stack[-1].state]
        for unit in _UNITS:
            if unit in gotos:
                return unit, [*stack, Frame(gotos[unit], first)]
        first = stack.pop().first


def _end_of_continuation(tokens: list[Token], position: int) -> int:
    """The end of the line after `position` if that line only goes on with a value, else `position`."""
    end = next((p for p in range(position + 1, len(tokens)) if tokens[p].kind in UNIT_ENDS), position)
    line = tokens[position + 1 : end]
    is_value = bool(line) and not is_keyword(line[0]) and all(token.kind != "=" for token in line)
    return end if is_value else position
