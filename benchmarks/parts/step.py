"""The time of a training step: forward, loss, backward, Adam, on a fresh batch.

What several threads gain is bounded by what several cores gain, and on a shared host that comes and goes: cores may be
halves of one, or have no cache in common. So before and after each workload it is measured what all cores compute at once,
and how fast one reads what another has written.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from typing import Any

from peers.crew import Process, environment
from peers.floor import SHARED_NBYTES
from peers.workloads import WORKLOADS, Workload

from parts import speed
from parts.options import Options
from parts.tables import milliseconds, ratio


def measure(options: Options) -> dict[str, Any]:
    """For each workload: what a step must do and what a core does in a second; by threads and peer what a step takes."""
    found = {}
    with tempfile.NamedTemporaryFile() as shared:
        shared.truncate(SHARED_NBYTES)
        places = [(str(i), shared.name) for i in range(max(options.threads))]
        cores = [Process("peers.floor", *place, env=environment(1), name="floor") for place in places]
        for name in options.workloads:
            before = machine(cores, options.threads)
            speeds = speed.measure(name, options)
            found[name] = {**speeds, **floors(WORKLOADS[name], cores[0]), "machine": [before, machine(cores, options.threads)]}
        for core in cores:
            core.close()
    return found


def machine(cores: Sequence[Process], threads: Sequence[int]) -> dict[str, Any]:
    """By threads how many times what one core does so many do at once; bytes a second that one reads of what another wrote."""
    return {"together": paces(cores, threads), "passed": passing(cores) if len(cores) > 1 else []}


def passing(cores: Sequence[Process], rounds: int = 20) -> list[float]:
    found = []
    for _ in range(rounds):
        cores[1].ask(ask="write")
        found.append(cores[0].ask(ask="read")["bytes"])
    return found


def paces(cores: Sequence[Process], threads: Sequence[int], rounds: int = 5) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {str(n): [] for n in threads}
    for _ in range(rounds):
        alone = cores[0].ask(ask="rate")["flops"]
        for n in threads:
            for core in cores[:n]:
                core.tell(ask="rate")
            found[str(n)].append(sum(core.answer()["flops"] for core in cores[:n]) / alone)
    return found


def floors(work: Workload, floor: Process) -> dict[str, Any]:
    best = floor.ask(ask="floor", nbytes=work.minimum_bytes // 2)
    return {"must": {"flops": work.flops(work.sizes), "bytes": work.minimum_bytes}, "a_second": best}


def show(found: dict[str, Any], options: Options) -> str:
    flops = peak_flops(found)

    def floor_of(name: str, threads: int) -> float:
        must, best = found[name]["must"], {**found[name]["a_second"], "flops": flops}
        return float(max(must[what] / best[what] for what in must)) / threads

    def above(name: str, threads: int, figures: dict[str, float]) -> str:
        return ratio(figures["archspec"] / floor_of(name, threads) if "archspec" in figures else None)

    def alone(name: str, threads: int, figures: dict[str, float]) -> str:
        one = found[name]["threads"].get("1", {}).get("archspec")
        return ratio(one[options.figure] / figures["archspec"] if one and "archspec" in figures else None)

    columns = (
        ("floor", lambda name, threads, _: milliseconds(floor_of(name, threads))),
        ("archspec/floor", above),
        ("archspec: 1 thread/this", alone),
        ("cores together/one", lambda name, threads, _: ratio(together(found[name], threads))),
    )
    return "\n".join([speed.show("A training step", found, options, columns), peaks(found), *passed(found)])


def together(one: dict[str, Any], threads: int) -> float:
    return statistics.median(rate for state in one["machine"] for rate in state["together"][str(threads)])


def passed(found: dict[str, Any]) -> list[str]:
    """How fast one core reads what another wrote, before and after each workload."""
    states = {
        name: [statistics.median(s["passed"]) / 1e9 for s in one["machine"] if s["passed"]] for name, one in found.items()
    }
    rates = ", ".join(f"{name} {' and '.join(f'{rate:.0f}' for rate in one)}" for name, one in states.items() if one)
    return [f"GB/s from one core to another, before and after: {rates}"] if rates else []


def peak_flops(found: dict[str, Any]) -> float:
    """The most multiply-adds a second that were seen, times two."""
    return float(max(one["a_second"]["flops"] for one in found.values()))


def peaks(found: dict[str, Any]) -> str:
    rates = ", ".join(f"{name} {one['a_second']['bytes'] / 1e9:.0f}" for name, one in found.items())
    return f"floor: one core does {peak_flops(found) / 1e9:.0f} GFLOP/s, and GB/s on what a step must touch: {rates}"
