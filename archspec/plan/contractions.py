"""Graph to graph, inside one part of a plan: contractions in the forms that kernels have.

sum[t,b](x[b,t,d] * z[t,b,n])              ->  x copied to [t,b,d]: the sum runs along both as one loop
a contraction that is no matrix product    ->  a product, element by element, and a sum
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from archspec.ir.build import Builder
from archspec.ir.graph import Graph, Node, Operand
from archspec.ir.sizes import ONE, Size
from archspec.plan.layout import extent, strides
from archspec.plan.products import arrange, classify
from archspec.plan.storage import View
from archspec.records import replace

FEW = 4  # a quarter of a vector: a tile does as well with more of them, since it loads less for each product
Moves = Callable[[int], tuple[Size, ...]]


def fit_contractions(graph: Graph, views: Mapping[int, View]) -> tuple[Graph, list[int]]:
    """The graph with contractions that register tiles can walk, and the new number of each of its values."""
    if not any(n.op == "contract" for n in graph.nodes):
        return graph, list(range(len(graph.nodes)))
    builder = Builder()
    builder.specs, builder.sizes = dict(graph.specs), dict(graph.sizes)
    new: list[int] = []
    known: dict[int, tuple[Size, ...]] = {}
    fits: dict[object, bool] = {}
    for old, node in graph:
        moved = node.reading(new)
        if node.op == "contract":
            new.append(_fitted(builder, moved, lambda v: _moves(builder, v, known), fits))
        else:
            new.append(builder.add(moved))
        if old in views:
            known[new[-1]] = views[old].strides
    if builder.nodes == list(graph.nodes):
        return graph, new
    for name in ("inputs", "weights", "outputs"):
        setattr(builder, name, {key: new[v] for key, v in getattr(graph, name).items()})
    return builder.graph(), new


def _moves(builder: Builder, value: int, known: Mapping[int, tuple[Size, ...]]) -> tuple[Size, ...]:
    return known[value] if value in known else strides(builder.node(value).axes, builder.sizes)


def _fitted(builder: Builder, node: Node, moves: Moves, fits: dict[object, bool]) -> int:
    """The contraction as it is, or with operands copied into an order that fits, or as product and sum. `fits` says of what
    was met before whether it fits as it is."""
    (left, first), (right, second) = node.operands
    form = first, second, node.axes, node.reduced, moves(left), moves(right)
    if form not in fits:
        fits[form] = not _is_no_product(builder, node, moves) and arrange(node, builder.sizes, moves) is not None
    return builder.add(node) if fits[form] else _refitted(builder, node, moves)


def _is_no_product(builder: Builder, node: Node, moves: Moves) -> bool:
    """Whether register tiles are nothing for a contraction."""
    return classify(node, *node.operands) is None or _is_side_by_side(builder, node, moves)


def _refitted(builder: Builder, node: Node, moves: Moves) -> int:
    """A contraction that does not fit as it is."""
    if _is_no_product(builder, node, moves):
        return _multiplied(builder, node, moves)
    turned = _turned(builder, node, moves)
    if turned is not None:
        return turned
    for which in ((0,), (1,), (0, 1)):
        copies = [_reordered(builder, node, node.operands[k], node.operands[1 - k]) for k in which]
        operands = list(node.operands)
        for number, (k, (_, order)) in enumerate(zip(which, copies, strict=True), len(builder.nodes)):
            operands[k] = Operand(number, order)
        fitted = replace(node, operands=tuple(operands))
        fresh = {operands[k].value: strides(copy.axes, builder.sizes) for k, (copy, _) in zip(which, copies, strict=True)}
        if arrange(fitted, builder.sizes, lambda v, f=fresh: f[v] if v in f else moves(v)):  # type: ignore[misc]
            for copy, _ in copies:
                builder.add(copy)
            return builder.add(fitted)
    return _multiplied(builder, node, moves)


def _reordered(builder: Builder, node: Node, operand: Operand, other: Operand) -> tuple[Node, tuple[int, ...]]:
    """A copy of an operand in which the loops summed over lie together, in the order of the other one, and the loops that walk
    it. What is innermost stays so: whole runs are copied, nothing is turned."""
    rank = len(node.axes)
    kept = [i for i in operand.index if i < rank]
    summed = [i for i in dict.fromkeys(other.index) if i >= rank and i in operand.index]
    order = [*kept, *summed] if operand.index[-1] >= rank else [*summed, *kept]
    index = tuple(order.index(i) for i in operand.index)
    axes = tuple(node.loops[i] for i in order)
    source = builder.node(operand.value)
    return Node("copy", (Operand(operand.value, index),), axes, dtype=source.dtype, origin=source.origin), tuple(order)


def _is_side_by_side(builder: Builder, node: Node, moves: Moves) -> bool:
    """Whether the contraction is many products of few rows or columns each, whose elements lie side by side: a depthwise
    convolution. Vectors then run along them, not along the rows."""
    classes = classify(node, *node.operands)
    extents = [a.size.known(builder.sizes) for a in node.loops]
    if classes is None or all((extent(part, extents).constant or FEW + 1) > FEW for part in (classes.m, classes.n)):
        return False
    return any(_walks_together(builder, node, moves, i) for i in classes.batch)


def _walks_together(builder: Builder, node: Node, moves: Moves, loop: int) -> bool:
    """Whether neighbours along a loop, which has more than one point, lie side by side in both operands."""
    steps = [dict(zip(o.index, moves(o.value), strict=True)).get(loop) for o in node.operands]
    return steps == [ONE, ONE] and node.loops[loop].size.known(builder.sizes) != ONE


def _turned(builder: Builder, node: Node, moves: Moves) -> int | None:
    """The contraction with its last axis from the other operand, then put in order: where else the windows of a convolution
    would be copied, many times what they read."""
    for wide, other in (node.operands, node.operands[::-1]):
        last = next((i for i in reversed(other.index) if i < len(node.axes) and i not in wide.index), None)
        if builder.node(wide.value).op != "window" or last is None:
            continue
        order = [i for i in range(len(node.axes)) if i != last] + [last]
        place = {loop: k for k, loop in enumerate(order)}
        operands = tuple(o._replace(index=tuple(place.get(i, i) for i in o.index)) for o in node.operands)
        fitted = replace(node, operands=operands, axes=tuple(node.axes[i] for i in order))
        if arrange(fitted, builder.sizes, moves) is not None:
            made = Operand(builder.add(fitted), tuple(order))
            return builder.add(Node("copy", (made,), node.axes, dtype=node.dtype, origin=node.origin))
    return None


def _multiplied(builder: Builder, node: Node, moves: Moves) -> int:
    """The product over all loops, in the order of the wider operand, then the sum. Loops along which both operands lie side by
    side come last."""
    wider = max(node.operands, key=lambda o: len(o.index))
    order = list(dict.fromkeys(wider.index))
    order = [i for i in range(len(node.loops)) if i not in order] + order
    together = [i for i in order if _walks_together(builder, node, moves, i)]
    order = [*(i for i in order if i not in together), *together]
    place = {loop: k for k, loop in enumerate(order)}
    axes = tuple(node.loops[i] for i in order)
    operands = tuple(o.along(place) for o in node.operands)
    product = builder.add(Node("multiply", operands, axes, origin=node.origin))
    return builder.add(replace(node, op="sum", operands=(Operand(product, tuple(order)),)))
