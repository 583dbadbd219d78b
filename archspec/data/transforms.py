"""The functions on columns. One entry each: what it takes, what it learns from the training part, what it does.

Arrays are (rows, columns) float64 with NaN for a missing cell and never an infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from archspec.data.cells import Categories, category_names, look_up
from archspec.data.parameters import CATEGORIES, COLUMNS, FILLING, Kind, Parameter
from archspec.data.recipe import State
from archspec.records import record

Array = NDArray[np.float64]


@record
class Transform:
    """A function on columns.

    run          run(*inputs, *state) -> (rows, columns)
    fit          fit(*inputs, **settings) -> state, given the inputs at the rows of the training part
    takes        what its inputs are
    many         it takes any number of inputs
    settings     what it takes beside them
    width        width(*inputs, *state) -> how many columns come out; None: works cell by cell, as many as go in
    """

    run: Callable[..., Array]
    fit: Callable[..., State] | None = None
    takes: Kind = COLUMNS
    many: bool = False
    settings: tuple[Parameter, ...] = ()
    width: Callable[..., int] | None = None


class EmptyColumnError(Exception):
    """Column `index` of what a transform should learn from holds no number at all."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def _present(x: Array) -> Array:
    """`x`, certain to hold a number in every column."""
    empty = np.isnan(x).all(axis=0)
    if empty.any():
        raise EmptyColumnError(int(empty.argmax()))
    return x


def fit_standardize(x: Array) -> State:
    """Mean and standard deviation of each column; a deviation of 0 where the column is constant."""
    mean, low, high = np.nanmean(_present(x), axis=0), np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    deviation = np.sqrt(np.nanmean((x - mean) ** 2, axis=0))
    return tuple(mean.tolist()), tuple(np.where(low == high, 0.0, deviation).tolist())


def standardize(x: Array, mean: Sequence[float], deviation: Sequence[float]) -> Array:
    return _scaled(x, np.array(mean), np.array(deviation))


def fit_minmax(x: Array) -> State:
    """Least value and range of each column."""
    low, high = np.nanmin(_present(x), axis=0), np.nanmax(x, axis=0)
    return tuple(low.tolist()), tuple((high - low).tolist())


def minmax(x: Array, low: Sequence[float], extent: Sequence[float]) -> Array:
    return _scaled(x, np.array(low), np.array(extent))


def _scaled(x: Array, zero: Array, unit: Array) -> Array:
    """(x - zero) / unit, and 0 in columns without extent, which would tell a model nothing."""
    flat = unit == 0
    scaled = (x - zero) / np.where(flat, 1.0, unit)
    return np.where(flat & ~np.isnan(x), 0.0, scaled)


def fit_fill(x: Array, value: str | float) -> State:
    """What each column's missing cells become."""
    if value == "mean":
        return (tuple(np.nanmean(_present(x), axis=0).tolist()),)
    if value == "median":
        return (tuple(np.nanmedian(_present(x), axis=0).tolist()),)
    return ((float(value),) * x.shape[1],)


def fill(x: Array, replacement: Sequence[float]) -> Array:
    return np.where(np.isnan(x), np.array(replacement), x)


def fit_one_hot(columns: Sequence[Categories]) -> State:
    """The categories of each column."""
    for index, column in enumerate(columns):
        if not column.values:
            raise EmptyColumnError(index)
    return (tuple(category_names(column.values) for column in columns),)


def one_hot(columns: Sequence[Categories], names: Sequence[Sequence[str]]) -> Array:
    """A column for each category; a row of zeros for a category not seen in training and for a missing cell."""
    pairs = zip(columns, names, strict=True)
    return np.concatenate([_one_hot(look_up(column, known), len(known)) for column, known in pairs], axis=1)


def _one_hot(codes: NDArray[np.int64], count: int) -> Array:
    hot = np.zeros((len(codes), count))
    seen = np.flatnonzero(codes >= 0)
    hot[seen, codes[seen]] = 1.0
    return hot


def one_hot_width(_: Sequence[Categories], names: Sequence[Sequence[str]]) -> int:
    return sum(len(known) for known in names)


def concat(*parts: Array) -> Array:
    return np.concatenate(parts, axis=1)


def concat_width(*parts: Array) -> int:
    return sum(part.shape[1] for part in parts)


TRANSFORMS: Mapping[str, Transform] = {
    "log": Transform(np.log),
    "log1p": Transform(np.log1p),
    "sqrt": Transform(np.sqrt),
    "abs": Transform(np.abs),
    "standardize": Transform(standardize, fit_standardize),
    "minmax": Transform(minmax, fit_minmax),
    "fill": Transform(fill, fit_fill, settings=(Parameter("value", FILLING),)),
    "one_hot": Transform(one_hot, fit_one_hot, takes=CATEGORIES, width=one_hot_width),
    "concat": Transform(concat, many=True, width=concat_width),
}

OPERATORS: Mapping[str, Transform] = {
    "+": Transform(np.add),
    "-": Transform(np.subtract),
    "*": Transform(np.multiply),
    "/": Transform(np.divide),
    "^": Transform(np.power),
    "negate": Transform(np.negative),
}
