"""How a kernel is shared among threads, in words: each takes a run of its rows, blocks or tiles, and nobody part of a sum."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.codegen.shapes import TileShape
from archspec.ir.sizes import Size
from archspec.plan.kernel import Blocks, For, Kernel, Pack, Product, Share, Statement


def shared_text(kernel: Kernel, shape: TileShape, sizes: Mapping[str, int]) -> str:
    """`48 tiles of 8 × 32`, `768 rows`, `one thread`; "" where a size is not known."""
    for statement in kernel.body:
        text = _shared(statement, shape, sizes)
        if text is not None:
            return text
    return ""


def _shared(s: Statement, shape: TileShape, sizes: Mapping[str, int]) -> str | None:
    if isinstance(s, Product):
        tiles = [(s.batch[1], 1), (s.m[1], shape.rows), (s.n[1], shape.columns)]
        return _counted(tiles, sizes, f"tiles of {shape.rows} × {shape.columns}")
    if isinstance(s, Pack):
        return _counted([(s.batch[1], 1), (s.columns, shape.columns)], sizes, f"panels of {shape.columns} columns")
    if isinstance(s, Blocks):
        summed = any(isinstance(inner, For) for inner in s.body)
        return _counted([(s.extent, s.block)], sizes, f"blocks of {s.block:,} {'columns' if summed else 'elements'}")
    if isinstance(s, Share):
        return _counted([(s.extent, 1)], sizes, "rows of the table")
    if isinstance(s, For) and s.kind == "parallel":
        return _counted([(s.extent, 1)], sizes, "rows")
    return None


def _counted(extents: list[tuple[Size, int]], sizes: Mapping[str, int], units: str) -> str:
    count = 1
    for extent, block in extents:
        points = extent.evaluate(sizes)
        if points is None:
            return ""
        count *= -(-points // block)
    return f"{count:,} {units}" if count > 1 else "one thread"
