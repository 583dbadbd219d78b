"""Which halves of products are spared, and that what is spared counts for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import stages

from archspec import loads
from archspec.plan import make_plan
from archspec.plan.kernel import Product

ATTENTION = """
dim B, T, D = 32
model m(x[B,T,D], t[B,T,D]) -> z[B,T,D] {{
  z = attention(x, x, N=4, causal={})
}}
train {{ loss = mse(z, t) }}
"""

SCORES = """
dim B, T, E = 32
model m(x[B,T,E], y[B,T,E]) -> z[B,T,E] {{
  s[b,i,j] = sum[e](x[b,i,e] * y[b,j,e])
  a[b,i,j] = {}
  z[b,i,e] = sum[j](a[b,i,j] * x[b,j,e])
}}
"""


def reaches(text: str) -> list[str]:
    """Those of the products of a plan in the order in which they run."""
    made = stages(text, {})
    plan = make_plan(made.optimised if made.has_loss else made.forward)
    return [s.reach for call in plan.calls for s in call.kernel.body if isinstance(s, Product)]


def test_a_causal_mask_spares_half_of_attention() -> None:
    """In order: the scores and what is looked up by them; the gradients of values, weights, queries and keys."""
    found = [reach for reach in reaches(ATTENTION.format("true")) if reach != "all"]
    assert sorted(found) == sorted(["lower", "until row", "from row", "lower", "until row", "from row"])
    assert found[:2] == ["lower", "until row"]
    assert set(reaches(ATTENTION.format("false"))) == {"all"}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("where(j <= i, s[b,i,j], 0)", ["lower", "until row"]),
        ("where(j < i, exp(s[b,i,j]), 0)", ["lower", "until row"]),
        ("where(i <= j, s[b,i,j], 0)", ["upper", "from row"]),
        ("where(j <= i, s[b,i,j], 1)", ["lower", "all"]),
        ("where(j <= i, 1, 0) * tanh(s[b,i,j])", ["lower", "until row"]),
        ("where(j <= i, 1, 0) * exp(s[b,i,j])", ["all", "until row"]),  # 0 * exp of what may grow is no number
        ("where(j <= i, 1, 0) * log(s[b,i,j])", ["all", "until row"]),
        ("where(j <= i, 1, s[b,i,j])", ["all", "all"]),
        ("where(j + 1 <= i, s[b,i,j], 0)", ["all", "all"]),
        ("s[b,i,j]", ["all", "all"]),
    ],
)
def test_what_is_spared_is_zero_or_hidden(weights: str, expected: list[str]) -> None:
    assert reaches(SCORES.format(weights)) == expected


@pytest.mark.parametrize("length", [1, 7, 8, 33, 64, 70])
@pytest.mark.parametrize("weights", ["where(j <= i, s[b,i,j], 0)", "where(i < j, s[b,i,j], 0)", "where(i <= j, s[b,i,j], 1)"])
def test_half_a_product_is_the_product(weights: str, length: int) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 3, length, 32))
    z = loads(SCORES.format(weights)).compile(precision="f64").forward(x=x, y=y)["z"]
    s = np.einsum("bie,bje->bij", x, y)
    i, j = np.indices((length, length))
    if "1" in weights:
        a = np.where(i <= j, s, 1)
    else:
        a = np.where(j <= i if "j <= i" in weights else i < j, s, 0)
    np.testing.assert_allclose(z, np.einsum("bij,bje->bie", a, x), rtol=1e-9, atol=1e-9)
