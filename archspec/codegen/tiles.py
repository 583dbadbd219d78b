"""Register tiles: the matrix-product primitives that emitted kernels call.

A kernel multiplies panel by panel. A panel is NR columns of the right side packed as panel[p*NR + t] for p < k; a tile
is MR rows of the left side against one panel, its MR*NR sums held in vector registers:

    made = primitives("float32", TileShape(rows=8, vectors=2, lanes=16))
    tile, pack_right, MR, NR = made.tile, made.pack_right, made.MR, made.NR

    columns = min(NR, N - j)
    pack_right(at(W, j), N, 1, panel, K, columns)                      # panel[p*NR + t] = W[p, j + t], 0 beyond N
    for i in range(0, M, MR):
        rows = min(MR, M - i)
        tile(at(x, i*K), K, 1, panel, NR, K, acc, NR, rows, columns)   # acc[r*NR + t] = sum of x[i + r, p] * W[p, j + t]
        ...                                                            # the epilogue: plain loops over acc

Pointers are `types.CPointer(float32 | float64)`; offsets and strides count elements. Each primitive is an LLVM function
that is compiled once, as an object file of its own: the kernels that call it are linked with it. Its instructions keep
exact arithmetic, whatever fast-math flags kernels have.

Every element of a product is the same sum wherever its tile was cut: p = 0 .. k-1 in order, starting from zero, each
step one fused multiply-add (a multiplication and an addition where the CPU has no FMA).

The loops to emit around them: `reference_kernel` in benchmarks/matmul.py, cut as `blocking` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archspec.codegen.emitter import INDEX, Emitter, Number, Value
from archspec.codegen.objects import Primitive
from archspec.codegen.packing import Packing, emit_pack, gather_rows
from archspec.codegen.shapes import TileShape
from archspec.records import record

# --- the primitives ------------------------------------------------------------------------------------------------


class Primitives(NamedTuple):
    """What an emitted kernel names: the intrinsics, and the rows MR and columns NR of their tile."""

    tile: Any
    tile_onto: Any
    tile_at: Any
    tile_at_onto: Any
    pack_right: Any
    pack_left: Any
    pack_left_at: Any
    prefetch: Any
    prefetch_to_write: Any
    MR: int
    NR: int


@cache
def primitives(dtype: str, shape: TileShape) -> Primitives:
    """The functions that emitted code calls for one element type and tile shape.

    tile(left, row_stride, k_stride, right, right_stride, k, acc, acc_stride, rows, columns)
        acc[r*acc_stride + t] = sum over p < k of left[r*row_stride + p*k_stride] * right[p*right_stride + t]
        for r < rows and t < columns; 1 <= rows <= MR, 1 <= columns <= NR, k >= 0. The rest of acc, up to MR rows and NR
        columns, is of no meaning: acc is a room of that size, or the result itself where the tile is whole.
        The left side is not read beyond its last row. The right side is read up to NR columns wide: it is a packed panel
        (right_stride NR), or a matrix where it lies if `columns` is NR.
    tile_onto(...)
        the same, added onto the acc that is there: a long k in several calls has the bits of one call.
    tile_at(left, rows_at, steps_at, right, …), tile_at_onto(...)
        the same for a left side that is walked in no even steps, left[rows_at[r] + steps_at[p]]; both are tables of int64.
    pack_right(right, k_stride, column_stride, panel, k, columns)
        panel[p*NR + t] = right[p*k_stride + t*column_stride] for t < columns, 0 for columns <= t < NR.
    pack_left(left, row_stride, k_stride, block, k, rows)
        block[p*MR + r] = left[r*row_stride + p*k_stride] for r < rows, 0 beyond; tile reads it with strides 1 and MR.
    pack_left_at(left, rows_at, steps_at, block, k, rows)
        the same for a left side that is walked by tables; what lies beyond the last row is of no meaning.
    prefetch(row), prefetch_to_write(row)
        asks for row[0] .. row[NR - 1] to be near when they are read, or written.
    """
    return Primitives(
        tile=tile_intrinsic("tile", dtype, shape),
        tile_onto=tile_intrinsic("tile_onto", dtype, shape),
        tile_at=tile_intrinsic("tile_at", dtype, shape),
        tile_at_onto=tile_intrinsic("tile_at_onto", dtype, shape),
        pack_right=pack_right_intrinsic(dtype, shape),
        pack_left=pack_left_intrinsic(dtype, shape),
        pack_left_at=pack_left_at_intrinsic(dtype, shape),
        prefetch=prefetch_intrinsic(dtype, shape),
        prefetch_to_write=prefetch_intrinsic(dtype, shape, to_write=True),
        MR=shape.rows,
        NR=shape.columns,
    )


@intrinsic
def at(typing: Any, pointer: Any, offset: Any) -> Any:
    """The pointer `offset` elements further on."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), emit


