"""Graph to graph, before a plan is cut into parts: what every step of a loop multiplies by, laid out ahead of the loop.

dh[t] = … dz[t] @ U^T   ->   V = U^T, written out before the loop;  dh[t] = … dz[t] @ V

A product reads its right side along the columns of the result. Where those do not lie side by side it turns what it reads,
and in a loop it would do so again at every step, for the few rows of one step. What panels can be made of as it lies is left to
these (`plan/panels.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import Graph, Node, Operand
from archspec.ir.sizes import Axis
from archspec.plan.layout import strides
from archspec.plan.parts import circles_of
from archspec.plan.products import arrange
from archspec.records import replace


def lay_out_ahead(graph: Graph) -> Graph:
    """The graph with copies of what products in loops would turn at every step. A copy serves all products that read it."""
    turned = dict(_turned(graph))
    numbers = count()
    copies: dict[tuple[Operand, tuple[Axis, ...]], int] = {}

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        side = turned.get(next(numbers))
        if side is None:
            return None
        copy, read = _copied(node, side)
        key = copy.operands[0], copy.axes
        if key not in copies:
            copies[key] = builder.add(copy)
        reads = list(node.operands)
        reads[side] = Operand(copies[key], read)
        return builder.add(replace(node, operands=tuple(reads)))

    return rebuild(graph, rewrite) if turned else graph


def _turned(graph: Graph) -> Iterator[tuple[int, int]]:
    """The products in loops that turn what no step changes, and which operand of them that is."""
    circles = circles_of(graph)
    inside = {value for circle in circles for value in circle.nodes}
    for circle in circles:
        for value in circle.nodes:
            node, time = graph.nodes[value], circle.time[value]
            if node.op == "contract":
                side = _right(node, time)
                right = node.operands[side]
                still = right.value not in inside and time not in right.index
                if still and right.index[-1] >= len(node.axes) and not _has_panels(graph, node, side, time):
                    yield value, side


def _has_panels(graph: Graph, node: Node, side: int, time: int) -> bool:
    """Whether the right side can be laid out in panels as it lies."""
    arranged = arrange(node, graph.sizes, lambda value: strides(graph.nodes[value].axes, graph.sizes))
    right = node.operands[side]
    return arranged is not None and arranged.right == right and set(arranged.batch) <= {*right.index, time}


def _right(node: Node, time: int) -> int:
    """Which operand is read along the last axis of the result of one step."""
    last = max((loop for loop in range(len(node.axes)) if loop != time), default=time)
    return 0 if last in node.operands[0].index else 1


def _copied(node: Node, side: int) -> tuple[Node, tuple[int, ...]]:
    """A copy of the right side with the loops of the sum before those of the columns, and the loops that walk it."""
    rank, right, other = len(node.axes), node.operands[side], node.operands[1 - side]
    batch = [i for i in right.index if i < rank and i in other.index]
    summed = [i for i in dict.fromkeys((*other.index, *right.index)) if i >= rank]
    order = [*batch, *summed, *(i for i in right.index if i < rank and i not in batch)]
    place = {loop: k for k, loop in enumerate(order)}
    operand = Operand(right.value, tuple(place[i] for i in right.index))
    copy = Node("copy", (operand,), tuple(node.loops[i] for i in order), origin=node.origin)
    return copy, tuple(order)
