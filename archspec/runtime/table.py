"""The rows of a stage: one for each kernel call, those of a recurrence written out for every step.

A row is (address of the kernel, barrier before it, arguments …). In a loop over time the kernels stay the same and their
addresses move on, so a step costs a row, and no kernel knows of time. In a loop over slabs of rows the sizes of a slab move on
too, so each slab has words of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archspec.plan.kernel import Buffer, Call, Item, Loop, Offsets, Parameter, Slab
from archspec.records import record

if TYPE_CHECKING:
    from archspec.runtime.stage import Stage

Array = NDArray[Any]
Words = NDArray[np.int64]
STEADY = 3  # after so many turns of a loop the barriers repeat


def stream_key(seed: int, stream: str) -> int:
    """The 32-bit key of a random stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{stream}".encode()).digest()[:4], "little")


@record(frozen=False)
class Rows:
    """Rows, the call that each is of, and how far each word moves with a turn of the loops around, from the outermost in;
    and for each row the sizes that hold for it alone."""

    words: Words
    calls: list[Call]
    steps: list[Words]
    sizes: list[Mapping[str, int]]


class Unrolled:
    """The rows of a stage for given sizes, with barriers where threads must meet."""

    def __init__(self, stage: Stage, sizes: Mapping[str, int], values: Mapping[int, Array], scratch: Array, room: int) -> None:
        self.stage, self.sizes, self.values, self.scratch, self.room = stage, sizes, values, scratch, room
        self.own: Mapping[str, int] = {}  # the sizes of a slab
        self.lines: dict[int, tuple[list[int], list[list[int]]]] = {}
        self.tables: dict[tuple[tuple[int, ...], tuple[int, ...]], Words] = {}
        self.spans: dict[int, list[tuple[int, int, int, bool]]] = {}
        calls = stage.plan.calls
        self.depth = max((len(a.steps) for c in calls for a in c.arguments if isinstance(a, Buffer)), default=0)
        self.width = max((len(self._line(call)[0]) for call in calls), default=2)
        made = self._items(stage.plan.items, 0)
        self.rows, self.calls, self.row_sizes = made.words, made.calls, made.sizes

    # --- words ------------------------------------------------------------------------------------------------

    def _line(self, call: Call) -> tuple[list[int], list[list[int]]]:
        """The words of a call at the first turn of the loops around it, and their steps by depth."""
        if id(call) not in self.lines:
            line = [self.stage.natives[call.kernel.structure].address, 0]
            steps: list[list[int]] = [[0, 0] for _ in range(self.depth)]
            for parameter, argument in zip(call.kernel.parameters, call.arguments, strict=True):
                words = self._words(parameter, argument)
                line += words
                for d, step in enumerate(steps):
                    step += self._steps(parameter, argument, d, len(words))
            self.lines[id(call)] = line, steps
        return self.lines[id(call)]

    def _words(self, parameter: Parameter, argument: Any) -> list[int]:
        if isinstance(argument, Buffer):
            array = self.values[argument.value]
            return [array.ctypes.data + self._number(argument.offset) * array.itemsize]
        if parameter.kind == "size":
            return [self.sizes[argument]]
        if parameter.kind == "turns":
            return [self._number(argument)]
        if parameter.kind == "scratch":
            return [self.scratch.ctypes.data, self.room // self.stage.float_type.itemsize]
        if parameter.kind == "offsets":
            return [self._table(argument).ctypes.data]
        if parameter.kind == "stream":
            return [stream_key(self.stage.seed, argument)]
        return [self.stage.step.ctypes.data]

    def _table(self, offsets: Offsets) -> Words:
        """The table of some loops, made once and kept as long as the rows that name it."""
        numbers = tuple(map(self._number, offsets.extents)), tuple(map(self._number, offsets.strides))
        if numbers not in self.tables:
            self.tables[numbers] = offset_table(offsets, self.sizes)
        return self.tables[numbers]

    def _steps(self, parameter: Parameter, argument: Any, depth: int, count: int) -> list[int]:
        if isinstance(argument, Buffer) and depth < len(argument.steps):
            return [self._number(argument.steps[depth]) * self.values[argument.value].itemsize]
        return [0] * count

    def _number(self, size: Any) -> int:
        value = size.evaluate(self.sizes)
        assert value is not None, f"the size {size} is open"
        return int(value)

    # --- items ------------------------------------------------------------------------------------------------

    def _items(self, items: Sequence[Item], depth: int) -> Rows:
        parts = [self._loop(item, depth) if isinstance(item, Loop) else self._row(item) for item in items]
        made = _joined(parts, self.width, self.depth)
        at = 0
        for item, part in zip(items, parts, strict=True):
            if isinstance(item, Loop) and len(part.calls):
                made.words[at, 1] = 1
                if at + len(part.calls) < len(made.calls):
                    made.words[at + len(part.calls), 1] = 1
            at += len(part.calls)
        if depth == 0:
            self._meet(made, items)
        return made

    def _row(self, call: Call) -> Rows:
        words, steps = self._line(call)
        return Rows(_wide(words, self.width), [call], [_wide(s, self.width) for s in steps], [self.own])

    def _loop(self, loop: Loop, depth: int) -> Rows:
        """The body once for each step."""
        if loop.slab is not None:
            return self._slabs(loop, loop.slab, depth)
        body = self._items(loop.items, depth + 1)
        turns = self._number(loop.extent)
        moves = np.arange(turns - 1, -1, -1) if loop.reverse else np.arange(turns)
        words = body.words[None] + moves[:, None, None] * body.steps[depth][None]
        words[:, :, 1] = body.words[None, :, 1]
        self._meet_in_loop(words, body.calls)
        flat = words.reshape(-1, self.width)
        return Rows(flat, body.calls * turns, [np.tile(s, (turns, 1)) for s in body.steps], body.sizes * turns)

    def _slabs(self, loop: Loop, slab: Slab, depth: int) -> Rows:
        """The body once for each slab."""
        extent = self._number(loop.extent)
        starts = range(1, extent + 1, slab.most)
        parts = [self._slab(loop, slab, first, min(slab.most, extent + 1 - first), depth) for first in starts]
        return _joined(parts, self.width, self.depth)

    def _slab(self, loop: Loop, slab: Slab, first: int, rows: int, depth: int) -> Rows:
        """The body for one slab, with barriers."""
        around, self.own = self.sizes, slab.at(first, rows, self.sizes)
        self.sizes = {**around, **self.own}
        self.lines, self.spans = {}, {}
        body = self._items(loop.items, depth + 1)
        self._mark(body.words, body.calls)
        body.words[0, 1] = 1
        self.sizes, self.own = around, {}
        self.lines = {}
        return body

    # --- barriers ---------------------------------------------------------------------------------------------

    def _meet_in_loop(self, words: Words, calls: Sequence[Call]) -> None:
        """Barriers of the first turns worked out, those of the others like the last of these."""
        turns = min(len(words), STEADY)
        first = words[:turns].reshape(-1, self.width)
        self._mark(first, list(calls) * turns)
        words[:turns] = first.reshape(turns, -1, self.width)
        words[1:, 0, 1] |= words[min(len(words) - 1, 1), 0, 1]
        words[turns:, :, 1] |= words[turns - 1, :, 1]

    def _meet(self, made: Rows, items: Sequence[Item]) -> None:
        """Barriers between the calls outside of loops; around a loop there always is one."""
        if all(isinstance(item, Call) for item in items):
            self._mark(made.words, made.calls)
            return
        at = 0
        for straight, count in _stretches(items, made.calls, self):
            if straight:
                part = made.words[at : at + count]
                self._mark(part, made.calls[at : at + count])
            at += count

    def _mark(self, words: Words, calls: Sequence[Call]) -> None:
        """Barriers before the rows that touch bytes which an earlier row since the last meeting wrote, or that write bytes
        which one read."""
        read: list[tuple[int, int]] = []
        written: list[tuple[int, int]] = []
        for row, call in zip(words, calls, strict=True):
            reads: list[tuple[int, int]] = []
            writes: list[tuple[int, int]] = []
            for place, below, above, is_written in self._spans(call):
                start = int(row[place])
                (writes if is_written else reads).append((start + below, start + above))
            if row[1] or _touch(reads, written) or _touch(writes, written) or _touch(writes, read):
                row[1] = 1
                read, written = [], []
            read += reads
            written += writes

    def _spans(self, call: Call) -> list[tuple[int, int, int, bool]]:
        """For each buffer of a call: its word, where its bytes begin and end, and whether it is written."""
        if id(call) not in self.spans:
            found, place = [], 2
            for parameter, argument in zip(call.kernel.parameters, call.arguments, strict=True):
                if isinstance(argument, Buffer):
                    item = self.values[argument.value].itemsize
                    strides = [self._number(s) * item for s in argument.strides]
                    below, above = reach([self._number(n) for n in parameter.shape], strides)
                    found.append((place, below, above + item, parameter.name in call.kernel.written))
                place += 2 if parameter.kind == "scratch" else 1
            self.spans[id(call)] = found
        return self.spans[id(call)]


def offset_table(offsets: Offsets, sizes: Mapping[str, int]) -> Words:
    """For every point of the loops, in order, the sum of counters times strides."""
    made = np.zeros((), np.int64)
    for size, stride in zip(offsets.extents, offsets.strides, strict=True):
        count, step = size.evaluate(sizes), stride.evaluate(sizes)
        assert count is not None and step is not None, "an open size"
        made = made[..., None] + np.arange(count, dtype=np.int64) * step
    return np.ascontiguousarray(made.ravel())


def written_arrays(stage: Stage, sizes: Mapping[str, int], row: Words, call: Call) -> Iterable[Array]:
    """What the call of a row writes, as arrays."""
    buffers = [p for p in call.kernel.parameters if p.kind == "buffer"]
    for parameter, array in zip(buffers, buffer_arrays(stage, sizes, row, call), strict=True):
        if parameter.name in call.kernel.written:
            yield array


def buffer_arrays(stage: Stage, sizes: Mapping[str, int], row: Words, call: Call) -> Iterable[Array]:
    """The buffers of the call of a row, as arrays."""
    place = 2
    for parameter, argument in zip(call.kernel.parameters, call.arguments, strict=True):
        if isinstance(argument, Buffer):
            dtype = stage.dtypes[parameter.dtype]
            shape = [n.evaluate(sizes) or 0 for n in parameter.shape]
            strides = [(s.evaluate(sizes) or 0) * dtype.itemsize for s in argument.strides]
            yield _at(int(row[place]), dtype, shape, strides)
        place += 2 if parameter.kind == "scratch" else 1


def _at(address: int, dtype: np.dtype[Any], shape: Sequence[int], strides: Sequence[int]) -> Array:
    import ctypes

    below, above = reach(shape, strides)
    raw = (ctypes.c_uint8 * (above - below + dtype.itemsize)).from_address(address + below)
    return np.ndarray(tuple(shape), dtype, memoryview(raw), -below, tuple(strides))


def reach(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """How far the elements of an array lie before and after its first one; before it only those of reversed axes."""
    moves = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    return sum(m for m in moves if m < 0), sum(m for m in moves if m > 0)


def _stretches(items: Sequence[Item], calls: Sequence[Call], table: Unrolled) -> Iterable[tuple[bool, int]]:
    """Runs of rows: whether they are outside of loops, and how many."""
    count = 0
    for item in items:
        if isinstance(item, Call):
            count += 1
            continue
        if count:
            yield True, count
        count = 0
        yield False, _rows_of(item, table)
    if count:
        yield True, count


def _rows_of(item: Item, table: Unrolled) -> int:
    if isinstance(item, Call):
        return 1
    return item.turns(table.sizes) * sum(_rows_of(i, table) for i in item.items)


def _wide(words: Sequence[int], width: int) -> Words:
    row = np.zeros((1, width), np.int64)
    row[0, : len(words)] = words
    return row


def _stacked(parts: Sequence[Words], width: int) -> Words:
    return np.concatenate(parts) if parts else np.zeros((0, width), np.int64)


def _joined(parts: Sequence[Rows], width: int, depth: int) -> Rows:
    return Rows(
        _stacked([p.words for p in parts], width),
        [c for p in parts for c in p.calls],
        [_stacked([p.steps[d] for p in parts], width) for d in range(depth)],
        [s for p in parts for s in p.sizes],
    )


def _touch(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> bool:
    return any(a < d and c < b for a, b in some for c, d in others)
