"""Contractions as matrix products by register tiles.

The loops of  out[b, m, n] = sum k: left[b, m, k] * right[b, k, n]  are told apart by who walks them: batch loops are in
both operands and the result, m in the left one and the result, n in the right one and the result, k in both operands
only. Each class is walked by one flat counter, with whatever strides the operands have: nothing is transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from archspec.ir.graph import Node, Operand
from archspec.ir.sizes import ONE, Size
from archspec.plan.kernel import Ahead, Call, Local, Offset, Product, Reach, Split, Statement
from archspec.plan.layout import Access, extent, merge
from archspec.plan.names import AROUND_PRODUCTS
from archspec.plan.rows import all_accesses
from archspec.plan.scalars import Level, Scalars
from archspec.plan.triangles import RESULT
from archspec.plan.wrap import finish
from archspec.records import record


@record
class LoopClasses:
    """The loops of a contraction by who walks them."""

    batch: tuple[int, ...]
    m: tuple[int, ...]
    n: tuple[int, ...]
    k: tuple[int, ...]


def classify(node: Node, left: Operand, right: Operand) -> LoopClasses | None:
    """The classes of a contraction's loops; None where it is no matrix product."""
    if any(len(set(o.index)) != len(o.index) for o in (left, right)):
        return None
    loops = range(len(node.loops))
    rank = len(node.axes)
    in_left, in_right = set(left.index), set(right.index)
    lonely = [i for i in loops if i >= rank and not (i in in_left and i in in_right)]
    classes = LoopClasses(
        tuple(i for i in loops if i < rank and i in in_left and i in in_right),
        tuple(i for i in loops if i < rank and i in in_left and i not in in_right),
        tuple(i for i in loops if i < rank and i in in_right and i not in in_left),
        tuple(i for i in loops if i >= rank),
    )
    return classes if classes.m and classes.n and classes.k and not lonely else None


@record
class _Arranged:
    """`even` where m and k each walk the left side in steps of one size."""

    left: Operand
    right: Operand
    batch: tuple[int, ...]
    m: tuple[int, ...]
    n: tuple[int, ...]
    k: tuple[int, ...]
    left_access: Access
    right_access: Access
    even: bool


def arrange(node: Node, sizes: Mapping[str, int], moves: Callable[[int], tuple[Size, ...]]) -> _Arranged | None:
    """Who is left and who right, so that n runs along the result's last axis, and which loops are walked as one.

    `moves` are the strides of a value. None where register tiles cannot compute the contraction: n and k must each walk
    the right side as one loop. The left side is walked in any way, as one loop or by a table.
    """
    first, second = node.operands
    swap = bool(node.axes) and len(node.axes) - 1 in first.index
    left, right = (second, first) if swap else (first, second)
    classes = classify(node, left, right)
    if classes is None:
        return None
    extents = tuple(a.size.known(sizes) for a in node.loops)
    a, b = (Access.of(moves(o.value), o.index, len(node.loops)) for o in (left, right))
    n_batch, n = _last_run(_in_order(classes.n, right), extents, [b])
    k = _in_order(classes.k, right)
    if len(merge(k, extents, [b])) != 1:
        return None
    m_batch, m = _last_run(_in_order(classes.m, left), extents, [a])
    even = len(merge(k, extents, [a, b])) == 1 and not (m_batch and _is_short(extent(m, extents)))
    if not even:
        m_batch, m = (), _in_order(classes.m, left)
    batch = tuple(sorted((*classes.batch, *m_batch, *n_batch)))
    return _Arranged(left, right, batch, m, n, k, a, b, even)


def _is_short(run: Size) -> bool:
    """Whether a run of rows fills so few tiles that what is left over of the last one counts."""
    return run.constant is not None and run.constant < 64


def _in_order(loops: tuple[int, ...], operand: Operand) -> tuple[int, ...]:
    """`loops` in the order in which they walk along the operand."""
    return tuple(i for i in operand.index if i in loops)


def _last_run(loops: tuple[int, ...], extents: tuple[Size, ...], accesses: list[Access]) -> tuple[tuple[int, ...], ...]:
    """The loops that come before the last run that is walked as one, and that run."""
    runs = merge(loops, extents, accesses)
    return tuple(i for run in runs[:-1] for i in run), runs[-1]


WIDEST = 64  # columns that a panel has at most, on any machine; fewer are half or a quarter of them (codegen/shapes.py)


def whole_panels(columns: Size) -> Size:
    """No fewer columns than those of the panels that hold so many."""
    known = columns.constant
    return columns + Size.number(WIDEST - 1 if known is None else -known % WIDEST)


def product_call(s: Scalars) -> Call:
    """The kernel of a contraction and the maps on its result, with its arguments."""
    graph, group = s.graph, s.group
    assert group.root is not None
    node = graph.nodes[group.root]
    arranged = arrange(node, graph.sizes, s.moves)
    assert arranged is not None
    s.names.taken |= AROUND_PRODUCTS
    s.parameters.scratch(extent(arranged.k, tuple(a.size.known(graph.sizes) for a in node.loops)))
    return finish(s, group, _Products(s, node, arranged).body())


