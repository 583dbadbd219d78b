"""Random recurrences, and what they mean step by step, row by row, in plain loops."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WIDTH, ROWS = 3, 3
MAPS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0.0),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "softmax[D]": lambda a: np.exp(a - a.max()) / np.exp(a - a.max()).sum(),
}
JOINS: dict[str, Callable[[Any, Any], Any]] = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
PLACES: dict[str, Callable[[int], int]] = {
    "t": lambda t: t,
    "t-1": lambda t: t - 1,
    "t+1": lambda t: t + 1,
    "2*t": lambda t: 2 * t,
}


@dataclass
class Step:
    """What an expression sees at one step of one row."""

    t: int
    row: np.ndarray  # (steps of this row, WIDTH)
    before: dict[str, Any]
    weights: dict[str, np.ndarray]
    known: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """An expression as it is written, and its value at a step."""

    text: str
    value: Callable[[Step], Any]


class Recurrence:
    """A model m(x[B,T,D]) with states `h` and `c`; `lengths` are those of its rows, all equal where T is not ragged."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(seed)
        self.steps, self.ragged, self.reverse = draw.choice([1, 2, 4]), draw.random() < 0.4, draw.random() < 0.4
        short = [draw.randint(1, self.steps) for _ in range(ROWS - 1)] if self.ragged else [self.steps] * (ROWS - 1)
        self.lengths = [self.steps, *short]
        self.weights: dict[str, tuple[int, ...]] = {}
        self.names: list[str] = []
        self.first = {name: draw.choice([self.constant, self.vector, self.of_the_row])() for name in "hc"}
        self.body = [self.local("a"), self.state("h"), self.local("b"), self.state("c")]

    # --- its text --------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        weights = "\n".join(f"  weight {name}[{','.join('D' * len(shape))}]" for name, shape in self.weights.items())
        states = ", ".join(f"{name}[B,D] = {first.text}" for name, first in self.first.items())
        lines = "\n".join(f"    {name if name in 'ab' else f'{name}[t]'} = {part.text}" for name, part in self.body)
        return f"""
dim B, T{"?" if self.ragged else f" = {self.steps}"}, D = {WIDTH}
model m(x[B,T,D]) -> (h[B,T,D], c[B,T,D], z[B,D]) {{
{weights}
  over t in T{" reversed" if self.reverse else ""} {{
    state {states}
{lines}
  }}
  z = last[T](h) + mean[T](c)
}}
train {{ loss = mean(h^2) + mean(z * z) + mean(abs(c)) }}
"""

    def weight(self, *shape: int) -> str:
        name = f"W{len(self.weights)}"
        self.weights[name] = shape
        return name

    def constant(self) -> Part:
        return Part("0.3", lambda s: np.full(WIDTH, 0.3))

    def vector(self) -> Part:
        name = self.weight(WIDTH)
        return Part(name, lambda s: s.weights[name])

    def of_the_row(self) -> Part:
        return Part("mean[T](x)", lambda s: s.row.mean(0))

    def local(self, name: str) -> tuple[str, Part]:
        part = self.expression(2)
        self.names.append(name)
        return name, part

    def state(self, name: str) -> tuple[str, Part]:
        part = self.expression(3)
        self.names.append(f"{name}[t]")
        return name, Part(f"tanh({part.text})", lambda s: np.tanh(part.value(s)))

    def expression(self, depth: int) -> Part:
        inner = [self.product, self.mapped, self.faded, self.centred, self.chosen, self.joined, self.joined]
        return self.draw.choice(inner)(depth - 1) if depth else self.draw.choice([self.read, self.read, self.remembered])()

    def read(self) -> Part:
        place, name = self.draw.choice(list(PLACES)), self.weight(WIDTH, WIDTH)

        def value(s: Step) -> Any:
            at = PLACES[place](s.t)
            return s.row[at] @ s.weights[name] if 0 <= at < len(s.row) else np.zeros(WIDTH)

        return Part(f"(x[{place}] @ {name})", value)

    def remembered(self) -> Part:
        before = "t+1" if self.reverse else "t-1"
        if self.names and self.draw.random() < 0.4:
            name = self.draw.choice(self.names)
            return Part(name, lambda s: s.known[name])
        state = self.draw.choice("hc")
        return Part(f"{state}[{before}]", lambda s: s.before[state])

    def product(self, depth: int) -> Part:
        a, name = self.expression(depth), self.weight(WIDTH, WIDTH)
        return Part(f"({a.text} @ {name})", lambda s: a.value(s) @ s.weights[name])

    def mapped(self, depth: int) -> Part:
        a, name = self.expression(depth), self.draw.choice(list(MAPS))
        return Part(f"{name}({a.text})", lambda s: MAPS[name](a.value(s)))

    def faded(self, depth: int) -> Part:
        a = self.expression(depth)
        return Part(f"({a.text} * 0.5^t)", lambda s: a.value(s) * 0.5**s.t)

    def centred(self, depth: int) -> Part:
        a = self.expression(depth)
        return Part(f"({a.text} - mean[D]({a.text}))", lambda s: a.value(s) - a.value(s).mean())

    def chosen(self, depth: int) -> Part:
        a, b, c = self.expression(depth), self.expression(depth), self.draw.randint(0, 2)
        return Part(f"where(t >= {c}, {a.text}, {b.text})", lambda s: (a if s.t >= c else b).value(s))

    def joined(self, depth: int) -> Part:
        a, b, sign = self.expression(depth), self.expression(depth), self.draw.choice(list(JOINS))
        return Part(f"({a.text} {sign} {b.text})", lambda s: JOINS[sign](a.value(s), b.value(s)))

    # --- its meaning -----------------------------------------------------------------------------------------------

    def meaning(self, x: np.ndarray, weights: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The results of each row, up to its end."""
        return [self._row(x[b, :length], weights) for b, length in enumerate(self.lengths)]

    def _row(self, row: np.ndarray, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        before = {name: first.value(Step(0, row, {}, weights)) for name, first in self.first.items()}
        whole = {name: np.empty(row.shape) for name in before}
        for t in reversed(range(len(row))) if self.reverse else range(len(row)):
            step = Step(t, row, before, weights)
            for name, part in self.body:
                step.known[name if name in "ab" else f"{name}[t]"] = part.value(step)
            before = {name: step.known[f"{name}[t]"] for name in before}
            for name, value in before.items():
                whole[name][t] = value
        return {**whole, "z": whole["h"][-1] + whole["c"].mean(0)}
