"""A profile laid over a drawing: the time of each kernel, and of each value that an equation defines its share of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from archspec.ir.graph import Graph, Node
from archspec.plan import Plan
from archspec.records import record
from archspec.viz.cost import node_shares


@record
class Measured:
    """What a profile says of a plan: for each of its calls by number the seconds that it takes in a step, and its floor.

    `step` are the parts of a step in seconds, `sizes` those of most steps.
    """

    plan: Plan
    calls: Mapping[int, tuple[float, float]]
    step: Mapping[str, float]
    sizes: Mapping[str, int]

    @cached_property
    def nodes(self) -> tuple[tuple[Node, float], ...]:
        """The nodes that the kernels compute, with seconds."""
        return tuple(
            (node, share * self.calls[number][0])
            for number, call in enumerate(self.plan.calls)
            if number in self.calls
            for node, share in node_shares(call, self.sizes)
        )

    def values(self, graph: Graph, drawn: Mapping[int, int]) -> dict[int, float]:
        """The seconds of the values of a graph, all of them handed out. `drawn` says for nodes as which value they are drawn.

        What the optimiser made or moved goes to the node of the same name, else to its block, else to the block around that.
        A graph without a backward pass has what a gradient takes at the value whose gradient it is.
        """
        places: dict[object, list[int]] = {}
        both = any(node.origin.role == "backward" for node in graph.nodes)
        for number, value in drawn.items():
            for key in _keys(graph.nodes[number], both):
                places.setdefault(key, []).append(value)
        found: dict[int, float] = {}
        for node, seconds in self.nodes:
            where = next((places[key] for key in _keys(node, both) if key in places), [])
            for value in where:
                found[value] = found.get(value, 0.0) + seconds / len(where)
        return found


def _keys(node: Node, both: bool) -> Iterator[object]:
    """What a node may be known by, the closest first."""
    origin = node.origin
    role = origin.role if both else "forward"
    yield origin.path, origin.name, role, origin.of, node.op, node.axes
    yield origin.path, origin.name, role, origin.of
    if origin.role == "backward":
        yield origin.of, role
    yield origin.full_name, role
    path = origin.path
    while path:
        yield path, role, "block"
        path = path.rpartition("/")[0]
    yield "", "block"
