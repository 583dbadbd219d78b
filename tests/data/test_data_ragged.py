"""`Ragged` against lists of lists."""

import numpy as np
from data_helpers import same
from hypothesis import given
from hypothesis import strategies as st

from archspec.data.ragged import Ragged, offsets_of, spread

ROWS = st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=8)


def ragged(rows):
    flat = [value for row in rows for value in row]
    return Ragged(np.array(flat, np.int64), offsets_of(np.array([len(row) for row in rows], np.int64)))


@given(ROWS, st.data())
def test_rows_are_what_was_put_in(rows, data):
    array = ragged(rows)
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    longest = max((len(rows[r]) for r in picked), default=0)
    assert len(array) == len(rows)
    assert array.lengths.tolist() == [len(row) for row in rows]
    assert same(array, rows)
    assert same(array.take(np.array(picked, np.int64)), [rows[r] for r in picked])
    padded = array.padded(np.array(picked, np.int64))
    assert padded.shape == (len(picked), longest)
    assert padded.tolist() == [rows[r] + [0] * (longest - len(rows[r])) for r in picked]


def test_entries_may_have_axes_of_their_own():
    array = Ragged(np.arange(12.0).reshape(6, 2), np.array([0, 4, 6]))
    padded = array.padded(np.array([1, 0]))
    assert padded.shape == (2, 4, 2)
    assert padded[0].tolist() == [[8, 9], [10, 11], [0, 0], [0, 0]]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=6))
def test_spread(runs):
    starts, lengths = (np.array([run[k] for run in runs], np.int64) for k in (0, 1))
    assert spread(starts, lengths).tolist() == [start + k for start, length in runs for k in range(length)]