class _Products:
    def __init__(self, s: Scalars, node: Node, arranged: _Arranged) -> None:
        self.s, self.node, self.a = s, node, arranged
        self.extents = tuple(x.size.known(s.sizes) for x in node.loops)
        root = s.group.root
        assert root is not None
        self.saved_accesses = [x for x in all_accesses(s) if any(stride.terms for stride in x.strides)]
        self.root = root

    def body(self) -> tuple[Statement, ...]:
        s, a = self.s, self.a
        left, right = s.buffer(a.left.value), s.buffer(a.right.value)
        batch, batch_split = self._counter(a.batch, "g")
        m, m_split = self._counter(a.m, "m")
        n, n_split = self._counter(a.n, "n")
        top, outer, row, element = self._levels()
        total = s.names.new("total")
        element.known[self.root, tuple(range(len(self.node.axes)))] = Local(total)
        s.store_all(sorted(s.group.saved), element)
        product = Product(
            left,
            right,
            self._strides(a.left_access, a.m, a.k),
            self._strides(a.right_access, a.k, a.n),
            self._offset(a.left_access, a.batch),
            self._offset(a.right_access, a.batch),
            (batch, s.declare(extent(a.batch, self.extents))),
            batch_split,
            (m, s.declare(extent(a.m, self.extents))),
            (n, s.declare(extent(a.n, self.extents))),
            s.declare(extent(a.k, self.extents)),
            m_split,
            n_split,
            (*outer.statements, *row.statements),
            tuple(element.statements),
            total,
            "scratch",
            None if a.even else (self._table("rows_at", a.m), self._table("steps_at", a.k)),
            self._ahead(),
            self._reach(),
        )
        return (*top.statements, product)

    def _ahead(self) -> Ahead | None:
        """The panels of the right side, where no step of the loop around changes it."""
        s, a = self.s, self.a
        if a.right.value not in s.still.values or not set(a.batch) <= set(a.right.index):
            return None
        batch, n, k = (extent(loops, self.extents) for loops in (a.batch, a.n, a.k))
        return s.parameters.panels(a.right.value, (batch, whole_panels(n), k), s.still.turns)

    def _reach(self) -> Reach:
        """What triangles spare of tiles that hold rows of one loop."""
        m, n, k = (loops[0] if len(loops) == 1 else None for loops in (self.a.m, self.a.n, self.a.k))
        left = self.node.operands.index(self.a.left)
        for triangle in self.s.triangles:
            sides = triangle.of, triangle.row, triangle.column
            if sides in ((left, m, k), (left, k, m)):
                return "until row" if triangle.row == m else "from row"
            if sides in ((RESULT, m, n), (RESULT, n, m)):
                return "lower" if triangle.row == m else "upper"
        return "all"

    def _table(self, wanted: str, loops: tuple[int, ...]) -> str:
        extents = tuple(self.extents[i] for i in loops)
        return self.s.parameters.offsets(wanted, extents, tuple(self.a.left_access.strides[i] for i in loops))

    def _levels(self) -> tuple[Level, Level, Level, Level]:
        batch, m = set(self.a.batch), set(self.a.m)
        everything = frozenset(range(len(self.node.axes)))
        levels = (Level(frozenset()), Level(frozenset(batch)), Level(frozenset(batch | m)), Level(everything))
        self.s.levels = list(levels)
        return levels

    def _counter(self, loops: tuple[int, ...], wanted: str) -> tuple[str, Split | None]:
        """One counter for a class of loops, taken apart where the maps on the result walk them apart."""
        s = self.s
        name = s.names.new(wanted)
        s.counters.update((i, ()) for i in loops if s.extents[i] == ONE)  # a loop of one point stays at its 0
        loops = tuple(i for i in loops if s.extents[i] != ONE)
        runs = merge(loops, s.extents, self._relevant(loops))
        if len(runs) <= 1:
            for run in runs:
                s.counters[run[-1]] = ((name, ONE),)
            return name, None
        names = tuple(s.names.new(f"{wanted}_") for _ in runs)
        extents = tuple(s.declare(extent(run, s.extents)) for run in runs)
        for part, run in zip(names, runs, strict=True):
            s.counters[run[-1]] = ((part, ONE),)
        return name, Split(names, extents, name)

    def _relevant(self, loops: tuple[int, ...]) -> list[Access]:
        batch = [self.a.left_access, self.a.right_access] if set(loops) <= set(self.a.batch) else []
        return [*self.saved_accesses, *batch]

    def _strides(self, access: Access, first: Sequence[int], second: Sequence[int]) -> tuple[Size, Size]:
        declare = self.s.declare
        return declare(access.strides[first[-1]]), declare(access.strides[second[-1]])

    def _offset(self, access: Access, loops: tuple[int, ...]) -> Offset:
        terms = []
        for loop in loops:
            if loop in self.s.counters and access.strides[loop].terms:
                stride = access.strides[loop]
                terms += [(name, self.s.declare(stride * factor)) for name, factor in self.s.counters[loop]]
        return Offset(tuple(terms))
