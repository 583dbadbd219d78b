"""The body of a loop over slabs: its nodes for some rows of the axis that is cut.

    y[i,j] = f(x[i,j], z[i], w[j])   ->   y[slab,j] = f(x[slab,j], z[first + i], w[j])
    d[j] = sum[i](y[i,j] * u[i])     ->   d[j] = d[j] + sum[slab](y[slab,j] * u[first + i]), from zero

How many rows a slab has and where it begins are two sizes that stay open when kernels are made: the last slab may be smaller.
"""

from __future__ import annotations

from typing import Any

from archspec.ir.graph import Graph, Node, Operand, Place
from archspec.ir.sizes import ONE, Axis, Size
from archspec.plan.again import Region
from archspec.plan.forms import is_leaf
from archspec.plan.kernel import Slab
from archspec.plan.parts import Circle, Division, Local, Part
from archspec.plan.slabs import SLAB, axis_along, loop_along
from archspec.records import replace


def circle_of(region: Region) -> Circle:
    """A loop over slabs beside the loops over time."""
    return Circle(sorted(region.loops), dict(region.loops), region.axis, False, columns=region.columns, body=SlabBody)


def slab_of(graph: Graph, circle: Circle) -> Slab:
    """The sizes of a slab; its rows are counted from 1, as every size is one at least."""
    slab = Slab(f"slab({circle.axis})", f"row({circle.axis})", SLAB)
    for value, column in circle.columns.items():
        axis = graph.nodes[value].axes[column]
        return replace(slab, last=f"last({axis})", columns=axis.size)
    return slab


class SlabBody(Local):
    """The body while it fills. A local key is a value, its axis that is cut, and its axis of columns where that ends early."""

    def __init__(self, division: Division, circle: Circle, wanted: frozenset[int]) -> None:
        super().__init__(division, circle.nodes, wanted)
        self.circle, self.slab = circle, slab_of(self.graph, circle)
        self.short = Axis(Size.symbol(self.slab.rows), circle.axis.ragged)
        self.last = Axis(Size.symbol(self.slab.last))
        self.start = Size.symbol(self.slab.first) - ONE
        self.onto: dict[int, int] = {}
        self.places: dict[tuple[int, int | None, int | None], int] = {}

    def part(self) -> Part:
        for value in self.members:
            number = self._put(self._key(value), self._slabbed(value))
            if self._key(value)[1] is None:
                self._grow(value, number)
        graph = self.made({})
        return Part(graph, tuple(self.outer), self.circle.axis, False, tuple(self.dropped), slab=self.slab, onto=self.onto)

    def number(self, value: int) -> int:
        return self.places[self._key(value)]

    def _put(self, key: tuple[int, int | None, int | None], node: Node) -> int:
        self.places[key] = self.add(key[:2], node)
        return self.places[key]

    def _key(self, value: int) -> tuple[int, int | None, int | None]:
        """The axes of a node of the loop: none is cut of one that sums over it."""
        rank = len(self.graph.nodes[value].axes)
        axes = self.circle.time[value], self._column(value)
        row, column = (axis if axis is not None and axis < rank else None for axis in axes)
        return value, row, column

    def _column(self, value: int) -> int | None:
        """The loop of a node along columns that end early: its own, or that along those of what it reads."""
        columns = self.circle.columns
        if value in columns:
            return columns[value]
        node, row = self.graph.nodes[value], self.circle.time[value]
        for k, operand in enumerate(node.operands):
            if operand.value in columns and axis_along(node, k, row) == self.circle.time[operand.value]:
                return loop_along(node, k, columns[operand.value])
        return None

    def _grow(self, value: int, part: int) -> None:
        """Adds what a slab gives to a sum to what the slabs before it have given."""
        node = self.nodes[part]
        index = tuple(range(len(node.axes)))
        before = Node("input", (), node.axes, dtype=node.dtype, attributes=(("name", node.origin.name or node.op),))
        old = self.add((value, None), replace(before, origin=node.origin))
        whole = Node("add", (Operand(old, index), Operand(part, index)), node.axes, dtype=node.dtype, origin=node.origin)
        self.onto[self._put(self._key(value), whole)] = old

    # --- nodes for some rows ----------------------------------------------------------------------------------------------

    def _slabbed(self, value: int) -> Node:
        return self._cut(self.graph.nodes[value], self.circle.time[value], self._column(value))

    def _read(self, value: int, row: int | None, column: int | None) -> int:
        """The local number of what is read; along `row` at the rows of the slab, along `column` up to the last of them."""
        if row is None and column is None:
            return self.whole(value)
        key = (value, row, column)
        if key in self.places:
            return self.places[key]
        node = self.graph.nodes[value]
        if value in self.inside or not self.division.copyable(value):
            return self._put(key, self._given(node, row, column))
        return self._put(key, self._cut(node, row, column))

    def _given(self, node: Node, row: int | None, column: int | None) -> Node:
        """Rows of a value that lies in memory."""
        attributes = node.attributes if is_leaf(node) else (("name", node.origin.name or node.op),)
        op = node.op if is_leaf(node) else "input"
        return replace(node, op=op, operands=(), reduced=(), axes=self._short(node.axes, row, column), attributes=attributes)

    def _cut(self, node: Node, row: int | None, column: int | None) -> Node:
        """A node for the rows of the slab."""

        def along(k: int, loop: int | None) -> int | None:
            return None if loop is None else axis_along(node, k, loop)

        reads = [(o, along(k, row), along(k, column)) for k, o in enumerate(node.operands)]
        operands = tuple(Operand(self._read(o.value, r, c), o.index) for o, r, c in reads)
        loops = self._short(node.loops, row, column)
        rank = len(node.axes)
        attributes = node.attributes if row is None else self._attributes(node, row)
        return replace(node, operands=operands, axes=loops[:rank], reduced=loops[rank:], attributes=attributes)

    def _short(self, axes: tuple[Axis, ...], row: int | None, column: int | None) -> tuple[Axis, ...]:
        return tuple(self.short if k == row else self.last if k == column else axis for k, axis in enumerate(axes))

    def _attributes(self, node: Node, loop: int) -> tuple[tuple[str, Any], ...]:
        """Where the slab begins, for what counts along the axis."""
        if node.op in ("position", "random"):
            return (*node.attributes, ("cut", (loop, self.start, node.axes)))
        if node.op != "window":
            return node.attributes
        rows = axis_along(node, 0, loop)
        places = tuple(p if k == rows else self._moved(p, loop) for k, p in enumerate(node.attribute("places")))
        return tuple((k, places if k == "places" else v) for k, v in node.attributes)

    def _moved(self, place: Place, loop: int) -> Place:
        moves = (factor * self.start for i, factor in place.terms if i == loop)
        return replace(place, offset=sum(moves, place.offset))
