"""Whether rows read nothing beyond their own place, as under a causal mask: then a slab has no columns after its last row.

    a[i,j] = where(j <= i, e[i,j], 0)      o[i] = sum[j](a[i,j] * v[j])
    rows 65 to 128:  a[slab, 128 columns]    o[slab] = sum over 128 columns

What lies beyond must count for nothing in every sum over columns, in every sum over rows that has a value for each column, and
in every largest value: it is zero or minus infinity there, whatever else is computed. That is followed from the masks on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from archspec.ir.graph import Graph, Node
from archspec.ops import OPS
from archspec.plan.slabs import axis_along

ZERO_AT_ZERO = frozenset({"negate", "abs", "square", "sqrt", "copy", "number", "relu", "stop_gradient"})
BOTH = frozenset({"add", "subtract", "maximum", "minimum"})
ORDERS = {"less_equal": (0, 1), "less": (0, 1), "greater_equal": (1, 0), "greater": (1, 0)}  # the smaller operand first
EITHER = frozenset({"multiply", "contract", "and"})


class Past:
    """Looks at the nodes of one loop. `rows` has for each of them the loop that is cut, `columns` for those with both long axes
    the other one."""

    def __init__(self, graph: Graph, rows: Mapping[int, int], columns: Mapping[int, int]) -> None:
        self.graph, self.rows, self.columns = graph, rows, columns
        self.known: dict[tuple[int, int, int, float], bool] = {}

    def is_enough(self, read_outside: frozenset[int]) -> bool:
        """Whether no node needs what lies beyond; what is read outside of the loop is needed as a whole."""
        return not any(v in read_outside for v in self.columns) and all(self._needs_none(v) for v in self.rows)

    def _needs_none(self, value: int) -> bool:
        """Whether a node needs nothing from beyond in what it reads."""
        node, row = self.graph.nodes[value], self.rows[value]
        reads = list(self._wide_operands(node, row))
        loops = {loop for _, loop in reads}
        if value in self.columns:
            return loops <= {self.columns[value]}
        if not reads:
            return True
        if len(loops) != 1 or None in loops or OPS[node.op].kind not in ("reduce", "contract"):
            return False
        neutral = -math.inf if node.op == "max" else 0.0
        if node.op not in ("max", "sum", "contract"):
            return False
        return any(self.is_beyond(node.operands[k].value, *self._places(node, k, row, loop), neutral) for k, loop in reads)

    def _wide_operands(self, node: Node, row: int) -> Iterator[tuple[int, int | None]]:
        """The operands of the loop that have both axes, and the loop of the node that walks along the columns of each."""
        for k, operand in enumerate(node.operands):
            value = operand.value
            if value in self.columns and axis_along(node, k, row) == self.rows[value]:
                index = operand.index
                yield k, index[self.columns[value]] if index and index.count(index[self.columns[value]]) == 1 else None

    def _places(self, node: Node, k: int, row: int, column: int | None) -> tuple[int, int]:
        """The axes of an operand along rows and columns, -1 for none."""
        along = [axis_along(node, k, loop) if loop is not None else None for loop in (row, column)]
        return tuple(-1 if axis is None else axis for axis in along)  # type: ignore[return-value]

    def is_beyond(self, value: int, row: int, column: int, wanted: float) -> bool:
        """Whether a value is a number, 0 (or false) or minus infinity, wherever its column lies beyond its row."""
        key = (value, row, column, wanted)
        if key not in self.known:
            self.known[key] = self._look(value, row, column, wanted)
        return self.known[key]

    def _look(self, value: int, row: int, column: int, wanted: float) -> bool:
        node = self.graph.nodes[value]
        if node.op == "constant":
            return bool(node.attribute("value") == wanted)
        if row < 0 or column < 0:
            return False
        there = [self.is_beyond(o.value, *self._places(node, k, row, column), wanted) for k, o in enumerate(node.operands)]
        if node.op == "where":
            mask = self.is_beyond(node.operands[0].value, *self._places(node, 0, row, column), 0.0)
            return there[2] and (mask or there[1])
        if wanted != 0.0:
            return False
        if node.op in EITHER:
            return any(there)
        if node.op in BOTH or node.op in ZERO_AT_ZERO:
            return all(there)
        return there[0] if node.op == "divide" else self._is_mask(node, row, column)

    def _is_mask(self, node: Node, row: int, column: int) -> bool:
        """Whether a node compares the places of its column and its row, and is false where the column's is the later one."""
        if node.op not in ORDERS:
            return False
        small, large = ORDERS[node.op]
        return self._is_position(node, small, column) and self._is_position(node, large, row)

    def _is_position(self, node: Node, k: int, loop: int) -> bool:
        operand = node.operands[k]
        source = self.graph.nodes[operand.value]
        while source.op in ("number", "copy") and len(source.axes) == 1:
            source = self.graph.nodes[source.operands[0].value]
        whole = "cut" not in dict(source.attributes)  # the places of a slab are counted from another row
        return source.op == "position" and whole and tuple(operand.index) == (loop,)
