"""The specs of pictures, tables and points against models written in PyTorch: outputs, loss and all gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from interpreted import Interpreted
from support import REPOSITORY

import archspec

torch = pytest.importorskip("torch")
functional = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore:Using padding=.same.")

from test_numerics_normalisation import (  # noqa: E402
    ATOL,
    RTOL,
    batchnorm,
    in_training,
    mixture,
    randomise,
    residual_block,
)
from torch_layers import Weights, compare, encoder_block, inside, layernorm, linear  # noqa: E402

ROWS = 4
Given = Mapping[str, Any]
# weights, inputs, whether in training -> the model's results and the loss
Model = Callable[[Weights, Given, bool], tuple[dict[str, Any], Any]]


def spec(name: str, **settings: Any) -> archspec.Spec:
    return archspec.load(REPOSITORY / "specs" / f"{name}.arch", set=settings)


def digits(seed: int, classes: int = 10) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"x": rng.uniform(size=(ROWS, 64)), "y": rng.integers(0, classes, ROWS)}


def as_tensors(given: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: torch.tensor(value) for name, value in given.items()}


def check(name: str, model: Model, inputs: Mapping[str, np.ndarray], dims: Mapping[str, int], **settings: Any) -> None:
    """Results in evaluation, loss and gradients in training."""
    program = Interpreted(spec(name, **settings), **dims)
    tensors = randomise(program, 3)
    for path, tensor in tensors.items():  # small, so that nothing saturates
        if tensor.requires_grad:
            program.weights[path] = 0.4 * (program.weights[path] - 0.9)
            tensors[path] = torch.tensor(program.weights[path], requires_grad=True)
    w = Weights(tensors, next(iter(program.weights)).split("/")[0])
    graph = program.stages.forward
    found = program.forward(**{k: v for k, v in inputs.items() if k in graph.inputs})
    for result, expected in model(w, as_tensors(inputs), False)[0].items():
        np.testing.assert_allclose(found[result], expected.detach(), RTOL, ATOL, err_msg=result)
    given = {k: v for k, v in inputs.items() if k in program.stages.backward.inputs}
    drawn = [torch.tensor(d) for d in program.draws(**given)]
    _, loss = model(w, {**as_tensors(inputs), "noise": box_muller(drawn)}, True)
    loss.backward()
    value, gradient = program.gradient(**given)
    assert value == pytest.approx(loss.item(), rel=RTOL)
    for path, slope in gradient.items():
        np.testing.assert_allclose(slope, tensors[path].grad, RTOL, ATOL, err_msg=path)


def box_muller(drawn: list[Any]) -> Any:
    """A normal draw from two uniform ones (Box & Muller 1958)."""
    if len(drawn) != 2:
        return None
    return torch.sqrt(-2 * torch.log(1 - drawn[0])) * torch.cos(2 * math.pi * drawn[1])


def conv(x: Any, w: Weights, **settings: Any) -> Any:
    """(b, points, c), with a bias where the layer has one."""
    kernel = torch.movedim(w["W"], (-1, -2), (0, 1)).contiguous()
    run = functional.conv1d if x.ndim == 3 else functional.conv2d
    bias = w.tensors.get(f"{w.path}/b")
    return torch.movedim(run(torch.movedim(x, -1, 1).contiguous(), kernel, bias, **settings), 1, -1)


def pooled(x: Any) -> Any:
    return torch.movedim(functional.max_pool2d(torch.movedim(x, -1, 1), 2), 1, -1)


# --- pictures ----------------------------------------------------------------------------------------------------------


def lenet(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    a = pooled(functional.relu(conv(given["x"].reshape(-1, 8, 8, 1), w.at("a/conv2d"), padding="same")))
    c = pooled(functional.relu(conv(a, w.at("c/conv2d"), padding="same")))
    z = linear(functional.relu(linear(c.flatten(1), w.at("h/linear"))), w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


def resnet(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    norm = in_training("a/batchnorm", batchnorm)
    first = conv(given["x"].reshape(-1, 8, 8, 1), w.at("a/conv2d"), padding=1)
    a = functional.relu(norm(first, w, training))
    b = in_training("b/0/residual_block2d", residual_block)(a, w, training)
    c = in_training("c/residual_block2d", residual_block, stride=2, projected=True)(b, w, training)
    c = in_training("c/0/residual_block2d", residual_block)(c, w, training)
    z = linear(c.mean((1, 2)), w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


def vision(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    patches = given["x"].reshape(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
    e = linear(patches, w.at("e/linear"))
    q = torch.cat([w["start"].expand(len(e), 1, -1), e], 1) + w.at("q/positions")["W"]
    for k in range(2):
        q = encoder_block(q, 2, w.at(f"h/{k}/encoder_block"))
    z = linear(layernorm(q, w.at("h/layernorm"))[:, 0], w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


def denoising(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    dirty = given["x"] + 0.3 * given["noise"] if training else given["x"]
    code = linear(functional.relu(linear(dirty, w.at("code/linear"))), w.at("code/linear_2"))
    z = torch.sigmoid(linear(functional.relu(linear(code, w.at("z/linear"))), w.at("z/linear_2")))
    return {"z": z}, functional.mse_loss(z, given["x"])


def variational(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    """The loss by PyTorch's own divergence of normal distributions."""
    h = functional.relu(linear(given["x"], w.at("h/linear")))
    m, s = linear(h, w.at("m/linear")), linear(h, w.at("s/linear"))
    code = m + torch.exp(s / 2) * given["noise"] if training else m
    z = linear(functional.relu(linear(code, w.at("z/linear"))), w.at("z/linear_2"))
    normal = torch.distributions.Normal
    apart = torch.distributions.kl_divergence(normal(m, torch.exp(s / 2)), normal(0.0, 1.0)).sum(1).mean()
    rebuilt = functional.binary_cross_entropy_with_logits(z, given["x"], reduction="none").sum(1).mean()
    return {"z": z, "m": m}, rebuilt + apart


