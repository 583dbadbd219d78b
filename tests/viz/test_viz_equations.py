"""The equations of a gradient: what they say is what the graph computes, and both ways of writing them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from reference import interpret_all

from archspec.cli import main
from archspec.ir.graph import Graph
from archspec.ops import OPS
from archspec.spec import loads
from archspec.viz.equations import Equation, equations, equations_latex, equations_text
from archspec.viz.notation import Apply, Expression, Name, Read, Reduce, Text, apply, arch, latex

PERCEPTRON = """
dim B, F, H, K
model net(x[B,F]) -> z[B,K] {
  z = x |> linear(H) |> tanh |> linear(K)
}
train { loss = mean[B](sum[K](z^2)) }
"""
RECURRENT = """
dim B, T, F, H
model net(x[B,T,F]) -> h[B,T,H] {
  h = x |> lstm(H)
}
train { loss = mean(sum[H](h^2)) }
"""
ATTENTION = """
dim B, T, F = 4
model net(x[B,T,F]) -> z[B,T,F] {
  a[b,i,j] = softmax[j where j <= i](sum[f](x[b,i,f] * x[b,j,f]))
  z[b,i,f] = sum[j](a[b,i,j] * (x |> linear(F))[b,j,f])
}
train { loss = mean(z^2) }
"""
PICKED = """
dim B, F, K, V = 5
model net(x[B,F], w[B]: V) -> z[B,K] {
  z = (x |> linear(K)) + embed(w, V, K)
}
train { loss = mean(sum[K](z^2)) }
"""
SIZES = {"B": 3, "T": 4, "F": 4, "H": 2, "K": 3, "V": 5}


class Evaluator:
    """An element of an expression, by the letters' numbers."""

    def __init__(self, graph: Graph, found: list[Equation], values: list[Any]) -> None:
        self.sizes = {**SIZES, **graph.sizes}
        self.arrays = {str(e.left.name): np.asarray(values[e.value]) for e in found}
        for name, value in {**graph.inputs, **graph.weights}.items():
            self.arrays |= {".".join(name.split("/")[k:]): np.asarray(values[value]) for k in range(name.count("/") + 1)}

    def at(self, e: Expression, letters: Mapping[str, int]) -> float:
        if isinstance(e, Text):
            return float(eval(e.text, {"inf": math.inf}, {**self.sizes, **letters}))
        if isinstance(e, Read):
            place = tuple(int(self.at(i, letters)) for i in e.indices)
            array = self.arrays[str(e.name)]
            inside = all(0 <= i < n for i, n in zip(place, array.shape, strict=True))
            return float(array[place]) if inside else 0.0
        if isinstance(e, Reduce):
            return self.reduced(e, letters)
        return float(OPS[e.op].reference(np, *(np.asarray(self.at(a, letters)) for a in e.arguments)))

    def reduced(self, e: Reduce, letters: Mapping[str, int]) -> float:
        sizes = [self.sizes[re.sub(r"\d", "", letter).upper()] for letter in e.letters]
        points = [self.at(e.body, {**letters, **dict(zip(e.letters, p, strict=True))}) for p in np.ndindex(*sizes)]
        return float({"sum": np.sum, "max": np.max}[e.op](points))


@pytest.mark.parametrize("text", [PERCEPTRON, ATTENTION, PICKED])
def test_an_equation_says_what_its_node_computes(text: str) -> None:
    graph = loads(text).stages({n: SIZES[n] for n in ("F", "H", "K") if re.search(rf"dim .*\b{n}\b(?! =)", text)}).backward
    rng = np.random.default_rng(0)
    shape = {name: [SIZES[str(a)] for a in graph.nodes[v].axes] for name, v in graph.inputs.items()}
    inputs = {n: rng.integers(0, 5, s) if n == "w" else rng.normal(size=s) for n, s in shape.items()}
    weights = {path: rng.normal(size=[graph.size(a) or 0 for a in s.axes]) for path, s in graph.specs.items()}
    values = interpret_all(graph, inputs, weights)
    found = equations(graph)
    evaluator = Evaluator(graph, found, values)
    for equation in found:
        array = np.asarray(values[equation.value])
        for place in np.ndindex(*array.shape):
            letters = {i.text: n for i, n in zip(equation.left.indices, place, strict=True) if isinstance(i, Text)}
            assert evaluator.at(equation.right, letters) == pytest.approx(float(array[place]), rel=1e-9, abs=1e-12)


def test_the_gradient_of_a_layer() -> None:
    lines = equations_text(loads(PERCEPTRON).stages().backward).splitlines()
    assert "y[b,h] = sum[f](x[b,f] * linear.W[f,h]) + linear.b[h]" in lines
    assert "linear.dW[f,h] = sum[b](x[b,f] * net.dmultiply[b,h])" in lines
    assert "linear.db[h] = sum[b](net.dmultiply[b,h])" in lines
    assert "# net/z/linear   <text>:4" in lines


def test_a_recurrence_reads_the_step_before_and_its_gradient_the_step_after() -> None:
    text = equations_text(loads(RECURRENT).stages().backward)
    forward, backward = text.split("# backward")
    assert re.search(r"\[t-1,b,h\]", forward) and re.search(r"\[t\+1,b,h\]", backward)


def test_every_equation_stands_before_it_is_read() -> None:
    graph = loads(ATTENTION).stages().backward
    known = {*graph.inputs.values(), *graph.weights.values()}
    for equation in equations(graph):
        assert equation.value not in known
        known.add(equation.value)
    assert known >= {*graph.outputs.values()}


@pytest.mark.parametrize(
    ("expression", "plain", "tex"),
    [
        (apply("multiply", Text("1"), Text("a")), "a", "a"),
        (apply("subtract", Text("a"), apply("subtract", Text("b"), Text("c"))), "a - (b - c)", r"a - \left(b - c\right)"),
        (apply("divide", Text("a"), apply("multiply", Text("b"), Text("c"))), "a / (b * c)", r"\frac{a}{b \, c}"),
        (Apply("square", (apply("add", Text("a"), Text("b")),)), "(a + b)^2", r"\left(a + b\right)^{2}"),
        (Reduce("sum", ("b",), Read(Name((), "x", True), (Text("b"),))), "sum[b](dx[b])", r"\sum_{b} \bar{x}_{b}"),
        (Read(Name(("h", "linear_2"), "W"), ()), "h.linear_2.W", r"W^{\text{h.linear\_2}}"),
        (Apply("sqrt", (Text("1e-05"),)), "sqrt(1e-05)", r"\sqrt{1 \cdot 10^{-5}}"),
    ],
)
def test_notation(expression: Expression, plain: str, tex: str) -> None:
    assert (arch(expression), latex(expression)) == (plain, tex)


def test_latex_is_balanced() -> None:
    text = equations_latex(loads(ATTENTION).stages().backward)
    assert text.count("{") == text.count("}") and text.count(r"\left(") == text.count(r"\right)")
    assert text.count(r"\begin{") == text.count(r"\end{")


def test_the_command(tmp_path, capsys) -> None:
    path = tmp_path / "net.arch"
    path.write_text(PERCEPTRON)
    assert main(["show", str(path), "--stage", "gradient"]) == 0
    assert capsys.readouterr().out.startswith("# forward\n")
    assert main(["show", str(path), "--stage", "gradient", "--latex"]) == 0
    assert capsys.readouterr().out.startswith("\\allowdisplaybreaks\n\\begin{align*}\n")
    assert main(["show", str(path), "--latex"]) == 2
