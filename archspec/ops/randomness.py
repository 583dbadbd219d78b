"""Random numbers as a function of (seed, step, path, index), so that a mask is drawn again instead of stored.

Philox2x32 with 7 rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011): the
counter is (index, step), the key a hash of the seed and the path.
"""

# ruff: noqa: F821
# mypy: disable-error-code="no-untyped-def, name-defined"

from __future__ import annotations

from archspec.ops.record import OPS, Op

MULTIPLIER, WEYL, ROUNDS = 0xD256D193, 0x9E3779B9, 7


def uniform_f4(index, step, key):
    """A float32 in [0, 1) with 24 random bits."""
    mask = np.uint64(0xFFFFFFFF)
    low, high, k = np.uint64(index) & mask, np.uint64(step) & mask, np.uint64(key) & mask
    for _ in written_out(7):
        product = low * np.uint64(0xD256D193)
        low = (product >> np.uint64(32)) ^ k ^ high
        high = product & mask
        k = (k + np.uint64(0x9E3779B9)) & mask
    return F(np.int32(low >> np.uint64(8))) * F(5.9604644775390625e-8)


def philox(np, index, step, key):
    """The same draw on NumPy arrays, a float64 in [0, 1)."""
    mask = 0xFFFFFFFF
    low, high, k = [int(i) & mask for i in index.ravel()], [step & mask] * index.size, key & mask
    for _ in range(ROUNDS):
        products = [value * MULTIPLIER for value in low]
        low = [(p >> 32) ^ k ^ h for p, h in zip(products, high, strict=True)]
        high = [p & mask for p in products]
        k = (k + WEYL) & mask
    return np.array([value >> 8 for value in low], float).reshape(index.shape) / 2.0**24


OPS.add(
    Op(
        "random",
        "leaf",
        0,
        "a number in [0, 1), drawn anew at every step",
        functions={"uniform": {"f4": uniform_f4, "f8": uniform_f4}},
        cheap=True,
        spoken=False,
    )
)
OPS.add(
    Op(
        "dropout",
        "map",
        1,
        "a / (1 - p) with probability 1 - p, else 0, in training; a in evaluation",
        reference=lambda np, a: a,
        cheap=True,
    )
)
OPS.add(
    Op(
        "noise",
        "map",
        1,
        "a standard normal number for every element of a, drawn anew at every step of training; 0 in evaluation",
        reference=lambda np, a: 0.0 * a,
        cheap=True,
    )
)
