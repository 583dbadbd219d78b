"""The workloads as specs, by the Python face of archspec."""

from __future__ import annotations

import archspec
from peers.peer import Peer
from peers.workloads import Workload


def make(work: Workload, threads: int, variant: str) -> Peer:
    program = archspec.load(work.spec, set=work.lets).compile(work.dims, threads=threads)
    first, second = (field.name for field in work.inputs)
    [result] = program.results
    return Peer(
        step=lambda x, y: program.step(**{first: x, second: y}),
        wait=lambda: None,
        forward=lambda x: program.forward(**{first: x})[result],
        parameters=sum(array.size for array in program.weights.values()),
        weights=lambda: dict(program.weights),
    )
