"""Normalisation, and the blocks that use it, against PyTorch; what batch norm keeps from step to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from interpreted import Interpreted
from numerics_helpers import check_gradient, compiled

torch = pytest.importorskip("torch")

from torch_layers import Weights, linear  # noqa: E402

functional = torch.nn.functional
RTOL, ATOL = 1e-9, 1e-11
CENTER, SPREAD = "center/running", "spread/running"
SHAPES = {"BC": (5, 4), "BTC": (3, 5, 4), "BIJC": (2, 3, 4, 4), "one row": (1, 3, 2, 4)}


def axes_of(shape: tuple[int, ...]) -> str:
    return ", ".join(["B", *"IJ"[: len(shape) - 2], "C"])


def spec(call: str, shape: tuple[int, ...], result: str = "", loss: str = "mean(z^2) + mean(sin(z) * v)") -> str:
    axes = axes_of(shape)
    dims = ", ".join(f"{name} = {size}" for name, size in zip(axes.split(", ")[1:], shape[1:], strict=True))
    return f"""
    dim B, {dims}
    model m(x[{axes}]) -> z[{result or axes}] {{
      weight v[C]
      z = x * v |> {call}
    }}
    train {{
      loss      = {loss.replace("* v", "")}
      optimizer = sgd(lr=0.1)
    }}
    """


def randomise(program: Any, seed: int) -> dict[str, Any]:
    """Weights from 0.5 to 1.5, since averages of variances are among them; the same as tensors."""
    rng = np.random.default_rng(seed)
    for path in program.weights:
        program.weights[path] = rng.uniform(0.5, 1.5, program.weights[path].shape)
    return tensors_of(program)


def tensors_of(program: Any) -> dict[str, Any]:
    kept = ("/running",)
    return {p: torch.tensor(program.weights[p], requires_grad=not p.endswith(kept)) for p in program.weights}


Layer = Callable[[Any, Weights, bool], Any]


def loss_of(z: Any) -> Any:
    return (z**2).mean() + z.sin().mean()


def compare(program: Any, layer: Layer, x: np.ndarray, seed: int = 0) -> None:
    """Outputs in evaluation, the loss and all gradients in training."""
    tensors = randomise(program, seed)
    given = torch.tensor(x) * tensors["m/v"]
    expected = layer(given, Weights(tensors, "m/z"), False)
    np.testing.assert_allclose(program.forward(x=x)["z"], expected.detach(), RTOL, ATOL)
    loss = loss_of(layer(given, Weights(tensors, "m/z"), True))
    loss.backward()
    found, gradient = program.gradient(x=x)
    assert found == pytest.approx(loss.item(), rel=RTOL)
    for path, slope in gradient.items():
        grad = tensors[path].grad
        np.testing.assert_allclose(slope, 0 if grad is None else grad, RTOL, ATOL, err_msg=path)


def data(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 2 + 1


# --- PyTorch's ---------------------------------------------------------------------------------------------------------


def channels_first(function: Callable[[Any], Any], x: Any) -> Any:
    return torch.movedim(function(torch.movedim(x, -1, 1).contiguous()), 1, -1)


def batchnorm(x: Any, w: Weights, training: bool, eps: float = 1e-5, momentum: float = 0.1) -> Any:
    """Leaves the averages after this batch in `w`."""
    mean, variance = w[CENTER], w[SPREAD]
    return channels_first(lambda y: functional.batch_norm(y, mean, variance, w["g"], w["b"], training, momentum, eps), x)


def groupnorm(x: Any, w: Weights, groups: int, eps: float = 1e-5) -> Any:
    return channels_first(lambda y: functional.group_norm(y, groups, w["g"], w["b"], eps), x)


def conv(x: Any, w: Weights, **settings: Any) -> Any:
    kernel = torch.movedim(w["W"], (-1, -2), (0, 1)).contiguous()
    return channels_first(lambda y: functional.conv2d(y, kernel, **settings), x)


def residual_block(x: Any, w: Weights, training: bool, stride: int = 1, projected: bool = False) -> Any:
    first = conv(x, w.at("h/conv2d"), stride=stride, padding=1)
    h = functional.relu(batchnorm(first, w.at("h/batchnorm"), training))
    u = batchnorm(conv(h, w.at("u/conv2d"), padding=1), w.at("u/batchnorm"), training)
    past = batchnorm(conv(x, w.at("y/conv2d"), stride=stride), w.at("y/batchnorm"), training) if projected else x
    return functional.relu(u + past)


def highway(x: Any, w: Weights) -> Any:
    gate = torch.sigmoid(x @ w.at("t/linear")["W"] + w["c"])
    return gate * functional.relu(linear(x, w.at("y/linear"))) + (1 - gate) * x


def squeeze_excite(x: Any, w: Weights) -> Any:
    means = x.flatten(1, -2).mean(1)
    scale = torch.sigmoid(linear(functional.relu(linear(means, w.at("s/linear"))), w.at("s/linear_2")))
    return x * scale.reshape(len(x), *[1] * (x.ndim - 2), -1)


def mixture(x: Any, w: Weights, experts: int, k: int) -> Any:
    scores = x @ w.at("g/linear")["W"]
    top, at = scores.topk(k, dim=-1)
    gates = torch.zeros_like(scores).scatter(-1, at, torch.softmax(top, -1))
    found = [functional.relu(x @ w["W"][e] + w["b"][e]) @ w["U"][e] + w["c"][e] for e in range(experts)]
    return (torch.stack(found, -1) * gates[..., None, :]).sum(-1)


def at(name: str, layer: Callable[..., Any], **settings: Any) -> Layer:
    """A layer that is the same in training."""
    return lambda x, w, training: layer(x, w.at(name), **settings)


def in_training(name: str, layer: Callable[..., Any], **settings: Any) -> Layer:
    """A layer that is another one in training. PyTorch writes to the averages, so it gets copies of them."""

    def run(x: Any, w: Weights, training: bool) -> Any:
        copies = {p: t.clone() if p.endswith("/running") else t for p, t in w.tensors.items()}
        return layer(x, Weights(copies, w.path).at(name), training, **settings)

    return run


LAYERS: Mapping[str, tuple[str, Layer]] = {
    "batchnorm": ("batchnorm", in_training("batchnorm", batchnorm)),
    "batchnorm_2": ("batchnorm(eps=0.1, momentum=0.5)", in_training("batchnorm", batchnorm, eps=0.1)),
    "groupnorm": ("groupnorm(2)", at("groupnorm", groupnorm, groups=2)),
    "groupnorm_1": ("groupnorm(1, eps=0.1)", at("groupnorm", groupnorm, groups=1, eps=0.1)),
    "rmsnorm": ("rmsnorm", at("rmsnorm", lambda x, w: functional.rms_norm(x, x.shape[-1:], w["g"], 1e-6))),
    "highway": ("highway", at("highway", highway)),
    "squeeze_excite": ("squeeze_excite(3)", at("squeeze_excite", squeeze_excite)),
    "residual": ("residual(linear(C))", at("residual/y", lambda x, w: x + linear(x, w.at("linear")))),
    "mixture": ("mixture_of_experts(5, 3)", at("mixture_of_experts", mixture, experts=5, k=2)),
    "mixture_1": ("mixture_of_experts(3, 2, k=1)", at("mixture_of_experts", mixture, experts=3, k=1)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("label", LAYERS)
def test_equals_pytorch(label, shape):
    if (shape, label.partition("_")[0]) in (("one row", "batchnorm"), ("BC", "squeeze")):
        pytest.skip("PyTorch's reads this shape otherwise")
    call, layer = LAYERS[label]
    compare(Interpreted(spec(call, SHAPES[shape])), layer, data(SHAPES[shape]))


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(SHAPES[s]) > 2])
def test_instance_norm(shape):
    """By its formula: for a single row PyTorch 2.13's own gradient is not that of its value."""

    def layer(x: Any, w: Weights, training: bool) -> Any:
        points, own = tuple(range(1, x.ndim - 1)), w.at("instancenorm")
        u = x - x.mean(points, keepdim=True)
        return own["g"] * u / torch.sqrt((u**2).mean(points, keepdim=True) + 1e-5) + own["b"]

    compare(Interpreted(spec("instancenorm", SHAPES[shape])), layer, data(SHAPES[shape]))


