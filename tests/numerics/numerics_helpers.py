"""Specs that many tests share, compiled once a session, and central differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

import archspec

EPS, RTOL, ATOL = 1e-6, 1e-3, 1e-5
PRECISIONS = ("f64", "f32")


@cache
def spec_of(text: str) -> archspec.Spec:
    return archspec.loads(text)


@cache
def compiled(text: str, precision: str = "f64", threads: int = 1, seed: int = 0, **dims: int) -> Any:
    """The program of a spec. Shared by tests: each sets the weights that it needs."""
    return spec_of(text).compile(dims=dims, precision=precision, threads=threads, seed=seed)


@contextmanager
def program_of(text: str, **options: Any) -> Iterator[Any]:
    """A program of one test's own, closed at its end."""
    program = spec_of(text).compile(**options)
    try:
        yield program
    finally:
        program.close()


def randomise(program: Any, seed: int = 0, scale: float = 0.5) -> None:
    """Normal weights: none stands at 0 or 1, where a wrong formula may look right."""
    rng = np.random.default_rng(seed)
    for path in program.weights:
        program.weights[path] = scale * rng.normal(size=program.weights[path].shape)


def central_differences(loss: Callable[[], float], program: Any, path: str) -> np.ndarray:
    """d loss / d weight, one element at a time."""
    start = program.weights[path]
    found = np.empty_like(start)
    for place in np.ndindex(start.shape):
        ends = []
        for sign in (1.0, -1.0):
            moved = start.copy()
            moved[place] += sign * EPS
            program.weights[path] = moved
            ends.append(loss())
        found[place] = (ends[0] - ends[1]) / (2 * EPS)
    program.weights[path] = start
    return found


def check_gradient(program: Any, **inputs: Any) -> None:
    """Every gradient against central differences."""
    _, gradient = program.gradient(**inputs)
    for path, found in gradient.items():
        expected = central_differences(lambda: program.loss(**inputs), program, path)
        np.testing.assert_allclose(found, expected, RTOL, ATOL, err_msg=path)
