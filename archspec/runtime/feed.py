"""What a program is fed: inputs as arrays, the lengths of ragged axes, states that are carried from batch to batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.data.ragged import Ragged
from archspec.diagnostics import ArchError, Diagnostic
from archspec.ir.graph import INT, Graph, Node
from archspec.ir.sizes import Axis, Size
from archspec.records import record

Array = NDArray[Any]
Indices = NDArray[np.int64]


def bad_input(name: str, message: str) -> ArchError:
    return ArchError(Diagnostic("R02", f"the input `{name}` {message}"))


def as_array(name: str, value: Any) -> Array:
    """What a caller gives as an array. Raises ArchError where it is none, such as a list of rows of different lengths."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise bad_input(name, f"cannot be read as an array: {str(error).rstrip('.')}") from None


def copied(name: str, array: Array, place: Array) -> None:
    """Copies into a program's memory. Raises ArchError where a number is too large for single precision."""
    if array.dtype == place.dtype:
        place[...] = array
        return
    try:
        with np.errstate(over="raise"):
            place[...] = array
    except FloatingPointError:
        message = f"the input `{name}` holds numbers that are too large for {place.dtype}"
        hints = ("scale them, as `standardize` does, or compute in double precision: f64",)
        raise ArchError(Diagnostic("R02", message, hints=hints)) from None


