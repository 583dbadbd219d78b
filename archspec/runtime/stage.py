"""One plan made ready to run: for given sizes its memory, its inputs and outputs as arrays, its rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.diagnostics import ArchError, Diagnostic
from archspec.ir.graph import Graph
from archspec.ir.sizes import Size, floor_of
from archspec.plan import Memory, Plan, lay_out
from archspec.plan.kernel import Call
from archspec.plan.memory import value_nbytes
from archspec.records import record
from archspec.runtime.feed import bad_input, is_carried, least_room, slots
from archspec.runtime.ports import Port, ports
from archspec.runtime.table import Unrolled

Array = NDArray[Any]
LINE = 64
RUNNING = "running:"
MOST_BOUND = 512  # shapes that a stage stays ready for


@record
class Native:
    """A kernel's machine code: where it is and how many floats of scratch memory each thread needs."""

    address: int
    scratch: Size


def aligned(nbytes: int) -> NDArray[np.uint8]:
    """Zeroed bytes that start at a cache line. Raises ArchError where there is not as much memory."""
    try:
        raw = np.zeros(nbytes + LINE, np.uint8)
    except MemoryError:
        hints = ("smaller axes, or fewer rows in a batch, take less",)
        raise ArchError(Diagnostic("R07", f"there is no memory for {nbytes / 1e9:,.1f} GB", hints=hints)) from None
    start = -raw.ctypes.data % LINE
    return raw[start : start + nbytes]


class Arena:
    """Scratch memory that the stages of a program share; it grows when a stage needs more."""

    def __init__(self) -> None:
        self.bytes = aligned(0)
        self.generation = 0

    def ensure(self, nbytes: int) -> None:
        if nbytes > self.bytes.nbytes:
            self.bytes = aligned(nbytes)
            self.generation += 1


@record
class Bound:
    """A stage for given sizes. `rows` are its rows of the table, `calls` says for each which call it is, `row_sizes` which
    sizes hold for it alone; arrays are views of the memory that the rows name; `tables` are named by rows too. `running` and
    `carried` are the outputs that a step leaves behind: averages by the path of their weight, states for the batch that
    follows. `ports` say how the inputs get there, where that is simple."""

    rows: NDArray[np.int64]
    calls: Sequence[Call]
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    running: Mapping[str, Array]
    carried: Mapping[str, Array]
    memory: Memory
    generation: int
    sizes: Mapping[str, int]
    tables: Sequence[NDArray[np.int64]]
    row_sizes: Sequence[Mapping[str, int]]
    plan: Plan
    ports: tuple[Port, ...] | None


