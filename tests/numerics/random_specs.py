"""Random specs: pipes, residuals, fan-outs, shared layers, norms and reductions of random sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

ACTIVATIONS = "relu tanh gelu sigmoid softplus elu silu mish hard_swish softsign leaky_relu".split()


@dataclass(frozen=True)
class Example:
    """A spec and the shape of its inputs: `x` (batch, [time,] features), `y` (batch) of `classes`."""

    text: str
    shape: tuple[int, ...]
    classes: int
    seed: int

    def inputs(self, batch: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.seed + batch)
        return {"x": rng.normal(size=(batch, *self.shape)), "y": rng.integers(0, self.classes, batch)}


@st.composite
def examples(draw, most_steps: int = 6, widest: int = 20, fewest_steps: int = 1) -> Example:
    sizes = st.integers(1, widest)
    width, classes, time = draw(sizes), draw(st.integers(1, 7)), draw(st.sampled_from([None, 1, 3, 5]))
    body = _Body(draw, sizes, time)
    for _ in range(draw(st.integers(fewest_steps, most_steps))):
        draw(st.sampled_from(body.steps()))()
    if body.time is not None:
        body.pool()
    lines = "\n".join(f"  {line}" for line in (*body.lines, f"z = h{body.count} |> linear(K)"))
    axes = "B,T,D" if time is not None else "B,D"
    sizes = f"D = {width}, K = {classes}" + (f", T = {time}" if time is not None else "")
    loss = draw(st.sampled_from(["cross_entropy(z, y)", "cross_entropy(z, y, smoothing=0.2)", "mse(z, one_hot(y))"]))
    extra = draw(st.sampled_from(["", " + 0.1 * mean(square(z))", f" + mean(square(h{body.count}))"]))
    text = f"dim B, {sizes}\nmodel m(x[{axes}], y[B]: K) -> z[B,K] {{\n  h0 = x\n{lines}\n}}\ntrain {{ loss = {loss}{extra} }}"
    shape = (width,) if time is None else (time, width)
    return Example(text, shape, classes, draw(st.integers(0, 99)))


class _Body:
    """Statements h1 = …, h2 = …, each of what came before."""

    def __init__(self, draw, sizes, time: int | None) -> None:
        self.draw, self.sizes, self.time = draw, sizes, time
        self.axis = "D"
        self.count = 0
        self.lines: list[str] = []

    def steps(self):
        found = [self.linear, self.activate, self.normalise, self.residual, self.fan_out, self.shared, self.scale]
        found += [self.center, self.two_axes, self.dropout]
        return [*found, self.pool, self.over_time] if self.time is not None else found

    @property
    def h(self) -> str:
        return f"h{self.count}"

    def activation(self) -> str:
        return self.draw(st.sampled_from(ACTIVATIONS))

    def add(self, text: str) -> None:
        self.lines.append(f"h{self.count + 1} = {text}")
        self.count += 1

    def linear(self) -> None:
        width = self.draw(self.sizes)
        bias = self.draw(st.sampled_from(["", ", bias=false"]))
        self.add(f"{self.h} |> linear({width}{bias}) |> {self.activation()}")
        self.axis = str(width)

    def activate(self) -> None:
        self.add(f"{self.h} |> {self.activation()}")

    def normalise(self) -> None:
        norms = [f"softmax[{self.axis}]", f"log_softmax[{self.axis}]", "layernorm", "rmsnorm", "layernorm(eps=0.1)"]
        self.add(f"{self.h} |> {self.draw(st.sampled_from(norms))}")

    def residual(self) -> None:
        self.add(f"{self.h} + ({self.h} |> linear({self.axis}) |> {self.activation()})")

    def fan_out(self) -> None:
        f, g = self.activation(), self.activation()
        self.add(f"{f}({self.h}) * {g}({self.h}) - 0.5 * {self.h} / (1 + square({self.h}))")

    def shared(self) -> None:
        self.lines.append(f"layer f{self.count} = linear({self.axis})")
        self.add(f"f{self.count}({self.activation()}(f{self.count}({self.h}))) + {self.h}")

    def scale(self) -> None:
        self.lines.append(f"weight v{self.count}[{self.axis}] ~ normal(std=1)")
        self.add(f"{self.h} * v{self.count} + max[{self.axis}]({self.h})")

    def center(self) -> None:
        self.add(f"({self.h} - mean[B]({self.h})) / sqrt(mean[B](square({self.h})) + 0.5)")

    def two_axes(self) -> None:
        p, q = self.draw(st.lists(st.integers(21, 24), min_size=2, max_size=2, unique=True))
        self.lines.append(f"weight u{self.count}[{self.axis}, {p}, {q}] ~ glorot")
        self.lines.append(f"g{self.count} = {self.h} @ u{self.count}")
        self.add(f"sum[{p}](tanh(g{self.count}))")
        self.axis = str(q)

    def dropout(self) -> None:
        self.add(f"{self.h} |> dropout(0.3)")

    def pool(self) -> None:
        self.add(f"{self.draw(st.sampled_from(['mean', 'sum', 'max']))}[T]({self.h})")
        self.time = None

    def over_time(self) -> None:
        self.add(f"{self.h} * (1 + mean[T]({self.h})) - min[T]({self.h})")
