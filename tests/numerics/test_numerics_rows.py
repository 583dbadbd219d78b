"""What combines the elements of a row or a column: reductions, softmax and its kin, norms, products."""

import numpy as np
import pytest
from numerics_helpers import ATOL, RTOL, central_differences, compiled, randomise

from archspec.ops import OPS


def _mean(x, axis=-1):
    return x.mean(axis, keepdims=True)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def logsumexp(x, axis=-1):
    m = x.max(axis, keepdims=True)
    return np.squeeze(m, axis) + np.log(np.exp(x - m).sum(axis))


def layernorm(x, g, b, eps=1e-5):
    u = x - _mean(x)
    return g * u / np.sqrt(_mean(u * u) + eps) + b


def rmsnorm(x, g, eps=1e-6):
    return g * x / np.sqrt(_mean(x * x) + eps)


# label -> (a call of h[L,M,N], axes of the result, the formula for h and a lookup of the weights)
CALLS = {
    "sum_n": ("sum[N](h)", "lm", lambda h, w: h.sum(2)),
    "sum_m": ("sum[M](h)", "ln", lambda h, w: h.sum(1)),
    "sum_ln": ("sum[L,N](h)", "m", lambda h, w: h.sum((0, 2))),
    "mean_lm": ("mean[L,M](h)", "n", lambda h, w: h.mean((0, 1))),
    "mean_all": ("mean(h)", "", lambda h, w: h.mean()),
    "max_n": ("max[N](h)", "lm", lambda h, w: h.max(2)),
    "max_m": ("max[M](h)", "ln", lambda h, w: h.max(1)),
    "min_n": ("min[N](h)", "lm", lambda h, w: h.min(2)),
    "min_all": ("min(h)", "", lambda h, w: h.min()),
    "argmax_n": ("number(argmax[N](h))", "lm", lambda h, w: h.argmax(2)),
    "argmax_m": ("number(argmax[M](h))", "ln", lambda h, w: h.argmax(1)),
    "softmax_n": ("softmax[N](h)", "lmn", lambda h, w: softmax(h, 2)),
    "softmax_m": ("soft[M](h)", "lmn", lambda h, w: softmax(h, 1)),
    "log_softmax": ("log_softmax[N](h)", "lmn", lambda h, w: np.log(softmax(h, 2))),
    "logsumexp": ("logsumexp[N](h)", "lm", lambda h, w: logsumexp(h, 2)),
    "layernorm": ("h |> layernorm", "lmn", lambda h, w: layernorm(h, w("layernorm/g"), w("layernorm/b"))),
    "layernorm_eps": ("h |> layernorm(0.5)", "lmn", lambda h, w: layernorm(h, w("layernorm/g"), w("layernorm/b"), 0.5)),
    "rmsnorm": ("h |> rmsnorm", "lmn", lambda h, w: rmsnorm(h, w("rmsnorm/g"))),
    "linear": ("h |> linear(P)", "lmp", lambda h, w: h @ w("linear/W") + w("linear/b")),
    "no_bias": ("h |> linear(P, bias=false)", "lmp", lambda h, w: h @ w("linear/W")),
    "square_sum": ("sum[N](h * h)", "lm", lambda h, w: (h * h).sum(2)),
    "two_steps": ("sum[M](exp(h - max[M](h)))", "ln", lambda h, w: np.exp(h - h.max(1, keepdims=True)).sum(1)),
}
SIZES = {"l": 3, "m": 5, "n": 7, "p": 2}
SHAPES = sorted({axes for _, axes, _ in CALLS.values() if axes} | {"lmn"})
COLON = "\n"
TEXT = f"""
dim {", ".join(f"{name.upper()} = {size}" for name, size in SIZES.items())}

block soft[D](x[..]) -> y[..] {{
  e = exp(x - stop_gradient(max[D](x)))
  y = e / sum[D](e)
}}

model t(x[L,M,N], {", ".join(f"c_{axes}[{','.join(axes.upper())}]" for axes in SHAPES)}) -> h[L,M,N] {{
  weight w[L,M,N] ~ zeros
  h = x + w
{COLON.join(f"  y_{label} = {call}" for label, (call, _, _) in CALLS.items())}
}}

train {{
  loss = {" + ".join(f"sum(c_{axes} * y_{k})" if axes else f"y_{k}" for k, (_, axes, _) in CALLS.items())}
  metrics = [{", ".join(f"sum(c_{axes} * y_{k})" if axes else f"sum(y_{k})" for k, (_, axes, _) in CALLS.items())}]
}}
"""
rng = np.random.default_rng(4)
INPUTS = {f"c_{axes}": rng.normal(size=[SIZES[a] for a in axes]) for axes in SHAPES}
INPUTS["x"] = rng.normal(size=[SIZES[a] for a in "lmn"])


@pytest.fixture(scope="module")
def program():
    made = compiled(TEXT)
    randomise(made, 5)
    return made


@pytest.fixture(scope="module")
def figures(program):
    loss, *rest = program.figures(**INPUTS).values()
    assert loss == pytest.approx(sum(rest))
    return dict(zip(CALLS, rest, strict=True))


def test_every_reduction_and_product_is_here():
    calls = " ".join(call for call, _, _ in CALLS.values()).replace("linear", "contract")
    assert all(op.name in calls for op in OPS if op.kind in ("reduce", "contract"))


@pytest.mark.parametrize("label", CALLS)
def test_value(program, figures, label):
    """Seen through its product with random numbers."""
    _, axes, formula = CALLS[label]
    h = INPUTS["x"] + program.weights["t/w"]
    expected = formula(h, lambda name: program.weights[f"t/y_{label}/{name}"])
    if axes:
        assert expected.shape == INPUTS[f"c_{axes}"].shape
        expected = (INPUTS[f"c_{axes}"] * expected).sum()
    assert figures[label] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_gradients(program):
    _, gradient = program.gradient(**INPUTS)
    assert len(gradient) == 9
    for path, found in gradient.items():
        numeric = central_differences(lambda: program.loss(**INPUTS), program, path)
        np.testing.assert_allclose(found, numeric, RTOL, ATOL, err_msg=path)


def test_float32_agrees_with_float64(program, figures):
    single = compiled(TEXT, "f32")
    for path in program.weights:
        single.weights[path] = program.weights[path]
    _, *found = single.figures(**INPUTS).values()
    np.testing.assert_allclose(found, list(figures.values()), rtol=1e-3, atol=1e-5)
    (_, double), (_, gradient) = program.gradient(**INPUTS), single.gradient(**INPUTS)
    for path, values in double.items():
        np.testing.assert_allclose(gradient[path], values, rtol=1e-3, atol=1e-4, err_msg=path)
