"""Where elements lie: row-major strides, accesses along a space of loops, and loops that can be walked as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.ir.sizes import ONE, ZERO, Axis, Size
from archspec.records import record


def strides(axes: Sequence[Axis], sizes: Mapping[str, int]) -> tuple[Size, ...]:
    """How many elements apart neighbours along each axis lie, the last axis being contiguous."""
    found, points = [], ONE
    for axis in reversed(axes):
        found.append(points.known(sizes))
        points = axis.size * points
    return tuple(reversed(found))


@record
class Access:
    """A value read or written in a space: for each of the space's loops the stride, zero where it does not move."""

    strides: tuple[Size, ...]

    @staticmethod
    def of(steps: Sequence[Size], dims: Sequence[int], rank: int) -> Access:
        """The access of a tensor with these strides whose axis k is walked by loop `dims[k]` of a space of `rank` loops."""
        moves = [ZERO] * rank
        for dim, stride in zip(dims, steps, strict=True):
            moves[dim] = moves[dim] + stride
        return Access(tuple(moves))

    @staticmethod
    def alone(dim: int, rank: int) -> Access:
        """The access of something that hangs on one loop in its own way, so that no other loop can be walked with it."""
        return Access(tuple(ONE if k == dim else ZERO for k in range(rank)))


def merge(loops: Sequence[int], extents: Sequence[Size], accesses: Sequence[Access]) -> tuple[tuple[int, ...], ...]:
    """`loops`, neighbours put together where every access walks them as one:  stride(i) = stride(i+1) * extent(i+1)."""
    runs: list[list[int]] = []
    for loop in loops:
        if runs and _as_one(runs[-1][-1], loop, extents, accesses):
            runs[-1].append(loop)
        else:
            runs.append([loop])
    return tuple(tuple(run) for run in runs)


def _as_one(first: int, second: int, extents: Sequence[Size], accesses: Sequence[Access]) -> bool:
    return all(a.strides[first] == a.strides[second] * extents[second] for a in accesses)


def extent(loops: Sequence[int], extents: Sequence[Size]) -> Size:
    """The number of points that `loops` span."""
    total = ONE
    for loop in loops:
        total = total * extents[loop]
    return total
