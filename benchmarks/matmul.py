"""Matrix products: the kernels of archspec.codegen.tiles beside NumPy's BLAS and the core's peak, one thread, GFLOP/s.

    python benchmarks/matmul.py [--dtype float64] [--rounds 40] [--shapes | --blocking]

Ours is what a training step would call: packing and the writing of every output are in it. Both sides are timed in
turns in the same run and the best of all rounds counts, so that another process on the machine disturbs neither more
than the other. `reference_kernel` is the nest of loops for the compiler to emit; `--shapes` and `--blocking` print what
its constants were chosen by.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import compiler, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import FastMathOptions
from numba.core.targetconfig import ConfigStack
from numba.extending import intrinsic

from archspec.codegen.emitter import INDEX, Emitter, Number
from archspec.codegen.machine import this_machine
from archspec.codegen.shapes import Blocking, TileShape, blocking, tile_shape
from archspec.codegen.tiles import at, primitives
from archspec.records import replace

FORWARD = [(128, 784, 512), (128, 512, 512), (128, 512, 10), (32, 64, 128), (32, 128, 10), (768, 128, 384)]
FORWARD += [(768, 128, 512), (768, 512, 128), (2048, 256, 1024), (16, 128, 512)]
ODD = [(127, 63, 33), (1, 784, 512), (7, 3, 1), (17, 17, 17), (100, 50, 65), (128, 10, 512)]
WEIGHT_GRADIENT = [(784, 128, 512), (512, 128, 512), (512, 128, 10), (64, 32, 128), (128, 768, 512), (512, 768, 128)]
WEIGHT_GRADIENT += [(512, 4096, 512), (1024, 1024, 4096)]
INPUT_GRADIENT = [(128, 512, 512), (768, 512, 128), (768, 384, 128)]
PRODUCTS = {"forward": FORWARD + ODD, "weight gradient": WEIGHT_GRADIENT, "input gradient": INPUT_GRADIENT}


# --- the kernels to emit -------------------------------------------------------------------------------------------

# Strides of k and of the other axis, for the left and the right side, from the sizes of h (M, N) = left @ right.
LAYOUTS: dict[str, Callable[[int, int, int], tuple[int, int, int, int]]] = {
    "forward": lambda M, K, N: (1, K, N, 1),  # x (M, K) @ W (K, N)
    "input gradient": lambda M, K, N: (1, K, 1, K),  # dz (M, K) @ W (N, K)^T
    "weight gradient": lambda M, K, N: (M, 1, N, 1),  # x (K, M)^T @ dz (K, N)
}


@dataclass(frozen=True)
class Kernel:
    """A kernel as the compiler would emit it, and the elements of scratch that each thread needs.

    code(left, right, h, scratch, M, K, thread, threads)
    """

    code: Callable[..., None]
    scratch: int


def reference_kernel(product: str, dtype: str, M: int, K: int, N: int, cut: Blocking | None = None) -> Kernel:
    """The loops to emit for a product. Names in capitals are constants of the emitted source, and so are the `if`s on them.

    Threads share the tiles in the order block of rows, panel, row of tiles, so that the work is even however few rows or
    columns there are; no sum is ever split between them.
    """
    shape = tile_shape(dtype, this_machine().names, M, N)
    made = primitives(dtype, shape)
    tile, tile_onto, pack_right, pack_left = made.tile, made.tile_onto, made.pack_right, made.pack_left
    MR, NR = made.MR, made.NR
    LEFT_K, LEFT_ROW, RIGHT_K, RIGHT_COLUMN = LAYOUTS[product](M, K, N)
    cut = cut or blocking(dtype, shape, K, N, left_across=LEFT_K if LEFT_ROW == 1 else 0, right_turned=RIGHT_COLUMN != 1)
    ROWS, DEPTH, PACK_LEFT, PANELS = cut.rows // MR, max(cut.depth, 1), cut.pack_left, -(-N // NR)
    DEEP = K > DEPTH
    A_ROW, A_K = (1, MR) if PACK_LEFT else (LEFT_ROW, LEFT_K)
    # Whole panels are read in place always, for no more rows of tiles than these, or never.
    IN_PLACE = 1 << 30 if cut.right_in_place else 4 if RIGHT_COLUMN == 1 else 0

    def kernel(left, right, h, scratch, M, K, thread, threads):
        panel, acc, packed = scratch, at(scratch, DEPTH * NR), at(scratch, DEPTH * NR + MR * NR)
        tiles = (M + MR - 1) // MR
        begin, end = thread * tiles * PANELS // threads, (thread + 1) * tiles * PANELS // threads
        step = min(ROWS, (tiles + threads - 1) // threads) if PACK_LEFT else ROWS
        for block in range(0, tiles, step):
            height = min(step, tiles - block)
            if block * PANELS < end and begin < (block + height) * PANELS:
                for p in range(0, max(K, 1), DEPTH):
                    depth = min(DEPTH, K - p)
                    if PACK_LEFT:
                        for i in range(block * MR, min((block + height) * MR, M), MR):
                            a = at(left, i * LEFT_ROW + p * LEFT_K)
                            pack_left(a, LEFT_ROW, LEFT_K, at(packed, (i - block * MR) * depth), depth, min(MR, M - i))
                    for j in range(0, N, NR):
                        columns = min(NR, N - j)
                        start = block * PANELS + j // NR * height
                        first, last = max(begin - start, 0), min(end - start, height)
                        if first < last:
                            b, b_k = at(right, p * RIGHT_K + j * RIGHT_COLUMN), RIGHT_K
                            if columns < NR or last - first > IN_PLACE:
                                pack_right(b, RIGHT_K, RIGHT_COLUMN, panel, depth, columns)
                                b, b_k = panel, NR
                            for i in range((block + first) * MR, min((block + last) * MR, M), MR):
                                rows = min(MR, M - i)
                                if PACK_LEFT:
                                    a = at(packed, (i - block * MR) * depth)
                                else:
                                    a = at(left, i * LEFT_ROW + p * LEFT_K)
                                if DEEP and p > 0:
                                    for r in range(rows):
                                        for t in range(columns):
                                            acc[r * NR + t] = h[(i + r) * N + j + t]
                                    tile_onto(a, A_ROW, A_K, b, b_k, depth, acc, NR, rows, columns)
                                else:
                                    tile(a, A_ROW, A_K, b, b_k, depth, acc, NR, rows, columns)
                                for r in range(rows):
                                    for t in range(columns):
                                        h[(i + r) * N + j + t] = acc[r * NR + t]

    return Kernel(kernel, cut.scratch(shape) + NR)


# --- compiling and timing ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compiled:
    """Machine code; `run(left, right, h, scratch, M, K, repeats)` calls it from compiled code, as a step's driver does."""

    run: Callable[..., None]
    scratch: int
    seconds: float
    library: Any


