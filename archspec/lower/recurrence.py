"""Recurrences: `over t in T { state h[B,H] = 0 … h[t] = tanh(x[t] @ W + h[t-1] @ U) }`.

The body is laid out once, as if there were no T: what it reads at step t is a copy that lacks the axis, with a marker
where the loop belongs. Then everything that hangs on the step gets the axis, in front of its own:

    xt[B,D] = copy(x[B, ·, D])            xt[T,B,D] = copy(x[B,T,D])
    hp[B,H] = delay(0)             ->     hp[T,B,H] = delay(0) along T
    h[B,H]  = tanh(xt @ W + …)            h[T,B,H]  = tanh(xt @ W + …)         link: hp is h, one step before

What does not hang on the step stays as it is, outside of the loop by itself.
"""

from __future__ import annotations

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.build import Loops
from archspec.ir.graph import FLOAT, IMPLICIT, Node, Operand, Place
from archspec.ir.sizes import Axis, Size, shape_text
from archspec.lower.align import held_by, place_axes
from archspec.lower.files import defined_twice
from archspec.lower.frame import work
from archspec.lower.lengths import length_of, row_of, without_rows
from archspec.lower.resolve import axis_number
from archspec.lower.scope import Scope, axis_of, check_rank, join, name_span
from archspec.lower.subscripts import step_position
from archspec.lower.values import Num, Series, Step, Tensor, kind_of
from archspec.records import field, record, replace

MAX_LOOPS = 4


@record(eq=False, frozen=False)
class Loop:
    """A recurrence while its body is laid out."""

    step: Step
    carry: bool
    outer: Scope
    span: Span
    start: int
    series: dict[str, Series] = field(default_factory=dict)


def run_over(item: syntax.Over, scope: Scope) -> None:
    """Lays out a recurrence; afterwards every name assigned with `[t]` is a whole tensor."""
    context = scope.context
    axis = axis_of(axis_number(item.axis, scope), context)
    if context.depth >= MAX_LOOPS:
        message = f"loops are nested more than {MAX_LOOPS} deep"
        raise ArchError(Diagnostic("S10", message, item.span, hints=("lay some of them one after another",)))
    if item.carry and context.depth:
        hint = "only the outermost loop goes on where the last batch ended"
        raise ArchError(Diagnostic("S13", "`carry` has no place in a loop inside a loop", _head(item), hints=(hint,)))
    _check_name(item, scope)
    step = Step(item.index, axis, context.depth, item.is_reversed)
    loop = Loop(step, item.carry, scope, _head(item), len(context.builder.nodes))
    inner = Scope(context, scope.file, scope.path, {item.index: step}, scope.spans, parent=scope, calls=scope.calls)
    inner.loop, inner.body = loop, item.body
    context.depth += 1
    try:
        context.run(item.body, inner)
    finally:
        context.depth -= 1
    _finish(loop)


def _head(item: syntax.Over) -> Span:
    """The first line of the loop."""
    first = item.span
    end = len(first.source.line(first.line)) + 1
    return Span(first.source, first.line, first.column, first.line, end) if first.end_line > first.line else first


def _check_name(item: syntax.Over, scope: Scope) -> None:
    taken = scope.find(item.index)
    if isinstance(taken, Step) or item.index in scope.spans:
        hint = "take another letter for the steps of this loop"
        raise ArchError(Diagnostic("S05", f"`{item.index}` has a meaning here already", _head(item), hints=(hint,)))


# --- states and assignments --------------------------------------------------------------------------------------


def run_state(item: syntax.State, scope: Scope) -> None:
    """`state h[B,H] = 0`: a delay, whose link is what the loop assigns to `h[t]`."""
    loop = scope.loop
    if loop is None:
        hint = "it holds what one step of `over t in T { … }` passes to the next"
        raise ArchError(Diagnostic("S13", "`state` belongs inside `over`", item.span, hints=(hint,)))
    for entry in item.entries:
        span = name_span(entry, entry.name)
        _refuse_taken(entry.name, span, scope)
        axes = tuple(axis for pattern in entry.axes for axis in _axes(pattern, scope))
        check_rank((*axes, loop.step.axis), entry.span)
        series = Series(entry.name, loop.step, span, axes=axes)
        series.previous = _delay(entry, axes, loop, scope)
        loop.series[entry.name] = series
        scope.define(entry.name, series, span)


