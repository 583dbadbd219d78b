"""Register tiles: the matrix-product primitives that emitted kernels call.

A kernel multiplies panel by panel. A panel is NR columns of the right side packed as panel[p*NR + t] for p < k; a tile
is MR rows of the left side against one panel, its MR*NR sums held in vector registers:

    tile, tile_onto, pack_right, pack_left, MR, NR = primitives("float32", TileShape(rows=8, vectors=2, lanes=16))

    pack_right(at(W, j), N, 1, panel, K, min(NR, N - j))            # panel[p*NR + t] = W[p, j + t], 0 beyond N
    for i in range(0, M, MR):
        tile(at(x, i * K), K, 1, panel, NR, K, acc, min(MR, M - i))  # acc[r*NR + t] = sum over p of x[i + r, p] * panel[p*NR + t]
        ...                                                          # the epilogue: plain loops over acc

Pointers are `types.CPointer(float32 | float64)`; offsets and strides count elements. Each primitive becomes one LLVM
function inside the module of the kernel that calls it: LLVM sees the constants of its calls, and the instructions keep
exact arithmetic under the kernel's fast-math flags.

Every element of a product is the same sum wherever its tile was cut: p = 0 .. k-1 in order, starting from zero, each
step one fused multiply-add (a multiplication and an addition where the CPU has no FMA).

How to order the loops for each kind of product: `reference_kernel` in benchmarks/matmul.py, which also chose the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils, registry
from numba.extending import intrinsic

Builder = ir.IRBuilder
Value = ir.Value
Body = Callable[..., None]

INDEX = ir.IntType(64)


@dataclass(frozen=True)
class TileShape:
    """The registers of a tile: `rows` x `vectors` sums of `lanes` elements; `fused` where the CPU multiplies and adds in one step."""

    rows: int
    vectors: int
    lanes: int
    fused: bool = True

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    @property
    def cuts(self) -> tuple[TileShape, ...]:
        """The shapes that get code of their own, so that few rows or columns do not pay for a whole tile; itself last."""
        half = replace(self, rows=self.rows // 2)
        thin = [replace(self, vectors=1)] if self.vectors > 1 else []
        return (half, *thin, self)


class Primitives(NamedTuple):
    """What an emitted kernel unpacks into its module: four intrinsics, and the rows MR and columns NR of their tile."""

    tile: Any
    tile_onto: Any
    pack_right: Any
    pack_left: Any
    MR: int
    NR: int


@dataclass(frozen=True)
class Number:
    """An element type, as numba and as LLVM name it."""

    name: str
    numba: Any
    llvm: Any
    nbytes: int

    @property
    def pointer(self) -> Any:
        return self.llvm.as_pointer()

    def vector(self, lanes: int) -> Any:
        return ir.VectorType(self.llvm, lanes)


NUMBERS = {
    "float32": Number("f32", types.float32, ir.FloatType(), 4),
    "float64": Number("f64", types.float64, ir.DoubleType(), 8),
}


# --- the shape for a CPU -------------------------------------------------------------------------------------------


def host_features() -> frozenset[str]:
    """The CPU features that numba compiles for, as LLVM names them; NUMBA_CPU_FEATURES limits them."""
    features = registry.cpu_target.target_context.codegen().magic_tuple()[2]
    return frozenset(name[1:] for name in features.split(",") if name.startswith("+"))


def tile_shape(dtype: str, features: Collection[str], rows: int | None = None, columns: int | None = None) -> TileShape:
    """The tile for products of `dtype` on a CPU with `features`, and of few rows or columns where those are known.

    Chosen by `benchmarks/matmul.py --shapes`: 12 to 16 registers of sums keep two FMA units busy through four cycles of latency
    and leave room for the operands. More rows spill on some CPUs, and meet more cache conflicts, since each row is a stream of its own.
    """
    unit = next(unit for unit in VECTOR_UNITS if unit.features <= set(features))
    lanes = unit.nbytes // NUMBERS[dtype].nbytes
    if columns is not None and columns <= lanes:
        return TileShape(unit.narrow_rows, 1, lanes, unit.fused)
    if rows is not None and rows <= unit.few_rows:
        return TileShape(unit.few_rows, 4, lanes, unit.fused)
    return TileShape(unit.rows, 2, lanes, unit.fused)


@dataclass(frozen=True)
class VectorUnit:
    """Vector registers of `nbytes`, and the rows of tiles that suit them: of two vectors, of one, and of four for few rows."""

    features: frozenset[str]
    nbytes: int
    fused: bool
    rows: int
    narrow_rows: int
    few_rows: int


VECTOR_UNITS = (
    VectorUnit(frozenset({"avx512f"}), nbytes=64, fused=True, rows=8, narrow_rows=8, few_rows=4),
    VectorUnit(frozenset({"avx2", "fma"}), nbytes=32, fused=True, rows=6, narrow_rows=8, few_rows=2),
    VectorUnit(
        frozenset({"neon"}), nbytes=16, fused=True, rows=8, narrow_rows=8, few_rows=4
    ),  # by analogy, not measured
    VectorUnit(frozenset(), nbytes=16, fused=False, rows=4, narrow_rows=8, few_rows=2),
)


@dataclass(frozen=True)
class Blocking:
    """How the loops around the tile are cut so that each operand is read from a near cache.

    rows            rows of the left side that stay near while all panels pass
    depth           steps of k at a time; the sums so far wait in the output
    right_in_place  whole panels of the right side are read where they lie
    pack_left       each block of the left side is packed before the panels pass
    """

    rows: int
    depth: int
    right_in_place: bool
    pack_left: bool

    def scratch(self, shape: TileShape) -> int:
        """Elements that each thread needs: a panel, the sums of a tile, the packed left block."""
        left = (self.rows + shape.rows) * self.depth if self.pack_left else 0
        return shape.columns * self.depth + shape.columns * shape.rows + left


def blocking(dtype: str, shape: TileShape, k: int, n: int, left_across: bool, right_turned: bool) -> Blocking:
    """The blocking of a product with n columns and sums of k.

    `left_across` says that the left side has its rows, not k, contiguous, as x^T in a weight gradient; `right_turned` that the right
    side has k contiguous, as W^T in an input gradient. Chosen by `benchmarks/matmul.py --blocking`: packing the right side is a tenth
    of the work at 128 rows and pays once it overflows the second cache; rows of k contiguous stream well however long; a left side
    read across its rows does not beyond some 1024 k, where its power-of-two stride maps it to few cache sets.
    """
    in_place = not right_turned and k * n * NUMBERS[dtype].nbytes <= 2 << 20
    if not left_across:
        return Blocking(rows=512, depth=k, right_in_place=in_place, pack_left=False)
    if k <= 1024:
        return Blocking(rows=128, depth=k, right_in_place=in_place, pack_left=n >= 8 * shape.columns)
    return Blocking(rows=256, depth=256, right_in_place=in_place, pack_left=True)


# --- the primitives ------------------------------------------------------------------------------------------------


@cache
def primitives(dtype: str, shape: TileShape) -> Primitives:
    """The functions that emitted code calls for one element type and tile shape.

    tile(left, row_stride, k_stride, right, right_stride, k, acc, rows)
        acc[r*NR + t] = sum over p < k of left[r*row_stride + p*k_stride] * right[p*right_stride + t], for r < rows, 1 <= rows <= MR, k >= 0.
        Rows of acc beyond `rows` hold copies of the last one: the left side is never read beyond its last row.
        The right side is read NR wide: a packed panel (right_stride NR), or a matrix in place where NR columns remain.
    tile_onto(...)
        the same, added onto the acc that is there: one sum over a long k cut into blocks has the bits of the uncut one.
    pack_right(right, k_stride, column_stride, panel, k, columns)
        panel[p*NR + t] = right[p*k_stride + t*column_stride] for t < columns, 0 for columns <= t < NR.
    pack_left(left, row_stride, k_stride, block, k, rows)
        block[p*MR + r] = left[r*row_stride + p*k_stride], 0 beyond `rows`; tile reads it as left with strides 1, MR.
    """
    number = NUMBERS[dtype]
    return Primitives(
        tile=tile_intrinsic(number, shape, onto=False),
        tile_onto=tile_intrinsic(number, shape, onto=True),
        pack_right=pack_right_intrinsic(number, shape),
        pack_left=pack_left_intrinsic(number, shape),
        MR=shape.rows,
        NR=shape.columns,
    )


@intrinsic
def at(typing: Any, pointer: Any, offset: Any) -> Any:
    """The pointer `offset` elements further on."""

    def emit(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), emit


def tile_intrinsic(number: Number, shape: TileShape, onto: bool) -> Any:
    name = f"{'tile_onto' if onto else 'tile'}_{number.name}_{shape.rows}x{shape.columns}"

    def body(builder: Builder, *arguments: Value) -> None:
        emit_tile(builder, number, shape, onto, *arguments)

    @intrinsic
    def tile(typing, left, row_stride, k_stride, right, right_stride, k, acc, rows, columns):  # type: ignore[no-untyped-def]
        return outlined(name, body, number, "pii pii pii")

    return tile


def pack_right_intrinsic(number: Number, shape: TileShape) -> Any:
    @intrinsic(prefer_literal=True)
    def pack_right(typing, right, k_stride, column_stride, panel, k, columns):  # type: ignore[no-untyped-def]
        way = packing_way(k_stride, column_stride)

        def body(builder: Builder, *arguments: Value) -> None:
            emit_pack(builder, number, shape.columns, shape.lanes, way, *arguments)

        return outlined(f"pack_{way.value}_{number.name}_{shape.columns}", body, number, "pii pii")

    return pack_right


def pack_left_intrinsic(number: Number, shape: TileShape) -> Any:
    @intrinsic(prefer_literal=True)
    def pack_left(typing, left, row_stride, k_stride, block, k, rows):  # type: ignore[no-untyped-def]
        way = packing_way(k_stride, row_stride)

        def body(builder: Builder, left: Value, row_stride: Value, k_stride: Value, *rest: Value) -> None:
            emit_pack(builder, number, shape.rows, shape.lanes, way, left, k_stride, row_stride, *rest)

        return outlined(f"pack_left_{way.value}_{number.name}_{shape.rows}", body, number, "pii pii")

    return pack_left


def outlined(name: str, body: Body, number: Number, parameters: str) -> Any:
    """A numba signature and its code: a call of the LLVM function `name`, which `body` emits once per module.

    `parameters` has a letter for each: p a pointer to elements, i an index. Not inlined, so that a kernel with several
    products compiles one copy; internal, so that LLVM still specialises it to arguments that all its calls share.
    """
    kinds = parameters.replace(" ", "")
    pointer = types.CPointer(number.numba)
    signature = types.void(*(pointer if kind == "p" else types.int64 for kind in kinds))
    llvm = ir.FunctionType(ir.VoidType(), [number.pointer if kind == "p" else INDEX for kind in kinds])

    def emit(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        module = builder.module
        function = module.globals.get(name) or define(ir.Function(module, llvm, name), body)
        builder.call(function, arguments)
        return context.get_dummy_value()

    return signature, emit


def define(function: ir.Function, body: Body) -> ir.Function:
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = Builder(function.append_basic_block("entry"))
    body(builder, *function.args)
    builder.ret_void()
    return function


# --- the tile ------------------------------------------------------------------------------------------------------


def emit_tile(builder: Builder, number: Number, shape: TileShape, onto: bool, *arguments: Value) -> None:
    """Chooses the smallest of the shape's cuts that holds the rows and columns, and emits the code of each."""
    *operands, rows, columns = arguments

    def choose(cuts: tuple[TileShape, ...]) -> None:
        first, *rest = cuts
        if not rest:
            emit_sums(builder, number, first, shape.columns, onto, *operands, rows)
            return
        fits = builder.and_(
            builder.icmp_signed("<=", rows, INDEX(first.rows)), builder.icmp_signed("<=", columns, INDEX(first.columns))
        )
        with builder.if_else(fits) as (then, otherwise):
            with then:
                choose((first,))
            with otherwise:
                choose(tuple(rest))

    choose(shape.cuts)


