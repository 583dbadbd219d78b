"""Reductions: one operand, combined over the reduced loops.

`scalar` is how the next element enters the accumulator: `{0}` is the accumulator, `{1}` the element.
A gradient rule gets, besides the operand, the result and its gradient, the loops that were reduced.
"""

from __future__ import annotations

from archspec.ir.build import Term
from archspec.ops.record import OPS, Gradient, Op

Terms = tuple[Term, ...]

IDENTITY = {"sum": 0.0, "max": float("-inf"), "min": float("inf"), "argmax": float("-inf")}


def _extremum(x: Terms, y: Term, dy: Term, over: tuple[int, ...]) -> Terms:
    """Ties share the gradient evenly, which is the least subgradient in norm."""
    hit = x[0].apply("equal", y).apply("number")
    return (hit * (dy / hit.loops.reduce("sum", hit, over)),)


def _sum(x: Terms, y: Term, dy: Term, over: tuple[int, ...]) -> Terms:
    return (dy,)


def _reduction(name: str, doc: str, scalar: str, reference: object, gradient: Gradient | None) -> None:
    samples = ((0.7, -1.3, 2.1),)
    OPS.add(Op(name, "reduce", 1, doc, scalar, reference=reference, gradient=gradient, samples=samples))  # type: ignore[arg-type]


_reduction("sum", "the sum over the reduced axes", "{0} + {1}", lambda np, a, axis: a.sum(axis), _sum)
_reduction("max", "the largest value", "largest({0}, {1})", lambda np, a, axis: a.max(axis), _extremum)
_reduction("min", "the smallest value", "smallest({0}, {1})", lambda np, a, axis: a.min(axis), _extremum)
_reduction("argmax", "where the largest value is; the first of equals", "", lambda np, a, axis: a.argmax(axis), None)
