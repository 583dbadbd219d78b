"""Kernels as data: loops over scalar operations, before any language is chosen to write them in.

A kernel is a list of statements. Scalar work is named by op, so the Numba emitter and a CUDA emitter print the same
kernel from the same op records. Buffers are flat; an offset is a sum of loop variables times sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias

from archspec.ir.graph import Node
from archspec.ir.sizes import ZERO, Size
from archspec.records import field, record

FLOAT, INT, BOOL = "float", "int", "bool"


@record
class Offset:
    """The sum of variables times their strides: `i*512 + j`."""

    terms: tuple[tuple[str, Size], ...] = ()

    def plus(self, other: Offset) -> Offset:
        return Offset(self.terms + other.terms)


@record
class Local:
    """A scalar computed before, by its name in the kernel."""

    name: str


@record
class Constant:
    value: float | int | bool
    dtype: str = FLOAT


Scalar: TypeAlias = Local | Constant


# --- parameters --------------------------------------------------------------------------------------------------


@record
class Parameter:
    """What a kernel is called with.

    `kind`   buffer   a flat array of `dtype`; `shape` is for readers
             size     a number of points that the spec leaves open
             scratch  room of `length` elements of `dtype` for each thread
             offsets  a table of how far apart elements lie, see `Offsets`
             turns    how many steps the loop around has, see `Ahead`
             stream   the key of a random stream
             step     a pointer to the number of the training step
    """

    name: str
    kind: str
    dtype: str = FLOAT
    shape: tuple[Size, ...] = ()
    length: Size | None = None


# --- statements --------------------------------------------------------------------------------------------------


@record
class Let:
    """`name = op(arguments)`."""

    name: str
    dtype: str
    op: str
    arguments: tuple[Scalar, ...]
    argument_dtypes: tuple[str, ...]


@record
class Load:
    name: str
    dtype: str
    parameter: str
    offset: Offset


@record
class Guard:
    """`name` is the place along an axis, (at + offset) / divisor; it must be whole and lie inside of `extent` points."""

    name: str
    at: Offset
    offset: Size
    divisor: Size
    extent: Size


@record
class Fetch:
    """`name` is an element read where every guard holds, and `fill` elsewhere."""

    name: str
    dtype: str
    parameter: str
    offset: Offset
    guards: tuple[Guard, ...]
    fill: Constant


@record
class Add:
    """Adds to an element in memory."""

    parameter: str
    offset: Offset
    value: Scalar


@record
class Share:
    """`start` and `count` are the points of an extent that this thread looks after."""

    start: str
    count: str
    extent: Size


@record
class When:
    """Runs `body` where `start` <= `name` < `start` + `count`."""

    name: str
    start: str
    count: str
    body: tuple[Statement, ...]


@record
class Store:
    parameter: str
    offset: Offset
    value: Scalar
    dtype: str


@record
class Position:
    """`name` is a loop's counter as an int value."""

    name: str
    offset: Offset


@record
class Extent:
    """`name` is a size as a float value."""

    name: str
    size: Size


@record
class Draw:
    """`name` is a random number in [0, 1) for an index of a stream."""

    name: str
    stream: str
    step: str
    index: Offset


@record
class Start:
    """An accumulator's first value."""

    name: str
    op: str


@record
class Accumulate:
    """`name = op(name, value)`; for argmax, `position` is remembered in `name_at`."""

    name: str
    op: str
    value: Scalar
    position: Offset | None = None


@record
class Split:
    """The counters of several loops from the counter of their product; `extents` from the outermost in."""

    names: tuple[str, ...]
    extents: tuple[Size, ...]
    of: str


@record
class For:
    """A loop. `kind` is serial, parallel, row or written out: turns of a parallel loop are independent and shared among the
    threads; those of a row loop are independent too, and each thread runs them all; a loop to be written out has few turns,
    and vectors run along the loop around it."""

    variable: str
    extent: Size
    body: tuple[Statement, ...]
    kind: str = "serial"


@record
class Blocks:
    """A parallel loop over blocks of at most `block` consecutive points, and the points of a block inside.

    `before` runs once a block; `variable` counts from 0 inside, `start` is where the block begins. Blocks are cut at
    fixed places, so that vector and remainder code meet the same elements whatever the number of threads.
    """

    variable: str
    start: str
    count: str
    extent: Size
    block: int
    body: tuple[Statement, ...]


@record
class Within:
    """The loop over the points of the surrounding block."""

    variable: str
    count: str
    body: tuple[Statement, ...]


LEAST_TURNS = 4  # of a loop that lays out what all its steps read: it takes as long as three reads where it lies


@record
class Ahead:
    """The right side of a product in a loop, laid out before it for all its steps where it has at least LEAST_TURNS.

    `laid` names the panels, one after another: of a panel of columns, step by step of the sum, the elements that a tile reads.
    `turns` names the number of steps.
    """

    laid: str
    turns: str


@record
class Pack:
    """Lays out the right side of a product of so many `rows` and `columns`, whose other fields these are."""

    right: str
    right_strides: tuple[Size, Size]
    right_offset: Offset
    batch: tuple[str, Size]
    batch_split: Split | None
    rows: Size
    columns: Size
    k: Size
    ahead: Ahead


