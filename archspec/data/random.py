"""Random orders and numbers that depend on their arguments alone."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray


def permutation(n: int, seed: int, *stream: object) -> NDArray[np.int64]:
    """The numbers 0..n-1 in a random order, a function of `n`, `seed` and `stream` alone.

    n       how many numbers
    seed    the seed of the run
    stream  what the order is for, as in `permutation(n, seed, "epoch", 3)`: strings, ints, floats, bools or None

    Sorting raw draws of a counter-based generator keeps the result free of numpy's own shuffle, which may change
    between versions. Philox: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    draws = _draws(n, seed, stream)
    order = np.argsort(draws)
    in_order = draws[order]
    if (in_order[1:] == in_order[:-1]).any():  # only a stable sort, five times as slow, keeps equal draws in their order
        order = np.argsort(draws, kind="stable")
    return order.astype(np.int64, copy=False)


def integers(n: int, below: int, seed: int, *stream: object) -> NDArray[np.int64]:
    """(n,) random numbers from 0 to below - 1. What is taken off the top of 2^64 is too little to be seen."""
    return (_draws(n, seed, stream) % np.uint64(below)).astype(np.int64)


def uniforms(n: int, seed: int, *stream: object) -> NDArray[np.float64]:
    """(n,) random multiples of 2^-53 in [0, 1)."""
    return (_draws(n, seed, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def bells(n: int, seed: int, *stream: object) -> NDArray[np.float64]:
    """(n,) numbers of mean 0 and deviation 1, nearly normal: sums of twelve uniform ones, whose bits no library decides."""
    total = np.full(n, -6.0)
    for draw in uniforms(12 * n, seed, *stream).reshape(12, n):
        total += draw
    return total


def _draws(n: int, seed: int, stream: tuple[object, ...]) -> NDArray[np.uint64]:
    draws: NDArray[np.uint64] = np.random.Philox(key=_key(seed, stream)).random_raw(n)
    return draws


def _key(seed: int, stream: tuple[object, ...]) -> NDArray[np.uint64]:
    """Two words for the generator. JSON has one spelling for each value and refuses objects that it does not know."""
    spelled = json.dumps([seed, *stream], separators=(",", ":")).encode()
    digest = hashlib.blake2b(spelled, digest_size=16, person=b"archspec").digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)
