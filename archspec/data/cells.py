"""Cells of a table: text turned into numbers and into categories."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from archspec.records import record

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 400  # characters; keeps `int` linear


@record(eq=False)
class Categories:
    """A column of texts.

    codes   (rows,) int64, an index into `values`, -1 where the cell is missing
    values  the distinct texts, in the order of their first row
    """

    codes: NDArray[np.int64]
    values: tuple[str, ...]

    def take(self, rows: NDArray[np.int64]) -> Categories:
        """The same column at some rows; values that occur in none of them are dropped."""
        kept = np.unique(self.codes[rows])
        kept = kept[kept >= 0]
        position = np.full(len(self.values) + 1, -1, np.int64)  # the last entry stands for -1
        position[kept] = np.arange(len(kept))
        return Categories(position[self.codes[rows]], tuple(self.values[k] for k in kept))


def parse_number(text: str) -> float | None:
    """The finite number that `text` spells, or None. Stricter than `float`: no `1_000`, no `nan`, no `inf`."""
    stripped = text.strip()
    if len(stripped) > _LONGEST_NUMBER or not _NUMBER.fullmatch(stripped):
        return None
    number = float(stripped)
    return number if math.isfinite(number) else None


def parse_numbers(cells: Sequence[str], missing: frozenset[str]) -> tuple[NDArray[np.float64], int | None]:
    """The numbers of `cells`, NaN where missing, and the index of the first cell that is neither."""
    distinct = set(cells)
    plain = _parse_plain(cells, missing) if 2 * len(distinct) > len(cells) else None
    if plain is not None:
        return plain, None
    numbers = {cell: _parse_cell(cell, missing) for cell in distinct}
    wrong = {cell for cell, number in numbers.items() if number is None}
    first = next(index for index, cell in enumerate(cells) if cell in wrong) if wrong else None
    values = {cell: math.nan if number is None else number for cell, number in numbers.items()}
    return np.fromiter(map(values.__getitem__, cells), np.float64, len(cells)), first


def _parse_cell(cell: str, missing: frozenset[str]) -> float | None:
    return math.nan if cell.strip() in missing else parse_number(cell)


def _parse_plain(cells: Sequence[str], missing: frozenset[str]) -> NDArray[np.float64] | None:
    """The numbers of `cells` where every cell is one, else None. For cells that seldom repeat it is the fast way."""
    together = "".join(cells)
    if "_" in together or not together.isascii() or any(parse_number(text) is not None for text in missing):
        return None  # `float` reads more than `parse_number` does, and a number may stand for a missing cell
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def parse_whole(text: str) -> int | None:
    """The whole number that `text` spells (`3`, `3.0`, `03`), or None."""
    number = parse_number(text)
    if number is None or not number.is_integer():
        return None
    stripped = text.strip()
    return int(stripped) if stripped.lstrip("+-").isdigit() else int(number)


def category_names(values: Iterable[str]) -> tuple[str, ...]:
    """The names of the categories in index order: numbers by size if all of them are, else texts by code point."""
    texts = set(values)
    numbers = {text: parse_number(text) for text in texts}
    if any(number is None for number in numbers.values()):
        return tuple(sorted(texts))
    return tuple(sorted({_spelled(text) for text in texts}, key=_size))


def _spelled(text: str) -> str:
    """One spelling for each number: `3` for `3.0` and `03`."""
    whole = parse_whole(text)
    return str(whole) if whole is not None else repr(parse_number(text))


def _size(name: str) -> tuple[float, int]:
    """Sorts numbers; whole numbers past 2^53, where floats have gaps, by their digits as well."""
    return float(name), int(name) if name.lstrip("-").isdigit() else 0


def look_up(categories: Categories, names: Sequence[str]) -> NDArray[np.int64]:
    """(rows,) int64: the index of each cell among `names`, -1 where it is missing or not among them."""
    index = {name: position for position, name in enumerate(names)}
    table = [index.get(value, index.get(_as_name(value), -1)) for value in categories.values]
    return np.array([*table, -1], np.int64)[categories.codes]


def _as_name(value: str) -> str:
    return value if parse_number(value) is None else _spelled(value)