# Where half of a product counts for nothing: steps before a row are zero (`from row`) or those after it (`until row`); columns
# of the result after a row are needed by nobody (`lower`) or those before it (`upper`).
Reach: TypeAlias = Literal["all", "from row", "until row", "lower", "upper"]


@record
class Product:
    """A matrix product by register tiles, with the maps on its result.

    For each point of the `batch` loops: out[m, n] = sum over k of left[m, k] * right[k, n].
    `left` and `right` give, for the loops m, k and n, the strides of each side, and `*_offset` where a batch begins.
    Where the loops m or k walk the left side in no even steps, as in a convolution, `left_tables` name two tables of
    offsets, of each m and of each k; the strides are then those of the innermost loops. `ahead` says where the right side
    lies in panels. `reach` is which part of the product counts, see `Reach`.
    `row` are the statements of one row of a tile, `element` those of one element, where `total` names the sum.
    """

    left: str
    right: str
    left_strides: tuple[Size, Size]
    right_strides: tuple[Size, Size]
    left_offset: Offset
    right_offset: Offset
    batch: tuple[str, Size]
    batch_split: Split | None
    m: tuple[str, Size]
    n: tuple[str, Size]
    k: Size
    m_split: Split | None
    n_split: Split | None
    row: tuple[Statement, ...]
    element: tuple[Statement, ...]
    total: str
    scratch: str
    left_tables: tuple[str, str] | None = None
    ahead: Ahead | None = None
    reach: Reach = "all"


Statement: TypeAlias = (
    Let
    | Load
    | Fetch
    | Store
    | Add
    | Position
    | Extent
    | Draw
    | Start
    | Accumulate
    | Split
    | Share
    | When
    | For
    | Blocks
    | Within
    | Pack
    | Product
)


@record
class Kernel:
    """One kernel. Two kernels with the same `structure` are one piece of code."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    equation: str = field(default="", compare=False)

    @property
    def structure(self) -> Any:
        return self.parameters, self.body

    @cached_property
    def written(self) -> frozenset[str]:
        """The parameters that are written to."""
        found: set[str] = set()
        stack: list[tuple[Statement, ...]] = [self.body]
        while stack:
            for statement in stack.pop():
                if isinstance(statement, Store | Add):
                    found.add(statement.parameter)
                if isinstance(statement, Pack):
                    found.add(statement.ahead.laid)
                stack += bodies(statement)
        return frozenset(found)


def bodies(statement: Statement) -> tuple[tuple[Statement, ...], ...]:
    """The statements inside of a statement."""
    if isinstance(statement, For | Blocks | Within | When):
        return (statement.body,)
    return (statement.row, statement.element) if isinstance(statement, Product) else ()


@record
class Buffer:
    """The argument for a buffer: the element of `value`'s memory where it begins, and its strides; in loops over time it
    moves by `steps` with each turn of the loops around it, from the outermost in."""

    value: int
    offset: Size = ZERO
    steps: tuple[Size, ...] = ()
    strides: tuple[Size, ...] = ()


@record
class Panels:
    """The argument for the panels of a right side, until they have a room: the buffer of that side."""

    of: Any


@record
class Offsets:
    """The argument for a table: for every point of some loops, walked in order, the sum of counters times strides."""

    extents: tuple[Size, ...]
    strides: tuple[Size, ...]


@record
class Call:
    """A kernel with its arguments: `Buffer`s, `Offsets`, sizes for turns, names for the rest. `inside` are the nodes
    that it computes."""

    kernel: Kernel
    arguments: tuple[Any, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    origin: Any = field(default=None, compare=False)
    inside: tuple[Node, ...] = field(default=(), compare=False, repr=False)


@record
class Slab:
    """Sizes in the body of a loop over slabs: how many `rows` a slab has, `most` or in the last one fewer, and which row is its
    `first`, counted from 1. Where rows read nothing beyond their own place, `last` is how many of the `columns` a slab has."""

    rows: str
    first: str
    most: int
    last: str = ""
    columns: Size = ZERO

    def at(self, first: int, rows: int, sizes: Mapping[str, int]) -> dict[str, int]:
        """The sizes of one slab."""
        columns = self.columns.evaluate(sizes) or 0
        own = {self.rows: rows, self.first: first}
        return {**own, self.last: min(columns, first - 1 + rows)} if self.last else own

    def usual(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """The sizes of a slab in the middle, to show figures by; no columns where their number is not known."""
        columns = self.columns.evaluate(sizes)
        own = {self.rows: self.most, self.first: 1}
        return {**own, self.last: (columns + 1) // 2} if columns is not None and self.last else own


@record
class Loop:
    """A recurrence: `items` run once for each of `extent` steps, from the last one where it is `reverse`. With a `slab` they
    run for so many of the steps at once."""

    extent: Size
    reverse: bool
    items: tuple[Item, ...]
    slab: Slab | None = None

    def turns(self, sizes: Mapping[str, int]) -> int:
        """How often the items run."""
        steps = self.extent.evaluate(sizes) or 0
        return steps if self.slab is None else -(-steps // self.slab.most)


Item: TypeAlias = Call | Loop
