"""Whether the weights of archspec after 100 steps are the same bits for any number of threads."""

from __future__ import annotations

from typing import Any

from peers.crew import Worker

from parts.options import Options
from parts.tables import table

STEPS = 100
THREADS = (1, 2, 3, 4)


def measure(options: Options) -> dict[str, Any]:
    """SHA-256 of all weights by workload and number of threads."""
    return {name: {str(n): weights_hash(name, n) for n in THREADS} for name in options.workloads}


def weights_hash(workload: str, threads: int) -> str:
    worker = Worker("archspec", workload, threads)
    worker.ready()
    worker.run(STEPS - 1)
    found = str(worker.ask(ask="hash")["sha256"])
    worker.close()
    return found


def show(found: dict[str, Any], options: Options) -> str:
    rows = [
        [name, *(digest[:8] for digest in one.values()), "same" if len(set(one.values())) == 1 else "DIFFERENT"]
        for name, one in found.items()
    ]
    heads = ["", *(f"{n} thread{'s' if n > 1 else ''}" for n in THREADS), ""]
    return table(f"SHA-256 of the weights after {STEPS} steps", heads, rows)
