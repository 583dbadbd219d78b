"""Building graphs: a growing list of nodes, and terms that combine inside one set of loops.

Lowering, gradients and passes all write equations over terms:

    loops = Loops(builder, (B, H))
    y = loops.term(z, (0, 1)) * loops.term(g, (1,))      # g is broadcast along B
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import is_
from typing import Any

from archspec.ir.graph import BOOL, FLOAT, INT, NOWHERE, Graph, Node, Operand, Origin, Place, WeightSpec
from archspec.ir.sizes import ONE, Axis, Size
from archspec.records import record, replace

COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
LOGICAL = frozenset({"and", "or", "not"})


class Builder:
    """A graph while it grows. `origin` is stamped on every node that does not bring one."""

    def __init__(self, graph: Graph | None = None) -> None:
        self.nodes: list[Node] = list(graph.nodes) if graph else []
        self.inputs: dict[str, int] = dict(graph.inputs) if graph else {}
        self.weights: dict[str, int] = dict(graph.weights) if graph else {}
        self.outputs: dict[str, int] = dict(graph.outputs) if graph else {}
        self.specs: dict[str, WeightSpec] = dict(graph.specs) if graph else {}
        self.sizes: dict[str, int] = dict(graph.sizes) if graph else {}
        self.links: dict[int, int] = dict(graph.links) if graph else {}
        self.origin = NOWHERE

    def add(self, node: Node) -> int:
        self.nodes.append(node if node.origin is not NOWHERE else replace(node, origin=self.origin))
        return len(self.nodes) - 1

    def at(self, origin: Origin) -> _At:
        """Nodes added inside of this `with` carry `origin`."""
        return _At(self, origin)

    def node(self, value: int) -> Node:
        return self.nodes[value]

    def input(self, name: str, axes: Sequence[Axis], dtype: str = FLOAT, of: Axis | None = None) -> int:
        value = self.add(Node("input", (), tuple(axes), dtype=dtype, of=of, attributes=(("name", name),)))
        self.inputs[name] = value
        return value

    def weight(self, spec: WeightSpec) -> int:
        value = self.add(Node("weight", (), spec.axes, attributes=(("path", spec.path),)))
        self.weights[spec.path], self.specs[spec.path] = value, spec
        return value

    def constant(self, value: float | bool, dtype: str = FLOAT) -> int:
        value = bool(value) if dtype == BOOL else int(value) if dtype == INT else float(value)
        return self.add(Node("constant", (), (), (), dtype, None, (("value", value),), self.origin))

    def size(self, size: Size) -> int:
        """The number of elements along an axis as a float scalar, known or not yet known."""
        return self.add(Node("size", (), (), attributes=(("size", size),)))

    def window(self, value: int, axes: Sequence[Axis], places: Sequence[Place], fill: float = 0.0) -> int:
        """`value` read at `places`, one for each of its axes, for every point of the loops `axes`."""
        simpler = self.simpler_window(value, axes, places, fill)
        if simpler is not None:
            return simpler
        node, attributes = self.node(value), (("fill", fill), ("places", tuple(places)))
        return self.add(Node("window", (Operand(value, ()),), tuple(axes), dtype=node.dtype, of=node.of, attributes=attributes))

    def simpler_window(self, value: int, axes: Sequence[Axis], places: Sequence[Place], fill: float) -> int | None:
        """A window in a simpler form, where it has one.

        A view of the whole tensor along its own axes is the tensor itself; one of windows that stand side by side and
        fill it is the tensor along other axes.
        """
        node = self.node(value)
        if tuple(axes) == node.axes and [p.plain for p in places] == list(range(len(node.axes))):
            return value
        order = self._side_by_side(node, axes, places)
        if order is not None:
            whole = value if len(order) == len(node.axes) else self.reshape(value, tuple(axes[loop] for loop in order))
            loops = Loops(self, tuple(axes))
            return loops.materialise(loops.term(whole, order), range(len(axes)))
        often = Counter(loop for place in places for loop, _ in place.terms)
        parts = [self._parts(place, axis, axes) for place, axis in zip(places, node.axes, strict=True)]
        parts = [pair if pair is not None and all(often[i] == 1 for i in pair) else None for pair in parts]
        if any(parts) and node.op != "copy":  # what a copy repeats is not put in memory for that
            return self._window_of_parts(value, axes, places, parts, fill)
        return None

    def _window_of_parts(
        self, value: int, axes: Sequence[Axis], places: Sequence[Place], parts: Sequence[tuple[int, int] | None], fill: float
    ) -> int:
        """A window in which equal parts of an axis stand side by side reads a tensor with an axis of parts."""
        whole: list[Axis] = []
        at: list[Place] = []
        for place, axis, pair in zip(places, self.node(value).axes, parts, strict=True):
            whole += [axis] if pair is None else [axes[loop] for loop in pair]
            at += [place] if pair is None else [Place.loop(loop) for loop in pair]
        return self.window(self.reshape(value, whole), axes, at, fill)

    def _side_by_side(self, node: Node, axes: Sequence[Axis], places: Sequence[Place]) -> list[int] | None:
        """The loops in the order in which they walk a tensor's elements, where windows read axes whole or in equal parts."""
        order: list[int] = []
        for place, axis in zip(places, node.axes, strict=True):
            if place.plain is not None and axes[place.plain] == axis:
                order.append(place.plain)
                continue
            pair = self._parts(place, axis, axes)
            if pair is None:
                return None
            order += pair
        return order if sorted(order) == list(range(len(axes))) else None

    def _parts(self, place: Place, axis: Axis, axes: Sequence[Axis]) -> tuple[int, int] | None:
        """The loop over equal parts that fill an axis, and the one inside of a part."""
        terms = sorted(place.terms, key=lambda term: term[1] == ONE)
        if len(terms) != 2 or place.offset.terms or place.divisor != ONE or axis.ragged:
            return None
        (outer, step), (inner, one) = terms
        parts, part, step, whole = (s.known(self.sizes) for s in (axes[outer].size, axes[inner].size, step, axis.size))
        return (outer, inner) if one == ONE and part == step and parts * part == whole else None

    def slice(self, value: int, axis: int, start: Size, part: Axis) -> int:
        """The part of `value` along one axis that begins at `start`."""
        axes = self.node(value).axes
        places = [Place.loop(k) for k in range(len(axes))]
        places[axis] = Place(((axis, Size.number(1)),), start)
        return self.window(value, (*axes[:axis], part, *axes[axis + 1 :]), places)

    def pick(self, value: int, axis: int, at: Size) -> int:
        """`value` at one point of an axis, which the result lacks."""
        axes = self.node(value).axes
        places = [Place.loop(k - (k > axis)) for k in range(len(axes))]
        places[axis] = Place((), at)
        return self.window(value, (*axes[:axis], *axes[axis + 1 :]), places)

    def concat(self, values: Sequence[int], axis: int, whole: Axis) -> int:
        """`values` one after another along one axis, which is `whole` in the result."""
        node = self.node(values[0])
        axes = (*node.axes[:axis], whole, *node.axes[axis + 1 :])
        operands = tuple(Operand(v, ()) for v in values)
        return self.add(Node("concat", operands, axes, dtype=node.dtype, of=node.of, attributes=(("axis", axis),)))

    def reshape(self, value: int, axes: Sequence[Axis]) -> int:
        """The elements of `value` in their order along other axes."""
        node = self.node(value)
        return self.add(Node("reshape", (Operand(value, ()),), tuple(axes), dtype=node.dtype, of=node.of))

    def delay(self, axes: Sequence[Axis], along: int, start: int | None = None, reverse: bool = False) -> int:
        """A recurrence along axis `along`: at its first step `start`, later the value of its link one step before.

        `start` lacks that axis; None is zero. `reverse` runs from the end. `links` gets the link once it is there.
        """
        value = self.constant(0.0) if start is None else start
        index = [k for k in range(len(axes)) if k != along] if self.node(value).axes else []
        attributes = (("along", along), ("reverse", reverse))
        return self.add(Node("delay", (Operand(value, tuple(index)),), tuple(axes), attributes=attributes))

    def graph(self) -> Graph:
        return Graph(tuple(self.nodes), self.inputs, self.weights, self.outputs, self.specs, self.sizes, self.links)


