"""Comparisons, logic and choice. None but `where` has a gradient."""

from __future__ import annotations

from archspec.ir.build import Term
from archspec.ops.record import OPS, Op

Terms = tuple[Term, ...]


def _where(x: Terms, y: Term, dy: Term) -> tuple[Term | None, ...]:
    zero = dy.loops.number(0.0)
    return None, x[0].apply("where", dy, zero), x[0].apply("where", zero, dy)


COMPARISONS = {
    "equal": ("==", lambda np, a, b: a == b),
    "not_equal": ("!=", lambda np, a, b: a != b),
    "less": ("<", lambda np, a, b: a < b),
    "less_equal": ("<=", lambda np, a, b: a <= b),
    "greater": (">", lambda np, a, b: a > b),
    "greater_equal": (">=", lambda np, a, b: a >= b),
}
for _name, (_sign, _reference) in COMPARISONS.items():
    OPS.add(Op(_name, "map", 2, f"a {_sign} b", f"{{0}} {_sign} {{1}}", reference=_reference, cheap=True, spoken=False))

OPS.add(
    Op("and", "map", 2, "a and b", "{0} & {1}", reference=lambda np, a, b: a & b, cheap=True, spoken=False),
)
OPS.add(
    Op("or", "map", 2, "a or b", "{0} | {1}", reference=lambda np, a, b: a | b, cheap=True, spoken=False),
)
OPS.add(
    Op("not", "map", 1, "not a", "not {0}", reference=lambda np, a: ~a, cheap=True, spoken=False),
)
OPS.add(
    Op(
        "where",
        "map",
        3,
        "a where c holds, b elsewhere",
        "{1} if {0} else {2}",
        reference=lambda np, c, a, b: np.where(c, a, b),
        gradient=_where,
        samples=((1.0, 0.7, -1.3), (0.0, 0.7, -1.3)),
        cheap=True,
    )
)
OPS.add(
    Op(
        "number",
        "map",
        1,
        "a as a float: 0 or 1 for a truth value",
        "number({0})",
        reference=lambda np, a: np.asarray(a, dtype=float),
        cheap=True,
    )
)
OPS.add(
    Op(
        "sign",
        "map",
        1,
        "-1, 0 or 1",
        "{0} if {0} != {0} else number({0} > F(0.0)) - number({0} < F(0.0))",
        reference=lambda np, a: np.sign(a),
        cheap=True,
    )
)
OPS.add(Op("floor", "map", 1, "the largest integer not above a", "floor({0})", reference=lambda np, a: np.floor(a)))
