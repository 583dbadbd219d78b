"""What a core can do at best: multiply-adds and bytes per second.

    python -m peers.floor CORE FILE

CORE counts from the last one, 0; FILE is what cores share. Lines as those of `worker`: `{"ask": "floor", "nbytes": N}`
measures the peak of the multiply-add units and how many bytes a second are read and written where N bytes are in use;
`{"ask": "rate"}` how many multiply-adds, times two, this core does in a second right now; `{"ask": "write"}` fills FILE, and
`{"ask": "read"}` measures how many bytes a second of it this core reads.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from matmul import multiply_adds, peak

from peers.worker import private_stdout

RATE_SECONDS = 0.03
SHARED_NBYTES = 1 << 19


def bandwidth(nbytes: int, rounds: int = 30) -> float:
    """Bytes a second of a sum of two arrays that is written onto the first; together they have `nbytes`."""
    a, b = np.zeros(nbytes // 8, np.float32), np.ones(nbytes // 8, np.float32)
    repeats, best = max(1, int(2e7 / nbytes)), float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            np.add(a, b, out=a)
        best = min(best, (time.perf_counter() - start) / repeats)
    return (2 * a.nbytes + b.nbytes) / best


def rate(run: Callable[[int], None], flops: int) -> float:
    """Operations a second, of which each turn of `run` has `flops`."""
    start, turns = time.perf_counter(), 0
    while time.perf_counter() - start < RATE_SECONDS:
        run(10)
        turns += 10
    return turns * flops / (time.perf_counter() - start)


def write(shared: np.ndarray) -> dict[str, float]:
    shared.fill(1)
    return {}


def reading(shared: np.ndarray, own: np.ndarray) -> float:
    start = time.perf_counter()
    np.copyto(own, shared)
    return shared.nbytes / (time.perf_counter() - start)


def main() -> None:
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1 - int(sys.argv[1])]})
    out = private_stdout()
    run, flops = multiply_adds("float32")
    shared, own = np.memmap(sys.argv[2], np.uint8, "r+", shape=(SHARED_NBYTES,)), np.ones(SHARED_NBYTES, np.uint8)
    answers: dict[str, Callable[[dict[str, Any]], dict[str, float]]] = {
        "floor": lambda request: {"flops": 1e9 * peak("float32", 30), "bytes": bandwidth(request["nbytes"])},
        "rate": lambda _: {"flops": rate(run, flops)},
        "write": lambda _: write(shared),
        "read": lambda _: {"bytes": reading(shared, own)},
    }
    for line in sys.stdin:
        request = json.loads(line)
        out.write(json.dumps(answers[request["ask"]](request)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
