"""Convolutions without patches: a product reads the windows where they lie.

y[i,o] = sum u,c: x[i+u-1,c] * W[u,c,o]               ->  p[i] = x[i-1], zeros around;  y[i,o] = sum u,c: p[i+u,c] * W[u,c,o]
dx[p,c] = sum u: (sum o: dy[i,o] * W[u,c,o])[p-u+1]   ->  dx[p,c] = sum u,o: dy[p-u+1,o] * W[u,c,o]

A window that stays inside of its operand is a way of reading, so of a convolution no more is stored than its input with
a border of zeros, and its gradient is a convolution again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import Graph, Node, Operand, Place
from archspec.ir.sizes import ONE, ZERO, Axis, Size
from archspec.optimise.strides import between_points, sum_between_points
from archspec.records import replace


def read_windows_in_place(graph: Graph) -> Graph:
    """Products of windows in the forms above, where the steps of the windows are whole."""
    if not any(node.op == "window" for node in graph.nodes):
        return graph
    readers = graph.uses
    kept = set(graph.outputs.values()) | set(graph.links.values())
    once = {v for v, by in enumerate(readers) if len(by) == 1 and v not in kept}
    multiplied = {v for v, by in enumerate(readers) if any(graph.nodes[r].op == "contract" for r in by)}
    olds = count()

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        old = next(olds)
        if node.op == "sum":
            window = graph.nodes[old].operands[0].value
            source = graph.nodes[window].operands[0].value if graph.nodes[window].op == "window" else None
            made = _product_of_windows(builder, node) if {window, source} <= once else None
            return sum_between_points(builder, node) if made is None else made
        return _with_border(builder, node) if node.op == "window" and old in multiplied else None

    return rebuild(graph, rewrite)


# --- the gradient of a convolution's input ---------------------------------------------------------------------------


def _product_of_windows(builder: Builder, node: Node) -> int | None:
    """sum over windows of a product  ->  the product with windows, where the windows move one operand only."""
    window = builder.node(node.operands[0].value)
    product = builder.node(window.operands[0].value)
    if product.op != "contract" or window.attribute("fill") != 0.0:
        return None
    places: Sequence[Place] = window.attribute("places")
    still = [place.plain for place in places]
    for moved, fixed in (product.operands, product.operands[::-1]):
        others = {i for i in range(len(still)) if still[i] is None}
        if others and others <= set(moved.index) and not others & set(fixed.index):
            return _moved_product(builder, node, window, product, moved, fixed)
    return None


def _moved_product(builder: Builder, node: Node, window: Node, product: Node, moved: Operand, fixed: Operand) -> int | None:
    places: Sequence[Place] = window.attribute("places")
    rank, along = len(product.axes), node.operands[0].index
    walked = sorted({loop for i in moved.index if i < rank for loop, _ in places[i].terms})
    summed = [i for i in range(rank, len(product.loops)) if i in moved.index]
    place = {loop: k for k, loop in enumerate(walked)}
    axes = (*(window.axes[loop] for loop in walked), *(product.loops[i] for i in summed))
    inner = {i: len(node.loops) + i - rank for i in range(rank, len(product.loops))}
    left = Operand(-1, (*(along[loop] for loop in walked), *(inner[i] for i in summed)))
    right = fixed._replace(index=tuple(inner[i] if i >= rank else along[places[i].terms[0][0]] for i in fixed.index))
    gone = range(len(node.axes), len(node.loops))
    if not set(gone) <= set(left.index) & set(right.index):
        return None
    there = tuple(
        Place.loop(len(walked) + summed.index(i)) if i >= rank else _renumbered(places[i], place) for i in moved.index
    )
    left = left._replace(value=builder.window(moved.value, axes, there))
    made = Node("contract", (left, right), node.axes, (*node.reduced, *product.reduced), origin=node.origin)
    if any(place.divisor != ONE for place in there):
        return between_points(builder, made, left, right)
    return builder.add(made)


def _renumbered(place: Place, numbers: dict[int, int]) -> Place:
    return replace(place, terms=tuple((numbers[loop], factor) for loop, factor in place.terms))


# --- borders ---------------------------------------------------------------------------------------------------------


def _with_border(builder: Builder, node: Node) -> int | None:
    """A window that overlaps others and reads beyond the ends  ->  a window inside of the operand with a border."""
    places: Sequence[Place] = node.attribute("places")
    if all(len(place.terms) < 2 for place in places):
        return None
    value = node.operands[0].value
    axes = builder.node(value).axes
    borders = [_border(place, axis, node, builder) for place, axis in zip(places, axes, strict=True)]
    if any(border is None for border in borders) or not any(border != (0, 0) for border in borders):
        return None
    known = [border for border in borders if border is not None]
    wide = tuple(Axis(a.size + Size.number(sum(b))) if sum(b) else a for a, b in zip(axes, known, strict=True))
    around = [Place(((k, ONE),), Size.number(-before)) for k, (before, _) in enumerate(known)]
    bordered = builder.window(value, wide, around, node.attribute("fill"))
    inside = [replace(p, offset=p.offset + Size.number(b)) for p, (b, _) in zip(places, known, strict=True)]
    return builder.window(bordered, node.axes, inside, node.attribute("fill"))


def _border(place: Place, axis: Axis, node: Node, builder: Builder) -> tuple[int, int] | None:
    """How many points before and after an axis are read; None where that hangs on open sizes."""
    if place.divisor != ONE:
        return None
    first = last = place.offset
    for loop, factor in place.terms:
        step = factor.evaluate(builder.sizes)
        if step is None:
            return None
        reach = factor * (node.axes[loop].size - ONE)
        first, last = (first, last + reach) if step >= 0 else (first + reach, last)
    before = (ZERO - first).known(builder.sizes).constant
    after = (last - axis.size + ONE).known(builder.sizes).constant
    return None if before is None or after is None else (max(before, 0), max(after, 0))
