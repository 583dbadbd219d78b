"""Dropout: a mask that is a function of (seed, step, path, index) and nothing else."""

import numpy as np
import pytest
from numerics_helpers import program_of, spec_of

from archspec.ops.randomness import philox
from archspec.runtime.table import stream_key

M, N = 101, 103
RATES = {"a": 0.3, "b": 0.3, "c": 0.5, "d": 0.0}
NEWLINE = "\n"
TEXT = f"""
dim M = {M}, N = {N}
model m(x[M,N]) -> {", ".join(f"z_{k}[M,N]" for k in RATES)} {{
{NEWLINE.join(f"  weight w_{k}[M,N] ~ normal(std=1)" for k in RATES)}
{NEWLINE.join(f"  z_{k} = x * w_{k} |> dropout({p})" for k, p in RATES.items())}
}}
train {{
  loss = {" + ".join(f"sum(z_{k})" for k in RATES)}
  optimizer = sgd(lr=1e-9)
}}
"""
ONES = np.ones((M, N))


def masks(program):
    """What survives, by name: with inputs of 1 the gradient is the mask over 1 - p."""
    _, gradient = program.gradient(x=ONES)
    return {k: gradient[f"m/w_{k}"] * (1 - p) for k, p in RATES.items()}


def drawn(name, rate, step, seed=0):
    index = np.arange(M * N).reshape(M, N)
    return philox(np, index, step, stream_key(seed, f"m/z_{name}/dropout")) >= rate


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_mask_is_that_of_the_generator(precision, threads):
    with program_of(TEXT, precision=precision, threads=threads) as program:
        for step in range(3):
            for name, mask in masks(program).items():
                np.testing.assert_allclose(mask, drawn(name, RATES[name], step), rtol=1e-6)
            program.step(x=ONES)


def test_masks_differ_by_step_path_and_seed_and_have_the_right_mean():
    with program_of(TEXT, seed=0) as program, program_of(TEXT, seed=1) as other:
        first = masks(program)
        again = masks(program)
        program.step(x=ONES)
        later, seeded = masks(program), masks(other)
    for name, rate in RATES.items():
        mask = first[name] > 0.5
        deviation = np.sqrt(rate * (1 - rate) / mask.size)
        assert abs(mask.mean() - (1 - rate)) <= 4 * deviation
        assert (first[name] == again[name]).all()
        # Two masks that know nothing of each other agree in p^2 + (1-p)^2 of their places.
        agree = rate**2 + (1 - rate) ** 2
        pairs = [later[name], seeded[name], np.roll(mask, 1, 0), np.roll(mask, 1, 1)]
        pairs += [first["b"]] if name == "a" else []
        for pair in pairs:
            share = (mask == (pair > 0.5)).mean()
            assert abs(share - agree) <= 5 * np.sqrt(agree * (1 - agree) / mask.size)


def test_the_backward_pass_draws_the_mask_of_the_forward_pass():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(M, N))
    with program_of(TEXT, precision="f64") as program:
        loss, gradient = program.gradient(x=x)
        assert loss == pytest.approx(sum((gradient[p] * program.weights[p]).sum() for p in gradient), rel=1e-10)
        assert program.step(x=x) == loss


def test_evaluation_leaves_everything_as_it_is():
    with program_of(TEXT, precision="f64") as program:
        outputs = program.forward(x=ONES)
        for name in RATES:
            np.testing.assert_array_equal(outputs[f"z_{name}"], program.weights[f"m/w_{name}"])
        assert program.loss(x=ONES) == pytest.approx(sum(z.sum() for z in outputs.values()))
    assert not any(node.op in ("dropout", "random") for node in spec_of(TEXT).stages().forward.nodes)


def test_each_use_of_dropout_has_a_stream_of_its_own():
    text = """
dim B, D = 4
block noisy(x[..]) -> y[..] { y = x |> dropout(0.5) |> dropout(0.5) }
model m(x[B,D]) -> z[B,D] {
  layer f = noisy()
  z = x |> repeat 2 { noisy } |> noisy |> noisy |> f |> f
}
"""
    nodes = spec_of(text).stages().graph.nodes
    streams = [node.attribute("stream") for node in nodes if node.op == "dropout"]
    assert len(streams) == 12
    assert len(set(streams)) == 12
