"""The plan of a graph: its kernels in order, and the values that they keep in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from archspec.ir.graph import Graph
from archspec.plan.equations import equations
from archspec.plan.groups import COLUMNS, PRODUCT, Group, fuse, is_leaf, virtual_nodes
from archspec.plan.inplace import take_over
from archspec.plan.kernel import Call, Kernel
from archspec.plan.prepare import prepare
from archspec.plan.products import product_call
from archspec.plan.rows import columns_call, rows_call
from archspec.plan.scalars import Scalars


@dataclass(frozen=True)
class Plan:
    """Kernels in the order in which they run.

    `graph`     the graph that the numbers in the calls belong to
    `calls`     each kernel with its arguments
    `storage`   value -> the value whose memory it takes over, for values written in place
    """

    graph: Graph
    calls: tuple[Call, ...]
    storage: Mapping[int, int]

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The different kernels, each once."""
        return tuple({call.kernel.structure: call.kernel for call in self.calls}.values())

    @cached_property
    def lifetimes(self) -> dict[int, tuple[int, int]]:
        """For each value in memory the first and the last call that touches it; outputs live to the end."""
        spans: dict[int, tuple[int, int]] = {}
        for i, call in enumerate(self.calls):
            for value in (*call.reads, *call.writes):
                first, _ = spans.get(value, (i, i))
                spans[value] = (first, i)
        for value in self.graph.outputs.values():
            place = self.storage.get(value, value)
            if place in spans:
                spans[place] = (spans[place][0], len(self.calls))
        return {v: s for v, s in spans.items() if not is_leaf(self.graph.nodes[v])}


def make_plan(graph: Graph, into: Mapping[str, str] | None = None) -> Plan:
    """The plan of an optimised graph. Kernels of equal structure are shared under the first one's name.

    `into` says which outputs are written over which inputs, element by element.
    """
    graph = prepare(graph)
    groups = fuse(graph)
    virtual = virtual_nodes(graph)
    storage = take_over(graph, groups, virtual)
    storage.update({graph.outputs[out]: graph.inputs[name] for out, name in (into or {}).items()})
    calls = [_call(graph, group, virtual, storage) for group in groups]
    return verify_plan(Plan(graph, _shared(calls), storage))


def _call(graph: Graph, group: Group, virtual: frozenset[int], storage: Mapping[int, int]) -> Call:
    s = Scalars(graph, group, virtual, storage)
    emit = {PRODUCT: product_call, COLUMNS: columns_call}.get(group.kind, rows_call)
    return emit(s, equations(graph, group))


def _shared(calls: list[Call]) -> tuple[Call, ...]:
    first: dict[object, Kernel] = {}
    taken: dict[str, int] = {}
    shared = []
    for call in calls:
        structure = call.kernel.structure
        if structure not in first:
            name = call.kernel.name
            taken[name] = taken.get(name, 0) + 1
            unique = name if taken[name] == 1 else f"{name}_{taken[name]}"
            first[structure] = replace(call.kernel, name=unique)
        shared.append(replace(call, kernel=first[structure]))
    return tuple(shared)


class BrokenPlan(Exception):
    """A plan that breaks an invariant: a fault of archspec."""


def verify_plan(plan: Plan) -> Plan:
    """`plan` itself, once every kernel reads only what lies in memory by then."""
    written: set[int] = set()
    for call in plan.calls:
        for value in call.reads:
            if plan.storage.get(value, value) not in written and not is_leaf(plan.graph.nodes[value]):
                raise BrokenPlan(f"`{call.kernel.name}` reads node {value} before it is written")
        if len(call.arguments) != len(call.kernel.parameters):
            raise BrokenPlan(f"`{call.kernel.name}` gets {len(call.arguments)} arguments")
        written.update(call.writes)
    for name, value in plan.graph.outputs.items():
        place = plan.storage.get(value, value)
        if place not in written:
            raise BrokenPlan(f"no kernel writes the output `{name}`")
    return plan
