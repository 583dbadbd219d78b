"""Index equations, recurrences, rows of different lengths and moved elements: what their graphs compute.

Graphs are interpreted in NumPy (tests/reference.py) and compared with the same written in plain loops; gradients are
compared with differences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import stages
from reference import interpret

from archspec.differentiate import differentiate, for_evaluation, for_training
from archspec.ir.graph import Graph
from archspec.ir.verify import verify

Arrays = dict[str, Any]
X = np.random.default_rng(1).normal(size=(2, 5, 4))
LENGTHS = np.array([5, 3])
LSTM = """
block lstm(x[B,T,D], H) -> h[B,T,H] {
  weight W[D, 4*H] ~ glorot
  weight U[H, 4*H] ~ orthogonal
  weight b[4*H]    ~ zeros
  over t in T {
    state h[B,H] = 0, c[B,H] = 0
    i, f, g, o = split(x[t] @ W + h[t-1] @ U + b, 4)
    c[t] = sigmoid(f) * c[t-1] + sigmoid(i) * tanh(g)
    h[t] = sigmoid(o) * tanh(c[t])
  }
}
"""


def spec(*lines: str, head: str = "dim B, T, D = 4, H = 3", before: str = "", result: str = "z[B,T,D]") -> str:
    body = "".join(f"  {line}\n" for line in lines)
    return f"{head}\n{before}model m(x[B,T,D]) -> {result} {{\n{body}}}\ntrain {{\n  loss = mean(z^2)\n}}\n"


def run(text: str, inputs: Arrays) -> tuple[Graph, Arrays, Arrays]:
    """The graph of a spec, random weights and its outputs."""
    graph = verify(stages(text, {}).graph)
    draw = np.random.default_rng(0)
    weights = {p: draw.normal(size=[a.size.evaluate(graph.sizes) for a in s.axes]) for p, s in graph.specs.items()}
    return graph, weights, interpret(graph, inputs, weights)


def check_gradients(text: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    """Compares some elements of every gradient with differences; the weights and the outputs."""
    graph, weights, outputs = run(text, inputs)
    gradients = interpret(verify(differentiate(graph)), inputs, weights)
    draw = np.random.default_rng(2)
    for path, weight in weights.items():
        exact = gradients[f"gradient:{path}"]
        assert np.isfinite(exact).all()
        for _ in range(4):
            at = tuple(draw.integers(n) for n in weight.shape)
            value, losses = weight[at], []
            for change in (1e-5, -1e-5):
                weight[at] = value + change
                losses.append(interpret(graph, inputs, weights)["loss"])
            weight[at] = value
            assert abs((losses[0] - losses[1]) / 2e-5 - exact[at]) < 1e-6, path
    return weights, outputs


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm(x: Any, weights: Arrays, path: str) -> Any:
    w, u, b = (weights[f"{path}/{name}"] for name in "WUb")
    h = c = np.zeros((x.shape[0], u.shape[0]))
    steps = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w + h @ u + b, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        steps.append(h)
    return np.stack(steps, 1)


# --- index equations ---------------------------------------------------------------------------------------------


def test_attention_is_two_contractions() -> None:
    text = spec(
        "weight W[D,D]",
        "q = x @ W",
        "s[b,i,j] = sum[c](q[b,i,c] * x[b,j,c]) / sqrt(D)",
        "a[b,i,j] = softmax[j where j <= i](s[b,i,j])",
        "z[b,i,c] = sum[j](a[b,i,j] * x[b,j,c])",
    )
    weights, outputs = check_gradients(text, {"x": X})
    scores = X @ weights["m/W"] @ X.transpose(0, 2, 1) / 2
    scores = np.where(np.tril(np.ones((5, 5))) > 0, np.exp(scores), 0)
    np.testing.assert_allclose(outputs["z"], scores / scores.sum(-1, keepdims=True) @ X)
    assert [n.op for n in stages(text, {}).graph.nodes].count("contract") == 3


def test_products_of_three_are_never_built_whole() -> None:
    text = spec(
        "weight W[D,H]",
        "weight U[H,D]",
        "z[b,t,d] = sum[c,k](x[b,t,c] * 2 * W[c,k] * -U[k,d]) / (1 + x[b,t,0]^2)",
    )
    weights, outputs = check_gradients(text, {"x": X})
    expected = -2 * X @ weights["m/W"] @ weights["m/U"] / (1 + X[..., :1] ** 2)
    np.testing.assert_allclose(outputs["z"], expected)
    assert max(len(node.loops) for node in stages(text, {}).graph.nodes) <= 4


def test_where_nothing_is_left_there_is_zero_and_no_nan() -> None:
    text = spec(
        "weight w[D]",
        "s = 10000 * (x @ w)",
        "a[b,i] = sum[j](softmax[j where j < i - 1](s[b,j] * s[b,i]) * s[b,j]) + logsumexp[j where j < i - 1](s[b,j])",
        "c[b, i in T] = max[j where j < i](s[b,j]) + min[j where j < i](s[b,j]) + mean[j where j < i](s[b,j])",
        "z = (a + c + sum[T where s > 0](s)) / 10000",
        result="z[B,T]",
    )
    graph, weights, outputs = run(text, {"x": X})
    gradients = interpret(verify(differentiate(graph)), {"x": X}, weights)
    assert np.isfinite(gradients["gradient:m/w"]).all()
    s = X @ weights["m/w"]
    np.testing.assert_allclose(outputs["z"][:, 0], np.maximum(s, 0).sum(1))
    np.testing.assert_allclose(outputs["z"][:, 1] - np.maximum(s, 0).sum(1), 3 * s[:, 0])


@pytest.mark.parametrize("ragged", ["", "?"])
def test_a_window_reads_zeros_outside(ragged: str) -> None:
    text = spec(
        "weight W[3,D,D]", "z[b, t in T, o] = sum[u in 3, c](x[b, t + u - 1, c] * W[u,c,o])", head=f"dim B, T{ragged}, D = 4"
    )
    weights, outputs = check_gradients(text, {"x": X, "T": LENGTHS} if ragged else {"x": X})
    inside = np.arange(5)[None, :, None] < LENGTHS[:, None, None] if ragged else np.array(True)
    padded = np.pad(np.where(inside, X, 0), ((0, 0), (1, 1), (0, 0)))
    np.testing.assert_allclose(outputs["z"], sum(padded[:, u : u + 5] @ weights["m/W"][u] for u in range(3)), atol=1e-12)


def test_strides_and_quotients() -> None:
    text = spec(
        "a[b, i in 3, d] = x[b, 2*i, d]",
        "up[b, t in T, d] = a[b, t / 2, d]",
        "z[b,t,d] = up[b,t,d] + x[b, T - 1 - t, d] * (t % 2) + number(t >= d)",
        "weight w[D]",
        "z2 = z * w",
    ).replace("mean(z^2)", "mean(z2)")
    _, _, outputs = run(text, {"x": X})
    t = np.arange(5)[:, None]
    expected = np.where(t % 2 == 0, X, 0) + X[:, ::-1] * (t % 2) + (t >= np.arange(4))
    np.testing.assert_allclose(outputs["z"], expected)


def test_rows_of_a_table() -> None:
    ids = np.array([[1, 2, 6, 0, 3], [4, 4, 5, 0, 1]])
    text = """dim B, T, V = 7, D = 3
