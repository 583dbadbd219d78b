"""Random index equations, and what they mean point by point in plain loops, which know nothing of graphs."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZES = {"A": 3, "C": 4, "E": 1, "F": 5}
TENSORS = {"P": "AC", "Q": "CF", "R": "ACE", "S": "F", "U": "AA"}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
MAPS = {"tanh": math.tanh, "relu": lambda a: max(a, 0.0), "abs": abs, "sigmoid": lambda a: 1 / (1 + math.exp(-a))}
JOINS: dict[str, Callable[[float, float], float]] = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "mean": lambda values: sum(values) / len(values),
    "max": max,
    "min": min,
    "logsumexp": lambda values: math.log(sum(math.exp(v) for v in values)),
}

Indices = Mapping[str, str]  # the axis that each index runs along
Point = Mapping[str, int]
Value = Callable[[Point, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Part:
    """An expression as it is written, and its value at a point for given tensors. `uses` are the indices in it."""

    text: str
    value: Value
    uses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Equation:
    """A line `name[i in A, …] = …`."""

    line: str
    axes: tuple[str, ...]
    part: Part

    def meaning(self, tensors: Mapping[str, Any]) -> np.ndarray:
        shape = [SIZES[axis] for axis in self.axes]
        whole = np.empty(shape)
        for point in np.ndindex(*shape):
            whole[point] = self.part.value(dict(zip("ijk", point, strict=False)), tensors)
        return whole


def equation(seed: int, name: str) -> Equation:
    draw = random.Random(seed)
    axes = tuple(draw.sample(list(SIZES), draw.randint(1, 3)))
    left = dict(zip("ijk", axes, strict=False))
    part = _Writer(draw).expression(left, depth=3)
    indices = ", ".join(f"{index} in {axis}" for index, axis in left.items())
    return Equation(f"{name}[{indices}] = {part.text}", axes, part)


class _Writer:
    def __init__(self, draw: random.Random) -> None:
        self.draw = draw

    def expression(self, indices: Indices, depth: int) -> Part:
        kinds = [self.read] if depth == 0 else [self.read, self.joined, self.joined, self.mapped, self.chosen, self.reduced]
        return self.draw.choice(kinds)(indices, depth - 1)

    def read(self, indices: Indices, _: int) -> Part:
        """An element of a tensor; 0 where a subscript is not whole or lies outside."""
        name = self.draw.choice(list(TENSORS))
        subscripts = [self.subscript(axis, indices) for axis in TENSORS[name]]

        def value(at: Point, tensors: Mapping[str, Any]) -> float:
            places = [s.value(at, tensors) for s in subscripts]
            inside = all(p == int(p) and 0 <= p < n for p, n in zip(places, tensors[name].shape, strict=True))
            return float(tensors[name][tuple(map(int, places))]) if inside else 0.0

        return _part(f"{name}[{','.join(s.text for s in subscripts)}]", value, *subscripts)

    def subscript(self, axis: str, indices: Indices) -> Part:
        i, j = self.draw.choice(list(indices)), self.draw.choice(list(indices))
        c, last = self.draw.randint(0, 2), SIZES[axis] - 1
        alone = [Part(k, lambda at, _, k=k: at[k], frozenset(k)) for k, along in indices.items() if along == axis]
        others = [
            Part(str(min(c, last)), lambda at, _: min(c, last)),
            Part(f"{i}-{c}", lambda at, _: at[i] - c, frozenset(i)),
            Part(f"2*{i}+{c}", lambda at, _: 2 * at[i] + c, frozenset(i)),
            Part(f"{last}-{i}", lambda at, _: last - at[i], frozenset(i)),
            Part(f"({i}+{c})/2", lambda at, _: (at[i] + c) / 2, frozenset(i)),
            Part(f"{i}+{j}-{c}", lambda at, _: at[i] + at[j] - c, frozenset(i + j)),
        ]
        return self.draw.choice(alone * 6 + others)

    def joined(self, indices: Indices, depth: int) -> Part:
        a, b = self.expression(indices, depth), self.number(indices)
        if self.draw.random() < 0.7:
            b = self.expression(indices, depth)
        sign = self.draw.choice(list(JOINS))
        return _part(f"({a.text} {sign} {b.text})", lambda at, t: JOINS[sign](a.value(at, t), b.value(at, t)), a, b)

    def number(self, indices: Indices) -> Part:
        i = self.draw.choice(list(indices))
        return self.draw.choice(
            [
                Part(f"({i}+1)/3", lambda at, _: (at[i] + 1) / 3, frozenset(i)),
                Part(f"0.5^{i}", lambda at, _: 0.5 ** at[i], frozenset(i)),
                Part("1.5", lambda at, _: 1.5),
            ]
        )

    def mapped(self, indices: Indices, depth: int) -> Part:
        name, a = self.draw.choice(list(MAPS)), self.expression(indices, depth)
        return _part(f"{name}({a.text})", lambda at, t: MAPS[name](a.value(at, t)), a)

    def condition(self, indices: Indices) -> Part:
        i, j = self.draw.choice(list(indices)), self.draw.choice(list(indices))
        sign, c, x = self.draw.choice(list(COMPARE)), self.draw.randint(0, 2), self.read(indices, 0)
        return self.draw.choice(
            [
                Part(f"{i} {sign} {c}", lambda at, _: COMPARE[sign](at[i], c), frozenset(i)),
                Part(f"{i} {sign} {j} + {c}", lambda at, _: COMPARE[sign](at[i], at[j] + c), frozenset(i + j)),
                Part(f"({i}+{c}) % 2 == 0", lambda at, _: (at[i] + c) % 2 == 0, frozenset(i)),
                _part(f"{x.text} > 0.1", lambda at, t: x.value(at, t) > 0.1, x),
            ]
        )

    def chosen(self, indices: Indices, depth: int) -> Part:
        a, b, c = self.expression(indices, depth), self.expression(indices, depth), self.condition(indices)

        def value(at: Point, t: Mapping[str, Any]) -> float:
            return float(a.value(at, t) if c.value(at, t) else b.value(at, t))

        return _part(f"where({c.text}, {a.text}, {b.text})", value, a, b, c)

    def reduced(self, indices: Indices, depth: int) -> Part:
        """A reduction over an index or two; 0 where a condition leaves nothing."""
        free = [name for name in "uvw" if name not in indices]
        names = free[: self.draw.randint(1, 2)]
        fresh = {name: self.draw.choice(list(SIZES)) for name in names}
        inner = {**indices, **fresh}
        over, a = self.draw.choice(list(REDUCTIONS)), self.expression(inner, depth)
        if not names or not a.uses.issuperset(names) or (over == "logsumexp" and len(names) > 1):
            return self.read(indices, 0)
        left_in = self.condition(inner) if self.draw.random() < 0.4 else None

        def value(at: Point, t: Mapping[str, Any]) -> float:
            values = [a.value(p, t) for p in _points(at, fresh) if left_in is None or left_in.value(p, t)]
            return float(REDUCTIONS[over](values)) if values else 0.0

        bracket = ", ".join(f"{name} in {axis}" for name, axis in fresh.items())
        where = f" where {left_in.text}" if left_in is not None else ""
        found = _part(f"{over}[{bracket}{where}]({a.text})", value, a, *[left_in] * (left_in is not None))
        return Part(found.text, found.value, found.uses - fresh.keys())


def _part(text: str, value: Value, *parts: Part) -> Part:
    return Part(text, value, frozenset().union(*(p.uses for p in parts)))


def _points(at: Point, fresh: Indices) -> Iterator[Point]:
    for values in itertools.product(*(range(SIZES[axis]) for axis in fresh.values())):
        yield {**at, **dict(zip(fresh, values, strict=True))}
