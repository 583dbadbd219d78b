"""Sine and cosine."""

from __future__ import annotations

import math

from archspec.ops.record import OPS, Op

SAMPLES = ((0.3,), (-1.7,), (12.9,))


def sin_scalar(x):  # type: ignore[no-untyped-def]
    return math.sin(x)


def cos_scalar(x):  # type: ignore[no-untyped-def]
    return math.cos(x)


OPS.add(
    Op(
        "sin",
        "map",
        1,
        "the sine of a",
        "sin({0})",
        functions={"sin": {"f4": sin_scalar, "f8": sin_scalar}},
        reference=lambda np, a: np.sin(a),
        gradient=lambda x, y, dy: (dy * x[0].apply("cos"),),
        samples=SAMPLES,
    )
)
OPS.add(
    Op(
        "cos",
        "map",
        1,
        "the cosine of a",
        "cos({0})",
        functions={"cos": {"f4": cos_scalar, "f8": cos_scalar}},
        reference=lambda np, a: np.cos(a),
        gradient=lambda x, y, dy: (-(dy * x[0].apply("sin")),),
        samples=SAMPLES,
    )
)
