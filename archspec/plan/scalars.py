"""From the nodes of a group to scalar statements, each in the outermost loop that has all it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.ir.graph import Graph, Node, Place
from archspec.ir.sizes import ZERO, Axis, Size
from archspec.ops import OPS
from archspec.plan.forms import is_leaf
from archspec.plan.groups import Group
from archspec.plan.kernel import (
    FLOAT,
    INT,
    Ahead,
    Constant,
    Draw,
    Extent,
    Fetch,
    Guard,
    Let,
    Load,
    Local,
    Offset,
    Offsets,
    Panels,
    Parameter,
    Position,
    Scalar,
    Statement,
    Store,
)
from archspec.plan.layout import Access, strides
from archspec.plan.names import Names
from archspec.plan.storage import View, is_inside
from archspec.plan.triangles import Triangle
from archspec.records import field, record


@record(frozen=False)
class Level:
    """A loop body while it fills: the loops whose counters it sees, its statements, what it has computed."""

    loops: frozenset[int]
    statements: list[Statement] = field(default_factory=list)
    known: dict[tuple[int, tuple[int, ...]], Scalar] = field(default_factory=dict)


class Parameters:
    """The parameters of a kernel and the arguments of its call, in the order in which they are met."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.parameters: dict[object, Parameter] = {}
        self.arguments: list[object] = []

    def _add(self, key: object, parameter: Parameter, argument: object) -> str:
        self.parameters[key] = parameter
        self.arguments.append(argument)
        return parameter.name

    def buffer(self, value: int, wanted: str, dtype: str, shape: tuple[Size, ...]) -> str:
        if value not in self.parameters:
            self._add(value, Parameter(self.names.new(wanted), "buffer", dtype, shape), value)
        return self.parameters[value].name

    def size(self, symbol: str) -> str:
        key = ("size", symbol)
        if key not in self.parameters:
            self._add(key, Parameter(self.names.new(symbol), "size", INT), symbol)
        return self.parameters[key].name

    def stream(self, stream: str) -> str:
        key = ("stream", stream)
        if key not in self.parameters:
            self._add(key, Parameter(self.names.new("key"), "stream", INT), stream)
        return self.parameters[key].name

    def step(self) -> str:
        if "step" not in self.parameters:
            self._add("step", Parameter(self.names.new("step"), "step", INT), None)
        return self.parameters["step"].name

    def offsets(self, wanted: str, extents: tuple[Size, ...], strides: tuple[Size, ...]) -> str:
        return self._add(wanted, Parameter(self.names.new(wanted), "offsets", INT), Offsets(extents, strides))

    def panels(self, value: int, shape: tuple[Size, ...], turns: Size) -> Ahead:
        """The panels of a value that is laid out before a loop of so many turns."""
        laid = self._add("laid", Parameter("laid", "buffer", FLOAT, shape), Panels(value))
        return Ahead(laid, self._add("turns", Parameter("turns", "turns", INT), turns))

    def scratch(self, length: Size) -> str:
        return self._add("scratch", Parameter(self.names.new("scratch"), "scratch", FLOAT, length=length), None)


@record
class Still:
    """What no step of the loop around changes, and how many `turns` that has."""

    values: frozenset[int] = frozenset()
    turns: Size = ZERO


NOTHING_STILL = Still()


