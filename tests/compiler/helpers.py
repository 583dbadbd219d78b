"""Specs and stages for the tests of the compiler: no test here needs a kernel to be compiled."""

from __future__ import annotations

from archspec.pipeline import Stages
from archspec.spec import loads

PERCEPTRON = """
let H = 6
dim B, F, K

model net(x[B,F]) -> z[B,K] {
  h = x |> linear(H, init=he) |> relu
  z = h |> linear(K)
}

data {
  source = csv("none.csv")
  x[B,F] = source["p*"]
  y[B]: K = source["label"]
}

train {
  loss = cross_entropy(z, y)
  metrics = [accuracy(z, y)]
}
"""
DIMS = {"F": 4, "K": 3}


def stages(text: str = PERCEPTRON, dims: dict[str, int] | None = None, **settings: object) -> Stages:
    """The stages of a spec given as text."""
    return loads(text, set=settings).stages(DIMS if dims is None else dims)  # type: ignore[arg-type]


def model(body: str, signature: str = "x[B,F]) -> z[B,F]", head: str = "dim B, F, K") -> str:
    """A spec with one model and no loss."""
    return f"{head}\nmodel net({signature} {{\n{body}\n}}\n"


def trained(body: str, loss: str, signature: str = "x[B,F]) -> z[B,F]", head: str = "dim B, F, K") -> str:
    """A spec with one model and a loss on its results."""
    return model(body, signature, head) + f"train {{\n  loss = {loss}\n}}\n"
