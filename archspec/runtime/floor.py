"""How fast this machine could be: its multiply-adds, and its memory by how much of it is touched. Measured in a few
milliseconds, on all threads of a program at once."""

from __future__ import annotations

import numpy as np

from archspec.records import record
from archspec.runtime.clock import Clock, Measures, timed_call
from archspec.runtime.executor import Executor
from archspec.runtime.stage import aligned

ROUNDS = 5  # the best counts: a processor's clock rises with work, and other programs disturb
TURNS = 20_000
LEAST_NBYTES, MOST_NBYTES = 1 << 13, 1 << 27
NBYTES_A_ROUND = 1 << 22


@record
class Speed:
    """`flops` in a second; and for numbers of bytes that are touched again and again, how many pass in a second."""

    flops: float
    bandwidth: tuple[tuple[int, float], ...]

    def seconds(self, flops: float, nbytes: float) -> float:
        """The least time for a call: what it computes, or what it touches, in the nearest memory that has room for it."""
        held = [speed for size, speed in self.bandwidth if size <= nbytes] or [self.bandwidth[0][1]]
        return max(flops / self.flops, nbytes / held[-1])


def measure_speed(executor: Executor, measures: Measures, precision: str, most_nbytes: float) -> Speed:
    """The speed of an executor's threads, for calls that touch no more than `most_nbytes`."""
    clock, dtype = Clock(measures.stamp, executor.threads), np.dtype(precision)
    sizes = [LEAST_NBYTES]
    while 4 * sizes[-1] <= min(most_nbytes, MOST_NBYTES):
        sizes.append(4 * sizes[-1])
    speeds = np.minimum.accumulate([_bandwidth(executor, measures, clock, dtype, size) for size in sizes])
    return Speed(_flops(executor, measures, clock, dtype), tuple(zip(sizes, speeds.tolist(), strict=True)))


def _flops(executor: Executor, measures: Measures, clock: Clock, dtype: np.dtype[np.floating]) -> float:
    sums = aligned(executor.threads * measures.flops_per_turn * dtype.itemsize)
    words = (measures.multiply_adds, sums.ctypes.data, TURNS)
    seconds = min(timed_call(clock, executor.run, *words) for _ in range(ROUNDS))
    return executor.threads * measures.flops_per_turn * TURNS / seconds


def _bandwidth(executor: Executor, measures: Measures, clock: Clock, dtype: np.dtype[np.floating], nbytes: int) -> float:
    """Bytes a second of y += x, which reads two elements and writes one, where x and y take `nbytes` together."""
    x, y = (aligned(nbytes // 2).view(dtype) for _ in range(2))
    x[...], y[...] = 1, 1
    turns = max(NBYTES_A_ROUND // nbytes, 1)
    words = (measures.stream, x.ctypes.data, y.ctypes.data, len(x), turns)
    seconds = min(timed_call(clock, executor.run, *words) for _ in range(ROUNDS))
    return 3 * x.nbytes * turns / seconds