def experts(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    h = functional.relu(linear(given["x"], w.at("h/linear")))
    mixed = mixture(h, w.at("z/residual/y/mixture_of_experts"), 4, 2)
    z = linear(h + mixed, w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


PICTURES: dict[str, tuple[Model, dict[str, int], dict[str, Any]]] = {
    "lenet": (lenet, {"F": 64, "K": 10}, {}),
    "resnet": (resnet, {"F": 64, "K": 10}, {}),
    "vit": (vision, {"F": 64, "K": 10}, {"D": 6, "N": 2, "p": 0.0}),
    "denoising": (denoising, {"F": 64}, {"E": 3, "H": 5}),
    "variational": (variational, {"F": 64}, {"E": 3, "H": 5}),
    "experts": (experts, {"F": 64, "K": 10}, {"E": 4, "H": 3, "D": 5}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name):
    model, dims, settings = PICTURES[name]
    check(name, model, digits(1), dims, **settings)


# --- tables and points -------------------------------------------------------------------------------------------------


def perceptron(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    h = given["x"]
    for k in range(2):
        h = functional.relu(linear(h, w.at(f"h/{k}/linear")))
    z = linear(h, w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


def pilot(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    h = functional.relu(linear(given["x"], w.at("h/linear")))
    z = linear(functional.relu(linear(h, w.at("h/linear_2"))), w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


def harbour(w: Weights, given: Given, training: bool) -> tuple[dict[str, Any], Any]:
    c, d = torch.cos(0.5059 * given["hour"]), torch.cos(0.4254 * given["day"])
    z = w["b"] + given["x"] @ w["w"] + w["p"] * c + w["q"] * torch.sin(0.5059 * given["hour"]) + w["r"] * d
    z = z + w["s"] * c * d
    return {"z": z}, functional.mse_loss(z, given["y"])


def test_perceptron():
    given = {"x": np.random.default_rng(1).normal(size=(ROWS, 2)), "y": np.array([0, 1, 1, 0])}
    check("perceptron", perceptron, given, {"F": 2, "K": 2}, H=5)


def test_behaviour_cloning():
    given = {"x": np.random.default_rng(1).normal(size=(ROWS, 2)), "y": np.array([0, 1, 1, 0])}
    check("landing", pilot, given, {"F": 2, "K": 2}, H=5)


def test_linear_regression():
    rng = np.random.default_rng(1)
    given = {name: rng.normal(size=ROWS) for name in ("hour", "day", "y")}
    check("linear", harbour, {**given, "x": rng.normal(size=(ROWS, 4))}, {"F": 4})


# --- letters in rows of different lengths ------------------------------------------------------------------------------


def patterns(x: Any, lengths: Any, w: Weights) -> Any:
    """The best fit of each pattern before the end of its row; what lies past the end is 0 for every window."""
    kept = inside(lengths, x.shape[1])[..., None]
    fits = functional.relu(conv(x * kept, w.at("conv1d"), padding="same"))
    return torch.where(kept, fits, -1.0).amax(1)


def letters(seed: int, entries: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, entries, (ROWS, 7)), np.array([7, 1, 3, 5])


def text_cnn(w: Weights, given: Given) -> tuple[dict[str, Any], Any]:
    e = w.at("e/embed")["W"][given["letters"]]
    found = [patterns(e, given["T"], w.at("h", name, "y")) for name in ("patterns", "patterns_2", "patterns_3")]
    z = linear(torch.cat(found, -1), w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


def test_text_cnn():
    program = spec("text_cnn", E=3, H=2, p=0.0).compile(dims={"V": 6, "K": 3}, precision="f64")
    x, lengths = letters(1, 6)
    compare_rows(program, "classify", text_cnn, {"letters": x, "T": lengths}, np.array([0, 2, 1, 1]))


def siamese(w: Weights, given: Given) -> tuple[dict[str, Any], Any]:
    def read(x: Any, lengths: Any) -> Any:
        e = w.at("reader/e/embed")["W"][x]
        return linear(patterns(e, lengths, w.at("reader/y")), w.at("reader/y/linear"))

    far = torch.abs(read(given["left"], given["S"]) - read(given["right"], given["T"]))
    z = linear(far, w.at("z/linear"))
    return {"z": z}, functional.cross_entropy(z, given["y"])


def test_siamese():
    program = spec("siamese", E=3, H=2).compile(dims={"V": 6, "K": 2}, precision="f64")
    (left, s), (right, t) = letters(1, 6), letters(2, 6)
    given = {"left": left, "S": s, "right": right[:, :5], "T": np.minimum(t[::-1], 5)}
    compare_rows(program, "judge", siamese, given, np.array([0, 1, 1, 0]))


def compare_rows(program: Any, model: str, reference: Any, given: dict[str, np.ndarray], y: np.ndarray) -> None:
    """`compare` for a spec whose loss sees labels that its model does not."""

    class Labelled:
        weights = program.weights

        @staticmethod
        def forward(**inputs: Any) -> Any:
            return program.forward(**{k: v for k, v in inputs.items() if k != "y"})

        @staticmethod
        def gradient(**inputs: Any) -> Any:
            return program.gradient(**inputs)

    compare(Labelled, model, reference, {**given, "y": y})
    program.close()
