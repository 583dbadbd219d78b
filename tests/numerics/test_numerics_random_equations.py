"""Random index equations mean what loops over their points say, from lowering to the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from python_kernels import run
from random_equations import SIZES, TENSORS, Equation, equation
from reference import interpret
from test_numerics_random import assert_same

import archspec

SEEDS, EACH = 12, 5


def spec_of(equations: list[Equation]) -> archspec.Spec:
    sizes = ", ".join(f"{axis} = {size}" for axis, size in SIZES.items())
    weights = "\n".join(f"  weight {name}[{','.join(axes)}]" for name, axes in TENSORS.items())
    results = ", ".join(f"y{n}[{','.join(e.axes)}]" for n, e in enumerate(equations))
    loss = " + ".join(f"{n + 1} * mean(y{n}^2)" for n in range(len(equations)))
    lines = "\n".join(f"  {e.line}" for e in equations)
    return archspec.loads(f"dim {sizes}\nmodel m() -> ({results}) {{\n{weights}\n{lines}\n}}\ntrain {{ loss = {loss} }}")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_equations(seed):
    equations = [equation(seed * EACH + n, f"y{n}") for n in range(EACH)]
    rng = np.random.default_rng(seed)
    tensors = {name: rng.normal(size=[SIZES[axis] for axis in axes]) for name, axes in TENSORS.items()}
    weights = {f"m/{name}": tensor for name, tensor in tensors.items()}
    meaning = {f"y{n}": e.meaning(tensors) for n, e in enumerate(equations)}
    stages = spec_of(equations).stages()
    assert_same(interpret(stages.forward, {}, weights), meaning)
    assert_same(run(stages.forward, {}, weights, threads=2), meaning)
    backward = interpret(stages.backward, {}, weights)
    loss = sum((n + 1) * np.mean(meaning[f"y{n}"] ** 2) for n in range(EACH))
    assert backward["loss"] == pytest.approx(loss, rel=1e-9)
    assert_same(run(stages.optimised, {}, weights, threads=3), backward)
