"""Programs whose attention runs in slabs of rows: bits, lengths that change, what a step that fails names, profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import archspec
from archspec.diagnostics import ArchError
from archspec.plan import slab_body, slabs
from archspec.profile import profile_data
from archspec.runtime.profile import Profiler

SPEC = """
dim B, T, F = 3, A = 5
model m(x[B,T,F], t[B,T,F]) -> z[B,T,F] {
  q = x |> linear(A)
  k = x |> linear(A)
  e[b,i,j] = sum[a](q[b,i,a] * k[b,j,a])
  w[b,i,j] = softmax[j where j <= i](e[b,i,j])
  d = w |> dropout(0.2)
  z[b,i,f] = sum[j](d[b,i,j] * x[b,j,f])
}
train {
  loss      = mse(z, t)
  optimizer = sgd(lr=0.1)
}
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Slabs of eight rows, of axes that are long from sixteen on."""
    monkeypatch.setattr(slabs, "SLAB", 8)
    monkeypatch.setattr(slab_body, "SLAB", 8)
    monkeypatch.setattr(slabs, "LEAST", 1)


def rows(length: int, seed: int = 0, batch: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(batch, length, 3)) for name in ("x", "t")}


def program(threads: int = 1, **dims: int) -> Any:
    return archspec.loads(SPEC).compile(dims=dims, threads=threads)


def test_the_same_bits_on_any_number_of_threads():
    found = []
    for threads in (1, 2, 3):
        made = program(threads)
        losses = [made.step(**rows(length, seed)) for seed, length in enumerate((29, 16, 29, 11))]
        found.append((losses, {path: made.weights[path].copy() for path in made.weights}))
        made.close()
    for losses, weights in found[1:]:
        assert losses == found[0][0]
        assert all(np.array_equal(weights[path], found[0][1][path]) for path in weights)


def test_one_program_takes_long_and_short_rows_in_turn():
    made = program()
    for length in (11, 29, 11, 24):
        alone = program(T=length)
        loss, gradients = made.gradient(**rows(length))
        expected, others = alone.gradient(**rows(length))
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        for path in gradients:
            np.testing.assert_allclose(gradients[path], others[path], rtol=1e-4, atol=1e-6)
        alone.close()
    assert len(made.step_stages()["train"].others) == 1
    made.close()


def test_a_row_has_the_same_bits_wherever_it_is_in_the_batch():
    made = program()
    given = rows(29, batch=3)
    turned = {name: array[::-1] for name, array in given.items()}
    first, second = (made.forward(x=each["x"])["z"] for each in (given, turned))
    assert np.array_equal(first, second[::-1])
    made.close()


def test_what_is_not_finite_is_named():
    made = program()
    given = rows(29)
    given["x"][1, 28] = np.inf
    arrays = made.check_arrays(given)
    with pytest.raises(ArchError, match="R04"):
        made.step_rows(arrays, np.arange(2))
    made.close()


def test_a_profile_has_the_calls_of_both_plans():
    made = program()
    profiler = Profiler(made)
    for length in (29, 29, 29, 11, 11):
        profiler.step_rows(made.check_arrays(rows(length)), np.arange(2))
    data = profile_data(profiler, "f32")
    calls = [c for c in data["calls"] if c["stage"] == "train"]
    stage = made.step_stages()["train"]
    assert [c["number"] for c in calls] == list(range(len(stage.plan.calls) + len(stage.others[0].plan.calls)))
    assert [c["kernel"] for c in calls][: len(stage.others[0].plan.calls)] == [
        c.kernel.name for c in stage.others[0].plan.calls
    ]
    assert all(c["times"] > 0 for c in calls)
    made.close()
