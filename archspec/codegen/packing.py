"""Packing: an operand of a product copied into the order in which register tiles read it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from archspec.codegen.emitter import INDEX, Emitter, Value
from archspec.records import record


@record
class Packing:
    """target[p*width + t] = source[p*k_stride + t*stride] for p < k and t < count, 0 for count <= t < width"""

    width: int
    lanes: int
    source: Value
    k_stride: Value
    stride: Value
    target: Value
    k: Value
    count: Value


def emit_pack(e: Emitter, packing: Packing, contiguous: bool, turned: bool) -> None:
    """Rows are copied where they are contiguous, turned elsewhere; the choice is made here where the source tells."""
    if contiguous:
        copy_rows(e, packing)
    elif turned:
        turn_columns(e, packing)
    else:
        with e.builder.if_else(e.equal(packing.stride, INDEX(1))) as (one, other):
            with one:
                copy_rows(e, packing)
            with other:
                turn_columns(e, packing)


def copy_rows(e: Emitter, packing: Packing) -> None:
    """Contiguous rows, vector by vector; masked where fewer than `width` are valid."""
    starts = range(0, packing.width, packing.lanes)
    sizes = [min(packing.lanes, packing.width - start) for start in starts]

    def copy(loads: list[Callable[[Value], Value]]) -> None:
        with e.loop(INDEX(0), packing.k) as p:
            row = e.shifted(packing.source, e.times(p, packing.k_stride))
            packed = e.shifted(packing.target, e.times(p, INDEX(packing.width)))
            for start, load in zip(starts, loads, strict=True):
                e.store(load(e.shifted(row, INDEX(start))), e.shifted(packed, INDEX(start)))

    with e.builder.if_else(e.equal(packing.count, INDEX(packing.width))) as (whole, part):
        with whole:
            copy([lambda place, size=size: e.load(size, place) for size in sizes])
        with part:
            valid = [e.builder.sub(packing.count, INDEX(start)) for start in starts]
            copy([e.masked_load(size, count) for size, count in zip(sizes, valid, strict=True)])


def turn_columns(e: Emitter, packing: Packing) -> None:
    """Blocks of side x side turned in registers where k is contiguous, single elements at the edges and elsewhere.

    A cache line of k at a time, for each group of columns: the lines of few columns are read to their end before the
    next are fetched, which would drive them out of the cache where the stride is a power of two.
    """
    side = min(4, packing.lanes)
    line = 64 // e.number.nbytes
    zero, width, blocked = INDEX(0), INDEX(packing.width), e.equal(packing.k_stride, INDEX(1))
    k_blocks, t_blocks = (e.builder.select(blocked, e.rounded_down(n, side), zero) for n in (packing.k, packing.count))

    def source(p: Value, t: Value) -> Value:
        return e.shifted(packing.source, e.plus(e.times(p, packing.k_stride), e.times(t, packing.stride)))

    def target(p: Value, t: Value) -> Value:
        return e.shifted(packing.target, e.plus(e.times(p, width), t))

    with e.loop(zero, k_blocks, line) as start:
        stop = e.smaller(k_blocks, e.plus(start, INDEX(line)))
        with e.loop(zero, t_blocks, side) as t, e.loop(start, stop, side) as p:
            columns = [e.load(side, source(p, e.plus(t, INDEX(i)))) for i in range(side)]
            for i, row in enumerate(turned(e, columns)):
                e.store(row, target(e.plus(p, INDEX(i)), t))
    with e.loop(zero, packing.k) as p:
        with e.loop(e.builder.select(e.less(p, k_blocks), t_blocks, zero), packing.count) as t:
            e.builder.store(e.builder.load(source(p, t)), target(p, t))
        with e.loop(packing.count, width) as t:
            e.builder.store(e.number.llvm(0.0), target(p, t))


def turned(e: Emitter, rows: list[Value]) -> list[Value]:
    """The columns of a square of vectors: rows i and i + side/2 interleaved, once for every power of two in the side."""
    half = len(rows) // 2
    low = [lane for i in range(half) for lane in (i, i + len(rows))]
    high = [lane + half for lane in low]
    for _ in range(half.bit_length()):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [e.shuffle(a, b, lanes) for a, b in pairs for lanes in (low, high)]
    return rows


def gather_rows(
    e: Emitter, width: int, left: Value, rows_at: Value, steps_at: Value, block: Value, k: Value, rows: Value
) -> None:
    """block[p*width + r] = left[rows_at[r] + steps_at[p]] for p < k and r < rows; a row beyond the last is the last again.

    Where the rows lie side by side, as those of x^T do, they are copied as one vector.
    """
    last = e.builder.sub(rows, INDEX(1))
    places = [e.walked(rows_at, e.smaller(INDEX(r), last)) for r in range(width)]
    neighbours = [e.equal(place, e.plus(places[0], INDEX(r))) for r, place in enumerate(places)]
    with e.builder.if_else(reduce(e.builder.and_, neighbours)) as (beside, apart):
        with beside, e.loop(INDEX(0), k) as p:
            source = e.shifted(left, e.plus(places[0], e.walked(steps_at, p)))
            e.store(e.load(width, source), e.shifted(block, e.times(p, INDEX(width))))
        with apart, e.loop(INDEX(0), k) as p:
            source, packed = (e.shifted(*pair) for pair in ((left, e.walked(steps_at, p)), (block, e.times(p, INDEX(width)))))
            for r, place in enumerate(places):
                e.builder.store(e.builder.load(e.shifted(source, place)), e.shifted(packed, INDEX(r)))
