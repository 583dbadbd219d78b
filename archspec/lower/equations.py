"""Index equations: `s[b,n,i,j] = sum[c](q[b,i,n,c] * k[b,j,n,c]) / sqrt(Q)`.

The right side is laid out like any other expression, in a scope where every index is an axis (frame.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.graph import Node, Operand
from archspec.ir.sizes import Axis
from archspec.lower.expressions import evaluate_tensor
from archspec.lower.frame import Frame
from archspec.lower.indexed import bind_index
from archspec.lower.scope import Scope, check_rank
from archspec.lower.subscripts import spread_name
from archspec.lower.values import IndexName, Tensor


def index_equation(
    target: syntax.Target, indices: Sequence[syntax.Expression], value: syntax.Expression, scope: Scope
) -> Tensor:
    """The tensor of `target[indices] = value`, its axes in the order of the indices."""
    frame = Frame(scope)
    inner = scope.within({}, frame)
    indices = [copy for index in indices for copy in _copies(index, scope)]
    names = [_left_name(i, k, indices) for k, i in enumerate(indices)]
    _refuse_repeated(names, indices)
    for name, index in zip(names, indices, strict=True):
        bind_index(name, index, (value,), inner, f"`{target.name}[…]`")
    left = [inner.names[name] for name in names]
    result = evaluate_tensor(value, inner)
    placed = _in_order(result, [i for i in left if isinstance(i, IndexName)], indices, value, inner)
    frame.close()
    return Tensor(placed)


def _copies(index: syntax.Expression, scope: Scope) -> list[syntax.Expression]:
    """`..` on the left, once for each axis that it stands for."""
    return [index] * len(scope.leading(index.span)) if isinstance(index, syntax.Spread) else [index]


def _left_name(index: syntax.Expression, at: int, indices: Sequence[syntax.Expression]) -> str:
    if isinstance(index, syntax.Spread):
        return spread_name(sum(isinstance(i, syntax.Spread) for i in indices[:at]))
    if isinstance(index, syntax.Bound):
        return index.name
    if isinstance(index, syntax.Name):
        return index.id
    message = "the left of an index equation names its indices"
    raise ArchError(Diagnostic("S08", message, index.span, hints=("calculate on the right: y[i] = x[2*i]",)))


def _refuse_repeated(names: Sequence[str], indices: Sequence[syntax.Expression]) -> None:
    for k, name in enumerate(names):
        if name in names[:k]:
            hint = "a diagonal is read on the right: y[i] = x[i,i]"
            raise ArchError(Diagnostic("S05", f"the index `{name}` stands twice on the left", indices[k].span, hints=(hint,)))


def _in_order(
    result: Tensor, left: Sequence[IndexName], indices: Sequence[syntax.Expression], value: syntax.Expression, scope: Scope
) -> int:
    """The result with one axis for each index on the left."""
    builder, frame = scope.builder, scope.frame
    assert frame is not None
    node = builder.node(result.value)
    axes = [i.axis for i in left]
    for extra in (a for a in node.axes if a not in axes):
        raise ArchError(_extra_axis(extra, node.axes, left, value.span, frame))
    for index, syntactic in zip(left, indices, strict=True):
        if index.axis not in node.axes and not isinstance(syntactic, syntax.Bound | syntax.Spread):
            message = f"the right side does not hang on the index `{index.name}`"
            hint = f"to repeat it along {index.real}, write `{index.name} in {index.real}` on the left"
            raise ArchError(Diagnostic("S08", message, syntactic.span, hints=(hint,)))
    if node.axes == tuple(axes):
        return result.value
    check_rank(axes, value.span)
    operand = Operand(result.value, tuple(axes.index(a) for a in node.axes))
    copy = Node("copy", (operand,), tuple(axes), dtype=node.dtype, of=node.of)
    return builder.add(copy)


def _extra_axis(extra: Axis, axes: Sequence[Axis], left: Sequence[IndexName], span: Span, frame: Frame) -> Diagnostic:
    name = frame.name_of(extra)
    if name is not None:
        hint = f"put it on the left, or reduce over it: sum[{name}](…)"
        return Diagnostic("S08", f"the index `{name}` stays on the right and is not on the left", span, hints=(hint,))
    message = f"the right side has an axis {extra} that no index names"
    return Diagnostic("S08", message, span, hints=("read it with a subscript for each axis",))
