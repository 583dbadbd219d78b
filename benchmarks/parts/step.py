"""The time of a training step: forward, loss, backward, Adam, on a fresh batch."""

from __future__ import annotations

import statistics
from typing import Any

from peers.crew import Process, Worker, environment, in_turns, start_all
from peers.workloads import WORKLOADS, Workload

from parts.options import Options
from parts.tables import geometric_mean, milliseconds, over_fastest_peer, ratio, table


def measure(options: Options) -> dict[str, Any]:
    """For each workload: floors in seconds, and by threads and peer the seconds of a step in every round."""
    floor = Process("peers.floor", env=environment(1), name="floor")
    found = {name: measure_one(WORKLOADS[name], options, floor) for name in options.workloads}
    floor.close()
    return found


def measure_one(work: Workload, options: Options, floor: Process) -> dict[str, Any]:
    pairs = [(peer, threads) for threads in options.threads for peer in options.peers]
    workers, words = start_all([Worker(peer, work.name, threads) for peer, threads in pairs])
    seconds = in_turns(workers, options.rounds, options.turn_seconds)
    by_threads = {
        str(threads): {w.peer: summary(seconds[w]) for w in workers if w.threads == threads} for threads in options.threads
    }
    for worker in workers:
        worker.close()
    best = floor.ask(ask="floor", nbytes=work.minimum_bytes // 2)
    floors = {"flops": work.flops(work.sizes) / best["flops"], "bytes": work.minimum_bytes / best["bytes"]}
    return {"floor_seconds": floors, "peak": best, "threads": by_threads, "left_out": words}


def summary(seconds: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(seconds), "best": min(seconds), "rounds": seconds}


def floor_of(found: dict[str, Any], threads: int) -> float:
    """Seconds that no step can pass, each core at its best."""
    return float(max(found["floor_seconds"].values())) / threads


def show(found: dict[str, Any], options: Options) -> str:
    return "\n".join([*(show_one(found, options, figure) for figure in ("median", "best")), *left_out(found), peaks(found)])


def show_one(found: dict[str, Any], options: Options, figure: str) -> str:
    rows, ratios = [], {}
    for threads in options.threads:
        ratios[threads] = []
        for name, one in found.items():
            figures = {peer: value[figure] for peer, value in one["threads"][str(threads)].items()}
            rows.append(row_of(name, one, threads, figures, figure, options))
            ratios[threads] += [over_fastest_peer(figures)]
    means = [
        f"geometric mean at {t} threads: {ratio(geometric_mean([r for r in values if r]))}"
        for t, values in ratios.items()
        if any(values)
    ]
    heads = ["", "threads", *options.peers, "peer/archspec", "floor", "archspec/floor", "1 thread/this"]
    title = f"A training step, {figure} of {options.rounds} turns, ms; of the peers the fastest counts"
    return "\n".join([table(title, heads, rows), *means])


def row_of(name: str, one: dict[str, Any], threads: int, figures: dict[str, float], figure: str, options: Options) -> list[str]:
    ours, floor = figures.get("archspec"), floor_of(one, threads)
    alone = one["threads"].get("1", {}).get("archspec", {}).get(figure)
    return [
        name,
        str(threads),
        *(milliseconds(figures.get(peer)) for peer in options.peers),
        ratio(over_fastest_peer(figures)),
        milliseconds(floor),
        ratio(ours / floor if ours else None),
        ratio(alone / ours if ours and alone else None),
    ]


def left_out(found: dict[str, Any]) -> list[str]:
    return [f"left out: {words}" for one in found.values() for words in one["left_out"]]


def peaks(found: dict[str, Any]) -> str:
    best = max(one["peak"]["flops"] for one in found.values())
    rates = ", ".join(f"{name} {one['peak']['bytes'] / 1e9:.0f}" for name, one in found.items())
    return f"one core: {best / 1e9:.0f} GFLOP/s; GB/s on what a step must touch: {rates}"
