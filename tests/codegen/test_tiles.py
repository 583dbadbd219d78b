"""The register tiles against plain sums, bit for bit against each other, and between pages that cannot be read."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import cfunc, types

from archspec.codegen.machine import this_machine
from archspec.codegen.shapes import VECTOR_UNITS, TileShape, VectorUnit, blocking, tile_shape
from archspec.codegen.tiles import at, primitives
from archspec.ir.sizes import Size
from archspec.plan.products import whole_panels

Array = np.ndarray[Any, np.dtype[Any]]

FEATURES = this_machine().names
FUSED = tile_shape("float32", FEATURES).fused
SHAPES = {
    "wide": ("float32", tile_shape("float32", FEATURES)),
    "narrow": ("float32", tile_shape("float32", FEATURES, columns=1)),
    "few-rows": ("float32", tile_shape("float32", FEATURES, rows=1)),
    "wide-f64": ("float64", tile_shape("float64", FEATURES)),
    "avx2": ("float32", TileShape(rows=6, vectors=2, lanes=8, fused=FUSED)),
    "sse2-f64": ("float64", TileShape(rows=4, vectors=2, lanes=2, fused=False)),
}
every_shape = pytest.mark.parametrize(("dtype", "shape"), SHAPES.values(), ids=SHAPES)


# --- the primitives as C functions ---------------------------------------------------------------------------------


@cache
def tile(dtype: str, shape: TileShape, onto: bool = False) -> Callable[..., None]:
    chosen = primitives(dtype, shape).tile_onto if onto else primitives(dtype, shape).tile

    width = shape.columns

    def code(left, row_stride, k_stride, right, right_stride, k, acc, rows, columns):
        chosen(at(left, 0), row_stride, k_stride, right, right_stride, k, acc, width, rows, columns)

    return c_function(code, dtype, "pii pii pii")


@cache
def pack(dtype: str, shape: TileShape, side: str, constant: str) -> Callable[..., None]:
    """pack(source, first stride, second stride, target, k, count), one of the strides a constant 1, or none."""
    chosen = primitives(dtype, shape).pack_right if side == "right" else primitives(dtype, shape).pack_left

    def neither(source, first, second, target, k, count):
        chosen(source, first, second, target, k, count)

    def first_one(source, first, second, target, k, count):
        chosen(source, 1, second, target, k, count)

    def second_one(source, first, second, target, k, count):
        chosen(source, first, 1, target, k, count)

    code = {"neither": neither, "first": first_one, "second": second_one}[constant]
    return c_function(code, dtype, "pii pii")


def c_function(code: Callable[..., None], dtype: str, parameters: str) -> Callable[..., None]:
    """Compiled with fast-math flags, as emitted kernels are; arrays are passed by address."""
    kinds = parameters.replace(" ", "")
    pointer = types.CPointer(getattr(types, dtype))
    table = types.CPointer(types.int64)
    signature = types.void(*({"p": pointer, "t": table}.get(kind, types.int64) for kind in kinds))
    compiled = cfunc(signature, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})(code)
    prototype = ctypes.CFUNCTYPE(None, *(ctypes.c_int64 if kind == "i" else ctypes.c_void_p for kind in kinds))
    function = prototype(compiled.address)

    def call(*arguments: Array | int) -> None:
        function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))
        assert compiled is not None  # it owns the code

    return call


def strides(matrix: Array) -> tuple[int, int]:
    return matrix.strides[0] // matrix.itemsize, matrix.strides[1] // matrix.itemsize


def tiled(dtype: str, shape: TileShape, left: Array, right: Array, onto: Array | None = None) -> Array:
    """The tile's product of a left side of at most MR rows and a right side that is a panel or as wide as one."""
    rows, columns = left.shape[0], right.shape[1]
    acc = np.full(shape.rows * shape.columns + 16, np.nan, dtype)
    if onto is not None:
        acc[:-16].reshape(shape.rows, shape.columns)[:rows, :columns] = onto
    right_stride = strides(right)[0]
    k = left.shape[1]
    tile(dtype, shape, onto is not None)(left, *strides(left), right, right_stride, k, acc, rows, columns)
    assert np.isnan(acc[-16:]).all()
    return acc[:-16].reshape(shape.rows, shape.columns)[:rows, :columns].copy()


