"""Losses and metrics against their formulas, and what must survive scores of 10,000."""

import numpy as np
import pytest
from numerics_helpers import ATOL, PRECISIONS, RTOL, central_differences, compiled

B, T, K = 5, 3, 7
rng = np.random.default_rng(6)
Y, Y3 = rng.integers(0, K, B), rng.integers(0, K, (B, T))
R = rng.normal(size=(B, K))
Q = rng.uniform(size=(B, K))
BIT = (Q > 0.5) * 1.0


def log_softmax(z):
    u = z - z.max(-1, keepdims=True)
    return u - np.log(np.exp(u).sum(-1, keepdims=True))


def cross_entropy(z, y, smoothing=0.0):
    q = (1 - smoothing) * np.eye(z.shape[-1])[y] + smoothing / z.shape[-1]
    return -(q * log_softmax(z)).sum(-1).mean()


def huber(z, y, delta=1.0):
    r = np.abs(z - y)
    return np.where(r <= delta, 0.5 * r * r, delta * (r - 0.5 * delta)).mean()


def binary(z, q):
    return -(q * -np.logaddexp(0, -z) + (1 - q) * -np.logaddexp(0, z)).mean()


LOSSES = {  # label -> (call of the scores h [B,K] or, in sequence, [B,T,K]; its value)
    "mse": ("mse(h, r)", lambda z: ((z - R) ** 2).mean()),
    "mae": ("mae(h, r)", lambda z: np.abs(z - R).mean()),
    "huber": ("huber(h, r)", lambda z: huber(z, R)),
    "huber_narrow": ("huber(h, r, delta=0.3)", lambda z: huber(z, R, 0.3)),
    "cross_entropy": ("cross_entropy(h, y)", lambda z: cross_entropy(z, Y)),
    "smoothed": ("cross_entropy(h, y, smoothing=0.1)", lambda z: cross_entropy(z, Y, 0.1)),
    "sequence": ("cross_entropy(h, y3)", lambda z: cross_entropy(z, Y3)),
    "binary": ("binary_cross_entropy(h, q)", lambda z: binary(z, Q)),
    "hard": ("binary_cross_entropy(h, bit)", lambda z: binary(z, BIT)),
}
ROWS = {  # label -> (call, axes of the result); each is summed with random factors
    "softmax": ("h |> softmax[K]", "B,K"),
    "log_softmax": ("h |> log_softmax[K]", "B,K"),
    "logsumexp": ("h |> logsumexp[K]", "B"),
    "layernorm": ("h |> layernorm", "B,K"),
}


def _axes(label):
    return "B,T,K" if label == "sequence" else "B,K"


def _lines():
    for label in (*LOSSES, *ROWS):
        x = "x3" if label == "sequence" else "x"
        yield f"  weight w_{label}[{_axes(label)}] ~ zeros\n  h_{label} = {x} + w_{label}"
    for label, (call, _) in ROWS.items():
        yield f"  z_{label} = {call.replace('h', f'h_{label}', 1)}"


def _call(label):
    call, _ = LOSSES[label]
    return call.replace("(h", f"(h_{label}")


NEWLINE = "\n"
TERMS = [*map(_call, LOSSES), *(f"sum({'c' if axes == 'B,K' else 'd'} * z_{k})" for k, (_, axes) in ROWS.items())]
GIVEN = "x[B,K], x3[B,T,K], y[B]: K, y3[B,T]: K, r[B,K], q[B,K], bit[B,K], c[B,K], d[B]"
TEXT = f"""
dim B = {B}, T = {T}, K = {K}
model t({GIVEN}) -> {", ".join(f"z_{k}[{axes}]" for k, (_, axes) in ROWS.items())} {{
{NEWLINE.join(_lines())}
}}
train {{
  loss = {" + ".join(TERMS)}
  metrics = [{", ".join([*TERMS, "accuracy(x, y)", "accuracy(x3, y3)", "binary_accuracy(x, q)"])}]
}}
"""
INPUTS = {"y": Y, "y3": Y3, "r": R, "q": Q, "bit": BIT, "c": rng.normal(size=(B, K)), "d": rng.normal(size=B)}
X, X3 = rng.normal(size=(B, K)), rng.normal(size=(B, T, K))


def figures(program, x=X, x3=X3):
    values = list(program.figures(x=x, x3=x3, **INPUTS).values())[1:]
    names = (*LOSSES, *ROWS, "accuracy", "accuracy_3", "binary_accuracy")
    return dict(zip(names, values, strict=True))


def gradients(program, x=X, x3=X3):
    loss, found = program.gradient(x=x, x3=x3, **INPUTS)
    return loss, {path.removeprefix("t/w_"): g for path, g in found.items()}


def rows(program, x):
    return {k.removeprefix("z_"): v for k, v in program.forward(x=x).items()}


@pytest.mark.parametrize("label", LOSSES)
def test_value(label):
    _, formula = LOSSES[label]
    expected = formula(X3 if label == "sequence" else X)
    assert figures(compiled(TEXT))[label] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("label", LOSSES)
def test_gradient(label):
    program = compiled(TEXT)
    _, gradient = gradients(program)
    numeric = central_differences(lambda: figures(program)[label], program, f"t/w_{label}")
    np.testing.assert_allclose(gradient[label], numeric, RTOL, ATOL)


