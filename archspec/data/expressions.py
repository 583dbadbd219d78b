"""Expressions of a `data` section, evaluated to values: scalars, sources, columns, recipes and splits."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable, Mapping, Sequence
from operator import add, mul, sub, truediv
from typing import NoReturn, cast

from archspec.data.files import Folder
from archspec.data.functions import FUNCTIONS, call
from archspec.data.parameters import Argument
from archspec.data.problems import problem, quoted, similar_columns
from archspec.data.recipe import Constant, Recipe, combine
from archspec.data.values import Failed, Scalar, Selection, Source, Value, as_columns, describe
from archspec.diagnostics import ArchError, Span, did_you_mean
from archspec.frontend import syntax
from archspec.records import record, replace

_MOST_MATCHES = 10_000_000  # a few seconds
_EXACT = 1 << 53  # above it not every whole number is a float


@record
class Scope:
    """The names that an expression can use, and the folder that it can read.

    used  the sources that columns have been picked from so far; evaluating adds to it
    """

    names: Mapping[str, Value]
    folder: Folder
    used: dict[str, Source]


def evaluate(expression: syntax.Expression, scope: Scope) -> Value:
    """The value of `expression`."""
    match expression:
        case syntax.Number() | syntax.String() | syntax.Boolean():
            return expression.value
        case syntax.List():
            return _list(expression, scope)
        case syntax.Name():
            return _name(expression, scope)
        case syntax.Index():
            return _select(expression, scope)
        case syntax.Call():
            return _call(expression.function, expression.arguments, (), expression.span, scope)
        case syntax.Pipe():
            return _pipe(expression, scope)
        case syntax.Unary(operator="-"):
            return _negate(expression, scope)
        case syntax.Binary() if expression.operator in _SCALAR:
            return _binary(expression, scope)
    raise problem("D04", "a `data` section cannot use this", expression.span, hints=[_ALLOWED])


_ALLOWED = "it knows numbers, strings, lists, names, `source[…]`, calls, `|>` and `+ - * / ^`"


def _list(expression: syntax.List, scope: Scope) -> Value:
    items = tuple(evaluate(item, scope) for item in expression.items)
    for item, node in zip(items, expression.items, strict=True):
        if not isinstance(item, Scalar):
            raise problem("D05", f"a list holds numbers and strings, not {describe(item)}", node.span)
    return cast(tuple[Scalar, ...], items)


def _name(expression: syntax.Name, scope: Scope) -> Value:
    value = scope.names.get(expression.id)
    if isinstance(value, Failed):
        raise ArchError(())  # reported where the name was bound
    if value is not None:
        return value
    if expression.id in FUNCTIONS:
        raise problem(
            "D05", f"{quoted(expression.id)} is a function", expression.span, hints=[f"call it: `{expression.id}(…)`"]
        )
    hints = did_you_mean(expression.id, scope.names)
    raise problem("D01", f"unknown name {quoted(expression.id)}", expression.span, hints=hints)


# --- columns -----------------------------------------------------------------------------------------------------


def _select(expression: syntax.Index, scope: Scope) -> Selection:
    source = evaluate(expression.value, scope)
    if not isinstance(source, Source):
        raise problem("D05", f"columns are picked from a source, not from {describe(source)}", expression.value.span)
    if expression.where is not None:
        raise problem("D04", "columns are picked by name, without a condition", expression.where.span)
    if len(expression.indices) * len(source.columns) > _MOST_MATCHES:
        raise problem("D24", f"too many patterns for {len(source.columns):,} columns", expression.span)
    picked: list[str] = []
    for position, node in enumerate(expression.indices):
        pattern = evaluate(node, scope)
        if not isinstance(pattern, str):
            hint = 'write a name or a pattern: `source["p*"]`'
            raise problem("D05", f"columns are picked by name, not by {describe(pattern)}", node.span, hints=[hint])
        picked = _picked(picked, pattern, source, node.span, first=position == 0)
    if not picked:
        raise problem("D06", "no column is left", expression.span)
    scope.used[source.name] = source
    return Selection(source.name, tuple(picked), expression.span)


def _picked(picked: list[str], pattern: str, source: Source, span: Span, first: bool) -> list[str]:
    """`picked` after one more pattern: columns added in the order of the file or, after `!`, taken away."""
    takes_away = pattern.startswith("!") and pattern not in source.columns
    found = _matching(pattern[1:] if takes_away else pattern, source, span)
    if takes_away:
        gone = set(found)
        return [name for name in (source.columns if first else picked) if name not in gone]
    return list(dict.fromkeys([*picked, *found]))


def _matching(pattern: str, source: Source, span: Span) -> Sequence[str]:
    """A name means itself even where it looks like a pattern; `*` and `?` are the only wildcards."""
    if pattern in source.columns:
        return [pattern]
    matches = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    found = [name for name in source.columns if matches(name)]
    if not found:
        hints = similar_columns(pattern, source.columns)
        raise problem("D06", f"{quoted(source.path)} has no column {quoted(pattern)}", span, hints=hints)
    return found


# --- calls -------------------------------------------------------------------------------------------------------


def _pipe(expression: syntax.Pipe, scope: Scope) -> Value:
    fed = (syntax.Argument(expression.value.span, None, expression.value),)
    match expression.stage:
        case syntax.Call(function=function, arguments=arguments):
            return _call(function, arguments, fed, expression.stage.span, scope)
        case syntax.Name():
            return _call(expression.stage, (), fed, expression.stage.span, scope)
    raise problem("D04", "a pipe leads into a function", expression.stage.span)


def _call(
    function: syntax.Expression,
    arguments: tuple[syntax.Argument, ...],
    fed: tuple[syntax.Argument, ...],
    span: Span,
    scope: Scope,
) -> Value:
    if not isinstance(function, syntax.Name):
        raise problem("D04", "only a function can be called", function.span)
    given = [Argument(a.name, evaluate(a.value, scope), a.value.span, _name_span(a)) for a in (*fed, *arguments)]
    scope.used.update({a.value.name: a.value for a in given if isinstance(a.value, Source)})
    return call(function.id, given, scope.folder, span, function.span)


def _name_span(argument: syntax.Argument) -> Span:
    """The name of a named argument, or all of a positional one."""
    start = argument.span
    return replace(start, end_line=start.line, end_column=start.column + len(argument.name)) if argument.name else start


# --- arithmetic --------------------------------------------------------------------------------------------------


def _negate(expression: syntax.Unary, scope: Scope) -> Value:
    value = evaluate(expression.operand, scope)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return -value
    columns = as_columns(value)
    if columns is None:
        _fail_operand("-", value, expression.operand.span)
    return combine("negate", (columns,), (), expression.span)


def _binary(expression: syntax.Binary, scope: Scope) -> Value:
    left, right = evaluate(expression.left, scope), evaluate(expression.right, scope)
    a = _operand(expression.operator, left, expression.left.span)
    b = _operand(expression.operator, right, expression.right.span)
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _scalar(expression, cast(float, left), cast(float, right))
    return combine(expression.operator, (a, b), (), expression.span)


def _operand(operator: str, value: Value, span: Span) -> Recipe:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(span, _float(value, span))
    columns = as_columns(value)
    if columns is None:
        _fail_operand(operator, value, span)
    return columns


def _fail_operand(operator: str, value: Value, span: Span) -> NoReturn:
    hints = ['pick columns: `source["p*"]`'] if isinstance(value, Source) else []
    raise problem("D05", f"`{operator}` takes columns and numbers, not {describe(value)}", span, hints=hints)


def _float(value: float, span: Span) -> float:
    try:
        return float(value)
    except OverflowError:
        raise problem("D23", "the number is too large", span) from None


def _scalar(expression: syntax.Binary, left: float, right: float) -> Value:
    """The result of arithmetic on two numbers, whole where both are and a float can hold it."""
    try:
        result = _SCALAR[expression.operator](left, right)
        if not isinstance(result, complex) and math.isfinite(result):
            return result
    except ZeroDivisionError:
        raise problem("D23", "division by zero", expression.span) from None
    except OverflowError:  # as isfinite does for whole numbers past the range of floats
        pass
    raise problem("D23", "the result is not a finite number", expression.span)


def _power(left: float, right: float) -> float | complex:
    """Through floats, so that a tower of powers overflows at once instead of filling the memory."""
    result = float(left) ** float(right)
    whole = isinstance(left, int) and isinstance(right, int) and isinstance(result, float) and abs(result) < _EXACT
    return int(result) if whole and result == int(result) else result


_SCALAR: Mapping[str, Callable[[float, float], float | complex]] = {
    "+": add,
    "-": sub,
    "*": mul,
    "/": truediv,
    "^": _power,
}
