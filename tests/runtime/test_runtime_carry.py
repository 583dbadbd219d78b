"""`over … carry`: states go on from batch to batch, and rows of one length or another are batched as they should."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import archspec
from archspec.data.ragged import Ragged
from archspec.runtime.batches import in_order, lanes, shuffled

SPEC = """
dim B, T, V = 5
let H = 4
model m(ids[B,T]: V) -> z[B,T,V] {{
  e = ids |> embed(H)
  weight U[H,H] ~ orthogonal
  over t in T{carry} {{
    state h[B,H] = 0
    h[t] = tanh(e[t] + h[t-1] @ U)
  }}
  z = h |> linear(V)
}}
data {{
  source = text("none.txt")
  ids[B,T]: V, next[B,T]: V = source |> chars |> windows(3)
}}
train {{
  loss = cross_entropy(z, next)
  optimizer = sgd(lr=0.1)
}}
"""


def program(carry: str) -> archspec.Program:
    return archspec.loads(SPEC.format(carry=carry)).compile(dims={"V": 5}, precision="f64")


def windows(length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two texts cut into windows, those of one text one after another."""
    text = rng.integers(0, 5, (2, 13))
    cut = [text[:, start : start + length] for start in range(0, 12, length)]
    moved = [text[:, start + 1 : start + length + 1] for start in range(0, 12, length)]
    return {"ids": np.stack(cut, 1).reshape(-1, length), "next": np.stack(moved, 1).reshape(-1, length)}


def test_windows_with_carried_states_are_as_good_as_the_whole_text():
    carried, plain = program(" carry"), program("")
    plain.weights.update(carried.weights)
    short, long = windows(3, np.random.default_rng(0)), windows(12, np.random.default_rng(0))
    whole = plain.loss(**long)
    arrays = carried.check_arrays(short)
    carried.forget()
    losses = [carried.figures_rows(arrays, rows)["loss"] for _, rows in lanes(np.arange(8), 2)]
    assert np.mean(losses) == pytest.approx(whole, rel=1e-12)
    assert carried.carries and not plain.carries
    assert carried.loss(**short) != pytest.approx(whole)  # a call of its own begins at zero


def test_a_step_starts_where_the_batch_before_has_ended():
    first, again = program(" carry"), program(" carry")
    again.weights.update(first.weights)
    arrays = first.check_arrays(windows(3, np.random.default_rng(1)))
    rows = [r for _, r in lanes(np.arange(8), 2)]
    first.step_rows(arrays, rows[0])
    loss = first.step_rows(arrays, rows[1])
    again.step_rows(arrays, rows[0])
    again.forget()
    assert loss != pytest.approx(again.step_rows(arrays, rows[1]))


def test_lanes_walk_stretches_side_by_side():
    found = list(lanes(np.arange(10, 21), 3))
    assert [first for first, _ in found] == [True, False, False, True]
    assert [rows.tolist() for _, rows in found] == [[10, 13, 16], [11, 14, 17], [12, 15, 18], [19, 20]]
    assert list(lanes(np.arange(0), 3)) == []


def test_rows_of_like_length_make_a_batch():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 50, 3000)
    ragged = Ragged(np.zeros(int(lengths.sum())), np.concatenate([[0], np.cumsum(lengths)]))
    part = np.arange(3000)
    batches = list(shuffled({"x": ragged}, part, 16, 0, 1))
    assert sorted(itertools.chain(*batches)) == part.tolist()
    waste = sum(lengths[b].max() * len(b) - lengths[b].sum() for b in batches) / lengths.sum()
    assert waste < 0.05
    assert [b.tolist() for b in batches] == [b.tolist() for b in shuffled({"x": ragged}, part, 16, 0, 1)]
    assert [b.tolist() for b in batches] != [b.tolist() for b in shuffled({"x": ragged}, part, 16, 0, 2)]
    assert sorted(itertools.chain(*in_order({"x": ragged}, part, 64))) == part.tolist()
