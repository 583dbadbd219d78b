"""The register tile for a CPU. Kept apart from the code of the tile, so that looking at code needs no compiler."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

ELEMENT_NBYTES = {"f4": 4, "f8": 8, "float32": 4, "float64": 8}


@dataclass(frozen=True)
class TileShape:
    """The registers of a tile: `rows` x `vectors` sums of `lanes` elements; `fused` where the CPU multiplies and adds
    in one step."""

    rows: int
    vectors: int
    lanes: int
    fused: bool = True

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    @property
    def heights(self) -> tuple[int, ...]:
        """The row counts that have code of their own, so that few rows do not pay for a whole tile."""
        return (2, self.rows // 2, self.rows) if self.rows >= 6 else (2, self.rows)


def tile_shape(dtype: str, features: Collection[str], columns: int | None = None) -> TileShape:
    """The tile for products of `dtype` on a CPU with `features`; one vector wide where the product has few `columns`.

    Chosen by `benchmarks/matmul.py --shapes`. Two vectors of 8 rows (16 registers) and of 6 rows (12) keep two FMA units
    busy through four cycles of latency and leave registers for the operands.
    """
    rows, width_nbytes, fused = vector_unit(features)
    lanes = width_nbytes // ELEMENT_NBYTES[dtype]
    if columns is not None and columns <= lanes:
        return TileShape(rows=8, vectors=1, lanes=lanes, fused=fused)
    return TileShape(rows=rows, vectors=2, lanes=lanes, fused=fused)


def vector_unit(features: Collection[str]) -> tuple[int, int, bool]:
    """Rows of the tile, bytes of a vector, and whether there is a fused multiply-add."""
    if "avx512f" in features:
        return 8, 64, True
    if "avx2" in features and "fma" in features:
        return 6, 32, True
    if "neon" in features:
        return 8, 16, True
    return 4, 16, False
