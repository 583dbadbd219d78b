"""Optimisers, their rules by path, clipping and schedules, against plain NumPy."""

import math

import numpy as np
import pytest
from numerics_helpers import compiled, program_of

from archspec.learning.optimizers import OPTIMIZERS
from archspec.learning.schedules import PHASES, learning_rate

D, P, STEPS = 3, 2, 50
rng = np.random.default_rng(8)
FIRST = {"m/z/linear/W": rng.normal(size=(D, P)), "m/z/linear/b": rng.normal(size=P)}
BATCHES = [(rng.normal(size=(n, D)), rng.normal(size=(n, P))) for n in (8, 5, 8, 1, 3)]
W, B = FIRST


def text(settings):
    return f"dim B, D, P\nmodel m(x[B,D]) -> z[B,P] {{ z = x |> linear(P) }}\ntrain {{ loss = mse(z, y)\n{settings}\n}}"


TEXT_Y = 'data { source = csv("none.csv")\n x[B,D] = source["x*"]\n y[B,P] = source["y*"] }\n'


def gradient(w, t):
    """The gradient of the mean squared error of the batch of update t."""
    x, y = BATCHES[(t - 1) % len(BATCHES)]
    e = 2 * (x @ w[W] + w[B] - y) / y.size
    return {W: x.T @ e, B: e.sum(0)}


def trained(settings, steps=STEPS, **options):
    """The weights after each update."""
    history = []
    options = {"precision": "f64", "dims": {"D": D, "P": P}, "total_steps": STEPS} | options
    with program_of(TEXT_Y + text(settings), **options) as program:
        for path, value in FIRST.items():
            program.weights[path] = value
        for t in range(steps):
            x, y = BATCHES[t % len(BATCHES)]
            program.step(x=x, y=y)
            history.append({path: program.weights[path] for path in FIRST})
    return history


def expected(rule, steps=STEPS, first=FIRST):
    """`rule(w, g, t, memory)` gives the new weight; `memory` is the weight's own dict."""
    w, memories, history = dict(first), {path: {} for path in first}, []
    for t in range(1, steps + 1):
        g = gradient(w, t)
        w = {path: rule(w[path], g[path], t, memories[path]) for path in w}
        history.append(w)
    return history


def assert_same(found, wanted, rtol=1e-10):
    assert len(found) == len(wanted)
    for t, (a, b) in enumerate(zip(found, wanted, strict=True), start=1):
        for path, value in a.items():
            np.testing.assert_allclose(value, b[path], rtol=rtol, atol=1e-14, err_msg=f"{path} after update {t}")


# --- the update rules, each as its paper writes it -------------------------------------------------------------------


def sgd(lr=0.01, momentum=0.0, nesterov=False, decay=0.0):
    def rule(w, g, t, m):
        g = g + decay * w
        m["v"] = momentum * m.get("v", 0) + g
        return w - lr * (g + momentum * m["v"] if nesterov else m["v"])

    return rule


def adam(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0, decoupled=0.0):
    def rule(w, g, t, m):
        g = g + decay * w
        m["m"] = beta1 * m.get("m", 0) + (1 - beta1) * g
        m["v"] = beta2 * m.get("v", 0) + (1 - beta2) * g**2
        m_hat, v_hat = m["m"] / (1 - beta1**t), m["v"] / (1 - beta2**t)
        return w - lr * (m_hat / (np.sqrt(v_hat) + eps) + decoupled * w)

    return rule


def rmsprop(lr=0.01, rho=0.99, eps=1e-8, momentum=0.0, centered=False, decay=0.0):
    def rule(w, g, t, m):
        g = g + decay * w
        m["s"] = rho * m.get("s", 0) + (1 - rho) * g**2
        m["a"] = rho * m.get("a", 0) + (1 - rho) * g
        spread = np.maximum(m["s"] - m["a"] ** 2, 0) if centered else m["s"]
        m["v"] = momentum * m.get("v", 0) + g / (np.sqrt(spread) + eps)
        return w - lr * m["v"]

    return rule


def adagrad(lr=0.01, eps=1e-10, initial=0.0, decay=0.0):
    def rule(w, g, t, m):
        g = g + decay * w
        m["s"] = m.get("s", initial) + g**2
        return w - lr * g / (np.sqrt(m["s"]) + eps)

    return rule


