"""The machine that code is made for, as LLVM sees it. Needs llvmlite only: running cached code imports no Numba."""

from __future__ import annotations

import os
from functools import cache

from archspec.codegen.shapes import TileShape, tile_shape
from archspec.plan.kernel import Kernel, Pack, Product
from archspec.records import record


@record
class Machine:
    """A CPU by its LLVM name and features (`+avx2,-avx512f,…`). NUMBA_CPU_NAME and NUMBA_CPU_FEATURES limit it."""

    cpu: str
    features: str

    @property
    def names(self) -> frozenset[str]:
        """The features that the CPU has."""
        return frozenset(f[1:] for f in self.features.split(",") if f.startswith("+"))


@cache
def this_machine() -> Machine:
    """The machine that this process runs on."""
    import llvmlite.binding as llvm

    cpu = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    limited = os.environ.get("NUMBA_CPU_FEATURES")
    if limited is not None:
        return Machine(cpu, limited)
    return Machine(cpu, llvm.get_host_cpu_features().flatten())


def product_shape(kernel: Kernel, precision: str) -> TileShape:
    """The register tile of a kernel: narrow where its product has few columns."""
    sides = next((_sides(s) for s in kernel.body if isinstance(s, Product | Pack)), (None, None))
    return tile_shape(precision, this_machine().names, *sides)


def _sides(s: Product | Pack) -> tuple[int | None, int | None]:
    """The rows and columns of a product, where they are known."""
    rows, columns = (s.m[1], s.n[1]) if isinstance(s, Product) else (s.rows, s.columns)
    return rows.constant, columns.constant
