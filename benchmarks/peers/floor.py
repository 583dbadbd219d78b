"""What the machine can do at best, measured on one core: multiply-adds and bytes per second.

    python -m peers.floor

Lines as those of `worker`: `{"ask": "floor", "nbytes": N}` measures the peak of the multiply-add units and how many
bytes a second are read and written where N bytes are in use.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from matmul import peak

from peers.worker import own_cores, private_stdout


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


def main() -> None:
    own_cores(1)
    out = private_stdout()
    for line in sys.stdin:
        found = {"flops": 1e9 * peak("float32", 30), "bytes": bandwidth(json.loads(line)["nbytes"])}
        out.write(json.dumps(found) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