LINE = 64  # bytes that come from memory at once


def prefetch_intrinsic(dtype: str, shape: TileShape, to_write: bool = False) -> Any:
    @intrinsic
    def prefetch(typing, row):  # type: ignore[no-untyped-def]
        number = Number(dtype)

        def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            e = Emitter(builder, number)
            for first in range(0, shape.columns, LINE // number.nbytes):
                e.prefetch(e.shifted(arguments[0], INDEX(first)), to_write)
            return context.get_dummy_value()

        return types.void(number.numba_pointer), emit

    return prefetch


def tile_intrinsic(what: str, dtype: str, shape: TileShape) -> Any:
    @intrinsic(prefer_literal=True)
    def tile(typing, left, rows_by, steps_by, right, right_stride, k, acc, acc_stride, rows, columns):  # type: ignore[no-untyped-def]
        packed = getattr(right_stride, "literal_value", None) == shape.columns
        primitive = Primitive(what, dtype, shape, packed, is_one(steps_by))
        return call_of(primitive, {2: steps_by, 4: right_stride})

    return tile


def pack_right_intrinsic(dtype: str, shape: TileShape) -> Any:
    @intrinsic(prefer_literal=True)
    def pack_right(typing, right, k_stride, column_stride, panel, k, columns):  # type: ignore[no-untyped-def]
        primitive = Primitive("pack_right", dtype, shape, is_one(column_stride), is_one(k_stride))
        return call_of(primitive, {1: k_stride, 2: column_stride})

    return pack_right


def pack_left_intrinsic(dtype: str, shape: TileShape) -> Any:
    @intrinsic(prefer_literal=True)
    def pack_left(typing, left, row_stride, k_stride, block, k, rows):  # type: ignore[no-untyped-def]
        primitive = Primitive("pack_left", dtype, shape, is_one(row_stride), is_one(k_stride))
        return call_of(primitive, {1: row_stride, 2: k_stride})

    return pack_left


def pack_left_at_intrinsic(dtype: str, shape: TileShape) -> Any:
    @intrinsic
    def pack_left_at(typing, left, rows_at, steps_at, block, k, rows):  # type: ignore[no-untyped-def]
        return call_of(Primitive("pack_left_at", dtype, shape), {})

    return pack_left_at


def is_one(stride: Any) -> bool:
    """Whether the source of the kernel says 1 for a stride, by its numba type."""
    return getattr(stride, "literal_value", None) == 1


def call_of(primitive: Primitive, strides: Mapping[int, Any]) -> Any:
    """A numba signature and its code: a call of the primitive.

    `strides` are the numba types of the arguments that the primitive hangs on, by their place: numba finds an intrinsic's
    code by its signature alone, so without them one kernel would get the code of another.
    """
    number = Number(primitive.dtype)
    numba = {"p": number.numba_pointer, "t": types.CPointer(types.int64), "i": types.int64}
    arguments = [numba[letter] for letter in primitive.parameters]
    for position, stride in strides.items():
        if isinstance(stride, types.IntegerLiteral):
            arguments[position] = stride

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        builder.call(function_in(builder.module, context, primitive), arguments)
        return context.get_dummy_value()

    return types.void(*arguments), emit


def function_in(module: ir.Module, context: Any, primitive: Primitive) -> ir.Function:
    """The primitive as code in `module` sees it: kernels share one that is compiled by itself, others have a copy."""
    known = module.globals.get(primitive.symbol)
    if known is not None:
        return known
    calls = getattr(context.active_code_library, "calls", None)
    if calls is not None:
        calls.append(primitive)
        return declare(module, primitive)
    function = define(module, primitive)
    function.linkage = "internal"
    function.attributes.add("noinline")
    return function


def declare(module: ir.Module, primitive: Primitive) -> ir.Function:
    words = {"p": Number(primitive.dtype).pointer, "t": INDEX.as_pointer(), "i": INDEX}
    kind = ir.FunctionType(ir.VoidType(), [words[letter] for letter in primitive.parameters])
    return ir.Function(module, kind, primitive.symbol)


def define(module: ir.Module, primitive: Primitive) -> ir.Function:
    function, shape = declare(module, primitive), primitive.shape
    e = Emitter(ir.IRBuilder(function.append_basic_block("entry")), Number(primitive.dtype))
    if primitive.what == "pack_right":
        emit_pack(e, Packing(shape.columns, shape.lanes, *function.args), primitive.across, primitive.along)
    elif primitive.what == "pack_left_at":
        gather_rows(e, shape.rows, *function.args)
    elif primitive.what == "pack_left":
        left, row_stride, k_stride, *others = function.args
        packing = Packing(shape.rows, shape.lanes, left, k_stride, row_stride, *others)
        emit_pack(e, packing, primitive.across, primitive.along)
    else:
        left, rows_by, steps_by, right, right_stride, k, acc, acc_stride, rows, columns = function.args
        steps_by = INDEX(1) if primitive.along else steps_by
        right_stride = INDEX(shape.columns) if primitive.across else right_stride
        operands = (left, rows_by, steps_by, right, right_stride, k, acc, acc_stride, not primitive.along)
        emit_cuts(e, shape.cuts, Sums(primitive.what.endswith("onto"), *operands), rows, columns)
    e.builder.ret_void()
    return function


# --- the tile ------------------------------------------------------------------------------------------------------


@record
class Sums:
    """acc[r*acc_stride + t] (+)= sum over p < k of left[rows(r) + steps(p)] * right[p*right_stride + t]

    `rows` and `steps` are strides or tables. Where the steps of the left side lie `apart`, as in x^T, what lies beside them
    is of the tiles that follow, and on its way meanwhile.
    """

    onto: bool
    left: Value
    rows: Value
    steps: Value
    right: Value
    right_stride: Value
    k: Value
    acc: Value
    acc_stride: Value
    apart: bool


def emit_cuts(e: Emitter, cuts: Sequence[TileShape], sums: Sums, rows: Value, columns: Value) -> None:
    """Code for each of the cuts, and the choice of the first that holds the rows and columns."""
    first, *others = cuts
    if not others:
        emit_sums(e, first, sums, rows)
        return
    fits = e.builder.and_(e.less_equal(rows, INDEX(first.rows)), e.less_equal(columns, INDEX(first.columns)))
    with e.builder.if_else(fits) as (then, otherwise):
        with then:
            emit_sums(e, first, sums, rows)
        with otherwise:
            emit_cuts(e, others, sums, rows, columns)


def emit_sums(e: Emitter, cut: TileShape, sums: Sums, rows: Value) -> None:
    """The sums of one cut, in registers for all k; a row beyond the last valid one reads the last again."""
    last = e.builder.sub(rows, INDEX(1))
    lefts = [e.shifted(sums.left, e.walked(sums.rows, e.smaller(INDEX(r), last))) for r in range(cut.rows)]
    starts = [e.shifted(sums.acc, e.times(INDEX(r), sums.acc_stride)) for r in range(cut.rows)]
    places = [e.shifted(start, INDEX(v * cut.lanes)) for start in starts for v in range(cut.vectors)]
    multiply_add = e.multiply_add(cut)

    def step(p: Value, totals: list[Value]) -> list[Value]:
        row = e.shifted(sums.right, e.times(p, sums.right_stride))
        rights = [e.load(cut.lanes, e.shifted(row, INDEX(v * cut.lanes))) for v in range(cut.vectors)]
        along = e.walked(sums.steps, p)
        values = [e.splat(e.builder.load(e.shifted(left, along)), cut.lanes) for left in lefts]
        if sums.apart:
            e.prefetch(e.shifted(lefts[0], e.plus(along, INDEX(LINE // e.number.nbytes))), nearest=2)
        pairs = [(value, right) for value in values for right in rights]
        return [multiply_add(value, right, total) for (value, right), total in zip(pairs, totals, strict=True)]

    zero = e.number.vector(cut.lanes)([0.0] * cut.lanes)
    initial = [e.load(cut.lanes, place) if sums.onto else zero for place in places]
    for place, total in zip(places, e.fold(sums.k, initial, step), strict=True):
        e.store(total, place)
