"""Rows of a field as people read them: numbers in the units of their file, categories by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.data.fit import feature_names
from archspec.data.recipe import Apply, Constant, Recipe

Array = NDArray[np.float64]
Cell = tuple[str, float | str]
SMALLEST_PICTURE = 25  # numbered columns; fewer are read as numbers

# y = f(x, *state)  ->  x
_INVERSES: Mapping[str, Callable[..., Array]] = {
    "standardize": lambda y, mean, deviation: y * np.array(deviation) + np.array(mean),
    "minmax": lambda y, low, extent: y * np.array(extent) + np.array(low),
    "fill": lambda y, replacement: y,
    "log": lambda y: np.exp(y),
    "log1p": lambda y: np.expm1(y),
    "sqrt": lambda y: y * y,
    "negate": lambda y: -y,
}
# y = x ∘ c  ->  x, and y = c ∘ x  ->  x
_BEFORE: Mapping[str, Callable[[Array, float], Array]] = {
    "+": lambda y, c: y - c,
    "-": lambda y, c: y + c,
    "*": lambda y, c: y / c,
    "/": lambda y, c: y * c,
}
_AFTER: Mapping[str, Callable[[Array, float], Array]] = {
    "+": lambda y, c: y - c,
    "-": lambda y, c: c - y,
    "*": lambda y, c: y / c,
    "/": lambda y, c: c / y,
}


def cells(recipe: Recipe, values: Array) -> list[Cell]:
    """The columns of one row by name, as they stand in the file; computed ones whose steps have no inverse as they are.

    values  (columns,): a row of the field
    """
    with np.errstate(all="ignore"):
        return _cells(recipe, np.asarray(values, np.float64).reshape(-1))


def _cells(recipe: Recipe, values: Array) -> list[Cell]:
    if isinstance(recipe, Apply) and recipe.transform == "concat":
        ends = np.cumsum([len(feature_names(part)) for part in recipe.inputs])[:-1]
        pieces = zip(recipe.inputs, np.split(values, ends), strict=True)
        return [cell for part, piece in pieces for cell in _cells(part, piece)]
    if isinstance(recipe, Apply) and recipe.transform == "one_hot":
        return _categories(recipe, values)
    before = _undone(recipe, values) if isinstance(recipe, Apply) else None
    if before is not None:
        return _cells(*before)
    names = feature_names(recipe)
    names = names if len(names) == len(values) else tuple(f"{names[0]}[{k}]" for k in range(len(values)))
    return list(zip(names, values.tolist(), strict=True))


def _undone(recipe: Apply, values: Array) -> tuple[Recipe, Array] | None:
    """What went into a step, where that can be told from what came out."""
    if recipe.transform in _INVERSES:
        return recipe.inputs[0], _INVERSES[recipe.transform](values, *recipe.state)
    if recipe.transform in _BEFORE and len(recipe.inputs) == 2:
        left, right = recipe.inputs
        if isinstance(right, Constant) and right.value:
            return left, _BEFORE[recipe.transform](values, right.value)
        if isinstance(left, Constant) and left.value:
            return right, _AFTER[recipe.transform](values, left.value)
    return None


def _categories(recipe: Apply, values: Array) -> list[Cell]:
    columns, known = feature_names(recipe.inputs[0]), recipe.state[0]
    found: list[Cell] = []
    start = 0
    for column, names in zip(columns, known, strict=True):  # type: ignore[call-overload]
        hot = values[start : start + len(names)]
        found.append((column, names[int(hot.argmax())] if hot.size and hot.max() > 0.5 else "?"))
        start += len(names)
    return found


def picture(recipe: Recipe, values: NDArray[Any]) -> NDArray[Any] | None:
    """(rows, columns) where a row is a grey picture: an array of two axes, or as many numbered columns as a square has."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim == 2:
        return values if min(values.shape) > 1 else None
    side = isqrt(values.size)
    if values.ndim != 1 or side * side != values.size or values.size < SMALLEST_PICTURE:
        return None
    return values.reshape(side, side) if _numbered(feature_names(recipe)) else None


def _numbered(names: Sequence[str]) -> bool:
    """`p0`, `p1`, `p2`, … in this order."""
    found = [re.fullmatch(r"(\D*)(\d+)", name) for name in names]
    numbers = [int(match[2]) for match in found if match]
    same = len({match[1] for match in found if match}) == 1
    return same and len(numbers) == len(names) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
