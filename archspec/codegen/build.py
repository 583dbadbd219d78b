"""From the kernels of a plan to their machine code: looked up in the cache, compiled where it is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.codegen import cache
from archspec.codegen.cuts import scratch_length
from archspec.codegen.machine import product_shape, this_machine
from archspec.codegen.shapes import PEAK_CHAINS, tile_shape
from archspec.codegen.source import kernel_source
from archspec.codegen.worker import Task, compile_all
from archspec.ir.sizes import Size
from archspec.plan.kernel import Kernel
from archspec.records import record

DRIVERS: dict[str, tuple[str, ...]] = {
    "wait": ("i8", "i8"),
    "drive": ("i8", "int", "int", "i8"),
}


@record
class Code:
    """One kernel as source and as machine code that exports `symbol`. `scratch` is the floats of scratch memory that each
    thread needs."""

    source: str
    symbol: str
    binary: bytes
    scratch: Size


def kernel_kinds(kernel: Kernel, precision: str) -> tuple[str, ...]:
    """The types of a kernel's parameters, as `native` names them."""
    pointers = {"float": precision, "int": "i8", "bool": "u1"}
    kinds: list[str] = []
    for p in kernel.parameters:
        kind = {"buffer": pointers[p.dtype], "scratch": precision, "step": "i8", "offsets": "i8"}.get(p.kind, "int")
        kinds += [kind, "int"] if p.kind == "scratch" else [kind]
    return tuple(kinds)


_MADE: dict[str, bytes] = {}


def build(kernels: Sequence[Kernel], precision: str, announce: Callable[[int], None] | None = None) -> dict[object, Code]:
    """The code of each kernel, by its structure. `announce` is told how many must be compiled, before that begins."""
    tasks = {kernel.structure: (kernel, _task(kernel, precision)) for kernel in kernels}
    missing = {t.key: t for _, t in tasks.values() if t.key not in _MADE}
    for key in list(missing):
        binary = cache.load(key)
        if binary is not None:
            _MADE[key] = binary
            del missing[key]
    if missing and announce is not None:
        announce(len(missing))
    _MADE.update(compile_all(list(missing.values())))
    return {
        structure: Code(task.source, task.symbol, _MADE[task.key], scratch_length(kernel, precision, task.shape))
        for structure, (kernel, task) in tasks.items()
    }


def _task(kernel: Kernel, precision: str) -> Task:
    shape = product_shape(kernel, precision)
    source = kernel_source(kernel, precision, shape)
    kinds = kernel_kinds(kernel, precision)
    key = cache.key_of(_code_only(source), kinds, precision, shape)
    return Task(key, source, kernel.name, kinds, precision, shape, symbol_of(key))


def _code_only(source: str) -> str:
    """The source without its docstring, which says the same in words."""
    head, _, rest = source.partition('"""')
    return head + rest.partition('"""')[2]


def symbol_of(key: str) -> str:
    """The name that an object exports its function by: one for each content."""
    return f"archspec_{key[:32]}"


def driver_code(name: str) -> tuple[str, bytes]:
    """The symbol and the machine code of a function of the driver."""
    key = cache.key_of("driver", name, DRIVERS[name])
    binary = cache.load(key)
    if binary is None:
        from archspec.codegen.native import compile_driver

        binary = compile_driver(name, DRIVERS[name], symbol_of(key))
        cache.save(key, binary)
    return symbol_of(key), binary


MEASURES: dict[str, tuple[str, ...]] = {
    "stamp": ("i8", "int", "int"),
    "multiply_adds": ("float", "int"),
    "stream": ("float", "float", "int", "int"),
}


def flops_per_turn(precision: str) -> int:
    """What each thread computes in a turn of `multiply_adds`; its sums have as much room in elements, twice what they need."""
    return 2 * PEAK_CHAINS * tile_shape(precision, this_machine().names).lanes


def measure_code(name: str, precision: str) -> tuple[str, bytes]:
    """The symbol and the machine code of what a profile measures with, see `measure`."""
    kinds = tuple(precision if kind == "float" else kind for kind in MEASURES[name])
    key = cache.key_of("measure", name, kinds)
    binary = cache.load(key)
    if binary is None:
        from archspec.codegen.native import compile_measure

        binary = compile_measure(name, kinds, precision, flops_per_turn(precision), symbol_of(key))
        cache.save(key, binary)
    return symbol_of(key), binary