def compile_kernel(kernel: Kernel, dtype: str) -> Compiled:
    pointer = Number(dtype).numba_pointer
    start = time.perf_counter()
    address, library = compile_function(kernel.code, (*[pointer] * 4, *[types.int64] * 4))
    seconds = time.perf_counter() - start

    def run(left: np.ndarray, right: np.ndarray, h: np.ndarray, scratch: np.ndarray, M: int, K: int, repeats: int = 1) -> None:
        driver()(address, *(array.ctypes.data for array in (left, right, h, scratch)), M, K, repeats)

    return Compiled(run, kernel.scratch, seconds, library)


def compile_function(code: Callable[..., None], arguments: tuple[Any, ...]) -> tuple[int, Any]:
    """The address of C code for a function, with the flags of emitted kernels, and its library."""
    flags = compiler.Flags()
    flags.nrt = False
    flags.release_gil = True
    flags.noalias = True
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions({"contract", "reassoc", "nsz"})
    flags.no_cpython_wrapper = True
    target = registry.cpu_target
    with global_compiler_lock, ConfigStack().enter(flags.copy()):
        result = compiler.compile_extra(target.typing_context, target.target_context, code, arguments, types.void, flags, {})
        return result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name), result.library


@cache
def driver() -> Callable[..., None]:
    """repeat(address, left, right, h, scratch, M, K, repeats)"""

    def repeat(address, left, right, h, scratch, M, K, repeats):
        for _ in range(repeats):
            call(address, left, right, h, scratch, M, K, 0, 1)

    address, _ = compile_function(repeat, (types.int64,) * 8)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 8)(address)