def test_cross_entropy_has_the_gradient_softmax_minus_target():
    _, gradient = gradients(compiled(TEXT))
    p, target = np.exp(log_softmax(X)), np.eye(K)[Y]
    np.testing.assert_allclose(gradient["cross_entropy"], (p - target) / B, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradient["smoothed"], (p - 0.9 * target - 0.1 / K) / B, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_binary_cross_entropy_has_its_slope_at_zero(precision):
    """Where a model of zeros starts: sigmoid(0) - target = 1/2 - target."""
    _, gradient = gradients(compiled(TEXT, precision), x=np.zeros((B, K)))
    np.testing.assert_allclose(gradient["binary"], (0.5 - Q) / (B * K), rtol=1e-5)


def test_huber_is_a_parabola_inside_and_a_line_outside():
    _, gradient = gradients(compiled(TEXT), x=R + np.linspace(-3, 3, B * K).reshape(B, K))
    r = np.linspace(-3, 3, B * K).reshape(B, K)
    np.testing.assert_allclose(gradient["huber"], np.clip(r, -1, 1) / (B * K), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient["huber_narrow"], np.clip(r, -0.3, 0.3) / (B * K), rtol=1e-9, atol=1e-12)


def test_metrics():
    found = figures(compiled(TEXT))
    assert found["accuracy"] == pytest.approx((X.argmax(1) == Y).mean())
    assert found["accuracy_3"] == pytest.approx((X3.argmax(2) == Y3).mean())
    assert found["binary_accuracy"] == pytest.approx(((X > 0) == (Q > 0.5)).mean())


def test_accuracy_takes_the_first_of_equal_scores():
    assert figures(compiled(TEXT), x=np.zeros((B, K)))["accuracy"] == pytest.approx((Y == 0).mean())


def test_float32_agrees_with_float64():
    double, single = (figures(compiled(TEXT, p)) for p in PRECISIONS)
    assert single == pytest.approx(double, rel=1e-3, abs=1e-5)
    (_, double), (_, single) = (gradients(compiled(TEXT, p)) for p in PRECISIONS)
    for label, values in double.items():
        np.testing.assert_allclose(single[label], values, rtol=1e-3, atol=1e-5, err_msg=label)


# --- large scores --------------------------------------------------------------------------------------------------


def _large():
    x = np.where(rng.random((B, K)) > 0.5, 1e4, -1e4)
    x[0], x[1], x[2, 1:] = 1e4, -1e4, -1e4
    return x


LARGE = _large()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_losses_survive_large_scores(precision):
    x3 = np.repeat(LARGE[:, None], T, 1)
    program = compiled(TEXT, precision)
    found, (loss, gradient) = figures(program, LARGE, x3), gradients(program, LARGE, x3)
    assert np.isfinite(loss)
    for label, (_, formula) in LOSSES.items():
        assert found[label] == pytest.approx(formula(x3 if label == "sequence" else LARGE), rel=1e-5), label
        assert np.isfinite(gradient[label]).all(), label
        if label not in ("mse", "mae"):
            assert np.abs(gradient[label]).max() <= 1, label
    p = np.exp(log_softmax(LARGE))
    np.testing.assert_allclose(gradient["cross_entropy"], (p - np.eye(K)[Y]) / B, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_softmax_and_its_kin_survive_large_scores(precision):
    program = compiled(TEXT, precision)
    found, (_, gradient) = rows(program, LARGE), gradients(program, LARGE)
    expected = log_softmax(LARGE)
    np.testing.assert_allclose(found["softmax"], np.exp(expected), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found["log_softmax"], expected, rtol=1e-5, atol=1e-5)
    m = LARGE.max(1)
    np.testing.assert_allclose(found["logsumexp"], m + np.log(np.exp(LARGE - m[:, None]).sum(1)), rtol=1e-6)
    for label in ROWS:
        assert np.isfinite(gradient[label]).all(), label
    np.testing.assert_allclose(gradient["logsumexp"], INPUTS["d"][:, None] * np.exp(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("precision", "tolerance"), [("f64", 1e-9), ("f32", 2e-3)])
def test_layernorm_survives_a_large_mean(precision, tolerance):
    """The variance of x^2 less the square of the mean would leave no digit in float32."""
    x = (X + 1e4).astype(np.float32).astype(float)
    u = x - x.mean(1, keepdims=True)
    expected = u / np.sqrt((u * u).mean(1, keepdims=True) + 1e-5)
    program = compiled(TEXT, precision)
    np.testing.assert_allclose(rows(program, x)["layernorm"], expected, rtol=tolerance, atol=tolerance)
    _, near = gradients(program, x - 1e4)
    _, far = gradients(program, x)
    np.testing.assert_allclose(far["layernorm"], near["layernorm"], rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_constant_row_normalises_to_zero(precision):
    assert not rows(compiled(TEXT, precision), np.full((B, K), 3.0))["layernorm"].any()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nan_reaches_the_loss_and_stays_in_its_row(precision):
    x = X.copy()
    x[2, 3] = np.nan
    program = compiled(TEXT, precision)
    found, (loss, _) = figures(program, x), gradients(program, x)
    assert np.isnan(loss)
    assert all(np.isnan(found[label]) for label in LOSSES if label != "sequence")
    for label, values in rows(program, x).items():
        assert np.isnan(values[2]).all(), label
        assert np.isfinite(np.delete(values, 2, 0)).all(), label
