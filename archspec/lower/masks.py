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
from archspec.lower.lengths import is_ragged, length_of, row_of, without_rows
from archspec.lower.scope import Scope
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


# --- reductions --------------------------------------------------------------------------------------------------


def reduce_masked(name: str, tensor: Tensor, over: Sequence[int], mask: Tensor | None, span: Span, scope: Scope) -> Tensor:
    """`name` of a tensor over some of its axes, without what is masked."""
    builder = scope.builder
    axes = builder.node(tensor.value).axes
    loops = Loops(builder, (*axes, *_more_axes(axes, over, mask, scope)))
    x = loops.term(tensor.value)
    kept = _kept(name, loops, over, len(axes), mask, span, scope)
    if kept is None:
        return Tensor(_plain(name, loops, x, over).value)
    return Tensor(_MASKED[name](name, loops, x, kept, over).value)


def _more_axes(axes: Sequence[Axis], over: Sequence[int], mask: Tensor | None, scope: Scope) -> list[Axis]:
    """The axes that conditions have and what is reduced has not."""
    shapes = [scope.builder.node(mask.value).axes] if mask is not None else []
    for k in over:
        bound = _bound_to(axes[k], scope)
        shapes += [_named(bound, axes[k], scope)] if bound is not None else []
    return [a for a in dict.fromkeys(a for shape in shapes for a in shape) if a not in axes]


def _bound_to(axis: Axis, scope: Scope) -> tuple[Axis, Tensor] | None:
    """The mask that the block around has bound to an axis, and the name of the axis there: in an index equation a second
    index along it has a name of its own."""
    private = scope.context.private
    while not (found := scope.mask_of(axis))[0] and str(axis.size) in private:
        axis = private[str(axis.size)]
    return (axis, found[1]) if found[1] is not None else None


def _named(bound: tuple[Axis, Tensor], axis: Axis, scope: Scope) -> tuple[Axis, ...]:
    """The axes of a bound mask as the equation calls them."""
    return tuple(axis if a == bound[0] else a for a in scope.builder.node(bound[1].value).axes)


def _kept(
    name: str, loops: Loops, over: Sequence[int], rank: int, mask: Tensor | None, span: Span, scope: Scope
) -> Term | None:
    """What the reduction counts, as truth values."""
    terms = [_placed(loops, mask, span)] if mask is not None else []
    found = (counted(name, loops, loop, range(rank), over, span, scope) for loop in range(rank))
    total = None
    for term in (*terms, *(t for t in found if t is not None)):
        total = term if total is None else total.apply("and", term)
    return total


def counted(
    name: str, loops: Loops, loop: int, among: Sequence[int], over: Sequence[int], span: Span, scope: Scope
) -> Term | None:
    """What a reduction over the loops `over` counts along one loop: the mask that the block around has bound to its axis, or
    what lies before the end of the row. `among` are the loops that what is reduced has."""
    axis, context = loops.axes[loop], scope.context
    bound = _bound_to(axis, scope)
    if bound is not None:
        return _placed(loops, bound[1], span, _named(bound, axis, scope)) if loop in over else None
    if not is_ragged(axis, context):
        return None
    lengths = length_of(axis, context)
    at = row_of([loops.axes[i] for i in among], lengths, context)
    if lengths is None or at is None:
        if loop in over:
            raise without_rows(name, axis, [loops.axes[i] for i in among], span, context)
        return None
    inside = loops.map("less", loops.position(loop), loops.term(lengths, (among[at],)))
    return inside if {loop, among[at]} & set(over) else None


def _placed(loops: Loops, mask: Tensor, span: Span, named: tuple[Axis, ...] | None = None) -> Term:
    axes = loops.builder.node(mask.value).axes
    index = place_axes(named or axes, loops.axes)
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
