"""The short way of a batch: inputs like those before are copied, and anything else is met as if it came first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archspec.diagnostics import ArchError
from archspec.runtime.ports import arrays_are_known
from archspec.runtime.program import Program
from archspec.spec import loads

TEXT = """
dim B, F = 5, V = 7, K = 3
model net(x[B,F], w[B]: V) -> z[B,K] { z = concat(x, w |> embed(4)) |> linear(8) |> tanh |> linear(K) }
data { source = csv("none.csv"); x[B,F] = source["x*"]; w[B]: V = source["w"]; y[B]: K = source["y"] }
train { loss = cross_entropy(z, y) }
"""


def program(optimizer: str = "adam(lr=1e-2)", threads: int = 1) -> Program:
    return loads(TEXT.replace("(z, y) }", f"(z, y)\n optimizer = {optimizer} }}")).compile({}, threads=threads)


def batch(rows: int = 6, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)).astype(np.float32)
    return {"x": x, "w": rng.integers(0, 7, rows), "y": rng.integers(0, 3, rows)}


def as_lists(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: array.tolist() for name, array in inputs.items()}


WAYS = {
    "alike": lambda inputs: inputs,
    "lists": as_lists,
    "doubles": lambda inputs: {**inputs, "x": inputs["x"].astype(np.float64)},
    "small integers": lambda inputs: {**inputs, "w": inputs["w"].astype(np.int8)},
    "across": lambda inputs: {**inputs, "x": np.asfortranarray(inputs["x"])},
    "in another order": lambda inputs: dict(reversed(inputs.items())),
}


def test_arrays_lie_in_memory_as_the_driver_reads_them() -> None:
    assert arrays_are_known()


def test_a_table_takes_a_batch_in_by_itself() -> None:
    made, inputs = program(), batch()
    made.step(**inputs)
    last = made.step_stages()["train"].last
    assert last is not None
    table = made.executor.inlet(last.ports)
    assert table is not None and table.give(inputs) and not table.give({"x": inputs["x"]})


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_a_second_batch_may_come_in_any_way(way: str, threads: int) -> None:
    """Steps on batches of one shape, then another, then the first again, are those of programs that meet each first."""
    made, plain = program(threads=threads), program()
    for rows, seed in ((6, 0), (6, 1), (4, 2), (6, 3)):
        plain.step(**as_lists(batch(rows, seed)))
        made.step(**(batch(rows, seed) if seed == 0 else WAYS[way](batch(rows, seed))))
    np.testing.assert_array_equal(made.state.weights, plain.state.weights)


MISTAKES: dict[str, Any] = {
    "w": lambda array: np.where(np.arange(len(array)) == 3, 7, array),
    "y": lambda array: np.where(np.arange(len(array)) == 5, -1, array),
    "x": lambda array: array[:, :4],
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_after_a_good_batch(name: str, threads: int) -> None:
    made, fresh, inputs = program(threads=threads), program(), batch()
    made.step(**inputs)
    before = made.state.weights.copy()
    wrong = {**inputs, name: MISTAKES[name](inputs[name])}
    messages = []
    for each in (made, fresh):
        with pytest.raises(ArchError) as caught:
            each.step(**wrong)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    np.testing.assert_array_equal(made.state.weights, before)
    fresh.step(**inputs)
    assert made.step(**inputs) == fresh.step(**inputs)


def test_names_after_a_good_batch() -> None:
    made, inputs = program(), batch()
    made.step(**inputs)
    with pytest.raises(ArchError, match="there is no input `v`"):
        made.step(v=inputs["w"], x=inputs["x"], y=inputs["y"])
    with pytest.raises(ArchError, match="the input `y` is missing"):
        made.step(x=inputs["x"], w=inputs["w"])


def test_rows_of_a_dataset_are_those_of_a_batch() -> None:
    """Whatever their number, and whether their array is contiguous."""
    made, plain, inputs = program(), program(), batch(30)
    sparse = np.zeros((60, 5), np.float32)
    sparse[::2] = inputs["x"]
    arrays = made.check_arrays(inputs), made.check_arrays({**inputs, "x": sparse[::2]})
    for i, rows in enumerate(np.split(np.random.default_rng(0).permutation(30), [8, 16, 20])):
        loss = plain.step(**{name: array[rows] for name, array in inputs.items()})
        assert made.step_rows(arrays[i % 2], rows) == loss
    np.testing.assert_array_equal(made.state.weights, plain.state.weights)


@pytest.mark.parametrize("schedule", ["", "\n schedule = warmup(3)"])
def test_the_learning_rate_of_the_last_update(schedule: str) -> None:
    made = program("adam(lr=1e-2)" + schedule)
    made.step(**batch())
    assert made.learning_rate == pytest.approx(1e-2 / 3 if schedule else 1e-2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_a_loss_that_is_not_finite_changes_no_weight(precision: str, threads: int) -> None:
    made = loads(TEXT).compile({}, precision, threads=threads)
    inputs, rows = batch(), np.arange(6)
    made.step_rows(made.check_arrays(inputs), rows)
    before, states = made.state.weights.copy(), [a.copy() for a in made.state.optimizer.values()]
    wrong = {**inputs, "x": np.where(inputs["x"] == inputs["x"][2, 3], np.float32(np.nan), inputs["x"])}
    with pytest.raises(ArchError, match="is not finite"):
        made.step_rows(made.check_arrays(wrong), rows)
    np.testing.assert_array_equal(made.state.weights, before)
    for array, kept in zip(made.state.optimizer.values(), states, strict=True):
        np.testing.assert_array_equal(array, kept)
    assert made.steps_done == 1 and np.isfinite(made.step_rows(made.check_arrays(inputs), rows))