CASES = {
    "sgd(lr=0.1)": sgd(lr=0.1),
    "sgd": sgd(),
    "sgd(lr=0.1, decay=0.1)": sgd(lr=0.1, decay=0.1),
    "sgd(lr=0.1, momentum=0.9)": sgd(lr=0.1, momentum=0.9),
    "sgd(lr=0.1, momentum=0.9, nesterov=true, decay=0.01)": sgd(lr=0.1, momentum=0.9, nesterov=True, decay=0.01),
    "adam": adam(),
    "adam(lr=0.03, beta1=0.8, beta2=0.99, eps=1e-3, decay=0.1)": adam(0.03, 0.8, 0.99, 1e-3, 0.1),
    "adamw": adam(decoupled=0.01),
    "adamw(lr=0.03, decay=0)": adam(0.03),
    "adamw(lr=0.03, decay=0.5)": adam(0.03, decoupled=0.5),
    "rmsprop": rmsprop(),
    "rmsprop(lr=0.02, rho=0.9, eps=1e-4, decay=0.1)": rmsprop(0.02, 0.9, 1e-4, decay=0.1),
    "rmsprop(lr=0.02, centered=true)": rmsprop(0.02, centered=True),
    "rmsprop(lr=0.01, momentum=0.5, centered=true)": rmsprop(0.01, momentum=0.5, centered=True),
    "adagrad": adagrad(),
    "adagrad(lr=0.1, initial=0.5, decay=0.1)": adagrad(0.1, initial=0.5, decay=0.1),
}


@pytest.mark.parametrize("recipe", CASES)
def test_fifty_updates(recipe):
    assert_same(trained(f"optimizer = {recipe}"), expected(CASES[recipe]))


def test_every_optimizer_is_here():
    assert {recipe.split("(")[0] for recipe in CASES} == set(OPTIMIZERS)


def test_the_default_is_adam():
    assert_same(trained("", 10), expected(adam(), 10))


