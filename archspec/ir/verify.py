"""What must hold of every graph, between any two stages."""

from __future__ import annotations

from archspec.ir.graph import BOOL, FLOAT, INT, Graph, Node


class BrokenGraph(Exception):
    """A stage has produced a graph that breaks an invariant: a fault of archspec, never of a spec."""


def verify(graph: Graph) -> Graph:
    """`graph` itself, once every node reads only earlier nodes, along loops whose axes are those of the operand."""
    for number, node in graph:
        _check(number, node, graph)
    for table in (graph.inputs, graph.weights, graph.outputs):
        for name, value in table.items():
            if not 0 <= value < len(graph.nodes):
                raise BrokenGraph(f"`{name}` names node {value} of {len(graph.nodes)}")
    for path, value in graph.weights.items():
        if graph.nodes[value].axes != graph.specs[path].axes:
            raise BrokenGraph(f"the node of weight `{path}` has other axes than its specification")
    return graph


def _check(number: int, node: Node, graph: Graph) -> None:
    where = f"node {number} ({node.op} {node.origin.full_name})"
    if node.dtype not in (FLOAT, INT, BOOL):
        raise BrokenGraph(f"{where} has the dtype {node.dtype}")
    for operand in node.operands:
        if not 0 <= operand.value < number:
            raise BrokenGraph(f"{where} reads node {operand.value}, which does not come before it")
        axes = graph.nodes[operand.value].axes
        if len(operand.index) != len(axes):
            raise BrokenGraph(f"{where} reads {len(axes)} axes with {len(operand.index)} loops")
        for loop, axis in zip(operand.index, axes, strict=True):
            if not 0 <= loop < len(node.loops) or node.loops[loop] != axis:
                raise BrokenGraph(f"{where} walks along {axis} with loop {loop} of {[str(a) for a in node.loops]}")
    if node.op not in ("position", "random", "input", "weight", "copy"):
        _check_covered(where, node)


def _check_covered(where: str, node: Node) -> None:
    """Every loop is walked by some operand, or else the node's extent would come from nowhere."""
    walked = {loop for operand in node.operands for loop in operand.index}
    if walked != set(range(len(node.loops))):
        raise BrokenGraph(f"{where} has loops that no operand walks")
