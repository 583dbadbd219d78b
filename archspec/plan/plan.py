"""The plan of a graph: its kernels in order, and the values that they keep in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial

from archspec.ir.graph import Graph, Node
from archspec.ir.sizes import ONE, Axis, Size
from archspec.ir.sizes import ZERO as _NOTHING
from archspec.plan.again import apart
from archspec.plan.ahead import lay_out_ahead
from archspec.plan.contractions import fit_contractions
from archspec.plan.emission import Emitter, Surroundings
from archspec.plan.forms import is_leaf, virtual_nodes
from archspec.plan.groups import fuse
from archspec.plan.inplace import take_over
from archspec.plan.kernel import Call, Item, Kernel, Loop, Slab
from archspec.plan.panels import lay_out_panels, still_in
from archspec.plan.parts import NO_SLABS, Part, Slabs, circle_nodes, divide
from archspec.plan.prepare import prepare
from archspec.plan.scalars import NOTHING_STILL, Still
from archspec.plan.slab_body import circle_of, slab_of
from archspec.plan.slabs import Crossing, Pair, crossings, families, long_pairs
from archspec.plan.storage import View, claims, is_whole, view_nodes, views_of, whole
from archspec.plan.triangles import triangles
from archspec.records import record, replace


@record
class Plan:
    """Kernels in the order in which they run.

    `graph`     the nodes that buffers name: those of the graph, then rooms for what loops and copies keep
    `items`     each kernel with its arguments, and loops of them
    `views`     where each value of the graph lies
    `pairs`     axes that meet and of which one is cut into slabs where both are long, and `cut` those pairs where it is
    """

    graph: Graph
    items: tuple[Item, ...]
    views: Mapping[int, View]
    pairs: frozenset[Pair] = frozenset()
    cut: frozenset[Pair] = frozenset()

    @cached_property
    def slabs(self) -> tuple[Slab, ...]:
        """The slabs of all loops over such."""
        return tuple(dict.fromkeys(i.slab for i in self.items if isinstance(i, Loop) and i.slab is not None))

    def usual_sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """`sizes` and the usual ones of a slab."""
        return {name: n for slab in self.slabs for name, n in slab.usual(sizes).items()} | dict(sizes)

    def largest_sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """`sizes` and the largest ones of a slab."""
        ends = [slab.at(slab.columns.evaluate(sizes) or 1, slab.most, sizes) for slab in self.slabs]
        return dict(sizes) | {name: n for own in ends for name, n in own.items()}

    def is_good_for(self, sizes: Mapping[str, int]) -> bool:
        """Whether a plan made for these open sizes would cut the same axes; this one is right for them in any case."""
        return not self.pairs or long_pairs(self.pairs, {**self.graph.sizes, **sizes}) == self.cut

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """All calls, those of loops once."""
        return tuple(_flat(self.items))

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The different kernels, each once."""
        distinct = {id(call.kernel): call.kernel for call in self.calls}.values()
        return tuple({kernel.structure: kernel for kernel in distinct}.values())

    @cached_property
    def lifetimes(self) -> dict[int, tuple[int, int]]:
        """For each room in memory the first and the last item that touches it; outputs live to the end."""
        spans: dict[int, tuple[int, int]] = {}
        for i, item in enumerate(self.items):
            for value in (v for call in _flat((item,)) for v in (*call.reads, *call.writes)):
                first, _ = spans.get(value, (i, i))
                spans[value] = (first, i)
        for value in self.graph.outputs.values():
            place = self.views[value].root
            if place in spans:
                spans[place] = (spans[place][0], len(self.items))
        return {v: s for v, s in spans.items() if not is_leaf(self.graph.nodes[v])}


def _flat(items: Sequence[Item]) -> Iterator[Call]:
    for item in items:
        if isinstance(item, Call):
            yield item
        else:
            yield from _flat(item.items)


