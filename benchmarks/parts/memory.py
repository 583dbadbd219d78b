"""Memory: of the process, in which each library is as it comes, and of archspec's plan against its lower bound."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers.crew import Worker, environment
from peers.workloads import WORKLOADS, Workload

from parts.folders import lay_out
from parts.options import Options
from parts.tables import mebibytes, over_fastest_peer, ratio, table

STEPS = 20
KEEP_CODE = ("archspec", "compiled")  # peers that find what they have compiled again, as they come


def measure(options: Options) -> dict[str, Any]:
    """By workload: peak bytes by threads and peer, and what `archspec show --step` says of the plan."""
    return {
        name: {
            "peak_bytes": {str(n): {p: peak(p, name, n) for p in options.peers} for n in options.threads},
            "plan": plan(WORKLOADS[name]),
        }
        for name in options.workloads
    }


def peak(peer: str, workload: str, threads: int) -> int:
    """Peak bytes of a process that finds the caches as an earlier one has left them."""
    for _ in range(2 if peer in KEEP_CODE else 1):
        worker = Worker(peer, workload, threads)
        worker.ready()
        worker.run(STEPS)
        found = worker.peak_bytes()
        worker.close()
    return found


def plan(work: Workload) -> dict[str, int]:
    """The bytes of a step as planned; `arena_bytes` are those of the values in between."""
    with tempfile.TemporaryDirectory() as folder:
        spec = lay_out(work, Path(folder))
        command = [sys.executable, "-m", "archspec", "show", str(spec), "--step", "--json", "--size", f"B={work.sizes['B']}"]
        shown = subprocess.run(command, env=environment(1), capture_output=True, text=True, check=True)
    step = json.loads(shown.stdout)["step"]
    return {name: value for name, value in step.items() if name.endswith("bytes")}


def show(found: dict[str, Any], options: Options) -> str:
    peaks = []
    for name, one in found.items():
        for n in options.threads:
            figures = one["peak_bytes"][str(n)]
            shown = [mebibytes(figures[peer]) for peer in options.peers]
            peaks.append([name, str(n), *shown, ratio(over_fastest_peer(figures))])
    heads = ["", "threads", *options.peers, "least peer/archspec"]
    plans = [
        [name, mebibytes(p["bytes"]), mebibytes(p["arena_bytes"]), ratio(p["arena_bytes"] / p["lower_bound_bytes"])]
        for name, p in ((name, one["plan"]) for name, one in found.items())
    ]
    return "\n".join(
        [
            table(f"Peak memory of the process, {STEPS} steps, caches filled where the library keeps any, MiB", heads, peaks),
            table("A step of archspec as planned, MiB", ["", "whole", "scratch", "scratch/lower bound"], plans),
        ]
    )
