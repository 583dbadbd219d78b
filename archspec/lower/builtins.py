"""What only Python can say: elementwise ops and reductions by name, means, one-hot vectors, positions, dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.build import Loops, Term
from archspec.ir.graph import BOOL, FLOAT, INT
from archspec.ir.sizes import Axis
from archspec.lower import arithmetic
from archspec.lower.align import combine
from archspec.lower.lengths import length_of, valid_along
from archspec.lower.masks import reduce_masked
from archspec.lower.scope import Scope, axis_of, check_rank
from archspec.lower.structure import STRUCTURE, no_such_axis
from archspec.lower.values import Builtin, Num, Tensor, Truth, Value, kind_of
from archspec.ops import OPS
from archspec.records import replace

Positional = Sequence[tuple[Value, Span]]
Named = Mapping[str, tuple[Value, syntax.Argument]]

REDUCTIONS = ("sum", "mean", "max", "min", "argmax")
SPECIAL = ("one_hot", "iota", "dropout", "noise", "masked", "valid")
ELEMENTWISE = tuple(n for n in OPS.spoken("map") if n not in SPECIAL)
BUILTINS = (*REDUCTIONS, *SPECIAL, *STRUCTURE, *ELEMENTWISE)
IN_BRACKETS = ("iota", "masked", "valid")
PAIRWISE = {"max": "maximum", "min": "minimum"}


def call_builtin(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """A call of an op by its name."""
    name = function.name
    if name in STRUCTURE:
        return STRUCTURE[name](function, positional, named, span, scope)
    if function.axes is not None and name not in REDUCTIONS:
        raise ArchError(Diagnostic("S04", f"`{name}` takes no axes in a bracket", span))
    if name == "dropout":
        return _dropout(positional, named, span, scope)
    for given, (_, argument) in named.items():
        hints = (f"`{name}` takes its arguments by position",)
        raise ArchError(Diagnostic("S04", f"`{name}` has no argument `{given}`", argument.span, hints=hints))
    if name in PAIRWISE and len(positional) == 2 and function.axes is None:
        return _elementwise(PAIRWISE[name], positional, span, scope)
    if name in REDUCTIONS:
        return _reduction(function, positional, span, scope)
    if name == "noise":
        return _noise(positional, span, scope)
    if name == "one_hot":
        return _one_hot(positional, span, scope)
    if name in IN_BRACKETS:
        message = f"`{name}` takes an axis in a bracket and no arguments"
        raise ArchError(Diagnostic("S04", message, span, hints=(f"{name}[T]",)))
    return _elementwise(name, positional, span, scope)


def _expect(name: str, positional: Positional, count: int, span: Span) -> None:
    if len(positional) != count:
        noun = "argument" if count == 1 else "arguments"
        message = f"`{name}` takes {count} {noun} and receives {len(positional)}"
        raise ArchError(Diagnostic("S04", message, span))


def _elementwise(name: str, positional: Positional, span: Span, scope: Scope) -> Value:
    _expect(name, positional, OPS[name].arity, span)
    values = [v for v, _ in positional]
    numbers = [v.value for v in values if isinstance(v, Num) and v.value is not None]
    if len(numbers) == len(values) and name in arithmetic.FUNCTIONS:
        return arithmetic.number_function(name, numbers, span)
    for value, place in positional:
        if not isinstance(value, Num | Tensor | Truth):
            raise ArchError(Diagnostic("S09", f"`{name}` needs a tensor or a number, not {kind_of(value)}", place))
    if name == "number" and isinstance(values[0], Truth) and values[0].value is not None:
        return Num.integer(int(values[0].value))
    return combine(name, values, span, scope)


def _reduction(function: Builtin, positional: Positional, span: Span, scope: Scope) -> Tensor:
    name = function.name
    if name in PAIRWISE and len(positional) > 1:
        hint = f"{name}(a, b) takes the {name} of two tensors, {name}[D](x) that along an axis"
        raise ArchError(Diagnostic("S04", f"`{name}` takes two tensors, or one and its axes", span, hints=(hint,)))
    _expect(name, positional, 1, span)
    tensor = positional[0][0]
    if not isinstance(tensor, Tensor):
        raise ArchError(Diagnostic("S09", f"`{name}` needs a tensor, not {kind_of(tensor)}", positional[0][1]))
    node = scope.builder.node(tensor.value)
    over = _reduced_loops(function, node.axes, span, scope)
    _check_reducible(name, node.dtype, len(over), span)
    return reduce_masked(name, tensor, over, function.mask, span, scope)


def _check_reducible(name: str, dtype: str, count: int, span: Span) -> None:
    if dtype == BOOL:
        hint = "number(…) makes 0 and 1 of them"
        raise ArchError(Diagnostic("S09", f"`{name}` needs numbers and receives truth values", span, hints=(hint,)))
    if dtype == INT:
        hint = "number(…) turns it into a number"
        raise ArchError(Diagnostic("S09", f"`{name}` needs numbers and receives an index", span, hints=(hint,)))
    if name == "argmax" and count != 1:
        hint = "argmax[K](z)"
        raise ArchError(Diagnostic("S04", "`argmax` needs one axis in a bracket", span, hints=(hint,)))


def _reduced_loops(function: Builtin, axes: Sequence[Axis], span: Span, scope: Scope) -> list[int]:
    if function.axes is None:
        return list(range(len(axes)))
    found = []
    for number in function.axes:
        axis = axis_of(number, scope.context)
        matches = [i for i, a in enumerate(axes) if a == axis]
        if not matches and scope.frame is not None and (index := scope.frame.name_of(axis)) is not None:
            raise ArchError(unused_index(function.name, index, span))
        if not matches and str(axis) in scope.context.private:
            along = scope.context.real(axis)
            message = f"nothing in it hangs on the index that runs along {along} here"
            hint = "give a subscript of that index to what is reduced, or leave the bracket out"
            raise ArchError(Diagnostic("S08", message, span, hints=(hint,)))
        if len(matches) != 1:
            raise no_such_axis(function.name, axis, axes, span, scope)
        found += matches
    if len(set(found)) != len(found):
        raise ArchError(Diagnostic("S08", f"`{function.name}` names an axis twice", span))
    return found


def unused_index(name: str, index: str, span: Span) -> Diagnostic:
    """The error for a reduction over an index that nothing in it has."""
    hint = f"give a subscript `{index}` to what is reduced, or leave the reduction out"
    return Diagnostic("S08", f"`{name}[{index}]`: nothing in it hangs on the index `{index}`", span, hints=(hint,))


def _one_hot(positional: Positional, span: Span, scope: Scope) -> Tensor:
    _expect("one_hot", positional, 1, span)
    tensor = positional[0][0]
    node = scope.builder.node(tensor.value) if isinstance(tensor, Tensor) else None
    if node is None or node.of is None or not isinstance(tensor, Tensor):
        hint = "declare it so: `y[B]: K`"
        raise ArchError(Diagnostic("S09", "`one_hot` needs a tensor of indices", span, hints=(hint,)))
    check_rank((*node.axes, node.of), span)
    loops = Loops(scope.builder, (*node.axes, node.of))
    last = len(node.axes)
    hit = loops.map("equal", loops.term(tensor.value), loops.position(last))
    return Tensor(hit.apply("number").value)


def bracket_builtin(function: Builtin, axes: tuple[Num, ...], mask: Tensor | None, span: Span, scope: Scope) -> Value:
    """An op with its bracket: to be called, or already a value, as `iota[T]` is."""
    if function.name not in IN_BRACKETS:
        return Builtin(function.name, axes, mask)
    if len(axes) != 1:
        raise ArchError(Diagnostic("S04", f"`{function.name}` takes one axis", span))
    axis = axis_of(axes[0], scope.context)
    if function.name == "iota":
        return Tensor(Loops(scope.builder, (axis,)).position(0).value)
    return _mask_of_axis(function.name, axis, scope)


def _mask_of_axis(name: str, axis: Axis, scope: Scope) -> Value:
    """`masked[D]`: whether points along an axis are left out. `valid[D]`: those that are not."""
    is_bound, mask = scope.mask_of(axis)
    lengths = length_of(axis, scope.context)
    if not is_bound and lengths is not None:
        mask = valid_along((*scope.builder.node(lengths).axes, axis), 1, scope)
    if name == "masked":
        return Truth(mask is not None)
    return mask if mask is not None else Truth(True)


def _dropout(positional: Positional, named: Named, span: Span, scope: Scope) -> Tensor:
    """`dropout(x, p)`: a node of its own, since it differs between training and evaluation."""
    values = dict(zip(("x", "p"), (v for v, _ in positional), strict=False))
    for name, (value, argument) in named.items():
        if name not in ("x", "p") or name in values:
            problem = "is given twice" if name in values else "is not an argument of `dropout`"
            raise ArchError(Diagnostic("S04", f"`{name}` {problem}", argument.span, hints=("dropout(x, p=0.5)",)))
        values[name] = value
    if len(positional) > 2:
        message = f"`dropout` takes a tensor and a rate, and receives {len(positional)} arguments"
        raise ArchError(Diagnostic("S04", message, span, hints=("dropout(x, p=0.5)",)))
    x, rate = values.get("x"), values.get("p", Num(0.5))
    if not isinstance(x, Tensor) or scope.builder.node(x.value).dtype != FLOAT:
        raise ArchError(Diagnostic("S09", "`dropout` needs a tensor of numbers", span, hints=("x |> dropout(0.1)",)))
    if not isinstance(rate, Num) or rate.value is None or not 0 <= rate.value < 1:
        shown = rate.text if isinstance(rate, Num) else kind_of(rate)
        raise ArchError(Diagnostic("S07", f"the rate of `dropout` must lie in [0, 1), not {shown}", span))
    return Tensor(_random_term("dropout", x, scope, rate=float(rate.value)).value)


def _noise(positional: Positional, span: Span, scope: Scope) -> Tensor:
    """`noise(x)`: a normal draw for every element of x; a node of its own, since there is none in evaluation."""
    _expect("noise", positional, 1, span)
    x = positional[0][0]
    if not isinstance(x, Tensor) or scope.builder.node(x.value).dtype != FLOAT:
        raise ArchError(Diagnostic("S09", "`noise` needs a tensor of numbers", span, hints=("x + 0.1 * noise(x)",)))
    return Tensor(_random_term("noise", x, scope).value)


def _random_term(name: str, x: Tensor, scope: Scope, **attributes: Any) -> Term:
    loops = Loops(scope.builder, scope.builder.node(x.value).axes)
    stream = _own_stream(scope.child(scope.numbered(name)).path, scope)
    term = loops.map(name, loops.term(x.value), **attributes, stream=stream)
    node = scope.builder.nodes[term.value]
    origin = replace(scope.builder.origin, path=scope.path, name=name)
    scope.builder.nodes[term.value] = replace(node, origin=origin)
    return term


def _own_stream(path: str, scope: Scope) -> str:
    """The name of a random stream for one use of dropout: uses of a shared layer have one path and are numbered."""
    uses = scope.context.streams
    uses[path] += 1
    return path if uses[path] == 1 else f"{path}#{uses[path]}"
