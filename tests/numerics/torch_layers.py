"""The sequence layers of the library in PyTorch, on the weights of a program, and the comparison of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numerics_helpers import randomise

torch = pytest.importorskip("torch")
functional = torch.nn.functional

RTOL, ATOL = 1e-9, 1e-11


class Weights:
    """The weights below a path: `w["W"]`, `w.at("cell")["b"]`."""

    def __init__(self, tensors: Mapping[str, Any], path: str) -> None:
        self.tensors, self.path = tensors, path

    def at(self, *names: str) -> Weights:
        return Weights(self.tensors, "/".join((self.path, *names)))

    def __getitem__(self, name: str) -> Any:
        return self.tensors[f"{self.path}/{name}"]


def compare(
    program: Any, model: str, reference: Callable[..., tuple[dict[str, Any], Any]], inputs: Mapping[str, Any], seed: int = 0
) -> None:
    """Outputs, loss and every gradient of a program against those of `reference(weights, inputs)` in PyTorch.

    Outputs of the reference hold zeros or anything past the ends of rows where they come with a mask: (values, mask).
    """
    randomise(program, seed)
    tensors = {path: torch.tensor(program.weights[path], requires_grad=True) for path in program.weights}
    outputs, loss = reference(Weights(tensors, model), {name: as_tensor(value) for name, value in inputs.items()})
    loss.backward()
    found = program.forward(**inputs)
    for name, expected in outputs.items():
        value, mask = expected if isinstance(expected, tuple) else (expected, None)
        value, got = value.detach().numpy(), found[name]
        if mask is not None:
            keep = mask.numpy()
            value, got = value[keep], got[keep]
        np.testing.assert_allclose(got, value, RTOL, ATOL, err_msg=name)
    value, gradient = program.gradient(**inputs)
    assert value == pytest.approx(loss.item(), rel=RTOL)
    for path, slope in gradient.items():
        expected = tensors[path].grad
        expected = np.zeros_like(slope) if expected is None else expected.numpy()
        np.testing.assert_allclose(slope, expected, RTOL, ATOL, err_msg=path)


def as_tensor(value: Any) -> Any:
    return torch.tensor(np.asarray(value))


def inside(lengths: Any, steps: int) -> Any:
    """(b, t): whether a place lies before the end of its row."""
    return torch.arange(steps)[None, :] < lengths[:, None]


def mean_inside(values: Any, mask: Any) -> Any:
    """The mean over the points of rows up to their ends."""
    return values[mask].mean()


# --- recurrence --------------------------------------------------------------------------------------------------------


def lstm_parameters(w: Weights, forget: float = 1.0) -> dict[str, Any]:
    h = w["U"].shape[0]
    shift = torch.zeros(4 * h, dtype=torch.float64)
    shift[h : 2 * h] = forget
    return _parameters(w["W"], w["U"], w["b"] + shift, torch.zeros(4 * h, dtype=torch.float64))


def gru_parameters(w: Weights) -> dict[str, Any]:
    h = w["U"].shape[0]
    return _parameters(w["W"], w["U"], w["b"], torch.cat([torch.zeros(2 * h, dtype=torch.float64), w["c"]]))


def rnn_parameters(w: Weights) -> dict[str, Any]:
    return _parameters(w["W"], w["U"], w["b"], torch.zeros(w["U"].shape[0], dtype=torch.float64))


def _parameters(w: Any, u: Any, b: Any, c: Any) -> dict[str, Any]:
    return {"weight_ih_l0": w.T, "weight_hh_l0": u.T, "bias_ih_l0": b, "bias_hh_l0": c}


KINDS = {
    "lstm": (torch.nn.LSTM, lstm_parameters, {}),
    "gru": (torch.nn.GRU, gru_parameters, {}),
    "rnn": (torch.nn.RNN, rnn_parameters, {}),
    "relu": (torch.nn.RNN, rnn_parameters, {"nonlinearity": "relu"}),
}


def recurrent(kind: str, x: Any, lengths: Any, w: Weights, back: Weights | None = None) -> Any:
    """(b, t, h) or, with weights for the way back, (b, t, 2 h): `nn.LSTM` and its kin on packed rows; 0 past their ends."""
    module, parameters, options = KINDS[kind]
    values = parameters(w)
    if back is not None:
        values |= {f"{name}_reverse": value for name, value in parameters(back).items()}
    size = w["U"].shape[0]
    layer = module(x.shape[2], size, batch_first=True, bidirectional=back is not None, **options).double()
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    found, _ = torch.func.functional_call(layer, values, (packed,))
    return torch.nn.utils.rnn.pad_packed_sequence(found, batch_first=True, total_length=x.shape[1])[0]


def turned(x: Any, lengths: Any) -> Any:
    """Each row the other way round within its own length."""
    return torch.stack([torch.cat([row[:n].flip(0), row[n:]]) for row, n in zip(x, lengths, strict=True)])


def bidirectional(kind: str, x: Any, lengths: Any, w: Weights) -> Any:
    """The library's `bidirectional` of a kind, whose weights lie below `w`."""
    return recurrent(kind, x, lengths, w.at("y", kind, "cell"), w.at("y", f"{kind}_2", "cell"))


