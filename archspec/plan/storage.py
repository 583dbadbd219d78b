"""Where the values of a graph lie: most in memory of their own, some inside of others.

a part of a tensor, other axes   window, reshape: no element moves, they are a way of reading
concat                           the operands are computed right where they stand in the whole
delay                            h[t-1] and h[t] lie in one room with T+1 slots, the first value in its first slot
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from archspec.ir.graph import Graph, Node, Place
from archspec.ir.sizes import ONE, ZERO, Axis, Size
from archspec.ops import OPS
from archspec.plan.layout import strides
from archspec.records import record, replace

VIEWS = frozenset({"view", "join", "delay"})


@record
class View:
    """A value inside the memory of `root`: the element where it begins, and how far apart neighbours along each axis lie.

    `steps` are, for the loops over time around it from the outermost in, how far it moves with each turn.
    """

    root: int
    offset: Size
    strides: tuple[Size, ...]
    steps: tuple[Size, ...] = ()

    def moved(self, by: Size) -> View:
        return replace(self, offset=self.offset + by)

    def without(self, axis: int) -> View:
        return replace(self, strides=(*self.strides[:axis], *self.strides[axis + 1 :]))


def whole(root: int, axes: tuple[Axis, ...], graph: Graph) -> View:
    """The view of a value of a graph that has memory of its own."""
    return View(root, ZERO, graph.fact(_RowMajor)[axes])


def is_whole(view: View, axes: tuple[Axis, ...], graph: Graph) -> bool:
    """Whether a value has memory of its own."""
    return (view.offset, view.strides, view.steps) == (ZERO, graph.fact(_RowMajor)[axes], ())


class _RowMajor(dict[tuple[Axis, ...], tuple[Size, ...]]):
    """The strides of the tensors of a graph by their axes: a deep one has few shapes."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.sizes = graph.sizes

    def __missing__(self, axes: tuple[Axis, ...]) -> tuple[Size, ...]:
        self[axes] = strides(axes, self.sizes)
        return self[axes]


def is_part(graph: Graph, node: Node) -> bool:
    """Whether a window is a view: each of its loops walks the operand, and all that it reads lies inside. Its windows may
    overlap, as those of a convolution do."""
    if node.op != "window":
        return False
    source = graph.nodes[node.operands[0].value]
    walked: set[int] = set()
    for place, axis in zip(node.attribute("places"), source.axes, strict=True):
        if not is_inside(place, axis, node, graph.sizes):
            return False
        walked |= {loop for loop, _ in place.terms}
    return len(walked) == len(node.axes)


def is_inside(place: Place, axis: Axis, node: Node, sizes: Mapping[str, int]) -> bool:
    """Whether a window reads inside of an axis at every point of its loops, whatever the open sizes are."""
    if place.divisor != ONE:
        return False
    first = last = place.offset
    for loop, factor in place.terms:
        reach = factor * (node.axes[loop].size - ONE)
        if _at_least_zero(factor.known(sizes)):
            last = last + reach
        else:
            first = first + reach
    room = axis.size - ONE - last
    return _at_least_zero(first.known(sizes)) and _at_least_zero(room.known(sizes))


def _at_least_zero(size: Size) -> bool:
    """Whether a polynomial is no less than zero whatever sizes of at least 1 its symbols have."""
    return sum(min(c, 0) for _, c in size.terms) + sum(c for m, c in size.terms if c > 0) >= 0 and all(
        c >= 0 for m, c in size.terms if m
    )


def is_view(graph: Graph, value: int) -> bool:
    """Whether no kernel computes the value: it is a way of reading others."""
    node = graph.nodes[value]
    return OPS[node.op].kind in VIEWS or is_part(graph, node)


def view_nodes(graph: Graph) -> frozenset[int]:
    """The values that no kernel computes."""
    return graph.fact(_view_nodes)