class _At:
    """Swaps the origin of a builder's nodes. A class, since each of its thousands would be a generator otherwise."""

    def __init__(self, builder: Builder, origin: Origin) -> None:
        self.builder, self.origin, self.before = builder, origin, builder.origin

    def __enter__(self) -> None:
        self.before, self.builder.origin = self.builder.origin, self.origin

    def __exit__(self, *raised: object) -> None:
        self.builder.origin = self.before


@record
class Term:
    """A value read inside `loops`, with the loop along each of its axes."""

    loops: Loops
    value: int
    index: tuple[int, ...]

    @property
    def node(self) -> Node:
        return self.loops.builder.node(self.value)

    def _with(self, op: str, other: Term | float, swap: bool = False) -> Term:
        right = other if isinstance(other, Term) else self.loops.number(other)
        return self.loops.map(op, right, self) if swap else self.loops.map(op, self, right)

    def __add__(self, other: Term | float) -> Term:
        return self._with("add", other)

    def __radd__(self, other: float) -> Term:
        return self._with("add", other, swap=True)

    def __sub__(self, other: Term | float) -> Term:
        return self._with("subtract", other)

    def __rsub__(self, other: float) -> Term:
        return self._with("subtract", other, swap=True)

    def __mul__(self, other: Term | float) -> Term:
        return self._with("multiply", other)

    def __rmul__(self, other: float) -> Term:
        return self._with("multiply", other, swap=True)

    def __truediv__(self, other: Term | float) -> Term:
        return self._with("divide", other)

    def __rtruediv__(self, other: float) -> Term:
        return self._with("divide", other, swap=True)

    def __neg__(self) -> Term:
        return self.loops.map("negate", self)

    def __gt__(self, other: Term | float) -> Term:
        return self._with("greater", other)

    def __lt__(self, other: Term | float) -> Term:
        return self._with("less", other)

    def __ge__(self, other: Term | float) -> Term:
        return self._with("greater_equal", other)

    def __le__(self, other: Term | float) -> Term:
        return self._with("less_equal", other)

    def apply(self, op: str, *others: Term, **attributes: Any) -> Term:
        return self.loops.map(op, self, *others, **attributes)