def last(x: Any, lengths: Any) -> Any:
    """(b, h): each row at its last place."""
    return x[torch.arange(len(x)), lengths - 1]


# --- attention ---------------------------------------------------------------------------------------------------------


def linear(x: Any, w: Weights) -> Any:
    return x @ w["W"] + w["b"]


def layernorm(x: Any, w: Weights) -> Any:
    return functional.layer_norm(x, x.shape[-1:], w["g"], w["b"])


def attention(x: Any, m: Any, heads: int, w: Weights, lengths: Any = None, causal: bool = False) -> Any:
    """Multi-head attention by PyTorch's own scaled dot products; `lengths` are those of the memory's rows."""

    def split(y: Any, name: str) -> Any:
        return linear(y, w.at(name)).unflatten(-1, (heads, -1)).transpose(1, 2)

    kept = torch.ones(x.shape[1], m.shape[1], dtype=torch.bool)[None, None]
    if lengths is not None:
        kept = kept & inside(lengths, m.shape[1])[:, None, None]
    if causal:
        kept = kept & torch.ones(x.shape[1], m.shape[1], dtype=torch.bool).tril()
    o = functional.scaled_dot_product_attention(split(x, "Q"), split(m, "K"), split(m, "V"), attn_mask=kept)
    return linear(o.transpose(1, 2).flatten(2), w.at("O"))


def feed(x: Any, w: Weights, act: Any = functional.gelu) -> Any:
    return linear(act(linear(x, w.at("up"))), w.at("down"))


def encoder_block(
    x: Any,
    heads: int,
    w: Weights,
    lengths: Any = None,
    norm_first: bool = True,
    causal: bool = False,
    act: Any = functional.gelu,
) -> Any:
    n1, n2 = (lambda y, name=name: layernorm(y, w.at(name)) for name in ("norm1", "norm2"))
    if norm_first:
        n = n1(x)
        h = x + attention(n, n, heads, w.at("attend"), lengths, causal)
        return h + feed(n2(h), w.at("feed"), act)
    h = n1(x + attention(x, x, heads, w.at("attend"), lengths, causal))
    return n2(h + feed(h, w.at("feed"), act))


def decoder_block(
    x: Any, m: Any, heads: int, w: Weights, lengths: Any = None, seen: Any = None, norm_first: bool = True
) -> Any:
    """`lengths` are those of x, `seen` those of the memory."""
    n1, n2, n3 = (lambda y, name=name: layernorm(y, w.at(name)) for name in ("norm1", "norm2", "norm3"))
    if norm_first:
        n = n1(x)
        h = x + attention(n, n, heads, w.at("attend"), lengths, True)
        g = h + attention(n2(h), m, heads, w.at("look"), seen)
        return g + feed(n3(g), w.at("feed"))
    h = n1(x + attention(x, x, heads, w.at("attend"), lengths, True))
    g = n2(h + attention(h, m, heads, w.at("look"), seen))
    return n3(g + feed(g, w.at("feed")))


def sinusoid(steps: int, width: int) -> Any:
    """(t, d): sines at even places, cosines at odd ones."""
    place, k = torch.arange(steps, dtype=torch.float64)[:, None], torch.arange(0, width, 2, dtype=torch.float64)
    angle = place / 10000 ** (k / width)
    return torch.stack([torch.sin(angle), torch.cos(angle)], -1).flatten(1)[:, :width]
