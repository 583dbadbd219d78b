"""How the loops of a matrix product are cut for the caches, and the scratch memory that this takes."""

from __future__ import annotations

from archspec.codegen.shapes import TileShape, blocking
from archspec.ir.sizes import Size
from archspec.plan import kernel as k
from archspec.records import record


def scratch_length(kernel: k.Kernel, precision: str, shape: TileShape) -> Size:
    """How many floats of scratch memory each thread needs."""
    product = next((s for s in kernel.body if isinstance(s, k.Product)), None)
    for parameter in kernel.parameters:
        if parameter.kind == "scratch" and parameter.length is not None:
            return parameter.length if product is None else cut_of(product, precision, shape, parameter.length).scratch
    return Size.number(0)


@record
class Cut:
    """How the loops of a product are cut. Sizes of scratch memory are in elements.

    `tiles`       rows of tiles in a block of the left side
    `depth`       steps of the sum at a time; None takes all of them at once
    `in_place`    whole panels of the right side are always read where they lie
    `never_packed_below`  panels are packed for more rows of tiles than these
    `many_tiles`  threads share whole rows of tiles where each has so many: few would be uneven, and the panels that each
                  thread packs for itself must pay
    `together`    tiles whose sums are made before the maps on them
    `pack_left`   a block of the left side is packed before the panels pass
    `sums_at`, `packed_at`   where the sums of a tile and the packed block lie, after the panel
    """

    tiles: int
    depth: int | None
    in_place: bool
    never_packed_below: int
    many_tiles: int
    together: int
    pack_left: bool
    sums_at: Size
    packed_at: Size
    scratch: Size


ROWS_TOGETHER = 32  # of sums: maps on 4 KiB of them, after short sums a fifth faster than on those of one tile
OPEN_SUM = 8192  # steps that a sum of open length is taken to have: those of a weight gradient, over batch and places


def cut_of(product: k.Product, precision: str, shape: TileShape, length: Size | None = None) -> Cut:
    """The cut that suits a product's sizes and strides. Only bare sums can be cut in depth: they wait in the result.

    `length` is the number of steps of the sum by the names that the caller knows, where those are not the kernel's.
    """
    steps = product.k if length is None else length
    known, n = product.k.constant, product.n[1].constant or 512
    rows_beside = product.left_strides[0].constant == 1 and product.left_strides[1].constant != 1
    across = (product.left_strides[1].constant or OPEN_SUM) if rows_beside else 0
    turned = product.right_strides[1].constant != 1
    wanted = blocking(precision, shape, known or OPEN_SUM, n, across, turned)
    deep = is_bare(product) and wanted.depth < (known or OPEN_SUM)
    width, rows = shape.columns, max(1, wanted.rows // shape.rows)
    panel = (Size.number(wanted.depth) if deep else steps) * Size.number(width)
    apart = is_bare(product) or product.ahead is not None  # in a step's few tiles only their panel is to be near
    together = 1 if apart else max(1, ROWS_TOGETHER // shape.rows)
    packed_at = panel + Size.number(together * shape.rows * width)
    deepest = Size.number(wanted.depth) if deep else steps
    block = deepest * Size.number((rows + 1) * shape.rows) if wanted.pack_left else Size.number(0)
    few = 0 if turned else 4
    return Cut(
        rows,
        wanted.depth if deep else None,
        wanted.right_in_place,
        few,
        16 if wanted.right_in_place else 32,
        together,
        wanted.pack_left,
        panel,
        packed_at,
        packed_at + block + Size.number(width),
    )


def is_bare(product: k.Product) -> bool:
    """Whether a product stores its sums as they are and does nothing else with them."""
    only = product.element[0] if len(product.element) == 1 and not product.row else None
    return isinstance(only, k.Store) and only.value == k.Local(product.total)
