"""The short way of a batch into a program's memory: inputs that are as those of the batch before were are only copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from archspec.ir.graph import Graph
from archspec.runtime.feed import Array, Indices, Slot, is_plain


class Port(NamedTuple):
    """The memory of an input, and what an array must be for its copy there to need no second look. `unsigned` are its indices
    read without a sign, which must lie below `end`: a negative one is a huge one then."""

    name: str
    place: Array
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    unsigned: Array | None
    end: int


def ports(graph: Graph, into: Sequence[Slot], places: Mapping[str, Array]) -> tuple[Port, ...] | None:
    """The inputs of a stage for given sizes; None where more is to be done than to copy what a caller gives."""
    if not is_plain(graph) or any(slot.open_end or slot.axis is not None for slot in into):
        return None
    return tuple(_port(slot, places[slot.name]) for slot in into)


def _port(slot: Slot, place: Array) -> Port:
    unsigned = place.reshape(-1).view(np.uint64) if slot.end is not None else None
    return Port(slot.name, place, place.shape, place.dtype, unsigned, slot.end or 0)


# The bodies of these loops are what a training step spends in Python: no call that they can do without.


def put_alike(into: Sequence[Port], arrays: Mapping[str, Any]) -> bool:
    """Copies inputs into a program's memory, if they are as those of the batch before were and all is well with them."""
    if len(arrays) != len(into):
        return False
    for name, place, shape, dtype, unsigned, end in into:
        array = arrays.get(name)
        if type(array) is not ndarray or array.dtype is not dtype or array.shape != shape:
            return False
        place[...] = array
        if unsigned is not None and unsigned.item(unsigned.argmax()) >= end:
            return False
    return True


def take_alike(into: Sequence[Port], arrays: Mapping[str, Any], rows: Indices) -> bool:
    """The same for rows of a dataset, whose indices have been checked."""
    for name, place, shape, dtype, _, _ in into:
        array = arrays.get(name)
        if type(array) is not ndarray or array.dtype is not dtype or array.shape[1:] != shape[1:]:
            return False
        if len(rows) != shape[0] or not array.flags.c_contiguous:
            return False
        array.take(rows, 0, place, "clip")
    return True