class Scalars:
    """Writes the scalar code of one group.

    `counters` maps a loop of the space to the terms of its counter; `levels` are the bodies from the outermost in.
    `storage` maps a value to the one whose memory it takes over. `early` are values whose inner loop has passed: they
    are read back from where they were stored. `still` is what no step of the loop around changes,
    `triangles` which halves of a product count for nothing.
    """

    def __init__(
        self,
        graph: Graph,
        group: Group,
        virtual: frozenset[int],
        storage: Mapping[int, int] | None = None,
        views: Mapping[int, View] | None = None,
        still: Still = NOTHING_STILL,
        triangles: frozenset[Triangle] = frozenset(),
    ) -> None:
        self.storage, self.views, self.still, self.triangles = storage or {}, views or {}, still, triangles
        self.graph, self.group, self.sizes, self.virtual = graph, group, graph.sizes, virtual
        self.names = Names()
        self.parameters = Parameters(self.names)
        self.extents = tuple(a.size.known(graph.sizes) for a in group.space)
        self.counters: dict[int, tuple[tuple[str, Size], ...]] = {}
        self.levels: list[Level] = []
        self.temporary: dict[int, Offset] = {}
        self.early: set[int] = set()

    # --- accesses and offsets ---------------------------------------------------------------------------------

    def access(self, value: int, dims: Sequence[int]) -> Access:
        return Access.of(self.moves(value), dims, len(self.group.space))

    def moves(self, value: int) -> tuple[Size, ...]:
        """How far apart neighbours lie along each axis of a value."""
        node = self.graph.nodes[value]
        if value in self.views and node.op not in _VIRTUAL:
            return self.views[value].strides
        return strides(_whole_axes(node), self.sizes)

    def offset(self, access: Access) -> Offset:
        """The element that an access meets, in the loop counters of the kernel."""
        terms: list[tuple[str, Size]] = []
        for dim, stride in enumerate(access.strides):
            if stride.terms and dim in self.counters:
                terms += [(name, stride * factor) for name, factor in self.counters[dim]]
        return Offset(tuple((name, self.declare(stride)) for name, stride in terms))

    def declare(self, size: Size) -> Size:
        """`size` with the name of a parameter for every open symbol in it."""
        return size.renamed({symbol: self.parameters.size(symbol) for symbol in sorted(size.symbols)})

    def buffer(self, value: int) -> str:
        node = self.graph.nodes[value]
        shape = tuple(a.size.known(self.sizes) for a in node.axes)
        place = self.storage.get(value, value)
        return self.parameters.buffer(place, short_name(node), node.dtype, shape)

    # --- levels -----------------------------------------------------------------------------------------------

    def level(self, value: int, dims: Sequence[int]) -> Level:
        """The outermost body that sees the counters of `dims`; what the group computes may hang on a row's sums."""
        inside = value in self.group.place and value not in self.virtual
        return next(level for level in self.levels[1 if inside else 0 :] if level.loops >= set(dims))

    # --- values -----------------------------------------------------------------------------------------------

    def value(self, value: int, dims: tuple[int, ...]) -> Scalar:
        """One element of node `value`, its axes walked by the loops `dims`, computed or loaded where it belongs."""
        node = self.graph.nodes[value]
        if node.op == "constant":
            return Constant(node.attribute("value"), node.dtype)
        level = self.level(value, dims)
        known = level.known.get((value, dims))
        if known is None:
            known = level.known[value, dims] = self._make(value, node, dims, level)
        return known

    def _make(self, value: int, node: Node, dims: tuple[int, ...], level: Level) -> Scalar:
        if node.op in _VIRTUAL:
            return getattr(self, f"_{node.op}")(node, dims, level)  # type: ignore[no-any-return]
        here = value in self.group.place or value in self.virtual
        if here and node.op in _READS:
            return getattr(self, f"_{node.op}")(value, node, dims, level)  # type: ignore[no-any-return]
        if not here or is_leaf(node):
            return self._load(value, dims, level)
        if value in self.early and value in self.group.saved:
            return self._load(value, dims, level)
        if value in self.early and value in self.temporary:
            return self._load_temporary(value, level)
        return self._compute(value, node, dims, level)

    def _load(self, value: int, dims: tuple[int, ...], level: Level) -> Local:
        node = self.graph.nodes[value]
        name = self.names.new(f"{short_name(node)}_{'i' if dims else '0'}")
        level.statements.append(Load(name, node.dtype, self.buffer(value), self.offset(self.access(value, dims))))
        return Local(name)

    def _load_temporary(self, value: int, level: Level) -> Local:
        name = self.names.new(short_name(self.graph.nodes[value]))
        level.statements.append(Load(name, FLOAT, "scratch", self.temporary[value]))
        return Local(name)

    def _compute(self, value: int, node: Node, dims: tuple[int, ...], level: Level) -> Local:
        if OPS[node.op].kind != "map":
            raise AssertionError(f"{node.op} is read before it is reduced")
        arguments, dtypes = [], []
        for operand in node.operands:
            arguments.append(self.value(operand.value, tuple(dims[i] for i in operand.index)))
            dtypes.append(self.graph.nodes[operand.value].dtype)
        name = self.names.new(f"{short_name(node)}_i" if value in self.group.saved else short_name(node))
        level.statements.append(Let(name, node.dtype, node.op, tuple(arguments), tuple(dtypes)))
        return Local(name)

    def _window(self, value: int, node: Node, dims: tuple[int, ...], level: Level) -> Scalar:
        """One element read at computed places, the fill where one of them is outside."""
        source = node.operands[0].value
        axes, moves = self.graph.nodes[source].axes, self.moves(source)
        terms: list[tuple[str, Size]] = []
        guards: list[Guard] = []
        for place, axis, stride in zip(node.attribute("places"), axes, moves, strict=True):
            at = self._place_terms(place, dims)
            if is_inside(place, axis, node, self.sizes):
                terms += [(name, self.declare(factor * stride)) for name, factor in at]
                offset = place.offset.known(self.sizes) * stride
                terms += [("", self.declare(offset))] if offset.terms else []
                continue
            name = self.names.new("at_")
            offset, divisor, extent = (self.declare(x.known(self.sizes)) for x in (place.offset, place.divisor, axis.size))
            where = Offset(tuple((n, self.declare(f)) for n, f in at))
            guards.append(Guard(name, where, offset, divisor, extent))
            terms.append((name, self.declare(stride)))
        name = self.names.new(short_name(node))
        fill = Constant(node.attribute("fill"), node.dtype)
        level.statements.append(Fetch(name, node.dtype, self.buffer(source), Offset(tuple(terms)), tuple(guards), fill))
        return Local(name)

    def _place_terms(self, place: Place, dims: tuple[int, ...]) -> list[tuple[str, Size]]:
        found = []
        for loop, factor in place.terms:
            found += [(name, step * factor.known(self.sizes)) for name, step in self.counters.get(dims[loop], ())]
        return found

    def _gather(self, value: int, node: Node, dims: tuple[int, ...], level: Level) -> Scalar:
        """One element of the row of a table that an integer picks."""
        ids, table = node.operands
        picked = self.value(ids.value, tuple(dims[i] for i in ids.index))
        assert isinstance(picked, Local)
        terms: list[tuple[str, Size]] = []
        for loop, stride in zip(table.index, self.moves(table.value), strict=True):
            if loop == len(node.axes):
                terms.append((picked.name, self.declare(stride)))
            else:
                terms += [(name, self.declare(stride * step)) for name, step in self.counters.get(dims[loop], ())]
        name = self.names.new(short_name(node))
        level.statements.append(Load(name, node.dtype, self.buffer(table.value), Offset(tuple(terms))))
        return Local(name)

    def _size(self, node: Node, dims: tuple[int, ...], level: Level) -> Scalar:
        size: Size = node.attribute("size").known(self.sizes)
        if size.constant is not None:
            return Constant(float(size.constant))
        name = self.names.new("count")
        level.statements.append(Extent(name, self.declare(size)))
        return Local(name)

    def _position(self, node: Node, dims: tuple[int, ...], level: Level) -> Local:
        name = self.names.new("at_")
        level.statements.append(Position(name, Offset((*self.counters.get(dims[0], ()), *self._start(node)))))
        return Local(name)

    def _random(self, node: Node, dims: tuple[int, ...], level: Level) -> Local:
        name = self.names.new("draw")
        stream, step = self.parameters.stream(node.attribute("stream")), self.parameters.step()
        access = Access.of(strides(_whole_axes(node), self.sizes), dims, len(self.group.space))
        index = Offset((*self.offset(access).terms, *self._start(node)))
        level.statements.append(Draw(name, stream, step, index))
        return Local(name)

    def _start(self, node: Node) -> tuple[tuple[str, Size], ...]:
        """How far into the whole a slab of it begins."""
        if "cut" not in dict(node.attributes):
            return ()
        axis, start, axes = node.attribute("cut")
        return (("", self.declare(start * strides(axes, self.sizes)[axis])),)

    def store_all(self, values: Sequence[int], level: Level) -> None:
        """Writes an element of each saved node once all are computed: one may lie where the others still read."""
        for value in values:
            self.value(value, self.group.place[value][: len(self.graph.nodes[value].axes)])
        for value in values:
            self.store(value, level)

    def store(self, value: int, level: Level) -> None:
        """Writes an element of a saved node."""
        dims = self.group.place[value][: len(self.graph.nodes[value].axes)]
        scalar = self.value(value, dims)
        offset = self.offset(self.access(value, dims))
        level.statements.append(Store(self.buffer(value), offset, scalar, self.graph.nodes[value].dtype))


_VIRTUAL = frozenset({"size", "position", "random"})
_READS = frozenset({"window", "gather"})


def _whole_axes(node: Node) -> tuple[Axis, ...]:
    """The axes that a node counts along: for a slab of positions or draws those of the whole."""
    axes: tuple[Axis, ...] = dict(node.attributes).get("cut", (0, None, node.axes))[2]
    return axes


def short_name(node: Node) -> str:
    """The last part of a node's name in the spec, or its op's."""
    if node.op in ("input", "weight"):
        attributes = dict(node.attributes)
        return str(attributes.get("name") or attributes["path"]).rsplit("/", 1)[-1]
    return node.origin.name or node.op
