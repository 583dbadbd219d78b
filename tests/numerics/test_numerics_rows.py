"""What combines the elements of a row or a column: reductions, softmax and its kin, norms, products."""

import numpy as np
import pytest
from numerics_helpers import central_differences, compiled, randomise

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


# label -> (call of {x}[L,M,N], axes of the result, formula of x and of a lookup of the weights)
CALLS = {
    "sum_n": ("sum[N]({x})", "L,M", lambda x, w: x.sum(2)),
    "sum_m": ("sum[M]({x})", "L,N", lambda x, w: x.sum(1)),
    "sum_l": ("sum[L]({x})", "M,N", lambda x, w: x.sum(0)),
    "sum_ln": ("sum[L,N]({x})", "M", lambda x, w: x.sum((0, 2))),
    "sum_all": ("sum({x})", "", lambda x, w: x.sum()),
    "mean_m": ("mean[M]({x})", "L,N", lambda x, w: x.mean(1)),
    "mean_all": ("mean({x})", "", lambda x, w: x.mean()),
    "max_n": ("max[N]({x})", "L,M", lambda x, w: x.max(2)),
    "max_m": ("max[M]({x})", "L,N", lambda x, w: x.max(1)),
    "min_n": ("min[N]({x})", "L,M", lambda x, w: x.min(2)),
    "min_all": ("min({x})", "", lambda x, w: x.min()),
    "softmax_n": ("softmax[N]({x})", "L,M,N", lambda x, w: softmax(x, 2)),
    "softmax_m": ("soft[M]({x})", "L,M,N", lambda x, w: softmax(x, 1)),
    "log_softmax_n": ("log_softmax[N]({x})", "L,M,N", lambda x, w: np.log(softmax(x, 2))),
    "softmax_l": ("soft[L]({x})", "L,M,N", lambda x, w: softmax(x, 0)),
    "logsumexp_n": ("logsumexp[N]({x})", "L,M", lambda x, w: logsumexp(x, 2)),
    "layernorm": ("{x} |> layernorm", "L,M,N", lambda x, w: layernorm(x, w("layernorm/g"), w("layernorm/b"))),
    "layernorm_eps": (
        "{x} |> layernorm(eps=0.5)",
        "L,M,N",
        lambda x, w: layernorm(x, w("layernorm/g"), w("layernorm/b"), 0.5),
    ),
    "rmsnorm": ("{x} |> rmsnorm", "L,M,N", lambda x, w: rmsnorm(x, w("rmsnorm/g"))),
    "linear": ("{x} |> linear(P)", "L,M,P", lambda x, w: x @ w("linear/W") + w("linear/b")),
    "no_bias": ("{x} |> linear(P, bias=false)", "L,M,P", lambda x, w: x @ w("linear/W")),
    "square_sum": ("sum[N]({x} * {x})", "L,M", lambda x, w: (x * x).sum(2)),
    "two_steps": ("sum[M](exp({x} - max[M]({x})))", "L,N", lambda x, w: np.exp(x - x.max(1, keepdims=True)).sum(1)),
}
SIZES = {"L": 3, "M": 5, "N": 7, "P": 2}


BLOCK = """
block soft[D](x[..]) -> y[..] {
  e = exp(x - stop_gradient(max[D](x)))
  y = e / sum[D](e)
}
"""


def text(sizes):
    lines = (f"  y_{k} = {call.format(x='h')}" for k, (call, _, _) in CALLS.items())
    results = ", ".join(f"y_{k}[{axes}]" for k, (_, axes, _) in CALLS.items())
    terms = [f"y_{k} * y_{k}" if not axes else f"sum(y_{k} * y_{k})" for k, (_, axes, _) in CALLS.items()]
    sizes = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    newline = "\n"
    return (
        f"dim {sizes}{BLOCK}model t(x[L,M,N]) -> {results} {{\n  weight w[L,M,N] ~ zeros\n  h = x + w\n{newline.join(lines)}\n  best = argmax[N](x)\n}}\n"
        f"train {{ loss = 0.5 * ({' + '.join(terms)})\n  metrics = [mean(number(argmax[M](x)))] }}"
    )


TEXT = text(SIZES)
SHAPE = tuple(SIZES[k] for k in "LMN")
rng = np.random.default_rng(4)
X = rng.normal(size=SHAPE)


@pytest.fixture(scope="module")
def program():
    made = compiled(TEXT)
    randomise(made, 5)
    return made


def test_every_reduction_and_product_is_here():
    used = {"contract" if "linear" in call else call.split("[")[0].split("(")[0] for call, _, _ in CALLS.values()}
    assert {op.name for op in OPS if op.kind in ("reduce", "contract")} <= used | {"argmax"}


@pytest.mark.parametrize("label", CALLS)
def test_value(program, label):
    found = program.forward(x=X)[f"y_{label}"]
    x = X + program.weights["t/w"]
    expected = CALLS[label][2](x, lambda name: program.weights[f"t/y_{label}/{name}"])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_gradients(program):
    _, gradient = program.gradient(x=X)
    for path, found in gradient.items():
        numeric = central_differences(lambda: program.loss(x=X), program, path)
        np.testing.assert_allclose(found, numeric, 1e-3, 1e-5, err_msg=path)


def test_float32_agrees_with_float64(program):
    single = compiled(TEXT, "f32")
    for path in program.weights:
        single.weights[path] = program.weights[path]
    a, b = program.forward(x=X), single.forward(x=X)
    for name in a:
        np.testing.assert_allclose(b[name], a[name], rtol=1e-3, atol=1e-5, err_msg=name)
    (_, a), (_, b) = program.gradient(x=X), single.gradient(x=X)
    for path in a:
        np.testing.assert_allclose(b[path], a[path], rtol=1e-3, atol=1e-4, err_msg=path)