class Stage:
    """A plan with its machine code. `fixed` gives the arrays of inputs, weights and outputs that lie outside the arena;
    `remake` makes the same stage with a plan that is good for some open sizes, where this one's is not."""

    def __init__(
        self,
        plan: Plan,
        natives: Mapping[object, Native],
        arena: Arena,
        precision: str,
        threads: int,
        seed: int,
        step: NDArray[np.int64],
        fixed: Mapping[str, Array],
        remake: Callable[[Mapping[str, int]], Stage] | None = None,
    ) -> None:
        self.remake, self.others = remake, list[Stage]()
        self.plan, self.natives, self.arena = plan, natives, arena
        self.float_type = np.dtype(precision)
        self.threads, self.seed, self.step, self.fixed = threads, seed, step, fixed
        self._bound: dict[tuple[tuple[str, int], ...], Bound] = {}
        self._by_shape: dict[tuple[tuple[int, ...], ...], Bound] = {}
        self._last: Bound | None = None
        self.room = least_room(plan.graph)
        self.slots = slots(plan.graph)
        self.dtypes = {"float": self.float_type, "int": np.dtype(np.int64), "bool": np.dtype(np.uint8)}

    def bind(self, sizes: Mapping[str, int]) -> Bound:
        """The stage for these open sizes, laid out when first asked for."""
        key = tuple(sorted(sizes.items()))
        bound = self._bound.get(key)
        if bound is None or bound.generation != self.arena.generation:
            if len(self._bound) > MOST_BOUND:
                self._bound.clear()
            bound = self._bound[key] = self._for(sizes)._lay_out(dict(sizes))
        return bound

    def _for(self, sizes: Mapping[str, int]) -> Stage:
        """This stage, or the one with a better plan for these sizes, made when it is first needed."""
        if self.remake is None or self.plan.is_good_for(sizes):
            return self
        if not any(other.plan.is_good_for(sizes) for other in self.others):
            self.others.append(self.remake(sizes))
        return next(other for other in self.others if other.plan.is_good_for(sizes))

    def bind_shapes(self, shapes: tuple[tuple[int, ...], ...]) -> Bound:
        """The stage for inputs of these shapes, in the order of the graph's inputs. Raises ArchError where one is wrong."""
        bound = self._by_shape.get(shapes)
        if bound is None or bound.generation != self.arena.generation:
            if len(self._by_shape) > MOST_BOUND:
                self._by_shape.clear()
            bound = self._by_shape[shapes] = self.bind(open_sizes(self.plan.graph, shapes))
        self._last = bound if bound.ports is not None else None
        return bound

    @property
    def last(self) -> Bound | None:
        """The stage for the shapes of the batch before, if inputs like those need nothing but to be copied."""
        last = self._last
        return last if last is not None and last.generation == self.arena.generation else None

    # --- memory -----------------------------------------------------------------------------------------------

    def _lay_out(self, sizes: dict[str, int]) -> Bound:
        graph = self.plan.graph
        check_positions(graph, {**graph.sizes, **sizes})
        placed = frozenset(self._place(v) for n, v in graph.outputs.items() if f"out:{n}" in self.fixed)
        memory = lay_out(self.plan, sizes, self.float_type.itemsize, placed)
        at = memory.total
        inputs: dict[int, int] = {}
        for name, value in graph.inputs.items():
            if f"in:{name}" not in self.fixed:
                inputs[value] = at
                at += -(-value_nbytes(self.plan, value, sizes, self.float_type.itemsize) // LINE) * LINE
        room = self._scratch_room(sizes)
        self.arena.ensure(at + room * self.threads)
        values = self._values(sizes, {**memory.offsets, **inputs})
        scratch = self.arena.bytes[at : at + room * self.threads]
        known = self.plan.usual_sizes({**graph.sizes, **sizes})
        table = Unrolled(self, known, values, scratch, room)
        places = {name: values[v] for name, v in graph.inputs.items()}
        outputs = {name: values[self._place(v)] for name, v in graph.outputs.items()}
        return Bound(
            table.rows,
            table.calls,
            places,
            outputs,
            {name.removeprefix(RUNNING): array for name, array in outputs.items() if name.startswith(RUNNING)},
            {name: array for name, array in outputs.items() if is_carried(name)},
            memory,
            self.arena.generation,
            known,
            tuple(table.tables.values()),
            table.row_sizes,
            self.plan,
            ports(graph, self.slots, places),
        )

    def _place(self, value: int) -> int:
        return self.plan.views[value].root

    def _scratch_room(self, sizes: Mapping[str, int]) -> int:
        """Bytes of scratch memory for each thread, whole cache lines."""
        known = self.plan.largest_sizes({**self.plan.graph.sizes, **sizes})
        floats = max((self.natives[k.structure].scratch.evaluate(known) or 0 for k in self.plan.kernels), default=0)
        return -(-floats * self.float_type.itemsize // LINE) * LINE + LINE

    def _values(self, sizes: Mapping[str, int], offsets: Mapping[int, int]) -> dict[int, Array]:
        """Each value in memory as an array."""
        graph = self.plan.graph
        found: dict[int, Array] = {}
        for value, offset in offsets.items():
            node = graph.nodes[value]
            shape = tuple(graph_size(graph.sizes, a.size, sizes) for a in node.axes)
            dtype = self.dtypes[node.dtype]
            count = int(np.prod(shape, dtype=np.int64))
            found[value] = self.arena.bytes[offset : offset + count * dtype.itemsize].view(dtype).reshape(shape)
        names = [("in", graph.inputs), ("weight", graph.weights), ("out", graph.outputs)]
        for kind, table in names:
            for name, value in table.items():
                if f"{kind}:{name}" in self.fixed:
                    found[self._place(value) if kind == "out" else value] = self.fixed[f"{kind}:{name}"]
        return found


def check_positions(graph: Graph, sizes: Mapping[str, int]) -> None:
    """Positions `iota[T]` may pick from any table that has room for them; raises ArchError where one has not."""
    for node in graph.nodes:
        if node.op != "gather":
            continue
        ids = graph.nodes[node.operands[0].value]
        while ids.op == "copy":
            ids = graph.nodes[ids.operands[0].value]
        points = graph_size({}, ids.of.size, sizes) if ids.op == "position" and ids.of is not None else 0
        room = graph_size({}, node.reduced[0].size, sizes)
        if points > room:
            message = f"there are {points} positions along {ids.of}, and the table has room for {room}"
            raise ArchError(Diagnostic("R02", message, node.origin.span, hints=("give shorter rows, or crop them",)))


def open_sizes(graph: Graph, shapes: tuple[tuple[int, ...], ...]) -> dict[str, int]:
    """The sizes of the open axes, read off the inputs' shapes. Raises ArchError where a shape contradicts the spec."""
    sizes: dict[str, int] = {}
    for (name, value), shape in zip(graph.inputs.items(), shapes, strict=True):
        node = graph.nodes[value]
        if len(shape) != len(node.axes):
            raise bad_input(name, f"has the axes {node.shape} and is given {len(shape)} of them")
        for axis, count in zip(node.axes, shape, strict=True):
            known = axis.size.evaluate({**graph.sizes, **sizes})
            if count == 0:
                raise bad_input(name, f"is empty along {axis}")
            if known is None:
                sizes[str(axis.size)] = count
            elif known != count:
                raise bad_input(name, f"has {known} along {axis} and is given {count}")
    return _made_of(sizes, graph)


def _made_of(sizes: dict[str, int], graph: Graph) -> dict[str, int]:
    """`sizes` with those that are made of them, `floor(T/2)`. Raises ArchError where an axis would have no point."""
    known = {**graph.sizes, **sizes}
    where = {axis: node.origin.span for node in graph.nodes for axis in node.loops if axis.size.constant is None}
    for axis, span in where.items():
        count = axis.size.evaluate(known)
        if count is not None and count < 1:
            parts = ", ".join(f"{name} = {known[name]}" for name in sorted(axis.size.roots))
            message = f"the axis {axis} would have {count} points: {parts}"
            raise ArchError(Diagnostic("R02", message, span))
        sizes |= {s: n for s in axis.size.symbols if floor_of(s) and (n := Size.symbol(s).evaluate(known)) is not None}
    return sizes


def graph_size(known: Mapping[str, int], size: Size, sizes: Mapping[str, int]) -> int:
    value = size.evaluate({**known, **sizes})
    assert value is not None, f"the size {size} is open"
    return value
