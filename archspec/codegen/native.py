"""From Python source to machine code: Numba types and lowers it, LLVM optimises it, the object file is kept.

An object exports one symbol, a function of (words, thread, threads) that unpacks a row of 64-bit words and calls the
kernel. Pointers are declared not to alias, which lets LLVM vectorise without run-time checks: a check could choose
scalar code for one layout and vector code for another, and results would depend on addresses.
"""

# mypy: disable-error-code="no-untyped-def, no-any-return"

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock

from archspec.codegen import driver, intrinsics, loops, tiles
from archspec.codegen.numba_target import (
    Lowered,
    flags_of,
    lower_function,
    lowering_context,
    make_callable,
    module_object,
    object_file,
)
from archspec.codegen.objects import Object, Primitive
from archspec.codegen.shapes import TileShape
from archspec.ops import OPS

# More would let scalar and vector code of one loop differ: `reassoc` in the order of sums, `arcp` in estimates for
# divisions. `nnan` and `ninf` would drop checks. Sums along rows are reordered by `accumulate` alone.
FLAGS = {"contract", "nsz"}
WORD = ir.IntType(64)
FLOATS = {"f4": np.float32, "f8": np.float64}


@global_compiler_lock
def compile_source(source: str, name: str, kinds: Sequence[str], precision: str, shape: TileShape, symbol: str) -> Object:
    """The object file of the kernel `name` in `source`, which exports it as `symbol`.

    `kinds` are the types of its parameters before `thread` and `threads`: f4, f8, i8 and u1 for pointers, int for words.
    """
    names = dict(_environment(precision, shape))
    exec(compile(source, f"<{name}>", "exec"), names)
    return _compile(names[name], kinds, symbol)


@global_compiler_lock
def compile_primitive(primitive: Primitive) -> Object:
    """The object file of what kernels share."""
    module = lowering_context().create_module(primitive.symbol)
    tiles.define(module, primitive)
    return module_object(module, primitive.symbol)


@global_compiler_lock
def compile_driver(name: str, kinds: Sequence[str], symbol: str) -> Object:
    """The object file of one of the functions of `driver`."""
    names: dict[str, Any] = {n: getattr(intrinsics, n) for n in _DRIVER_INTRINSICS}
    bodies = {f.__name__: _with_globals(f, names) for f in (driver.meet, driver.drive, driver.let_in, driver.wait)}
    callees = {n: make_callable(bodies[n], flags_of(set())) for n in ("meet", "drive")}
    for body in bodies.values():
        body.__globals__.update(callees)
    return _compile(bodies[name], kinds, symbol)


@global_compiler_lock
def compile_measure(name: str, kinds: Sequence[str], precision: str, room: int, symbol: str) -> Object:
    """The object file of one of the functions of `measure`."""
    from archspec.codegen import measure

    names = {"pointer_at": intrinsics.pointer_at, **measure.measure_environment(precision, room)}
    return _compile(_with_globals(getattr(measure, name), names), kinds, symbol)


_DRIVER_INTRINSICS = (
    "pointer_at",
    "words_at",
    "bytes_at",
    "call_kernel",
    "fetch_add",
    "load_acquire",
    "yield_processor",
    "flush_tiny",
    "restore_tiny",
)


def _compile(function: Any, kinds: Sequence[str], symbol: str) -> Object:
    arguments = (*(_NUMBA_TYPES[kind] for kind in kinds), types.int64, types.int64)
    lowered = lower_function(function, arguments, flags_of(FLAGS, noalias=True), types.void)
    return object_file(lowered, _entry_module(lowered, arguments, symbol), symbol)


_NUMBA_TYPES: dict[str, Any] = {
    "f4": types.CPointer(types.float32),
    "f8": types.CPointer(types.float64),
    "i8": types.CPointer(types.int64),
    "u1": types.CPointer(types.uint8),
    "int": types.int64,
}


def _entry_module(lowered: Lowered, arguments: Sequence[Any], symbol: str) -> ir.Module:
    """`symbol(words, thread, threads)`: each word is a number or an address."""
    context, description = lowering_context(), lowered.description
    module = context.create_module(symbol)
    kind = context.call_conv.get_function_type(description.restype, description.argtypes)
    callee = ir.Function(module, kind, description.llvm_func_name)
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [WORD.as_pointer(), WORD, WORD]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    values = []
    for i, argument in enumerate(arguments[:-2]):
        word = builder.load(builder.gep(entry.args[0], [WORD(i)]))
        pointer = isinstance(argument, types.CPointer)
        values.append(builder.inttoptr(word, context.get_value_type(argument)) if pointer else word)
    values += entry.args[1:]
    context.call_conv.call_function(builder, callee, description.restype, description.argtypes, values)
    builder.ret_void()
    return module


# --- the names that kernel sources use ------------------------------------------------------------------------------


@cache
def _environment(precision: str, shape: TileShape) -> dict[str, Any]:
    """What a kernel's source may name."""
    float_type = FLOATS[precision]
    names: dict[str, Any] = {
        "np": np,
        "math": math,
        "F": float_type,
        "number": float_type,
        "maximum": intrinsics.maximum,
        "minimum": intrinsics.minimum,
        "largest": intrinsics.largest,
        "smallest": intrinsics.smallest,
        "accumulate": intrinsics.accumulate,
        "fence": intrinsics.fence,
        "floor": intrinsics.floor,
        loops.WRITTEN_OUT: range,
        "min": intrinsics.minimum,
        "max": intrinsics.maximum,
    }
    primitives = tiles.primitives({"f4": "float32", "f8": "float64"}[precision], shape)
    products = {name: getattr(primitives, name) for name in primitives._fields}
    return {**names, **_scalar_functions(precision, names), **products, "at": tiles.at}


def _scalar_functions(precision: str, names: dict[str, Any]) -> dict[str, Any]:
    """The ops' scalar functions."""
    helpers = {**names, "bits_of": intrinsics.bits_of, "float_of": intrinsics.float_of}
    bodies: dict[str, Any] = {}
    for op in OPS:
        for name, versions in op.functions.items():
            bodies[name] = versions[precision]
    made: dict[str, Any] = {}
    for name, body in bodies.items():
        made[name] = made[body.__name__] = make_callable(_with_globals(body, helpers), flags_of(FLAGS))
    for name, function in made.items():
        function.__globals__.update({n: f for n, f in made.items() if n != name})
    return {name: made[name] for name in bodies}


def _with_globals(function: Any, names: dict[str, Any]) -> Any:
    """A copy of a function that sees `names` besides its own module's."""
    import types as python_types

    scope = {**function.__globals__, **names}
    return python_types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
