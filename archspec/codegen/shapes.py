"""The register tile for a CPU and the blocking around it. Kept apart from the code of the tile, so that looking at code needs
no compiler."""

from __future__ import annotations

from collections.abc import Collection

from archspec.records import record, replace

NBYTES = {"f4": 4, "f8": 8, "float32": 4, "float64": 8}
PAGE = 4096  # bytes
PEAK_CHAINS = 12  # vectors of sums that keep two FMA units busy through four cycles of latency, with nothing to load


@record
class TileShape:
    """The registers of a tile: `rows` x `vectors` sums of `lanes` elements; `fused` where the CPU has an FMA."""

    rows: int
    vectors: int
    lanes: int
    fused: bool = True

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    @property
    def cuts(self) -> tuple[TileShape, ...]:
        """The shapes that get code of their own, so that few rows or columns cost less than a whole tile; itself last."""
        thin = [replace(self, vectors=1)] if self.vectors > 1 else []
        return (*thin, replace(self, rows=self.rows // 2), self)


@record
class VectorUnit:
    """Vector registers of `nbytes`, and the rows of tiles that suit them: of two vectors, of one, and of four for few rows."""

    features: frozenset[str]
    nbytes: int
    fused: bool
    rows: int
    narrow_rows: int
    few_rows: int


VECTOR_UNITS = (
    VectorUnit(frozenset({"avx512f"}), nbytes=64, fused=True, rows=8, narrow_rows=8, few_rows=4),
    VectorUnit(frozenset({"avx2", "fma"}), nbytes=32, fused=True, rows=6, narrow_rows=8, few_rows=2),
    # By analogy: no such machine was at hand.
    VectorUnit(frozenset({"neon"}), nbytes=16, fused=True, rows=8, narrow_rows=8, few_rows=4),
    VectorUnit(frozenset(), nbytes=16, fused=False, rows=6, narrow_rows=8, few_rows=2),
)


def tile_shape(dtype: str, features: Collection[str], rows: int | None = None, columns: int | None = None) -> TileShape:
    """The tile for products of `dtype` on a CPU with `features`, and of few rows or columns where those are known.

    Chosen by `benchmarks/matmul.py --shapes`: 12 to 16 registers of sums keep two FMA units busy through four cycles
    of latency and leave room for the operands. More rows spill on some CPUs, and meet more cache conflicts, since each
    row is a stream of its own. Few rows are bound by reading the right side once, which wide tiles do in longer runs.
    """
    unit = next(unit for unit in VECTOR_UNITS if unit.features <= set(features))
    lanes = unit.nbytes // NBYTES[dtype]
    if columns is not None and columns <= lanes:
        return TileShape(unit.narrow_rows, 1, lanes, unit.fused)
    if rows is not None and rows <= unit.few_rows:
        return TileShape(unit.few_rows, 4, lanes, unit.fused)
    return TileShape(unit.rows, 2, lanes, unit.fused)


@record
class Blocking:
    """How the loops around the tile are cut so that each operand is read from a near cache.

    rows            rows of the left side that stay near while all panels pass
    depth           steps of k at a time; the sums so far wait in the output
    right_in_place  whole panels of the right side are read where they lie
    pack_left       each block of the left side is packed before the panels pass
    """

    rows: int
    depth: int
    right_in_place: bool
    pack_left: bool

    def scratch(self, shape: TileShape) -> int:
        """Elements that each thread needs: a panel, the sums of a tile, the packed block of the left side."""
        left = (self.rows + shape.rows) * self.depth if self.pack_left else 0
        return shape.columns * self.depth + shape.columns * shape.rows + left


def blocking(dtype: str, shape: TileShape, k: int, n: int, left_across: int, right_turned: bool) -> Blocking:
    """The blocking of a product with n columns and sums of k.

    `left_across`: how many elements apart the steps of k lie in a left side that has its rows, not k, contiguous, as x^T in a
    weight gradient, 0 in any other; `right_turned`: the right side has k contiguous, as W^T in an input gradient. Chosen by
    `benchmarks/matmul.py --blocking`.

    Packing the right side is a twentieth of the work at 128 rows and a seventh at 48. It pays where the side is large and its
    rows are whole pages apart, so that they share few sets of the caches, where a panel does not stay in the second cache,
    and where one is one cache line wide. Rows of contiguous k stream well however long; across its rows a left side does
    while a page of memory holds several steps of k and they are few enough to stay near until the panels have passed. Packed
    it then is slower by a twentieth, and by a seventh where few panels pass.
    """
    nbytes, panels = NBYTES[dtype], n // shape.columns
    is_small, is_spread = k * n * nbytes <= 512 << 10, n * nbytes % PAGE != 0 and k * shape.columns * nbytes <= 128 << 10
    in_place = not right_turned and shape.columns * nbytes >= 128 and (is_small or is_spread)
    if not left_across:
        return Blocking(rows=512, depth=k, right_in_place=in_place, pack_left=False)
    far = left_across * nbytes >= PAGE
    if in_place and k <= 512:
        packs = far and panels >= 8
        return Blocking(rows=128 if packs else 512, depth=k, right_in_place=True, pack_left=packs)
    return Blocking(rows=512, depth=min(k, 256), right_in_place=in_place, pack_left=far and panels >= 4)
