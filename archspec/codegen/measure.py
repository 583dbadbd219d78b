"""What a profile measures with: a clock, the machine's multiply-adds and its memory. Rows of a table call them like kernels.

These are bodies that Numba compiles; the names that they do not define are those of `measure_environment`.
"""

# ruff: noqa: F821
# mypy: disable-error-code="no-untyped-def, name-defined, no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from archspec.codegen.emitter import INDEX, Emitter, Number
from archspec.codegen.intrinsics import is_x86
from archspec.codegen.machine import this_machine
from archspec.codegen.shapes import PEAK_CHAINS, tile_shape

DTYPES = {"f4": "float32", "f8": "float64"}


def stamp(clocks, place, places, thread, threads):
    """clocks (threads, places) int64: the time now, in ticks, at one place of this thread's row."""
    clocks[thread * places + place] = ticks()


def multiply_adds(sums, turns, thread, threads):
    """`turns` times a multiply-add on each of some vectors of sums; sums (threads, room) are read once and written once."""
    multiply_add_turns(pointer_at(sums, thread * ROOM), turns)


def stream(x, y, count, turns, thread, threads):
    """y += x, `turns` times over this thread's share of `count` elements: two are read and one is written."""
    for _ in range(turns):
        for i in range(thread * count // threads, (thread + 1) * count // threads):
            y[i] += x[i]


def measure_environment(precision: str, room: int) -> dict[str, Any]:
    """The names that the bodies use; `room` is how many elements lie between the sums of two threads."""
    return {"ticks": ticks, "multiply_add_turns": _multiply_add_turns(precision), "ROOM": room}


@intrinsic
def ticks(typing):
    """The clock that is read in a few cycles: on x86 the time stamp counter, elsewhere the one that goes steadily."""

    def emit(context, builder, signature, arguments):
        name = "llvm.readcyclecounter" if is_x86() else "llvm.readsteadycounter"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(INDEX, []), name)
        return builder.call(function, [])

    return types.int64(), emit


def _multiply_add_turns(precision: str) -> Any:
    shape = tile_shape(DTYPES[precision], this_machine().names)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        e = Emitter(builder, Number(DTYPES[precision]))
        multiply_add, x = e.multiply_add(shape), e.load(shape.lanes, arguments[0])
        sums = e.fold(arguments[1], [x] * PEAK_CHAINS, lambda _, sums: [multiply_add(x, x, one) for one in sums])
        for k, total in enumerate(sums):
            e.store(total, e.shifted(arguments[0], INDEX(k * shape.lanes)))
        return context.get_dummy_value()

    @intrinsic
    def turns(typing, pointer, count):
        return types.void(pointer, types.int64), emit

    return turns
