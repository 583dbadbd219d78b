"""Numbers too small for a whole mantissa: zero while a table runs, and untouched for everybody else."""

import numpy as np
import pytest

import archspec

SPEC = """
dim B, F, K
model m(x[B,F]) -> z[B,K] { z = x |> linear(8) |> relu |> linear(K) }
data { source = npz("none.npz")
  x[B,F] = source["x"]
  y[B]: K = source["y"] }
train { loss = cross_entropy(z, y)
  optimizer = adam(lr=1e-3) }
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_what_fades_away_becomes_zero(threads):
    """A dead unit: its averages fade by a tenth a step, and would be subnormal after some eight hundred steps."""
    program = archspec.loads(SPEC).compile({"F": 4, "K": 3}, threads=threads)
    random = np.random.default_rng(0)
    x, y = random.random((6, 4), np.float32), random.integers(0, 3, 6)
    program.step(x=x, y=y)
    [bias] = [path for path, array in program.weights.items() if array.shape == (8,)]
    program.weights[bias] = np.full(8, -50.0, np.float32)
    for _ in range(850):
        program.step(x=x, y=y)
    tiny = np.finfo(np.float32).tiny
    for state in program.state.optimizer.values():
        assert not ((np.abs(state) < tiny) & (state != 0)).any()
    below = np.float32(tiny) / np.float32(4)
    assert below > 0
    assert below * np.float32(4) == tiny