def packed(dtype: str, shape: TileShape, right: Array) -> Array:
    k, columns = right.shape
    panel = np.full((k, shape.columns), np.nan, dtype)
    pack(dtype, shape, "right", "neither")(right, *strides(right), panel, k, columns)
    return panel


def whole_numbers(random: np.random.Generator, dtype: str, *shape: int) -> Array:
    """Their sums of products are exact in any order."""
    return random.integers(-8, 9, shape).astype(dtype)


def layouts(matrix: Array) -> list[Array]:
    """The same matrix with rows contiguous, with columns contiguous, and with neither."""
    rows, columns = matrix.shape
    spread = np.full((2 * rows + 1, 3 * columns + 2), np.nan, matrix.dtype)[: 2 * rows : 2, : 3 * columns : 3]
    spread[...] = matrix
    return [np.ascontiguousarray(matrix), np.asfortranarray(matrix), spread]


# --- values --------------------------------------------------------------------------------------------------------


@every_shape
def test_a_tile_is_the_product(dtype: str, shape: TileShape) -> None:
    random = np.random.default_rng(1)
    for rows in range(1, shape.rows + 1):
        for k in (0, 1, 2, 3, 7, 64):
            columns = int(random.integers(1, shape.columns + 1))
            left, right = whole_numbers(random, dtype, rows, k), whole_numbers(random, dtype, k, columns)
            for a in layouts(left):
                for b in layouts(right):
                    product = tiled(dtype, shape, a, packed(dtype, shape, b)[:, :columns])
                    np.testing.assert_array_equal(product, left.astype(np.float64) @ right.astype(np.float64))


@every_shape
def test_sums_are_as_exact_as_their_type(dtype: str, shape: TileShape) -> None:
    random = np.random.default_rng(2)
    left, right = random.standard_normal((shape.rows, 300)), random.standard_normal((300, shape.columns))
    product = tiled(dtype, shape, left.astype(dtype), right.astype(dtype))
    tolerance = 300 * np.finfo(dtype).eps
    np.testing.assert_allclose(product, left @ right, rtol=0, atol=tolerance * np.abs(left).max() * np.abs(right).max())


def test_without_fma_every_step_is_a_product_and_a_sum_in_order() -> None:
    dtype, shape = SHAPES["sse2-f64"]
    random = np.random.default_rng(3)
    left, right = random.standard_normal((shape.rows, 50)), random.standard_normal((50, shape.columns))
    expected = np.zeros((shape.rows, shape.columns))
    for p in range(50):
        expected = expected + left[:, p : p + 1] * right[p]
    np.testing.assert_array_equal(tiled(dtype, shape, left, right), expected)


# --- bits ----------------------------------------------------------------------------------------------------------


@every_shape
def test_bits_do_not_depend_on_how_rows_and_columns_are_cut(dtype: str, shape: TileShape) -> None:
    random = np.random.default_rng(4)
    left = random.standard_normal((shape.rows, 129)).astype(dtype)
    right = random.standard_normal((129, 2 * shape.columns)).astype(dtype)[:, : shape.columns]
    whole = tiled(dtype, shape, left, right)
    panel = packed(dtype, shape, right)
    for first in range(shape.rows):
        for rows in range(1, shape.rows - first + 1):
            part = left[first : first + rows]
            np.testing.assert_array_equal(tiled(dtype, shape, part, panel), whole[first : first + rows])
            np.testing.assert_array_equal(tiled(dtype, shape, np.asfortranarray(part), right), whole[first : first + rows])
    for columns in range(1, shape.columns + 1):
        edge = packed(dtype, shape, right[:, :columns])[:, :columns]
        np.testing.assert_array_equal(tiled(dtype, shape, left, edge), whole[:, :columns])
        np.testing.assert_array_equal(tiled(dtype, shape, left[:1], edge), whole[:1, :columns])


