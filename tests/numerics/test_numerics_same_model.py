"""One model in several wordings: the same numbers, whatever its names, the order of its lines, loops written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from interpreted import Interpreted
from numerics_helpers import compiled, randomise

import archspec

# Reads words forward, looks at them with attention, and judges every place.
MODEL = """
dim B, T?, V = 5, D = 4, K = 3
model m(words[B,T]: V, y[B,T]: K) -> z[B,T,K] {
  layer emb = embed(V, D)
  e = emb(words)
  g = e |> gru(D)
  u = e |> repeat 2 { encoder_block(2, F=3, p=0.0) }
  z = g + u |> linear(K)
}
train { loss = cross_entropy(z, y) }
"""
RENAMED = """
dim Rows, Steps?, Words = 5, Width = 4, Tags = 3
model other(ids[Rows,Steps]: Words, tags[Rows,Steps]: Tags) -> scores[Rows,Steps,Tags] {
  layer table = embed(Words, Width)
  vectors = table(ids)
  states = vectors |> gru(Width)
  deep = vectors |> repeat 2 { encoder_block(2, F=3, p=0.0) }
  scores = states + deep |> linear(Tags)
}
train { loss = cross_entropy(scores, tags) }
"""
NAMES = {"words": "ids", "T": "Steps", "y": "tags", "z": "scores"}
PATHS = {"m/emb/": "other/table/", "m/g/": "other/states/", "m/u/": "other/deep/", "m/z/": "other/scores/"}
REORDERED = MODEL.replace("  g = e |> gru(D)\n", "").replace("  z = g +", "  g = e |> gru(D)\n  z = g +")
UNROLLED_REPEAT = MODEL.replace(
    "u = e |> repeat 2 { encoder_block(2, F=3, p=0.0) }",
    "v = e |> encoder_block(2, F=3, p=0.0)\n  u = v |> encoder_block(2, F=3, p=0.0)",
)
DEAD_BRANCH = MODEL.replace(
    "  z = g +",
    """  if D > 100 {
    weight W[D,D]
    dead = e @ W
  } else {
    live = g
  }
  unused = tanh(e) |> linear(7)
  z = live +""",
)
IDENTITY = MODEL.replace("g = e |> gru(D)", "g = same(e) |> gru(D) |> same").replace(
    "\nmodel", "\nblock same(x[..]) -> y[..] {\n  y = x\n}\nmodel"
)
LOOP_BY_HAND = MODEL.replace(
    "g = e |> gru(D)",
    """layer cell = gru_cell()
  over t in T {
    state h[B,D] = 0
    h[t] = cell(e[t], h[t-1])
  }
  g = h""",
)
REPEAT_PATHS = {"m/u/0/encoder_block/": "m/v/encoder_block/", "m/u/1/encoder_block/": "m/u/encoder_block/"}

WORDINGS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "renamed": (RENAMED, PATHS),
    "reordered": (REORDERED, {}),
    "unrolled repeat": (UNROLLED_REPEAT, REPEAT_PATHS),
    "dead branch": (DEAD_BRANCH, {}),
    "identity": (IDENTITY, {}),
    "loop by hand": (LOOP_BY_HAND, {"m/g/gru/cell/": "m/cell/"}),
}


def rows() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"words": rng.integers(0, 5, (4, 6)), "y": rng.integers(0, 3, (4, 6)), "T": np.array([6, 1, 4, 2])}


def moved(path: str, paths: Mapping[str, str]) -> str:
    for old, new in paths.items():
        if path.startswith(old):
            return new + path.removeprefix(old)
    return path


@pytest.mark.parametrize("wording", WORDINGS)
def test_same_numbers(wording):
    """The order in which a sum's parts come may change, so up to rounding; names change nothing at all."""
    text, paths = WORDINGS[wording]
    first, second, given = compiled(MODEL), compiled(text), rows()
    randomise(first)
    for path in first.weights:
        second.weights[moved(path, paths)] = first.weights[path]
    others = {NAMES.get(name, name): value for name, value in given.items()} if wording == "renamed" else given
    rtol = 0 if wording == "renamed" else 1e-12
    mask = np.arange(6) < given["T"][:, None]
    expected = first.forward(**only(first, given))["z"][mask]
    found = next(iter(second.forward(**only(second, others)).values()))[mask]
    np.testing.assert_allclose(found, expected, rtol, rtol / 100)
    (loss, slopes), (other, found) = first.gradient(**given), second.gradient(**others)
    assert other == pytest.approx(loss, rel=rtol, abs=0)
    for path, slope in slopes.items():
        np.testing.assert_allclose(found[moved(path, paths)], slope, rtol, rtol / 100, err_msg=path)