model m(w[B,T]: V) -> z[B,T,D] {
  layer emb = embed(V, D)
  layer pos = embed(20, D)
  e = emb(w)
  f[b,t,d] = emb.W[w[b,t], d]
  z = e + pos(iota[T]) + f + (w |> embed(D))
}
train {
  loss = mean(z^2)
}
"""
    weights, outputs = check_gradients(text, {"w": ids})
    expected = 2 * weights["m/emb/W"][ids] + weights["m/pos/W"][:5] + weights["m/z/embed/W"][ids]
    np.testing.assert_allclose(outputs["z"], expected)


def test_leading_axes_in_equations_and_loops() -> None:
    block = """block f(x[.., T, D]) -> y[.., T, D] {
  weight W[D,D]
  u[.., t, k] = sum[d](x[.., t, d] * W[d,k])
  over t in T {
    state s[.., D] = 0
    s[.., t, k] = tanh(u[.., t, k] + sum[d](s[.., t-1, d] * W[d,k]))
  }
  y = s
}
"""
    weights, outputs = check_gradients(spec("z = f(x)", before=block), {"x": X})
    weight, s, steps = weights["m/z/f/W"], np.zeros((2, 4)), []
    for t in range(5):
        s = np.tanh(X[:, t] @ weight + s @ weight)
        steps.append(s)
    np.testing.assert_allclose(outputs["z"], np.stack(steps, 1))


# --- recurrences -------------------------------------------------------------------------------------------------


def test_lstm() -> None:
    weights, outputs = check_gradients(spec("h = x |> lstm(H)", "z = h", before=LSTM, result="z[B,T,H]"), {"x": X})
    np.testing.assert_allclose(outputs["z"], lstm(X, weights, "m/h/lstm"))


def test_what_does_not_hang_on_the_step_stays_outside() -> None:
    text = spec("over t in T {", "  state h[B,D] = 0", "  a = mean[T](x)", "  h[t] = h[t-1] + a", "}", "z = h")
    graph = verify(stages(text.split("train")[0], {}).graph)
    means = [n for n in graph.nodes if n.op == "sum"]
    assert [n.shape for n in means] == ["[B, D]"]
    np.testing.assert_allclose(interpret(graph, {"x": X}, {})["z"][:, 4], 5 * X.mean(1))


def test_reading_elsewhere_and_the_number_of_the_step() -> None:
    text = spec(
        "weight W[D,D]",
        "over t in T {",
        "  state q[] = 1",
        "  q[t] = 0.5 * q[t-1] + t",
        "  y[t] = x[t-1] * q[t]",
        "  v[b,t,d] = x[b,t,0] + W[d,0] * x[b, T - 1 - t, d]",
        "}",
        "z = y + v",
    )
    weights, outputs = check_gradients(text, {"x": X})
    q, steps = 1.0, []
    for t in range(5):
        q = 0.5 * q + t
        before = X[:, t - 1] if t else 0 * X[:, 0]
        steps.append(before * q + X[:, t, :1] + weights["m/W"][:, 0] * X[:, 4 - t])
    np.testing.assert_allclose(outputs["z"], np.stack(steps, 1))


def test_loops_in_loops() -> None:
    text = spec(
        "weight U[D,D]",
        "over t in T {",
        "  state h[B,D] = 0",
        "  first = 0.5 * x[t+1] + h[t-1]",
        "  over s in 3 {",
        "    state g[B,D] = first",
        "    g[s] = tanh(g[s-1] @ U + x[t] + 0.1 * t - s * 0.2)",
        "  }",
        "  h[t] = h[t-1] + last[3](g)",
        "}",
        "z = h",
    )
    weights, outputs = check_gradients(text, {"x": X})
    h, steps = np.zeros((2, 4)), []
    for t in range(5):
        g = h + (0.5 * X[:, t + 1] if t < 4 else 0)
        for s in range(3):
            g = np.tanh(g @ weights["m/U"] + X[:, t] + 0.1 * t - s * 0.2)
        h = h + g
        steps.append(h)
    np.testing.assert_allclose(outputs["z"], np.stack(steps, 1))


def test_carried_states_come_in_and_go_out() -> None:
    text = spec("over t in T carry {", "  state h[B,D] = 0", "  h[t] = h[t-1] + x[t]", "}", "z = h").split("train")[0]
    graph = verify(stages(text, {}).graph)
    outputs = interpret(graph, {"x": X, "carry:m/h": X[:, 0]}, {})
    np.testing.assert_allclose(outputs["z"], X[:, :1] + X.cumsum(1))
    np.testing.assert_allclose(outputs["carry:m/h"], X[:, 0] + X.sum(1))


# --- rows of different lengths -----------------------------------------------------------------------------------

RAGGED = spec(
    "h = x |> lstm(H)",
    "q = tanh(h |> linear(3))",
    "s = softmax[T](sum[3](q * last[T](q)))",
    "z = sum[T](s * h) + max[T](h) + mean[T](h) + first[T](h)",
    head="let H = 3\ndim B, T?, D = 4",
    before=LSTM,
    result="z[B,H]",
)
REVERSED = RAGGED.replace("in T {", "in T reversed {").replace("h[t-1]", "h[t+1]").replace("c[t-1]", "c[t+1]")


@pytest.mark.parametrize("text", [RAGGED, REVERSED])
def test_what_lies_past_the_end_is_never_seen(text: str) -> None:
    padded = np.where(np.arange(5)[None, :, None] < LENGTHS[:, None, None], X, 0)
    weights, outputs = check_gradients(text, {"x": padded, "T": LENGTHS})
    graph = stages(text, {}).graph
    other = np.where(np.arange(5)[None, :, None] < LENGTHS[:, None, None], X, 77)
    assert np.array_equal(interpret(graph, {"x": other, "T": LENGTHS}, weights)["z"], outputs["z"])
    alone = interpret(graph, {"x": X[1:, :3], "T": np.array([3])}, weights)
    np.testing.assert_allclose(alone["z"], outputs["z"][1:])


REDUCED = ["mean[T](x)", "sum[T](x * x)", "max[T](x)", "min[T](x)", "mean[B](x)", "mean[B,T](x)", "logsumexp[T](x)"]
REDUCED += ["softmax[T](x)", "log_softmax[T](x)", "mean(x)", "number(argmax[T](x))", "flip[T](x)"]


@pytest.mark.parametrize("expression", REDUCED)
def test_reductions_skip_what_lies_past_the_end(expression: str) -> None:
    text = spec(f"y = {expression}", "z = sum[T](y + 0 * x)", head="dim B, T?, D = 4", result="z[B,D]").split("train")[0]
    graph = verify(stages(text, {}).graph)
    wild = X.copy()
    wild[1, 3:] = 1e9
    seen = [interpret(graph, {"x": x, "T": LENGTHS}, {})["z"] for x in (X, wild)]
    np.testing.assert_allclose(seen[0], seen[1])


# --- moving elements ---------------------------------------------------------------------------------------------


def test_parts_joined_again_are_the_whole() -> None:
    text = spec("a, b = split(x, 2)", "c = concat(b, a)", "z = flip[T](c) + first[T](c) * last[T](c)").split("train")[0]
    joined = np.concatenate([X[..., 2:], X[..., :2]], -1)
    expected = joined[:, ::-1] + (joined[:, 0] * joined[:, -1])[:, None]
    np.testing.assert_allclose(interpret(verify(stages(text, {}).graph), {"x": X}, {})["z"], expected)


def test_a_row_is_turned_within_its_length() -> None:
    text = spec("z = flip[T](x)", head="dim B, T?, D = 4").split("train")[0]
    expected = np.zeros_like(X)
    expected[0], expected[1, :3] = X[0, ::-1], X[1, 2::-1]
    found = interpret(verify(stages(text, {}).graph), {"x": X, "T": LENGTHS}, {})["z"]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    "lines", [("y = flatten[D,T](x)", "z = unflatten[D*T](y, D, T)"), ("z = flatten[T,D](x) |> unflatten[T*D](T, D)",)]
)
def test_axes_merged_and_parted(lines: tuple[str, ...]) -> None:
    graph = verify(stages(spec(*lines).split("train")[0], {}).graph)
    np.testing.assert_allclose(interpret(graph, {"x": X}, {})["z"], X)


def test_linear_from_and_to_several_axes() -> None:
    weights, outputs = check_gradients(spec("y = x |> linear(H, 2)", "z = y |> linear[H,2](D)"), {"x": X})
    assert weights["m/y/linear/W"].shape == (4, 6)
    y = X @ weights["m/y/linear/W"] + weights["m/y/linear/b"]
    np.testing.assert_allclose(outputs["z"], y @ weights["m/z/linear/W"] + weights["m/z/linear/b"])


def test_running_averages() -> None:
    text = spec("weight w[D]", "m1 = mean[B,T](x)", "z = x * w - running(m1, 0.3, observe=2 * m1)")
    graph, weights, _ = run(text, {"x": X})
    trained = interpret(verify(for_training(graph)), {"x": X}, weights)
    mean, average = X.mean((0, 1)), weights["m/z/running"]
    np.testing.assert_allclose(trained["z"], X * weights["m/w"] - mean)
    np.testing.assert_allclose(trained["running:m/z/running"], 0.7 * average + 0.6 * mean)
    tested = interpret(verify(for_evaluation(graph)), {"x": X}, weights)
    np.testing.assert_allclose(tested["z"], X * weights["m/w"] - average)
