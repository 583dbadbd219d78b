"""From the start of a process to the end of its first step, with empty caches and with those of an earlier run.

archspec and compiled PyTorch keep what they compile by default. JAX does where its users ask for it; without that every
start is one with an empty cache. Eager PyTorch compiles nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers.crew import Worker, WorkerFailed, environment
from peers.workloads import WORKLOADS, Workload

from parts.folders import lay_out
from parts.load import own_seconds
from parts.options import Options
from parts.tables import mebibytes, table

WARM_STARTS = 3
STEPS = 20
CLOCKS = {"seconds": "on the wall", "processor": "processor time"}


def measure(options: Options) -> dict[str, Any]:
    """By workload and peer, at the last number of threads: seconds and peak bytes, cold and warm; and `archspec run`."""
    threads = options.threads[-1]
    return {name: measure_one(WORKLOADS[name], options.peers, threads) for name in options.workloads}


def measure_one(work: Workload, peers: tuple[str, ...], threads: int) -> dict[str, Any]:
    found = {}
    for peer in peers:
        with tempfile.TemporaryDirectory() as folder:
            starts = [start(peer, work, threads, Path(folder)) for _ in range(1 + WARM_STARTS)]
        found[peer] = cold_and_warm(starts)
    if "archspec" in peers:
        with tempfile.TemporaryDirectory() as folder:
            found["archspec run"] = cold_and_warm([run(work, threads, Path(folder)) for _ in range(1 + WARM_STARTS)])
    return found


def cold_and_warm(starts: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """The first of the starts, and the medians of the others."""
    cold, *warm = starts
    return {"cold": cold, "warm": {name: statistics.median(one[name] for one in warm) for name in cold}}


def start(peer: str, work: Workload, threads: int, folder: Path) -> dict[str, float]:
    """Seconds to the end of the first step, and the peak memory of the process after some more."""
    caches = {"JAX_COMPILATION_CACHE_DIR": str(folder / "jax"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    worker = Worker(peer, work.name, threads, env=environment(threads, folder, **caches))
    try:
        took = worker.ready()
        worker.run(STEPS)
        return {"seconds": took.seconds, "processor": took.processor, "peak_bytes": worker.peak_bytes()}
    finally:
        worker.close()


def run(work: Workload, threads: int, folder: Path) -> dict[str, float]:
    """Seconds of a whole `archspec run` of one step, its files written."""
    spec = lay_out(work, folder)
    command = [sys.executable, "-m", "archspec", "run", str(spec), "--set", "steps=1", "--threads", str(threads), "--quiet"]
    with tempfile.TemporaryDirectory() as out:
        begin, before = time.perf_counter(), own_seconds()
        done = subprocess.run(
            [*command, "--out", f"{out}/run"], env=environment(threads, folder), capture_output=True, text=True, check=False
        )
        found = {"seconds": time.perf_counter() - begin, "processor": own_seconds() - before}
    if done.returncode != 0:
        raise WorkerFailed(f"archspec run on {work.name}:\n{done.stderr}")
    return found


def show(found: dict[str, Any], options: Options) -> str:
    clock = "processor" if options.figure == "processor" else "seconds"
    seconds = rows_of(found, clock, lambda value: f"{value:.2f}")
    peaks = rows_of(found, "peak_bytes", mebibytes)
    heads = ["", "", *next(iter(found.values()))]
    n = options.threads[-1]
    return "\n".join(
        [
            table(
                f"From the start of the process to the end of its first step, {n} threads, s: {CLOCKS[clock]}", heads, seconds
            ),
            table(f"Peak memory of the process after {STEPS} steps, {n} threads, MiB", heads, peaks),
            "cold: nothing in the caches; warm: filled by an earlier run (JAX keeps one only where it is told to)",
        ]
    )


def rows_of(found: dict[str, Any], what: str, text: Any) -> list[list[str]]:
    rows = []
    for name, peers in found.items():
        for state in ("cold", "warm"):
            rows.append([name, state, *(text(one[state][what]) if what in one[state] else "-" for one in peers.values())])
    return rows
