"""Matrix products: the kernels of archspec.codegen.tiles beside NumPy's BLAS and the core's peak, one thread, GFLOP/s.

    python benchmarks/matmul.py [--dtype float64] [--only forward] [--rounds 60] [--compile] [--shapes]

Ours is what a training step would call: packing and the writing of every output are in it. Both sides are timed in turns in the same
run and the best of all rounds counts, so that another process on the machine disturbs neither more than the other.

`reference_kernel` is the order of loops for the compiler to emit; the numbers it rests on are printed by `--choices`.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import compiler, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import FastMathOptions
from numba.core.targetconfig import ConfigStack
from numba.extending import intrinsic

from archspec.codegen import tiles
from archspec.codegen.tiles import TileShape, at, host_features, primitives, tile_shape

FORWARD = [(128, 784, 512), (128, 512, 512), (128, 512, 10), (32, 64, 128), (32, 128, 10), (768, 128, 384)]
FORWARD += [(768, 128, 512), (768, 512, 128), (2048, 256, 1024), (16, 128, 512)]
ODD = [(127, 63, 33), (1, 784, 512), (7, 3, 1), (17, 17, 17), (100, 50, 65), (128, 10, 512)]
WEIGHT_GRADIENT = [(784, 128, 512), (512, 128, 512), (512, 128, 10), (64, 32, 128), (128, 768, 512), (512, 768, 128)]
WEIGHT_GRADIENT += [(512, 4096, 512), (1024, 1024, 4096)]
INPUT_GRADIENT = [(128, 512, 512), (768, 512, 128), (768, 384, 128)]
PRODUCTS = {"forward": FORWARD + ODD, "weight gradient": WEIGHT_GRADIENT, "input gradient": INPUT_GRADIENT}


# --- the kernels to emit -------------------------------------------------------------------------------------------

FITS_CACHE = 2 << 20  # bytes of a right side that is quicker read in place than packed


@dataclass(frozen=True)
class Kernel:
    """A kernel as the compiler would emit it, and the elements of scratch that each thread needs.

    code(left, right, h, scratch, batch, thread, threads); batch is the size that is not known before the call.
    """

    code: Callable[..., None]
    scratch: int


def reference_kernel(product: str, dtype: str, M: int, K: int, N: int) -> Kernel:
    """The loops for h (M, N) = left @ right.

    forward          x (M, K), W (K, N)    panel by panel, rows within; W in place while it stays in the cache, else packed
    input gradient   dz (M, K), W (N, K)   the same, W always packed: its panels are turned
    weight gradient  x (K, M), dz (K, N)   the same for a block of x's columns, which is packed where many panels read it;
                                           a long batch in blocks, the sums so far kept in h
    """
    if product != "weight gradient":
        return rows_by_panel(dtype, K, N, turned=product == "input gradient")
    if tile_shape(dtype, host_features(), N).vectors == 1:
        return turned_weight_gradient(dtype, M, K, N)
    return weight_gradient(dtype, M, K, N)


def rows_by_panel(dtype: str, K: int, N: int, turned: bool) -> Kernel:
    """Forward and input gradients; the batch is M.

    Threads share the tiles in the order block of rows, panel, row of tiles. A block of 512 rows stays in the second cache
    for all panels.
    """
    tile, _, pack_right, _, MR, NR = primitives(dtype, tile_shape(dtype, host_features(), N))
    LANES = tile_shape(dtype, host_features()).lanes
    BLOCK, PANELS = 512 // MR, -(-N // NR)
    K_STRIDE, N_STRIDE = (1, K) if turned else (N, 1)
    IN_PLACE = not turned and K * N * np.dtype(dtype).itemsize <= FITS_CACHE

    def kernel(x, W, h, scratch, M, thread, threads):
        panel, acc = scratch, at(scratch, K * NR)
        tiles = (M + MR - 1) // MR
        begin, end = thread * tiles * PANELS // threads, (thread + 1) * tiles * PANELS // threads
        for block in range(0, tiles, BLOCK):
            height = min(BLOCK, tiles - block)
            for j in range(0, N, NR):
                start = block * PANELS + j // NR * height
                first, last = max(begin - start, 0), min(end - start, height)
                if first < last:
                    columns = min(NR, N - j)
                    if IN_PLACE and columns % LANES == 0:
                        right, right_stride = at(W, j), N
                    else:
                        pack_right(at(W, j * N_STRIDE), K_STRIDE, N_STRIDE, panel, K, columns)
                        right, right_stride = panel, NR
                    for i in range((block + first) * MR, min((block + last) * MR, M), MR):
                        rows = min(MR, M - i)
                        tile(at(x, i * K), K, 1, right, right_stride, K, acc, rows, columns)
                        for r in range(rows):
                            for t in range(columns):
                                h[(i + r) * N + j + t] = acc[r * NR + t]

    return Kernel(kernel, K * NR + MR * NR)


def weight_gradient(dtype: str, M: int, K: int, N: int) -> Kernel:
    """x^T @ dz; the batch is K.

    Threads share the tiles in the order block of x's columns, panel, row of tiles; the blocks are small enough for each thread to
    have one. A block of x stays in the second cache for all panels.
    """
    tile, tile_onto, pack_right, pack_left, MR, NR = primitives(dtype, tile_shape(dtype, host_features(), N))
    LANES = tile_shape(dtype, host_features()).lanes
    TILES, PANELS = -(-M // MR), -(-N // NR)
    DEPTH, WIDTH = (K, 128) if K <= 1024 else (256, 256)
    PACK_LEFT = PANELS >= 8 or K > DEPTH
    IN_PLACE = K * N * np.dtype(dtype).itemsize <= FITS_CACHE

    def kernel(x, dz, h, scratch, K, thread, threads):
        panel, acc, packed = scratch, at(scratch, DEPTH * NR), at(scratch, DEPTH * NR + MR * NR)
        begin, end = thread * TILES * PANELS // threads, (thread + 1) * TILES * PANELS // threads
        BLOCK = min(WIDTH // MR, (TILES + threads - 1) // threads)
        for block in range(0, TILES, BLOCK):
            height = min(BLOCK, TILES - block)
            if begin < (block + height) * PANELS and block * PANELS < end:
                for p in range(0, K, DEPTH):
                    depth = min(DEPTH, K - p)
                    if PACK_LEFT:
                        for i in range(block * MR, min((block + height) * MR, M), MR):
                            pack_left(at(x, p * M + i), 1, M, at(packed, (i - block * MR) * depth), depth, min(MR, M - i))
                    for j in range(0, N, NR):
                        start = block * PANELS + j // NR * height
                        first, last = max(begin - start, 0), min(end - start, height)
                        if first < last:
                            columns = min(NR, N - j)
                            if IN_PLACE and columns % LANES == 0:
                                right, right_stride = at(dz, p * N + j), N
                            else:
                                pack_right(at(dz, p * N + j), N, 1, panel, depth, columns)
                                right, right_stride = panel, NR
                            for i in range((block + first) * MR, min((block + last) * MR, M), MR):
                                rows = min(MR, M - i)
                                if PACK_LEFT:
                                    left, k_stride = at(packed, (i - block * MR) * depth), MR
                                else:
                                    left, k_stride = at(x, p * M + i), M
                                if p == 0:
                                    tile(left, 1, k_stride, right, right_stride, depth, acc, rows, columns)
                                else:
                                    for r in range(rows):
                                        for t in range(columns):
                                            acc[r * NR + t] = h[(i + r) * N + j + t]
                                    tile_onto(left, 1, k_stride, right, right_stride, depth, acc, rows, columns)
                                for r in range(rows):
                                    for t in range(columns):
                                        h[(i + r) * N + j + t] = acc[r * NR + t]

    return Kernel(kernel, DEPTH * NR + MR * NR + DEPTH * (WIDTH + MR))


def turned_weight_gradient(dtype: str, M: int, K: int, N: int) -> Kernel:
    """(dz^T @ x)^T for few columns N: the long side of x fills the vectors, and the epilogue turns each tile."""
    tile, _, pack_right, _, MR, NR = primitives(dtype, tile_shape(dtype, host_features()))
    PANELS = -(-M // NR)

    def kernel(x, dz, h, scratch, K, thread, threads):
        acc, panel = scratch, at(scratch, MR * NR)
        for j in range(thread * PANELS // threads * NR, min((thread + 1) * PANELS // threads * NR, M), NR):
            columns = min(NR, M - j)
            if columns == NR:
                right, right_stride = at(x, j), M
            else:
                pack_right(at(x, j), M, 1, panel, K, columns)
                right, right_stride = panel, NR
            for i in range(0, N, MR):
                rows = min(MR, N - i)
                tile(at(dz, i), 1, N, right, right_stride, K, acc, rows, columns)
                for t in range(columns):
                    for r in range(rows):
                        h[(j + t) * N + i + r] = acc[r * NR + t]

    return Kernel(kernel, MR * NR + K * NR)


# --- compiling and timing ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compiled:
    call: Callable[..., None]
    scratch: int
    seconds: float
    library: Any


def compile_kernel(kernel: Kernel, dtype: str) -> Compiled:
    """The kernel as machine code, with the flags of emitted kernels."""
    flags = compiler.Flags()
    flags.nrt = False
    flags.release_gil = True
    flags.noalias = True
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions({"contract", "reassoc", "nsz"})
    flags.no_cpython_wrapper = True
    pointer = types.CPointer(tiles.NUMBERS[dtype].numba)
    arguments = (*[pointer] * 4, *[types.int64] * 3)
    target = registry.cpu_target
    start = time.perf_counter()
    with global_compiler_lock, ConfigStack().enter(flags.copy()):
        result = compiler.compile_extra(
            target.typing_context, target.target_context, kernel.code, arguments, types.void, flags, {}
        )
        address = result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)
    seconds = time.perf_counter() - start
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, *[ctypes.c_int64] * 3)
    return Compiled(prototype(address), kernel.scratch, seconds, result.library)


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
    return left, right, left.T if product == "weight gradient" else left, right.T if product == "input gradient" else right


def fastest(functions: list[Callable[[], object]], flops: int, rounds: int) -> list[float]:
    """Seconds of the best round of each function, taking turns."""
    repeats, best = max(1, int(8e6 / flops)), [float("inf")] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            function()
            start = time.perf_counter()
            for _ in range(repeats):
                function()
            best[i] = min(best[i], (time.perf_counter() - start) / repeats)
    return best


@dataclass(frozen=True)
class Row:
    shape: tuple[int, int, int]
    ours: float
    blas: float
    compile_seconds: float


def measure(product: str, dtype: str, shape: tuple[int, int, int], rounds: int) -> Row:
    M, K, N = shape
    left, right, a, b = operands(product, dtype, M, K, N)
    compiled = compile_kernel(reference_kernel(product, dtype, M, K, N), dtype)
    h, expected, scratch = aligned(M * N, dtype).reshape(M, N), np.empty((M, N), dtype), aligned(compiled.scratch, dtype)
    arguments = [array.ctypes.data for array in (left, right, h, scratch)]
    batch = K if product == "weight gradient" else M
    ours, blas = fastest(
        [lambda: compiled.call(*arguments, batch, 0, 1), lambda: np.matmul(a, b, out=expected)], 2 * M * K * N, rounds
    )
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(h, expected, rtol=tolerance, atol=tolerance * K**0.5)
    return Row(shape, 2e-9 * M * K * N / ours, 2e-9 * M * K * N / blas, compiled.seconds)


def peak(dtype: str, rounds: int) -> float:
    """GFLOP/s of the core's multiply-add units with nothing to load or store: what no kernel can pass."""
    number, shape, steps = tiles.NUMBERS[dtype], tile_shape(dtype, host_features()), 1 << 16
    chains = 16 if shape.lanes * number.nbytes == 64 else 12

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        multiply_add = tiles.multiply_adder(builder, number, shape)
        x = tiles.splat(builder, builder.load(arguments[0]), shape.lanes)
        sums = tiles.fold(builder, tiles.INDEX(0), arguments[1], 1, [x] * chains, lambda _, s: [multiply_add(x, x, one) for one in s])
        for i, total in enumerate(sums):
            tiles.store(builder, number, total, arguments[0], tiles.INDEX(i * shape.lanes))
        return context.get_dummy_value()

    @intrinsic
    def multiply_adds(typing, pointer, count):
        return types.void(pointer, types.int64), emit

    def kernel(left, right, h, scratch, batch, thread, threads):
        multiply_adds(scratch, batch)

    compiled = compile_kernel(Kernel(kernel, chains * shape.lanes), dtype)
    scratch = aligned(compiled.scratch, dtype)
    flops = 2 * steps * chains * shape.lanes
    [seconds] = fastest([lambda: compiled.call(*[scratch.ctypes.data] * 4, steps, 0, 1)], flops, rounds)
    return 1e-9 * flops / seconds


# --- the tables ----------------------------------------------------------------------------------------------------


def without_blas_settings() -> None:
    """Starts again where the environment forces BLAS to other kernels or threads: both are read when it loads."""
    if "OPENBLAS_CORETYPE" in os.environ or os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment | {"OPENBLAS_NUM_THREADS": "1"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dtype", choices=sorted(tiles.NUMBERS), default="float32")
    parser.add_argument("--only", choices=sorted(PRODUCTS))
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    print(f"{options.dtype}, {tile_shape(options.dtype, host_features())}, peak {peak(options.dtype, options.rounds):.0f} GFLOP/s")
    for product in [options.only] if options.only else PRODUCTS:
        print(f"{product:<24}{'ours':>8}{'BLAS':>8}{'ratio':>8}{'compile ms':>12}")
        for shape in PRODUCTS[product]:
            row = measure(product, options.dtype, shape, options.rounds)
            name = "  " + "x".join(map(str, shape))
            print(f"{name:<24}{row.ours:8.1f}{row.blas:8.1f}{row.ours / row.blas:8.2f}{1e3 * row.compile_seconds:12.0f}", flush=True)


if __name__ == "__main__":
    without_blas_settings()
    main()