@every_shape
def test_bits_do_not_depend_on_how_k_is_cut(dtype: str, shape: TileShape) -> None:
    random = np.random.default_rng(5)
    left = random.standard_normal((shape.rows, 100)).astype(dtype)
    right = random.standard_normal((100, shape.columns)).astype(dtype)
    for rows in (1, shape.rows):
        whole = tiled(dtype, shape, left[:rows], right)
        for cut in (1, 17, 64, 100):
            sums = tiled(dtype, shape, left[:rows, :cut], right[:cut])
            sums = tiled(dtype, shape, left[:rows, cut:], right[cut:], onto=sums)
            np.testing.assert_array_equal(sums, whole)


# --- packing -------------------------------------------------------------------------------------------------------


@every_shape
@pytest.mark.parametrize("side", ["right", "left"])
def test_packing(dtype: str, shape: TileShape, side: str) -> None:
    """For each layout, with the strides known when compiled and not; the panel ends where it should."""
    width = shape.columns if side == "right" else shape.rows
    random = np.random.default_rng(6)
    for k in (0, 1, 3, 4, 5, 16, 17, 35):
        for count in {1, 2, 3, 5, width // 2, width - 1, width} & set(range(1, width + 1)):
            matrix = random.standard_normal((k, count)).astype(dtype)
            expected = np.zeros((k, width), dtype)
            expected[:, :count] = matrix
            for layout in layouts(matrix):
                k_stride, stride = strides(layout)
                first, second = (k_stride, stride) if side == "right" else (stride, k_stride)
                constants = ["neither", *(["first"] if first == 1 else []), *(["second"] if second == 1 else [])]
                for constant in constants:
                    panel = np.full((k + 1, width), np.nan, dtype)
                    pack(dtype, shape, side, constant)(layout, first, second, panel, k, count)
                    np.testing.assert_array_equal(panel[:k], expected)
                    assert np.isnan(panel[k]).all()


@every_shape
def test_a_packed_left_side_gives_the_same_bits(dtype: str, shape: TileShape) -> None:
    random = np.random.default_rng(7)
    left = random.standard_normal((shape.rows, 33)).astype(dtype)
    right = random.standard_normal((33, shape.columns)).astype(dtype)
    for rows in range(1, shape.rows + 1):
        block = np.empty((33, shape.rows), dtype)
        pack(dtype, shape, "left", "neither")(left, *strides(left), block, 33, rows)
        np.testing.assert_array_equal(tiled(dtype, shape, block.T[:rows], right), tiled(dtype, shape, left[:rows], right))


@cache
def pack_at(dtype: str, shape: TileShape) -> Callable[..., None]:
    chosen = primitives(dtype, shape).pack_left_at

    def code(left, rows_at, steps_at, block, k, rows):
        chosen(at(left, 0), rows_at, steps_at, block, k, rows)

    return c_function(code, dtype, "ptt pii")


@pytest.mark.parametrize("beside", [True, False])
@every_shape
def test_a_left_side_is_packed_by_tables(dtype: str, shape: TileShape, beside: bool) -> None:
    """Rows that lie side by side, and rows that lie anywhere; the steps always do."""
    random = np.random.default_rng(9)
    left = random.standard_normal(500).astype(dtype)
    for rows, k in [(1, 1), (shape.rows - 1, 7), (shape.rows, 33)]:
        rows_at = np.arange(rows) + 3 if beside else random.integers(0, 200, rows)
        steps_at = random.integers(0, 250, k)
        block = np.full((k + 1, shape.rows), np.nan, dtype)
        pack_at(dtype, shape)(left, rows_at, steps_at, block, k, rows)
        np.testing.assert_array_equal(block[:k, :rows], left[steps_at[:, None] + rows_at])
        assert np.isnan(block[k]).all()


# --- memory --------------------------------------------------------------------------------------------------------


def between_pages(values: Array, at_end: bool) -> Array:
    """A copy in memory of its own that begins, or ends, at a page whose reading ends the process."""
    pages = -(-max(values.nbytes, 1) // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
    address = np.frombuffer(memory, np.uint8).ctypes.data
    for page in (0, pages + 1):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + page * mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
    start = (pages + 1) * mmap.PAGESIZE - values.nbytes if at_end else mmap.PAGESIZE
    array = np.frombuffer(memory, values.dtype, values.size, start).reshape(values.shape)
    array[...] = values
    return array


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
@pytest.mark.parametrize("at_end", [False, True])
@every_shape
def test_nothing_outside_the_operands_is_read(dtype: str, shape: TileShape, at_end: bool) -> None:
    random = np.random.default_rng(8)
    for rows, k, columns in [(1, 1, 1), (2, 5, shape.columns), (shape.rows, 18, shape.columns), (2, 7, shape.columns - 1)]:
        left, right = whole_numbers(random, dtype, rows, k), whole_numbers(random, dtype, k, columns)
        turned = between_pages(right.T, at_end).T
        for b in (between_pages(right, at_end), turned):
            panel = between_pages(np.zeros((k, shape.columns), dtype), at_end)
            pack(dtype, shape, "right", "neither")(b, *strides(b), panel, k, columns)
            for a in (between_pages(left, at_end), between_pages(left.T, at_end).T):
                acc = between_pages(np.zeros((shape.rows, shape.columns), dtype), at_end)
                for product in (tile(dtype, shape), tile(dtype, shape, onto=True)):
                    acc[...] = 0
                    product(a, *strides(a), panel, shape.columns, k, acc, rows, columns)
                    np.testing.assert_array_equal(acc[:rows, :columns], left @ right)
                block = between_pages(np.zeros((k, shape.rows), dtype), at_end)
                pack(dtype, shape, "left", "neither")(a, *strides(a), block, k, rows)
                np.testing.assert_array_equal(block[:, :rows].T, left)
        if columns == shape.columns:
            b = between_pages(right, at_end)
            tile(dtype, shape)(left, *strides(left), b, columns, k, acc, rows, columns)
            np.testing.assert_array_equal(acc[:rows, :columns], left @ right)


# --- choices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "lanes", "registers", "fused"),
    [
        ({"avx512f", "avx2", "fma"}, 16, 32, True),
        ({"avx2", "fma"}, 8, 16, True),
        ({"avx2"}, 4, 16, False),
        (set(), 4, 16, False),
    ],
)
def test_tiles_fit_the_registers(features: set[str], lanes: int, registers: int, fused: bool) -> None:
    for dtype, width in (("float32", lanes), ("float64", lanes // 2)):
        for shape in (tile_shape(dtype, features, m, n) for m in (1, 100, None) for n in (1, 100, None)):
            assert (shape.lanes, shape.fused) == (width, fused)
            assert shape.rows * shape.vectors + shape.vectors + 1 <= registers


def test_few_columns_take_one_vector_and_few_rows_four() -> None:
    assert tile_shape("float32", {"avx512f"}, columns=10) == TileShape(8, 1, 16)
    assert tile_shape("float64", {"avx512f"}, columns=10) == TileShape(8, 2, 8)
    assert tile_shape("float32", {"avx512f"}, rows=1, columns=100) == TileShape(4, 4, 16)


def test_only_a_left_side_with_a_page_between_its_steps_is_packed() -> None:
    shape = TileShape(8, 2, 16)
    assert not blocking("float32", shape, 512, 512, left_across=0, right_turned=False).pack_left
    assert not blocking("float32", shape, 4096, 512, left_across=512, right_turned=False).pack_left
    gradient = blocking("float32", shape, 4096, 512, left_across=1024, right_turned=False)
    assert gradient.pack_left and gradient.depth < 4096
    assert gradient.scratch(shape) >= gradient.rows * gradient.depth


@pytest.mark.parametrize("unit", VECTOR_UNITS, ids=lambda unit: "-".join(sorted(unit.features)) or "plain")
def test_a_room_for_panels_holds_those_of_every_tile(unit: VectorUnit) -> None:
    """A plan makes room for panels before it is known which machine cuts them."""
    for dtype in ("float32", "float64"):
        for rows, columns in itertools.product((1, 5, 100, None), (1, 7, 40, 100, None)):
            width = tile_shape(dtype, unit.features, rows, columns).columns
            for n in (1, 63, 64, 65, 130):
                assert -(-n // width) * width <= whole_panels(Size.number(n)).constant
            open_end = whole_panels(Size.symbol("H")).evaluate({"H": 65})
            assert open_end is not None and -(-65 // width) * width <= open_end
