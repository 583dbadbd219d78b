"""Register tiles: the matrix-product primitives that emitted kernels call.

A kernel multiplies panel by panel. A panel is NR columns of the right side packed as panel[p*NR + t] for p < k; a tile
is MR rows of the left side against one panel, its MR*NR sums held in vector registers:

    made = primitives("float32", TileShape(rows=8, vectors=2, lanes=16))
    tile, pack_right, MR, NR = made.tile, made.pack_right, made.MR, made.NR

    columns = min(NR, N - j)
    pack_right(at(W, j), N, 1, panel, K, columns)                      # panel[p*NR + t] = W[p, j + t], 0 beyond N
    for i in range(0, M, MR):
        rows = min(MR, M - i)
        tile(at(x, i*K), K, 1, panel, NR, K, acc, rows, columns)       # acc[r*NR + t] = sum of x[i + r, p] * W[p, j + t]
        ...                                                            # the epilogue: plain loops over acc

Pointers are `types.CPointer(float32 | float64)`; offsets and strides count elements. Each primitive becomes one LLVM
function inside the module of the kernel that calls it: LLVM sees the constants of its calls, and the instructions keep
exact arithmetic under the kernel's fast-math flags.

Every element of a product is the same sum wherever its tile was cut: p = 0 .. k-1 in order, starting from zero, each
step one fused multiply-add (a multiplication and an addition where the CPU has no FMA).

The loops to emit around them: `reference_kernel` in benchmarks/matmul.py, cut as `blocking` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archspec.codegen.emitter import INDEX, Emitter, Number, Value
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
    MR: int
    NR: int


@cache
def primitives(dtype: str, shape: TileShape) -> Primitives:
    """The functions that emitted code calls for one element type and tile shape.

    tile(left, row_stride, k_stride, right, right_stride, k, acc, rows, columns)
        acc[r*NR + t] = sum over p < k of left[r*row_stride + p*k_stride] * right[p*right_stride + t]
        for r < rows and t < columns; 1 <= rows <= MR, 1 <= columns <= NR, k >= 0. The rest of acc is of no meaning.
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
    """
    code = Number(dtype)
    return Primitives(
        tile=tile_intrinsic(code, shape, onto=False),
        tile_onto=tile_intrinsic(code, shape, onto=True),
        tile_at=tile_at_intrinsic(code, shape, onto=False),
        tile_at_onto=tile_at_intrinsic(code, shape, onto=True),
        pack_right=pack_right_intrinsic(code, shape),
        pack_left=pack_left_intrinsic(code, shape),
        pack_left_at=pack_left_at_intrinsic(code, shape),
        MR=shape.rows,
        NR=shape.columns,
    )


@intrinsic
def at(typing: Any, pointer: Any, offset: Any) -> Any:
    """The pointer `offset` elements further on."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), emit


def tile_intrinsic(number: Number, shape: TileShape, onto: bool) -> Any:
    name = f"{'tile_onto' if onto else 'tile'}_{number.name}_{shape.rows}x{shape.columns}"

    def body(builder: ir.IRBuilder, *arguments: Value) -> None:
        *operands, rows, columns = arguments
        emit_cuts(Emitter(builder, number), shape.cuts, Sums(shape.columns, onto, *operands), rows, columns)

    @intrinsic
    def tile(typing, left, row_stride, k_stride, right, right_stride, k, acc, rows, columns):  # type: ignore[no-untyped-def]
        return outlined(name, body, number, "pii pii pii")

    return tile


def tile_at_intrinsic(number: Number, shape: TileShape, onto: bool) -> Any:
    name = f"{'tile_at_onto' if onto else 'tile_at'}_{number.name}_{shape.rows}x{shape.columns}"

    def body(builder: ir.IRBuilder, *arguments: Value) -> None:
        *operands, rows, columns = arguments
        emit_cuts(Emitter(builder, number), shape.cuts, Sums(shape.columns, onto, *operands), rows, columns)

    @intrinsic
    def tile(typing, left, rows_at, steps_at, right, right_stride, k, acc, rows, columns):  # type: ignore[no-untyped-def]
        return outlined(name, body, number, "ptt pii pii")

    return tile


def pack_right_intrinsic(number: Number, shape: TileShape) -> Any:
    @intrinsic(prefer_literal=True)
    def pack_right(typing, right, k_stride, column_stride, panel, k, columns):  # type: ignore[no-untyped-def]
        contiguous, turned = is_one(column_stride), is_one(k_stride)

        def body(builder: ir.IRBuilder, *arguments: Value) -> None:
            packing = Packing(shape.columns, shape.lanes, *arguments)
            emit_pack(Emitter(builder, number), packing, contiguous, turned)

        name = f"pack_right_{number.name}_{shape.columns}_{contiguous:d}{turned:d}"
        return outlined(name, body, number, "pii pii", (k_stride, column_stride))

    return pack_right


