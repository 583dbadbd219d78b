"""Ops and activations of one tensor: values, slopes, float32, and the far ends of the number line."""

import re

import numpy as np
import pytest
from elementwise import ACTIVATIONS, CALLS, OPS_OF_ONE, N, expected, padded, slopes, values
from numerics_helpers import ATOL, EPS, RTOL

from archspec.lower.files import STDLIB
from archspec.ops import OPS

rng = np.random.default_rng(1)
POINTS = np.concatenate([rng.normal(size=N - 4000) * 2, rng.uniform(-30, 30, 4000)])
FLOAT32 = np.finfo(np.float32)
WIDE = np.concatenate(
    [
        *(s * 10.0 ** np.linspace(-45, 38, 3500) for s in (1.0, -1.0)),
        np.linspace(-110, 110, 5001),
        np.linspace(-5, 5, 4001),
        np.linspace(-1, 1, 3001),
        -1 + 10.0 ** np.linspace(-7, 0, 900),
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 1e-40, -1e-40, 1.4e-45, -1.4e-45, 3.4e38, -3.4e38],
        [88.7228, 88.73, 88.0001, 88.5, -87.33, -87.34, -103.9, -104.1, 1.0, -1.0],
    ]
)
WIDE = padded(WIDE).astype(np.float32)
ULPS = {"exp": 2, "expm1": 3, "log": 2, "log1p": 4, "sigmoid": 4, "tanh": 3, "erf": 8, "sin": 2, "cos": 2, "sqrt": 1}


@pytest.fixture(scope="module")
def found():
    return values(POINTS)


@pytest.fixture(scope="module")
def slope():
    return slopes(POINTS)


def test_every_op_of_one_tensor_is_here():
    spoken = {op.name for op in OPS if op.kind == "map" and op.arity == 1 and op.spoken}
    assert spoken - {"dropout", "noise", "number"} == set(OPS_OF_ONE)


def test_every_activation_is_here():
    text = (STDLIB / "activations.arch").read_text(encoding="utf-8")
    elsewhere = {"softmax", "log_softmax", "logsumexp"}  # along an axis
    assert set(re.findall(r"^block (\w+)", text, re.MULTILINE)) - elsewhere == set(ACTIVATIONS)


@pytest.mark.parametrize("label", CALLS)
def test_value_is_that_of_the_formula(found, label):
    np.testing.assert_allclose(found[label], expected(POINTS)[label], rtol=1e-12, atol=1e-15)


def test_slope_is_that_of_central_differences(slope):
    points = POINTS[np.abs(POINTS) < 6]
    ahead, behind = expected(points + EPS), expected(points - EPS)
    for label in CALLS:
        numeric = (ahead[label] - behind[label]) / (2 * EPS)
        if label == "stop_gradient":
            numeric = 0 * numeric
        # Next to a pole the differences themselves are wrong.
        sound = np.isfinite(numeric) & (np.abs(numeric) < 1e2)
        assert sound.mean() > 0.3, label
        part = slope[label][np.abs(POINTS) < 6]
        np.testing.assert_allclose(part[sound], numeric[sound], RTOL, ATOL, err_msg=label)


def test_float32_agrees_with_float64(found, slope):
    for double, single in ((found, values(POINTS, "f32")), (slope, slopes(POINTS, "f32"))):
        # Rounding x to float32 moves what is steep or jumps; those are checked at float32 points below.
        for label in set(CALLS) - {"floor", "sign", "exp", "power_m3", "power_m1", "power_mhalf", "sin", "cos"}:
            small = np.abs(POINTS) > 1e-3
            x, y = double[label][small], single[label][small]
            close = np.isclose(y, x, rtol=1e-3, atol=2e-5, equal_nan=True)
            assert close.all(), (label, POINTS[small][~close][:5], x[~close][:5], y[~close][:5])


@pytest.mark.parametrize("name", ULPS)
def test_float32_functions_are_exact_to_a_few_ulp(name):
    """What lies or rounds below the least normal float32 may be flushed to 0, also on the way to a result near it."""
    flushed = np.where(np.abs(WIDE) < FLOAT32.tiny, np.copysign(0.0, WIDE), WIDE)
    found, true = values(flushed, "f32")[name], expected(flushed)[name]
    with np.errstate(all="ignore"):
        rounded = true.astype(np.float32)
        error = np.abs(found.astype(float) - true)
    ends = ~np.isfinite(rounded)
    np.testing.assert_array_equal(found[ends], rounded[ends])
    ulp = np.spacing(np.maximum(np.abs(rounded), FLOAT32.tiny)).astype(float)
    near_zero = np.abs(true) <= 4 * float(FLOAT32.tiny)
    assert error[near_zero].max(initial=0) <= 4 * float(FLOAT32.tiny)
    rest = ~ends & ~near_zero
    worst = np.argmax(np.where(rest, error / ulp, 0))
    assert error[worst] <= ULPS[name] * ulp[worst], (name, WIDE[worst], found[worst], true[worst])


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_a_function_gives_the_same_bits_wherever_its_element_lies(precision):
    """Vectors, their remainders and blocks must agree, or results would hang on sizes and threads."""
    order = np.random.default_rng(2).permutation(N)
    straight, mixed = values(WIDE, precision), values(WIDE[order], precision)
    for label in CALLS:
        kind = np.int32 if precision == "f32" else np.int64
        a, b = straight[label][order], mixed[label]
        same = (a.view(kind) == b.view(kind)) | (np.isnan(a) & np.isnan(b))
        assert same.all(), (label, WIDE[order][~same][:5], a[~same][:5], b[~same][:5])


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_nan_stays_nan(precision):
    for label, y in values(padded([np.nan, 1.0, -1.0]), precision).items():
        assert np.isnan(y[::3]).all(), label


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_activations_survive_large_scores(precision):
    points = padded([1e4, -1e4, 300.0, -300.0, 100.0, -100.0, 0.0])
    found, slope, true = values(points, precision), slopes(points, precision), expected(points)
    for label in ACTIVATIONS:
        assert np.isfinite(slope[label]).all(), (label, points[~np.isfinite(slope[label])])
        np.testing.assert_allclose(found[label], true[label], rtol=1e-6, atol=1e-30, err_msg=label)
        assert np.abs(slope[label]).max() < 2, label


KINKS = {"relu": 0, "leaky_relu": 0.01, "leaky_relu_2": 0.2, "relu6": 0, "abs": 0, "selu": 1.7580993408473766}
SMOOTH = "elu celu celu_2 silu swish swish_2 gelu gelu_tanh mish softplus log_sigmoid softsign sigmoid tanh hard_tanh"


def test_the_slope_at_zero():
    """A function in two pieces that is smooth at 0 must not lose its slope there: weights often start at 0."""
    slope, ahead, behind = slopes(padded([0.0])), expected([EPS]), expected([-EPS])
    for label in SMOOTH.split():
        assert slope[label][0] == pytest.approx((ahead[label][0] - behind[label][0]) / (2 * EPS), rel=1e-5), label
    for label, value in KINKS.items():
        assert slope[label][0] == pytest.approx(value), label
