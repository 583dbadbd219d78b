"""Memory: where in the arena each value lies, planned by lifetimes for given sizes.

Values whose lifetimes overlap never share bytes, and small ones keep theirs a little longer. The largest are placed first,
each at the lowest offset that is free during its life (Pisarchyk & Lee 2020, greedy by size).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate

from archspec.ir.graph import BOOL, INT
from archspec.ir.sizes import product
from archspec.plan.plan import Plan
from archspec.records import record

ALIGNMENT = 64
SMALL, LINGER = 4096, 4  # bytes, items


@record
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
    offsets = _placed({v: _lingering(life, nbytes[v]) for v, life in lifetimes.items()}, nbytes)
    total = max((offsets[v] + nbytes[v] for v in offsets), default=0)
    return Memory(offsets, nbytes, total, _lower_bound(lifetimes, nbytes))


def _lingering(life: tuple[int, int], nbytes: int) -> tuple[int, int]:
    """A small value's bytes stay its own for some items more: threads would have to meet before others may be written there."""
    birth, death = life
    return (birth, death + LINGER) if nbytes <= SMALL else life


def _placed(lifetimes: Mapping[int, tuple[int, int]], nbytes: Mapping[int, int]) -> dict[int, int]:
    """Each value at the lowest offset at which none lies that lives at the same time, the largest first."""
    import numpy as np

    order = sorted(lifetimes, key=lambda v: (-nbytes[v], lifetimes[v][0], v))
    births, deaths = (np.array([lifetimes[v][k] for v in order], np.int64) for k in (0, 1))
    starts = np.zeros(len(order), np.int64)
    ends = np.zeros(len(order), np.int64)
    for i, value in enumerate(order):
        beside = (births[:i] <= deaths[i]) & (deaths[:i] >= births[i])
        from_low = np.argsort(starts[:i][beside], kind="stable")
        taken, until = starts[:i][beside][from_low], np.maximum.accumulate(ends[:i][beside][from_low])
        free = np.concatenate([[0], until])
        fits = np.flatnonzero(taken - free[:-1] >= nbytes[value])
        starts[i] = free[fits[0]] if len(fits) else free[-1]
        ends[i] = starts[i] + nbytes[value]
    return {value: int(start) for value, start in zip(order, starts, strict=True)}


def _rounded(count: int) -> int:
    return max(ALIGNMENT, (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


def _lower_bound(lifetimes: Mapping[int, tuple[int, int]], nbytes: Mapping[int, int]) -> int:
    """The most bytes that are alive at one item: no plan can do with less."""
    change: Counter[int] = Counter()
    for value, (birth, death) in lifetimes.items():
        change[birth] += nbytes[value]
        change[death + 1] -= nbytes[value]
    return max(accumulate(change[i] for i in sorted(change)), default=0)
