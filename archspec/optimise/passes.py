"""The order of the passes. Each is a function from graph to graph that never changes what the graph means."""

from __future__ import annotations

from collections.abc import Callable

from archspec.ir.graph import Graph
from archspec.ir.verify import verify
from archspec.optimise.copies import in_memory_order, reading_through
from archspec.optimise.dead import remove_dead
from archspec.optimise.joins import join_parts
from archspec.optimise.local import reduced
from archspec.optimise.reshapes import reshape_later
from archspec.optimise.simplify import algebra, constants
from archspec.optimise.strides import multiply_without_division
from archspec.optimise.windows import read_windows_in_place

Pass = Callable[[Graph], Graph]


def rewrite_locally(graph: Graph) -> Graph:
    """Copies are read through, constants worked out, equations take their cheaper form, equal nodes are one."""
    return reduced(graph, reading_through, constants, algebra, rewrite=in_memory_order(graph))


PASSES: tuple[Pass, ...] = (
    rewrite_locally,
    remove_dead,
    reshape_later,
    join_parts,
    multiply_without_division,
    read_windows_in_place,
)
MAX_ROUNDS = 8


def optimise(graph: Graph, passes: tuple[Pass, ...] = PASSES) -> Graph:
    """All passes in order, round after round, until each in turn has changed nothing."""
    idle = 0
    for step in passes * MAX_ROUNDS:
        before, graph = graph, step(graph)
        idle = idle + 1 if _is_same(before, graph) else 0
        if idle == len(passes):
            break
    return verify(graph)


def _is_same(before: Graph, after: Graph) -> bool:
    return after is before or (after.nodes == before.nodes and dict(after.outputs) == dict(before.outputs))