@intrinsic
def call(typing, address, left, right, h, scratch, M, K, thread, threads):
    """Calls the function at `address`; pointers are passed as integers."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kind = ir.FunctionType(ir.VoidType(), [INDEX] * 8)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), emit


def aligned(size: int, dtype: str) -> np.ndarray:
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:].view(np.uint8)[: size * np.dtype(dtype).itemsize].view(dtype)


def operands(product: str, dtype: str, M: int, K: int, N: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Left and right as they lie in memory, and the views of them that NumPy multiplies."""
    random = np.random.default_rng(0)
    left_shape, right_shape = {
        "forward": ((M, K), (K, N)),
        "input gradient": ((M, K), (N, K)),
        "weight gradient": ((K, M), (K, N)),
    }[product]
    left, right = aligned(M * K, dtype).reshape(left_shape), aligned(K * N, dtype).reshape(right_shape)
    left[...], right[...] = random.standard_normal(left_shape), random.standard_normal(right_shape)
    a, b = left.T if product == "weight gradient" else left, right.T if product == "input gradient" else right
    return left, right, a, b


def fastest(functions: list[Callable[[int], object]], flops: int, rounds: int) -> list[float]:
    """Seconds of one run of each function(repeats), the best of all rounds, taking turns."""
    repeats, best = max(1, int(8e6 / flops)), [float("inf")] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            function(1)
            start = time.perf_counter()
            function(repeats)
            best[i] = min(best[i], (time.perf_counter() - start) / repeats)
    return best


def repeated(function: Callable[[], object]) -> Callable[[int], object]:
    return lambda repeats: [function() for _ in range(repeats)]


def measure(product: str, dtype: str, shape: tuple[int, int, int], cuts: Sequence[Blocking | None], rounds: int) -> list[float]:
    """GFLOP/s of BLAS, then of our kernel with each blocking (None: the one that the compiler would choose)."""
    M, K, N = shape
    left, right, a, b = operands(product, dtype, M, K, N)
    expected, runs = np.empty((M, N), dtype), []
    for cut in cuts:
        compiled = compile_kernel(reference_kernel(product, dtype, M, K, N, cut), dtype)
        arrays = left, right, aligned(M * N, dtype).reshape(M, N), aligned(compiled.scratch, dtype)
        compiled.run(*arrays, M, K)
        tolerance = 1e-4 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(arrays[2], np.matmul(a, b), rtol=tolerance, atol=tolerance * K**0.5)
        runs.append(lambda repeats, compiled=compiled, arrays=arrays: compiled.run(*arrays, M, K, repeats))
    seconds = fastest([repeated(lambda: np.matmul(a, b, out=expected)), *runs], 2 * M * K * N, rounds)
    return [2e-9 * M * K * N / one for one in seconds]


def peak(dtype: str, rounds: int) -> float:
    """GFLOP/s of the core's multiply-add units with nothing to load or store: what no kernel can pass."""
    run, flops = multiply_adds(dtype)
    [seconds] = fastest([run], flops, rounds)
    return 1e-9 * flops / seconds


def multiply_adds(dtype: str) -> tuple[Callable[[int], None], int]:
    """A function that multiplies and adds in registers, again and again; and how many operations one time is."""
    shape, steps, chains = tile_shape(dtype, this_machine().names), 1 << 16, 12

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        e = Emitter(builder, Number(dtype))
        multiply_add, x = e.multiply_add(shape), e.load(shape.lanes, arguments[0])
        sums = e.fold(arguments[1], [x] * chains, lambda _, sums: [multiply_add(x, x, one) for one in sums])
        for i, total in enumerate(sums):
            e.store(total, e.shifted(arguments[0], INDEX(i * shape.lanes)))
        return context.get_dummy_value()

    @intrinsic
    def in_registers(typing, pointer, count):
        return types.void(pointer, types.int64), emit

    def kernel(left, right, h, scratch, M, K, thread, threads):
        in_registers(scratch, K)

    compiled = compile_kernel(Kernel(kernel, chains * shape.lanes), dtype)
    scratch = aligned(compiled.scratch, dtype)
    return lambda repeats: compiled.run(*[scratch] * 4, 0, steps, repeats), 2 * steps * chains * shape.lanes


