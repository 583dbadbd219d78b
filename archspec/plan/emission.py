"""Groups to calls, each form of a group once.

What a kernel hangs on is cut out of the graph first: the nodes that the group computes, what they read, where that lies.
In this piece values are numbered from 0 and random streams too, so the groups of equal layers are equal pieces, and a
piece that was met before gives its kernel at once. Nothing else can leak into a kernel, since it is made of the piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archspec.ir.graph import Graph, Node
from archspec.ir.sizes import ZERO
from archspec.plan.equations import equations
from archspec.plan.forms import is_leaf
from archspec.plan.groups import COLUMNS, PRODUCT, SCATTER, Group
from archspec.plan.kernel import Buffer, Call, Kernel, Panels, Parameter
from archspec.plan.products import product_call
from archspec.plan.rows import columns_call, rows_call
from archspec.plan.scalars import NOTHING_STILL, Scalars, Still, short_name
from archspec.plan.scatter import scatter_call
from archspec.plan.storage import View
from archspec.plan.triangles import Triangle, Triangles
from archspec.plan.wrap import kernel_name
from archspec.records import field, record, replace


@record(eq=False)
class Surroundings:
    """The part of a plan that a group stands in: `virtual` nodes are computed where they are needed, `storage` has whose memory
    a value takes over, `views` where each value lies, `still` what no step of the loop around changes, `triangles` which
    halves of products count for nothing."""

    graph: Graph
    virtual: frozenset[int]
    storage: Mapping[int, int]
    views: Mapping[int, View]
    still: Still = NOTHING_STILL
    triangles: Triangles = field(default_factory=dict)


class Emitter:
    """Makes the calls of a plan and remembers what it has made."""

    def __init__(self) -> None:
        self.made: dict[object, Call] = {}
        self.kernels: dict[object, Kernel] = {}
        self.taken: dict[str, int] = {}

    def call(self, group: Group, around: Surroundings) -> Call:
        """The kernel of a group with its arguments."""
        piece = _Piece(group, around)
        key = piece.key()
        made = self.made.get(key)
        if made is None:
            made = _emitted(piece)
            made = self.made[key] = replace(made, kernel=self.shared(made.kernel, lambda: equations(around.graph, group)))
        return _bound(made, piece)

    def shared(self, kernel: Kernel, equation: Callable[[], str]) -> Kernel:
        """The first kernel with this structure, under a name that no other one has and with its equations."""
        if kernel.structure not in self.kernels:
            name = kernel.name
            self.taken[name] = self.taken.get(name, 0) + 1
            unique = name if self.taken[name] == 1 else f"{name}_{self.taken[name]}"
            self.kernels[kernel.structure] = replace(kernel, name=unique, equation=equation())
        return self.kernels[kernel.structure]


class _Piece:
    """A group cut out of its surroundings: `values` are those it touches in order, and `local` are their numbers in here."""

    def __init__(self, group: Group, around: Surroundings) -> None:
        self.group, self.around = group, around
        self.values = _touched(group, around)
        self.local = {value: k for k, value in enumerate(self.values)}
        self.streams: dict[str, int] = {}

    def key(self) -> object:
        """All that the kernel hangs on, down to the names in it."""
        group, around, local = self.group, self.around, self.local
        nodes = tuple([self._description(value) for value in self.values])
        place = tuple([(local[v], loops) for v, loops in group.place.items()])
        saved = tuple([local[v] for v in sorted(group.saved)])
        root = None if group.root is None else local.get(group.root)
        form = group.kind, group.space, group.outer, group.inner
        return kernel_name(around.graph, group), form, place, saved, root, nodes, self._still(), self._triangles()

    def _still(self) -> Still:
        """What a product reads of what no step of the loop around changes."""
        if self.group.kind != PRODUCT:
            return NOTHING_STILL
        still = self.around.still
        return Still(frozenset([local for value, local in self.local.items() if value in still.values]), still.turns)

    def _triangles(self) -> frozenset[Triangle]:
        return self.around.triangles.get(self.group.root, frozenset()) if self.group.root is not None else frozenset()

    def _description(self, value: int) -> object:
        around = self.around
        node, virtual, view = around.graph.nodes[value], value in around.virtual, around.views.get(value)
        operands = tuple([(self.local[v], index) for v, index in node.operands]) if self._is_inside(value, virtual) else ()
        held = around.storage.get(value)
        lies = view.strides if view is not None else None, self.local[held] if held is not None else None
        kind = node.op, node.axes, node.reduced, node.dtype, node.of, self._attributes(node)
        return short_name(node), kind, operands, virtual, lies

    def _is_inside(self, value: int, virtual: bool) -> bool:
        """Whether the kernel computes the value, so that it hangs on its operands."""
        return virtual or value in self.group.place

    def _attributes(self, node: Node) -> tuple[tuple[str, Any], ...]:
        if is_leaf(node):
            return (("name", short_name(node)),)
        if node.op == "random":
            return tuple([(n, self._stream(v) if n == "stream" else v) for n, v in node.attributes])
        return node.attributes

    def _stream(self, stream: str) -> int:
        return self.streams.setdefault(stream, len(self.streams))

    def graph(self) -> Graph:
        graph = self.around.graph
        return Graph(tuple([self._node(v, graph.nodes[v]) for v in self.values]), {}, {}, {}, {}, graph.sizes)

    def _node(self, value: int, node: Node) -> Node:
        inside = self._is_inside(value, value in self.around.virtual)
        return replace(node.reading(self.local) if inside else replace(node, operands=()), attributes=self._attributes(node))

    def scalars(self) -> Scalars:
        group, around, local = self.group, self.around, self.local
        moved = replace(
            group,
            place={local[v]: loops for v, loops in group.place.items()},
            saved={local[v] for v in group.saved},
            root=None if group.root is None else local.get(group.root),
        )
        virtual = frozenset(local[v] for v in self.values if v in around.virtual)
        storage = {local[v]: local[around.storage[v]] for v in self.values if v in around.storage}
        views = {local[v]: View(local[v], ZERO, around.views[v].strides) for v in self.values if v in around.views}
        return Scalars(self.graph(), moved, virtual, storage, views, self._still(), self._triangles())


def _touched(group: Group, around: Surroundings) -> list[int]:
    """What a group computes, what that reads, and whose memory it takes over."""
    nodes, virtual, storage = around.graph.nodes, around.virtual, around.storage
    found = set(group.place)
    stack = list(group.place)
    while stack:
        for value, _ in nodes[stack.pop()].operands:
            if value not in found:
                found.add(value)
                if value in virtual:
                    stack.append(value)
    return sorted(found.union([storage[v] for v in found if v in storage]))


def _emitted(piece: _Piece) -> Call:
    emit = {PRODUCT: product_call, COLUMNS: columns_call, SCATTER: scatter_call}.get(piece.group.kind, rows_call)
    return emit(piece.scalars())


def _bound(made: Call, piece: _Piece) -> Call:
    """A call that was made for an equal piece with the values and streams of this one."""
    values, streams = piece.values, tuple(piece.streams)

    def places(found: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys([piece.around.views[values[v]].root for v in found]))

    def argument(parameter: Parameter, given: Any) -> Any:
        if isinstance(given, Panels):
            return Panels(_buffer(piece.around.views[values[given.of]]))
        if parameter.kind == "buffer":
            return _buffer(piece.around.views[values[given]])
        return streams[given] if parameter.kind == "stream" else given

    graph, group = piece.around.graph, piece.group
    return Call(
        made.kernel,
        tuple([argument(p, a) for p, a in zip(made.kernel.parameters, made.arguments, strict=True)]),
        places(made.reads),
        places(made.writes),
        graph.nodes[max(group.saved)].origin,
        tuple([graph.nodes[v] for v in group.place]),
    )


def _buffer(view: View) -> Buffer:
    return Buffer(view.root, view.offset, view.steps, view.strides)
