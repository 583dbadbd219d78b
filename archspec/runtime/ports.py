"""The short ways of a batch into a program's memory, for inputs that are as those of the batch before were.

What a caller gives is looked at and copied by the first rows of the table itself, every thread its share; rows of a dataset
are taken right to where they belong. Whatever is not as expected is left to `feed`, which makes it fit or says what is wrong.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray
from numpy.typing import NDArray

from archspec.ir.graph import Graph
from archspec.runtime.feed import Array, Indices, Slot, is_plain

Words = NDArray[np.int64]


class Port(NamedTuple):
    """The memory of an input, and what an array must be for its copy there to need no second look. Indices must lie below
    `end`, which is 0 of other inputs."""

    name: str
    place: Array
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    end: int


def ports(graph: Graph, into: Sequence[Slot], places: Mapping[str, Array]) -> tuple[Port, ...] | None:
    """The inputs of a stage for given sizes; None where more is to be done than to copy what a caller gives."""
    if not is_plain(graph) or any(slot.open_end or slot.axis is not None for slot in into):
        return None
    places = {slot.name: places[slot.name] for slot in into}
    return tuple(Port(s.name, places[s.name], places[s.name].shape, places[s.name].dtype, s.end or 0) for s in into)


def take_alike(into: Sequence[Port], arrays: Mapping[str, Any], rows: Indices) -> bool:
    """Copies rows of a dataset, whose indices have been checked, if they are as those of the batch before were."""
    for name, place, shape, dtype, _ in into:
        array = arrays.get(name)
        if type(array) is not ndarray or array.dtype is not dtype or array.shape[1:] != shape[1:]:
            return False
        if len(rows) != shape[0] or not array.flags.c_contiguous:
            return False
        array.take(rows, 0, place, "clip")
    return True


# --- rows of a table that let a batch in -------------------------------------------------------------------------------


class Inlet:
    """The rows of a table that copy what a caller gives. `let_in` is the address of the function of the driver that does, and
    `counters` that of the word where threads meet."""

    def __init__(self, into: Sequence[Port], let_in: int, counters: int) -> None:
        self._names = tuple(enumerate(port.name for port in into))
        self._addresses = np.zeros(max(1, len(into)), np.int64)
        self._given: memoryview[Any] = self._addresses.data
        self._shapes = [np.array(port.shape, np.int64) for port in into]
        self.rows = np.array([self._row(i, port, let_in, counters) for i, port in enumerate(into)], np.int64)

    def _row(self, i: int, port: Port, let_in: int, counters: int) -> list[int]:
        shape = self._shapes[i]
        kind = [id(ndarray), id(port.dtype), len(shape), shape.ctypes.data]
        place = [port.place.ctypes.data, port.place.nbytes, port.end, counters]
        return [let_in, 0, self._addresses.ctypes.data, i, *kind, *place]

    def give(self, arrays: Mapping[str, Any]) -> bool:
        """Says where the arrays are that the next run is to take; whether they have the right names."""
        if len(arrays) != len(self._names):
            return False
        given = self._given
        for i, name in self._names:
            given[i] = id(arrays.get(name))
        return True


@cache
def arrays_are_known() -> bool:
    """Whether arrays lie in memory as `let_in` reads them: type, bytes, rank, shape, dtype, flags."""
    array = np.zeros((2, 3), np.float32)
    words = (ctypes.c_int64 * 9).from_address(id(array))
    found = [words[1], words[2], words[3] & 0xFFFFFFFF, words[7], words[8] & 0x101]
    if found != [id(ndarray), array.ctypes.data, 2, id(array.dtype), 0x101]:
        return False
    return (ctypes.c_int64 * 2).from_address(words[4])[:] == [2, 3]
