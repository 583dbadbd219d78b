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

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from archspec.codegen.shapes import NBYTES, TileShape
from archspec.records import record

Value = ir.Value
INDEX = ir.IntType(64)


# --- the primitives ------------------------------------------------------------------------------------------------


class Primitives(NamedTuple):
    """What an emitted kernel names: the intrinsics, and the rows MR and columns NR of their tile."""

    tile: Any
    tile_onto: Any
    tile_at: Any
    tile_at_onto: Any
    pack_right: Any
    pack_left: Any
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
    """
    code = Number(dtype)
    return Primitives(
        tile=tile_intrinsic(code, shape, onto=False),
        tile_onto=tile_intrinsic(code, shape, onto=True),
        tile_at=tile_at_intrinsic(code, shape, onto=False),
        tile_at_onto=tile_at_intrinsic(code, shape, onto=True),
        pack_right=pack_right_intrinsic(code, shape),
        pack_left=pack_left_intrinsic(code, shape),
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


# --- packing -------------------------------------------------------------------------------------------------------


@record
class Packing:
    """target[p*width + t] = source[p*k_stride + t*stride] for p < k and t < count, 0 for count <= t < width"""

    width: int
    lanes: int
    source: Value
    k_stride: Value
    stride: Value
    target: Value
    k: Value
    count: Value


def emit_pack(e: Emitter, packing: Packing, contiguous: bool, turned: bool) -> None:
    """Rows are copied where they are contiguous, turned elsewhere; the choice is made here where the source tells."""
    if contiguous:
        copy_rows(e, packing)
    elif turned:
        turn_columns(e, packing)
    else:
        with e.builder.if_else(e.equal(packing.stride, INDEX(1))) as (one, other):
            with one:
                copy_rows(e, packing)
            with other:
                turn_columns(e, packing)


def copy_rows(e: Emitter, packing: Packing) -> None:
    """Contiguous rows, vector by vector; masked where fewer than `width` are valid."""
    starts = range(0, packing.width, packing.lanes)
    sizes = [min(packing.lanes, packing.width - start) for start in starts]

    def copy(loads: list[Callable[[Value], Value]]) -> None:
        with e.loop(INDEX(0), packing.k) as p:
            row = e.shifted(packing.source, e.times(p, packing.k_stride))
            packed = e.shifted(packing.target, e.times(p, INDEX(packing.width)))
            for start, load in zip(starts, loads, strict=True):
                e.store(load(e.shifted(row, INDEX(start))), e.shifted(packed, INDEX(start)))

    with e.builder.if_else(e.equal(packing.count, INDEX(packing.width))) as (whole, part):
        with whole:
            copy([lambda place, size=size: e.load(size, place) for size in sizes])
        with part:
            valid = [e.builder.sub(packing.count, INDEX(start)) for start in starts]
            copy([e.masked_load(size, count) for size, count in zip(sizes, valid, strict=True)])


def turn_columns(e: Emitter, packing: Packing) -> None:
    """Blocks of side x side turned in registers where k is contiguous, single elements at the edges and elsewhere.

    A cache line of k at a time, for each group of columns: the lines of few columns are read to their end before the
    next are fetched, which would drive them out of the cache where the stride is a power of two.
    """
    side = min(4, packing.lanes)
    line = 64 // e.number.nbytes
    zero, width, blocked = INDEX(0), INDEX(packing.width), e.equal(packing.k_stride, INDEX(1))
    k_blocks, t_blocks = (e.builder.select(blocked, e.rounded_down(n, side), zero) for n in (packing.k, packing.count))

    def source(p: Value, t: Value) -> Value:
        return e.shifted(packing.source, e.plus(e.times(p, packing.k_stride), e.times(t, packing.stride)))

    def target(p: Value, t: Value) -> Value:
        return e.shifted(packing.target, e.plus(e.times(p, width), t))

    with e.loop(zero, k_blocks, line) as start:
        stop = e.smaller(k_blocks, e.plus(start, INDEX(line)))
        with e.loop(zero, t_blocks, side) as t, e.loop(start, stop, side) as p:
            columns = [e.load(side, source(p, e.plus(t, INDEX(i)))) for i in range(side)]
            for i, row in enumerate(turned(e, columns)):
                e.store(row, target(e.plus(p, INDEX(i)), t))
    with e.loop(zero, packing.k) as p:
        with e.loop(e.builder.select(e.less(p, k_blocks), t_blocks, zero), packing.count) as t:
            e.builder.store(e.builder.load(source(p, t)), target(p, t))
        with e.loop(packing.count, width) as t:
            e.builder.store(e.number.llvm(0.0), target(p, t))


def turned(e: Emitter, rows: list[Value]) -> list[Value]:
    """The columns of a square of vectors: rows i and i + side/2 interleaved, once for every power of two in the side."""
    half = len(rows) // 2
    low = [lane for i in range(half) for lane in (i, i + len(rows))]
    high = [lane + half for lane in low]
    for _ in range(half.bit_length()):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [e.shuffle(a, b, lanes) for a, b in pairs for lanes in (low, high)]
    return rows


# --- pieces of LLVM code -------------------------------------------------------------------------------------------


@record
class Number:
    """An element type, as numba and as LLVM name it."""

    dtype: str

    @property
    def nbytes(self) -> int:
        return NBYTES[self.dtype]

    @property
    def name(self) -> str:
        return f"f{8 * self.nbytes}"

    @property
    def numba_pointer(self) -> Any:
        return types.CPointer(getattr(types, self.dtype))

    @property
    def llvm(self) -> Any:
        return ir.FloatType() if self.dtype == "float32" else ir.DoubleType()

    @property
    def pointer(self) -> Any:
        return self.llvm.as_pointer()

    def vector(self, lanes: int) -> Any:
        return ir.VectorType(self.llvm, lanes)


@record
class Emitter:
    """Emits code on elements of one type at the builder's place."""

    builder: ir.IRBuilder
    number: Number

    def fold(self, stop: Value, initial: list[Value], step: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
        """The values after step(index, values) for each index below `stop`, held in registers."""
        entry = self.builder.block
        kinds = [value.type for value in initial]
        with self.loop(INDEX(0), stop, as_written=False) as index:
            carried = [self.builder.phi(kind) for kind in kinds]
            updated = step(index, carried)
            last = self.builder.block
        totals = [self.builder.phi(kind) for kind in kinds]
        for phi, first, then in zip([*carried, *totals], [*initial, *initial], [*updated, *updated], strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(then, last)
        return totals

    @contextmanager
    def loop(self, start: Value, stop: Value, stride: int = 1, as_written: bool = True) -> Iterator[Value]:
        """A loop around the code that the `with` body emits; yields the index.

        `as_written`: LLVM neither unrolls nor vectorises it, which halves the time to compile and changes no speed.
        """
        builder = self.builder
        entry, body, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", start, stop), body, done)
        builder.position_at_end(body)
        index = builder.phi(INDEX)
        index.add_incoming(start, entry)
        yield index
        following = builder.add(index, INDEX(stride), flags=["nsw"])
        index.add_incoming(following, builder.block)
        branch = builder.cbranch(builder.icmp_signed("<", following, stop), body, done)
        if as_written:
            branch.set_metadata("llvm.loop", self._no_transformation())
        builder.position_at_end(done)

    def _no_transformation(self) -> Value:
        module = self.builder.module
        unroll = module.add_metadata(["llvm.loop.unroll.disable"])
        vectorise = module.add_metadata(["llvm.loop.vectorize.width", ir.IntType(32)(1)])
        loop = ir.values.MDValue(module, [], name=str(len(module.metadata)))
        loop.operands = (loop, unroll, vectorise)  # a loop is told from another by naming itself
        return loop

    def multiply_add(self, shape: TileShape) -> Callable[[Value, Value, Value], Value]:
        """x * y + z on vectors, in exactly one way: fused, or multiplied and added.

        The flag keeps numba from adding the kernel's own fast-math flags, under which LLVM may change the order of the
        sum: numba leaves instructions alone that have one.
        """
        builder = self.builder
        if not shape.fused:
            return lambda x, y, z: builder.fadd(builder.fmul(x, y, flags=["nsz"]), z, flags=["nsz"])
        vector = self.number.vector(shape.lanes)
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{shape.lanes}{self.number.name}")
        return lambda x, y, z: builder.call(fma, [x, y, z])

    def load(self, lanes: int, pointer: Value) -> Value:
        value = self.builder.load(self._vectors(lanes, pointer))
        value.align = self.number.nbytes
        return value

    def store(self, value: Value, pointer: Value) -> None:
        self.builder.store(value, self._vectors(value.type.count, pointer)).align = self.number.nbytes

    def masked_load(self, lanes: int, count: Value) -> Callable[[Value], Value]:
        """A load of the first `count` lanes, zero in the others; memory beyond is not touched."""
        vector = self.number.vector(lanes)
        numbers = ir.VectorType(INDEX, lanes)(list(range(lanes)))
        mask = self.builder.icmp_signed("<", numbers, self.splat(count, lanes))
        kind = ir.FunctionType(vector, [vector.as_pointer(), ir.IntType(32), mask.type, vector])
        name = f"llvm.masked.load.v{lanes}{self.number.name}.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        alignment, zero = ir.IntType(32)(self.number.nbytes), vector([0.0] * lanes)
        return lambda place: self.builder.call(function, [self._vectors(lanes, place), alignment, mask, zero])

    def splat(self, value: Value, lanes: int) -> Value:
        undefined = ir.VectorType(value.type, lanes)(ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.IntType(32)(0))
        return self.shuffle(single, single, [0] * lanes)

    def shuffle(self, a: Value, b: Value, lanes: list[int]) -> Value:
        return self.builder.shuffle_vector(a, b, ir.VectorType(ir.IntType(32), len(lanes))(lanes))

    def shifted(self, pointer: Value, offset: Value) -> Value:
        return self.builder.gep(pointer, [offset])

    def walked(self, by: Value, index: Value) -> Value:
        """The offset of `index` by a stride, or in a table."""
        return self.builder.load(self.shifted(by, index)) if isinstance(by.type, ir.PointerType) else self.times(index, by)

    def plus(self, a: Value, b: Value) -> Value:
        return self.builder.add(a, b)

    def times(self, a: Value, b: Value) -> Value:
        return self.builder.mul(a, b)

    def less(self, a: Value, b: Value) -> Value:
        return self.builder.icmp_signed("<", a, b)

    def smaller(self, a: Value, b: Value) -> Value:
        return self.builder.select(self.less(a, b), a, b)

    def rounded_down(self, value: Value, power_of_two: int) -> Value:
        return self.builder.and_(value, INDEX(-power_of_two))

    def less_equal(self, a: Value, b: Value) -> Value:
        return self.builder.icmp_signed("<=", a, b)

    def equal(self, a: Value, b: Value) -> Value:
        return self.builder.icmp_signed("==", a, b)

    def _vectors(self, lanes: int, pointer: Value) -> Value:
        return self.builder.bitcast(pointer, self.number.vector(lanes).as_pointer())