def _axes(pattern: syntax.Expression, scope: Scope) -> tuple[Axis, ...]:
    if isinstance(pattern, syntax.Spread):
        return scope.leading(pattern.span)
    return (axis_of(axis_number(pattern, scope), scope.context),)


def _refuse_taken(name: str, span: Span, scope: Scope) -> None:
    if name in scope.spans:
        raise ArchError(defined_twice(name, span, scope.spans[name]))


def _delay(entry: syntax.StateEntry, axes: tuple[Axis, ...], loop: Loop, scope: Scope) -> int:
    value = _first_value(entry, axes, scope.child(entry.name))
    if loop.carry:
        value = _carried(entry, axes, value, scope)
    index = place_axes(scope.builder.node(value).axes, axes)
    if index is None:
        found, needed = scope.builder.node(value).shape, shape_text(axes)
        message = f"the first value of `{entry.name}` has {found}, and the state has {needed}"
        hint = "its axes must be among those of the state"
        raise ArchError(Diagnostic("S02", message, entry.initial.span, hints=(hint,)))
    attributes = (("along", loop.step.marker), ("reverse", loop.step.is_reversed))
    origin = replace(scope.builder.origin, name=entry.name)
    return scope.builder.add(Node("delay", (Operand(value, index),), axes, attributes=attributes, origin=origin))


def _first_value(entry: syntax.StateEntry, axes: tuple[Axis, ...], scope: Scope) -> int:
    value = scope.context.evaluate(entry.initial, scope)
    if isinstance(value, Num) and value.value is not None:
        return scope.builder.constant(float(value.value))
    if not isinstance(value, Tensor) or scope.builder.node(value.value).dtype != FLOAT:
        found = held_by(scope.builder.node(value.value)) if isinstance(value, Tensor) else kind_of(value)
        message = f"a state starts from numbers, not from {found}"
        raise ArchError(Diagnostic("S09", message, entry.initial.span, hints=(f"state {entry.name}[…] = 0",)))
    return value.value


def _carried(entry: syntax.StateEntry, axes: tuple[Axis, ...], value: int, scope: Scope) -> int:
    """The input that brings the state from the batch before."""
    node = scope.builder.node(value)
    if node.op != "constant" or node.attribute("value") != 0.0:
        message = f"a loop with `carry` starts where the last batch ended, so `{entry.name}` starts from 0"
        raise ArchError(Diagnostic("S13", message, entry.initial.span, hints=("write `= 0`, or leave `carry` out",)))
    name = f"carry:{join(scope.path, entry.name)}"
    if name in scope.builder.inputs:
        message = "a layer that is used twice cannot carry its states"
        raise ArchError(Diagnostic("S13", message, entry.span, hints=("two layers have a state each",)))
    return scope.builder.input(name, axes)


def step_target(target: syntax.Target, scope: Scope) -> list[syntax.Expression] | None:
    """The indices of `h[b,t,k] = …` without the step, [] for `h[t] = …`; None where it is no step of the loop."""
    loop = scope.loop
    indices = list(target.indices or ())
    names = [i.id if isinstance(i, syntax.Name) else "" for i in indices]
    if loop is None or loop.step.name not in names:
        _refuse_outer_step(target, names, scope)
        return None
    at = names.index(loop.step.name)
    if len(indices) > 1 and at != 1 and not any(isinstance(i, syntax.Spread) for i in indices[:at]):
        message = f"the axis of the loop comes second, after the first axis: `{target.name}[{_usual(names, at)}]`"
        raise ArchError(Diagnostic("S08", message, indices[at].span))
    return indices[:at] + indices[at + 1 :]


def _usual(names: list[str], at: int) -> str:
    rest = names[:at] + names[at + 1 :]
    return ",".join([*rest[:1], names[at], *rest[1:]])


def _refuse_outer_step(target: syntax.Target, names: list[str], scope: Scope) -> None:
    for name in names:
        if isinstance(scope.find(name) if name else None, Step):
            message = f"`{name}` is the step of a loop further out"
            hint = "assign it in the body of that loop"
            raise ArchError(Diagnostic("S13", message, target.span, hints=(hint,)))


