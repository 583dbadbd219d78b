"""What must hold of every graph, between any two stages."""

from __future__ import annotations

from functools import cache

from archspec.ir.graph import BOOL, FLOAT, IMPLICIT, INT, Graph, Node
from archspec.ir.sizes import product, shape_text

UNCOVERED = frozenset({"position", "random", "input", "weight", "copy", "scatter", "delay"})  # their extent is their own


class BrokenGraph(Exception):
    """A stage has produced a graph that breaks an invariant: a fault of archspec, never of a spec."""


def verify(graph: Graph) -> Graph:
    """`graph` itself, once every node reads only earlier nodes, along loops whose axes are those of the operand."""
    for number, node in graph:
        fault = _fault(number, node, graph)
        if fault is not None:
            raise BrokenGraph(f"node {number} ({node.op} {node.origin.full_name}) {fault}")
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


def _fault(number: int, node: Node, graph: Graph) -> str | None:
    """What is wrong with a node."""
    if node.dtype not in (FLOAT, INT, BOOL):
        return f"has the dtype {node.dtype}"
    for value, _ in node.operands:
        if not 0 <= value < number:
            return f"reads node {value}, which does not come before it"
    if node.op in IMPLICIT:
        return _implicit_fault(node, graph)
    return _loop_fault(node, graph)


def _loop_fault(node: Node, graph: Graph) -> str | None:
    """Operands are read along loops of their axes. Every loop is walked by some operand, or else the node's extent would come
    from nowhere."""
    loops, nodes = node.loops, graph.nodes
    walked = set().union(*[index for _, index in node.operands])
    if not walked <= _numbers(len(loops)):
        return f"walks along loops {sorted(walked)} of {len(loops)}"
    for value, index in node.operands:
        if nodes[value].axes != tuple([loops[loop] for loop in index]):
            return f"walks along {nodes[value].shape} with loops of {shape_text(loops[loop] for loop in index)}"
    return "has loops that no operand walks" if len(walked) != len(loops) and node.op not in UNCOVERED else None


@cache
def _numbers(count: int) -> frozenset[int]:
    return frozenset(range(count))


def _check_link(graph: Graph, delay: int, value: int) -> None:
    a, b = graph.nodes[delay], graph.nodes[value]
    if a.op != "delay" or a.axes != b.axes or a.dtype != b.dtype:
        raise BrokenGraph(f"node {delay} ({a.op}{a.shape}) is linked to node {value} ({b.op}{b.shape})")


def _implicit_fault(node: Node, graph: Graph) -> str | None:
    sources = [graph.nodes[o.value] for o in node.operands]
    if any(o.index for o in node.operands) or node.reduced:
        return "reads along loops"
    if node.op == "window":
        places = node.attribute("places")
        loops = {loop for place in places for loop, _ in place.terms}
        if len(places) != len(sources[0].axes) or not loops <= set(range(len(node.axes))):
            return f"reads {sources[0].shape} at {[str(p) for p in places]}"
    elif node.op == "reshape" and product(node.axes) != product(sources[0].axes):
        if graph.size(product(node.axes)) != graph.size(product(sources[0].axes)):
            return f"has another size than {sources[0].shape}"
    elif node.op == "concat":
        k = node.attribute("axis")
        rest = {(*s.axes[:k], *s.axes[k + 1 :]) for s in sources}
        if rest != {(*node.axes[:k], *node.axes[k + 1 :])}:
            return f"joins {[s.shape for s in sources]} to {node.shape}"
    return None
