"""Reading through copies: a transpose or a broadcast is a way of reading, not a tensor.

t[h,d] = W[d,h];  y[b,d] = sum h: x[b,h] * t[h,d]    ->    y[b,d] = sum h: x[b,h] * W[d,h]
"""

from __future__ import annotations

from itertools import count

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import IMPLICIT, Graph, Node, Operand
from archspec.ops import OPS
from archspec.records import replace

TRANSPARENT = frozenset({"copy", "stop_gradient"})


def forward_copies(graph: Graph) -> Graph:
    """Every operand that is a copy is replaced by what it copies, read along the matching loops.

    A loop that only the copy walked must stay walked by another operand; otherwise a map is done before the copy, and a
    reduction or contraction keeps it.
    """

    once, fixed = _read_once(graph), _fixed(graph)
    olds = count()

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        old = next(olds)
        if old in once and (turned := _turned_contraction(builder, node)) is not None:
            return turned
        if node.op == "window":
            return _window_through(builder, node)
        if node.op in IMPLICIT:
            return None
        copied = any(builder.nodes[v].op in TRANSPARENT for v in operands)
        moved = replace(node, operands=tuple(_through(builder, o) for o in node.operands)) if copied else node
        turned = None if old in fixed else _turned_map(builder, moved)
        if turned is not None:
            return turned
        if not copied:
            return _identity(builder, node)
        if node.op != "copy" and not _covers(moved):
            return _copied_later(builder, moved) if OPS[node.op].kind == "map" else None
        known = _identity(builder, moved)
        return builder.add(moved) if known is None else known

    return rebuild(graph, rewrite)


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
    if OPS[node.op].kind != "map" or node.op in TRANSPARENT:
        return None
    rank = range(len(node.axes))
    whole = {index for _, index in node.operands if len(index) == len(rank)}
    if len(whole) != 1:
        return None
    (order,) = whole
    if order == tuple(rank) or sorted(order) != list(rank):
        return None
    place = {loop: k for k, loop in enumerate(order)}
    operands = tuple(o.along(place) for o in node.operands)
    made = builder.add(replace(node, operands=operands, axes=tuple(node.axes[i] for i in order)))
    copy = Node("copy", (Operand(made, order),), node.axes, dtype=node.dtype, of=node.of)
    return builder.add(replace(copy, origin=node.origin))


def _window_through(builder: Builder, node: Node) -> int | None:
    """A window on a transposed or repeated tensor reads the tensor itself."""
    source = builder.node(node.operands[0].value)
    while source.op in TRANSPARENT and _is_repeated(node, source):
        places = node.attribute("places")
        moved = tuple(places[k] for k in source.operands[0].index)
        attributes = tuple(("places", moved) if name == "places" else (name, value) for name, value in node.attributes)
        node = replace(node, operands=(Operand(source.operands[0].value, ()),), attributes=attributes)
        source = builder.node(node.operands[0].value)
    return builder.window(node.operands[0].value, node.axes, node.attribute("places"), node.attribute("fill"))


def _is_repeated(window: Node, copy: Node) -> bool:
    """Whether a window reads nothing but a copy's operand: what is repeated along an axis is read inside of that axis."""
    index, places = copy.operands[0].index, window.attribute("places")
    inside = (
        places[k].plain is not None and window.axes[places[k].plain] == axis
        for k, axis in enumerate(copy.axes)
        if k not in index
    )
    return len(set(index)) == len(index) and all(inside)


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
    if node.op in TRANSPARENT and node.operands[0].index == tuple(range(len(node.axes))):
        same_rank = len(builder.node(node.operands[0].value).axes) == len(node.axes)
        return node.operands[0].value if same_rank else None
    return None