def make_plan(graph: Graph, into: Mapping[str, str] | None = None, sizes: Mapping[str, int] | None = None) -> Plan:
    """The plan of an optimised graph. Kernels of equal structure are shared under the first one's name.

    `into` says which outputs are written over which inputs, element by element. `sizes` are open ones, for which the plan is
    good: it is right for any others too, but where these are long it stores less.
    """
    graph = lay_out_ahead(prepare(graph))
    found = crossings(graph)
    pairs = frozenset(crossing.pair for crossing in found)
    cut = long_pairs(pairs, {**graph.sizes, **(sizes or {})})
    graph, slabs = _in_slabs(graph, found, cut) if cut else (graph, NO_SLABS)
    return replace(verify_plan(_Planner(graph, into or {}, slabs).plan()), pairs=pairs, cut=cut)


def _in_slabs(graph: Graph, found: Sequence[Crossing], cut: frozenset[Pair]) -> tuple[Graph, Slabs]:
    """The graph in which nothing that two long axes span is read across loops over slabs, and these loops."""
    made = families(graph, [c for c in found if c.pair in cut], circle_nodes(graph))
    graph, regions, again = apart(graph, made)
    return graph, Slabs(tuple(circle_of(region) for region in regions), again)


class _Planner:
    def __init__(self, graph: Graph, into: Mapping[str, str], slabs: Slabs) -> None:
        self.graph, self.rooms, self.slabs = graph, list(graph.nodes), slabs
        self.into = {graph.outputs[out]: graph.inputs[name] for out, name in into.items()}
        self.emitter = Emitter()
        self.whole_axes = {slab.last: Axis(slab.columns) for slab in self._slabs() if slab.last}

    def plan(self) -> Plan:
        graph = self.graph
        claimed = claims(graph)
        joins = {v for v, n in graph if n.op == "concat" and v not in claimed}  # those that lie in no other one
        inside = view_nodes(graph).union(claimed) - joins
        given = {v: whole(v, node.axes, graph) for v, node in graph if v not in inside}
        views = views_of(graph, given, self._room)
        items = self._items(graph, views)
        usual = {name: n for slab in self._slabs() for name, n in slab.usual(graph.sizes).items()}
        return Plan(replace(graph, nodes=tuple(self.rooms), links={}, sizes={**graph.sizes, **usual}), items, views)

    def _slabs(self) -> tuple[Slab, ...]:
        return tuple(slab_of(self.graph, circle) for circle in self.slabs.circles)

    def _room(self, node: Node) -> int:
        """Memory for a node; columns that end early have room for all."""
        axes = tuple(self.whole_axes.get(str(axis), axis) for axis in node.axes)
        self.rooms.append(replace(node, op="room", operands=(), axes=axes, reduced=(), attributes=()))
        return len(self.rooms) - 1

    def _items(self, graph: Graph, views: dict[int, View], still: Still = NOTHING_STILL, depth: int = 0) -> tuple[Item, ...]:
        """The items of a graph inside of `depth` loops over time."""
        items: list[Item] = []
        for part in divide(graph, depth == 0, self.slabs if depth == 0 else NO_SLABS):
            items += self._straight(part, views, still) if part.time is None else self._loop(part, views, depth)
        return tuple(items)

    def _loop(self, part: Part, views: Mapping[int, View], depth: int) -> Iterator[Item]:
        """A loop: values of the graph around it move with each step, all others are made anew in one room. Before it what is
        laid out for its products."""
        assert part.time is not None
        reached = {*part.graph.outputs.values(), *(i for i, n in enumerate(part.graph.nodes) if is_leaf(n))}
        claimed = claims(part.graph)
        for value in sorted(reached, reverse=True):
            while value in claimed:  # what lies inside of another value takes that one along
                value = claimed[value][0]
                reached.add(value)
        inside = partial(_from_row, part.slab) if part.slab is not None else partial(_within, depth)
        given = {i: inside(views[part.outer[i]], part.dropped[i]) for i in sorted(reached)}
        inner = views_of(part.graph, given, self._room)
        turns = part.time.size.known(self.graph.sizes)
        if part.slab is None:
            items = self._items(part.graph, inner, still_in(part, turns), depth + 1)
            ahead, items = lay_out_panels(items, self.emitter, self._room)
            yield from ahead
        else:
            items = tuple(_as_one(self._straight(replace(part, outer=tuple(range(len(part.outer)))), inner)))
        yield Loop(turns, part.reverse, items, part.slab)

    def _straight(self, part: Part, views: dict[int, View], still: Still = NOTHING_STILL) -> list[Call]:
        """The kernels of a part without loops."""
        outer = {i: views[v] for i, v in enumerate(part.outer) if v in views}
        graph, new = fit_contractions(part.graph, outer)
        known = {new[i]: view for i, view in outer.items()}
        groups = fuse(graph, last_first=part.last_first)
        virtual = virtual_nodes(graph)
        fixed = self._fixed(graph, known)
        storage = take_over(graph, groups, virtual, fixed)
        storage.update({v: i for v, i in self.into.items() if v < len(graph.nodes)} if self.into else {})
        storage.update({new[v]: new[old] for v, old in part.onto.items()})
        found = views_of(graph, known, self._room)
        found |= {v: found[place] for v, place in storage.items()}
        if self.into:
            views.update({v: views[i] for v, i in self.into.items()})
        same = Still(frozenset([new[i] for i, v in enumerate(part.outer) if v in still.values]), still.turns)
        around = Surroundings(graph, virtual, storage, found, same, triangles(graph))
        return [self.emitter.call(group, around) for group in groups]

    def _fixed(self, graph: Graph, views: Mapping[int, View]) -> frozenset[int]:
        """Values whose memory is not theirs alone."""
        ways = view_nodes(graph)
        held = {o.value for v in ways for o in graph.nodes[v].operands}
        shared = {v for v, view in views.items() if not is_whole(view, graph.nodes[v].axes, graph)}
        return ways.union(claims(graph), held, shared)