def converted(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """`array` itself where it has this dtype, or else a copy that has."""
    if array.dtype == dtype:
        return array
    made = np.empty(array.shape, dtype)
    copied(name, array, made)
    return made


# --- which inputs are given by whom ----------------------------------------------------------------------------------


def is_carried(name: str) -> bool:
    """Whether an input is the state that the batch before has left."""
    return name.startswith("carry:")


def is_lengths(node: Node) -> bool:
    """Whether an input holds the lengths of a ragged axis."""
    return any(key == "lengths" for key, _ in node.attributes)


def is_implied(graph: Graph, name: str) -> bool:
    """Whether an input may be left out."""
    return is_carried(name) or is_lengths(graph.nodes[graph.inputs[name]])


def is_plain(graph: Graph) -> bool:
    return not any(is_implied(graph, name) for name in graph.inputs)


def ragged_axis(node: Node) -> int | None:
    """Which axis of an input is ragged."""
    return next((k for k, axis in enumerate(node.axes) if axis.ragged), None)


MOST_ROOM = 10_000


def least_room(graph: Graph) -> dict[str, int]:
    """How long the longest row must at least be, by ragged axis, for every axis made of it to have a point: a window of 3
    has none in rows of 2. What is added lies past the ends of all rows."""
    names = [name for name in graph.inputs if is_lengths(graph.nodes[graph.inputs[name]])]
    sizes = {axis.size for node in graph.nodes for axis in node.loops} if names else set()
    return {name: _room(name, [s for s in sizes if name in s.roots], graph) for name in names}


def _room(name: str, sizes: Sequence[Size], graph: Graph) -> int:
    def fits(count: int) -> bool:
        return all((size.evaluate({**graph.sizes, name: count}) or 0) > 0 for size in sizes)

    return next((count for count in range(1, MOST_ROOM) if fits(count)), 1)


def widened(graph: Graph, arrays: dict[str, Array], room: Mapping[str, int]) -> dict[str, Array]:
    """`arrays` with zeros past the ends of rows where there is less than the least room."""
    wider = {}
    for name, value in graph.inputs.items():
        axis = ragged_axis(graph.nodes[value])
        least = room.get(str(graph.nodes[value].axes[axis]), 1) if axis is not None else 1
        if axis is not None and arrays[name].ndim > axis and arrays[name].shape[axis] < least:
            missing = [(0, least - n if k == axis else 0) for k, n in enumerate(arrays[name].shape)]
            wider[name] = np.pad(arrays[name], missing)
    return {**arrays, **wider} if wider else arrays


# --- one batch from a caller -------------------------------------------------------------------------------------------


def complete(graph: Graph, given: Mapping[str, Any], carried: Mapping[str, Array]) -> dict[str, Array]:
    """All inputs of a graph as arrays: rows padded to the longest, lengths, carried states."""
    found: dict[str, Array] = {}
    lengths: dict[str, Indices] = {}
    for name, value in given.items():
        if name not in graph.inputs:
            continue
        node = graph.nodes[graph.inputs[name]]
        axis = ragged_axis(node)
        if axis is not None and _is_rows(value):
            found[name], own = padded(name, value, node)
            _agree(str(node.axes[axis]), own, lengths)
        elif not is_lengths(node):
            found[name] = as_array(name, value)
    for name, value in given.items():
        if name in graph.inputs and is_lengths(graph.nodes[graph.inputs[name]]):
            _agree(name, _whole_numbers(name, value), lengths)
    _add_lengths(graph, found, lengths)
    _add_carried(graph, found, carried)
    return found


def _is_rows(value: Any) -> bool:
    """Whether an input is given row by row: a list of rows, or an array of them, not one array of numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype == object and value.ndim == 1 and len(value) > 0 and np.ndim(value[0]) > 0
    return isinstance(value, Ragged | list | tuple) and len(value) > 0 and (isinstance(value, Ragged) or np.ndim(value[0]) > 0)


def padded(name: str, rows: Any, node: Node) -> tuple[Array, Indices]:
    """Rows of different lengths as one array with zeros past their ends, and their lengths."""
    if isinstance(rows, Ragged):
        return rows.padded(np.arange(len(rows))), rows.lengths
    arrays = [as_array(name, row) for row in rows]
    lengths = np.array([len(a) for a in arrays], np.int64)
    inner = {a.shape[1:] for a in arrays}
    if len(inner) != 1 or any(a.ndim != len(node.axes) - 1 for a in arrays):
        raise bad_input(name, f"has the axes {node.shape}, so each of its rows has {len(node.axes) - 1}")
    whole = np.zeros((len(arrays), int(lengths.max()), *inner.pop()), np.result_type(*arrays))
    for i, row in enumerate(arrays):
        whole[i, : len(row)] = row
    return whole, lengths


def _agree(axis: str, own: Indices, lengths: dict[str, Indices]) -> None:
    if axis in lengths and not np.array_equal(lengths[axis], own):
        raise bad_input(axis, f"has rows of other lengths than another input over {axis}")
    lengths[axis] = own


def _whole_numbers(name: str, value: Any) -> Indices:
    array = as_array(name, value)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise bad_input(name, "holds the lengths of rows, a whole number for each")
    return array.astype(np.int64)


def _add_lengths(graph: Graph, found: dict[str, Array], lengths: Mapping[str, Indices]) -> None:
    """The lengths of every ragged axis, full where nobody says otherwise."""
    for name, value in graph.inputs.items():
        if not is_lengths(graph.nodes[value]):
            continue
        rows, longest = _extent(graph, found, name)
        own = lengths.get(name, np.full(rows, longest, np.int64))
        if len(own) != rows:
            raise bad_input(name, f"has {len(own)} lengths for {rows} rows")
        if len(own) and not (own.min() >= 1 and own.max() <= longest):
            raise bad_input(name, f"holds lengths from {own.min()} to {own.max()}, and rows have room for 1 to {longest}")
        found[name] = own


def _extent(graph: Graph, found: Mapping[str, Array], name: str) -> tuple[int, int]:
    """How many rows the inputs over a ragged axis have and how long they are."""
    for other, value in graph.inputs.items():
        node = graph.nodes[value]
        axis = ragged_axis(node)
        if axis is not None and str(node.axes[axis]) == name and other in found and found[other].ndim > axis:
            return found[other].shape[0], found[other].shape[axis]
    return 0, 0


def _add_carried(graph: Graph, found: dict[str, Array], carried: Mapping[str, Array]) -> None:
    """States of the batch before; zeros where there is none or where it had other rows."""
    rows = {str(axis.size): n for name, a in found.items() for axis, n in zip(_axes(graph, name), a.shape, strict=False)}
    for name, value in graph.inputs.items():
        if is_carried(name):
            known = {**graph.sizes, **rows}
            shape = tuple(axis.size.evaluate(known) or 1 for axis in graph.nodes[value].axes)
            before = carried.get(name)
            found[name] = before if before is not None and before.shape == shape else np.zeros(shape)


def _axes(graph: Graph, name: str) -> Sequence[Any]:
    return graph.nodes[graph.inputs[name]].axes


@record
class Slot:
    """What is known of an input before any batch: the kinds of arrays that it takes; its ragged axis and the input that has the
    lengths of its rows; for indices the end of their axis, `open_end` where a batch tells it."""

    name: str
    node: Node
    kinds: str
    axis: int | None
    lengths: str
    end: int | None
    open_end: bool


def slots(graph: Graph) -> tuple[Slot, ...]:
    """The inputs of a graph, in order."""
    return tuple(_slot(graph, name, graph.nodes[value]) for name, value in graph.inputs.items())


def _slot(graph: Graph, name: str, node: Node) -> Slot:
    axis = ragged_axis(node)
    lengths = str(node.axes[axis]) if axis is not None else ""
    of = node.of if node.dtype == INT and not is_lengths(node) else None
    end = graph.size(of) if of is not None else None
    return Slot(name, node, "iu" if node.dtype == INT else "fiub", axis, lengths, end, of is not None and end is None)


def put(graph: Graph, into: Sequence[Slot], arrays: Mapping[str, Array], places: Mapping[str, Array]) -> None:
    """Copies inputs into a program's memory. What lies past the end of a row becomes zero; indices are checked."""
    for slot in into:
        name, array, place = slot.name, arrays[slot.name], places[slot.name]
        if array.dtype.kind not in slot.kinds:
            _check_kind(name, slot.node, array)
        copied(name, array, place)
        if slot.axis is not None and slot.lengths in arrays:
            place[past_the_end(arrays[slot.lengths], place.shape[slot.axis])] = 0
        if slot.end is not None:
            check_indices(name, place, slot.end)
        elif slot.open_end:
            _check_inside(name, graph, place, arrays)


def _check_inside(name: str, graph: Graph, array: Array, arrays: Mapping[str, Array]) -> None:
    """Indices along an open axis must lie inside of it, or inside of their own row where that differs in length."""
    of = graph.nodes[graph.inputs[name]].of
    assert of is not None
    lengths = arrays.get(str(of))
    if lengths is None or str(of) not in graph.inputs:
        return check_indices(name, array, _open_size(graph, of, arrays))
    limits = lengths.reshape(-1, *[1] * (array.ndim - 1))
    if len(lengths) != len(array) or not (array >= 0).all() or not (array < limits).all():
        raise bad_input(name, f"holds places in rows along {of}, and some lie past the end of their row")
    return None


def _open_size(graph: Graph, axis: Axis, arrays: Mapping[str, Array]) -> int:
    """The size of an axis that the batch tells, such as that of its rows."""
    sizes = dict(graph.sizes)
    for name, array in arrays.items():
        sizes |= {str(a.size): n for a, n in zip(_axes(graph, name), array.shape, strict=False)}
    return axis.size.evaluate(sizes) or 0


def past_the_end(lengths: Indices, longest: int) -> NDArray[np.bool_]:
    """(rows, longest): where a row has ended already."""
    mask: NDArray[np.bool_] = np.arange(longest) >= lengths[:, None]
    return mask


def _check_kind(name: str, node: Node, array: Array) -> None:
    if node.dtype == INT and array.dtype.kind not in "iu":
        raise bad_input(name, f"holds whole numbers and is given {array.dtype}")
    if array.dtype.kind not in "fiub":
        raise bad_input(name, f"holds numbers and is given {array.dtype}")


def check_indices(name: str, array: Array, size: int | None) -> None:
    """Indices must be whole numbers inside their axis: a wrong one would read or write outside of a tensor."""
    if size is None or not array.size:
        return
    if array.dtype == np.int64 and array.flags.c_contiguous:
        unsigned = array.reshape(-1).view(np.uint64)  # a negative number is a huge one without its sign
        inside = bool(unsigned[unsigned.argmax()] < size)  # `argmax` takes a sixth of the time of `max` where there are few
    else:
        inside = int(array.min()) >= 0 and int(array.max()) < size
    if not inside:
        raise bad_input(name, f"holds numbers from 0 to {size - 1} and is given {array.min()} to {array.max()}")


# --- rows of a dataset -------------------------------------------------------------------------------------------------


def checked(graph: Graph, arrays: Mapping[str, Any], dtypes: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Arrays of a dataset in the program's own dtypes, their indices checked once. Windows over a text stay views."""
    found: dict[str, Any] = {}
    for name, value in graph.inputs.items():
        if name not in arrays:
            continue
        node, array = graph.nodes[value], arrays[name]
        flat = array.values if isinstance(array, Ragged) else np.asarray(array)
        _check_kind(name, node, flat)
        if node.dtype == INT:
            check_indices(name, flat, node.of.size.evaluate(sizes) if node.of is not None else None)
        dtype = dtypes[node.dtype]
        if isinstance(array, Ragged):
            found[name] = Ragged(np.ascontiguousarray(converted(name, flat, dtype)), array.offsets)
        else:
            found[name] = converted(name, flat, dtype)
    return found


def taken(graph: Graph, arrays: Mapping[str, Any], rows: Indices, carried: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs of a graph for some rows of a dataset."""
    found: dict[str, Array] = {}
    lengths: dict[str, Indices] = {}
    for name, value in graph.inputs.items():
        if name not in arrays:
            continue
        array, node = arrays[name], graph.nodes[value]
        if isinstance(array, Ragged):
            axis = ragged_axis(node)
            found[name] = array.padded(rows)
            lengths[str(node.axes[axis]) if axis is not None else ""] = array.lengths[rows]
        else:
            found[name] = np.take(array, rows, axis=0, mode="clip") if array.flags.c_contiguous else array[rows]
    _add_lengths(graph, found, lengths)
    _add_carried(graph, found, carried)
    return found


def counts(arrays: Mapping[str, Any], names: Sequence[str], rows: Indices) -> float:
    """What a batch weighs in a mean over a part: its steps where one of `names` is ragged, else its rows."""
    ragged = [arrays[name] for name in names if isinstance(arrays.get(name), Ragged)]
    return float(ragged[0].lengths[rows].sum()) if ragged else float(len(rows))
