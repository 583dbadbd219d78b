"""Recurrent layers against PyTorch's on packed rows: outputs, loss, gradients; and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from numerics_helpers import compiled, randomise

torch = pytest.importorskip("torch")

from torch_layers import bidirectional, compare, inside, mean_inside, recurrent, turned  # noqa: E402

D, H = 3, 4
SETTINGS = {"rnn": "", "relu": ", act=relu", "gru": "", "lstm": ""}
LAYERS = {kind: "rnn" if kind == "relu" else kind for kind in SETTINGS}


def spec(kind: str) -> str:
    """Both directions, side by side in a stack of two, and `over … reversed` written out."""
    layer, settings = LAYERS[kind], SETTINGS[kind]
    states = "state h[B,H] = 0, s[B,H] = 0" if kind == "lstm" else "state h[B,H] = 0"
    step = "h[t], s[t] = cell(x[t], h[t+1], s[t+1])" if kind == "lstm" else "h[t] = cell(x[t], h[t+1])"
    return f"""
    let H = {H}
    dim B, T?, D = {D}
    block pair(x[B,T,D], H) -> y[B,T,2*H] {{
      y = concat({layer}(x, H{settings}), {layer}(x, H, reverse=true{settings}))
    }}
    model m(x[B,T,D]) -> (a[B,T,H], b[B,T,H], c[B,T,2*H], d[B,T,H]) {{
      a = x |> {layer}(H{settings})
      b = x |> {layer}(H, reverse=true{settings})
      c = x |> repeat 2 {{ pair(H) }}
      layer cell = {layer}_cell({settings.removeprefix(", ")})
      over t in T reversed {{
        {states}
        {step}
      }}
      d = h
    }}
    train {{ loss = mean(a^2) + mean(b * a) + mean(c^2) + mean(d^3) }}
    """


def reference(kind: str):
    layer = LAYERS[kind]

    def run(w, given):
        x, lengths = given["x"], given["T"]
        mask = inside(lengths, x.shape[1])
        back = turned(x, lengths)
        a = recurrent(kind, x, lengths, w.at("a", layer, "cell"))
        b = turned(recurrent(kind, back, lengths, w.at("b", layer, "cell")), lengths)
        c = x
        for k in range(2):
            pair = w.at("c", str(k), "pair", "y")
            c = recurrent(kind, c, lengths, pair.at(layer, "cell"), pair.at(f"{layer}_2", "cell"))
        d = turned(recurrent(kind, back, lengths, w.at("cell")), lengths)
        loss = sum(mean_inside(v, mask) for v in (a**2, b * a, c**2, d**3))
        return {name: (value, mask) for name, value in zip("abcd", (a, b, c, d), strict=True)}, loss

    return run


def rows(steps: int, seed: int) -> dict:
    """Five rows of random lengths, one of them full and one of a single place."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, steps + 1, size=5)
    lengths[:2] = steps, 1
    rng.shuffle(lengths)
    return {"x": rng.normal(size=(5, steps, D)), "T": lengths}


@pytest.mark.parametrize("steps", [5, 17, 60])
@pytest.mark.parametrize("kind", SETTINGS)
def test_equals_pytorch(kind, steps):
    compare(compiled(spec(kind)), "m", reference(kind), rows(steps, steps), seed=steps)


@pytest.mark.parametrize("kind", SETTINGS)
def test_one_place_and_one_row(kind):
    given = {"x": np.random.default_rng(0).normal(size=(1, 1, D)), "T": np.array([1])}
    compare(compiled(spec(kind)), "m", reference(kind), given)


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_lies_past_the_ends_is_not_seen(kind):
    program, given = compiled(spec(kind)), rows(9, 1)
    randomise(program)
    spoiled = given | {"x": np.where(inside_mask(given)[..., None], given["x"], np.nan)}
    same(program, given, spoiled)


@pytest.mark.parametrize("kind", SETTINGS)
def test_rows_padded_further_are_the_same_rows(kind):
    program, given = compiled(spec(kind)), rows(9, 2)
    randomise(program)
    further = given | {"x": np.concatenate([given["x"], np.ones((5, 4, D))], axis=1)}
    first, second = program.forward(**given), program.forward(**further)
    mask = inside_mask(given)
    for name in first:
        np.testing.assert_array_equal(first[name][mask], second[name][:, :9][mask])
    losses = [program.gradient(**g) for g in (given, further)]
    assert losses[0][0] == losses[1][0]
    for path, slope in losses[0][1].items():
        np.testing.assert_allclose(slope, losses[1][1][path], 1e-12, 1e-15, err_msg=path)


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_future_is_not_seen(kind):
    program, given = compiled(spec(kind)), rows(9, 3) | {"T": np.full(5, 9)}
    randomise(program)
    before = program.forward(**given)
    for t in range(8):
        changed = given | {"x": given["x"].copy()}
        changed["x"][:, t + 1 :] += 1
        after = program.forward(**changed)
        np.testing.assert_array_equal(before["a"][:, : t + 1], after["a"][:, : t + 1])
        changed = given | {"x": given["x"].copy()}
        changed["x"][:, : t + 1] += 1
        after = program.forward(**changed)
        for name in "bd":
            np.testing.assert_array_equal(before[name][:, t + 1 :], after[name][:, t + 1 :])


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_order_of_rows_is_that_of_the_outputs(kind):
    program, given = compiled(spec(kind)), rows(9, 4)
    randomise(program)
    order = np.array([3, 1, 4, 0, 2])
    first, second = program.forward(**given), program.forward(**{name: array[order] for name, array in given.items()})
    for name in first:
        np.testing.assert_array_equal(first[name][order], second[name])


