"""Rows of different lengths, stored one after another."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from archspec.records import record

Indices: TypeAlias = NDArray[np.int64]
Array: TypeAlias = NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int64]


@record(eq=False)
class Ragged:
    """Rows that differ in length along their first axis.

    values   (total, ...) float64 or int64, all rows one after another
    offsets  (rows + 1,) int64: row r is values[offsets[r] : offsets[r + 1]]
    """

    values: Array
    offsets: Indices

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Indices:
        """(rows,) int64"""
        return np.diff(self.offsets)

    def row(self, index: int) -> Array:
        """One row, not copied."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, rows: Indices) -> Ragged:
        """Some rows, in the order given."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        return Ragged(self.values[spread(starts, lengths)], offsets_of(lengths))

    def padded(self, rows: Indices) -> Array:
        """(len(rows), longest, ...): some rows with zeros past each end."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        inside = np.arange(lengths.max(initial=0)) < lengths[:, None]
        array = np.zeros((*inside.shape, *self.values.shape[1:]), self.values.dtype)
        array[inside] = self.values[spread(starts, lengths)]
        return array


def offsets_of(lengths: Indices) -> Indices:
    """(rows + 1,) int64: where rows of such lengths begin and end."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def spread(starts: Indices, lengths: Indices) -> Indices:
    """The positions start, start + 1, … of every run, one run after another."""
    ends = np.cumsum(lengths)
    places: Indices = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return places
