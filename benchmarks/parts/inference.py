"""The latency of a forward pass on one sequence or one row, from arrays to scores."""

from __future__ import annotations

from typing import Any

from parts import speed
from parts.options import Options

WORKLOADS = ("perceptron", "gpt")


def measure(options: Options) -> dict[str, Any]:
    return {name: speed.measure(name, options, "infer", {"B": 1}) for name in WORKLOADS if name in options.workloads}


def show(found: dict[str, Any], options: Options) -> str:
    return speed.show("A forward pass on a batch of one", found, options)
