"""Reshapes later: a kernel ends where elements are told along other axes, so maps are done before.

y = f(reshape(g), x)    ->    y = reshape(f(g, reshape(x)))
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import BOOL, Graph, Node, Operand
from archspec.ir.sizes import Axis
from archspec.ops import OPS
from archspec.records import replace


def reshape_later(graph: Graph) -> Graph:
    """Moves reshapes of what a kernel computes as it goes behind the maps that alone read them."""
    if not any(node.op == "reshape" for node in graph.nodes):
        return graph
    readers = graph.uses
    kept = set(graph.outputs.values()) | set(graph.links.values())
    once = {v for v, by in enumerate(readers) if len(by) == 1 and v not in kept}
    moving = {v for v in once if graph.nodes[v].op == "reshape" and _is_computed(graph, v, once)}
    if not moving:
        return graph
    olds = count()

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        old = next(olds)
        if old in kept or OPS[node.op].kind != "map" or not _is_even(node):
            return None
        found = [new for new, o in zip(operands, graph.nodes[old].operands, strict=True) if o.value in moving]
        reshape = next((builder.node(v) for v in found if builder.node(v).op == "reshape"), None)
        if reshape is None:
            return None
        axes = builder.node(reshape.operands[0].value).axes
        before = tuple(_before(builder, o, axes) for o in node.operands)
        return builder.reshape(builder.add(replace(node, operands=before, axes=axes)), node.axes)

    return rebuild(graph, rewrite)


def _is_computed(graph: Graph, value: int, once: set[int]) -> bool:
    """Whether what a reshape reads is a map that nothing else reads."""
    source = graph.nodes[value].operands[0].value
    return source in once and OPS[graph.nodes[source].op].kind == "map"


def _is_even(node: Node) -> bool:
    """Whether each operand is a scalar or read along all axes in order."""
    return all(o.index in ((), tuple(range(len(node.axes)))) for o in node.operands)


def _before(builder: Builder, operand: Operand, axes: Sequence[Axis]) -> Operand:
    """The operand along the axes before the reshape: masks are made there, all else is reshaped."""
    if not operand.index:
        return operand
    node, index = builder.node(operand.value), tuple(range(len(axes)))
    if node.op == "reshape" and builder.node(node.operands[0].value).axes == tuple(axes):
        return Operand(node.operands[0].value, index)
    if node.dtype == BOOL and OPS[node.op].kind == "map" and _is_even(node):
        below = tuple(_before(builder, o, axes) for o in node.operands)
        return Operand(builder.add(replace(node, operands=below, axes=tuple(axes))), index)
    return Operand(builder.reshape(operand.value, axes), index)