@pytest.mark.parametrize("recipe", ["sgd(lr=0.1, momentum=0.9)", "adamw(lr=0.03, decay=0.5)"])
def test_float32_follows_float64(recipe):
    (*_, found), (*_, wanted) = trained(f"optimizer = {recipe}", precision="f32"), expected(CASES[recipe])
    for path, value in wanted.items():
        assert found[path].dtype == np.float32
        np.testing.assert_allclose(found[path], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_centered_rmsprop_survives_a_constant_gradient(precision):
    """Where the mean of squares is the square of the mean, their difference rounds to less than nothing."""
    source = (
        "dim B, D\nmodel m(x[B,D]) -> z[B,D] {\n  weight w[D] ~ ones\n  z = x * w\n}\n"
        "train { loss = mean(z)\n optimizer = rmsprop(lr=1e-6, rho=0.5, centered=true) }"
    )
    with program_of(source, dims={"D": 5}, precision=precision) as program:
        x = np.array([[0.1, 0.3, 0.7, 1.1, 1.3]])
        for _ in range(300):
            program.step(x=x)
        assert np.isfinite(program.weights["m/w"]).all()


# --- rules by path -------------------------------------------------------------------------------------------------


def test_a_rule_gives_weights_their_own_rate_and_decay():
    found = trained('optimizer = adamw(lr=0.03, decay=0.5)\n"*.b" { decay = 0 }\n"*.W" { lr = 0.1 }', 20)
    wanted_w, wanted_b = expected(adam(0.1, decoupled=0.5), 1), expected(adam(0.03), 1)
    assert_same([{W: found[0][W]}], [{W: wanted_w[0][W]}])
    assert_same([{B: found[0][B]}], [{B: wanted_b[0][B]}])
    rules = {W: adam(0.1, decoupled=0.5), B: adam(0.03)}
    assert_same(found, _by_path(rules, 20))


def _by_path(rules, steps, change=lambda g: g):
    w, memories, history = dict(FIRST), {path: {} for path in FIRST}, []
    for t in range(1, steps + 1):
        g = change(gradient(w, t))
        w = {path: rules[path](w[path], g[path], t, memories[path]) for path in w}
        history.append(w)
    return history


def test_a_later_rule_wins():
    found = trained('optimizer = sgd(lr=0.1)\n"m.*" { lr = 0.5, decay = 0.1 }\n"*.b" { lr = 0.2 }'.replace(", d", "\nd"), 5)
    assert_same(found, _by_path({W: sgd(0.5, decay=0.1), B: sgd(0.2, decay=0.1)}, 5))


def test_a_frozen_weight_keeps_its_bits_and_has_no_gradient():
    found = trained('optimizer = adam(lr=0.1, decay=0.1)\n"*.b" { freeze = true }', 5)
    assert all(np.array_equal(w[B], FIRST[B]) for w in found)
    assert_same(found, _by_path({W: adam(0.1, decay=0.1), B: lambda w, g, t, m: w}, 5))
    program = compiled(TEXT_Y + text('"*.b" { freeze = true }'), D=D, P=P)
    x, y = BATCHES[0]
    assert set(program.gradient(x=x, y=y)[1]) == {W}


def test_frozen_weights_do_not_count_towards_the_norm():
    found = trained('optimizer = sgd(lr=1)\nclip = norm(0.01)\n"*.b" { freeze = true }', 1)
    assert np.linalg.norm(found[0][W] - FIRST[W]) == pytest.approx(0.01)


# --- clipping ------------------------------------------------------------------------------------------------------


def test_clipping_by_norm_scales_the_whole_gradient():
    def clip(g):
        norm = math.sqrt(sum((v**2).sum() for v in g.values()))
        return {path: v * min(1, 5 / norm) for path, v in g.items()}

    sizes = [np.sqrt(sum((v**2).sum() for v in gradient(FIRST, t).values())) for t in range(1, 6)]
    assert min(sizes) < 5 < max(sizes), "some are clipped, some are not"
    found = trained("optimizer = sgd(lr=0.01, momentum=0.9)\nclip = norm(5)")
    assert_same(found, _by_path({W: sgd(0.01, 0.9), B: sgd(0.01, 0.9)}, STEPS, clip))


def test_clipping_by_value_limits_each_element():
    def clip(g):
        return {path: np.clip(v, -0.2, 0.2) for path, v in g.items()}

    found = trained("optimizer = adam(lr=0.03)\nclip = value(0.2)")
    assert_same(found, _by_path({W: adam(0.03), B: adam(0.03)}, STEPS, clip))


def test_a_gradient_of_zero_is_not_divided_by_its_norm():
    source = "dim B, D\nmodel m(x[B,D]) -> z[B,D] {\n weight w[D] ~ ones\n z = x * w\n}\n"
    source += "train { loss = mean(z)\n clip = norm(1.0)\n optimizer = sgd }"
    with program_of(source, dims={"D": 5}, precision="f64") as program:
        program.step(x=np.zeros((2, 5)))
        assert np.array_equal(program.weights["m/w"], np.ones(5))


# --- schedules -----------------------------------------------------------------------------------------------------

CURVES = {
    "constant": ([("constant", {})], lambda t, n: 1),
    "warmup": ([("warmup", {"steps": 10})], lambda t, n: min(1, t / 10)),
    "linear": ([("linear", {"to": 0.25})], lambda t, n: 1 + (0.25 - 1) * (t - 1) / (n - 1)),
    "linear_short": ([("linear", {"to": 0.25, "steps": 11})], lambda t, n: max(0.25, 1 - 0.75 * (t - 1) / 10)),
    "cosine": ([("cosine", {"to": 0.1})], lambda t, n: 0.1 + 0.45 * (1 + math.cos(math.pi * (t - 1) / (n - 1)))),
    "step": ([("step", {"every": 7, "factor": 0.5})], lambda t, n: 0.5 ** ((t - 1) // 7)),
    "exponential": ([("exponential", {"every": 7, "factor": 0.5})], lambda t, n: 0.5 ** ((t - 1) / 7)),
    "inverse_sqrt": ([("inverse_sqrt", {})], lambda t, n: 1 / math.sqrt(t)),
    "warmup_inverse_sqrt": (
        [("warmup", {"steps": 10}), ("inverse_sqrt", {})],
        lambda t, n: t / 10 if t <= 10 else math.sqrt(10 / (t - 1)),
    ),
    "warmup_cosine": (
        [("warmup", {"steps": 10}), ("cosine", {"to": 0.0})],
        lambda t, n: t / 10 if t <= 10 else 0.5 * (1 + math.cos(math.pi * (t - 11) / (n - 11))),
    ),
    "warmup_constant_linear": (
        [("warmup", {"steps": 5}), ("constant", {"steps": 20}), ("linear", {"to": 0.5})],
        lambda t, n: t / 5 if t <= 5 else 1 if t <= 25 else 1 - 0.5 * (t - 26) / (n - 26),
    ),
    "linear_step": (
        [("linear", {"to": 0.5, "steps": 10}), ("step", {"every": 4, "factor": 0.1})],
        lambda t, n: 1 - 0.5 * (t - 1) / 9 if t <= 10 else 0.5 * 0.1 ** ((t - 11) // 4),
    ),
}


@pytest.mark.parametrize("label", CURVES)
def test_schedule(label):
    phases, curve = CURVES[label]
    lr, n = 0.3, 40
    # A target is a learning rate, the curves here are shares of it.
    scaled = tuple((name, {k: v * lr if k == "to" else v for k, v in a.items()}) for name, a in phases)
    for t in range(1, n + 1):
        assert learning_rate(scaled, lr, t, n) == pytest.approx(lr * curve(t, n), rel=1e-12, abs=1e-15), t


def test_every_schedule_is_here():
    assert {name for phases, _ in CURVES.values() for name, _ in phases} == set(PHASES)


def test_a_schedule_scales_every_rule_of_a_run():
    settings = 'optimizer = sgd(lr=0.1)\nschedule = warmup(5) |> cosine(to=0.01)\n"*.b" { lr = 0.4 }'
    phases = (("warmup", {"steps": 5}), ("cosine", {"to": 0.01}))

    def rule(lr):
        return lambda w, g, t, m: w - learning_rate(phases, lr, t, 20) * g

    assert_same(trained(settings, 20, total_steps=20), _by_path({W: rule(0.1), B: rule(0.4)}, 20))
