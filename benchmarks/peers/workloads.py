"""The five workloads: their sizes, their batches, and what a step cannot do without.

Letters are those of the specs: B rows, F features, K classes, V symbols, T places, D, E, H widths, L layers, N heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SPECS = Path(__file__).parents[1] / "specs"
Array = np.ndarray
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Field:
    """An input: its name in the spec, its axes, and the axis that it indexes; without one it holds numbers in [0, 1)."""

    name: str
    axes: str
    of: str | None = None

    def draw(self, sizes: Sizes, random: np.random.Generator) -> Array:
        shape = [sizes[axis] for axis in self.axes]
        return random.integers(0, sizes[self.of], shape) if self.of else random.random(shape, np.float32)


@dataclass(frozen=True)
class Workload:
    """A model with the sizes of all its letters. `settings` are those that are a `let` of its spec; the rest are axes.

    `parameters` and `flops` are functions of the sizes: how many weights, and the floating-point operations of a step's
    products: forward, gradients of weights, gradients of inputs where there is something to train before them.
    """

    name: str
    model: str
    sizes: Sizes
    settings: str
    inputs: tuple[Field, Field]
    parameters: Callable[[Sizes], int]
    flops: Callable[[Sizes], int]

    @property
    def spec(self) -> Path:
        return SPECS / f"{self.name}.arch"

    @property
    def dims(self) -> dict[str, int]:
        """The sizes of the axes that the spec leaves open, the batch aside."""
        return {name: size for name, size in self.sizes.items() if name not in self.settings + "B"}

    @property
    def lets(self) -> dict[str, int]:
        return {name: self.sizes[name] for name in self.settings}

    @property
    def minimum_bytes(self) -> int:
        """What a step moves at least: weights and both moments of Adam are read and written once."""
        return 6 * 4 * self.parameters(self.sizes)

    def sized(self, **sizes: int) -> Workload:
        return replace(self, sizes={**self.sizes, **sizes})

    def batches(self, seed: int = 0) -> tuple[list[Array], list[Array]]:
        """Inputs and targets in lists of different lengths, so that 272 pairs meet and no target can be learned by heart:
        gradients stay of the size that they have in training."""
        random = np.random.default_rng(seed)
        first, second = self.inputs
        return [first.draw(self.sizes, random) for _ in range(16)], [second.draw(self.sizes, random) for _ in range(17)]


def layer_widths(s: Sizes) -> list[tuple[int, int]]:
    widths = [s["F"], *[s["H"]] * s["L"], s["K"]]
    return list(pairwise(widths))


def perceptron_parameters(s: Sizes) -> int:
    return sum(a * b + b for a, b in layer_widths(s))


def perceptron_flops(s: Sizes) -> int:
    sizes = [a * b for a, b in layer_widths(s)]
    return 2 * s["B"] * (2 * sum(sizes) + sum(sizes[1:]))


def lstm_layers(s: Sizes) -> int:
    """Elements of W and U of all layers."""
    return sum(((s["H"] if layer else s["E"]) + s["H"]) * 4 * s["H"] for layer in range(s["L"]))


def lstm_parameters(s: Sizes) -> int:
    return s["V"] * s["E"] + lstm_layers(s) + s["L"] * 4 * s["H"] + s["H"] * s["V"] + s["V"]


def lstm_flops(s: Sizes) -> int:
    return 3 * 2 * s["B"] * s["T"] * (lstm_layers(s) + s["H"] * s["V"])


def gpt_parameters(s: Sizes) -> int:
    D = s["D"]
    return 2 * s["V"] * D + s["T"] * D + s["L"] * (12 * D * D + 13 * D) + 2 * D


def gpt_flops(s: Sizes) -> int:
    """Of the T x T scores only those are counted that a place may see."""
    D, T = s["D"], s["T"]
    scores = 2 * T * (T + 1) // 2 * D * s["L"]
    return 3 * 2 * s["B"] * (T * (12 * D * D * s["L"] + D * s["V"]) + scores)


def cnn_features(s: Sizes) -> int:
    return s["C"] * (s["I"] // 4) * (s["J"] // 4)


def cnn_parameters(s: Sizes) -> int:
    A, C, H, K = s["A"], s["C"], s["H"], s["K"]
    return 9 * A + A + 9 * A * C + C + cnn_features(s) * H + H + H * K + K


def cnn_flops(s: Sizes) -> int:
    A, C, H, K, points = s["A"], s["C"], s["H"], s["K"], s["I"] * s["J"]
    rest = points // 4 * 9 * A * C + cnn_features(s) * H + H * K
    return 2 * s["B"] * (2 * points * 9 * A + 3 * rest)


ROWS = (Field("x", "BF"), Field("y", "B", "K"))
TEXT = (Field("ids", "BT", "V"), Field("next", "BT", "V"))

WORKLOADS = {
    work.name: work
    for work in (
        Workload(
            "perceptron",
            "perceptron",
            {"B": 128, "F": 784, "H": 512, "L": 2, "K": 10},
            "HL",
            ROWS,
            perceptron_parameters,
            perceptron_flops,
        ),
        Workload(
            "tiny",
            "perceptron",
            {"B": 32, "F": 64, "H": 128, "L": 1, "K": 10},
            "HL",
            ROWS,
            perceptron_parameters,
            perceptron_flops,
        ),
        Workload(
            "lstm", "lstm", {"B": 32, "T": 100, "V": 65, "E": 128, "H": 128, "L": 2}, "EHL", TEXT, lstm_parameters, lstm_flops
        ),
        Workload("gpt", "gpt", {"B": 12, "T": 64, "V": 65, "D": 128, "N": 4, "L": 4}, "DNL", TEXT, gpt_parameters, gpt_flops),
        Workload(
            "cnn",
            "cnn",
            {"B": 64, "F": 784, "I": 28, "J": 28, "A": 32, "C": 64, "H": 128, "K": 10},
            "ACH",
            ROWS,
            cnn_parameters,
            cnn_flops,
        ),
    )
}


def from_message(message: Mapping[str, Any]) -> Workload:
    """The workload that a worker is told of: its name, and sizes that differ."""
    return WORKLOADS[message["workload"]].sized(**message.get("sizes", {}))
