"""Windows over rows of different lengths: each row as PyTorch has it alone, whatever the others and the padding are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from interpreted import Interpreted
from numerics_helpers import check_gradient, compiled, randomise

torch = pytest.importorskip("torch")

from torch_layers import Weights, bidirectional, compare  # noqa: E402

functional = torch.nn.functional
CHANNELS = 2


@dataclass(frozen=True)
class Case:
    """A layer along the time of rows x[B,T,C] and what PyTorch makes of one row (t, c): None where it is too short."""

    call: str
    row: Callable[[Any, Weights], Any]
    channels: int = CHANNELS

    @property
    def layer(self) -> str:
        return self.call.split("(")[0]


def convolution(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    size, dilation, groups = int(rng.integers(1, 5)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    padding = [0, 1, 2, "same", "causal"][int(rng.integers(5))]
    stride = int(rng.integers(1, 4)) if isinstance(padding, int) else 1
    reach = dilation * (size - 1)
    before, after = {"same": (reach // 2, reach - reach // 2), "causal": (reach, 0)}.get(padding, (padding, padding))

    def row(x: Any, w: Weights) -> Any:
        wide = functional.pad(x.T[None], (before, after))
        if wide.shape[2] <= reach:
            return None
        return functional.conv1d(wide, w["W"].permute(2, 1, 0), w["b"], stride, 0, dilation, groups)[0].T

    shown = f'"{padding}"' if isinstance(padding, str) else padding
    settings = f"size={size}, stride={stride}, padding={shown}, dilation={dilation}, groups={groups}"
    return Case(f"conv1d(4, {settings})", row, 4)


def pooling(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    size, stride, zeros = int(rng.integers(1, 5)), int(rng.integers(1, 4)), bool(rng.integers(2))
    padding, mean = int(rng.integers(size // 2 + 1)), bool(rng.integers(2))

    def row(x: Any, w: Weights) -> Any:
        if len(x) + 2 * padding < size:
            return None
        if mean:
            return functional.avg_pool1d(x.T[None], size, stride, padding, count_include_pad=zeros)[0].T
        return functional.max_pool1d(x.T[None], size, stride, padding)[0].T

    settings = f"size={size}, stride={stride}, padding={padding}" + (f", zeros={str(zeros).lower()}" if mean else "")
    return Case(f"{'mean' if mean else 'max'}_pool1d({settings})", row)


def transposed(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    size, stride, dilation = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    padding = int(rng.integers(2)) if dilation * (size - 1) >= 2 else 0

    def row(x: Any, w: Weights) -> Any:
        kernel = w["W"].permute(1, 2, 0)
        return functional.conv_transpose1d(x.T[None], kernel, w["b"], stride, padding, dilation=dilation)[0].T

    return Case(f"conv1d_transposed(3, size={size}, stride={stride}, padding={padding}, dilation={dilation})", row, 3)


KINDS = {"convolution": convolution, "pooling": pooling, "transposed": transposed}


def spec(*cases: Case) -> str:
    """Each layer, its mean over each row's places, and the sum of their squares."""
    lines, losses = [], []
    for k, case in enumerate(cases):
        lines += [f"y{k} = x * v |> {case.call}", f"z{k}[b, n in N{k}] = mean[t](y{k}[b,t,n+0])"]
        lines += [f"s{k}[b] = sum[t,n](y{k}[b,t,n] * y{k}[b,t,n])"]
        losses.append(f"mean(s{k}) + mean(sin(z{k}))")
    results = ", ".join(f"z{k}[B,N{k}], s{k}[B]" for k in range(len(cases)))
    dims = ", ".join(f"N{k} = {case.channels}" for k, case in enumerate(cases))
    body = "\n  ".join(lines)
    head = f"dim B, T?, C = {CHANNELS}, {dims}\nmodel m(x[B,T,C]) -> ({results}) {{\n  weight v[C] ~ ones"
    return f"{head}\n  {body}\n}}\ntrain {{ loss = {' + '.join(losses)} }}\n"


def reference(*cases: Case) -> Callable[..., Any]:
    def run(w: Weights, given: dict[str, Any]) -> Any:
        rows = [x[:n] * w["v"] for x, n in zip(given["x"], given["T"], strict=True)]
        outputs: dict[str, Any] = {}
        total = torch.zeros((), dtype=torch.float64)
        for k, case in enumerate(cases):
            empty = torch.zeros(0, case.channels, dtype=torch.float64)
            found = [y if (y := case.row(x, w.at(f"y{k}", case.layer))) is not None else empty for x in rows]
            z = torch.stack([y.sum(0) / max(len(y), 1) for y in found])
            s = torch.stack([(y * y).sum() for y in found])
            outputs |= {f"z{k}": z, f"s{k}": s}
            total = total + s.mean() + z.sin().mean()
        return outputs, total

    return run


def batch(seed: int, fill: float = 0.0) -> dict[str, Any]:
    """Rows of 1 to 11 places, both among them, and `fill` past their ends."""
    rng = np.random.default_rng(seed)
    lengths = rng.permutation([1, 11, *rng.integers(1, 11, 3)])
    x = np.full((len(lengths), 11, CHANNELS), fill)
    for row, n in zip(x, lengths, strict=True):
        row[:n] = rng.normal(size=(n, CHANNELS))
    return {"x": x, "T": lengths}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", KINDS)
