"""Random recurrences mean what loops over their steps say, from lowering to the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from python_kernels import run
from random_recurrences import ROWS, WIDTH, Recurrence
from reference import interpret
from test_numerics_random import assert_same

import archspec


@pytest.mark.parametrize("seed", range(30))
def test_random_recurrences(seed):
    made, rng = Recurrence(seed), np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, made.steps, WIDTH))
    for row, length in zip(x, made.lengths, strict=True):
        row[length:] = 0
    weights = {name: 0.7 * rng.normal(size=shape) for name, shape in made.weights.items()}
    inputs = {"x": x, "T": np.array(made.lengths)} if made.ragged else {"x": x}
    stages = archspec.loads(made.text).stages()
    given = {f"m/{name}": weights[name] for name in weights}
    meaning = made.meaning(x, weights)
    for found in (interpret(stages.forward, inputs, given), run(stages.forward, inputs, given, threads=2)):
        for b, row in enumerate(meaning):
            cut = {name: a[b] if name == "z" else a[b, : made.lengths[b]] for name, a in found.items()}
            assert_same(cut, row)
    backward = interpret(stages.backward, inputs, given)
    h, c, z = (np.concatenate([np.atleast_2d(row[name]) for row in meaning]) for name in "hcz")
    assert backward["loss"] == pytest.approx(np.mean(h**2) + np.mean(z**2) + np.mean(abs(c)), rel=1e-9)
    assert_same(run(stages.optimised, inputs, given, threads=3), backward)