def pack_left_intrinsic(number: Number, shape: TileShape) -> Any:
    @intrinsic(prefer_literal=True)
    def pack_left(typing, left, row_stride, k_stride, block, k, rows):  # type: ignore[no-untyped-def]
        contiguous, turned = is_one(row_stride), is_one(k_stride)

        def body(builder: ir.IRBuilder, left: Value, row_stride: Value, k_stride: Value, *others: Value) -> None:
            packing = Packing(shape.rows, shape.lanes, left, k_stride, row_stride, *others)
            emit_pack(Emitter(builder, number), packing, contiguous, turned)

        name = f"pack_left_{number.name}_{shape.rows}_{contiguous:d}{turned:d}"
        return outlined(name, body, number, "pii pii", (row_stride, k_stride))

    return pack_left


def pack_left_at_intrinsic(number: Number, shape: TileShape) -> Any:
    def body(builder: ir.IRBuilder, *arguments: Value) -> None:
        gather_rows(Emitter(builder, number), shape.rows, *arguments)

    @intrinsic
    def pack_left_at(typing, left, rows_at, steps_at, block, k, rows):  # type: ignore[no-untyped-def]
        return outlined(f"pack_left_at_{number.name}_{shape.rows}", body, number, "ptt pii")

    return pack_left_at


def is_one(stride: Any) -> bool:
    """Whether the source of the kernel says 1 for a stride, by its numba type."""
    return getattr(stride, "literal_value", None) == 1


def outlined(name: str, body: Callable[..., None], number: Number, parameters: str, strides: Sequence[Any] = ()) -> Any:
    """A numba signature and its code: a call of the LLVM function `name`, which `body` emits once per module.

    `parameters` has a letter for each: p a pointer to elements, t a table of int64, i an index. `strides` are the numba
    types of the first two indices where `body` hangs on them: numba finds an intrinsic's code by its signature alone, so
    without them one kernel would get the code of another. Not inlined, so that a kernel with several products compiles
    one copy; internal, so that LLVM still specialises it to arguments that all its calls share.
    """
    kinds = parameters.replace(" ", "")
    numba = {"p": number.numba_pointer, "t": types.CPointer(types.int64), "i": types.int64}
    arguments = [numba[kind] for kind in kinds]
    for position, stride in enumerate(strides, start=1):
        if isinstance(stride, types.IntegerLiteral):
            arguments[position] = stride
    words = {"p": number.pointer, "t": INDEX.as_pointer(), "i": INDEX}
    llvm = ir.FunctionType(ir.VoidType(), [words[kind] for kind in kinds])

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        module = builder.module
        function = module.globals.get(name) or define(ir.Function(module, llvm, name), body)
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(*arguments), emit


def define(function: ir.Function, body: Callable[..., None]) -> ir.Function:
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    body(builder, *function.args)
    builder.ret_void()
    return function


# --- the tile ------------------------------------------------------------------------------------------------------


@record
class Sums:
    """acc[r*acc_stride + t] (+)= sum over p < k of left[rows(r) + steps(p)] * right[p*right_stride + t]

    `rows` and `steps` are strides or tables.
    """

    acc_stride: int
    onto: bool
    left: Value
    rows: Value
    steps: Value
    right: Value
    right_stride: Value
    k: Value
    acc: Value


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
    places = [r * sums.acc_stride + v * cut.lanes for r in range(cut.rows) for v in range(cut.vectors)]
    multiply_add = e.multiply_add(cut)

    def step(p: Value, totals: list[Value]) -> list[Value]:
        row = e.shifted(sums.right, e.times(p, sums.right_stride))
        rights = [e.load(cut.lanes, e.shifted(row, INDEX(v * cut.lanes))) for v in range(cut.vectors)]
        along = e.walked(sums.steps, p)
        values = [e.splat(e.builder.load(e.shifted(left, along)), cut.lanes) for left in lefts]
        pairs = [(value, right) for value in values for right in rights]
        return [multiply_add(value, right, total) for (value, right), total in zip(pairs, totals, strict=True)]

    zero = e.number.vector(cut.lanes)([0.0] * cut.lanes)
    initial = [e.load(cut.lanes, e.shifted(sums.acc, INDEX(place))) if sums.onto else zero for place in places]
    for place, total in zip(places, e.fold(sums.k, initial, step), strict=True):
        e.store(total, e.shifted(sums.acc, INDEX(place)))