def only(program, given):
    """The inputs of the model, without those of the loss alone."""
    return {name: value for name, value in given.items() if name in program.graph.inputs}


STEPS = 4
LOOP = f"""
dim B, T = {STEPS}, D = 3, H = 2
model m(x[B,T,D]) -> z[B,H] {{
  weight W[D,H]
  weight U[H,H]
  over t in T {{
    state h[B,H] = 0
    h[t] = tanh(x[t] @ W + h[t-1] @ U)
  }}
  z = last[T](h) + sum[T](h)
}}
train {{ loss = mean(z^2) }}
"""


def unrolled() -> str:
    """The same loop as one line for each step."""
    lines = ["x0[b,d] = x[b,0,d]", "h0 = tanh(x0 @ W)"]
    for t in range(1, STEPS):
        lines += [f"x{t}[b,d] = x[b,{t},d]", f"h{t} = tanh(x{t} @ W + h{t - 1} @ U)"]
    total = " + ".join(f"h{t}" for t in range(STEPS))
    body = "\n  ".join(["weight W[D,H]", "weight U[H,H]", *lines, f"z = h{STEPS - 1} + {total}"])
    return f"dim B, T = {STEPS}, D = 3, H = 2\nmodel m(x[B,T,D]) -> z[B,H] {{\n  {body}\n}}\ntrain {{ loss = mean(z^2) }}\n"


def test_unrolled_over():
    first, second = compiled(LOOP), compiled(unrolled())
    randomise(first)
    second.weights.update(dict(first.weights))
    x = np.random.default_rng(1).normal(size=(5, STEPS, 3))
    np.testing.assert_allclose(second.forward(x=x)["z"], first.forward(x=x)["z"], 1e-13, 1e-15)
    (loss, slopes), (other, found) = first.gradient(x=x), second.gradient(x=x)
    assert other == pytest.approx(loss, rel=1e-13)
    for path, slope in slopes.items():
        np.testing.assert_allclose(found[path], slope, 1e-12, 1e-14, err_msg=path)


@pytest.mark.parametrize("layer", ["rnn", "gru", "lstm"])
def test_the_name_of_a_width_does_not_matter(layer):
    """`H/2` of 4 is 2, in gates that are parts of `3*(H/2)` too."""
    text = """
    dim B, T?, D = 3, H = {h}
    model m(x[B,T,D]) -> z[B,T,{w}] {{
      z = x |> {layer}({w})
    }}
    train {{ loss = mean(z^2) }}
    """
    first = compiled(text.format(h=2, w="H", layer=layer))
    second = compiled(text.format(h=4, w="H/2", layer=layer))
    randomise(first)
    second.weights.update(dict(first.weights))
    given = {"x": np.random.default_rng(2).normal(size=(3, 5, 3)), "T": np.array([5, 1, 3])}
    (loss, slopes), (other, found) = first.gradient(**given), second.gradient(**given)
    assert other == pytest.approx(loss, rel=1e-13)
    for path, slope in slopes.items():
        np.testing.assert_allclose(found[path], slope, 1e-12, 1e-15, err_msg=path)


@pytest.mark.parametrize("flag", [True, False])
def test_truth_values_that_are_known_stand_where_tensors_of_them_do(flag):
    """`valid[D]` is one where nothing is left out, so that a block need not ask."""
    spec = archspec.loads(
        """
        let flag = true
        dim B, D
        block inside(x[..,D]) -> y[..,D] {
          y = where(valid[D], x, 0)
        }
        model m(x[B,D]) -> (chosen[B,D], scaled[B,D], whole[B,D], wide[B, 3 + number(flag)]) {
          chosen = where(flag, x, 2 * x)
          scaled = x * number(flag and not D == 3)
          whole = inside(x)
          wide[b, i in 3 + number(flag)] = x[b,0] * (i + 1)
        }
        """,
        set={"flag": flag},
    )
    x = np.random.default_rng(0).normal(size=(2, 4))
    found = Interpreted(spec, D=4).forward(x=x)
    np.testing.assert_array_equal(found["chosen"], x if flag else 2 * x)
    np.testing.assert_array_equal(found["scaled"], x * flag)
    np.testing.assert_array_equal(found["whole"], x)
    np.testing.assert_array_equal(found["wide"], x[:, :1] * (np.arange(3 + flag) + 1))