def emit_sums(
    builder: Builder,
    number: Number,
    cut: TileShape,
    acc_stride: int,
    onto: bool,
    left: Value,
    row_stride: Value,
    k_stride: Value,
    right: Value,
    right_stride: Value,
    k: Value,
    acc: Value,
    rows: Value,
) -> None:
    """The sums of one cut, in registers for all k; a row beyond the last valid one reads the last again."""
    last = builder.sub(rows, INDEX(1))
    lefts = [builder.gep(left, [builder.mul(minimum(builder, INDEX(r), last), row_stride)]) for r in range(cut.rows)]
    places = [r * acc_stride + v * cut.lanes for r in range(cut.rows) for v in range(cut.vectors)]
    multiply_add = multiply_adder(builder, number, cut)

    def step(p: Value, sums: list[Value]) -> list[Value]:
        panel_row = builder.gep(right, [builder.mul(p, right_stride)])
        rights = [load(builder, number, cut.lanes, panel_row, INDEX(v * cut.lanes)) for v in range(cut.vectors)]
        from_left = builder.mul(p, k_stride)
        values = (splat(builder, builder.load(builder.gep(row, [from_left])), cut.lanes) for row in lefts)
        pairs = [(value, across) for value in values for across in rights]
        return [multiply_add(value, across, sum_) for (value, across), sum_ in zip(pairs, sums, strict=True)]

    zero = ir.Constant(number.vector(cut.lanes), [0.0] * cut.lanes)
    initial = [load(builder, number, cut.lanes, acc, INDEX(place)) if onto else zero for place in places]
    for place, total in zip(places, fold(builder, INDEX(0), k, 1, initial, step), strict=True):
        store(builder, number, total, acc, INDEX(place))


