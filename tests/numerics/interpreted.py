"""A spec run by the interpreter of its graphs, with the face of a compiled program: tiny, and nothing to compile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numerics_helpers import spec_of
from reference import interpret, interpret_all

import archspec


class Interpreted:
    """`weights`, `forward` and `gradient` of a spec, from the graphs before any optimisation but those of evaluation."""

    def __init__(self, spec: str | archspec.Spec, **dims: int) -> None:
        self.stages = (spec_of(spec) if isinstance(spec, str) else spec).stages(dims=dims)
        sizes = self.stages.graph.sizes
        self.weights = {
            path: np.zeros([a.size.evaluate(sizes) for a in spec.axes]) for path, spec in self.stages.graph.specs.items()
        }

    def forward(self, **inputs: Any) -> dict[str, Any]:
        return interpret(self.stages.forward, inputs, self.weights)

    def gradient(self, **inputs: Any) -> tuple[float, dict[str, Any]]:
        found = interpret(self.stages.backward, inputs, self.weights)
        gradients = {n.removeprefix("gradient:"): a for n, a in found.items() if n.startswith("gradient:")}
        return float(found["loss"]), gradients

    def draws(self, **inputs: Any) -> list[Any]:
        """The random numbers that `gradient` draws, in the order of the graph."""
        graph = self.stages.backward
        every = interpret_all(graph, inputs, self.weights)
        return [every[number] for number, node in graph if node.op == "random"]
