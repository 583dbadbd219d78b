"""Products of which half counts for nothing: what a causal mask hides is neither summed nor read.

    s[i,j] = sum[e](q[i,e] * k[j,e]),  a[i,j] = where(j <= i, f(s[i,j]), 0)     no sums where j > i: s[i,j] is 0 there
    o[i,e] = sum[j](a[i,j] * v[j,e])                                            j <= i alone
    dv[j,e] = sum[i](a[i,j] * do[i,e])                                          i >= j alone

A triangle is two loops of a contraction, `row` and `column`: of an operand that it is zero wherever the column lies beyond the
row, of the result that nobody needs it there. Which tiles and steps this spares is the kernel's affair, and whether it is any.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import NamedTuple

from archspec.ir.graph import BOOL, Graph, Node
from archspec.ops import OPS
from archspec.plan.past import ORDERS, Past
from archspec.plan.slabs import axis_along
from archspec.records import record

RESULT = -1
TAME = frozenset(
    "add subtract multiply negate minimum maximum abs square relu copy number where stop_gradient tanh sigmoid erf".split()
)


@record
class Triangle:
    """`of` is the number of an operand, or RESULT."""

    of: int
    row: int
    column: int


class _Place(NamedTuple):
    """The points of a value where its column lies beyond its row; `is_wild` where they may have become infinite."""

    value: int
    row: int
    column: int
    is_wild: bool = False


Triangles = Mapping[int, frozenset[Triangle]]


def triangles(graph: Graph) -> Triangles:
    """Those of the contractions of a graph."""
    if not any(node.op in ORDERS for node in graph.nodes):
        return {}
    search = _Search(graph)
    found = {v: frozenset(search.of(v, node)) for v, node in graph if node.op == "contract"}
    return {v: some for v, some in found.items() if some}


class _Search:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.past = graph, Past(graph, {}, {})
        self.outside = frozenset((*graph.outputs.values(), *graph.links.values()))

    def of(self, value: int, node: Node) -> Iterator[Triangle]:
        for k, operand in enumerate(node.operands):
            for row, column in permutations(range(len(operand.index)), 2):
                loops = operand.index[row], operand.index[column]
                if self._may_be(node, *loops) and self.past.is_beyond(operand.value, row, column, 0.0):
                    yield Triangle(k, *loops)
        for row, column in permutations(range(len(node.axes)), 2):
            if self._may_be(node, row, column) and not self._is_needed(value, row, column):
                yield Triangle(RESULT, row, column)

    def _may_be(self, node: Node, row: int, column: int) -> bool:
        return node.loops[row] == node.loops[column]

    def _is_needed(self, value: int, row: int, column: int) -> bool:
        """Whether something hangs on what a value is where its column lies beyond its row."""
        stack = [_Place(value, row, column)]
        seen = set(stack)
        while stack:
            place = stack.pop()
            if place.value in self.outside:
                return True
            for reader, k in self._readers(place.value):
                if self._is_chosen(reader, k, place):
                    continue
                then = self._carried(reader, k, place)
                if then is None:
                    return True
                if then not in seen and not self._is_hidden(then):
                    seen.add(then)
                    stack.append(then)
        return False

    def _readers(self, value: int) -> Iterator[tuple[int, int]]:
        for reader in dict.fromkeys(self.graph.uses[value]):
            for k, operand in enumerate(self.graph.nodes[reader].operands):
                if operand.value == value:
                    yield reader, k

    def _is_chosen(self, reader: int, k: int, place: _Place) -> bool:
        """Whether a mask chooses something else there."""
        node = self.graph.nodes[reader]
        if node.op != "where" or k != 1:
            return False
        index, mask = node.operands[1].index, node.operands[0]
        loops = index[place.row], index[place.column]
        if any(mask.index.count(loop) != 1 for loop in loops):
            return False
        return self.past.is_beyond(mask.value, mask.index.index(loops[0]), mask.index.index(loops[1]), 0.0)

    def _carried(self, reader: int, k: int, place: _Place) -> _Place | None:
        """Where a map holds what it reads of a value at a row and a column; None for what is no map or loses one of the two."""
        node = self.graph.nodes[reader]
        if OPS[node.op].kind != "map":
            return None
        index = node.operands[k].index
        loops = index[place.row], index[place.column]
        if any(axis_along(node, k, loop) is None for loop in loops):
            return None
        return _Place(reader, *loops, place.is_wild or not self._is_tame(node))

    def _is_tame(self, node: Node) -> bool:
        """Whether a map of what is finite is finite."""
        if node.op != "exp":
            return node.op in TAME or node.dtype == BOOL
        source = self.graph.nodes[node.operands[0].value]
        return source.op == "minimum" and any(self.graph.nodes[o.value].op == "constant" for o in source.operands)

    def _is_hidden(self, place: _Place) -> bool:
        """Whether a value is zero or minus infinity there whatever it is made of: zero times what is finite is zero."""
        value, row, column, is_wild = place
        return not is_wild and any(self.past.is_beyond(value, row, column, wanted) for wanted in (0.0, -math.inf))
