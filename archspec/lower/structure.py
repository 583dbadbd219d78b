"""Ops that move elements: concat, split, last, first, flip, flatten, unflatten, and running averages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.ir.build import Loops, Term
from archspec.ir.graph import FLOAT, INT, Place, WeightSpec
from archspec.ir.sizes import Axis, Size, product, shape_text
from archspec.lower import arithmetic
from archspec.lower.align import held_by, place_axes
from archspec.lower.lengths import ends_cleared, is_ragged, length_of, row_of, within_row, without_rows
from archspec.lower.scope import Scope, axis_of, check_rank
from archspec.lower.values import Builtin, Items, Num, Recipe, Tensor, Value, kind_of
from archspec.records import replace

Positional = Sequence[tuple[Value, Span]]
Named = Mapping[str, tuple[Value, syntax.Argument]]
ONE = Size.number(1)


# --- arguments -----------------------------------------------------------------------------------------------------


def _no_names(name: str, named: Named) -> None:
    for given, (_, argument) in named.items():
        hints = (f"`{name}` takes its arguments by position",)
        raise ArchError(Diagnostic("S04", f"`{name}` has no argument `{given}`", argument.span, hints=hints))


def _count(name: str, positional: Positional, count: int, usage: str, span: Span) -> None:
    if len(positional) != count:
        noun = "argument" if count == 1 else "arguments"
        message = f"`{name}` takes {count} {noun} and receives {len(positional)}"
        raise ArchError(Diagnostic("S04", message, span, hints=(usage,)))


def _tensor(name: str, value: Value, span: Span) -> Tensor:
    if not isinstance(value, Tensor):
        raise ArchError(Diagnostic("S09", f"`{name}` needs a tensor, not {kind_of(value)}", span))
    return value


def _one_axis(function: Builtin, tensor: Tensor, span: Span, scope: Scope) -> int:
    """The position of the one axis in the bracket."""
    if not function.axes or len(function.axes) != 1:
        message = f"`{function.name}` needs one axis in a bracket"
        raise ArchError(Diagnostic("S04", message, span, hints=(f"{function.name}[T](x)",)))
    return axis_at(function.name, function.axes[0], scope.builder.node(tensor.value).axes, span, scope)


def axis_at(name: str, number: Num, axes: Sequence[Axis], span: Span, scope: Scope) -> int:
    """Where an axis that a bracket names stands in a tensor."""
    axis = axis_of(number, scope.context)
    matches = [i for i, a in enumerate(axes) if a == axis]
    if len(matches) == 1:
        return matches[0]
    raise no_such_axis(name, axis, axes, span, scope)


def no_such_axis(name: str, axis: Axis, axes: Sequence[Axis], span: Span, scope: Scope) -> ArchError:
    """The error for an axis in a bracket that a tensor lacks, or has several times."""
    count = axes.count(axis)
    if count:
        message = f"`{name}` over {axis}: {shape_text(axes)} has that axis {count} times"
        return ArchError(Diagnostic("S08", message, span, hints=("the name does not say which is meant",)))
    message = f"`{name}` over {axis}: {shape_text(axes)} has no axis `{axis}`"
    return ArchError(
        Diagnostic("S08", message, span, hints=_of_that_size(axis, axes, scope) or did_you_mean(str(axis), map(str, axes)))
    )


def _of_that_size(axis: Axis, axes: Sequence[Axis], scope: Scope) -> tuple[str, ...]:
    """What the axes are called whose size was given instead of their name."""
    sizes = scope.builder.sizes
    number = axis.size.constant
    names = [f"`{a}`" for a in axes if number is not None and a.size.evaluate(sizes) == number]
    return (f"an axis goes by its name, and of size {number} is {' and '.join(dict.fromkeys(names))}",) if names else ()


def _refuse_ragged(name: str, axis: Axis, span: Span, scope: Scope) -> None:
    if is_ragged(axis, scope.context):
        message = f"`{name}` along {axis}: its rows differ in length, so their ends would come to lie in the middle"
        hint = "reduce over it first, `mean[T](x)`, or declare it without the mark `?`"
        raise ArchError(Diagnostic("S08", message, span, hints=(hint,)))


# --- joining and parting -------------------------------------------------------------------------------------------


def _concat(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`concat(a, b)` along the last axis of each, `concat[T](a, b)` along another."""
    _no_names("concat", named)
    if not positional:
        raise ArchError(Diagnostic("S04", "`concat` needs tensors to join", span, hints=("concat(a, b)",)))
    tensors = [_tensor("concat", value, place) for value, place in positional]
    joined = [_joined_axis(function, k, t, span, scope) for k, t in enumerate(tensors)]
    _check_kinds(tensors, [p for _, p in positional], scope)
    rests = [_without(scope.builder.node(t.value).axes, k) for t, k in zip(tensors, joined, strict=True)]
    widest = max(range(len(tensors)), key=lambda i: len(rests[i]))
    at, rest = joined[widest], rests[widest]
    values = [_fitted(t, k, at, rest, p, scope) for t, k, (_, p) in zip(tensors, joined, positional, strict=True)]
    parts = [scope.builder.node(v).axes[at] for v in values]
    for part in parts:
        _refuse_ragged("concat", part, span, scope)
    whole = Axis(sum((p.size for p in parts[1:]), parts[0].size))
    return Tensor(scope.builder.concat(values, at, whole) if len(values) > 1 else values[0])


