"""Columns that do not lie in a table: texts, sequences of texts, arrays.

Opened (names known) ── read ──▶ Part (columns of one file) ── joined ──▶ Part (of all files of a source)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from archspec.data.cells import Categories
from archspec.data.ragged import Indices, Ragged, offsets_of
from archspec.diagnostics import Span
from archspec.records import record

PIECE = 1 << 20  # characters held as separate words at a time
_Item = TypeVar("_Item")

Numeric: TypeAlias = NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int64]


@record(eq=False)
class Tokens:
    """Rows of texts, each distinct text stored once.

    codes    (total,) int64, an index into `values`
    offsets  (rows + 1,) int64, where rows begin and end
    values   the distinct texts
    """

    codes: Indices
    offsets: Indices
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def rows(self) -> Ragged:
        return Ragged(self.codes, self.offsets)


Texts: TypeAlias = tuple[str, ...]
Column: TypeAlias = Texts | Tokens | Numeric


@record(eq=False)
class Part:
    """Columns of a file.

    lines  (rows,) int64: where each row is written, counted from 1
    """

    columns: Mapping[str, Column]
    lines: Indices


@record(eq=False)
class Opened:
    """A file, or several that belong together, whose columns are known.

    path     what messages call it
    names    the columns
    read     read(names of the columns wanted, seed of the run) -> Part
    is_text  it is one long text, divided into parts at its tokens, not at its rows
    noun     what `Part.lines` counts
    span     where the spec names it
    """

    path: str
    names: tuple[str, ...]
    read: Callable[[frozenset[str], int], Part]
    is_text: bool = False
    noun: str = "line"
    span: Span | None = None


def joined(columns: Sequence[Column]) -> Column:
    """One column from those of several files; all of them are of one kind."""
    if len(columns) == 1:
        return columns[0]
    first = columns[0]
    if isinstance(first, tuple):
        return tuple(text for column in columns if isinstance(column, tuple) for text in column)
    if isinstance(first, Tokens):
        return _joined_tokens([column for column in columns if isinstance(column, Tokens)])
    return np.concatenate([column for column in columns if isinstance(column, np.ndarray)])


def _joined_tokens(columns: Sequence[Tokens]) -> Tokens:
    index = {text: code for code, text in enumerate(dict.fromkeys(text for column in columns for text in column.values))}
    codes = [np.array([index[text] for text in column.values], np.int64)[column.codes] for column in columns]
    lengths = np.concatenate([np.diff(column.offsets) for column in columns])
    return Tokens(np.concatenate(codes), offsets_of(lengths), tuple(index))


def as_categories(column: Column) -> Categories:
    """All entries of a column as texts, without regard to rows; numbers must be whole."""
    if isinstance(column, Tokens):
        return Categories(column.codes, column.values)
    if isinstance(column, tuple):
        known, codes = coded(text.strip() for text in column)
        return Categories(codes, known)
    values, codes = np.unique(column, return_inverse=True)
    return Categories(codes.reshape(-1).astype(np.int64), tuple(_spelled(value) for value in values.tolist()))


def _spelled(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def coded(texts: Iterable[str]) -> tuple[tuple[str, ...], Indices]:
    """The distinct texts in the order of their first occurrence, and the index of each."""
    every = list(texts)
    index = {text: code for code, text in enumerate(dict.fromkeys(every))}
    return tuple(index), np.fromiter(map(index.__getitem__, every), np.int64, len(every))


def tokens_of(rows: Iterable[Sequence[str]]) -> Tokens:
    """Rows of texts with every distinct text stored once; some rows at a time, since text in pieces takes room."""
    index: dict[str, int] = {}
    codes, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in batches(rows, len, PIECE):
        every = [text for row in batch for text in row]
        for text in dict.fromkeys(every):
            index.setdefault(text, len(index))
        codes.append(np.fromiter(map(index.__getitem__, every), np.int64, len(every)))
        lengths.append(np.fromiter(map(len, batch), np.int64, len(batch)))
    return Tokens(np.concatenate(codes), offsets_of(np.concatenate(lengths)), tuple(index))


def batches(items: Iterable[_Item], size: Callable[[_Item], int], limit: int) -> Iterator[list[_Item]]:
    """Neighbouring items in lists, each ended by the item that takes its size past `limit`."""
    batch: list[_Item] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if total >= limit:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