def inside_mask(given: dict) -> np.ndarray:
    return np.arange(given["x"].shape[1]) < given["T"][:, None]


def same(program, given, spoiled) -> None:
    """Outputs within the rows, loss and gradients, bit for bit."""
    first, second = program.forward(**given), program.forward(**spoiled)
    for name in first:
        np.testing.assert_array_equal(first[name][inside_mask(given)], second[name][inside_mask(given)])
    (loss, slopes), (other, others) = program.gradient(**given), program.gradient(**spoiled)
    assert loss == other
    for path, slope in slopes.items():
        np.testing.assert_array_equal(slope, others[path], err_msg=path)


VARIANTS = """
let H = 4
dim B, T?, D = 3
model m(x[B,T,D]) -> (a[B,T,H], b[B,T,H]) {
  a = x |> lstm(H, peephole=true, forget=0.5)
  b = x |> gru(H, reset_after=false)
}
train { loss = mean(a^2) + mean(b^2) }
"""


def variants(w, given):
    """Peepholes, and the reset gate on the state: written out, since PyTorch has neither."""
    x, lengths = given["x"], given["T"]
    mask = inside(lengths, x.shape[1])
    p, g = w.at("a/lstm/cell"), w.at("b/gru/cell")
    h = c = s = torch.zeros(len(x), H, dtype=torch.float64)
    first, second = [], []
    for t in range(x.shape[1]):
        i, f, n, o = (x[:, t] @ p["W"] + h @ p["U"] + p["b"]).chunk(4, 1)
        pi, pf, po = p["p"].chunk(3)
        c = torch.sigmoid(f + 0.5 + pf * c) * c + torch.sigmoid(i + pi * c) * torch.tanh(n)
        h = torch.sigmoid(o + po * c) * torch.tanh(c)
        xr, xu, xn = (x[:, t] @ g["W"] + g["b"]).chunk(3, 1)
        hr, hu = (s @ g["U"]).chunk(2, 1)
        u = torch.sigmoid(xu + hu)
        s = u * s + (1 - u) * torch.tanh(xn + (torch.sigmoid(xr + hr) * s) @ g["V"])
        first.append(h)
        second.append(s)
    a, b = torch.stack(first, 1), torch.stack(second, 1)
    return {"a": (a, mask), "b": (b, mask)}, mean_inside(a**2, mask) + mean_inside(b**2, mask)


@pytest.mark.parametrize("steps", [5, 20])
def test_peepholes_and_the_reset_before(steps):
    compare(compiled(VARIANTS), "m", variants, rows(steps, steps))


def test_bidirectional_takes_any_layer():
    text = """
    dim B, T?, D = 3, H = 4
    model m(x[B,T,D]) -> (a[B,T,2*H], b[B,T,2*H]) {
      a = x |> bidirectional(H)
      b = x |> bidirectional(H, layer_of=gru)
    }
    train { loss = mean(a * b) }
    """

    def both(w, given):
        mask = inside(given["T"], given["x"].shape[1])
        a = bidirectional("lstm", given["x"], given["T"], w.at("a/bidirectional"))
        b = bidirectional("gru", given["x"], given["T"], w.at("b/bidirectional"))
        return {"a": (a, mask), "b": (b, mask)}, mean_inside(a * b, mask)

    compare(compiled(text), "m", both, rows(7, 7))


@pytest.mark.parametrize("kind", SETTINGS)
def test_threads_change_nothing(kind):
    """Loops over time that read one another's views from the end, by one thread and by three, to the last bit."""
    one, three, given = compiled(spec(kind)), compiled(spec(kind), threads=3), rows(33, 6)
    for program in (one, three):
        randomise(program)
    first, slopes = one.forward(**given), one.gradient(**given)[1]
    for _ in range(5):
        second, others = three.forward(**given), three.gradient(**given)[1]
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        for path, slope in slopes.items():
            np.testing.assert_array_equal(slope, others[path], err_msg=path)