def assign_step(target: syntax.Target, tensor: Tensor, scope: Scope) -> None:
    """`h[t] = tensor`."""
    loop, builder = scope.loop, scope.builder
    assert loop is not None
    series = loop.series.get(target.name)
    if series is not None and series.current is not None:
        first = series.span if series.previous is None else scope.spans[f"{target.name}[]"]
        raise ArchError(defined_twice(f"{target.name}[{loop.step.name}]", target.span, first, "a step assigns each name once"))
    if series is None:
        _refuse_taken(target.name, target.span, scope)
        axes = builder.node(tensor.value).axes
        check_rank((*axes, loop.step.axis), target.span)
        series = loop.series[target.name] = Series(target.name, loop.step, target.span, axes=axes)
        scope.define(target.name, series, target.span)
        series.current = tensor.value
        return
    scope.spans[f"{target.name}[]"] = target.span
    series.current = _held(series, _as_state(series, tensor, target, scope), scope)


def _as_state(series: Series, tensor: Tensor, target: syntax.Target, scope: Scope) -> int:
    """The value with the axes of the state, in its order."""
    node = scope.builder.node(tensor.value)
    places = place_axes(node.axes, series.axes)
    if places is None or node.dtype != FLOAT:
        holds = f"has {node.shape}" if node.dtype == FLOAT else f"holds {held_by(node)}"
        message = f"the state `{series.name}` is declared {shape_text(series.axes)}, and what it is assigned {holds}"
        raise ArchError(Diagnostic("S02", message, target.span, f"declared at line {series.span.line}"))
    loops = Loops(scope.builder, series.axes)
    value = loops.materialise(loops.term(tensor.value, places), range(len(series.axes)))
    if value != series.previous:
        return value
    return scope.builder.add(Node("copy", (Operand(value, tuple(range(len(series.axes)))),), series.axes))


def _held(series: Series, value: int, scope: Scope) -> int:
    """Past the end of its row a state stays as it is."""
    context, builder = scope.context, scope.builder
    lengths = length_of(series.step.axis, context)
    row = row_of(series.axes, lengths, context)
    if lengths is not None and row is None and series.step.is_reversed:
        raise without_rows("reversed", series.step.axis, series.axes, series.span, context)
    if lengths is None or row is None or series.previous is None:
        return value
    loops = Loops(builder, series.axes)
    now = loops.term(step_position(series.step, scope), ())
    going = loops.map("less", now, loops.term(lengths, (row,)))
    return going.apply("where", loops.term(value), loops.term(series.previous)).value


# --- the end of the loop -----------------------------------------------------------------------------------------


def _finish(loop: Loop) -> None:
    scope = loop.outer
    if not loop.series:
        message = f"nothing leaves this loop: no name is assigned with `[{loop.step.name}]`"
        raise ArchError(Diagnostic("S13", message, loop.span, hints=(f"h[{loop.step.name}] = …",)))
    for series in loop.series.values():
        if series.current is None:
            message = f"the state `{series.name}` is never assigned"
            hint = f"{series.name}[{loop.step.name}] = … says what the next step gets"
            raise ArchError(Diagnostic("S13", message, series.span, hints=(hint,)))
    work(scope.context, loop.span, len(scope.builder.nodes) - loop.start)
    lift = _Lift(loop, scope)
    _check_first_values(loop, lift.lifted, scope)
    lift.run()
    for series in loop.series.values():
        whole = lift.whole(series)
        if series.previous is not None:
            scope.builder.links[lift.new[series.previous]] = whole
        if series.previous is not None and loop.carry:
            last = Size.number(0) if loop.step.is_reversed else loop.step.axis.size - Size.number(1)
            name = f"carry:{join(scope.path, series.name)}"
            scope.builder.outputs[name] = scope.builder.pick(whole, 0, last)
        scope.names[series.name] = Tensor(_outside(series, whole, scope))


def _check_first_values(loop: Loop, lifted: set[int], scope: Scope) -> None:
    for series in loop.series.values():
        if series.previous is not None and scope.builder.node(series.previous).operands[0].value in lifted:
            message = f"the first value of `{series.name}` hangs on the step `{loop.step.name}`"
            hint = "it is there before the first step: read nothing with the index of the loop in it"
            raise ArchError(Diagnostic("S13", message, series.span, hints=(hint,)))