@record(eq=False)
class Loops:
    """A set of loops in which terms combine. A result spans only the loops that its operands use."""

    builder: Builder
    axes: tuple[Axis, ...]

    def term(self, value: int, index: Iterable[int] | None = None) -> Term:
        """`value` read with `index`, or along the first loops in order."""
        walked = range(len(self.builder.node(value).axes)) if index is None else index
        return Term(self, value, tuple(walked))

    def number(self, value: float, dtype: str = FLOAT) -> Term:
        return Term(self, self.builder.constant(value, dtype), ())

    def extent(self, loops: Iterable[int]) -> Term:
        """How many points `loops` span, as a float."""
        size = Size.number(1)
        for loop in loops:
            size = size * self.axes[loop].size
        return Term(self, self.builder.size(size), ())

    def position(self, loop: int) -> Term:
        """The number of the point along `loop`, from 0, as an int that indexes the loop's axis."""
        axis = self.axes[loop]
        return Term(self, self.builder.add(Node("position", (), (axis,), dtype=INT, of=axis)), (loop,))

    def map(self, op: str, *terms: Term, dtype: str | None = None, **attributes: Any) -> Term:
        """An elementwise op over the union of the terms' loops."""
        used = tuple(sorted(set().union(*[t.index for t in terms])))
        place = {loop: k for k, loop in enumerate(used)}
        operands = tuple([Operand(t.value, tuple([place[i] for i in t.index])) for t in terms])
        axes = tuple([self.axes[loop] for loop in used])
        kind = dtype or result_dtype(op, [t.node.dtype for t in terms])
        of = terms[0].node.of if kind == INT and terms else None
        node = Node(op, operands, axes, (), kind, of, tuple(sorted(attributes.items())), self.builder.origin)
        return Term(self, self.builder.add(node), used)

    def reduce(self, op: str, term: Term, over: Iterable[int], dtype: str | None = None) -> Term:
        """`op` of `term` over the loops `over`; the result spans the others that the term uses, in loop order."""
        gone = [loop for loop in sorted(set(over)) if loop in term.index]
        kept = sorted(set(term.index) - set(gone))
        place = {loop: k for k, loop in enumerate(kept + gone)}
        operand = Operand(term.value, tuple(place[i] for i in term.index))
        axes, reduced = (tuple(self.axes[i] for i in part) for part in (kept, gone))
        kind = dtype or (INT if op == "argmax" else term.node.dtype)
        of = reduced[0] if op == "argmax" else None
        node = Node(op, (operand,), axes, reduced, kind, of, (), self.builder.origin)
        return Term(self, self.builder.add(node), tuple(kept))

    def contract(self, left: Term, right: Term, keep: Sequence[int]) -> Term:
        """The product of two terms summed over every loop that is not in `keep`; axes in the order of `keep`."""
        gone = sorted((set(left.index) | set(right.index)) - set(keep))
        place = {loop: k for k, loop in enumerate([*keep, *gone])}
        operands = tuple(Operand(t.value, tuple(place[i] for i in t.index)) for t in (left, right))
        axes, reduced = (tuple(self.axes[i] for i in part) for part in (keep, gone))
        return Term(self, self.builder.add(Node("contract", operands, axes, reduced)), tuple(keep))

    def gather(self, ids: Term, table: int, axis: int, index: Sequence[int], keep: Sequence[int]) -> Term:
        """Rows of `table` picked along `axis` by the integers `ids`; `index` are the loops along its other axes, in order.

        The result has exactly the axes `keep`.
        """
        whole = self.builder.node(table)
        place = {loop: k for k, loop in enumerate(keep)}
        walked = [place[i] for i in index]
        walked.insert(axis, len(keep))
        operands = (Operand(ids.value, tuple(place[i] for i in ids.index)), Operand(table, tuple(walked)))
        axes = tuple(self.axes[i] for i in keep)
        node = Node("gather", operands, axes, (whole.axes[axis],), whole.dtype, whole.of)
        return Term(self, self.builder.add(node), tuple(keep))

    def scatter(self, ids: Term, source: Term, axis: int, whole: Axis, index: Sequence[int]) -> int:
        """The adjoint of `gather`: sums of `source` by the integers `ids` along a new axis `whole`, put at `axis`; the
        loops `index` walk along the other axes of the result, all others are summed over."""
        kept = [*index[:axis], -1, *index[axis:]]
        gone = sorted((set(ids.index) | set(source.index)) - set(index))
        place = {loop: k for k, loop in enumerate([*kept, *gone])}
        operands = tuple(Operand(t.value, tuple(place[i] for i in t.index)) for t in (ids, source))
        axes = tuple(whole if i == -1 else self.axes[i] for i in kept)
        reduced = tuple(self.axes[i] for i in gone)
        return self.builder.add(Node("scatter", operands, axes, reduced, attributes=(("axis", axis),)))

    def materialise(self, term: Term, keep: Sequence[int]) -> int:
        """The value of `term` with exactly the axes `keep`, in that order: summed or repeated as needed."""
        extra = set(term.index) - set(keep)
        if extra:
            term = self.reduce("sum", term, extra)
        if term.index == tuple(keep):
            return term.value
        return self._copy(term, keep)

    def _copy(self, term: Term, keep: Sequence[int]) -> int:
        place = {loop: k for k, loop in enumerate(keep)}
        operand = Operand(term.value, tuple(place[i] for i in term.index))
        axes = tuple(self.axes[i] for i in keep)
        return self.builder.add(Node("copy", (operand,), axes, dtype=term.node.dtype, of=term.node.of))


