"""A plan as a view: kernels in the order in which they run, loops as boxes; and its memory as bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from archspec.ir.text import node_names
from archspec.plan import Plan, lay_out
from archspec.plan.kernel import Call, Item, Loop
from archspec.records import field, record, replace
from archspec.viz.blocks import Block, block_path
from archspec.viz.cost import call_operations
from archspec.viz.drawing import Arena, Bar, Box, Node, View
from archspec.viz.folding import Copies, Folding, boxes_of, folding
from archspec.viz.graphs import nbytes, numbers, place_text
from archspec.viz.measured import Measured


def compiled_view(
    plan: Plan,
    blocks: Sequence[Block],
    sizes: Mapping[str, int],
    threads: Mapping[str, str],
    measured: Measured | None = None,
) -> View:
    """The kernels of a step. Calls that a `repeat` makes once for each copy are drawn once.

    `threads` says for each kernel by name how it is shared among threads.
    """
    fold = folding(blocks)
    return _Kernels(plan, fold, plan.usual_sizes({**plan.graph.sizes, **sizes}), threads, measured, Copies(fold)).view(blocks)


@record(frozen=False)
class _Kernels:
    plan: Plan
    fold: Folding
    sizes: Mapping[str, int]
    threads: Mapping[str, str]
    measured: Measured | None
    copies: Copies
    firsts: dict[str, Node] = field(default_factory=dict)
    figures: dict[str, list[_Figures]] = field(default_factory=dict)
    loops: dict[str, Box] = field(default_factory=dict)
    keys: dict[object, str] = field(default_factory=dict)
    seen: dict[object, int] = field(default_factory=dict)
    orders: dict[str, dict[int, int]] = field(default_factory=dict)
    writers: dict[int, tuple[str, str]] = field(default_factory=dict)

    def view(self, blocks: Sequence[Block]) -> View:
        for order, (call, place, turns) in enumerate(self._calls(self.plan.items, None, 1)):
            self._draw(call, place, turns, order)
        paths = [n.parent for n in self.firsts.values() if n.parent not in self.loops]
        around = [box.parent for box in self.loops.values() if box.parent not in self.loops]
        boxes = (*boxes_of([*paths, *around], blocks), *self.loops.values())
        nodes = tuple(self._together(id, node) for id, node in self.firsts.items())
        return View("compiled", "Compiled", boxes, nodes, self.copies.drawn())

    def _together(self, id: str, first: Node) -> Node:
        """The node of a call and of its equals in later copies: their figures are added up."""
        found = self.figures[id]
        added = {name: sum(getattr(f, name) for f in found) for name in ("flops", "nbytes", "seconds", "floor")}
        return replace(first, times=len(found), copies=self.copies.of_node(id), orders=self._orders(id), **added)

    def _orders(self, id: str) -> tuple[int, ...]:
        found = self.orders[id]
        return tuple(found[copy] for copy in sorted(found)) if len(found) > 1 else ()

    def _calls(self, items: Sequence[Item], loop: _Place | None, turns: int) -> Iterator[tuple[Call, _Place, int]]:
        """Each call with the place where it is drawn and how often the loops around it make it."""
        for item in items:
            if isinstance(item, Call):
                path = block_path(self.plan.graph.nodes[item.writes[0]])
                yield item, loop or _Place(self.fold.path(path), path), turns
            else:
                yield from self._calls(item.items, self._loop(item, loop), turns * item.turns(self.sizes))

    def _loop(self, loop: Loop, outer: _Place | None) -> _Place:
        """The box of a loop: in the block around that of its first kernel; equal copies have one."""
        first = next((i for i in loop.items if isinstance(i, Call)), None)
        path = block_path(self.plan.graph.nodes[first.writes[0]]).rpartition("/")[0] if first is not None else ""
        around = outer or _Place(self.fold.path(path), path)
        label = _label(loop)
        id = self._id("loop over time ", around, label)
        self.loops[id] = Box(id, label, around.parent)
        return _Place(id, around.path)

    def _id(self, kind: str, place: _Place, name: str) -> str:
        """One name for what is the same in all copies: the first of its kind in each, the second, and so on."""
        alike = (kind, place.parent, name)
        number = self.seen[place.path, alike] = self.seen.get((place.path, alike), 0) + 1
        return self.keys.setdefault((alike, number), f"{kind}{len(self.keys)}")

    def _draw(self, call: Call, place: _Place, turns: int, order: int) -> None:
        id = self._id("k", place, call.kernel.name)
        if id not in self.firsts:
            self.firsts[id] = self._node(call, id, place, order)
        self.figures.setdefault(id, []).append(self._figures(call, turns, order))
        self.copies.node(id, place.path)
        self.orders.setdefault(id, {})[self.fold.number(place.path)] = order
        self._connect(call, id, place.path)

    def _node(self, call: Call, id: str, place: _Place, order: int) -> Node:
        value = self.plan.graph.nodes[call.writes[0]]
        return Node(
            id,
            call.kernel.name,
            place.parent,
            "backward" if call.origin.role == "backward" else "kernel",
            order,
            value.shape,
            numbers(value, self.sizes),
            line=place_text(value),
            equations=tuple(line for line in call.kernel.equation.split("\n") if line),
            code=call.kernel.name,
            threads=self.threads.get(call.kernel.name, ""),
        )

    def _figures(self, call: Call, turns: int, order: int) -> _Figures:
        seconds, floor = self.measured.calls.get(order, (0.0, 0.0)) if self.measured is not None else (0.0, 0.0)
        return _Figures(
            (call_operations(call).evaluate(self.sizes) or 0) * turns,
            sum(nbytes(self.plan.graph.nodes[v], self.sizes) for v in {*call.reads, *call.writes}),
            seconds,
            floor,
        )

    def _connect(self, call: Call, id: str, path: str) -> None:
        for value in call.reads:
            source, origin = self.writers.get(value, ("", ""))
            if source and (source, origin) != (id, path):
                self.copies.edge((source, id), origin, path, self.plan.graph.nodes[value])
        self.writers.update(dict.fromkeys(call.writes, (id, path)))


def _label(loop: Loop) -> str:
    if loop.slab is not None:
        return f"{loop.extent} rows, {loop.slab.most} at a time"
    return f"{loop.extent} steps{' backwards' if loop.reverse else ''}"


class _Figures(NamedTuple):
    """What each copy of a kernel's call has of its own."""

    flops: int
    nbytes: int
    seconds: float
    floor: float


@record
class _Place:
    """Where a kernel is drawn: `parent` is the box, `path` the block in the model, before copies are folded."""

    parent: str
    path: str


def arena(plan: Plan, sizes: Mapping[str, int], float_nbytes: int) -> Arena:
    """The memory of a step: a bar for each buffer, as the plan lays them out."""
    placed = frozenset(plan.views[v].root for name, v in plan.graph.outputs.items() if name.startswith("gradient:"))
    memory = lay_out(plan, sizes, float_nbytes, placed)
    names = node_names(plan.graph)
    last = len(plan.items) - 1
    bars = [
        Bar(names[v], first, min(end, last), memory.offsets[v], memory.nbytes[v], plan.graph.nodes[v].origin.role)
        for v, (first, end) in plan.lifetimes.items()
        if v in memory.offsets
    ]
    items = tuple(item.kernel.name if isinstance(item, Call) else _label(replace(item, reverse=False)) for item in plan.items)
    return Arena(memory.total, memory.lower_bound, items, tuple(bars), dict(sizes))
