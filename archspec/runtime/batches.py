"""Which rows make a batch, and in which order batches come: a function of the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.data.ragged import Ragged
from archspec.data.random import permutation

Indices = NDArray[np.int64]
POOL = 50  # batches that are sorted by length together


def shuffled(arrays: Mapping[str, Any], part: Indices, size: int, seed: int, epoch: int) -> Iterator[Indices]:
    """The batches of an epoch. Rows of like length are put together: pools of shuffled rows are sorted by length and cut
    into batches, which come in a random order again."""
    order = part[permutation(len(part), seed, "epoch", epoch)]
    lengths = _lengths(arrays)
    if lengths is None:
        yield from _cut(order, size)
        return
    batches: list[Indices] = []
    for pool in _cut(order, size * POOL):
        batches += _cut(pool[np.argsort(lengths[pool], kind="stable")], size)
    for i in permutation(len(batches), seed, "batches", epoch):
        yield batches[i]


def in_order(arrays: Mapping[str, Any], part: Indices, size: int) -> Iterator[Indices]:
    """All rows of a part for figures, rows of like length together."""
    lengths = _lengths(arrays)
    yield from _cut(part if lengths is None else part[np.argsort(lengths[part], kind="stable")], size)


def lanes(part: Indices, size: int) -> Iterator[tuple[bool, Indices]]:
    """Batches for states that are carried over: row i of a batch goes on where row i of the batch before has ended.

    The part is cut into `size` stretches of equal length that are walked side by side; rows that are left make a batch
    of their own. Each batch comes with whether it is the first of its stretches.
    """
    count = min(size, len(part))
    steps = len(part) // count if count else 0
    side_by_side = part[: steps * count].reshape(count, steps)
    for t in range(steps):
        yield t == 0, side_by_side[:, t]
    if rest := part[steps * count :].tolist():
        yield True, np.array(rest, np.int64)


def _cut(rows: Indices, size: int) -> list[Indices]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _lengths(arrays: Mapping[str, Any]) -> Indices | None:
    """The lengths by which rows are put together: of several ragged inputs their sum."""
    found = [array.lengths for array in arrays.values() if isinstance(array, Ragged)]
    return np.sum(found, axis=0) if found else None
