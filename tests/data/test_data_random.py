"""`permutation`: an order that is a function of its arguments alone."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import REPOSITORY

from archspec.data import permutation, random


@given(st.integers(0, 500), st.integers(0, 2**64), st.lists(st.integers() | st.text() | st.booleans(), max_size=3))
def test_every_number_occurs_once_and_the_order_repeats(n, seed, stream):
    order = permutation(n, seed, *stream)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, permutation(n, seed, *stream))


def test_known_order():
    """Frozen: a change here would change the split of every spec."""
    assert permutation(10, 0, "holdout").tolist() == KNOWN
    assert permutation(0, 0).tolist() == []
    assert permutation(1, 0).tolist() == [0]


KNOWN = [4, 3, 7, 9, 1, 0, 5, 2, 6, 8]


def test_equal_draws_keep_their_order(monkeypatch):
    """However the processor's sort goes about them."""
    draws = np.arange(1000, dtype=np.uint64)[::-1] // 300
    monkeypatch.setattr(random, "_draws", lambda n, seed, stream: draws)
    assert np.array_equal(permutation(1000, 0), sorted(range(1000), key=lambda i: draws[i]))


def test_seed_and_stream_matter():
    orders = [permutation(50, *key) for key in [(0,), (1,), (0, "epoch"), (0, "epoch", 1), (0, "epoch", "1"), (0, 1)]]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_neighbouring_parts_of_a_stream_do_not_run_together():
    assert not np.array_equal(permutation(50, 0, "ab", "c"), permutation(50, 0, "a", "bc"))


def test_objects_without_a_fixed_spelling_are_refused():
    with pytest.raises(TypeError):
        permutation(3, 0, object())


def test_hash_seed_does_not_matter():
    code = "from archspec.data import permutation; print(permutation(20, 7, 'epoch', 3).tolist())"
    for hash_seed in "01":
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{permutation(20, 7, 'epoch', 3).tolist()}\n"


def test_orders_are_uniform():
    """First places of 6,000 orders of six: chi-square with 5 degrees of freedom stays below its 0.999 quantile."""
    counts = np.bincount([permutation(6, seed)[0] for seed in range(6000)], minlength=6)
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5
