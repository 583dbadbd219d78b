"""The time of a training step: forward, loss, backward, Adam, on a fresh batch."""

from __future__ import annotations

from typing import Any

from peers.crew import Process, environment
from peers.workloads import WORKLOADS, Workload

from parts import speed
from parts.options import Options
from parts.tables import milliseconds, ratio


def measure(options: Options) -> dict[str, Any]:
    """For each workload: what a step must do and what a core does in a second; by threads and peer what a step takes."""
    floor = Process("peers.floor", env=environment(1), name="floor")
    found = {name: {**speed.measure(name, options), **floors(WORKLOADS[name], floor)} for name in options.workloads}
    floor.close()
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
    )
    return "\n".join([speed.show("A training step", found, options, columns), peaks(found)])


def peak_flops(found: dict[str, Any]) -> float:
    """The most multiply-adds a second that were seen, times two."""
    return float(max(one["a_second"]["flops"] for one in found.values()))


def peaks(found: dict[str, Any]) -> str:
    rates = ", ".join(f"{name} {one['a_second']['bytes'] / 1e9:.0f}" for name, one in found.items())
    return f"floor: one core does {peak_flops(found) / 1e9:.0f} GFLOP/s, and GB/s on what a step must touch: {rates}"
