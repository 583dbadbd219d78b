"""Reshapes later: a kernel ends where elements are told along other axes, so maps are done before.

y = f(reshape(g), x)          ->    y = reshape(f(g, reshape(x)))
y[o] = f(reshape(p)[o], b[o])  ->    y = reshape(f(p[g,z], reshape(b)[g,z]))      p a product, whose axes are put together
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import BOOL, Graph, Node, Operand
from archspec.ir.sizes import ONE, Axis
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
        if old in kept or OPS[node.op].kind != "map":
            return None
        found = [new for new, o in zip(operands, graph.nodes[old].operands, strict=True) if o.value in moving]
        reshape = next((builder.node(v) for v in found if builder.node(v).op == "reshape"), None)
        if reshape is None:
            return None
        source = builder.node(reshape.operands[0].value)
        axes, runs = source.axes, _runs(builder, source, node.axes)
        if runs is None and not _is_even(node):
            return None
        before = tuple(
            _before(builder, o, axes) if _is_whole(o, node) else _parted(builder, o, axes, runs or ()) for o in node.operands
        )
        return builder.reshape(builder.add(replace(node, operands=before, axes=axes)), node.axes)

    return rebuild(graph, rewrite)


def _is_computed(graph: Graph, value: int, once: set[int]) -> bool:
    """Whether what a reshape reads is a map that nothing else reads, or a product whose axes it puts together."""
    source = graph.nodes[value].operands[0].value
    joined = graph.nodes[source].op == "contract" and len(graph.nodes[source].axes) > len(graph.nodes[value].axes)
    return source in once and (joined or OPS[graph.nodes[source].op].kind == "map")


def _is_even(node: Node) -> bool:
    """Whether each operand is a scalar or read along all axes in order."""
    return all(_is_whole(o, node) for o in node.operands)


def _is_whole(operand: Operand, node: Node) -> bool:
    return operand.index in ((), tuple(range(len(node.axes))))


def _runs(builder: Builder, source: Node, axes: Sequence[Axis]) -> list[list[int]] | None:
    """For each of `axes` the axes of a product that are put together there; None where they are not, or it is no product."""
    runs: list[list[int]] = []
    left = list(range(len(source.axes)))
    for axis in axes:
        size = ONE
        run: list[int] = []
        while left and (not run or size != axis.size.known(builder.sizes)):
            run.append(left.pop(0))
            size = size * source.axes[run[-1]].size.known(builder.sizes)
        while left and source.axes[left[0]].size.known(builder.sizes) == ONE:
            run.append(left.pop(0))
        runs.append(run)
        if size != axis.size.known(builder.sizes):
            return None
    return runs if source.op == "contract" and not left else None


def _parted(builder: Builder, operand: Operand, axes: Sequence[Axis], runs: Sequence[Sequence[int]]) -> Operand:
    """An operand that is read along some of the axes, along their parts."""
    index = tuple(i for k in operand.index for i in runs[k])
    return Operand(builder.reshape(operand.value, [axes[i] for i in index]), index)


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