@pytest.mark.parametrize("settings", ["4", "6", "4, stride=2", "3, stride=3"])
def test_residual_block(settings):
    shape, out = (2, 4, 5, 4), int(settings[0])
    stride = int(settings[-1]) if "stride" in settings else 1
    points = [(n - 1) // stride + 1 for n in shape[1:3]]
    text = spec(f"residual_block2d({settings})", shape, ", ".join(map(str, ("B", *points, out))))
    read = "z[b, i in {}, j in {}, c in {}] = y[b, i + 0, j + 0, c + 0]".format(*points, out)
    text = text.replace("z = x", "y = x").replace("    }\n    train", f"  {read}\n    }}\n    train")
    # A literal channel count is another axis than C, though of the same size, so the way past is projected there.
    layer = in_training("residual_block2d", residual_block, stride=stride, projected=True)
    if settings == "4":
        text = text.replace("residual_block2d(4)", "residual_block2d")
        layer = in_training("residual_block2d", residual_block)

    def run(x: Any, w: Weights, training: bool) -> Any:
        return layer(x, Weights(w.tensors, "m/y"), training)

    compare(Interpreted(text), run, data(shape))


# --- what batch norm keeps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["BC", "BIJC"])
def test_averages_over_several_steps(shape):
    """Six updates, then evaluation: weights, averages, losses and outputs are those of PyTorch."""
    program = compiled(spec("batchnorm(momentum=0.3)", SHAPES[shape]))
    tensors = randomise(program, 3)
    trained = [t for t in tensors.values() if t.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.1)
    for step in range(6):
        x = data(SHAPES[shape], step)
        given = torch.tensor(x) * tensors["m/v"]
        loss = loss_of(batchnorm(given, Weights(tensors, "m/z/batchnorm"), True, momentum=0.3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert program.step(x=x) == pytest.approx(loss.item(), rel=RTOL)
        for path, tensor in tensors.items():
            np.testing.assert_allclose(program.weights[path], tensor.detach(), RTOL, ATOL, err_msg=path)
        for size in (1, 4):
            x = data((size, *SHAPES[shape][1:]), 100 + step)
            expected = batchnorm(torch.tensor(x) * tensors["m/v"], Weights(tensors, "m/z/batchnorm"), False)
            np.testing.assert_allclose(program.forward(x=x)["z"], expected.detach(), RTOL, ATOL)
            assert program.loss(x=x) == pytest.approx(loss_of(expected).item(), rel=RTOL)


def test_averages_start_as_those_of_pytorch():
    program = compiled(spec("batchnorm(momentum=0.3)", SHAPES["BC"]), seed=5)
    assert (program.weights[f"m/z/batchnorm/{CENTER}"] == 0).all()
    assert (program.weights[f"m/z/batchnorm/{SPREAD}"] == 1).all()


def test_batch_norm_leaves_out_what_lies_past_the_ends_of_rows():
    text = """
    dim B, T?, C = 3
    model m(x[B,T,C]) -> z[B,T,C] { z = x |> batchnorm }
    train { loss = mean(z^3) }
    """
    program = compiled(text)
    x, lengths = data((3, 4, 3)), np.array([4, 1, 2])
    inside = np.arange(4)[None, :] < lengths[:, None]
    tensors = randomise(program, 1)
    w = Weights(tensors, "m/z/batchnorm")
    program.step(x=np.where(inside[..., None], x, np.nan), T=lengths)
    loss = (batchnorm(torch.tensor(x[inside]), w, True) ** 3).mean()
    for name in (CENTER, SPREAD):
        np.testing.assert_allclose(program.weights[f"m/z/batchnorm/{name}"], w[name], RTOL, ATOL)
    randomise(program, 1)
    found, gradient = program.gradient(x=np.where(inside[..., None], x, 1e30), T=lengths)
    loss.backward()
    assert found == pytest.approx(loss.item(), rel=RTOL)
    for name in ("g", "b"):
        np.testing.assert_allclose(gradient[f"m/z/batchnorm/{name}"], w[name].grad, RTOL, ATOL)


def test_gradients_by_differences():
    text = """
    dim B, I = 3, C = 4
    model m(x[B,I,C]) -> z[B,I,C] {
      weight v[I,C]
      z = x * v |> groupnorm(2) |> highway |> instancenorm |> mixture_of_experts(3, 2)
    }
    train { loss = mean(z^2) + mean(sin(z)) }
    """
    program = compiled(text)
    randomise(program, 2)
    check_gradient(program, x=data((2, 3, 4)))