def _outside(series: Series, value: int, scope: Scope) -> int:
    """The whole tensor, with the axis of the loop after its first one."""
    index = (1, 0, *range(2, len(series.whole))) if series.axes else (0,)
    node = scope.builder.node(value)
    copy = Node("copy", (Operand(value, index),), series.whole, dtype=node.dtype, of=node.of)
    return scope.builder.add(replace(copy, origin=replace(scope.builder.origin, path=scope.path, name=series.name)))


class _Lift:
    """Gives the axis of the loop to the nodes from `start` on that hang on its step. `new` are their new numbers."""

    def __init__(self, loop: Loop, scope: Scope) -> None:
        self.loop, self.builder, self.start = loop, scope.builder, loop.start
        self.axis, self.marker = loop.step.axis, loop.step.marker
        self.lifted = self._hanging()
        self.new: dict[int, int] = {}

    def _hanging(self) -> set[int]:
        """The nodes that read something at the step, its delays, and all that hang on one of these."""
        builder, found = self.builder, set[int]()
        readers: dict[int, list[int]] = {}
        for value in range(self.start, len(builder.nodes)):
            for operand in builder.nodes[value].operands:
                readers.setdefault(operand.value, []).append(value)
        for delay, link in builder.links.items():
            readers.setdefault(link, []).append(delay)
        stack = [v for v in range(self.start, len(builder.nodes)) if self._is_marked(builder.nodes[v])]
        while stack:
            value = stack.pop()
            if value not in found:
                found.add(value)
                stack += readers.get(value, [])
        return found

    def _is_marked(self, node: Node) -> bool:
        own = node.op == "delay" and node.attribute("along") == self.marker
        return own or any(self.marker in o.index for o in node.operands)

    def run(self) -> None:
        builder = self.builder
        tail = builder.nodes[self.start :]
        del builder.nodes[self.start :]
        for value, node in enumerate(tail, self.start):
            self.new[value] = builder.add(self._with_axis(node) if value in self.lifted else self._moved(node))
        inside = self.new.get
        for table in (builder.weights, builder.inputs, builder.outputs):
            table.update({name: inside(v, v) for name, v in table.items()})
        builder.links = {inside(d, d): self._link(d, v) for d, v in builder.links.items()}

    def _moved(self, node: Node) -> Node:
        return node.reading({o.value: self.new.get(o.value, o.value) for o in node.operands})

    def _link(self, delay: int, value: int) -> int:
        """The link of a delay inside the loop: with the axis where the delay has it."""
        return self._repeated(value) if delay in self.lifted else self.new.get(value, value)

    def whole(self, series: Series) -> int:
        """All steps of a series, with the axis of the loop in front."""
        assert series.current is not None
        return self._repeated(series.current)

    def _repeated(self, value: int) -> int:
        """The value with the axis in front; what does not hang on the step is repeated along it."""
        new = self.new.get(value, value)
        if value in self.lifted:
            return new
        node = self.builder.node(new)
        index = tuple(range(1, len(node.axes) + 1))
        return self.builder.add(
            Node("copy", (Operand(new, index),), (self.axis, *node.axes), dtype=node.dtype, of=node.of, origin=node.origin)
        )

    def _with_axis(self, node: Node) -> Node:
        if node.op == "concat":
            operands = tuple(Operand(self._repeated(o.value), ()) for o in node.operands)
        else:
            operands = tuple(self._operand(node, o) for o in node.operands)
        attributes = tuple((name, self._attribute(node, name, value)) for name, value in node.attributes)
        return replace(node, operands=operands, axes=(self.axis, *node.axes), attributes=attributes)

    def _operand(self, node: Node, operand: Operand) -> Operand:
        value = self.new.get(operand.value, operand.value)
        if node.op in IMPLICIT:
            return Operand(value, ())
        front = (0,) if operand.value in self.lifted else ()
        index = tuple(0 if i == self.marker else i + 1 if i >= 0 else i for i in operand.index)
        return Operand(value, (*front, *index))

    def _attribute(self, node: Node, name: str, value: object) -> object:
        if name == "places":
            return (Place.loop(0), *(p.shifted(1) for p in value))  # type: ignore[attr-defined]
        if name == "axis" or (name == "along" and value != self.marker):
            return value + 1  # type: ignore[operator]
        return 0 if name == "along" else value
