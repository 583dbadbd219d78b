"""Weights, gradients and optimiser states: one flat buffer each, with one layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.ir.graph import Graph
from archspec.learning.treatment import Treatment
from archspec.records import record
from archspec.runtime.stage import aligned

Array = NDArray[Any]
PAD = 16
CHUNK = 4096


@record
class Segment:
    """A run of neighbouring weights under one rule: elements [start, stop), learning rate and decay."""

    start: int
    stop: int
    lr: float
    decay: float


@record
class Layout:
    """Where each weight lies in the flat buffers: its first element and its shape. Trained ones come first.

    `trained` is the number of elements that are trained, padding included; `total` counts the frozen ones too.
    """

    places: Mapping[str, tuple[int, tuple[int, ...]]]
    segments: tuple[Segment, ...]
    trained: int
    total: int

    def view(self, flat: Array, path: str) -> Array:
        start, shape = self.places[path]
        return flat[start : start + int(np.prod(shape, dtype=np.int64))].reshape(shape)


def make_layout(graph: Graph, treatment: Mapping[str, Treatment]) -> Layout:
    """The layout: weights of one rule side by side, in the order of the spec, each at a cache line."""
    order: dict[tuple[bool, float, float], list[str]] = {}
    for path in graph.specs:
        t = treatment[path]
        order.setdefault((t.frozen, *((0.0, 0.0) if t.frozen else (t.lr, t.decay))), []).append(path)
    places: dict[str, tuple[int, tuple[int, ...]]] = {}
    segments: list[Segment] = []
    at = trained = 0
    for (frozen, lr, decay), paths in sorted(order.items(), key=lambda item: item[0][0]):
        start = at
        for path in paths:
            shape = weight_shape(graph, path)
            places[path] = (at, shape)
            at += -(-int(np.prod(shape, dtype=np.int64)) // PAD) * PAD
        if not frozen:
            segments.append(Segment(start, at, lr, decay))
            trained = at
    return Layout(places, tuple(segments), trained, at)


def weight_shape(graph: Graph, path: str) -> tuple[int, ...]:
    """The sizes of a weight. Raises ArchError where one is open."""
    shape = []
    for axis in graph.specs[path].axes:
        size = graph.size(axis)
        if size is None:
            hint = "the data binds it, or `dim` fixes it, or compile(dims={…})"
            message = f"the axis `{axis}` of the weight `{path}` has no size"
            raise ArchError(Diagnostic("S15", message, graph.specs[path].span, hints=(hint,)))
        shape.append(size)
    return tuple(shape)


def flat_buffer(count: int, dtype: np.dtype[Any]) -> Array:
    """Zeros, whole chunks of them, at a cache line."""
    elements = max(1, -(-count // CHUNK)) * CHUNK
    return aligned(elements * dtype.itemsize).view(dtype)


class UnknownWeight(ArchError, KeyError):
    """A path that no weight has; a KeyError too, by which mappings answer `in` and `get`."""

    __str__ = ArchError.__str__


class Weights(MutableMapping[str, Array]):
    """Weights by path. Reading gives a copy; setting checks the shape and that all values are finite."""

    def __init__(self, layout: Layout, flat: Array) -> None:
        self._layout, self._flat = layout, flat

    def __getitem__(self, path: str) -> Array:
        self._known(path)
        return self._layout.view(self._flat, path).copy()

    def __setitem__(self, path: str, value: ArrayLike) -> None:
        self._known(path)
        target = self._layout.view(self._flat, path)
        array = np.asarray(value)
        if array.shape != target.shape:
            message = f"the weight `{path}` has the shape {list(target.shape)}, not {list(array.shape)}"
            raise ArchError(Diagnostic("R02", message))
        if array.dtype.kind not in "fiub":
            raise ArchError(Diagnostic("R02", f"the weight `{path}` holds numbers, not {array.dtype}"))
        with np.errstate(over="ignore"):
            values = array.astype(target.dtype)
        if not np.isfinite(values).all():
            raise ArchError(Diagnostic("R02", f"the weight `{path}` holds finite numbers of {target.dtype}"))
        target[...] = values

    def __delitem__(self, path: str) -> None:
        raise TypeError("weights cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.places)

    def __len__(self) -> int:
        return len(self._layout.places)

    def _known(self, path: str) -> None:
        if path not in self._layout.places:
            hints = did_you_mean(str(path), self._layout.places)
            raise UnknownWeight(Diagnostic("R02", f"there is no weight `{path}`", hints=hints))
