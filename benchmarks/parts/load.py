"""How busy other processes kept the machine while something was measured."""

from __future__ import annotations

import os
import resource
import time


class Load:
    """Reads the clocks of the machine and of this process with its children; `others()` is the difference since then."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), busy_seconds(), own_seconds()

    def others(self) -> float:
        """How many cores all other processes used on average. Children count once they have ended."""
        wall, busy, own = time.perf_counter(), busy_seconds(), own_seconds()
        return max(0.0, (busy - self.start[1] - own + self.start[2]) / (wall - self.start[0]))


def busy_seconds() -> float:
    """Processor time of the whole machine: user, nice, system, interrupts and what a hypervisor took."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(field) for field in file.readline().split()[1:]]
    return (sum(ticks[:3]) + sum(ticks[5:8])) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