# --- the tables ----------------------------------------------------------------------------------------------------


def without_blas_settings() -> None:
    """Starts again where the environment forces BLAS to other kernels or threads: both are read when it loads."""
    if "OPENBLAS_CORETYPE" in os.environ or os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment | {"OPENBLAS_NUM_THREADS": "1"})


def print_products(dtype: str, rounds: int) -> None:
    print(f"{dtype}, {tile_shape(dtype, this_machine().names)}, peak {peak(dtype, rounds):.0f} GFLOP/s")
    for product, shapes in PRODUCTS.items():
        print(f"{product:<24}{'ours':>8}{'BLAS':>8}{'ratio':>8}")
        for shape in shapes:
            blas, ours = measure(product, dtype, shape, [None], rounds)
            print(f"  {name_of(shape):<22}{ours:8.1f}{blas:8.1f}{ours / blas:8.2f}", flush=True)


DEEP_CUTS = ((128, 1 << 16, True), (512, 256, True), (512, 256, False))


def print_blockings(dtype: str, rounds: int) -> None:
    """Every blocking for every product: what `tiles.blocking` was chosen by."""
    for product, shapes in PRODUCTS.items():
        turned = product == "input gradient"
        cuts = [Blocking(512, 1 << 16, in_place, False) for in_place in ([False] if turned else [False, True])]
        if product == "weight gradient":
            cuts += [Blocking(rows, depth, False, True) for rows, depth in ((128, 1 << 16), (256, 256), (512, 256))]
            cuts += [Blocking(rows, depth, True, packed) for rows, depth, packed in DEEP_CUTS]
        print(f"{product}: BLAS, chosen", *cuts, sep="\n  ")
        for shape in shapes:
            at_most = [replace(cut, depth=min(cut.depth, shape[1])) for cut in cuts]
            figures = measure(product, dtype, shape, [None, *at_most], rounds)
            print(f"  {name_of(shape):<22}", *(f"{figure:7.1f}" for figure in figures), flush=True)


def print_shapes(dtype: str, rounds: int) -> None:
    """Tiles of many shapes on a packed panel: what `tiles.tile_shape` was chosen by.

    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2,+fma,+avx,+sse4.2,+bmi2,+popcnt measures another vector unit.
    """
    lanes, fused = tile_shape(dtype, this_machine().names).lanes, tile_shape(dtype, this_machine().names).fused
    print(f"{dtype}, {lanes} lanes, peak {peak(dtype, rounds):.0f} GFLOP/s; k = 128, 512")
    for rows, vectors in [(4, 2), (6, 2), (8, 2), (10, 2), (12, 2), (4, 3), (8, 3), (4, 4), (6, 1), (8, 1), (12, 1), (16, 1)]:
        figures = [tile_alone(dtype, TileShape(rows, vectors, lanes, fused), K, rounds) for K in (128, 512)]
        print(f"  {rows:2} x {vectors}", *(f"{figure:7.1f}" for figure in figures), flush=True)


def tile_alone(dtype: str, shape: TileShape, K: int, rounds: int) -> float:
    made = primitives(dtype, shape)
    tile, MR, NR = made.tile, made.MR, made.NR

    def kernel(left, right, h, scratch, M, K, thread, threads):
        for i in range(0, M, MR):
            tile(at(left, i * K), K, 1, right, NR, K, scratch, NR, MR, NR)

    M = 48 // MR * MR
    compiled = compile_kernel(Kernel(kernel, MR * NR), dtype)
    left, right, scratch = (aligned(size, dtype) for size in (M * K, K * NR, MR * NR))
    flops = 2 * M * K * NR
    [seconds] = fastest([lambda repeats: compiled.run(left, right, scratch, scratch, M, K, repeats)], flops, rounds)
    return 1e-9 * flops / seconds


def name_of(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--shapes", dest="table", action="store_const", const=print_shapes, default=print_products)
    parser.add_argument("--blocking", dest="table", action="store_const", const=print_blockings)
    options = parser.parse_args()
    options.table(options.dtype, options.rounds)


if __name__ == "__main__":
    without_blas_settings()
    main()
