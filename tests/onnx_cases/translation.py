"""One node of an ONNX graph as the text of a model: what all operators share.

    Add(x [3,4,5], y [5])  ->  z[i0 in a0, i1 in a1, i2 in a2] = x[i0, i1, i2] + y[i2 + 0]

Tensors of ONNX have numbered axes; here every axis gets a name of its own, and index equations say which one is meant.
Tensors come in as weights, so that none of their axes has to be the batch; indices come in as inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Untranslatable(Exception):
    """Why a case has no text."""


@dataclass(frozen=True)
class Tensor:
    """A name of the model and the names of its axes; `kind` is number, truth or index."""

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str = "number"

    @property
    def rank(self) -> int:
        return len(self.axes)


@dataclass
class Text:
    """A model as it grows. Names begin with `prefix`, so that several may share one file."""

    prefix: str = ""
    dims: dict[str, int] = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    count: int = 0

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{self.prefix}{letter}{self.count}"

    def dim(self, size: int) -> str:
        if size < 1:
            raise Untranslatable("an axis has at least one point")
        name = self.fresh("a")
        self.dims[name] = int(size)
        return name

    def tensor(self, array: np.ndarray) -> Tensor:
        """An array as a weight."""
        name = self.fresh("w")
        axes = tuple(self.dim(n) for n in array.shape)
        self.weights[name] = array.astype(float)
        self.lines.append(f"weight {name}[{', '.join(axes)}]")
        if array.dtype != bool:
            return Tensor(name, axes, array.shape)
        return Tensor(self.let(f"{name} > 0.5", "t"), axes, array.shape, "truth")

    def indices(self, array: np.ndarray, of: str, size: int) -> Tensor:
        """Integers that pick from the axis `of`, as an input."""
        if array.ndim == 0 or (array < -size).any() or (array >= size).any():
            raise Untranslatable("an index without axes, or outside of its axis")
        name = self.fresh("k")
        axes = ("B", *(self.dim(n) for n in array.shape[1:]))
        self.inputs[name] = np.where(array < 0, array + size, array).astype(np.int64)
        self.heads.append(f"{name}[{', '.join(axes)}]: {of}")
        return Tensor(name, axes, array.shape, "index")

    def batch(self, array: np.ndarray) -> Tensor:
        """Numbers as an input, their first axis the batch."""
        name = self.fresh("x")
        axes = ("B", *(self.dim(n) for n in array.shape[1:]))
        self.inputs[name] = array.astype(float)
        self.heads.append(f"{name}[{', '.join(axes)}]")
        return Tensor(name, axes, array.shape)

    def let(self, expression: str, letter: str = "y") -> str:
        name = self.fresh(letter)
        self.lines.append(f"{name} = {expression}")
        return name

    def map(self, expression: str, like: Tensor, kind: str = "number") -> Tensor:
        """An equation of whole tensors, with the axes of `like`."""
        return Tensor(self.let(expression), like.axes, like.shape, kind)

    def equation(self, axes: Sequence[str], expression: str, kind: str = "number") -> Tensor:
        """`y[i0 in …, i1 in …] = expression`."""
        name = self.fresh("y")
        left = ", ".join(f"i{k} in {axis}" for k, axis in enumerate(axes))
        self.lines.append(f"{name}[{left}] = {expression}" if axes else f"{name} = {expression}")
        return Tensor(name, tuple(axes), tuple(self.dims.get(a, 0) for a in axes), kind)

    def read(self, x: Tensor, places: Sequence[str]) -> str:
        return f"{x.name}[{', '.join(places)}]" if x.axes else x.name

    def at(self, x: Tensor, axis: int, loop: int, axes: Sequence[str]) -> str:
        """The subscript of an axis of `x` that goes along with loop `loop` of an equation over `axes`."""
        if x.axes[axis] == axes[loop]:
            return f"i{loop}"
        return "0" if x.shape[axis] == 1 else f"i{loop} + 0"

    def spread(self, x: Tensor, axes: Sequence[str]) -> str:
        """`x` read in an equation over `axes`, broadcast from the right as NumPy does."""
        first = len(axes) - x.rank
        return self.read(x, [self.at(x, k, first + k, axes) for k in range(x.rank)])

    def common(self, *tensors: Tensor) -> tuple[str, ...]:
        """Axes for the result of broadcasting, those of the tensors where they have them."""
        shape = np.broadcast_shapes(*(x.shape for x in tensors))
        found = []
        for k, size in enumerate(shape):
            own = (x.axes[k - len(shape) + x.rank] for x in tensors if k >= len(shape) - x.rank)
            found.append(next((a for a in own if self.dims[a] == size and a not in found), None) or self.dim(size))
        return tuple(found)


@dataclass(frozen=True)
class Node:
    """An operator with what it is given. Arrays are those of the case; tensors are made of them when asked for."""

    text: Text
    op: str
    arrays: tuple[np.ndarray | None, ...]
    attributes: dict[str, Any]
    outputs: tuple[np.ndarray, ...]
    version: int
    made: dict[int, Tensor] = field(default_factory=dict)

    def has(self, k: int) -> bool:
        return k < len(self.arrays) and self.arrays[k] is not None

    def x(self, k: int = 0) -> Tensor:
        if k not in self.made:
            array = self.array(k)
            if array.dtype.kind not in "fbiu" or (array.dtype.itemsize < 4 and array.dtype.kind in "iu"):
                raise Untranslatable("tensors of strings, of 8 and 16 bits, of complex numbers")
            self.made[k] = self.text.tensor(array)
        return self.made[k]

    def array(self, k: int) -> np.ndarray:
        """An input that is known when the spec is read: axes, shapes, places."""
        array = self.arrays[k] if k < len(self.arrays) else None
        if not isinstance(array, np.ndarray):
            raise Untranslatable("an input that is no tensor")
        return array

    def attribute(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def numbers(self, name: str, k: int) -> list[int] | None:
        """A list of whole numbers that is an attribute in old versions and an input in new ones."""
        if self.has(k):
            return [int(v) for v in self.array(k).ravel()]
        value = self.attribute(name)
        return None if value is None else [int(v) for v in np.ravel(value)]


Result = Tensor | list[Tensor | None]
OPERATORS: dict[str, Callable[[Node], Result]] = {}


def operator(*names: str) -> Callable[[Callable[[Node], Result]], Callable[[Node], Result]]:
    def register(function: Callable[[Node], Result]) -> Callable[[Node], Result]:
        for name in names:
            OPERATORS[name] = function
        return function

    return register
