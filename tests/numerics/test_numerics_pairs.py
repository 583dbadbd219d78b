"""Ops of two and three tensors: values and gradients, whole tensors and broadcast ones, ties and NaN."""

import numpy as np
import pytest
from numerics_helpers import ATOL, EPS, RTOL, compiled

from archspec.ops import OPS

M, N = 5, 7
CALLS = {  # label -> (call, formula); a [M,N] and b [N] broadcast along M
    "add": ("{a} + {b}", lambda a, b: a + b),
    "subtract": ("{a} - {b}", lambda a, b: a - b),
    "multiply": ("{a} * {b}", lambda a, b: a * b),
    "divide": ("{a} / {b}", lambda a, b: a / b),
    "power": ("abs({a}) ^ {b}", lambda a, b: np.abs(a) ** b),
    "maximum": ("max({a}, {b})", np.maximum),
    "minimum": ("min({a}, {b})", np.minimum),
    "equal": ("number({a} == {b})", lambda a, b: (a == b) * 1.0),
    "not_equal": ("number({a} != {b})", lambda a, b: (a != b) * 1.0),
    "less": ("number({a} < {b})", lambda a, b: (a < b) * 1.0),
    "less_equal": ("number({a} <= {b})", lambda a, b: (a <= b) * 1.0),
    "greater": ("number({a} > {b})", lambda a, b: (a > b) * 1.0),
    "greater_equal": ("number({a} >= {b})", lambda a, b: (a >= b) * 1.0),
    "and": ("number({a} > 0 and {b} > 0)", lambda a, b: ((a > 0) & (b > 0)) * 1.0),
    "or": ("number({a} > 0 or {b} > 0)", lambda a, b: ((a > 0) | (b > 0)) * 1.0),
    "not": ("number(not ({a} > {b}))", lambda a, b: (~(a > b)) * 1.0),
    "where": ("where({a} > {b}, {a} * {a}, {b})", lambda a, b: np.where(a > b, a * a, b)),
    "where_number": ("where({a} > {b}, 3, {b})", lambda a, b: np.where(a > b, 3.0, b)),
    "reversed_divide": ("1 / (2 + abs({a})) - {b}", lambda a, b: 1 / (2 + np.abs(a)) - b),
}
TEXT = """
dim M = {m}, N = {n}
model t(x[M,N], u[N], c[M,N]) -> {results} {{
{lines}
}}
train {{ loss = {loss} }}
""".format(
    m=M,
    n=N,
    results=", ".join(f"y_{label}[M,N]" for label in CALLS),
    lines="\n".join(
        f"  weight a_{k}[M,N] ~ zeros\n  weight b_{k}[N] ~ zeros\n  y_{k} = {call.format(a=f'(x + a_{k})', b=f'(u + b_{k})')}"
        for k, (call, _) in CALLS.items()
    ),
    loss=" + ".join(f"sum(c * y_{label})" for label in CALLS),
)
rng = np.random.default_rng(3)
X, U = rng.normal(size=(M, N)), rng.normal(size=N) + 0.1
C = rng.normal(size=(M, N))
STEP = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "not"}


def test_every_op_of_two_or_three_tensors_is_here():
    named = {op.name for op in OPS if op.kind == "map" and op.arity > 1 and op.spoken} | {"not"}
    assert named <= set(CALLS)


@pytest.mark.parametrize("label", CALLS)
def test_value_and_gradient(label):
    formula = CALLS[label][1]
    program = compiled(TEXT)
    outputs = program.forward(x=X, u=U)
    np.testing.assert_allclose(outputs[f"y_{label}"], formula(X, U), rtol=1e-13, atol=1e-15)
    _, gradient = program.gradient(x=X, u=U, c=C)
    by_a = C * (formula(X + EPS, U) - formula(X - EPS, U)) / (2 * EPS)
    by_b = (C * (formula(X, U + EPS) - formula(X, U - EPS)) / (2 * EPS)).sum(0)
    np.testing.assert_allclose(gradient[f"t/a_{label}"], by_a, RTOL, ATOL)
    np.testing.assert_allclose(gradient[f"t/b_{label}"], by_b, RTOL, ATOL)
    if label in STEP:
        assert not gradient[f"t/a_{label}"].any()


def test_float32_agrees_with_float64():
    x, u = X.astype(np.float32), U.astype(np.float32)
    double, single = (compiled(TEXT, p).forward(x=x, u=u) for p in ("f64", "f32"))
    for label in CALLS:
        np.testing.assert_allclose(single[f"y_{label}"], double[f"y_{label}"], rtol=1e-5, atol=1e-6, err_msg=label)
    (_, double), (_, single) = (compiled(TEXT, p).gradient(x=x, u=u, c=C) for p in ("f64", "f32"))
    for path, values in double.items():
        np.testing.assert_allclose(single[path], values, rtol=1e-3, atol=1e-5, err_msg=path)


def test_on_a_tie_the_second_operand_gets_the_gradient():
    _, gradient = compiled(TEXT).gradient(x=np.tile(U, (M, 1)), u=U, c=C)
    for label in ("maximum", "minimum"):
        assert not gradient[f"t/a_{label}"].any()
        np.testing.assert_allclose(gradient[f"t/b_{label}"], C.sum(0))


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("side", ["x", "u"])
def test_nan_on_either_side_stays_nan(precision, side):
    given = {"x": X.copy(), "u": U.copy()}
    given[side][...] = np.nan
    outputs = compiled(TEXT, precision).forward(**given)
    for label in ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "reversed_divide"):
        assert np.isnan(outputs[f"y_{label}"]).all(), label
    for label in ("equal", "less", "less_equal", "greater", "greater_equal"):
        assert not outputs[f"y_{label}"].any(), label
    assert outputs["y_not_equal"].all()


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_infinities_follow_ieee_754(precision):
    x = np.resize([np.inf, -np.inf, 1.0, 0.0, -0.0], (M, N))
    u = np.array([np.inf, -np.inf, 0.0, 1.0, -1.0, 2.0, -0.5])
    outputs = compiled(TEXT, precision).forward(x=x, u=u)
    with np.errstate(all="ignore"):
        for label in ("add", "subtract", "multiply", "maximum", "minimum", "less", "where"):
            np.testing.assert_array_equal(outputs[f"y_{label}"], CALLS[label][1](x, u), err_msg=label)
        divided = np.abs(x / u)
        np.testing.assert_array_equal(np.abs(outputs["y_divide"]), divided)
