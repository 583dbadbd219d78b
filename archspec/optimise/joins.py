"""Sums of which one term is read: an axis put together of parts.

y[o] = sum g: x[g, o - Z*g]   ->   y = x along one axis, where x[g,z] has Z points along z
"""

from __future__ import annotations

from collections.abc import Sequence

from archspec.ir.build import Builder, Loops, rebuild
from archspec.ir.graph import Graph, Node, Place
from archspec.ir.sizes import ONE, Size
from archspec.records import replace


def join_parts(graph: Graph) -> Graph:
    """Sums of windows in the form above as reshapes."""
    if not any(node.op == "sum" and graph.nodes[node.operands[0].value].op == "window" for node in graph.nodes):
        return graph

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        return _joined(builder, node) if node.op == "sum" and builder.node(operands[0]).op == "window" else None

    return rebuild(graph, rewrite)


def _joined(builder: Builder, node: Node) -> int | None:
    operand = node.operands[0]
    window = builder.node(operand.value)
    if len(node.reduced) != 1 or window.attribute("fill") != 0.0 or len(set(operand.index)) != len(operand.index):
        return None
    places: Sequence[Place] = window.attribute("places")
    part = operand.index.index(len(node.axes))
    at = next((k for k, place in enumerate(places[:-1]) if place.plain == part), None)
    if at is None or sum(part == i for place in places for i, _ in place.terms) != 2:
        return None
    whole = _whole(builder, window, at)
    return None if whole is None else _along_one_axis(builder, node, at, part, whole)


def _whole(builder: Builder, window: Node, at: int) -> int | None:
    """The window's loop o along which the axes `at` and the next one are read as one, o - Z*g."""
    places: Sequence[Place] = window.attribute("places")
    part, inside = places[at].plain, places[at + 1]
    parts, points = builder.node(window.operands[0].value).axes[at : at + 2]
    whole = next((i for i, factor in inside.terms if factor == ONE and i != part), None)
    if part is None or whole is None or window.axes[part] != parts or window.axes[whole].ragged:
        return None
    step = (dict(inside.terms).get(part, ONE) * Size.number(-1)).known(builder.sizes)
    even = len(inside.terms) == 2 and not inside.offset.terms and inside.divisor == ONE
    full = window.axes[whole].size.known(builder.sizes) == (parts.size * points.size).known(builder.sizes)
    return whole if even and full and step == points.size.known(builder.sizes) else None


def _along_one_axis(builder: Builder, node: Node, at: int, part: int, whole: int) -> int:
    """What the sum makes, read from the operand along other axes."""
    operand = node.operands[0]
    window = builder.node(operand.value)
    places, source = window.attribute("places"), window.operands[0].value
    axes = builder.node(source).axes
    joined = builder.reshape(source, (*axes[:at], window.axes[whole], *axes[at + 2 :]))
    kept = [i for i in range(len(window.axes)) if i != part]
    number = {loop: k for k, loop in enumerate(kept)}
    moved = (*places[:at], Place.loop(whole), *places[at + 2 :])
    moved = tuple(replace(p, terms=tuple((number[i], f) for i, f in p.terms)) for p in moved)
    value = builder.window(joined, [window.axes[i] for i in kept], moved)
    loops = Loops(builder, node.axes)
    return loops.materialise(loops.term(value, [operand.index[i] for i in kept]), range(len(node.axes)))