def multiply_adder(builder: Builder, number: Number, shape: TileShape) -> Callable[[Value, Value, Value], Value]:
    """x * y + z on vectors, in exactly one way: fused, or multiplied and added.

    The flag keeps numba from adding the kernel's own fast-math flags, under which LLVM may change the order of the sum:
    numba leaves instructions alone that have one.
    """
    if not shape.fused:
        return lambda x, y, z: builder.fadd(builder.fmul(x, y, flags=["nsz"]), z, flags=["nsz"])
    vector = number.vector(shape.lanes)
    kind = ir.FunctionType(vector, [vector] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{shape.lanes}{number.name}")
    return lambda x, y, z: builder.call(fma, [x, y, z])


# --- packing -------------------------------------------------------------------------------------------------------


class Way(Enum):
    """How a side lies in memory: rows of k contiguous, columns of k contiguous, or known only when the kernel runs."""

    COPY = "copy"
    TURN = "turn"
    ANY = "any"


def packing_way(k_stride: Any, stride: Any) -> Way:
    """From the numba types of the strides, where the kernel's source has them as constants."""
    if getattr(stride, "literal_value", None) == 1:
        return Way.COPY
    return Way.TURN if getattr(k_stride, "literal_value", None) == 1 else Way.ANY


def emit_pack(
    builder: Builder,
    number: Number,
    width: int,
    lanes: int,
    way: Way,
    source: Value,
    k_stride: Value,
    stride: Value,
    target: Value,
    k: Value,
    count: Value,
) -> None:
    """target[p*width + t] = source[p*k_stride + t*stride] for t < count, 0 up to `width`."""

    def copy() -> None:
        copy_rows(builder, number, width, lanes, source, k_stride, target, k, count)

    def turn() -> None:
        turn_columns(builder, number, width, lanes, source, k_stride, stride, target, k, count)

    if way is Way.COPY:
        copy()
    elif way is Way.TURN:
        turn()
    else:
        with builder.if_else(builder.icmp_signed("==", stride, INDEX(1))) as (contiguous, strided):
            with contiguous:
                copy()
            with strided:
                turn()


def copy_rows(
    builder: Builder,
    number: Number,
    width: int,
    lanes: int,
    source: Value,
    k_stride: Value,
    target: Value,
    k: Value,
    count: Value,
) -> None:
    """Contiguous rows, vector by vector; masked where fewer than `width` are valid."""
    starts = range(0, width, lanes)
    sizes = [min(lanes, width - start) for start in starts]

    def copy(loads: list[Callable[[Value], Value]]) -> None:
        def step(p: Value, _: list[Value]) -> list[Value]:
            row, packed = (
                builder.gep(source, [builder.mul(p, k_stride)]),
                builder.gep(target, [builder.mul(p, INDEX(width))]),
            )
            for start, load_from in zip(starts, loads, strict=True):
                store(builder, number, load_from(builder.gep(row, [INDEX(start)])), packed, INDEX(start))
            return []

        fold(builder, INDEX(0), k, 1, [], step)

    with builder.if_else(builder.icmp_signed("==", count, INDEX(width))) as (whole, part):
        with whole:
            copy([lambda place, size=size: load(builder, number, size, place, INDEX(0)) for size in sizes])
        with part:
            copy(
                [
                    masked_load(builder, number, size, builder.sub(count, INDEX(start)))
                    for start, size in zip(starts, sizes, strict=True)
                ]
            )


def turn_columns(
    builder: Builder,
    number: Number,
    width: int,
    lanes: int,
    source: Value,
    k_stride: Value,
    stride: Value,
    target: Value,
    k: Value,
    count: Value,
) -> None:
    """Blocks of side x side turned in registers where k is contiguous, single elements at the edges and elsewhere.

    A cache line of k at a time, for each group of columns: the lines of few columns are read to their end before the
    next are fetched, which a power-of-two stride would otherwise drive out of the cache.
    """
    side = min(4, lanes)
    line = 64 // number.nbytes
    blocked = builder.icmp_signed("==", k_stride, INDEX(1))
    k_blocks = builder.select(blocked, builder.and_(k, INDEX(-side)), INDEX(0))
    t_blocks = builder.select(blocked, builder.and_(count, INDEX(-side)), INDEX(0))

    def block(p: Value, t: Value) -> None:
        corner = builder.add(p, builder.mul(t, stride))
        vectors = [
            load(builder, number, side, source, builder.add(corner, builder.mul(stride, INDEX(i)))) for i in range(side)
        ]
        packed = builder.add(builder.mul(p, INDEX(width)), t)
        for i, vector in enumerate(turned(builder, vectors)):
            store(builder, number, vector, target, builder.add(packed, INDEX(i * width)))

    def element(p: Value, t: Value) -> None:
        value = builder.load(builder.gep(source, [builder.add(builder.mul(p, k_stride), builder.mul(t, stride))]))
        builder.store(value, builder.gep(target, [builder.add(builder.mul(p, INDEX(width)), t)]))

    def clear(p: Value, t: Value) -> None:
        builder.store(
            ir.Constant(number.llvm, 0.0), builder.gep(target, [builder.add(builder.mul(p, INDEX(width)), t)])
        )

    nothing = INDEX(0)
    with loop(builder, nothing, k_blocks, line) as p0:
        stop = minimum(builder, k_blocks, builder.add(p0, INDEX(line)))
        with loop(builder, nothing, t_blocks, side) as t, loop(builder, p0, stop, side) as p:
            block(p, t)
    with loop(builder, k_blocks, k) as p, loop(builder, nothing, t_blocks) as t:
        element(p, t)
    with loop(builder, nothing, k) as p:
        with loop(builder, t_blocks, count) as t:
            element(p, t)
        with loop(builder, count, INDEX(width)) as t:
            clear(p, t)


def turned(builder: Builder, rows: list[Value]) -> list[Value]:
    """The columns of a square of vectors, by interleaving halves: rows i and i + side/2, once for every power of two."""
    side = len(rows)
    low = [lane for i in range(side // 2) for lane in (i, i + side)]
    high = [lane + side // 2 for lane in low]
    distance = 1
    while distance < side:
        pairs = list(zip(rows[: side // 2], rows[side // 2 :], strict=True))
        rows = [shuffle(builder, a, b, lanes) for a, b in pairs for lanes in (low, high)]
        distance *= 2
    return rows


# --- pieces of LLVM code -------------------------------------------------------------------------------------------


def fold(
    builder: Builder,
    start: Value,
    stop: Value,
    stride: int,
    initial: list[Value],
    step: Callable[[Value, list[Value]], list[Value]],
) -> list[Value]:
    """The values after step(index, values) for every index from start to stop, held in registers."""
    entry, body, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("<", start, stop), body, done)
    builder.position_at_end(body)
    index, carried = builder.phi(INDEX), [builder.phi(value.type) for value in initial]
    updated = step(index, carried)
    following = builder.add(index, INDEX(stride), flags=["nsw"])
    builder.cbranch(builder.icmp_signed("<", following, stop), body, done)
    last = builder.block
    builder.position_at_end(done)
    totals = [builder.phi(value.type) for value in initial]
    for phi, first, then in zip(
        [index, *carried, *totals], [start, *initial, *initial], [following, *updated, *updated], strict=True
    ):
        phi.add_incoming(first, entry)
        phi.add_incoming(then, last)
    return totals


@contextmanager
def loop(builder: Builder, start: Value, stop: Value, stride: int = 1) -> Iterator[Value]:
    """A loop around the code that the `with` body emits; yields the index."""
    entry, body, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("<", start, stop), body, done)
    builder.position_at_end(body)
    index = builder.phi(INDEX)
    index.add_incoming(start, entry)
    yield index
    following = builder.add(index, INDEX(stride), flags=["nsw"])
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, stop), body, done)
    builder.position_at_end(done)


def minimum(builder: Builder, a: Value, b: Value) -> Value:
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def splat(builder: Builder, value: Value, lanes: int) -> Value:
    single = builder.insert_element(
        ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, ir.IntType(32)(0)
    )
    return shuffle(builder, single, single, [0] * lanes)


def shuffle(builder: Builder, a: Value, b: Value, lanes: list[int]) -> Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


def load(builder: Builder, number: Number, lanes: int, pointer: Value, offset: Value) -> Value:
    value = builder.load(vector_pointer(builder, number, lanes, pointer, offset))
    value.align = number.nbytes
    return value


def store(builder: Builder, number: Number, value: Value, pointer: Value, offset: Value) -> None:
    builder.store(value, vector_pointer(builder, number, value.type.count, pointer, offset)).align = number.nbytes


def masked_load(builder: Builder, number: Number, lanes: int, valid: Value) -> Callable[[Value], Value]:
    """A load of the first `valid` lanes, zero in the others; memory beyond is not touched."""
    vector, numbers, bits = number.vector(lanes), ir.VectorType(INDEX, lanes), ir.VectorType(ir.IntType(1), lanes)
    mask = builder.icmp_signed("<", ir.Constant(numbers, list(range(lanes))), splat(builder, valid, lanes))
    kind = ir.FunctionType(vector, [vector.as_pointer(), ir.IntType(32), bits, vector])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{lanes}{number.name}.p0")
    zero, alignment = ir.Constant(vector, [0.0] * lanes), ir.IntType(32)(number.nbytes)
    return lambda place: builder.call(function, [builder.bitcast(place, vector.as_pointer()), alignment, mask, zero])


def vector_pointer(builder: Builder, number: Number, lanes: int, pointer: Value, offset: Value) -> Value:
    return builder.bitcast(builder.gep(pointer, [offset]), number.vector(lanes).as_pointer())