def _view_nodes(graph: Graph) -> frozenset[int]:
    return frozenset(value for value in range(len(graph.nodes)) if is_view(graph, value))


def sources(graph: Graph, value: int) -> list[int]:
    """The values that kernels compute, or leaves, of which `value` is made."""
    found: list[int] = []
    stack = [value]
    seen: set[int] = set()
    while stack:
        v = stack.pop()
        if v in seen:
            continue
        seen.add(v)
        if is_view(graph, v):
            stack += [o.value for o in graph.nodes[v].operands]
            stack += [graph.links[v]] if v in graph.links else []
        else:
            found.append(v)
    return found


def claims(graph: Graph) -> dict[int, tuple[int, int]]:
    """value -> (delay or concat, operand) whose memory it is computed into; a delay's operand 0 is its start, 1 its link."""
    found: dict[int, tuple[int, int]] = {}
    for delay, link in graph.links.items():
        found[graph.nodes[delay].operands[0].value] = (delay, 0)
        found[link] = (delay, 1)
    for value, node in graph:
        if node.op == "concat":
            found.update({o.value: (value, k) for k, o in enumerate(node.operands)})
    return found


def views_of(graph: Graph, given: Mapping[int, View], room: Callable[[Node], int]) -> dict[int, View]:
    """Where each value lies. `given` are known already; `room` makes memory for a node and names it."""
    return _Views(graph, given, room).run()


class _Views:
    def __init__(self, graph: Graph, given: Mapping[int, View], room: Callable[[Node], int]) -> None:
        self.graph, self.room = graph, room
        self.found: dict[int, View] = dict(given)
        self.claimed = claims(graph)

    def run(self) -> dict[int, View]:
        for value in range(len(self.graph.nodes)):
            self._find(value)
        return self.found

    def _find(self, value: int) -> View:
        if value not in self.found:
            self.found[value] = self._make(value, self.graph.nodes[value])
        return self.found[value]

    def _make(self, value: int, node: Node) -> View:
        if value in self.claimed:
            return self._claimed(*self.claimed[value])
        if is_part(self.graph, node):
            return self._part(node)
        if node.op == "reshape":
            view = self._find(node.operands[0].value)
            return replace(view, strides=strides(node.axes, self.graph.sizes))
        if node.op == "delay":
            return self._history(node)
        return whole(self.room(node), node.axes, self.graph)

    def _claimed(self, owner: int, operand: int) -> View:
        node, view = self.graph.nodes[owner], self._find(owner)
        if node.op == "delay":
            along, reverse = node.attribute("along"), node.attribute("reverse")
            step = view.strides[along]
            if operand == 1:
                return view.moved(step * Size.number(-1) if reverse else step)
            last = node.axes[along].size.known(self.graph.sizes) - ONE
            return (view.moved(step * last) if reverse else view).without(along)
        k = node.attribute("axis")
        before = sum((self.graph.nodes[o.value].axes[k].size for o in node.operands[:operand]), ZERO)
        return view.moved(before.known(self.graph.sizes) * view.strides[k])

    def _part(self, node: Node) -> View:
        view = self._find(node.operands[0].value)
        moves = [ZERO] * len(node.axes)
        for place, stride in zip(node.attribute("places"), view.strides, strict=True):
            view = view.moved(place.offset.known(self.graph.sizes) * stride)
            for loop, factor in place.terms:
                moves[loop] = moves[loop] + factor.known(self.graph.sizes) * stride
        return replace(view, strides=tuple(moves))

    def _history(self, node: Node) -> View:
        """One slot more than there are steps: forwards the first value lies before the others, backwards after them."""
        along = node.attribute("along")
        slots = Axis(node.axes[along].size + ONE)
        room = replace(node, op="room", operands=(), axes=(*node.axes[:along], slots, *node.axes[along + 1 :]))
        view = whole(self.room(room), room.axes, self.graph)
        return view.moved(view.strides[along]) if node.attribute("reverse") else view