def _joined_axis(function: Builtin, k: int, tensor: Tensor, span: Span, scope: Scope) -> int:
    axes = scope.builder.node(tensor.value).axes
    if not axes:
        raise ArchError(Diagnostic("S03", "`concat` joins along an axis, and one of these has none", span))
    if function.axes is None:
        return len(axes) - 1
    number = function.axes[k] if len(function.axes) > k else function.axes[0]
    return axis_at("concat", number, axes, span, scope)


def _check_kinds(tensors: Sequence[Tensor], spans: Sequence[Span], scope: Scope) -> None:
    first = scope.builder.node(tensors[0].value)
    for tensor, span in zip(tensors, spans, strict=True):
        node = scope.builder.node(tensor.value)
        if (node.dtype, node.of) != (first.dtype, first.of) or node.dtype not in (FLOAT, INT):
            message = f"`concat` joins {held_by(first)} and {held_by(node)}"
            raise ArchError(Diagnostic("S09", message, span, hints=("number(…) turns them into numbers",)))


def _without(axes: Sequence[Axis], k: int) -> tuple[Axis, ...]:
    return (*axes[:k], *axes[k + 1 :])


def _fitted(tensor: Tensor, k: int, at: int, rest: tuple[Axis, ...], span: Span, scope: Scope) -> int:
    """The tensor with its joined axis at position `at` among the axes `rest`, repeated where it lacks one."""
    axes = scope.builder.node(tensor.value).axes
    own = _without(axes, k)
    places = place_axes(own, rest)
    if places is None:
        message = f"`concat` along {axes[k]}: {shape_text(axes)} has other axes than {shape_text(rest)} besides it"
        raise ArchError(Diagnostic("S03", message, span, hints=("all that are joined share their other axes",)))
    loops = Loops(scope.builder, (*rest[:at], axes[k], *rest[at:]))
    index = [p + (p >= at) for p in places]
    index.insert(k, at)
    return loops.materialise(loops.term(tensor.value, index), range(len(loops.axes)))


