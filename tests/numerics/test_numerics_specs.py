"""The gradient of every spec under specs/, compiled in float64, against central differences of its loss.

The loss is that of training: dropout and noise are functions of the step, so the same step draws them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numerics_helpers import EPS
from support import REPOSITORY

import archspec
from archspec.data.ragged import Ragged

FOLDER = REPOSITORY / "specs"
LIBRARIES = {"blocks"}  # without a model
SPECS = sorted({path.stem for path in FOLDER.glob("*.arch")} - LIBRARIES)
SETTINGS: dict[str, dict[str, Any]] = {"gpt": {"p": 0.2}, "transformer": {"p": 0.1}, "perceptron": {"L": 3}}
ROWS = 5
RTOL, ATOL = 1e-5, 1e-8
ATTEMPTS = 4  # directions tried for a weight where relu, a maximum or a choice has a kink on the way


def batch(spec: archspec.Spec) -> dict[str, Any]:
    """The first rows of the training part."""
    data = spec.data()
    rows = data.parts["train"][:ROWS]
    return {f.name: f.array.take(rows) if isinstance(f.array, Ragged) else f.array[rows] for f in data.fields}


def slopes(loss: Callable[[float], float]) -> tuple[float, float]:
    """The slopes of a function at 0, from the left and from the right."""
    low, middle, high = (loss(at) for at in (-EPS, 0.0, EPS))
    return (middle - low) / EPS, (high - middle) / EPS


def check_along(program: Any, inputs: dict[str, Any], path: str, slope: np.ndarray, rng: np.random.Generator) -> None:
    """The gradient of one weight along a random direction in which the loss is smooth."""
    start = program.weights[path].copy()

    def loss(at: float) -> float:
        program.weights[path] = start + at * direction
        return program.gradient(**inputs)[0]

    for _ in range(ATTEMPTS):
        direction = rng.normal(size=start.shape)
        direction /= np.linalg.norm(direction)
        left, right = slopes(loss)
        program.weights[path] = start
        expected = (left + right) / 2
        close = abs(float((slope * direction).sum()) - expected) <= ATOL + RTOL * abs(expected)
        if close or abs(left - right) <= ATOL + 1e-3 * abs(expected):  # no kink: the direction counts
            assert close, f"{path}: {float((slope * direction).sum())} and by differences {expected}"
            return
    raise AssertionError(f"{path}: the loss has a kink in every direction")


@pytest.mark.parametrize("name", SPECS)
def test_gradient(name):
    spec = archspec.load(FOLDER / f"{name}.arch", set=SETTINGS.get(name, {}))
    inputs, rng = batch(spec), np.random.default_rng(0)
    program = spec.compile(precision="f64")
    try:
        for path in program.weights:
            program.weights[path] = program.weights[path] + 0.05 * rng.normal(size=program.weights[path].shape)
        loss, gradient = program.gradient(**inputs)
        assert np.isfinite(loss) and gradient
        for path, slope in gradient.items():
            check_along(program, inputs, path, slope, rng)
    finally:
        program.close()
