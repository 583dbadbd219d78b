"""Runs graphs made by hand through plan, code and machine, without a spec around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from archspec.codegen.build import build, driver_code
from archspec.codegen.link import Linked
from archspec.ir.graph import Graph
from archspec.plan import make_plan
from archspec.runtime.executor import Executor, Table
from archspec.runtime.stage import Arena, Native, Stage


def run_compiled(
    graph: Graph, inputs: Mapping[str, Any], weights: Mapping[str, Any], threads: int = 1
) -> dict[str, np.ndarray]:
    """The outputs of a graph in float64. Scratch memory starts as NaN."""
    plan, linked = make_plan(graph), Linked()
    natives = {s: Native(linked.load(c.machine_code), c.scratch) for s, c in build(plan.kernels, "f8").items()}
    fixed = {f"weight:{path}": np.array(weights[path], float) for path in graph.weights}
    stage = Stage(plan, natives, Arena(), "f8", threads, 0, np.zeros(1, np.int64), fixed)
    bound = stage.bind_shapes(tuple(np.shape(inputs[name]) for name in graph.inputs))
    stage.arena.bytes[:] = 0xFF
    for name, array in bound.inputs.items():
        array[...] = inputs[name]
    executor = Executor(lambda name: linked.load(driver_code(name)), threads)
    executor.run(Table(bound.rows))
    executor.close()
    return {name: bound.outputs[name].copy() for name in graph.outputs}