def test_each_row_is_as_alone_in_pytorch(kind, seed):
    case = KINDS[kind](seed)
    compare(Interpreted(spec(case)), "m", reference(case), batch(seed), seed)


COMPILED = [KINDS[kind](seed) for kind, seeds in (("convolution", (0, 3, 4, 9)), ("pooling", (1, 2, 5))) for seed in seeds]


def test_compiled_rows_are_as_alone_in_pytorch():
    program = compiled(spec(*COMPILED))
    compare(program, "m", reference(*COMPILED), batch(5), 5)


def test_padding_of_nan_changes_nothing_bit_for_bit():
    program = compiled(spec(*COMPILED))
    randomise(program, 1)
    clean, spoiled = batch(7), batch(7, np.nan)
    for name, found in program.forward(**spoiled).items():
        np.testing.assert_array_equal(found, program.forward(**clean)[name])
    loss, gradient = program.gradient(**clean)
    other, spoiled_gradient = program.gradient(**spoiled)
    assert loss == other
    assert all(np.array_equal(gradient[path], spoiled_gradient[path]) for path in gradient)


def test_rows_that_are_too_short_have_no_places():
    """Also where no row of the batch is long enough: 0 is the mean and the sum of nothing."""
    program = compiled(spec(*COMPILED))
    randomise(program, 2)
    given = batch(3)
    whole = program.forward(**given)
    for k, n in enumerate(given["T"]):
        alone = program.forward(x=[given["x"][k, :n]])
        for name, value in alone.items():
            np.testing.assert_allclose(value[0], whole[name][k], rtol=1e-12, err_msg=name)


def test_gradients_by_differences():
    program = compiled(spec(*COMPILED))
    randomise(program, 3)
    check_gradient(program, **batch(4))


# --- layers on top of places -------------------------------------------------------------------------------------------

CHAIN = """dim B, T?, C = 2, H = 3
block ends(x[B,P,D]) -> (a[B,D], z[B,D]) {
  a = first[P](x)
  z = last[P](x) + 2 * first[P](flip[P](x))
}
model m(x[B,T,C]) -> (z[B, 2*H], l[B, 2*H], f[B, 2*H], a[B, 2*H], n[B]) {
  weight v[C] ~ ones
  u = x * v |> conv1d(4, size=3, stride=2, padding=1) |> max_pool1d(3, stride=2, padding=1)
  h = u |> bidirectional(H, layer_of=lstm)
  z[b,k] = mean[t](h[b,t,k])
  head, tail = ends(h)
  l = head + tail
  f[b,k] = max[t](h[b,t,k])
  q[b,t] = softmax[t](sum[k](h[b,t,k]^2))
  a[b,k] = sum[t](q[b,t] * h[b,t,k])
  n = T
}
train { loss = mean(z^2) + mean(sin(l)) + mean(f) + mean(a * a) }
"""


def chain(w: Weights, given: dict[str, Any]) -> Any:
    found: dict[str, list[Any]] = {name: [] for name in "zlfan"}
    for x, n in zip(given["x"], given["T"], strict=True):
        u = (x[:n] * w["v"]).T[None]
        u = functional.conv1d(u, w.at("u", "conv1d")["W"].permute(2, 1, 0), w.at("u", "conv1d")["b"], 2, 1)
        u = functional.max_pool1d(u, 3, 2, 1).transpose(1, 2)
        h = bidirectional("lstm", u, torch.tensor([u.shape[1]]), w.at("h", "bidirectional"))[0]
        q = (h**2).sum(1).softmax(0)
        for name, value in zip("zlfan", (h.mean(0), h[0] + 3 * h[-1], h.max(0).values, q @ h, n), strict=True):
            found[name].append(value)
    z, ends, f, a, n = (torch.stack(found[name]).double() for name in "zlfan")
    loss = (z**2).mean() + ends.sin().mean() + f.mean() + (a * a).mean()
    return {"z": z, "l": ends, "f": f, "a": a, "n": n}, loss


def test_layers_above_places_go_by_the_rows_own_ends():
    program = compiled(CHAIN)
    for seed in (6, 8):
        compare(program, "m", chain, batch(seed), seed)


PLANE = """dim B, I?, J = 4, C = 2
model m(x[B,I,J,C]) -> (z[B], s[B]) {
  weight v[C] ~ ones
  y = x * v |> conv2d(3, size=3, stride=2, padding=1) |> max_pool2d(2, stride=1, padding=1)
  z[b] = mean[i,j,c](y[b,i,j,c])
  s[b] = sum[i,j,c](y[b,i,j,c] * y[b,i,j,c])
}
train { loss = mean(z * s) }
"""


def test_planes_of_different_heights():
    program = compiled(PLANE)

    def run(w: Weights, given: dict[str, Any]) -> Any:
        places = w.at("y", "conv2d")
        found = []
        for x, n in zip(given["x"], given["I"], strict=True):
            u = (x[:n] * w["v"]).permute(2, 0, 1)[None]
            u = functional.conv2d(u, places["W"].permute(3, 2, 0, 1), places["b"], 2, 1)
            found.append(functional.max_pool2d(u, 2, 1, 1))
        z, s = torch.stack([y.mean() for y in found]), torch.stack([(y * y).sum() for y in found])
        return {"z": z, "s": s}, (z * s).mean()

    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 7, 4, 2))
    compare(program, "m", run, {"x": x, "I": np.array([1, 7, 3, 4])})