def _as_one(calls: Sequence[Call]) -> Iterator[Call]:
    """The calls of a loop: where it belongs to backward, what it computes again of forward does too."""
    backward = any(call.origin.role == "backward" for call in calls)
    for call in calls:
        yield replace(call, origin=replace(call.origin, role="backward")) if backward else call


def _from_row(slab: Slab, view: View, axis: int | None) -> View:
    """A view as the body of a loop over slabs sees it: along the axis that is cut it begins at the slab's first row."""
    return view if axis is None else view.moved((Size.symbol(slab.first) - ONE) * view.strides[axis])


def _within(depth: int, view: View, time: int | None) -> View:
    """A view as the body of a loop at `depth` sees it: along the axis of time it moves with each step."""
    steps = (*view.steps, *(_NOTHING for _ in range(depth - len(view.steps))))
    if time is None:
        return replace(view, steps=(*steps, _NOTHING))
    return replace(view.without(time), steps=(*steps, view.strides[time]))


class BrokenPlan(Exception):
    """A plan that breaks an invariant: a fault of archspec."""


def verify_plan(plan: Plan) -> Plan:
    """`plan` itself, once every kernel reads only what lies in memory by then."""
    written: set[int] = set()
    for item in plan.items:
        for call in _flat((item,)):
            _check_call(plan, call, written if isinstance(item, Call) else written | _writes(item))
        written |= _writes(item)
    for name, value in plan.graph.outputs.items():
        if plan.views[value].root not in written:
            raise BrokenPlan(f"no kernel writes the output `{name}`")
    return plan


def _writes(item: Item) -> set[int]:
    return {v for call in _flat((item,)) for v in call.writes}


def _check_call(plan: Plan, call: Call, written: set[int]) -> None:
    for value in call.reads:
        if value not in written and not is_leaf(plan.graph.nodes[value]):
            raise BrokenPlan(f"`{call.kernel.name}` reads node {value} before it is written")
    if len(call.arguments) != len(call.kernel.parameters):
        raise BrokenPlan(f"`{call.kernel.name}` gets {len(call.arguments)} arguments")
