"""Writing in place: a result takes over the memory of an operand that nobody reads afterwards.

y = f(x), x read for the last time   ->   y is written where x lies
"""

from __future__ import annotations

from collections.abc import Sequence

from archspec.ir.graph import Graph
from archspec.plan.forms import is_leaf, strict_operands
from archspec.plan.groups import COLUMNS, SCATTER, Group
from archspec.plan.layout import Access, strides


def take_over(graph: Graph, groups: Sequence[Group], virtual: frozenset[int], fixed: frozenset[int]) -> dict[int, int]:
    """value -> the value whose memory it takes over. `fixed` are values that lie inside of others or hold others.

    Only where the kernel meets each element of both at the same turn of its loops: the element is read, then written.
    A group with a reduction walks its rows more than once, so it writes in place nothing.
    """
    last = _last_readers(graph, groups, virtual)
    outputs = set(graph.outputs.values()) | fixed
    storage: dict[int, int] = {}
    for group in groups:
        if group.kind in (COLUMNS, SCATTER) or any(graph.nodes[v].reduced and v != group.root for v in group.place):
            continue
        if group.kind == "rows" and any(graph.nodes[v].reduced for v in group.place):
            continue
        reads = _reads(graph, group, virtual)
        for value in sorted(group.saved - outputs):
            for operand, accesses in reads.items():
                if operand in storage.values() or operand in outputs or is_leaf(graph.nodes[operand]):
                    continue
                if last[operand] == group.number and _alike(graph, group, value, operand, accesses):
                    storage[value] = storage.get(operand, operand)
                    del reads[operand]
                    break
    return storage


def _alike(graph: Graph, group: Group, value: int, operand: int, accesses: set[tuple[int, ...]]) -> bool:
    a, b = graph.nodes[value], graph.nodes[operand]
    if a.dtype != b.dtype or a.axes != b.axes or len(accesses) != 1:
        return False
    if set(group.place[value][: len(a.axes)]) != set(range(len(group.space))):
        return False  # a loop that the value does not span would meet it again, already written over
    rank = len(group.space)
    there = Access.of(strides(b.axes, graph.sizes), next(iter(accesses)), rank)
    return there == Access.of(strides(a.axes, graph.sizes), group.place[value][: len(a.axes)], rank)


def _reads(graph: Graph, group: Group, virtual: frozenset[int]) -> dict[int, set[tuple[int, ...]]]:
    """What the maps of a group read from memory, with the loops along each axis; a product's operands are left out."""
    found: dict[int, set[tuple[int, ...]]] = {}
    blocked: set[int] = set()
    for value, place in group.place.items():
        strict = strict_operands(graph.nodes[value])
        for k, operand in enumerate(graph.nodes[value].operands):
            if operand.value in group.place or operand.value in virtual:
                continue
            if k in strict:
                blocked.add(operand.value)
            else:
                found.setdefault(operand.value, set()).add(tuple(place[i] for i in operand.index))
    return {v: a for v, a in found.items() if v not in blocked}


def _last_readers(graph: Graph, groups: Sequence[Group], virtual: frozenset[int]) -> dict[int, int]:
    last: dict[int, int] = {}
    for group in groups:
        for value in group.place:
            for operand in graph.nodes[value].operands:
                if operand.value not in group.place:
                    last[operand.value] = group.number
    return last
