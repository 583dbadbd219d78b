"""One peer with one workload in a process of its own, which does nothing but what it is asked to, line by line.

    python -m peers.worker '{"peer": "archspec", "workload": "gpt", "sizes": {}, "threads": 1, "do": "train"}'

It first takes a step (`"do": "train"`) or a forward pass (`"do": "infer"`) and answers with the number of parameters and
the processor time so far, that of processes which it has started and seen end included.
Then each line asks for `{"ask": "run", "count": N}` (N steps or passes), `"usage"` or `"hash"`; requests and answers are
JSON. What libraries print goes to stderr.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import numpy as np

from peers.peer import Peer
from peers.workloads import Array, Workload, from_message

MODULES = {"archspec": "archspec_peer", "eager": "torch_peer", "compiled": "torch_peer", "jax": "jax_peer"}


def own_cores(threads: int) -> None:
    """The last `threads` cores that the process may use, so that no library takes more than it was given."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def make_peer(name: str, work: Workload, threads: int) -> Peer:
    return importlib.import_module(f"peers.{MODULES[name]}").make(work, threads, name)


def in_its_types(arrays: list[Array], indices: str) -> list[Array]:
    return [array.astype(indices) if array.dtype == np.int64 else array for array in arrays]


def pairs(xs: list[Array], ys: list[Array]) -> Iterator[tuple[Array, Array]]:
    i = 0
    while True:
        yield xs[i % len(xs)], ys[i % len(ys)]
        i += 1


def runner(peer: Peer, work: Workload, what: str) -> Callable[[int], None]:
    """A function that takes a number of steps, or of forward passes, each on the next batch."""
    xs, ys = (in_its_types(arrays, peer.indices) for arrays in work.batches())
    batches = pairs(xs, ys)

    def train(count: int) -> None:
        for _ in range(count):
            peer.step(*next(batches))
        peer.wait()

    def infer(count: int) -> None:
        for _ in range(count):
            peer.forward(next(batches)[0])

    return {"train": train, "infer": infer}[what]


def peak_bytes() -> int:
    """The most memory that the process has held. `ru_maxrss` would also count what its parent held when it forked."""
    with open("/proc/self/status", encoding="ascii") as file:
        [line] = [line for line in file if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def digest(weights: dict[str, Array]) -> str:
    found = hashlib.sha256()
    for path in sorted(weights):
        found.update(np.ascontiguousarray(weights[path]).tobytes())
    return found.hexdigest()


def answer(request: dict[str, Any], run: Callable[[int], None], peer: Peer) -> dict[str, Any]:
    if request["ask"] == "usage":
        return {"peak_bytes": peak_bytes()}
    if request["ask"] == "hash":
        assert peer.weights is not None
        return {"sha256": digest(peer.weights())}
    start, processor = time.perf_counter(), time.process_time()
    run(request["count"])
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor}


def private_stdout() -> TextIO:
    """A file on stdout's place; whatever else is printed goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def main() -> None:
    message = json.loads(sys.argv[1])
    own_cores(message["threads"])
    out = private_stdout()

    def say(found: dict[str, Any]) -> None:
        out.write(json.dumps(found) + "\n")
        out.flush()

    work = from_message(message)
    peer = make_peer(message["peer"], work, message["threads"])
    run = runner(peer, work, message["do"])
    run(1)
    say({"parameters": peer.parameters, "processor": sum(os.times()[:4])})
    for line in sys.stdin:
        say(answer(json.loads(line), run, peer))


if __name__ == "__main__":
    main()
