"""Ops that move elements: windows, joins, reshapes, rows picked by integers, recurrences.

Their gradients are other ops of this file, so that each element of a gradient is summed by one thread in one order:
where a framework scatters the gradient of a convolution, here each input gathers from the windows that have read it.

A rule gets the node, the term of its gradient and the operands' numbers, and returns the operands' gradients, each with
the operand's own axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.ir.build import Builder, Loops, Term
from archspec.ir.graph import Node, Place
from archspec.ir.sizes import Axis, Size
from archspec.ops.record import OPS, Op


def _window(node: Node, dy: Term, operands: Sequence[int]) -> tuple[int | None, ...]:
    """dx[p] = the sum of dy over the points of the loops whose place is p.

    Along each axis the place is solved for one loop, l = (p * divisor - offset - the others) / factor; the sum runs
    over the loops that are left.
    """
    builder = dy.loops.builder
    places: tuple[Place, ...] = node.attribute("places")
    axes = builder.node(operands[0]).axes
    solved = _solved(places, node.axes, builder)
    if solved is None:
        return (_by_comparison(node, dy, axes, builder),)
    free = [loop for loop in range(len(node.axes)) if loop not in solved]
    before = max(len(axes) - 1, 0)  # the loops of the sum come before the last axis, which stays the innermost
    number = {loop: before + k for k, loop in enumerate(free)}
    where = [axis if axis < before else axis + len(free) for axis in range(len(axes))]
    back: list[Place] = [Place.loop(number.get(loop, 0)) for loop in range(len(node.axes))]
    walks = {loop: where[axis] for axis, loop in enumerate(solved) if loop is not None}
    for axis, (place, loop) in enumerate(zip(places, solved, strict=True)):
        if loop is not None:
            back[loop] = _inverse(place, loop, where[axis], {**walks, **number})
    loops = Loops(builder, (*axes[:before], *(node.axes[loop] for loop in free), *axes[before:]))
    term = loops.term(builder.window(dy.value, loops.axes, back))
    if free:
        term = loops.reduce("sum", term, number.values())
    for axis, loop in enumerate(solved):
        if loop is None:  # a single place was read along this axis: all others get nothing
            here, at = loops.position(where[axis]).apply("number"), Term(loops, builder.size(places[axis].offset), ())
            term = here.apply("equal", at).apply("where", term, loops.number(0.0))
    return (loops.materialise(term, where),)


def _inverse(place: Place, loop: int, axis: int, numbers: Mapping[int, int]) -> Place:
    """Where `loop` is, so that the place is the point `axis`; `numbers` are the loops that walk the others."""
    factor = dict(place.terms)[loop]
    sign = Size.number(-1 if (factor.constant or 0) < 0 else 1)
    others = tuple((numbers[i], f * sign * Size.number(-1)) for i, f in place.terms if i != loop)
    return Place(((axis, place.divisor * sign), *others), place.offset * sign * Size.number(-1), factor * sign)


def _solved(places: Sequence[Place], axes: Sequence[Axis], builder: Builder) -> list[int | None] | None:
    """For each axis the loop that its place is solved for, of several the longest; None where a loop would have to be
    solved for twice. What walks an axis from end to end is solved there, and so known in the places of the others."""
    if any(len(dict(place.terms)) != len(place.terms) for place in places):
        return None
    known = {place.plain for place in places}
    found: list[int | None] = []
    for place in places:
        candidates = [loop for loop, _ in place.terms if loop not in known or place.plain is not None]
        if place.terms and not candidates:
            return None
        found.append(max(candidates, key=lambda i: builder_size(axes[i], builder), default=None))
    solved = [loop for loop in found if loop is not None]
    others = {i for place, loop in zip(places, found, strict=True) for i, _ in place.terms if i != loop}
    return found if len(set(solved)) == len(solved) and not others & (set(solved) - known) else None


def builder_size(axis: Axis, builder: Builder) -> float:
    size = axis.size.evaluate(builder.sizes)
    return float("inf") if size is None else size


def _by_comparison(node: Node, dy: Term, axes: Sequence[Axis], builder: Builder) -> int:
    """The general form:  dx[p] = the sum over all loops of dy where every place equals p."""
    places: tuple[Place, ...] = node.attribute("places")
    loops = Loops(builder, (*axes, *node.axes))
    term = loops.term(dy.value, range(len(axes), len(loops.axes)))
    for axis, place in enumerate(places):
        there = Term(loops, builder.size(place.offset), ())
        for loop, factor in place.terms:
            there = there + loops.position(len(axes) + loop).apply("number") * Term(loops, builder.size(factor), ())
        here = loops.position(axis).apply("number") * Term(loops, builder.size(place.divisor), ())
        term = here.apply("equal", there).apply("where", term, loops.number(0.0))
    return loops.materialise(loops.reduce("sum", term, range(len(axes), len(loops.axes))), range(len(axes)))


def _concat(node: Node, dy: Term, operands: Sequence[int]) -> tuple[int | None, ...]:
    """Each operand gets its own part of dy."""
    builder, k = dy.loops.builder, node.attribute("axis")
    start, found = Size.number(0), []
    for operand in operands:
        part = builder.node(operand).axes[k]
        found.append(builder.slice(dy.value, k, start, part))
        start = start + part.size
    return tuple(found)


def _reshape(node: Node, dy: Term, operands: Sequence[int]) -> tuple[int | None, ...]:
    return (dy.loops.builder.reshape(dy.value, dy.loops.builder.node(operands[0]).axes),)


def _gather(node: Node, dy: Term, operands: Sequence[int]) -> tuple[int | None, ...]:
    """d(table)[v] = the sum of dy over the points whose integer is v."""
    loops = dy.loops
    ids, table = node.operands
    axis = table.index.index(len(node.axes))
    index = [i for i in table.index if i != len(node.axes)]
    term = loops.term(operands[0], ids.index)
    if len(set(index)) != len(index):
        raise NotImplementedError("the gradient of a diagonal")
    return None, loops.scatter(term, dy, axis, node.reduced[0], index)


def _scatter(node: Node, dy: Term, operands: Sequence[int]) -> tuple[int | None, ...]:
    raise NotImplementedError("second derivatives of rows picked by integers")


def _add(name: str, kind: str, arity: int, doc: str, gradient: object) -> None:
    OPS.add(Op(name, kind, arity, doc, gradient=gradient, spoken=False))  # type: ignore[arg-type]


_add("window", "read", 1, "the operand read at places that are computed from the loops", _window)
_add("gather", "read", 2, "rows of a table picked by integers", _gather)
_add("reshape", "view", 1, "the same elements along other axes", _reshape)
_add("concat", "join", -1, "the operands one after another along an axis", _concat)
_add("scatter", "scatter", 2, "rows added up by integers", _scatter)
_add("delay", "delay", 1, "the value of the link one step before along an axis", None)
OPS.add(
    Op(
        "running",
        "map",
        3,
        "the value in training, in evaluation the running average of what training has observed",
        reference=lambda np, value, average, observed: value,
        gradient=lambda x, y, dy: (dy, None, None),
        spoken=False,
    )
)
