"""Random models of sequences, compiled, against the interpreter of their graphs: loss and every gradient."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numerics_helpers import program_of, randomise, spec_of
from reference import interpret

SEEDS = range(4)
LAYERS = (
    "rnn(D)",
    "gru(D)",
    "lstm(D, peephole=true, reverse=true)",
    "bidirectional(D/2, layer_of=gru)",
    'encoder_block(2, F=3, p=0.0, causal=true, positions="rotary")',
    'encoder_block(2, F=3, p=0.0, norm_first=false, positions="bias")',
    "decoder_block(m=memory, N=2, F=5, p=0.0)",
    'attention(memory, 2, positions="shaw", reach=3)',
    "repeat 2 { gru(D) }",
    "layernorm",
)
LOOP = """  layer cell{i} = gru_cell()
  over t in T{order} {{
    state s{i}[B,D] = {start}
    s{i}[t] = cell{i}(h{before}[t], s{i}[t{back}1])
  }}
  h{i} = s{i} + h{before}"""
RESULTS = (
    ("z[B,T,K]", "h |> linear(K)", "y[B,T]: K"),
    ("z[B,K]", "last[T](h) |> linear(K)", "y[B]: K"),
    ("z[B,K]", "mean[T](h) |> linear(K)", "y[B]: K"),
)


def model(r: random.Random) -> str:
    """A model of two to four layers, some of them loops written by hand; T and S are ragged or not."""
    lines = [f"  memory = m |> {r.choice(['linear(D)', 'gru(D)', 'encoder_block(2, p=0.0)'])}", "  h0 = x"]
    count = r.randrange(2, 5)
    for i in range(1, count + 1):
        if r.random() < 0.3:
            order, back = r.choice([("", "-"), (" reversed", "+")])
            start = r.choice(["0", "last[S](memory)", "mean[S](memory)"])
            lines.append(LOOP.format(i=i, before=i - 1, order=order, back=back, start=start))
        else:
            lines.append(f"  h{i} = h{i - 1} |> {r.choice(LAYERS)}")
    result, last, target = r.choice(RESULTS)
    lines += [f"  h = h{count} + h0", f"  z = {last}"]
    dims = f"dim B, T{r.choice(['', '?'])}, S{r.choice(['', '?'])}, D = 4, K = 3"
    head = f"model sequence(x[B,T,D], m[B,S,D], {target}) -> {result} {{"
    return "\n".join([dims, head, *lines, "}", "train { loss = cross_entropy(z, y) }"])


@pytest.mark.parametrize("seed", SEEDS)
def test_loss_and_gradients_are_those_of_the_graph(seed):
    r, rng = random.Random(seed), np.random.default_rng(seed)
    text = model(r)
    graph = spec_of(text).stages().backward
    steps, length, rows = r.randrange(1, 7), r.randrange(1, 7), 4
    inputs = {
        "x": rng.normal(size=(rows, steps, 4)),
        "m": rng.normal(size=(rows, length, 4)),
        "y": rng.integers(0, 3, (rows, steps) if "y[B,T]" in text else (rows,)),
        "T": np.array([steps, *rng.integers(1, steps + 1, rows - 1)]),
        "S": np.array([length, *rng.integers(1, length + 1, rows - 1)]),
    }
    inputs = {name: array for name, array in inputs.items() if name in graph.inputs}
    with program_of(text, precision="f64", threads=r.choice([1, 3])) as program:
        randomise(program, seed)
        loss, gradients = program.gradient(**inputs)
        expected = interpret(graph, inputs, dict(program.weights))
        assert loss == pytest.approx(float(expected["loss"]), rel=1e-10), text
        for path, gradient in gradients.items():
            np.testing.assert_allclose(gradient, expected[f"gradient:{path}"], rtol=1e-8, atol=1e-10, err_msg=f"{path}\n{text}")
