"""The same functions, losses and updates in PyTorch, where it is installed."""

import numpy as np
import pytest
from elementwise import N, padded, slopes, values
from numerics_helpers import compiled
from test_numerics_losses import BIT, LOSSES, X3, Y3, K, Q, R, X, Y, figures, gradients
from test_numerics_optimizers import BATCHES, FIRST, STEPS, B, W, trained

torch = pytest.importorskip("torch")
functional = torch.nn.functional

ACTIVATIONS = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "leaky_relu_2": lambda x: functional.leaky_relu(x, 0.2),
    "elu": functional.elu,
    "elu_2": lambda x: functional.elu(x, 0.7),
    "selu": functional.selu,
    "celu": functional.celu,
    "celu_2": lambda x: functional.celu(x, 2.0),
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    # PyTorch's own goes over to x at a threshold.
    "softplus": lambda x: functional.softplus(x, threshold=1000),
    "log_sigmoid": functional.logsigmoid,
    "softsign": functional.softsign,
    "hard_tanh": functional.hardtanh,
    "hard_sigmoid": functional.hardsigmoid,
    "hard_swish": functional.hardswish,
}
POINTS = padded(np.concatenate([np.random.default_rng(12).normal(size=N - 100) * 3, np.linspace(-60, 60, 99), [0.0]]))


@pytest.mark.parametrize("label", ACTIVATIONS)
def test_activation_and_its_slope(label):
    x = torch.tensor(POINTS, requires_grad=True)
    y = ACTIVATIONS[label](x)
    y.sum().backward()
    np.testing.assert_allclose(values(POINTS)[label], y.detach(), rtol=1e-10, atol=1e-12)
    # PyTorch's slope of hard_sigmoid is 1/6 in float32.
    tolerance = 1e-7 if label == "hard_sigmoid" else 1e-9
    np.testing.assert_allclose(slopes(POINTS)[label], x.grad, rtol=tolerance, atol=1e-11)


def _tensor_losses():
    r, q, bit = (torch.tensor(a) for a in (R, Q, BIT))
    y, y3 = torch.tensor(Y), torch.tensor(Y3)
    return {
        "mse": lambda z: functional.mse_loss(z, r),
        "mae": lambda z: functional.l1_loss(z, r),
        "huber": lambda z: functional.huber_loss(z, r),
        "huber_narrow": lambda z: functional.huber_loss(z, r, delta=0.3),
        "cross_entropy": lambda z: functional.cross_entropy(z, y),
        "smoothed": lambda z: functional.cross_entropy(z, y, label_smoothing=0.1),
        "sequence": lambda z: functional.cross_entropy(z.reshape(-1, K), y3.reshape(-1)),
        "binary": lambda z: functional.binary_cross_entropy_with_logits(z, q),
        "hard": lambda z: functional.binary_cross_entropy_with_logits(z, bit),
    }


@pytest.mark.parametrize("label", LOSSES)
def test_loss_and_its_gradient(label):
    from test_numerics_losses import TEXT

    program = compiled(TEXT)
    z = torch.tensor(X3 if label == "sequence" else X, requires_grad=True)
    loss = _tensor_losses()[label](z)
    loss.backward()
    assert figures(program)[label] == pytest.approx(loss.item(), rel=1e-10)
    np.testing.assert_allclose(gradients(program)[1][label], z.grad, rtol=1e-10, atol=1e-14)


OPTIMIZERS = {
    "sgd(lr=0.1, decay=0.1)": (torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "sgd(lr=0.1, momentum=0.9)": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "sgd(lr=0.1, momentum=0.9, nesterov=true, decay=0.01)": (
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "adam": (torch.optim.Adam, {}),
    "adam(lr=0.03, beta1=0.8, beta2=0.99, eps=1e-3, decay=0.1)": (
        torch.optim.Adam,
        {"lr": 0.03, "betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamw": (torch.optim.AdamW, {}),
    "adamw(lr=0.03, decay=0.5)": (torch.optim.AdamW, {"lr": 0.03, "weight_decay": 0.5}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "rmsprop(lr=0.02, rho=0.9, eps=1e-4, decay=0.1)": (
        torch.optim.RMSprop,
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1},
    ),
    "rmsprop(lr=0.01, momentum=0.5, centered=true)": (
        torch.optim.RMSprop,
        {"lr": 0.01, "momentum": 0.5, "centered": True},
    ),
    "adagrad": (torch.optim.Adagrad, {}),
    "adagrad(lr=0.1, initial=0.5, decay=0.1)": (
        torch.optim.Adagrad,
        {"lr": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1},
    ),
}


@pytest.mark.parametrize("clip", [None, 5.0])
@pytest.mark.parametrize("recipe", OPTIMIZERS)
def test_fifty_updates(recipe, clip):
    if clip is not None and recipe not in ("adam", "sgd(lr=0.1, momentum=0.9)"):
        pytest.skip("clipping is tried with two of them")
    found = trained(f"optimizer = {recipe}" + (f"\nclip = norm({clip})" if clip else ""))
    kind, options = OPTIMIZERS[recipe]
    w = {path: torch.tensor(value, requires_grad=True) for path, value in FIRST.items()}
    optimizer = kind(w.values(), **options)
    for t in range(STEPS):
        x, y = map(torch.tensor, BATCHES[t % len(BATCHES)])
        optimizer.zero_grad()
        functional.mse_loss(x @ w[W] + w[B], y).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(w.values(), clip)
        optimizer.step()
        for path, value in found[t].items():
            # PyTorch divides by the norm plus 1e-6.
            tolerance = 1e-9 if clip is None else 1e-6
            np.testing.assert_allclose(value, w[path].detach(), rtol=tolerance, atol=tolerance)
