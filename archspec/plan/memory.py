"""Memory: where in the arena each value lies, planned by lifetimes for given sizes.

Values whose lifetimes overlap never share bytes. The largest are placed first, each at the lowest offset that is free
during its life (Pisarchyk & Lee 2020, greedy by size).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archspec.ir.graph import BOOL, INT
from archspec.ir.sizes import product
from archspec.plan.plan import Plan

ALIGNMENT = 64


@dataclass(frozen=True)
class Memory:
    """Byte offsets in the arena by value, and how many bytes it takes."""

    offsets: Mapping[int, int]
    nbytes: Mapping[int, int]
    total: int
    lower_bound: int


def value_nbytes(plan: Plan, value: int, sizes: Mapping[str, int], float_nbytes: int) -> int:
    """The bytes of a value: floats of the program's precision, 8-byte ints, 1-byte truth values."""
    node = plan.graph.nodes[value]
    each = {INT: 8, BOOL: 1}.get(node.dtype, float_nbytes)
    count = product(node.axes).evaluate({**plan.graph.sizes, **sizes})
    if count is None:
        raise ValueError(f"the size of {node.shape} is not known")
    return each * count


def lay_out(plan: Plan, sizes: Mapping[str, int], float_nbytes: int, placed: frozenset[int] = frozenset()) -> Memory:
    """The arena for given open sizes. `placed` values lie elsewhere: gradients, outputs of the caller."""
    lifetimes = {v: s for v, s in plan.lifetimes.items() if v not in placed}
    nbytes = {v: _rounded(value_nbytes(plan, v, sizes, float_nbytes)) for v in lifetimes}
    offsets: dict[int, int] = {}
    for value in sorted(lifetimes, key=lambda v: (-nbytes[v], lifetimes[v][0], v)):
        others = sorted((offsets[o], offsets[o] + nbytes[o]) for o in offsets if _overlap(lifetimes[o], lifetimes[value]))
        offsets[value] = _first_gap(others, nbytes[value])
    total = max((offsets[v] + nbytes[v] for v in offsets), default=0)
    return Memory(offsets, nbytes, total, _lower_bound(plan, lifetimes, nbytes))


def _rounded(count: int) -> int:
    return max(ALIGNMENT, (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _first_gap(taken: list[tuple[int, int]], nbytes: int) -> int:
    at = 0
    for start, end in taken:
        if start - at >= nbytes:
            return at
        at = max(at, end)
    return at


def _lower_bound(plan: Plan, lifetimes: Mapping[int, tuple[int, int]], nbytes: Mapping[int, int]) -> int:
    """The most bytes that are alive at one call: no plan can do with less."""
    return max((sum(nbytes[v] for v, (a, b) in lifetimes.items() if a <= i <= b) for i in range(len(plan.items))), default=0)
