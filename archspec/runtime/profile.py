"""Where the time of training steps goes: every second step of a run is made with a clock at each kernel call.

Of steps whose batches have one shape the fastest counts, so that what else the machine did leaves no trace. The times of
its rows add up to it: kernels, what lies between them, what the host does around them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archspec.records import field, record
from archspec.runtime.clock import Clock, Reading
from archspec.runtime.executor import Table

if TYPE_CHECKING:
    from archspec.plan import Plan
    from archspec.plan.kernel import Call
    from archspec.runtime.program import Program
    from archspec.runtime.stage import Bound, Stage


@record(frozen=False)
class Sample:
    """The steps of one shape of batch: how many there were, the fastest of those with a clock, the fastest of the others."""

    count: int = 0
    seconds: float = float("inf")
    plain_seconds: float = float("inf")
    readings: tuple[Reading, ...] = ()

    @property
    def clocked_next(self) -> bool:
        return self.count % 2 == 0

    def note(self, seconds: float, readings: Sequence[Reading], clocked: bool) -> None:
        self.count += 1
        if not clocked:
            self.plain_seconds = min(self.plain_seconds, seconds)
        elif seconds < self.seconds:
            self.seconds, self.readings = seconds, tuple(readings)

    def bounds(self) -> Iterator[tuple[Bound, NDArray[np.int64]]]:
        """The bound stages of the fastest step, with the ticks of their rows on each thread (threads, rows)."""
        for reading in self.readings:
            at = 0
            for bound in reading.table.owners:
                yield bound, reading.ticks[:, at : at + len(bound.rows)]
                at += len(bound.rows)


@record
class Timing:
    """A call in steps of one shape: the stage, its plan and the number of the call in it, the sizes, how many times it is made
    in a step, and the seconds that it takes in all, as a mean over the threads. Where a stage has several plans, the calls of
    that of most steps come first, and those of the next are counted on from there."""

    stage: str
    plan: Plan
    number: int
    call: Call
    sizes: Mapping[str, int]
    times: int
    seconds: float
    weight: float = field(default=1.0)


class Profiler:
    """Makes the steps of a program and takes their time."""

    def __init__(self, program: Program) -> None:
        assert program.measures is not None
        self.program, self.executor, self.measures = program, program.executor, program.measures()
        self.clock = Clock(self.measures.stamp, self.executor.threads)
        self.samples: dict[int, Sample] = {}
        self.tick = 0.0  # seconds, as known after the last step: one for all figures, so that they add up

    def step_rows(self, arrays: Mapping[str, Any], rows: NDArray[np.int64]) -> float:
        """`Program.step_rows`, timed."""
        self.clock.readings = []
        self.executor.timer = self
        start = time.perf_counter()
        try:
            loss = self.program.step_rows(arrays, rows)
        finally:
            self.executor.timer = None
        seconds = time.perf_counter() - start
        self.tick = self.clock.seconds_per_tick()
        self._sample(self.clock.readings[0].table).note(seconds, self.clock.readings, self.clock.running)
        return loss

    def run(self, table: Table, run: Callable[[Table], None]) -> None:
        """What the executor does with a table. The first one of a step tells the shape."""
        if not self.clock.readings:
            self.clock.running = self._sample(table).clocked_next
        self.clock.run(table, run)

    def _sample(self, table: Table) -> Sample:
        return self.samples.setdefault(id(table.owners[0]), Sample())

    # --- figures --------------------------------------------------------------------------------------------------

    def step_seconds(self) -> dict[str, float]:
        """A step in seconds: `step`, of that its `kernels`, the `driver` around them and the `host` around that; and `plain`,
        what a step takes without clocks, by the shapes that were met with and without.
        """
        weights = self._weights()
        kernels = sum(w * self.tick * sum(float(r.ticks.mean(0).sum()) for r in s.readings) for s, w in weights)
        tables = sum(w * sum(r.seconds for r in s.readings) for s, w in weights)
        step = sum(w * s.seconds for s, w in weights)
        both = [(s, w) for s, w in weights if s.plain_seconds < float("inf")]
        slower = sum(w * s.seconds for s, w in both) / max(sum(w * s.plain_seconds for s, w in both), 1e-12) if both else 1.0
        return {"step": step, "kernels": kernels, "driver": tables - kernels, "host": step - tables, "plain": step / slower}

    def timings(self) -> Iterator[Timing]:
        """The calls of each shape of batch; `weight` is the share of the steps that have it."""
        places = {
            id(call): (name, plan, number)
            for name, stage in self.program.step_stages().items()
            for number, (plan, call) in enumerate((plan, call) for plan in self._plans(stage) for call in plan.calls)
        }
        for sample, weight in self._weights():
            for bound, ticks in sample.bounds():
                seconds: dict[int, float] = {}
                times: dict[int, int] = {}
                calls = {id(call): call for call in bound.calls}
                for call, one in zip(bound.calls, (ticks.mean(0) * self.tick).tolist(), strict=True):
                    seconds[id(call)] = seconds.get(id(call), 0.0) + one
                    times[id(call)] = times.get(id(call), 0) + 1
                for key, call in calls.items():
                    yield Timing(*places[key], call, bound.sizes, times[key], seconds[key], weight)

    def _plans(self, stage: Stage) -> list[Plan]:
        """The plans of a stage, that of most steps first."""
        shares = {id(stage.plan): 0.0, **{id(other.plan): 0.0 for other in stage.others}}
        for sample, weight in self._weights():
            for bound, _ in sample.bounds():
                if id(bound.plan) in shares:
                    shares[id(bound.plan)] += weight
        return sorted((s.plan for s in (stage, *stage.others)), key=lambda plan: -shares[id(plan)])

    def _weights(self) -> list[tuple[Sample, float]]:
        found = [s for s in self.samples.values() if s.readings]
        total = sum(s.count for s in found)
        return [(s, s.count / total) for s in found]

    @property
    def steps(self) -> int:
        return sum(s.count for s in self.samples.values())
