"""What must hold of every graph, between any two stages."""

from __future__ import annotations

from archspec.ir.graph import BOOL, FLOAT, IMPLICIT, INT, Graph, Node
from archspec.ir.sizes import product


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
    for delay, value in graph.links.items():
        _check_link(graph, delay, value)
    if unlinked := [v for v, n in graph if n.op == "delay" and v not in graph.links]:
        raise BrokenGraph(f"the delay {unlinked[0]} has no link")
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
        if node.op in IMPLICIT:
            continue
        if len(operand.index) != len(axes):
            raise BrokenGraph(f"{where} reads {len(axes)} axes with {len(operand.index)} loops")
        for loop, axis in zip(operand.index, axes, strict=True):
            if not 0 <= loop < len(node.loops) or node.loops[loop] != axis:
                raise BrokenGraph(f"{where} walks along {axis} with loop {loop} of {[str(a) for a in node.loops]}")
    if node.op in IMPLICIT:
        _check_implicit(where, node, graph)
    elif node.op not in ("position", "random", "input", "weight", "copy", "scatter", "delay"):
        _check_covered(where, node)


def _check_link(graph: Graph, delay: int, value: int) -> None:
    a, b = graph.nodes[delay], graph.nodes[value]
    if a.op != "delay" or a.axes != b.axes or a.dtype != b.dtype:
        raise BrokenGraph(f"node {delay} ({a.op}{a.shape}) is linked to node {value} ({b.op}{b.shape})")


def _check_implicit(where: str, node: Node, graph: Graph) -> None:
    sources = [graph.nodes[o.value] for o in node.operands]
    if any(o.index for o in node.operands) or node.reduced:
        raise BrokenGraph(f"{where} reads along loops")
    if node.op == "window":
        places = node.attribute("places")
        loops = {loop for place in places for loop, _ in place.terms}
        if len(places) != len(sources[0].axes) or not loops <= set(range(len(node.axes))):
            raise BrokenGraph(f"{where} reads {sources[0].shape} at {[str(p) for p in places]}")
    elif node.op == "reshape" and product(node.axes) != product(sources[0].axes):
        if graph.size(product(node.axes)) != graph.size(product(sources[0].axes)):
            raise BrokenGraph(f"{where} has another size than {sources[0].shape}")
    elif node.op == "concat":
        k = node.attribute("axis")
        rest = {(*s.axes[:k], *s.axes[k + 1 :]) for s in sources}
        if rest != {(*node.axes[:k], *node.axes[k + 1 :])}:
            raise BrokenGraph(f"{where} joins {[s.shape for s in sources]} to {node.shape}")


def _check_covered(where: str, node: Node) -> None:
    """Every loop is walked by some operand, or else the node's extent would come from nowhere."""
    walked = {loop for operand in node.operands for loop in operand.index}
    if walked != set(range(len(node.loops))):
        raise BrokenGraph(f"{where} has loops that no operand walks")
