"""What two long axes span, cut into slabs of rows, against the interpreter: in forward, in gradients, to the last slab."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numerics_helpers import spec_of
from python_kernels import run
from reference import interpret

from archspec.ir.graph import INT, Graph
from archspec.plan import Plan, make_plan, slab_body, slabs
from archspec.plan.kernel import Loop

TRAIN = "\ntrain { loss = mse(z, t) }\n"

SELF = """
dim B, T, F
model m(x[B,T,F], t[B,T,F]) -> z[B,T,F] {
  z = x |> linear(8) |> repeat 2 { encoder_block(2, F=4, OPTIONS) } |> linear(F)
}
"""

CROSS = """
dim B, T, S, F
model m(x[B,T,F], y[B,S,F], t[B,T,F]) -> z[B,T,F] {
  g = y |> linear(8)
  h = x |> linear(8) |> repeat 2 { decoder_block(m=g, N=2, F=4, p=0.2) }
  z = h |> linear(F)
}
"""

RAGGED = """
dim B, T?, F
model m(x[B,T,F], t[B,F]) -> z[B,F] {
  h = x |> linear(8) |> encoder_block(2, F=4, p=0.1, causal=true)
  z = mean[T](h) |> linear(F)
}
"""


def by_hand(*lines: str, results: str = "z[B,T,F]") -> str:
    """Attention as equations, with `lines` between scores e and weights w."""
    middle = "\n  ".join(lines)
    return f"""
dim B, T, F, A = 3
model m(x[B,T,F], t[B,T,F]) -> ({results}) {{
  q = x |> linear(A)
  k = x |> linear(A)
  {middle}
  o[b,i,f] = sum[j](w[b,i,j] * x[b,j,f])
  z = o |> linear(F)
}}
"""


DOT = "e[b,i,j] = sum[a](q[b,i,a] * k[b,j,a])"
SOFTMAX = "w[b,i,j] = softmax[j](e[b,i,j])"
ADDITIVE = ("weight v[A]", "e[b,i,j] = sum[a](tanh(q[b,i,a] + k[b,j,a]) * v[a])")

CAUSAL_CROSS = """
dim B, T, S, F
model m(x[B,T,F], y[B,S,F], t[B,T,F]) -> z[B,T,F] {
  h = x |> linear(8)
  z = h |> attention(y |> linear(8), N=2, causal=true) |> linear(F)
}
"""

SPECS = {
    "causal": SELF.replace("OPTIONS", "p=0.0, causal=true"),
    "both ways, with dropout": SELF.replace("OPTIONS", "p=0.3"),
    "rotary": SELF.replace("OPTIONS", 'p=0.0, positions="rotary"'),
    "distance vectors": SELF.replace("OPTIONS", 'p=0.2, causal=true, positions="shaw", reach=3'),
    "distance biases": SELF.replace("OPTIONS", 'p=0.0, positions="bias", reach=20'),
    "a memory of another length": CROSS,
    "rows of different lengths": RAGGED,
    "by hand": by_hand(DOT, SOFTMAX),
    "causal by hand": by_hand(DOT, SOFTMAX.replace("softmax[j]", "softmax[j where j < i]")),
    "causal over other lengths": CAUSAL_CROSS,
    "only what comes later": by_hand(DOT, SOFTMAX.replace("softmax[j]", "softmax[j where j >= i]")),
    "additive": by_hand(*ADDITIVE, SOFTMAX),
    "no softmax": by_hand(DOT, "w[b,i,j] = e[b,i,j] / 10"),
    "a softmax along the other axis": by_hand(DOT, "w[b,i,j] = softmax[i](e[b,i,j])"),
    "turned over": by_hand(DOT, SOFTMAX.replace("w", "u"), "w[b,i,j] = u[b,i,j] + e[b,j,i] / 10"),
    "weights shown": by_hand(DOT, SOFTMAX, results="z[B,T,F], w[B,T,T]"),
    "normalised twice": by_hand(DOT, "u[b,i,j] = softmax[j](e[b,i,j])", "w[b,i,j] = u[b,i,j] / (1 + sum[k](u[b,i,k]^2))"),
}


@pytest.fixture
def short(monkeypatch):
    """Slabs of four rows, of axes that are long from eight on."""
    monkeypatch.setattr(slabs, "SLAB", 4)
    monkeypatch.setattr(slab_body, "SLAB", 4)
    monkeypatch.setattr(slabs, "LEAST", 1)


def graph_of(spec: str, sizes: dict[str, int], known: tuple[str, ...]) -> Graph:
    return spec_of(spec + TRAIN).stages(dims={name: sizes[name] for name in known}).optimised


def drawn(graph: Graph, sizes: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(5)
    known = {**graph.sizes, **sizes}

    def draw(value: int) -> Any:
        node = graph.nodes[value]
        shape = [a.size.evaluate(known) for a in node.axes]
        return rng.integers(1, sizes["T"] + 1, shape) if node.dtype == INT else rng.normal(size=shape)

    inputs = {name: draw(value) for name, value in graph.inputs.items()}
    return inputs, {path: draw(value) for path, value in graph.weights.items()}


def loops(plan: Plan) -> list[Loop]:
    return [item for item in plan.items if isinstance(item, Loop) and item.slab is not None]


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Up to rounding of the largest gradient: that of a bias of keys is zero, the sum of terms as large as the others."""
    largest = max(float(np.abs(array).max()) for array in expected.values())
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-12, atol=1e-13 * max(largest, 1.0), err_msg=key)


SIZES = {"B": 2, "T": 11, "S": 9, "F": 2}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("known", ["T", ""], ids=["T in dims", "T only in what is fed"])
def test_slabs_change_nothing(name, known, short, monkeypatch):
    """Eleven rows are two slabs of four and one of three; the threads take their turns in any order."""
    graph = graph_of(SPECS[name], SIZES, ("F", *known))
    inputs, weights = drawn(graph, SIZES)
    assert len(loops(make_plan(graph, sizes=SIZES))) >= 2
    found = run(graph, inputs, weights, threads=3, step=1)
    monkeypatch.setattr(slabs, "LEAST", 1 << 60)
    whole = run(graph, inputs, weights, step=1)
    assert_same(found, whole)


@pytest.mark.parametrize("name", [name for name in SPECS if "p=0." not in SPECS[name].replace("p=0.0", "")])
def test_slabs_compute_what_the_graph_says(name, short):
    graph = graph_of(SPECS[name], SIZES, ("T", "F"))
    inputs, weights = drawn(graph, SIZES)
    expected, found = interpret(graph, inputs, weights), run(graph, inputs, weights)
    assert_same(found, expected)
