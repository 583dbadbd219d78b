"""Tables run with a clock: the same rows, each between two more that write down the time on every thread.

    kernel, barrier before it            stamp, barrier before it
    kernel                        ->     kernel
                                         stamp
                                         stamp
                                         kernel
                                         stamp

Nothing of what a program runs otherwise changes, and the kernels compute the same bits.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from archspec.records import record
from archspec.runtime.executor import ENTRY, Table

Ticks = NDArray[np.int64]
LEAST_WIDTH = 5  # of a stamp: address, barrier, where, which place, of how many
MOST_TABLES = 512


@record
class Measures:
    """The addresses of what a profile measures with: a clock, multiply-adds, a stream through memory; and how many operations
    a turn of the multiply-adds is, which is also the room in elements that their sums have on each thread."""

    stamp: int
    multiply_adds: int
    stream: int
    flops_per_turn: int


@record
class Reading:
    """A table that was run: the ticks that each of its rows took on each thread (threads, rows), and seconds in all."""

    table: Table
    ticks: Ticks
    seconds: float


@record
class _Timed:
    source: Table
    table: Table
    ticks: Ticks


class Clock:
    """Runs tables with stamps while it is `running`, and plainly otherwise. `readings` are those since it was started.

    `stamp` is the address of the function that writes down the time.
    """

    def __init__(self, stamp: int, threads: int) -> None:
        self._stamp, self._threads = stamp, threads
        self._call = ENTRY(stamp)
        self._made: dict[int, _Timed] = {}
        self._first = self._both()
        self.running = False
        self.readings: list[Reading] = []

    def run(self, table: Table, run: Callable[[Table], None]) -> None:
        """Runs a table by `run`."""
        timed = self._timed(table) if self.running else None
        start = time.perf_counter()
        run(table if timed is None else timed.table)
        seconds = time.perf_counter() - start
        ticks = np.zeros((self._threads, 0), np.int64) if timed is None else timed.ticks[:, 1::2] - timed.ticks[:, 0::2]
        self.readings.append(Reading(table, ticks, seconds))

    def seconds_per_tick(self) -> float:
        """How long a tick is, by all the time since the clock was made."""
        (first, first_ticks), (seconds, ticks) = self._first, self._both()
        return (seconds - first) / max(ticks - first_ticks, 1)

    def _both(self) -> tuple[float, int]:
        """The time in seconds and in ticks: of some pairs of readings the closest one, since anything may come between two."""
        _, seconds, ticks = min(self._pair() for _ in range(5))
        return seconds, ticks

    def _pair(self) -> tuple[float, float, int]:
        before, ticks, after = time.perf_counter(), self._now(), time.perf_counter()
        return after - before, (before + after) / 2, ticks

    def _now(self) -> int:
        found = np.zeros(1, np.int64)
        words = (ctypes.c_int64 * 3)(found.ctypes.data, 0, 1)
        self._call(ctypes.addressof(words), 0, 1)
        return int(found[0])

    def _timed(self, table: Table) -> _Timed:
        """The table with stamps, kept for the next time."""
        key = id(table.words)
        if key not in self._made:
            if len(self._made) >= MOST_TABLES:
                self._made.clear()
            self._made[key] = self._with_stamps(table)
        return self._made[key]

    def _with_stamps(self, table: Table) -> _Timed:
        rows, width = table.words.shape
        ticks = np.zeros((self._threads, 2 * rows), np.int64)
        words = np.zeros((rows, 3, max(width, LEAST_WIDTH)), np.int64)
        words[:, 1, :width] = table.words
        words[:, 1, 1] = 0
        words[:, 0, 1] = table.words[:, 1]
        for place, which in ((0, 0), (2, 1)):
            words[:, place, 0] = self._stamp
            words[:, place, 2] = ticks.ctypes.data
            words[:, place, 3] = np.arange(rows) * 2 + which
            words[:, place, 4] = 2 * rows
        return _Timed(table, table.rewritten(words.reshape(3 * rows, words.shape[2])), ticks)


def timed_call(clock: Clock, run: Callable[[Table], None], address: int, *arguments: int) -> float:
    """Seconds that a call takes on the slowest thread."""
    clock.running, clock.readings = True, []
    clock.run(Table(np.array([[address, 1, *arguments]], np.int64)), run)
    return float(clock.readings[0].ticks.max()) * clock.seconds_per_tick()
