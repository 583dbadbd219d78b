"""Runs a plan's kernels as the Python that they are printed as, without Numba: slow, but nothing to compile."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from archspec.codegen.cuts import scratch_length
from archspec.codegen.machine import product_shape
from archspec.codegen.shapes import TileShape
from archspec.codegen.source import kernel_source
from archspec.ir.graph import Graph
from archspec.ops import OPS
from archspec.ops.randomness import philox
from archspec.plan import make_plan
from archspec.plan.kernel import Call, Kernel
from archspec.runtime.stage import Arena, Native, Stage
from archspec.runtime.table import buffer_arrays, offset_table, reach, stream_key


class Pointer:
    """`at(array, offset)`: the array from an element on."""

    def __init__(self, array: Any, offset: int) -> None:
        self.array, self.offset = array, offset

    def __getitem__(self, i: int) -> Any:
        return self.array[self.offset + i]

    def __setitem__(self, i: int, value: Any) -> None:
        self.array[self.offset + i] = value


def _at(array: Any, offset: int) -> Pointer:
    return Pointer(array.array, array.offset + offset) if isinstance(array, Pointer) else Pointer(array, offset)


def _products(shape: TileShape) -> dict[str, Any]:
    def pack_right(right, k_stride, column_stride, panel, k, columns):
        for p in range(k):
            for t in range(shape.columns):
                panel[p * shape.columns + t] = right[p * k_stride + t * column_stride] if t < columns else 0.0

    def tile(left, row_stride, k_stride, right, right_stride, k, acc, acc_stride, rows, columns):
        for r in range(rows):
            for t in range(columns):
                terms = (left[r * row_stride + p * k_stride] * right[p * right_stride + t] for p in range(k))
                acc[r * acc_stride + t] = sum(terms, 0.0)

    def tile_onto(left, row_stride, k_stride, right, right_stride, k, acc, acc_stride, rows, columns):
        for r in range(rows):
            for t in range(columns):
                terms = (left[r * row_stride + p * k_stride] * right[p * right_stride + t] for p in range(k))
                acc[r * acc_stride + t] = sum(terms, acc[r * acc_stride + t])

    def tile_at(left, rows_at, steps_at, right, right_stride, k, acc, acc_stride, rows, columns):
        for r in range(rows):
            for t in range(columns):
                terms = (left[rows_at[r] + steps_at[p]] * right[p * right_stride + t] for p in range(k))
                acc[r * acc_stride + t] = sum(terms, 0.0)

    def tile_at_onto(left, rows_at, steps_at, right, right_stride, k, acc, acc_stride, rows, columns):
        for r in range(rows):
            for t in range(columns):
                terms = (left[rows_at[r] + steps_at[p]] * right[p * right_stride + t] for p in range(k))
                acc[r * acc_stride + t] = sum(terms, acc[r * acc_stride + t])

    def pack_left(left, row_stride, k_stride, block, k, rows):
        for p in range(k):
            for r in range(shape.rows):
                block[p * shape.rows + r] = left[r * row_stride + p * k_stride] if r < rows else 0.0

    def pack_left_at(left, rows_at, steps_at, block, k, rows):
        for p in range(k):
            for r in range(rows):
                block[p * shape.rows + r] = left[rows_at[r] + steps_at[p]]

    made = {"pack_right": pack_right, "pack_left": pack_left, "tile": tile, "tile_onto": tile_onto}
    made |= {"tile_at": tile_at, "tile_at_onto": tile_at_onto, "pack_left_at": pack_left_at}
    made |= {"prefetch": lambda row: None, "prefetch_to_write": lambda row: None}
    return {"NR": shape.columns, "MR": shape.rows, **made}


HELPERS: dict[str, Any] = {
    "np": np,
    "math": __import__("math"),
    "F": float,
    "number": float,
    "maximum": lambda a, b: np.maximum(a, b).item(),
    "minimum": lambda a, b: np.minimum(a, b).item(),
    "largest": lambda a, b: float(np.maximum(a, b)),
    "smallest": lambda a, b: float(np.minimum(a, b)),
    "accumulate": lambda total, value: total + value,
    "fence": lambda: None,
    "written_out": range,
    "floor": lambda value: float(np.floor(value)),
    "at": _at,
    **{name: versions["f8"] for op in OPS for name, versions in op.functions.items()},
    "uniform": lambda index, step, key: float(philox(np, np.array([index]), int(step), key)[0]),
}


def _function(kernel: Kernel) -> Any:
    shape = product_shape(kernel, "f8")
    names = {**HELPERS, **_products(shape)}
    exec(kernel_source(kernel, "f8", shape), names)
    return names[kernel.name]


def run(
    graph: Graph, inputs: Mapping[str, Any], weights: Mapping[str, Any], threads: int = 1, step: int = 0, seed: int = 0
) -> dict[str, np.ndarray]:
    """The outputs of a graph. Scratch memory starts as NaN; the threads of a kernel run one after another, shuffled."""
    sizes = {
        str(axis.size): count
        for name, value in graph.inputs.items()
        for axis, count in zip(graph.nodes[value].axes, np.shape(inputs[name]), strict=True)
        if axis.size.constant is None and str(axis.size) not in graph.sizes
    }
    plan = make_plan(graph, sizes=sizes)
    natives = {k.structure: Native(0, scratch_length(k, "f8", product_shape(k, "f8"))) for k in plan.kernels}
    fixed = {f"weight:{path}": np.array(weights[path], float) for path in graph.weights}
    clock = np.array([step])
    stage = Stage(plan, natives, Arena(), "f8", threads, seed, clock, fixed)
    bound = stage.bind(sizes)
    stage.arena.bytes[:] = 0xFF
    for name, array in bound.inputs.items():
        array[...] = inputs[name]
    functions = {k.structure: _function(k) for k in plan.kernels}
    with np.errstate(all="ignore"):
        for call, row, own in zip(bound.calls, bound.rows, bound.row_sizes, strict=True):
            arguments = _arguments(call, row, stage, {**bound.sizes, **own}, seed, threads)
            for thread in random.Random(0).sample(range(threads), threads):
                functions[call.kernel.structure](*arguments, thread, threads)
    return {name: bound.outputs[name].copy() for name in graph.outputs}


def _arguments(call: Call, row: Any, stage: Stage, sizes: Mapping[str, int], seed: int, threads: int) -> list[Any]:
    """What a row of the table passes to its kernel, with flat arrays for addresses."""
    found: list[Any] = []
    buffers = iter(buffer_arrays(stage, sizes, row, call))
    for parameter, argument in zip(call.kernel.parameters, call.arguments, strict=True):
        if parameter.kind == "scratch":
            room = stage.natives[call.kernel.structure].scratch.evaluate(sizes) or 0
            found += [np.full(room * threads, np.nan), room]
        elif parameter.kind == "buffer":
            found.append(_flat(next(buffers)))
        else:
            kinds = {"size": lambda a: sizes[a], "stream": lambda a: stream_key(seed, a), "step": lambda a: stage.step}
            kinds |= {"offsets": lambda a: offset_table(a, sizes), "turns": lambda a: a.evaluate(sizes)}
            found.append(kinds[parameter.kind](argument))
    return found


def _flat(array: np.ndarray) -> Any:
    """The elements from the lowest to the highest of an array, those between its strides included, from the first one on."""
    steps = [s // array.itemsize for s in array.strides]
    below, above = reach(array.shape, steps)
    lowest = array[(*(slice(None, None, -1) if s < 0 else slice(None) for s in steps), ...)]
    whole = np.lib.stride_tricks.as_strided(lowest, (above - below + 1,), (array.itemsize,))
    return Pointer(whole, -below) if below else whole
