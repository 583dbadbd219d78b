"""Inputs over a ragged axis: lists of rows, padded arrays with lengths, and what is wrong with some of them."""

from __future__ import annotations

import numpy as np
import pytest

import archspec

SPEC = """
dim B, T?, D = 3, V = 7
model m(x[B,T,D], ids[B,T]: V) -> (z[B,D], n[B,T,D]) {
  e = x + (ids |> embed(D))
  over t in T {
    state h[B,D] = 0
    h[t] = tanh(e[t] + 0.5 * h[t-1])
  }
  z = mean[T](h) + last[T](h) + max[T](e)
  n = h
}
train { loss = mean(z^2) + mean(n^2) }
"""


@pytest.fixture(scope="module")
def program() -> archspec.Program:
    return archspec.loads(SPEC).compile(dims={}, precision="f64")


def rows(lengths: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(len(lengths))
    return [rng.normal(size=(n, 3)) for n in lengths], [rng.integers(0, 7, n) for n in lengths]


def padded(parts: list[np.ndarray], room: int, fill: float) -> np.ndarray:
    whole = np.full((len(parts), room, *parts[0].shape[1:]), fill).astype(parts[0].dtype)
    for row, part in zip(whole, parts, strict=True):
        row[: len(part)] = part
    return whole


def test_a_list_of_rows_is_a_padded_array_with_lengths(program):
    lengths = [4, 1, 6]
    x, ids = rows(lengths)
    z = program.forward(x=x, ids=ids)["z"]
    for room, fill in [(6, 0.0), (6, np.nan), (9, np.inf)]:
        found = program.forward(x=padded(x, room, fill), ids=padded(ids, room, 12345), T=lengths)["z"]
        np.testing.assert_array_equal(found, z)
    one = [program.forward(x=[a], ids=[b])["z"][0] for a, b in zip(x, ids, strict=True)]
    np.testing.assert_allclose(z, one, rtol=1e-12)


def test_rows_may_come_in_lists_tuples_and_arrays_of_rows(program):
    x, ids = rows([4, 1, 6])
    z = program.forward(x=x, ids=ids)["z"]
    held = np.empty(3, object)
    held[:] = x
    for given in (tuple(x), held, [a.tolist() for a in x]):
        np.testing.assert_array_equal(program.forward(x=given, ids=ids)["z"], z)


def test_padding_reaches_no_gradient(program):
    lengths = [4, 2, 6]
    x, ids = rows(lengths)
    loss, clean = program.gradient(x=padded(x, 6, 0.0), ids=padded(ids, 6, 0), T=np.array(lengths))
    spoiled_loss, spoiled = program.gradient(x=padded(x, 6, np.nan), ids=padded(ids, 6, 999), T=lengths)
    assert loss == spoiled_loss
    assert all(np.array_equal(clean[path], spoiled[path]) for path in clean)


def test_without_lengths_all_rows_are_full(program):
    x, ids = rows([5, 5])
    np.testing.assert_array_equal(
        program.forward(x=np.array(x), ids=np.array(ids))["z"], program.forward(x=np.array(x), ids=np.array(ids), T=[5, 5])["z"]
    )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (lambda x, ids: {"x": x, "ids": ids[:2]}, "lengths"),
        (lambda x, ids: {"x": x, "ids": [*ids[:2], ids[2][:1]]}, "other lengths"),
        (lambda x, ids: {"x": padded(x, 6, 0.0), "ids": padded(ids, 6, 0), "T": [4, 1, 7]}, "room for 1 to 6"),
        (lambda x, ids: {"x": padded(x, 6, 0.0), "ids": padded(ids, 6, 0), "T": [4, 0, 6]}, "from 0 to 6"),
        (lambda x, ids: {"x": padded(x, 6, 0.0), "ids": padded(ids, 6, 0), "T": [4, 1]}, "2 lengths for 3 rows"),
        (lambda x, ids: {"x": padded(x, 6, 0.0), "ids": padded(ids, 6, 0), "T": [4.5, 1, 6]}, "whole number"),
        (lambda x, ids: {"x": padded(x, 6, 0.0), "ids": padded(ids, 6, 8), "T": [6, 6, 6]}, "from 0 to 6"),
        (lambda x, ids: {"x": [row[:, :2] for row in x], "ids": ids}, "3 along D"),
        (lambda x, ids: {"x": [row[0] for row in x], "ids": ids}, "each of its rows has 2"),
        (lambda x, ids: {"ids": ids}, "`x` is missing"),
    ],
)
def test_wrong_rows_are_refused(program, inputs, message):
    x, ids = rows([4, 1, 6])
    with pytest.raises(archspec.ArchError, match=message):
        program.forward(**inputs(x, ids))
