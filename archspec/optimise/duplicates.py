"""Nodes that are not needed: those written twice, and those that nothing reads."""

from __future__ import annotations

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import Graph, Node
from archspec.records import replace

COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "and", "or"})


def share_common(graph: Graph) -> Graph:
    """Common subexpressions:  a = f(x); b = f(x); g(a, b)  ->  a = f(x); g(a, a).

    Random draws are told apart by their stream.
    """
    seen: dict[object, int] = {}

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op == "delay":
            return None
        new = len(builder.nodes)
        found = seen.setdefault(_key(node), new)
        return builder.add(node) if found == new else found

    return rebuild(graph, rewrite)


def _key(node: Node) -> object:
    operands: object = node.operands
    if node.op in COMMUTATIVE:
        operands = frozenset(node.operands) if len(set(node.operands)) > 1 else node.operands
    return (node.op, operands, node.axes, node.reduced, node.dtype, node.of, node.attributes)


def remove_dead(graph: Graph) -> Graph:
    """Dead code: nodes from which no output is reached. Inputs and weights stay, whoever reads them."""
    live = graph.reached([*graph.outputs.values(), *graph.inputs.values(), *graph.weights.values()])
    if len(live) == len(graph.nodes):
        return graph
    kept = [v for v in range(len(graph.nodes)) if v in live]
    place = {old: new for new, old in enumerate(kept)}
    return _renumbered(graph, kept, place)


def _renumbered(graph: Graph, kept: list[int], place: dict[int, int]) -> Graph:
    nodes = tuple([graph.nodes[v].reading(place) for v in kept])
    inputs, weights, outputs = (
        {name: place[v] for name, v in table.items()} for table in (graph.inputs, graph.weights, graph.outputs)
    )
    links = {place[delay]: place[v] for delay, v in graph.links.items() if delay in place}
    return replace(graph, nodes=nodes, inputs=inputs, weights=weights, outputs=outputs, links=links)
