"""A plan as a view: kernels in the order in which they run, loops over time as boxes; and its memory as bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from archspec.ir.text import node_names
from archspec.plan import Plan, lay_out
from archspec.plan.kernel import Call, Item
from archspec.records import field, record, replace
from archspec.viz.blocks import Block, block_path
from archspec.viz.cost import call_operations
from archspec.viz.drawing import Arena, Bar, Box, Edge, Node, View, together
from archspec.viz.folding import Folding, boxes_of, folding
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
    return _Kernels(plan, folding(blocks), sizes, threads, measured).view(blocks)


@record(frozen=False)
class _Kernels:
    plan: Plan
    fold: Folding
    sizes: Mapping[str, int]
    threads: Mapping[str, str]
    measured: Measured | None
    nodes: dict[str, Node] = field(default_factory=dict)
    loops: list[Box] = field(default_factory=list)
    keys: dict[object, str] = field(default_factory=dict)
    seen: dict[object, int] = field(default_factory=dict)
    writers: dict[int, tuple[str, str]] = field(default_factory=dict)
    edges: dict[tuple[str, str], Edge] = field(default_factory=dict)

    def view(self, blocks: Sequence[Block]) -> View:
        for order, (call, loop, turns) in enumerate(self._calls(self.plan.items, "", 1)):
            self._draw(call, loop, turns, order)
        paths = [n.parent for n in self.nodes.values() if not n.parent.startswith(_LOOP)]
        around = [box.parent for box in self.loops if not box.parent.startswith(_LOOP)]
        boxes = (*boxes_of([*paths, *around], blocks), *self.loops)
        return View("compiled", "Compiled", boxes, tuple(self.nodes.values()), tuple(self.edges.values()))

    def _calls(self, items: Sequence[Item], loop: str, turns: int) -> Iterator[tuple[Call, str, int]]:
        """Each call with the loop that it stands in and how often that makes it."""
        for item in items:
            if isinstance(item, Call):
                yield item, loop, turns
                continue
            id = f"{_LOOP}{len(self.loops)}"
            around = loop or self._loop_parent(item.items)
            direction = " backwards" if item.reverse else ""
            self.loops.append(Box(id, f"{item.extent} steps{direction}", around))
            yield from self._calls(item.items, id, turns * (item.extent.evaluate(self.sizes) or 0))

    def _loop_parent(self, items: Sequence[Item]) -> str:
        """The box of a loop over time: that of the first kernel in it."""
        first = next((i for i in items if isinstance(i, Call)), None)
        return self._path(first).rpartition("/")[0] if first is not None and first.writes else ""

    def _path(self, call: Call) -> str:
        return self.fold.path(block_path(self.plan.graph.nodes[call.writes[0]])) if call.writes else ""

    def _draw(self, call: Call, loop: str, turns: int, order: int) -> None:
        value = self.plan.graph.nodes[call.writes[0]]
        path, folded = block_path(value), self._path(call)
        alike = (loop or folded, call.kernel.name)
        number = self.seen[path, alike] = self.seen.get((path, alike), 0) + 1
        id = self.keys.setdefault((alike, number), f"k{len(self.keys)}")
        drawn = Node(
            id,
            call.kernel.name,
            loop or folded,
            "backward" if call.origin.role == "backward" else "kernel",
            order,
            value.shape,
            numbers(value, self.sizes),
            line=place_text(value),
            equations=tuple(line for line in call.kernel.equation.split("\n") if line),
            code=call.kernel.name,
            flops=(call_operations(call).evaluate(self.sizes) or 0) * turns,
            nbytes=sum(nbytes(self.plan.graph.nodes[v], self.sizes) for v in {*call.reads, *call.writes}),
            threads=self.threads.get(call.kernel.name, ""),
        )
        if self.measured is not None:
            seconds, floor = self.measured.calls.get(order, (0.0, 0.0))
            drawn = replace(drawn, seconds=seconds, floor=floor)
        self._connect(call, id, path)
        self.nodes[id] = together(self.nodes[id], drawn) if id in self.nodes else drawn

    def _connect(self, call: Call, id: str, path: str) -> None:
        for value in call.reads:
            source, origin = self.writers.get(value, ("", ""))
            copies = origin != path and self.fold.path(origin) == self.fold.path(path)
            if source and source != id and not copies:
                self.edges.setdefault((source, id), Edge(source, id, self.plan.graph.nodes[value].shape))
        self.writers.update(dict.fromkeys(call.writes, (id, path)))


_LOOP = "loop over time "


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
    items = tuple(item.kernel.name if isinstance(item, Call) else f"{item.extent} steps" for item in plan.items)
    return Arena(memory.total, memory.lower_bound, items, tuple(bars), dict(sizes))
