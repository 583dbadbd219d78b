"""One spec with everything that makes gradients add up: shared layers, fan-outs, odd sizes, batches of any size.

Held against the interpreter of its graph and, where PyTorch is installed, against autograd.
"""

import numpy as np
import pytest
from numerics_helpers import ATOL, RTOL, central_differences, compiled, randomise, spec_of
from reference import interpret

TEXT = """
dim B, D = 17, T = 3, K = 5

model oracle(x[B,D], s[B,T,D], y[B]: K) -> z[B,K] {
  layer f = linear(7)
  layer g = linear(7, bias=false)
  e = x |> g |> tanh
  a = f(e) |> gelu
  b = f(a)
  c = f(s |> g) |> relu
  h = a + b + mean[T](c)
  p = h |> linear(17) |> softmax[17]
  q = h * h
  r = h |> layernorm
  one = h |> linear(1) |> sigmoid
  u = sum[1](one)
  z = (q + r |> linear(K)) + (p |> linear(K)) * u
}

train {
  loss = cross_entropy(z, y, smoothing=0.1) + 0.1 * mean(q) + mse(p, stop_gradient(p * p))
}
"""
BATCHES = (33, 2, 5, 1, 33)


def batch(size):
    rng = np.random.default_rng(size)
    return {
        "x": rng.normal(size=(size, 17)),
        "s": rng.normal(size=(size, 3, 17)),
        "y": rng.integers(0, 5, size),
    }


@pytest.fixture(scope="module")
def program():
    made = compiled(TEXT, threads=2)
    randomise(made, 9)
    return made


def test_a_shared_layer_has_one_set_of_weights(program):
    assert [path for path in program.weights if "/f/" in path] == ["oracle/f/W", "oracle/f/b"]


def test_every_batch_size_equals_the_interpreter_without_compiling_again(program, monkeypatch):
    program.gradient(**batch(33))
    program.prepare("forward", "loss", "train")
    monkeypatch.setattr("archspec.assemble.build", None)
    stages = spec_of(TEXT).stages()
    for size in BATCHES:
        inputs = batch(size)
        wanted = interpret(stages.backward, inputs, program.weights)
        loss, gradient = program.gradient(**inputs)
        assert loss == pytest.approx(wanted["loss"], rel=1e-12)
        assert len(gradient) == len(program.weights)
        for path, found in gradient.items():
            np.testing.assert_allclose(found, wanted[f"gradient:{path}"], rtol=1e-12, atol=1e-12, err_msg=path)
        assert program.loss(**inputs) == pytest.approx(loss, rel=1e-12)
        z = program.forward(x=inputs["x"], s=inputs["s"])["z"]
        assert z.shape == (size, 5)
        np.testing.assert_allclose(z, interpret(stages.graph, inputs, program.weights)["z"], rtol=1e-12, atol=1e-12)


def test_a_batch_does_not_hang_on_the_one_before(program):
    alone = program.gradient(**batch(2))
    program.gradient(**batch(33))
    again = program.gradient(**batch(2))
    assert alone[0] == again[0]
    assert all(np.array_equal(alone[1][path], again[1][path]) for path in alone[1])


def test_a_row_does_not_hang_on_the_others(program):
    inputs = batch(33)
    whole = program.forward(x=inputs["x"], s=inputs["s"])["z"]
    for start, size in ((0, 1), (4, 5), (31, 2)):
        rows = slice(start, start + size)
        np.testing.assert_array_equal(program.forward(x=inputs["x"][rows], s=inputs["s"][rows])["z"], whole[rows])


def test_gradients_pass_central_differences(program):
    inputs = batch(5)
    _, gradient = program.gradient(**inputs)
    for path in ("oracle/f/W", "oracle/f/b", "oracle/g/W", "oracle/r/layernorm/g"):
        numeric = _without_stopped(program, inputs, path)
        np.testing.assert_allclose(gradient[path], numeric, RTOL, ATOL, err_msg=path)


def _without_stopped(program, inputs, path):
    """Differences see through `stop_gradient`; so take its term's own gradient off, from the reference."""
    total = central_differences(lambda: program.loss(**inputs), program, path)
    full = spec_of(TEXT.replace("stop_gradient(p * p)", "p * p")).stages().backward
    half = spec_of(TEXT).stages().backward
    name = f"gradient:{path}"
    return total - (interpret(full, inputs, program.weights)[name] - interpret(half, inputs, program.weights)[name])


def test_float32_agrees_with_float64(program):
    single = compiled(TEXT, "f32", threads=2)
    for path in program.weights:
        single.weights[path] = program.weights[path]
    (loss, double), (found, gradient) = program.gradient(**batch(33)), single.gradient(**batch(33))
    assert found == pytest.approx(loss, rel=1e-5)
    for path, values in double.items():
        np.testing.assert_allclose(gradient[path], values, rtol=1e-3, atol=1e-5, err_msg=path)


@pytest.mark.parametrize("size", sorted(set(BATCHES)))
def test_loss_and_gradients_equal_pytorch(program, size):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    inputs = {name: torch.tensor(value) for name, value in batch(size).items()}
    w = {path: torch.tensor(value, requires_grad=True) for path, value in program.weights.items()}

    def linear(x, path):
        return x @ w[f"oracle/{path}/W"] + w.get(f"oracle/{path}/b", 0)

    a = functional.gelu(linear(torch.tanh(linear(inputs["x"], "g")), "f"))
    b = linear(a, "f")
    c = torch.relu(linear(linear(inputs["s"], "g"), "f"))
    h = a + b + c.mean(1)
    p = torch.softmax(linear(h, "p/linear"), -1)
    r = functional.layer_norm(h, (7,), w["oracle/r/layernorm/g"], w["oracle/r/layernorm/b"])
    u = torch.sigmoid(linear(h, "one/linear"))
    z = linear(h * h + r, "z/linear") + linear(p, "z/linear_2") * u
    loss = functional.cross_entropy(z, inputs["y"], label_smoothing=0.1) + 0.1 * (h * h).mean()
    loss = loss + ((p - (p * p).detach()) ** 2).mean()
    loss.backward()
    found, gradient = program.gradient(**batch(size))
    assert found == pytest.approx(loss.item(), rel=1e-10)
    for path, values in gradient.items():
        np.testing.assert_allclose(values, w[path].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=path)
