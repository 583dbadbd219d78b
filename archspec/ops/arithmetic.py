"""Arithmetic, element by element."""

from __future__ import annotations

import math

from archspec.ir.build import Term
from archspec.ops.record import OPS, Gradient, Op

Terms = tuple[Term, ...]
PAIRS = ((0.7, -1.3), (-0.2, 0.5), (1.9, 2.3))
SINGLES = ((0.7,), (-1.3,), (2.1,))


def _divide(x: Terms, y: Term, dy: Term) -> Terms:
    share = dy / x[1]
    return share, -(share * y)


def _power(x: Terms, y: Term, dy: Term) -> Terms:
    base, exponent = x
    return dy * exponent * base.apply("power", exponent - 1.0), dy * y * base.apply("log")


def _largest(comparison: str) -> Gradient:
    """The gradient goes to the operand that was picked; on a tie to the second, so that relu'(0) = 0.

    The result tells which one it was, so the first operand need not be kept for the backward pass.
    """

    def gradient(x: Terms, y: Term, dy: Term) -> Terms:
        first = y.apply(comparison, x[1])
        zero = dy.loops.number(0.0)
        return first.apply("where", dy, zero), first.apply("where", zero, dy)

    return gradient


def pow_scalar(a, b):  # type: ignore[no-untyped-def]
    return math.pow(a, b)


OPS.add(
    Op(
        "add",
        "map",
        2,
        "a + b",
        "{0} + {1}",
        reference=lambda np, a, b: a + b,
        gradient=lambda x, y, dy: (dy, dy),
        samples=PAIRS,
        cheap=True,
        spoken=False,
    )
)
OPS.add(
    Op(
        "subtract",
        "map",
        2,
        "a - b",
        "{0} - {1}",
        reference=lambda np, a, b: a - b,
        gradient=lambda x, y, dy: (dy, -dy),
        samples=PAIRS,
        cheap=True,
        spoken=False,
    )
)
OPS.add(
    Op(
        "multiply",
        "map",
        2,
        "a * b",
        "{0} * {1}",
        reference=lambda np, a, b: a * b,
        gradient=lambda x, y, dy: (dy * x[1], dy * x[0]),
        samples=PAIRS,
        cheap=True,
        spoken=False,
    )
)
OPS.add(
    Op(
        "divide",
        "map",
        2,
        "a / b",
        "{0} / {1}",
        reference=lambda np, a, b: a / b,
        gradient=_divide,
        samples=PAIRS,
        spoken=False,
    )
)
OPS.add(
    Op(
        "floor_divide",
        "map",
        2,
        "the integer quotient of a and b, rounded down",
        "{0} // {1}",
        reference=lambda np, a, b: a // b,
        cheap=True,
        spoken=False,
    )
)
OPS.add(
    Op(
        "power",
        "map",
        2,
        "a ^ b",
        "power({0}, {1})",
        functions={"power": {"f4": pow_scalar, "f8": pow_scalar}},
        reference=lambda np, a, b: a**b,
        gradient=_power,
        samples=((0.7, 1.3), (2.0, 3.0), (1.5, -0.5)),
        spoken=False,
    )
)
OPS.add(
    Op(
        "negate",
        "map",
        1,
        "-a",
        "-{0}",
        reference=lambda np, a: -a,
        gradient=lambda x, y, dy: (-dy,),
        samples=SINGLES,
        cheap=True,
        spoken=False,
    )
)
OPS.add(
    Op(
        "copy",
        "map",
        1,
        "a, repeated along more axes",
        "{0}",
        reference=lambda np, a: a,
        gradient=lambda x, y, dy: (dy,),
        samples=SINGLES,
        cheap=True,
        spoken=False,
    )
)
OPS.add(
    Op(
        "square",
        "map",
        1,
        "a * a",
        "{0} * {0}",
        reference=lambda np, a: a * a,
        gradient=lambda x, y, dy: (dy * 2.0 * x[0],),
        samples=SINGLES,
        cheap=True,
    )
)
OPS.add(
    Op(
        "abs",
        "map",
        1,
        "|a|",
        "abs({0})",
        reference=lambda np, a: np.abs(a),
        gradient=lambda x, y, dy: (dy * x[0].apply("sign"),),
        samples=SINGLES,
        cheap=True,
    )
)
OPS.add(
    Op(
        "maximum",
        "map",
        2,
        "the larger of a and b",
        "maximum({0}, {1})",
        reference=lambda np, a, b: np.maximum(a, b),
        gradient=_largest("greater"),
        samples=PAIRS,
        cheap=True,
    )
)
OPS.add(
    Op(
        "minimum",
        "map",
        2,
        "the smaller of a and b",
        "minimum({0}, {1})",
        reference=lambda np, a, b: np.minimum(a, b),
        gradient=_largest("less"),
        samples=PAIRS,
        cheap=True,
    )
)
OPS.add(
    Op(
        "sqrt",
        "map",
        1,
        "the square root of a",
        "math.sqrt({0})",
        reference=lambda np, a: np.sqrt(a),
        gradient=lambda x, y, dy: (dy * 0.5 / y,),
        samples=((0.7,), (2.3,)),
    )
)
OPS.add(
    Op(
        "stop_gradient",
        "map",
        1,
        "a, a constant as far as the gradient is concerned",
        "{0}",
        reference=lambda np, a: a,
        cheap=True,
    )
)
