"""One maker for each rule of the grammar: the span and the children of the rule in, the node out.

A child is a token, what another maker returned, or None where an optional part is absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax as s
from archspec.frontend.tokens import Token

LARGEST_INTEGER = 2**53
LONGEST_STRING = 10_000

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
# What other languages call a truth value or nothing. Read as a name it would only be unknown.
_FOREIGN_VALUES = {
    "True": "write `true`",
    "False": "write `false`",
    "None": "every name has a value; leave a setting out to get its default",
    "null": "every name has a value; leave a setting out to get its default",
}


# --- words -------------------------------------------------------------------------------------------------------


def name(span: Span, token: Token) -> s.Name:
    if token.text in _FOREIGN_VALUES:
        message, hint = f"`{token.text}` is not a word of the language", _FOREIGN_VALUES[token.text]
        raise ArchError(Diagnostic("P07", message, span, hints=(hint,)))
    return s.Name(span, token.text)


def number(span: Span, token: Token) -> s.Number:
    digits = token.text.replace("_", "")
    value = float(digits) if token.kind == "FLOAT" else _integer(digits)
    if math.isinf(value):
        raise ArchError(Diagnostic("P10", "this number is too large", span, hints=(_limits(token),)))
    return s.Number(span, value)


def _integer(digits: str) -> float:
    # Python refuses to convert integers of more than 4300 digits, so their length is looked at first.
    value = int(digits) if len(digits.lstrip("0")) < 20 else math.inf
    return value if value <= LARGEST_INTEGER else math.inf


def _limits(token: Token) -> str:
    return "the largest float is about 1.8e308" if token.kind == "FLOAT" else f"integers go up to 2^53 = {LARGEST_INTEGER}"


def string(span: Span, token: Token) -> s.String:
    value = token.text[1:-1]
    if "\\" in value:
        value = re.sub(r"\\(.)", lambda match: _unescaped(match, span), value)
    if len(value) > LONGEST_STRING:
        found = f"this string has {len(value)} characters, more than the {LONGEST_STRING} that are allowed"
        raise ArchError(Diagnostic("P10", found, span))
    return s.String(span, value)


def _unescaped(match: re.Match[str], span: Span) -> str:
    if match[1] in _ESCAPES:
        return _ESCAPES[match[1]]
    column = span.column + 1 + match.start()
    place = Span(span.source, span.line, column, span.line, column + 2)
    hint = 'the escapes are \\" \\\\ \\n and \\t; write `\\\\` for a backslash'
    raise ArchError(Diagnostic("P03", f"a string has no escape `{match[0]}`", place, hints=(hint,)))


def boolean(span: Span, token: Token) -> s.Boolean:
    return s.Boolean(span, token.kind == "true")


def word(span: Span, token: Token) -> str:
    return token.text


def sequence(span: Span, *items: Any) -> tuple[Any, ...]:
    return items


def _text(token: Token | None) -> str | None:
    return token.text if token else None


# --- expressions -------------------------------------------------------------------------------------------------


def group(span: Span, token: Token) -> s.Group:
    return s.Group(span, token.text)


def bound(span: Span, token: Token, axis: s.Expression) -> s.Bound:
    return s.Bound(span, token.text, axis)


def attribute(span: Span, value: s.Expression, token: Token) -> s.Attribute:
    return s.Attribute(span, value, token.text)


def indices(span: Span, *items: Any) -> tuple[tuple[s.Expression, ...], s.Expression | None]:
    *axes, where = items
    return tuple(axes), where


def index(span: Span, value: s.Expression, inside: tuple[tuple[s.Expression, ...], s.Expression | None]) -> s.Index:
    return s.Index(span, value, *inside)


def argument(span: Span, token: Token | None, value: s.Expression) -> s.Argument:
    return s.Argument(span, _text(token), value)


def unary(span: Span, operator: Token, operand: s.Expression) -> s.Unary:
    return s.Unary(span, operator.text, operand)


def binary(span: Span, left: s.Expression, operator: Token, right: s.Expression) -> s.Binary:
    return s.Binary(span, operator.text, left, right)


def conditional(span: Span, then: s.Expression, condition: s.Expression, otherwise: s.Expression) -> s.Conditional:
    return s.Conditional(span, condition, then, otherwise)


def repeat(span: Span, token: Token | None, count: s.Expression, body: tuple[s.Expression, ...]) -> s.Repeat:
    return s.Repeat(span, _text(token), count, body)


def list_(span: Span, *items: s.Expression) -> s.List:
    return s.List(span, items)


# --- statements --------------------------------------------------------------------------------------------------


def file(span: Span, *items: s.Statement) -> s.File:
    return s.File(span.source, items)


def import_(span: Span, path: s.String, alias: Token | None) -> s.Import:
    return s.Import(span, path, _text(alias))


def let(span: Span, *bindings: s.Binding) -> s.Let:
    return s.Let(span, bindings)


def binding(span: Span, token: Token, value: s.Expression, search: s.Expression | None) -> s.Binding:
    return s.Binding(span, token.text, value, search)


def dim(span: Span, *entries: s.DimEntry) -> s.Dim:
    return s.Dim(span, entries)


def dim_entry(span: Span, token: Token, ragged: Token | None, value: s.Expression | None) -> s.DimEntry:
    return s.DimEntry(span, token.text, ragged is not None, value)


def tensor(span: Span, token: Token, axes: tuple[s.Expression, ...], of: s.Expression | None) -> s.TensorDeclaration:
    return s.TensorDeclaration(span, token.text, axes, of)


def setting(span: Span, token: Token, default: s.Expression | None) -> s.SettingParameter:
    return s.SettingParameter(span, token.text, default)


def setting_group(span: Span, token: Token) -> s.SettingParameter:
    return s.SettingParameter(span, token.text, None, True)


Parameters = tuple[tuple[s.TensorDeclaration, ...], tuple[s.SettingParameter, ...]]


def parameters(span: Span, *items: s.TensorDeclaration | s.SettingParameter) -> Parameters:
    tensors = tuple(p for p in items if isinstance(p, s.TensorDeclaration))
    settings = tuple(p for p in items if isinstance(p, s.SettingParameter))
    late = next((p for p in items[len(tensors) :] if isinstance(p, s.TensorDeclaration)), None)
    if late:
        raise ArchError(_late_tensor(late, settings[0]))
    return tensors, settings


def _late_tensor(late: s.TensorDeclaration, setting: s.SettingParameter) -> Diagnostic:
    message = f"the tensor `{late.name}` comes after the setting `{setting.name}`"
    return Diagnostic("P09", message, late.span, hints=("tensors come first, so that a pipe can feed them",))


def block(
    span: Span,
    kind: str,
    token: Token,
    axes: tuple[s.Name | s.Group, ...] | None,
    slots: Parameters,
    results: tuple[s.TensorDeclaration, ...],
    body: tuple[s.Statement, ...],
) -> s.Block:
    for stray in _states(body):
        hint = "it holds what one step of `over t in T { … }` passes to the next"
        raise ArchError(Diagnostic("P09", "`state` belongs inside `over`", stray.span, hints=(hint,)))
    return s.Block(span, kind, token.text, axes or (), *slots, results, body, token.span(span.source))


def _states(body: tuple[s.Statement, ...]) -> Iterator[s.State]:
    """The `state` statements of `body` that no `over` holds."""
    for statement in body:
        if isinstance(statement, s.State):
            yield statement
        elif isinstance(statement, s.If):
            yield from _states(statement.then)
            yield from _states(statement.otherwise)


def weight(
    span: Span, token: Token, axes: tuple[s.Expression, ...], initializer: s.Expression | None, frozen: Token | None
) -> s.Weight:
    return s.Weight(span, token.text, axes, initializer, frozen is not None)


def layer(span: Span, token: Token, value: s.Expression) -> s.Layer:
    return s.Layer(span, token.text, value)


def target(span: Span, token: Token, indices: tuple[s.Expression, ...] | None, of: s.Expression | None) -> s.Target:
    return s.Target(span, token.text, indices, of)


def if_(span: Span, condition: s.Expression, then: tuple[s.Statement, ...], otherwise: tuple[s.Statement, ...] = ()) -> s.If:
    return s.If(span, condition, then, otherwise)


def over(
    span: Span,
    token: Token,
    axis: s.Expression,
    is_reversed: Token | None,
    carry: Token | None,
    body: tuple[s.Statement, ...],
) -> s.Over:
    return s.Over(span, token.text, axis, is_reversed is not None, carry is not None, body)


def state(span: Span, *entries: s.StateEntry) -> s.State:
    return s.State(span, entries)


def state_entry(span: Span, token: Token, axes: tuple[s.Expression, ...], initial: s.Expression) -> s.StateEntry:
    return s.StateEntry(span, token.text, axes, initial)


# --- the table ---------------------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[..., Any]] = {
    "argument": argument,
    "arguments": sequence,
    "assign": s.Assign,
    "attribute": attribute,
    "axes": sequence,
    "axis_names": sequence,
    "binary": binary,
    "binding": binding,
    "block": block,
    "block_kind": word,
    "body": sequence,
    "boolean": boolean,
    "bound": bound,
    "call": s.Call,
    "conditional": conditional,
    "dim": dim,
    "dim_entry": dim_entry,
    "else_if": sequence,
    "entries": sequence,
    "file": file,
    "group": group,
    "if": if_,
    "import": import_,
    "index": index,
    "indices": indices,
    "layer": layer,
    "let": let,
    "list": list_,
    "name": name,
    "number": number,
    "over": over,
    "parameters": parameters,
    "pipe": s.Pipe,
    "repeat": repeat,
    "require": s.Require,
    "results": sequence,
    "rule": s.Rule,
    "section": s.Section,
    "section_kind": word,
    "setting": setting,
    "setting_group": setting_group,
    "spread": s.Spread,
    "stages": sequence,
    "state": state,
    "state_entry": state_entry,
    "string": string,
    "target": target,
    "targets": sequence,
    "tensor": tensor,
    "unary": unary,
    "weight": weight,
}

# A node made by one of these stands a level above the deepest of its children.
NESTING = frozenset("attribute binary block bound call conditional if index list over pipe repeat rule section unary".split())
