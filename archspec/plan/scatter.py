"""Rows added up by integers: the gradient of a table from which rows were picked.

Each thread looks after a range of the table's rows. It walks all points in order and adds those whose integer lies in its
range, so every sum is made by one thread in one order.
"""

from __future__ import annotations

from collections.abc import Sequence

from archspec.ir.sizes import ONE, Size
from archspec.plan.kernel import FLOAT, Add, Call, Constant, For, Load, Local, Offset, Share, Statement, Store, When
from archspec.plan.layout import Access, extent, merge
from archspec.plan.rows import loops
from archspec.plan.scalars import Scalars, short_name
from archspec.plan.wrap import finish


def scatter_call(s: Scalars) -> Call:
    """The kernel of a group with one scatter, with its arguments."""
    graph, group = s.graph, s.group
    assert group.root is not None
    node = graph.nodes[group.root]
    ids, source = node.operands
    axis, rank, count = node.attribute("axis"), len(node.axes), len(node.loops)
    start, points, row = s.names.new("start"), s.names.new("count_"), s.names.new("v")
    picked = s.names.new(short_name(graph.nodes[ids.value]))
    target = s.moves(group.root)
    reads = [Access.of(s.moves(o.value), o.index, count) for o in (ids, source)]
    access = Access.of([m for k, m in enumerate(target) if k != axis], [k for k in range(rank) if k != axis], count)
    outer = sorted({*ids.index, *(i for i in source.index if i >= rank)})
    inner = [k for k in range(rank) if k != axis and k not in outer]
    nest = [(s.names.new("i"), run) for run in merge(outer, s.extents, [*reads, access])]
    line = [(s.names.new("j"), run) for run in merge(inner, s.extents, [reads[1], access])]
    clear = [(s.names.new("k"), (k,)) for k in range(rank) if k != axis]

    def variables(named: Sequence[tuple[str, tuple[int, ...]]]) -> list[tuple[str, Size]]:
        return [(name, s.declare(extent(run, s.extents))) for name, run in named]

    step = s.declare(target[axis])
    cleared = Offset(((start, step), (row, step), *((n, s.declare(target[run[0]])) for n, run in clear)))
    body: tuple[Statement, ...] = (Store(s.buffer(group.root), cleared, Constant(0.0), FLOAT),)
    for name, size in reversed(variables(clear)):
        body = (For(name, size, body),)
    clearing = For(row, Size.symbol(points), body)
    for name, run in (*nest, *line):
        s.counters[run[-1]] = ((name, ONE),)
    value = s.names.new(short_name(graph.nodes[source.value]))
    place = Offset(((picked, step), *s.offset(access).terms))
    add: tuple[Statement, ...] = (
        Load(value, FLOAT, s.buffer(source.value), s.offset(reads[1])),
        Add(s.buffer(group.root), place, Local(value)),
    )
    for name, size in reversed(variables(line)):
        add = (For(name, size, add),)
    dtype = graph.nodes[ids.value].dtype
    found = (Load(picked, dtype, s.buffer(ids.value), s.offset(reads[0])), When(picked, start, points, add))
    walk = loops(variables(nest), found)
    share = Share(start, points, s.declare(s.extents[axis]))
    return finish(s, group, (share, clearing, walk))
