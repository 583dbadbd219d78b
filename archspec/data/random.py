"""Random orders that depend on their arguments alone."""

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
    draws = np.random.Philox(key=_key(seed, stream)).random_raw(n)
    return np.argsort(draws, kind="stable").astype(np.int64)


def _key(seed: int, stream: tuple[object, ...]) -> NDArray[np.uint64]:
    """Two words for the generator. JSON has one spelling for each value and refuses objects that it does not know."""
    spelled = json.dumps([seed, *stream], separators=(",", ":")).encode()
    digest = hashlib.blake2b(spelled, digest_size=16, person=b"archspec").digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)
