"""Contraction: the product of two operands, summed over the reduced loops. Any einsum of two tensors."""

from __future__ import annotations

from archspec.ir.build import Term
from archspec.ops.record import OPS, Op


def _contract(x: tuple[Term, ...], y: Term, dy: Term, over: tuple[int, ...]) -> tuple[Term, ...]:
    """d(left) = dy · right and d(right) = left · dy, each summed over the loops that the operand lacks."""
    left, right = x
    return _product(dy, right, left.index), _product(left, dy, right.index)


def _product(a: Term, b: Term, keep: tuple[int, ...]) -> Term:
    """The contraction onto `keep`, less those loops that neither factor has: along them the gradient repeats."""
    present = tuple(loop for loop in keep if loop in a.index or loop in b.index)
    return a.loops.contract(a, b, present)


OPS.add(
    Op(
        "contract",
        "contract",
        2,
        "the sum of a * b over the axes that the result lacks",
        reference=lambda np, a, b: a * b,
        gradient=_contract,
        spoken=False,
    )
)
