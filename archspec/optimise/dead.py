"""Nodes that nothing reads."""

from __future__ import annotations

from archspec.ir.graph import Graph
from archspec.records import replace


def remove_dead(graph: Graph) -> Graph:
    """Dead code: nodes from which no output is reached. Inputs and weights stay, whoever reads them."""
    live = graph.reached([*graph.outputs.values(), *graph.inputs.values(), *graph.weights.values()])
    if len(live) == len(graph.nodes):
        return graph
    return _renumbered(graph, sorted(live))


def _renumbered(graph: Graph, kept: list[int]) -> Graph:
    place = dict(zip(kept, range(len(kept)), strict=True))
    nodes = tuple([graph.nodes[v].reading(place) for v in kept])
    inputs, weights, outputs = (
        {name: place[v] for name, v in table.items()} for table in (graph.inputs, graph.weights, graph.outputs)
    )
    links = {place[delay]: place[v] for delay, v in graph.links.items() if delay in place}
    return replace(graph, nodes=nodes, inputs=inputs, weights=weights, outputs=outputs, links=links)
