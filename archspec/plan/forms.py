"""What a node asks of the kernels: which of them may compute it, what must lie in memory before, what none stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from archspec.ir.graph import Graph, Node, Operand
from archspec.ir.sizes import ONE, Axis, product
from archspec.ops import OPS

MOST_WRITTEN_OUT = 16
NUMBERS = frozenset({"constant", "size", "position", "random"})


def is_leaf(node: Node) -> bool:
    return node.op in ("input", "weight")


def strict_operands(node: Node) -> tuple[int, ...]:
    """The operands that must lie in memory before a kernel begins: it reads them at other points than it is at."""
    return _strict(node.op, len(node.operands))


@cache
def _strict(op: str, count: int) -> tuple[int, ...]:
    if OPS[op].kind in ("contract", "scatter", "view", "join", "delay"):
        return tuple(range(count))
    return {"window": (0,), "gather": (1,)}.get(op, ())


def loose_operands(node: Node) -> tuple[Operand, ...]:
    """The operands that a kernel may compute as it goes."""
    strict = strict_operands(node)
    return tuple([o for k, o in enumerate(node.operands) if k not in strict]) if strict else node.operands


def own_loops(node: Node) -> tuple[Axis, ...]:
    """The loops that a node is computed in: a gather walks no rows of its table but the one that it picks."""
    return node.axes if node.op == "gather" else node.loops


def virtual_nodes(graph: Graph) -> frozenset[int]:
    """Nodes that no kernel stores: each computes them where it needs them.

    They are numbers, positions and random draws, scalars made of scalars, and cheap maps of nothing but these; not what must
    lie in memory, since it is an output or read at other points.
    """
    return graph.fact(_virtual_nodes)


def _virtual_nodes(graph: Graph) -> frozenset[int]:
    nodes = graph.nodes
    stored = {*graph.outputs.values(), *(v for v, node in graph if node.op == "copy" and _is_read_elsewhere(graph, v))}
    found: set[int] = set()
    for value, node in graph:
        if node.op in NUMBERS:
            found.add(value)
        elif OPS[node.op].kind == "map" and (OPS[node.op].cheap or not node.axes):
            operands = [v for v, _ in node.operands]
            scalar = not node.axes and all(v in found or is_leaf(nodes[v]) for v in operands)
            if scalar or (OPS[node.op].cheap and found.issuperset(operands)):
                found.add(value)
        if value in stored:
            found.discard(value)
    return frozenset(found)


def _is_read_elsewhere(graph: Graph, value: int) -> bool:
    """Whether some node reads a value at other points than it is at."""
    readers = (graph.nodes[reader] for reader in graph.uses[value])
    return any(node.operands[k].value == value for node in readers for k in strict_operands(node))


def is_short(loops: Iterable[Axis], sizes: Mapping[str, int]) -> bool:
    """Whether loops are so few points that their turns are written out, one after another: the windows of a pooling."""
    count = product(loops).known(sizes).constant
    return count is not None and count <= MOST_WRITTEN_OUT


def is_single(axis: Axis, sizes: Mapping[str, int]) -> bool:
    """Whether an axis has one point."""
    return axis.size.known(sizes) == ONE


def is_row_reduction(node: Node, sizes: Mapping[str, int]) -> bool:
    """Whether the reduced loops are the operand's last axes, or else are so scattered or short that they may as well be. Axes
    of one point count for nothing.

    A position goes with each largest value, which the running totals of columns have no place for.
    """
    if node.axes and is_short(node.reduced, sizes):
        return True
    rank = len(node.axes)
    order = [loop for loop in node.operands[0].index if not is_single(node.loops[loop], sizes)]
    reduced = [k for k, loop in enumerate(order) if loop >= rank]
    if not reduced:
        return True
    trailing = reduced == list(range(len(order) - len(reduced), len(order)))
    scattered = reduced != list(range(reduced[0], reduced[0] + len(reduced)))
    return trailing or scattered or node.op == "argmax"
