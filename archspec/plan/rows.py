"""Groups of rows and of columns as kernels.

A row is walked once for each phase: a reduction ends a phase, since what hangs on it needs the whole row first.

    softmax:   for each row:   loop: m = max(x)   |   loop: s = sum(exp(x - m))   |   loop: y = exp(x - m) / s
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from archspec.ir.graph import Node
from archspec.ir.sizes import ONE, ZERO, Size
from archspec.ops import OPS
from archspec.plan.forms import is_short, loose_operands
from archspec.plan.kernel import (
    FLOAT,
    Accumulate,
    Blocks,
    Call,
    Constant,
    For,
    Let,
    Load,
    Local,
    Offset,
    Split,
    Start,
    Statement,
    Store,
    Within,
)
from archspec.plan.layout import Access, extent, merge, strides
from archspec.plan.scalars import Level, Scalars, short_name
from archspec.plan.storage import is_inside
from archspec.plan.wrap import finish

FLAT_BLOCK = 1024
COLUMN_BLOCK, FINE_BLOCK = 64, 16  # the fine one costs a twentieth, and gives four threads work on 64 channels
MOST_LED = 64  # the sums of as many blocks stay in the first cache
NARROW = 16  # columns that are no vector
ENOUGH_ROWS = 64  # for the threads to share


def rows_call(s: Scalars) -> Call:
    """The kernel of a group of rows, with its arguments."""
    return _Rows(s).call()


class _Rows:
    def __init__(self, s: Scalars) -> None:
        self.s, self.graph, self.group = s, s.graph, s.group
        group = s.group
        self.phase: dict[int, int] = {}
        self.inner = frozenset(group.inner_loops)
        self._find_phases()
        accesses = list(all_accesses(self.s))
        self.outer_runs = _runs(s, group.outer_loops, accesses)
        self.inner_runs = _runs(s, group.inner_loops, accesses)
        self.whole = _runs(s, range(len(group.space)), accesses)
        self.written_out = self._is_across(accesses)

    def _is_across(self, accesses: Sequence[Access]) -> bool:
        """Whether the rows are short and lie side by side, or are the same for neighbours: then vectors run along the last
        outer loop, over many rows, and the turns along a row are written out."""
        if not self.outer_runs or not is_short([self.group.space[d] for d in self.inner], self.graph.sizes):
            return False
        last = self.outer_runs[-1][-1]
        beside = [a for a in accesses if any(a.strides[d].terms for d in self.inner)]
        steps = {a.strides[last] for a in accesses}
        return ONE in steps and (steps <= {ZERO, ONE} or all(a.strides[last] == ONE for a in beside))

    # --- phases -----------------------------------------------------------------------------------------------

    def _members(self) -> list[int]:
        return sorted(v for v in self.group.place if self.graph.nodes[v].op != "constant")

    def _is_inner(self, value: int) -> bool:
        """Whether the node has a value for each point along the row."""
        node = self.graph.nodes[value]
        return bool(set(self.group.place[value][: len(node.axes)]) & self.inner)

    def _find_phases(self) -> None:
        """The loop along the row in which each node can be computed at the earliest."""
        for value in self._members():
            node = self.graph.nodes[value]
            ready = [self.phase[o.value] for o in node.operands if o.value in self.phase]
            ends = [p + 1 for o, p in self._reduced_operands(node)]
            self.phase[value] = max([0, *ready, *ends])

    def _reduced_operands(self, node: object) -> list[tuple[int, int]]:
        operands = [o.value for o in node.operands if o.value in self.phase]  # type: ignore[attr-defined]
        return [(v, self.phase[v]) for v in operands if OPS[self.graph.nodes[v].op].kind == "reduce"]

    def _reductions(self, phase: int) -> list[int]:
        return [v for v in self._members() if OPS[self.graph.nodes[v].op].kind == "reduce" and self.phase[v] == phase]

    # --- the kernel -------------------------------------------------------------------------------------------

    def call(self) -> Call:
        no_reductions = not any(OPS[self.graph.nodes[v].op].kind == "reduce" for v in self._members())
        if no_reductions and len(self.whole) == 1:
            return self._flat()
        return self._nested()

    def _flat(self) -> Call:
        """Maps over buffers that lie alike: one loop over all elements, in blocks."""
        s, group = self.s, self.group
        start, i, count = (s.names.new(n) for n in ("start", "i", "count_"))
        last = self.whole[-1][-1]
        s.counters = {last: ((start, ONE), (i, ONE))}
        top, body = Level(frozenset()), Level(frozenset(range(len(group.space))))
        s.levels = [top, body]
        s.store_all(sorted(group.saved), body)
        size = s.declare(extent(range(len(group.space)), s.extents))
        inside = (Within(i, count, tuple(body.statements)),)
        loop = Blocks(i, start, count, size, FLAT_BLOCK, inside)
        return finish(s, group, (*top.statements, loop))

    def _nested(self) -> Call:
        s, group = self.s, self.group
        top = Level(frozenset())
        row_variable, row_split, serial = self._outer_counters()
        row = Level(frozenset(group.outer_loops))
        s.levels = [top, row]
        inner_variables = self._inner_counters()
        self._choose_temporaries()
        for phase in range(max(self.phase.values(), default=0) + 1):
            self._phase(phase, row, inner_variables)
        for value in sorted(group.saved):
            if not self._is_inner(value):
                s.store(value, row)
        body = tuple(row.statements)
        for name, size in reversed(serial):
            body = (For(name, size, body, "row"),)
        shared = [loop for run in self.shared_runs for loop in run]
        rows = s.declare(extent(shared, s.extents))
        loop = For(row_variable, rows, (*row_split, *body), "parallel")
        return finish(s, group, (*top.statements, loop))

    @property
    def shared_runs(self) -> tuple[tuple[int, ...], ...]:
        """The outer loops that threads share: of several those that come first, once they are many enough. The others are
        walked by each thread in plain loops, without taking a counter apart at every row."""
        runs = self.outer_runs[:-1] if self.written_out else self.outer_runs
        for k in range(1, len(runs)):
            known = extent([i for run in self.outer_runs[:k] for i in run], self.s.extents)
            if (known.constant or 0) >= ENOUGH_ROWS or (known.constant is None and k > 1):
                return runs[:k]
        return runs

    def _outer_counters(self) -> tuple[str, tuple[Statement, ...], list[tuple[str, Size]]]:
        variable, split = counters(self.s, self.shared_runs, "row")
        serial = []
        for run in self.outer_runs[len(self.shared_runs) :]:
            name = self.s.names.new("i")
            self.s.counters[run[-1]] = ((name, ONE),)
            serial.append((name, self.s.declare(extent(run, self.s.extents))))
        return variable, split, serial

    def _inner_counters(self) -> list[tuple[str, Size]]:
        variables = []
        for run in self.inner_runs:
            name = self.s.names.new("j")
            self.s.counters[run[-1]] = ((name, ONE),)
            variables.append((name, self.s.declare(extent(run, self.s.extents))))
        return variables

    def _phase(self, phase: int, row: Level, variables: Sequence[tuple[str, Size]]) -> None:
        """One walk along the row: the reductions and stores whose turn it is."""
        s = self.s
        stores = [v for v in sorted(self.group.saved) if self._is_inner(v) and self.phase[v] == phase]
        reductions = self._reductions(phase)
        temporaries = [v for v in self.s.temporary if self.phase[v] == phase]
        s.early = {v for v in self.phase if self._is_inner(v) and self.phase[v] < phase}
        if not (stores or reductions or temporaries):
            return
        body = Level(frozenset(range(len(self.group.space))))
        s.levels = [s.levels[0], row, body]
        for value in reductions:
            self._accumulate(value, row, body)
        for value in temporaries:
            scalar = s.value(value, self.group.place[value])
            body.statements.append(Store("scratch", s.temporary[value], scalar, FLOAT))
        s.store_all(stores, body)
        row.statements.append(loops(variables, tuple(body.statements), "written out" if self.written_out else "serial"))
        s.levels = s.levels[:2]

    def _accumulate(self, value: int, row: Level, body: Level) -> None:
        node, place = self.graph.nodes[value], self.group.place[value]
        operand = node.operands[0]
        name = self.s.names.new(short_name(node))
        row.statements.append(Start(name, node.op))
        scalar = self.s.value(operand.value, tuple(place[i] for i in operand.index))
        dims = place[len(node.axes) :]
        position = self.s.offset(Access.of(strides(node.reduced, self.graph.sizes), dims, len(self.group.space)))
        body.statements.append(Accumulate(name, node.op, scalar, position if node.op == "argmax" else None))
        row.known[value, place[: len(node.axes)]] = Local(f"{name}_at" if node.op == "argmax" else name)

    # --- values needed in several walks ---------------------------------------------------------------------------

    def _choose_temporaries(self) -> None:
        """Values that a later walk needs, cost much and are not stored anyway: kept in scratch memory of the thread."""
        wanted = sorted(v for v in self._needed_later() if not self._is_again(v))
        if not wanted:
            return
        length = extent(self.group.inner_loops, self.s.extents)
        scratch = self.s.parameters.scratch(length * Size.number(len(wanted)))
        assert scratch == "scratch"
        length = self.s.declare(length)
        for k, value in enumerate(wanted):
            terms = [("own", ONE), *self._inner_offset().terms]
            if k:
                terms.append(("", length * Size.number(k)))
            self.s.temporary[value] = Offset(tuple(terms))

    def _is_again(self, value: int) -> bool:
        """Whether a later walk computes the value again, or reads it again where it lies."""
        op = OPS[self.graph.nodes[value].op]
        return op.cheap or op.kind == "read"

    def _inner_offset(self) -> Offset:
        """The number of the point along the row."""
        axes = [self.group.space[d] for d in self.group.inner_loops]
        access = Access.of(strides(axes, self.graph.sizes), list(self.group.inner_loops), len(self.group.space))
        return self.s.offset(access)

    def _needed_later(self) -> set[int]:
        found: set[int] = set()
        for phase in range(1, max(self.phase.values(), default=0) + 1):
            roots = [v for v in self.group.saved if self._is_inner(v) and self.phase[v] == phase]
            stack = [o.value for v in (*roots, *self._reductions(phase)) for o in self.graph.nodes[v].operands]
            seen: set[int] = set()
            while stack:
                v = stack.pop()
                if v in seen or v not in self.phase or not self._is_inner(v):
                    continue
                seen.add(v)
                if self.phase[v] < phase and v not in self.group.saved:
                    found.add(v)
                if self.phase[v] == phase or self._is_again(v):
                    stack += [o.value for o in self.graph.nodes[v].operands]
        return found


def columns_call(s: Scalars) -> Call:
    """The kernel of a reduction over leading loops: blocks of columns, each summed down in order."""
    return _Columns(s).call()


class _Columns:
    """`lead_runs` are column loops of few points before the last run: each of their points has sums of its own, side by
    side, so that what is read once serves them all. Where they are many, they are walked outside. Only where the last run is
    narrow, all are one counter, taken apart."""

    def __init__(self, s: Scalars) -> None:
        self.s, self.graph, self.group = s, s.graph, s.group
        group = s.group
        assert group.root is not None
        self.root = group.root
        accesses = list(all_accesses(self.s))
        columns = range(group.outer + group.inner, len(group.space))
        self.outer_runs = _runs(s, group.outer_loops, accesses)
        self.reduced_runs = _runs(s, group.inner_loops, accesses)
        self._part(_runs(s, columns, accesses))

    def _part(self, runs: tuple[tuple[int, ...], ...]) -> None:
        """Tells the column loops apart by where they are walked."""
        before, last = runs[:-1], runs[-1:]
        points, width = (self._extent(part).constant for part in (before, last))
        few, narrow = points is not None and points <= MOST_LED, width is not None and width < NARROW
        self.lead_runs = before if few else ()
        self.column_runs = last if few or not narrow else runs
        if not few and not narrow:
            self.outer_runs = (*self.outer_runs, *before)
        fine = width is not None and FINE_BLOCK < width < 2 * COLUMN_BLOCK and width % FINE_BLOCK == 0
        self.block = FINE_BLOCK if fine else COLUMN_BLOCK
        self.outside = frozenset(i for run in self.outer_runs for i in run) | frozenset(self.group.outer_loops)

    def call(self) -> Call:
        s, group = self.s, self.group
        s.parameters.scratch(Size.number(self.block) * self._extent(self.lead_runs))
        top, outer = Level(frozenset()), Level(self.outside)
        outer_variable, outer_split = counters(s, self.outer_runs, "row")
        start, count, c = (s.names.new(n) for n in ("start", "columns", "c"))
        lead = self._named(self.lead_runs, "u")
        column_split = self._column_counters(start, c)
        reduced = self._named(self.reduced_runs, "i")
        self.total = self._total(lead, c)
        inside = self._sum_down(top, outer, reduced, lead, c, count, column_split)
        after = self._after(top, outer, lead, c, count, column_split)
        node = self.graph.nodes[self.root]
        clear = _nested(lead, (Within(c, count, (Store("scratch", self.total, _identity(node.op), FLOAT),)),))
        size = s.declare(self._extent(self.column_runs))
        blocks = Blocks(c, start, count, size, self.block, (*outer.statements, *clear, *inside, *after))
        if not self.outer_runs:
            return finish(s, group, (*top.statements, blocks))
        rows = s.declare(self._extent(self.outer_runs))
        loop = For(outer_variable, rows, (*outer_split, blocks), "parallel")
        return finish(s, group, (*top.statements, loop))

    def _extent(self, runs: Sequence[tuple[int, ...]]) -> Size:
        return extent([loop for run in runs for loop in run], self.s.extents)

    def _named(self, runs: Sequence[tuple[int, ...]], wanted: str) -> list[tuple[str, Size]]:
        """A counter for each run, and how far it counts."""
        named = [(self.s.names.new(wanted), self.s.declare(extent(run, self.s.extents))) for run in runs]
        for (name, _), run in zip(named, runs, strict=True):
            self.s.counters[run[-1]] = ((name, ONE),)
        return named

    def _total(self, lead: Sequence[tuple[str, Size]], c: str) -> Offset:
        """Where the sum of a column stands."""
        terms, step = [(c, ONE)], Size.number(self.block)
        for name, size in reversed(lead):
            terms.insert(0, (name, step))
            step = step * size
        return Offset((("own", ONE), *terms))

    def _column_counters(self, start: str, c: str) -> tuple[Statement, ...]:
        """Counters of the column loops from the flat number of a column, `start + c`."""
        s = self.s
        if not self.column_runs:
            return ()
        if len(self.column_runs) == 1:
            s.counters[self.column_runs[0][-1]] = ((start, ONE), (c, ONE))
            return ()
        named = self._named(self.column_runs, "n")
        return (Split(tuple(n for n, _ in named), tuple(size for _, size in named), f"{start} + {c}"),)

    def _sum_down(
        self,
        top: Level,
        outer: Level,
        reduced: Sequence[tuple[str, Size]],
        lead: Sequence[tuple[str, Size]],
        c: str,
        count: str,
        split: tuple[Statement, ...],
    ) -> tuple[Statement, ...]:
        s, group = self.s, self.group
        node, place = self.graph.nodes[self.root], group.place[self.root]
        line = Level(self.outside | frozenset(group.inner_loops))
        body = Level(frozenset(range(len(group.space))))
        s.levels = [top, outer, line, body]
        operand = node.operands[0]
        scalar = s.value(operand.value, tuple(place[i] for i in operand.index))
        name, new = s.names.new("total"), s.names.new("total")
        body.statements += [
            Load(name, FLOAT, "scratch", self.total),
            Let(new, FLOAT, _pairwise(node.op), (Local(name), scalar), (FLOAT, FLOAT)),
            Store("scratch", self.total, Local(new), FLOAT),
        ]
        for value in sorted(group.saved - {self.root}):
            if set(group.place[value]) & set(group.inner_loops):
                s.store(value, body)
        within = _nested(lead, (Within(c, count, (*split, *body.statements)),))
        return _nested(reduced, (*line.statements, *within))

    def _after(
        self,
        top: Level,
        outer: Level,
        lead: Sequence[tuple[str, Size]],
        c: str,
        count: str,
        split: tuple[Statement, ...],
    ) -> tuple[Statement, ...]:
        """The maps on the sums, and the stores."""
        s, group = self.s, self.group
        node, place = self.graph.nodes[self.root], group.place[self.root]
        body = Level(frozenset(group.kept_loops))
        s.levels = [top, outer, body]
        name = s.names.new(short_name(node))
        body.statements.append(Load(name, FLOAT, "scratch", self.total))
        body.known[self.root, place[: len(node.axes)]] = Local(name)
        for value in sorted(group.saved):
            if value == self.root or not set(group.place[value]) & set(group.inner_loops):
                self._store(value, body)
        return _nested(lead, (Within(c, count, (*split, *body.statements)),))

    def _store(self, value: int, body: Level) -> None:
        dims = self.group.place[value][: len(self.graph.nodes[value].axes)]
        scalar = self.s.value(value, dims)
        offset = self.s.offset(self.s.access(value, dims))
        body.statements.append(Store(self.s.buffer(value), offset, scalar, FLOAT))


def _nested(named: Sequence[tuple[str, Size]], body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """`body` inside of loops with these counters."""
    for name, size in reversed(named):
        body = (For(name, size, body),)
    return body


def _identity(op: str) -> Constant:
    from archspec.ops.reductions import IDENTITY

    return Constant(IDENTITY[op])


def _pairwise(op: str) -> str:
    """The map that joins two values as the reduction does."""
    return {"sum": "add", "max": "maximum", "min": "minimum"}[op]


def _runs(s: Scalars, dims: Iterable[int], accesses: Sequence[Access]) -> tuple[tuple[int, ...], ...]:
    """Loops put together where all accesses walk them as one; those of one point move nothing."""
    return merge([d for d in dims if s.extents[d] != ONE], s.extents, accesses)


def counters(s: Scalars, runs: Sequence[tuple[int, ...]], wanted: str) -> tuple[str, tuple[Statement, ...]]:
    """One counter for a product of loops, and the statement that takes it apart where that is needed."""
    variable = s.names.new(wanted)
    if len(runs) <= 1:
        for run in runs:
            s.counters[run[-1]] = ((variable, ONE),)
        return variable, ()
    names = tuple(s.names.new("i") for _ in runs)
    extents = tuple(s.declare(extent(run, s.extents)) for run in runs)
    for name, run in zip(names, runs, strict=True):
        s.counters[run[-1]] = ((name, ONE),)
    return variable, (Split(names, extents, variable),)


def loops(variables: Sequence[tuple[str, Size]], body: tuple[Statement, ...], kind: str = "serial") -> Statement:
    """Nested serial loops around `body`; one turn where there are none."""
    nest = list(variables) or [("_", ONE)]
    for name, size in reversed(nest):
        body = (For(name, size, body, kind),)
    return body[0]


def _read_at_places(s: Scalars, node: Node, place: Sequence[int]) -> Iterator[Access]:
    """How a window or a gather walks along what it reads; a loop in a computed place is walked alone."""
    rank = len(s.group.space)
    if node.op == "window":
        source = node.operands[0].value
        free: list[tuple[int, Size]] = []
        for where, axis, stride in zip(node.attribute("places"), s.graph.nodes[source].axes, s.moves(source), strict=True):
            if is_inside(where, axis, node, s.sizes):
                free += [(place[loop], factor.known(s.sizes) * stride) for loop, factor in where.terms]
            else:
                yield from (Access.alone(place[loop], rank) for loop, _ in where.terms)
        yield Access.of([stride for _, stride in free], [dim for dim, _ in free], rank)
    elif node.op == "gather":
        table = node.operands[1]
        walked = [(place[i], m) for i, m in zip(table.index, s.moves(table.value), strict=True) if i < len(node.axes)]
        yield Access.of([stride for _, stride in walked], [dim for dim, _ in walked], rank)


def all_accesses(s: Scalars) -> list[Access]:
    """Every way in which a group's members read and write memory, and count their random draws."""
    found: dict[Access, None] = {}
    seen: set[tuple[int, tuple[int, ...]]] = set()

    def visit(value: int, dims: tuple[int, ...]) -> None:
        node = s.graph.nodes[value]
        if node.op in ("constant", "size") or (value, dims) in seen:
            return
        seen.add((value, dims))
        found[s.access(value, dims)] = None
        computed = value in s.group.place or value in s.virtual
        if not computed or OPS[node.op].kind in ("contract", "scatter"):
            return
        place = s.group.place.get(value, dims)
        found.update(dict.fromkeys(_read_at_places(s, node, place)))
        for operand in loose_operands(node):
            visit(operand.value, tuple(place[i] for i in operand.index))

    for value, place in s.group.place.items():
        visit(value, place[: len(s.graph.nodes[value].axes)])
    return list(found)