def _split(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`split(x, n)`: n equal parts of the last axis, or of the one in the bracket."""
    _no_names("split", named)
    _count("split", positional, 2, "a, b = split(x, 2)", span)
    tensor, number = _tensor("split", *positional[0]), positional[1][0]
    if not isinstance(number, Num) or not isinstance(number.value, int) or not 1 <= number.value <= 1000:
        shown = number.text if isinstance(number, Num) else kind_of(number)
        message = f"`split` makes a whole number of parts from 1 to 1,000, not {shown}"
        raise ArchError(Diagnostic("S07", message, positional[1][1]))
    axes = scope.builder.node(tensor.value).axes
    if not axes:
        raise ArchError(Diagnostic("S08", "`split` needs an axis, and this tensor has none", span))
    at = _one_axis(function, tensor, span, scope) if function.axes is not None else len(axes) - 1
    _refuse_ragged("split", axes[at], span, scope)
    part = _part(axes[at], number.value, span, scope)
    starts = [part.size * Size.number(i) for i in range(number.value)]
    scope.context.step(span, number.value)
    return Items(tuple(Tensor(scope.builder.slice(tensor.value, at, start, part)) for start in starts))


def _part(axis: Axis, count: int, span: Span, scope: Scope) -> Axis:
    """The axis of one of `count` equal parts."""
    size = axis.size.evaluate(scope.builder.sizes)
    if size is not None and size % count:
        message = f"`split` cannot part {axis} = {size} into {count} equal parts"
        raise ArchError(Diagnostic("S07", message, span, hints=(f"{size} is not a multiple of {count}",)))
    if size is None and axis.size.divide(Size.number(count)).symbols != axis.size.symbols:
        message = f"`split` cannot part {axis} before its size is known"
        raise ArchError(Diagnostic("S07", message, span, hints=(f"give it a size: dim {axis} = …",)))
    number = arithmetic.number_arithmetic("/", Num(size, axis.size), Num.integer(count), span)
    assert number.size is not None
    if size is not None:
        for symbol in number.size.symbols - scope.builder.sizes.keys():
            scope.builder.sizes[symbol] = size // count
    return Axis(number.size)


# --- along an axis -------------------------------------------------------------------------------------------------


def _first(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`first[T](x)`: x at the first point of T."""
    tensor, at = _along(function, positional, named, span, scope)
    value = (
        ends_cleared(tensor.value, at, scope)
        if _may_be_empty(scope.builder.node(tensor.value).axes[at], scope)
        else tensor.value
    )
    return Tensor(scope.builder.pick(value, at, Size.number(0)))


def _may_be_empty(axis: Axis, scope: Scope) -> bool:
    """Whether some row may have no point along an axis that is made of a ragged one, such as the places of a window."""
    return is_ragged(axis, scope.context) and str(scope.context.real(axis).size) not in scope.context.lengths


def _last(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`last[T](x)`: x at the last point of T, or of the row where rows differ in length."""
    tensor, at = _along(function, positional, named, span, scope)
    builder = scope.builder
    axes = builder.node(tensor.value).axes
    lengths = length_of(axes[at], scope.context)
    row = row_of(_without(axes, at), lengths, scope.context)
    if lengths is not None and row is None:
        raise without_rows("last", axes[at], axes, span, scope.context)
    if lengths is None or row is None:
        return Tensor(builder.pick(tensor.value, at, axes[at].size - ONE))
    loops = Loops(builder, _without(axes, at))
    count = loops.term(lengths, (row,))
    one = loops.number(1, INT)
    place = loops.map("subtract", loops.map("maximum", count, one), one)
    keep = list(range(len(loops.axes)))
    found = loops.gather(place, tensor.value, at, keep, keep)
    return Tensor(_where(loops.map("greater", count, loops.number(0, INT)), found).value)


def _where(condition: Term, x: Term) -> Term:
    """`x` where the condition holds, 0 elsewhere."""
    dtype = x.node.dtype
    chosen = condition.apply("where", x, x.loops.number(0, dtype), dtype=dtype)
    builder = x.loops.builder
    builder.nodes[chosen.value] = replace(builder.nodes[chosen.value], of=x.node.of)
    return chosen


def _flip(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`flip[T](x)`: the other way round, each row within its own length."""
    tensor, at = _along(function, positional, named, span, scope)
    builder = scope.builder
    axes = builder.node(tensor.value).axes
    lengths = length_of(axes[at], scope.context)
    loops = Loops(builder, axes)
    inside = within_row(loops, at, scope.context)
    if lengths is not None and inside is None:
        raise without_rows("flip", axes[at], axes, span, scope.context)
    if lengths is None or inside is None:
        places = [Place.loop(k) for k in range(len(axes))]
        places[at] = Place(((at, Size.number(-1)),), axes[at].size - ONE)
        return Tensor(builder.window(tensor.value, axes, places))
    row = row_of(axes, lengths, scope.context)
    assert row is not None
    back = loops.map("subtract", loops.map("subtract", loops.term(lengths, (row,)), loops.number(1, INT)), loops.position(at))
    place = loops.map("maximum", back, loops.number(0, INT))
    keep = list(range(len(axes)))
    found = loops.gather(place, tensor.value, at, [k for k in keep if k != at], keep)
    return Tensor(_where(inside, found).value)


def _along(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> tuple[Tensor, int]:
    _no_names(function.name, named)
    _count(function.name, positional, 1, f"{function.name}[T](x)", span)
    tensor = _tensor(function.name, *positional[0])
    return tensor, _one_axis(function, tensor, span, scope)


# --- one axis from several, several from one -----------------------------------------------------------------------


def _flatten(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`flatten[H,W,C](x)`: these axes as one, `H*W*C`, where the first of them stands."""
    _no_names("flatten", named)
    _count("flatten", positional, 1, "flatten[H,W](x)", span)
    tensor = _tensor("flatten", *positional[0])
    if not function.axes:
        raise ArchError(Diagnostic("S04", "`flatten` needs its axes in a bracket", span, hints=("flatten[H,W](x)",)))
    axes = scope.builder.node(tensor.value).axes
    at = [axis_at("flatten", number, axes, span, scope) for number in function.axes]
    if len(set(at)) != len(at):
        raise ArchError(Diagnostic("S08", "`flatten` names an axis twice", span))
    return Tensor(merged(tensor.value, at, span, scope))


def merged(value: int, at: Sequence[int], span: Span, scope: Scope) -> int:
    """`value` with the axes `at` as one, their product, where the first of them stands."""
    axes = scope.builder.node(value).axes
    for k in at if len(at) > 1 else ():
        _refuse_ragged("flatten", axes[k], span, scope)
    if len(at) == 1:
        return value
    before = [k for k in range(min(at)) if k not in at]
    after = [k for k in range(min(at), len(axes)) if k not in at]
    loops = Loops(scope.builder, axes)
    ordered = loops.materialise(loops.term(value), [*before, *at, *after])
    whole = Axis(product(axes[k] for k in at))
    return scope.builder.reshape(ordered, (*(axes[k] for k in before), whole, *(axes[k] for k in after)))


def _unflatten(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`unflatten[C](x, G, Q)`: one axis as several, whose product it must be."""
    _no_names("unflatten", named)
    if len(positional) < 2:
        message = "`unflatten` needs a tensor and the axes that one of its axes becomes"
        raise ArchError(Diagnostic("S04", message, span, hints=("unflatten[C](x, G, Q)",)))
    tensor = _tensor("unflatten", *positional[0])
    at = _one_axis(function, tensor, span, scope)
    parts = []
    for value, place in positional[1:]:
        if not isinstance(value, Num) or value.size is None:
            raise ArchError(Diagnostic("S09", f"`unflatten` needs axes, not {kind_of(value)}", place))
        parts.append(axis_of(value, scope.context))
    axes = scope.builder.node(tensor.value).axes
    _refuse_ragged("unflatten", axes[at], span, scope)
    check_product(axes[at], parts, span, scope)
    check_rank((*axes, *parts[1:]), span)
    return Tensor(scope.builder.reshape(tensor.value, (*axes[:at], *parts, *axes[at + 1 :])))


def check_product(whole: Axis, parts: Sequence[Axis], span: Span, scope: Scope) -> None:
    """One axis can be read as several when it has as many points."""
    sizes, size = scope.builder.sizes, product(parts)
    if size == whole.size:
        return
    left, right = whole.size.evaluate(sizes), size.evaluate(sizes)
    if left is None or left != right:
        shown = f"{whole} = {left}" if left is not None and str(left) != str(whole) else str(whole)
        other = "*".join(str(p) for p in parts) + (f" = {right}" if right is not None else "")
        message = f"the axis {shown} cannot become {shape_text(parts)}, which is {other}"
        raise ArchError(Diagnostic("S02", message, span, hints=("the product of the axes must be the axis itself",)))


# --- running averages ----------------------------------------------------------------------------------------------


def _running(function: Builtin, positional: Positional, named: Named, span: Span, scope: Scope) -> Value:
    """`running(value, momentum=0.1, start=0, observe=value)`: in evaluation the average of what training observes."""
    values = dict(zip(("value", "momentum", "start", "observe"), positional, strict=False))
    for name, (value, argument) in named.items():
        if name not in ("value", "momentum", "start", "observe") or name in values:
            problem = "is given twice" if name in values else "is not an argument of `running`"
            raise ArchError(Diagnostic("S04", f"`{name}` {problem}", argument.span, hints=(RUNNING,)))
        values[name] = (value, argument.value.span)
    if "value" not in values or len(positional) > 4 or function.axes is not None:
        raise ArchError(Diagnostic("S04", "`running` takes a tensor and its settings", span, hints=(RUNNING,)))
    if scope.context.depth:
        message = "`running` has no place in a loop: its average is taken once in a step of training"
        raise ArchError(Diagnostic("S13", message, span))
    momentum = _number("momentum", values.get("momentum", (Num(0.1), span)), 0.0, 1.0)
    start = _number("start", values.get("start", (Num(0.0), span)), float("-inf"), float("inf"))
    tensor = _numbers(*values["value"], scope)
    observed = _numbers(*values.get("observe", values["value"]), scope)
    return Tensor(_running_node(tensor, observed, momentum, start, span, scope))


RUNNING = "running(value, momentum=0.1, start=0, observe=value)"


def _number(name: str, given: tuple[Value, Span], low: float, high: float) -> float:
    value, span = given
    if not isinstance(value, Num) or value.value is None or not low <= value.value <= high:
        shown = value.text if isinstance(value, Num) else kind_of(value)
        bounds = f" from {low:g} to {high:g}" if high == 1.0 else ""
        raise ArchError(Diagnostic("S07", f"`{name}` of `running` must be a number{bounds}, not {shown}", span))
    return float(value.value)


def _numbers(value: Value, span: Span, scope: Scope) -> Tensor:
    tensor = _tensor("running", value, span)
    node = scope.builder.node(tensor.value)
    if node.dtype != FLOAT:
        raise ArchError(Diagnostic("S09", f"`running` needs numbers and receives {held_by(node)}", span))
    return tensor


def _running_node(tensor: Tensor, observed: Tensor, momentum: float, start: float, span: Span, scope: Scope) -> int:
    builder = scope.builder
    axes = builder.node(tensor.value).axes
    places = place_axes(builder.node(observed.value).axes, axes)
    if places is None or len(places) != len(axes):
        message = f"`running` observes {builder.node(observed.value).shape} for a value {shape_text(axes)}"
        raise ArchError(Diagnostic("S03", message, span, hints=("both have the same axes",)))
    for axis in (a for a in axes if is_ragged(a, scope.context)):
        message = f"`running` keeps an average {shape_text(axes)}, but rows differ in length along {axis}"
        raise ArchError(Diagnostic("S08", message, span, hints=(f"reduce over it too: mean[{axis}](…)",)))
    path = scope.child(scope.numbered("running")).path
    if path in builder.weights:
        average = builder.weights[path]
    else:
        initial = Recipe("initializer", "constant", {"value": start}, span)
        average = builder.weight(WeightSpec(path, axes, initial, True, span))
        name = path.rsplit("/", 1)[-1]
        origin = replace(builder.origin, path=path.removesuffix(f"/{name}"), name=name)
        builder.nodes[average] = replace(builder.nodes[average], origin=origin)
    loops = Loops(builder, axes)
    terms = (loops.term(tensor.value), loops.term(average), loops.term(observed.value, places))
    return loops.map("running", *terms, path=path, momentum=momentum).value


STRUCTURE: dict[str, Callable[[Builtin, Positional, Named, Span, Scope], Value]] = {
    "concat": _concat,
    "split": _split,
    "first": _first,
    "last": _last,
    "flip": _flip,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "running": _running,
}
