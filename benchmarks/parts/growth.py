"""How a step of archspec grows: with the length and the batch of an LSTM, the length and the depth of a GPT."""

from __future__ import annotations

import statistics
from typing import Any

from peers.crew import Worker, in_turns
from peers.workloads import WORKLOADS

from parts.options import Options
from parts.tables import mebibytes, milliseconds, ratio, table

FACTORS = (1, 4, 16)
LENGTH = 4096


def measure(options: Options) -> dict[str, Any]:
    """Seconds of a step for each case, beside the factor by which the work has grown; and bytes of a long GPT."""
    found: dict[str, Any] = {}
    if "lstm" in options.workloads:
        sizes = WORKLOADS["lstm"].sizes
        found |= {f"lstm {axis}": steps("lstm", axis, [(k, sizes[axis] * k) for k in FACTORS], options) for axis in "TB"}
    if "gpt" in options.workloads:
        found["gpt L"] = steps("gpt", "L", [(1, 4), (12, 48)], options)
        found["long"] = long_attention(options.threads[-1])
    return found


def steps(workload: str, axis: str, cases: list[tuple[int, int]], options: Options) -> list[dict[str, float]]:
    workers = [Worker("archspec", workload, options.threads[0], {axis: size}) for _, size in cases]
    for worker in workers:
        worker.ready()
    turns = in_turns(workers, options.rounds, options.turn_seconds)
    for worker in workers:
        worker.close()
    seconds = [statistics.median(turn.seconds for turn in turns[worker]) for worker in workers]
    return [{"size": size, "factor": k, "seconds": s} for (k, size), s in zip(cases, seconds, strict=True)]


def long_attention(threads: int) -> dict[str, float]:
    """The peak memory and the seconds of the second step of a GPT on one long sequence."""
    worker = Worker("archspec", "gpt", threads, {"T": LENGTH, "B": 1})
    worker.ready()
    found = {"seconds": worker.run(1).seconds, "peak_bytes": worker.peak_bytes()}
    worker.close()
    return found


def show(found: dict[str, Any], options: Options) -> str:
    rows = []
    for name, cases in found.items():
        if name == "long":
            continue
        first = cases[0]["seconds"]
        for case in cases:
            grown = case["seconds"] / first
            rows.append([name, str(case["size"]), milliseconds(case["seconds"]), ratio(grown), ratio(grown / case["factor"])])
    lines = [table("How a step of archspec grows, median, ms", ["", "size", "step", "times", "times/factor"], rows)]
    if "long" in found:
        peak, seconds = mebibytes(found["long"]["peak_bytes"]), found["long"]["seconds"]
        lines += ["", f"GPT, one sequence of {LENGTH}: {peak} MiB at its peak, {seconds:.1f} s a step"]
    return "\n".join(lines)
