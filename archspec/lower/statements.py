"""What each statement of a body does: define a name, make a weight, check a condition."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic
from archspec.frontend import syntax
from archspec.ir.build import Builder
from archspec.ir.graph import WeightSpec
from archspec.ir.sizes import Axis, shape_text
from archspec.lower.equations import index_equation
from archspec.lower.expressions import evaluate, evaluate_tensor
from archspec.lower.files import in_library
from archspec.lower.recipes import initializer_named, unknown_initializer
from archspec.lower.recurrence import assign_step, run_over, run_state, step_target
from archspec.lower.resolve import axis_number, decide, means_something
from archspec.lower.scope import MAX_ELEMENTS, Poisoned, Scope, axis_of, check_rank, defines, elements, name_span, names_in
from archspec.lower.values import (
    Function,
    Items,
    Module,
    Num,
    Recipe,
    SharedLayer,
    Tensor,
    Text,
    Truth,
    Value,
    kind_of,
    spelled,
)
from archspec.records import replace

DEFAULT_INITIALIZER = "glorot"


def run_body(statements: tuple[syntax.Statement, ...], scope: Scope) -> None:
    """Runs the statements of a block; the first mistake ends it."""
    for item in statements:
        _run(item, scope)


def run_collecting(statements: tuple[syntax.Statement, ...], scope: Scope) -> None:
    """Runs the statements of a model and goes on after a mistake, so that all are reported together.

    What a failed line would have defined is poisoned: lines that use it stay silent instead of adding noise.
    """
    for item in statements:
        try:
            _run(item, scope)
        except (ArchError, Poisoned) as error:
            if isinstance(error, ArchError):
                scope.context.report(error)
            for name, span in defines(item):
                scope.poison(name, span)


def _run(item: syntax.Statement, scope: Scope) -> None:
    rule = _RULES.get(type(item))
    if rule is None:
        raise _misplaced(item)
    before = scope.builder.origin
    span = before.span if in_library(item.span) and before.span is not None else item.span
    with scope.builder.at(replace(before, path=scope.path, name="", span=span)):
        rule(item, scope)


def _misplaced(item: syntax.Statement) -> ArchError:
    kind = type(item).__name__.lower()
    return ArchError(Diagnostic("S13", f"`{kind}` has no place in a model or block", item.span))


def _let(item: syntax.Let, scope: Scope) -> None:
    for binding in item.bindings:
        value = evaluate(binding.value, scope.child(binding.name))
        check_let(binding, value, scope)
        scope.define(binding.name, value, name_span(binding, binding.name))


def check_let(binding: syntax.Binding, value: Value, scope: Scope) -> None:
    """Refuses what a `let` cannot name."""
    if isinstance(value, Tensor) and _is_size(value.value, scope.builder):
        message = f"`{binding.name}` hangs on a size that is not known when the spec is read"
        hint = "give it a size: dim NAME = …, or let the data bind it"
        raise ArchError(Diagnostic("S07", message, binding.value.span, hints=(hint,)))
    if isinstance(value, Tensor | Items | Module):
        hints = (f"write `{binding.name} = …` without `let`",) if isinstance(value, Tensor) else ()
        message = f"`let` names a number, a string or a choice, not {kind_of(value)}"
        raise ArchError(Diagnostic("S09", message, binding.value.span, hints=hints))


def _is_size(value: int, builder: Builder) -> bool:
    """Whether a tensor is made of sizes and numbers alone, as `max(T, 3)` is where T is open."""
    leaves = [node for v in builder.graph().reached([value]) if not (node := builder.node(v)).operands]
    sizes = [n for n in leaves if n.op == "size" or any(key == "lengths" for key, _ in n.attributes)]
    return bool(sizes) and all(n.op == "constant" for n in leaves if n not in sizes)


def _weight(item: syntax.Weight, scope: Scope) -> None:
    axes = tuple(axis_of(axis_number(a, scope), scope.context) for a in item.axes)
    check_rank(axes, item.span)
    _refuse_lengths(axes, item, scope)
    path = f"{scope.path}/{item.name}"
    spec = WeightSpec(path, axes, _initializer(item, scope), item.frozen, item.span)
    if item.name not in scope.spans and path in scope.builder.weights:
        value = _shared_weight(spec, item, scope)
    else:
        _check_size(axes, item, scope)
        value = scope.builder.weight(spec)
        _stamp(value, item.name, scope)
    scope.define(item.name, Tensor(value), name_span(item, item.name))


def _refuse_lengths(axes: tuple[Axis, ...], item: syntax.Weight, scope: Scope) -> None:
    """A weight has one size for all rows and is one and the same at every step of a loop."""
    for axis, node in zip(axes, item.axes, strict=True):
        if scope.context.real(axis).size.roots & scope.context.ragged:
            message = f"the weight `{item.name}` has the axis {axis}, along which rows differ in length"
            hint = "a table of positions has an axis of its own: layer pos = embed(Tmax, D), pos(iota[T])"
            raise ArchError(Diagnostic("S08", message, node.span, hints=(hint,)))
        if scope.loop is not None and axis == scope.loop.step.axis:
            message = f"the weight `{item.name}` has the axis {axis} of the loop around it, where it is the same at every step"
            t = scope.loop.step.name
            hint = f"declare it above the loop, and read {item.name}[{t}] in it"
            raise ArchError(Diagnostic("S08", message, node.span, hints=(hint,)))


def _shared_weight(spec: WeightSpec, item: syntax.Weight, scope: Scope) -> int:
    known = scope.builder.specs[spec.path]
    if known.axes != spec.axes:
        message = f"the shared weight `{item.name}` is {shape_text(known.axes)} and would be {shape_text(spec.axes)} here"
        hint = "all uses of a `layer` need inputs of one width; blocks called in place have weights of their own"
        raise ArchError(Diagnostic("S02", message, item.span, hints=(hint,)))
    return scope.builder.weights[spec.path]


def _check_size(axes: tuple[Axis, ...], item: syntax.Weight, scope: Scope) -> None:
    """Bounds what all weights take together. Once they are too large, one message says so."""
    context = scope.context
    if context.elements > MAX_ELEMENTS:
        raise Poisoned
    total = elements(axes, scope.builder.sizes)
    context.elements += total
    if context.elements > MAX_ELEMENTS:
        weight = f"the weight `{item.name}{shape_text(axes)}`"
        message = f"{weight} would have {total:,} elements" if total > MAX_ELEMENTS else f"with {weight} there are too many"
        hint = f"all weights together have at most {MAX_ELEMENTS:,} elements"
        raise ArchError(Diagnostic("S10", message, name_span(item, item.name), hints=(hint,)))


def _initializer(item: syntax.Weight, scope: Scope) -> Recipe:
    node = item.initializer
    if node is None:
        return initializer_named(DEFAULT_INITIALIZER, item.span)
    name = node.function if isinstance(node, syntax.Call) else node
    if isinstance(name, syntax.Name) and not means_something(name.id, scope):
        raise unknown_initializer(name.id, name.span)
    value = evaluate(node, scope)
    if isinstance(value, Num) and value.value is not None:
        return Recipe("initializer", "constant", {"value": float(value.value)}, item.span)
    if not isinstance(value, Recipe):
        message = f"a weight is drawn from an initializer, not from {kind_of(value)}"
        hint = "such as glorot, he, orthogonal, zeros or normal(std=0.02)"
        raise ArchError(Diagnostic("S09", message, node.span, hints=(hint,)))
    return value


def _layer(item: syntax.Layer, scope: Scope) -> None:
    value = evaluate(item.value, scope.child(item.name))
    if not isinstance(value, Function) or value.tensors:
        message = f"a layer is a block with its settings, not {kind_of(value)}"
        hint = f"layer {item.name} = linear(H)"
        raise ArchError(Diagnostic("S09", message, item.value.span, hints=(hint,)))
    span = name_span(item, item.name)
    scope.define(item.name, SharedLayer(value, f"{scope.path}/{item.name}", span), span)


def _assign(item: syntax.Assign, scope: Scope) -> None:
    for target in item.targets:
        if target.of is not None:
            raise ArchError(Diagnostic("S13", "only `data` says what a tensor indexes", target.span))
    name = item.targets[0].name if len(item.targets) == 1 else "+".join(t.name for t in item.targets)
    inner = scope.child(name)
    since = len(scope.builder.nodes)
    if len(item.targets) == 1:
        _define(item.targets[0], _value(item.targets[0], item.value, inner), scope, since)
        return
    value = evaluate(item.value, inner)
    parts = value.items if isinstance(value, Items) else (value,)
    if len(parts) != len(item.targets) or not all(isinstance(p, Tensor) for p in parts):
        count = "1 value" if len(parts) == 1 else f"{len(parts)} values"
        message = f"there are {len(item.targets)} names on the left and {count} on the right"
        raise ArchError(Diagnostic("S04", message, item.targets[0].span.to(item.targets[-1].span)))
    for target in item.targets:
        _refuse_indices(target, scope)
    for target, part in zip(item.targets, parts, strict=True):
        _define(target, part, scope, since)


def _value(target: syntax.Target, node: syntax.Expression, scope: Scope) -> Tensor:
    """The right side of an equation, whole or with the indices of the left."""
    if target.indices is None:
        return evaluate_tensor(node, scope)
    indices = step_target(target, scope)
    if indices is None:
        return index_equation(target, target.indices, node, scope)
    return index_equation(target, indices, node, scope) if indices else evaluate_tensor(node, scope)


def _refuse_indices(target: syntax.Target, scope: Scope) -> None:
    if target.indices is not None and step_target(target, scope) != []:
        hint = "give each an equation of its own"
        message = "several names on the left have no indices"
        raise ArchError(Diagnostic("S08", message, target.span, hints=(hint,)))


def _define(target: syntax.Target, value: Value, scope: Scope, since: int) -> None:
    if isinstance(value, Tensor) and value.value >= since:
        _stamp(value.value, target.name, scope)
    if isinstance(value, Tensor) and target.indices is not None and step_target(target, scope) is not None:
        assign_step(target, value, scope)
    else:
        scope.define(target.name, value, target.span)


def _stamp(value: int, name: str, scope: Scope) -> None:
    """Gives a node the name that the outermost line calls it by; inner names were for the inside of a block."""
    node = scope.builder.nodes[value]
    if node.op not in ("input", "weight") or not node.origin.name:
        span = scope.builder.origin.span or node.origin.span
        block = node.origin.block or node.origin.path
        origin = replace(node.origin, path=scope.path, name=name, span=span, block=block)
        scope.builder.nodes[value] = replace(node, origin=origin)


def _require(item: syntax.Require, scope: Scope) -> None:
    value = evaluate(item.condition, scope)
    if not isinstance(value, Truth):
        message = f"`require` needs a condition, true or false, not {kind_of(value)}"
        raise ArchError(Diagnostic("S09", message, item.condition.span, hints=("require D % N == 0",)))
    if value.value is None and (ragged := _ragged_names(item.condition, scope)):
        message = f"rows differ in length along {' and '.join(ragged)}, so this cannot be checked when the spec is read"
        raise ArchError(Diagnostic("S07", message, item.condition.span))
    if value.value is False:
        message = _filled(item.message.value, scope) if item.message else "this requirement does not hold"
        notes = () if item.message else tuple(_figures(item.condition, scope))
        raise ArchError(Diagnostic("S06", message, item.condition.span, "required here", notes))


def _ragged_names(condition: syntax.Expression, scope: Scope) -> list[str]:
    found = (scope.find(name) for name in names_in(condition))
    sizes = [value.size for value in found if isinstance(value, Num) and value.value is None and value.size is not None]
    return sorted({root for size in sizes for root in size.roots} & scope.context.ragged)


def _figures(condition: syntax.Expression, scope: Scope) -> Iterator[str]:
    """What the numbers in a condition are, a note each."""
    for name in dict.fromkeys(names_in(condition)):
        value = scope.find(name)
        if isinstance(value, Num):
            yield f"{name} is {value.text}"


def _filled(message: str, scope: Scope) -> str:
    """`{D}` in a user's message becomes the value of D; unknown names stay as they are."""

    def value_of(match: re.Match[str]) -> str:
        try:
            value = scope.find(match.group(1))
        except Poisoned:
            return match.group(0)
        return spelled(value) if isinstance(value, Num | Text | Truth) else match.group(0)

    return re.sub(r"\{(\w+)\}", value_of, message)


def _if(item: syntax.If, scope: Scope) -> None:
    chosen = item.then if decide(item.condition, scope) else item.otherwise
    for statement in chosen:
        _run(statement, scope)


_RULES: dict[type, Callable[[Any, Scope], None]] = {
    syntax.Let: _let,
    syntax.Weight: _weight,
    syntax.Layer: _layer,
    syntax.Assign: _assign,
    syntax.Require: _require,
    syntax.If: _if,
    syntax.Over: run_over,
    syntax.State: run_state,
}
