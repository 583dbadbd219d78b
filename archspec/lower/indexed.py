"""Indices: which names they are, and along which axes they run.

An index exists on the left of an equation or in the bracket of a reduction. Its axis is found where it stands alone as
a subscript, or said with `in`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.sizes import Axis
from archspec.lower.builtins import REDUCTIONS
from archspec.lower.frame import Frame, work
from archspec.lower.resolve import axis_number, decide
from archspec.lower.scope import Scope, axis_of, names_in
from archspec.lower.subscripts import parts_of, spread_name, subscript_names, value_of_base
from archspec.lower.values import Builtin, Function, IndexName, Series, Step, Tensor
from archspec.records import record


def bind_index(name: str, index: syntax.Expression, where: Sequence[object], scope: Scope, what: str) -> None:
    """Makes `name` an index of `scope`, along the axis that it says or that it is used for in `where`."""
    frame = scope.frame
    assert frame is not None
    taken = scope.find(name)
    if isinstance(taken, Step | IndexName):
        message = f"the index `{name}` is in use already"
        kind = "the loop around" if isinstance(taken, Step) else "the equation around"
        raise ArchError(Diagnostic("S05", message, index.span, hints=(f"{kind} has it: take another letter",)))
    uses = list(_uses(name, where, scope))
    said = isinstance(index, syntax.Bound)
    axis = axis_of(axis_number(index.axis, frame.outer), scope.context) if isinstance(index, syntax.Bound) else None
    if isinstance(index, syntax.Spread):
        axis = scope.leading(index.span)[int(name.removeprefix(".."))]
    for use in uses:
        if use.alone and axis is None:
            axis = use.axis
        elif use.alone and use.axis != axis:
            assert axis is not None
            raise ArchError(_disagreement(name, axis, use, said, scope))
    if axis is None:
        raise ArchError(_without_axis(name, index, uses, where, what))
    scope.names[name] = frame.index(name, axis)


def _disagreement(name: str, axis: Axis, use: Use, said: bool, scope: Scope) -> Diagnostic:
    other, span = use.axis, use.span
    message = f"the index `{name}` runs along {axis} and reads the axis {other} here"
    ragged = {str(axis.size), str(other.size)} <= scope.context.ragged
    note = ("the rows of both differ in length, each in its own way",) if ragged else ()
    hint = f"write `{name} + 0` to read the first {axis} places of {other}" if said else "each axis takes an index of its own"
    return Diagnostic("S08", message, span, notes=note, hints=(hint,))


def _without_axis(name: str, index: syntax.Expression, uses: Sequence[Use], where: Sequence[object], what: str) -> Diagnostic:
    hint = f"say it: `{name} in {uses[0].axis if uses else 'AXIS'}`"
    if name in set(names_in(tuple(where))):
        message = f"the axis of the index `{name}` is not known: it never stands alone as a subscript"
    else:
        message = f"the index `{name}` of {what} is used nowhere"
        hint = f"to repeat along an axis, {hint}"
    return Diagnostic("S08", message, index.span, hints=(hint,))


@record
class Use:
    """An axis that a subscript with an index in it reads. Where the index is `alone` there, it runs along that axis."""

    axis: Axis
    span: Span
    alone: bool


def _uses(name: str, node: object, scope: Scope) -> Iterator[Use]:
    """The axes that an index reads, and where."""
    if isinstance(node, tuple | list):
        for item in node:
            yield from _uses(name, item, scope)
    elif isinstance(node, syntax.Conditional):
        assert scope.frame is not None
        chosen = node.then if decide(node.condition, scope.frame.outer) else node.otherwise
        yield from _uses(name, chosen, scope)
    elif isinstance(node, syntax.Index):
        yield from _uses_in_bracket(name, node, scope)
    elif isinstance(node, syntax.Node):
        work(scope.context, node.span, 1)
        for value in vars(node).values():
            if isinstance(value, syntax.Node | tuple):
                yield from _uses(name, value, scope)


def _uses_in_bracket(name: str, node: syntax.Index, scope: Scope) -> Iterator[Use]:
    spread = name.startswith("..") and any(isinstance(i, syntax.Spread) for i in node.indices)
    if not spread and name not in set(names_in((node.indices, node.where))):
        return
    base = value_of_base(node.value, scope)
    if isinstance(base, Tensor | Series):
        parts, axes, _ = parts_of(base, node, scope)
        for part, axis in zip(parts, axes, strict=True):
            if isinstance(part, syntax.Name) and part.id == name:
                yield Use(axis, part.span, True)
            else:
                yield from [Use(axis, part.span, False)] * (name in set(_added(part)))
                yield from _uses(name, part, scope)
    elif node.where is not None:
        yield from _uses(name, node.where, scope)


def _added(part: syntax.Expression) -> Iterator[str]:
    """The names that a subscript adds up; those inside of other brackets are none of them."""
    if isinstance(part, syntax.Name):
        yield part.id
    elif isinstance(part, syntax.Binary):
        yield from _added(part.left)
        yield from _added(part.right)
    elif isinstance(part, syntax.Unary):
        yield from _added(part.operand)


# --- reductions ----------------------------------------------------------------------------------------------------


def bound_scope(node: syntax.Call, scope: Scope) -> Scope:
    """`scope` with the indices that the bracket of a call brings: c of `sum[c](…)`. Without any, `scope` itself."""
    if not isinstance(node.function, syntax.Index):
        return scope
    base = value_of_base(node.function.value, scope)
    if not isinstance(base, Builtin | Function):
        return scope
    inside = (node.arguments, node.function.where)
    fresh = [i for i in node.function.indices if _is_fresh(i, inside, base, scope)]
    spread = [i for i in node.function.indices if isinstance(i, syntax.Spread) and _reads_spread(inside, scope)]
    if not fresh and not spread:
        return scope
    inner = scope.within({}, scope.frame or Frame(scope))
    what = f"`{base.name if isinstance(base, Builtin) else base.block.name}[…]`"
    for dots in spread:
        for k in range(len(scope.leading(dots.span))):
            bind_index(spread_name(k), dots, inside, inner, what)
    for index in fresh:
        name = index.name if isinstance(index, syntax.Bound) else index.id if isinstance(index, syntax.Name) else ""
        bind_index(name, index, inside, inner, what)
    return inner


def _reads_spread(node: object, scope: Scope) -> bool:
    """Whether a tensor is read along `..` here: `x[..,c]`."""
    if isinstance(node, tuple | list):
        return any(_reads_spread(item, scope) for item in node)
    if isinstance(node, syntax.Index) and any(isinstance(i, syntax.Spread) for i in node.indices):
        return isinstance(value_of_base(node.value, scope), Tensor | Series)
    return isinstance(node, syntax.Node) and any(
        _reads_spread(v, scope) for v in vars(node).values() if isinstance(v, syntax.Node | tuple)
    )


def _is_fresh(index: syntax.Expression, inside: object, base: Builtin | Function, scope: Scope) -> bool:
    """Whether a bracket brings this index; a block such as `softmax[j]` may also work along one that is there."""
    if isinstance(index, syntax.Bound):
        return True
    if not isinstance(index, syntax.Name):
        return False
    value = scope.find(index.id)
    if isinstance(value, IndexName | Step):
        return isinstance(base, Builtin) and base.name in REDUCTIONS
    return index.id in set(subscript_names(inside, scope))
