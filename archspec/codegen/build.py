"""From the kernels of a plan to their machine code: looked up in the cache, compiled where it is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from archspec.codegen import cache
from archspec.codegen.cuts import scratch_length
from archspec.codegen.link import Linkable
from archspec.codegen.machine import product_shape, this_machine
from archspec.codegen.objects import Object
from archspec.codegen.shapes import PEAK_CHAINS, tile_shape
from archspec.codegen.source import kernel_source
from archspec.codegen.worker import Crew, Task, primitive_object
from archspec.ir.sizes import Size
from archspec.plan.kernel import Kernel
from archspec.records import record

DRIVERS: dict[str, tuple[str, ...]] = {
    "wait": ("i8", "i8"),
    "drive": ("i8", "int", "int", "i8"),
    "let_in": ("i8", "int", "int", "int", "int", "i8", "int", "int", "int", "i8"),
}


@record
class Code:
    """One kernel as source and as machine code. `scratch` is the floats of scratch memory that each thread needs."""

    source: str
    machine_code: Linkable
    scratch: Size


def kernel_kinds(kernel: Kernel, precision: str) -> tuple[str, ...]:
    """The types of a kernel's parameters, as `native` names them."""
    pointers = {"float": precision, "int": "i8", "bool": "u1"}
    kinds: list[str] = []
    for p in kernel.parameters:
        kind = {"buffer": pointers[p.dtype], "scratch": precision, "step": "i8", "offsets": "i8"}.get(p.kind, "int")
        kinds += [kind, "int"] if p.kind == "scratch" else [kind]
    return tuple(kinds)


_MADE: dict[str, Object] = {}


def call_crew() -> Crew | None:
    """Those who will compile, called early where the cache is empty: without the driver in it there are no kernels either."""
    return Crew() if _missing(_driver_tasks()) else None


def build(
    kernels: Sequence[Kernel],
    precision: str,
    announce: Callable[[int], None] | None = None,
    later: Iterable[Sequence[Kernel]] = (),
    crew: Crew | None = None,
) -> dict[object, Code]:
    """The code of each kernel, by its structure. `announce` is told how many must be compiled, before this process begins.

    Where some must, those of `later` are compiled with them: helpers have begun while it is asked for one after another.
    """
    tasks = {kernel.structure: (kernel, _task(kernel, precision)) for kernel in kernels}
    missing = _missing([task for _, task in tasks.values()])
    if missing:
        _compile(missing, precision, announce, later, crew or Crew(len(missing)))
    return {
        structure: Code(task.source, _linkable(task), scratch_length(kernel, precision, product_shape(kernel, precision)))
        for structure, (kernel, task) in tasks.items()
    }


def _compile(
    missing: Sequence[Task],
    precision: str,
    announce: Callable[[int], None] | None,
    later: Iterable[Sequence[Kernel]],
    crew: Crew,
) -> None:
    crew.add((*missing, *_missing(_driver_tasks())))
    keys = {task.key for task in missing}
    for kernels in later:
        more = [task for task in _missing([_task(kernel, precision) for kernel in kernels]) if task.key not in keys]
        crew.add(more)
        keys |= {task.key for task in more}
    if announce is not None:
        announce(len(keys))
    _MADE.update(crew.finish())


def _linkable(task: Task) -> Linkable:
    made = _MADE[task.key]
    return Linkable(task.symbol, made.binary, tuple((call.symbol, primitive_object(call).binary) for call in made.calls))


def _missing(tasks: Sequence[Task]) -> list[Task]:
    """Those, each once, whose code is neither in this process nor in the cache."""
    wanted = {task.key: task for task in tasks if task.key not in _MADE}
    for key in list(wanted):
        kept = cache.load(key)
        if kept is not None:
            _MADE[key] = Object.from_bytes(kept)
            del wanted[key]
    return list(wanted.values())


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


def _driver_tasks() -> list[Task]:
    keys = {name: cache.key_of("driver", name, kinds) for name, kinds in DRIVERS.items()}
    return [Task(key, "", name, DRIVERS[name], "", None, symbol_of(key)) for name, key in keys.items()]


def driver_code(name: str) -> Linkable:
    """The machine code of a function of the driver."""
    [task] = [task for task in _driver_tasks() if task.name == name]
    for missing in _missing([task]):
        _MADE[task.key] = missing.compile()
    return _linkable(task)


MEASURES: dict[str, tuple[str, ...]] = {
    "stamp": ("i8", "int", "int"),
    "multiply_adds": ("float", "int"),
    "stream": ("float", "float", "int", "int"),
}


def flops_per_turn(precision: str) -> int:
    """What each thread computes in a turn of `multiply_adds`; its sums have as much room in elements, twice what they need."""
    return 2 * PEAK_CHAINS * tile_shape(precision, this_machine().names).lanes


def measure_code(name: str, precision: str) -> Linkable:
    """The machine code of what a profile measures with, see `measure`."""
    kinds = tuple(precision if kind == "float" else kind for kind in MEASURES[name])
    key = cache.key_of("measure", name, kinds)
    kept = cache.load(key)
    if kept is not None:
        return Linkable(symbol_of(key), Object.from_bytes(kept).binary)
    from archspec.codegen.native import compile_measure

    made = compile_measure(name, kinds, precision, flops_per_turn(precision), symbol_of(key))
    cache.save(key, made.to_bytes())
    return Linkable(symbol_of(key), made.binary)
