"""How long rows are along an axis, and what lies past their ends.

The lengths along a ragged axis T are an input. Along an axis that is made of T, the places of a window such as
`floor((T-1)/2)`, each row is as long as the same equation makes of its own length, and 0 where that is below 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.ir.build import Loops, Term
from archspec.ir.graph import INT
from archspec.ir.sizes import Axis, Size, floor_of, shape_text
from archspec.lower.scope import Context, Scope
from archspec.lower.values import Tensor


def is_ragged(axis: Axis, context: Context) -> bool:
    """Whether rows differ in length along `axis`."""
    return bool(context.lengths) and bool(context.real(axis).size.roots & context.lengths.keys())


def length_of(axis: Axis, context: Context) -> int | None:
    """The value that holds the lengths of the rows along `axis`; None where all are equally long."""
    size = context.real(axis).size
    known = context.lengths.get(str(size))
    if known is not None or not is_ragged(axis, context):
        return known
    return row_length(size, context).apply("maximum", _rows(size, context).number(0, INT)).value


def row_length(size: Size, context: Context) -> Term:
    """What a size is for each row, where each ragged axis in it is as long as the row."""
    return _polynomial(size, _rows(size, context), context)


def _rows(size: Size, context: Context) -> Loops:
    name = min(size.roots & context.lengths.keys())
    return Loops(context.builder, context.builder.node(context.lengths[name]).axes)


def _polynomial(size: Size, loops: Loops, context: Context) -> Term:
    terms = [_monomial(monomial, coefficient, loops, context) for monomial, coefficient in size.terms]
    return reduce(lambda a, b: a.apply("add", b), terms)


def _monomial(symbols: Sequence[str], coefficient: int, loops: Loops, context: Context) -> Term:
    factors = [_symbol(symbol, loops, context) for symbol in symbols]
    if coefficient != 1 or not factors:
        factors.append(loops.number(coefficient, INT))
    return reduce(lambda a, b: a.apply("multiply", b), factors)


def _symbol(symbol: str, loops: Loops, context: Context) -> Term:
    rounded = floor_of(symbol)
    if rounded is not None:
        above, by = rounded
        return _polynomial(above, loops, context).apply("floor_divide", loops.number(by, INT))
    if symbol in context.lengths:
        return loops.term(context.lengths[symbol])
    return loops.number(context.builder.sizes[symbol], INT)


def within_row(loops: Loops, loop: int, context: Context) -> Term | None:
    """Whether the point lies before the end of its row; None where there is no row or no end to it."""
    if not is_ragged(loops.axes[loop], context):
        return None
    lengths = length_of(loops.axes[loop], context)
    row = row_of(loops.axes, lengths, context)
    if lengths is None or row is None:
        return None
    return loops.map("less", loops.position(loop), loops.term(lengths, (row,)))


def row_of(axes: Iterable[Axis], lengths: int | None, context: Context) -> int | None:
    """Which of `axes` counts the rows whose lengths those are."""
    if lengths is None:
        return None
    (rows,) = context.builder.node(lengths).axes
    return next((k for k, axis in enumerate(axes) if context.real(axis) == rows), None)


def without_rows(name: str, axis: Axis, axes: Iterable[Axis], span: Span, context: Context) -> ArchError:
    """The error for what goes by the ends of rows where nothing counts the rows."""
    lengths = length_of(axis, context)
    assert lengths is not None
    real, rows = context.real(axis), context.builder.node(lengths).axes[0]
    message = f"`{name}` over {real}: each row ends elsewhere, and {shape_text(map(context.real, axes))} has no axis {rows}"
    hint = f"join it first with a tensor that has {rows}, as in x + p"
    return ArchError(Diagnostic("S08", message, span, hints=(hint,)))


def ends_cleared(value: int, axis: int, scope: Scope) -> int:
    """`value` with zeros past the ends of the rows along one axis."""
    loops = Loops(scope.builder, scope.builder.node(value).axes)
    inside = within_row(loops, axis, scope.context)
    if inside is None:
        return value
    x = loops.term(value)
    return inside.apply("where", x, loops.number(0, x.node.dtype), dtype=x.node.dtype).value


def valid_along(axes: Sequence[Axis], axis: int, scope: Scope) -> Tensor | None:
    """Where a tensor with these axes holds something along one of them."""
    inside = within_row(Loops(scope.builder, tuple(axes)), axis, scope.context)
    return None if inside is None else Tensor(inside.value)
