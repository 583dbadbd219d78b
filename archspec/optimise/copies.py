"""Reading through copies: a transpose or a broadcast is a way of reading, not a tensor.

t[h,d] = W[d,h];  y[b,d] = sum h: x[b,h] * t[h,d]    ->    y[b,d] = sum h: x[b,h] * W[d,h]
"""

from __future__ import annotations

from itertools import count

from archspec.ir.build import Builder, Rewrite
from archspec.ir.graph import IMPLICIT, Graph, Node, Operand
from archspec.ops import OPS
from archspec.optimise.local import Rule
from archspec.records import replace

TRANSPARENT = frozenset({"copy", "stop_gradient"})


def reading_through(op: str) -> tuple[Rule, ...]:
    """Every operand that is a copy is replaced by what it copies, read along the matching loops.

    A loop that only the copy walked must stay walked by another operand; otherwise a map is done before the copy, and a
    reduction or contraction keeps it.
    """
    if op == "window":
        return (_window_through,)
    if op in IMPLICIT or OPS[op].kind == "leaf":
        return ()
    return (_read_through, _identity) if op in TRANSPARENT else (_read_through,)


def _read_through(builder: Builder, node: Node) -> int | None:
    if not _reads_copies(builder, node):
        return None
    moved = _through_all(builder, node)
    if node.op == "copy" or _covers(moved):
        return builder.add(moved)
    return _copied_later(builder, moved) if OPS[node.op].kind == "map" else None


def in_memory_order(graph: Graph) -> Rewrite:
    """Maps and contractions of a graph made in the order of axes in which they are read or in which their operands lie."""
    once, fixed = _read_once(graph), _fixed(graph)
    olds = count()

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        old = next(olds)
        if old in once:
            return _turned_contraction(builder, node)
        return None if old in fixed else _turned_map(builder, node)

    return rewrite


def _read_once(graph: Graph) -> frozenset[int]:
    """The copies of contractions that nothing else reads."""
    kept = set(graph.outputs.values()) | set(graph.links.values())
    sources = {v: n.operands[0].value for v, n in graph if n.op == "copy"}
    products = {v: s for v, s in sources.items() if graph.nodes[s].op == "contract" and s not in kept}
    return frozenset(v for v, s in products.items() if len(graph.uses[s]) == 1)


def _turned_contraction(builder: Builder, node: Node) -> int | None:
    """A contraction whose only reader copies it into another order is made in that order."""
    source, index = builder.node(node.operands[0].value), node.operands[0].index
    rank = len(node.axes)
    if source.op != "contract" or sorted(index) != list(range(rank)) or len(source.axes) != rank:
        return None
    place = [*index, *range(rank, len(source.loops))]
    operands = tuple(o.along(place) for o in source.operands)
    return builder.add(replace(source, operands=operands, axes=node.axes, origin=node.origin))


def _fixed(graph: Graph) -> frozenset[int]:
    """The values whose axes stay in order: what is read from outside, and by ops that name axes by their numbers."""
    named = (o.value for node in graph.nodes if node.op in IMPLICIT for o in node.operands)
    return frozenset({*graph.outputs.values(), *graph.links.values(), *named})


def _turned_map(builder: Builder, node: Node) -> int | None:
    """A map is made in the order of axes that what it reads has in memory; a copy puts them in the order asked for.

    v[c,b] = f(x[b,c], m[c])   ->   w[b,c] = f(x[b,c], m[c]);  v[c,b] = w[b,c]     sums of v over b are made row by row
    """
    straight = tuple(range(len(node.axes)))
    if not _may_turn(builder, node, straight) or OPS[node.op].kind != "map" or node.op in TRANSPARENT:
        return None
    node = _through_all(builder, node)
    whole = {index for _, index in node.operands if len(index) == len(straight)}
    if len(whole) != 1 or straight in whole:
        return None
    (order,) = whole
    if sorted(order) != list(straight):
        return None
    place = {loop: k for k, loop in enumerate(order)}
    operands = tuple(o.along(place) for o in node.operands)
    made = builder.add(replace(node, operands=operands, axes=tuple(node.axes[i] for i in order)))
    copy = Node("copy", (Operand(made, order),), node.axes, dtype=node.dtype, of=node.of)
    return builder.add(replace(copy, origin=node.origin))


def _may_turn(builder: Builder, node: Node, straight: tuple[int, ...]) -> bool:
    """Whether a node reads copies, or something along all of its loops in another order."""
    nodes, rank = builder.nodes, len(straight)
    turned = [True for value, i in node.operands if (len(i) == rank and i != straight) or nodes[value].op in TRANSPARENT]
    return bool(turned)


def _window_through(builder: Builder, node: Node) -> int | None:
    """A window on a transposed or repeated tensor reads the tensor itself."""
    old, source = node, builder.node(node.operands[0].value)
    while source.op in TRANSPARENT and _is_repeated(node, source):
        places = node.attribute("places")
        moved = tuple(places[k] for k in source.operands[0].index)
        attributes = tuple(("places", moved) if name == "places" else (name, value) for name, value in node.attributes)
        node = replace(node, operands=(Operand(source.operands[0].value, ()),), attributes=attributes)
        source = builder.node(node.operands[0].value)
    read = node.operands[0].value, node.axes, node.attribute("places"), node.attribute("fill")
    simpler = builder.simpler_window(*read)
    return builder.add(node) if simpler is None and node is not old else simpler


def _is_repeated(window: Node, copy: Node) -> bool:
    """Whether a window reads nothing but a copy's operand: what is repeated along an axis is read inside of that axis."""
    index, places = copy.operands[0].index, window.attribute("places")
    inside = (
        places[k].plain is not None and window.axes[places[k].plain] == axis
        for k, axis in enumerate(copy.axes)
        if k not in index
    )
    return len(set(index)) == len(index) and all(inside)


def _reads_copies(builder: Builder, node: Node) -> bool:
    nodes = builder.nodes
    return not TRANSPARENT.isdisjoint([nodes[value].op for value, _ in node.operands])


def _through_all(builder: Builder, node: Node) -> Node:
    return replace(node, operands=tuple(_through(builder, o) for o in node.operands))


def _through(builder: Builder, operand: Operand) -> Operand:
    source = builder.node(operand.value)
    while source.op in TRANSPARENT:
        inner = source.operands[0]
        operand = Operand(inner.value, tuple(operand.index[i] for i in inner.index))
        source = builder.node(operand.value)
    return operand


def _copied_later(builder: Builder, node: Node) -> int:
    """f(copy of x)  ->  copy of f(x): the op runs over those loops only that some operand walks."""
    walked = sorted({i for o in node.operands for i in o.index})
    place = {loop: k for k, loop in enumerate(walked)}
    operands = tuple(o.along(place) for o in node.operands)
    small = builder.add(replace(node, operands=operands, axes=tuple(node.axes[i] for i in walked)))
    copied = Node("copy", (Operand(small, tuple(walked)),), node.axes, dtype=node.dtype, of=node.of)
    return builder.add(replace(copied, origin=node.origin))


def _covers(node: Node) -> bool:
    return {i for o in node.operands for i in o.index} == set(range(len(node.loops)))


def _identity(builder: Builder, node: Node) -> int | None:
    """A copy along the same axes in the same order is its operand."""
    value, index = node.operands[0]
    same_rank = len(builder.node(value).axes) == len(node.axes)
    return value if same_rank and index == tuple(range(len(node.axes))) else None
