"""What a reduction leaves out: the points that `where` excludes, and those past the end of a row.

sum   0 in their place             max, min   infinity in their place, 0 where nothing is left
mean  by the count of the rest     argmax     the same as max
"""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.build import Loops, Term
from archspec.ir.graph import BOOL
from archspec.ir.sizes import Axis, shape_text
from archspec.lower.align import combine, held_by, place_axes
from archspec.lower.scope import Context, Scope
from archspec.lower.values import Tensor, Truth, kind_of

WORST = {"max": float("-inf"), "argmax": float("-inf"), "min": float("inf")}


def condition(node: syntax.Expression, scope: Scope) -> Tensor | Truth:
    """A condition after `where`. What is known when the spec is read is decided: `j <= i or true` masks nothing."""
    if isinstance(node, syntax.Binary) and node.operator in ("and", "or"):
        left, right = condition(node.left, scope), condition(node.right, scope)
        return _joined(node, left, right, scope)
    if isinstance(node, syntax.Unary) and node.operator == "not":
        inner = condition(node.operand, scope)
        return Truth(not inner.value) if isinstance(inner, Truth) else combine("not", [inner], node.span, scope)
    value = scope.context.evaluate(node, scope)
    if isinstance(value, Truth) and value.value is None:
        message = "this condition hangs on a size that is not known yet"
        raise ArchError(Diagnostic("S07", message, node.span, hints=("give it a size: dim NAME = …",)))
    if isinstance(value, Tensor) and scope.builder.node(value.value).dtype != BOOL:
        holds = held_by(scope.builder.node(value.value))
        message = f"`where` needs truth values, and this holds {holds}"
        raise ArchError(Diagnostic("S09", message, node.span, hints=("compare: `j <= i`, `x > 0`",)))
    if not isinstance(value, Tensor | Truth):
        message = f"`where` needs a condition, not {kind_of(value)}"
        raise ArchError(Diagnostic("S09", message, node.span, hints=("compare: `j <= i`, `x > 0`",)))
    return value


def _joined(node: syntax.Binary, left: Tensor | Truth, right: Tensor | Truth, scope: Scope) -> Tensor | Truth:
    decisive = node.operator == "or"
    for value, other in ((left, right), (right, left)):
        if isinstance(value, Truth):
            return value if value.value is decisive else other
    return combine(node.operator, [left, right], node.span, scope)


def mask_of(node: syntax.Index, scope: Scope) -> Tensor | None:
    """The mask that `where` in a bracket makes; None where it leaves nothing out."""
    if node.where is None:
        return None
    found = condition(node.where, scope)
    if isinstance(found, Truth):
        return None if found.value else Tensor(scope.builder.constant(False, BOOL))
    return found


# --- the ends of rows --------------------------------------------------------------------------------------------


def length_of(axis: Axis, context: Context) -> int | None:
    """The input that holds the lengths of the rows along `axis`; None where all are equally long."""
    return context.lengths.get(str(context.real(axis).size))


def within_row(loops: Loops, loop: int, context: Context) -> Term | None:
    """Whether the point lies before the end of its row; None where there is no row or no end to it."""
    lengths = length_of(loops.axes[loop], context)
    row = row_of(loops.axes, lengths, context)
    if lengths is None or row is None:
        return None
    return loops.map("less", loops.position(loop), loops.term(lengths, (row,)))


def row_of(axes: Sequence[Axis], lengths: int | None, context: Context) -> int | None:
    """Which of `axes` counts the rows whose lengths those are."""
    if lengths is None:
        return None
    (rows,) = context.builder.node(lengths).axes
    return next((k for k, axis in enumerate(axes) if context.real(axis) == rows), None)


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


# --- reductions --------------------------------------------------------------------------------------------------


def reduce_masked(name: str, tensor: Tensor, over: Sequence[int], mask: Tensor | None, span: Span, scope: Scope) -> Tensor:
    """`name` of a tensor over some of its axes, without what is masked."""
    builder = scope.builder
    axes = builder.node(tensor.value).axes
    extra = [a for a in builder.node(mask.value).axes if a not in axes] if mask else []
    loops = Loops(builder, (*axes, *extra))
    x = loops.term(tensor.value)
    kept = _kept(loops, over, len(axes), mask, span, scope)
    if kept is None:
        return Tensor(_plain(name, loops, x, over).value)
    return Tensor(_MASKED[name](name, loops, x, kept, over).value)


def _kept(loops: Loops, over: Sequence[int], rank: int, mask: Tensor | None, span: Span, scope: Scope) -> Term | None:
    """What the reduction counts, as truth values."""
    terms = [_placed(loops, mask, span)] if mask is not None else []
    for loop in range(rank):
        is_bound, bound = scope.mask_of(loops.axes[loop])
        row = row_of(loops.axes[:rank], length_of(loops.axes[loop], scope.context), scope.context)
        if is_bound and bound is not None and loop in over:
            terms.append(_placed(_wider(loops, bound), bound, span))
        elif not is_bound and row is not None and {loop, row} & set(over):
            inside = within_row(loops, loop, scope.context)
            terms += [inside] if inside is not None else []
    total = None
    for term in terms:
        total = term if total is None else total.apply("and", term)
    return total


def _wider(loops: Loops, mask: Tensor) -> Loops:
    more = [a for a in loops.builder.node(mask.value).axes if a not in loops.axes]
    return Loops(loops.builder, (*loops.axes, *more))


def _placed(loops: Loops, mask: Tensor, span: Span) -> Term:
    axes = loops.builder.node(mask.value).axes
    index = place_axes(axes, loops.axes)
    if index is None:
        message = f"the condition {shape_text(axes)} cannot align with {shape_text(loops.axes)}"
        hint = "an axis occurs twice, so its name does not say which is meant: use an index equation"
        raise ArchError(Diagnostic("S03", message, span, hints=(hint,)))
    return loops.term(mask.value, index)


def _plain(name: str, loops: Loops, x: Term, over: Sequence[int]) -> Term:
    if name == "mean":
        return loops.reduce("sum", x, over) / loops.extent(over) if over else x
    return loops.reduce(name, x, over) if over or name == "argmax" else x


def _masked_sum(name: str, loops: Loops, x: Term, kept: Term, over: Sequence[int]) -> Term:
    loops = kept.loops
    return loops.reduce("sum", kept.apply("where", _in(x, loops), loops.number(0.0)), over)


def _masked_mean(name: str, loops: Loops, x: Term, kept: Term, over: Sequence[int]) -> Term:
    total = _masked_sum("sum", loops, x, kept, over)
    return total / count_of(kept, over).apply("maximum", kept.loops.number(1.0))


def count_of(kept: Term, over: Sequence[int]) -> Term:
    """How many points of the loops `over` are kept."""
    loops = kept.loops
    count = loops.reduce("sum", kept.apply("number"), [k for k in over if k in kept.index])
    rest = [k for k in over if k not in kept.index]
    return count * loops.extent(rest) if rest else count


def _masked_extremum(name: str, loops: Loops, x: Term, kept: Term, over: Sequence[int]) -> Term:
    loops = kept.loops
    best = loops.reduce(name, kept.apply("where", _in(x, loops), loops.number(WORST[name])), over)
    if name == "argmax":
        return best
    found = best > WORST["max"] if name == "max" else best < WORST["min"]
    return found.apply("where", best, loops.number(0.0))


def _in(x: Term, loops: Loops) -> Term:
    return Term(loops, x.value, x.index)


_MASKED = {
    "sum": _masked_sum,
    "mean": _masked_mean,
    "max": _masked_extremum,
    "min": _masked_extremum,
    "argmax": _masked_extremum,
}