def result_dtype(op: str, dtypes: Sequence[str]) -> str:
    """The dtype of an elementwise op: comparisons and logic give bool, the rest the widest of its operands."""
    if op in COMPARISONS or op in LOGICAL:
        return BOOL
    if op == "number":
        return FLOAT
    values = dtypes[1:] if op == "where" else dtypes
    return FLOAT if FLOAT in values else INT if INT in values else BOOL


Rewrite = Callable[[Builder, Node, tuple[int, ...]], int | None]


def rebuild(graph: Graph, rewrite: Rewrite, builder: Builder | None = None) -> Graph:
    """A copy of `graph` in which `rewrite(builder, node, operands' new numbers)` may replace each node.

    `rewrite` returns the number of the value to use instead, or None to keep the node as it is. Where it keeps every node the
    result is `graph` itself. A `builder` that is given has no nodes yet; what it adds may be other nodes than it is asked for.
    """
    builder = Builder() if builder is None else builder
    builder.specs, builder.sizes = dict(graph.specs), dict(graph.sizes)
    new: list[int] = []
    unmoved = True
    for old, node in enumerate(graph.nodes):
        builder.origin = node.origin
        moved = node if unmoved else node.reading(new)
        value = rewrite(builder, moved, tuple([v for v, _ in moved.operands]))
        new.append(builder.add(moved) if value is None else value)
        unmoved = unmoved and new[old] == old
    if unmoved and all(map(is_, builder.nodes, graph.nodes)):
        return graph
    builder.origin = NOWHERE
    builder.inputs = {name: new[v] for name, v in graph.inputs.items()}
    builder.weights = {path: new[v] for path, v in graph.weights.items()}
    builder.outputs = {name: new[v] for name, v in graph.outputs.items()}
    builder.links = {new[delay]: new[v] for delay, v in graph.links.items()}
    return builder.graph()
