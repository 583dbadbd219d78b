"""Recipes run on rows: fitted to the training part once, then run on whatever comes.

evaluate(recipe, rows, train) -> the recipe with its states filled in, and its values
evaluate(recipe, rows, None)  -> the recipe as it was, and its values
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from archspec.data.cells import Categories, look_up, parse_numbers
from archspec.data.columns import Texts, Tokens
from archspec.data.problems import counted, problem, quoted
from archspec.data.ragged import Ragged
from archspec.data.recipe import Apply, CategoryColumns, Constant, Encoded, Labels, NumberColumns, Recipe, State, leaves
from archspec.data.tables import Rows
from archspec.data.transforms import OPERATORS, TRANSFORMS, EmptyColumnError, Transform
from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.records import replace

MAX_CELLS = 1 << 28  # of one array: 2 GiB

Indices: TypeAlias = NDArray[np.int64]
Array: TypeAlias = NDArray[np.float64]
Values: TypeAlias = NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int64]
Columns: TypeAlias = Array | tuple[Categories, ...]
Sources: TypeAlias = Mapping[str, Rows]


def evaluate_field(recipe: Recipe, sources: Sources, train: Indices | None) -> tuple[Recipe, Values | Ragged]:
    """The fitted recipe and its values, complete: (rows, columns) numbers, or int64 for labels, in the shape of their rows."""
    if isinstance(recipe, Labels):
        return recipe, _labels(recipe, sources[recipe.source])
    fitted, values = evaluate(recipe, sources, train)
    _check_complete(recipe, cast(Array, values), sources)
    return fitted, np.ascontiguousarray(cast(Array, values))


def evaluate(recipe: Recipe, sources: Sources, train: Indices | None) -> tuple[Recipe, Columns]:
    """The recipe, fitted if `train` names the rows to learn from, and what it gives for every row."""
    match recipe:
        case Constant():
            return recipe, np.array(recipe.value)
        case NumberColumns():
            return recipe, _numbers(recipe, sources[recipe.source])
        case CategoryColumns():
            return recipe, _categories(recipe, sources[recipe.source])
        case Apply():
            return _apply(recipe, sources, train)
        case Labels() | Encoded():
            raise TypeError("indices are no part of a larger recipe")


def _apply(recipe: Apply, sources: Sources, train: Indices | None) -> tuple[Apply, Array]:
    transform = TRANSFORMS.get(recipe.transform) or OPERATORS[recipe.transform]
    pairs = [evaluate(part, sources, train) for part in recipe.inputs]
    inputs = _alike([values for _, values in pairs])
    _check_arrays(recipe, inputs)
    recipe = replace(recipe, inputs=tuple(part for part, _ in pairs))
    if transform.width is None:
        _check_counts(recipe, cast(list[Array], inputs))
    with np.errstate(all="ignore"):  # results are checked below
        state = recipe.state if train is None else _fit(recipe, transform, inputs, train)
        _check_size(recipe, transform, inputs, state)
        values = transform.run(*inputs, *state)
    if transform.width is None:
        _check_finite(recipe, values, cast(list[Array], inputs), sources)
    return replace(recipe, state=state), values


def _fit(recipe: Apply, transform: Transform, inputs: Sequence[Columns], train: Indices) -> State:
    """What the transform learns from the training rows."""
    if transform.fit is None:
        return ()
    try:
        state = transform.fit(*(_at(columns, train) for columns in inputs), **dict(recipe.settings))
    except EmptyColumnError as error:
        name = feature_names(recipe.inputs[0])[error.index]
        message = f"{_shown(recipe)} has nothing to learn from: {quoted(name)} is empty in the training part"
        raise problem("D18", message, recipe.span) from None
    if any(isinstance(x, float) and not math.isfinite(x) for part in state for x in cast(Sequence[object], part)):
        raise problem("D23", f"the numbers are too large for {_shown(recipe)}", recipe.span)
    return state


def _at(columns: Columns, rows: Indices) -> Columns:
    if isinstance(columns, tuple):
        return tuple(column.take(rows) for column in columns)
    return columns[rows]


# --- columns of a file -----------------------------------------------------------------------------------------------


def _numbers(leaf: NumberColumns, rows: Rows) -> Array:
    if not rows.is_table:
        return _array(leaf, rows)
    wrong = [(name, rows.numbers[name].wrong) for name in leaf.columns]
    found = [_not_a_number(name, *cell, rows, leaf.span) for name, cell in wrong if cell]
    if found:
        raise ArchError(found)
    return np.column_stack([rows.numbers[name].values for name in leaf.columns])


def _not_a_number(name: str, row: int, text: str, rows: Rows, span: Span) -> Diagnostic:
    message = f"column {quoted(name)} holds {quoted(text)}, which is not a number"
    hints = (
        "for categories: `one_hot(…)`, or a field of labels such as `y[B]: K`",
        "if it stands for a missing value, list it: `csv(…, missing=[…])`",
    )
    return Diagnostic("D17", message, span, "", (f"it is on {rows.place(row)}",), hints)


def _array(leaf: NumberColumns, rows: Rows) -> Array:
    """(rows, ...) of numbers that lie in no table; float32 where that holds every one of them."""
    name = leaf.columns[0]
    array = rows.others[name]
    if isinstance(array, tuple):
        array = _parsed(name, array, rows, leaf.span)
    if not isinstance(array, np.ndarray):
        hint = f'labels for each word: `tags[B,T]: K = …["{name}"]`'
        raise problem("D17", f"column {quoted(name)} holds sequences of words, not numbers", leaf.span, hints=[hint])
    if len(leaf.columns) > 1:
        raise problem("D07", "arrays are picked one at a time", leaf.span, hints=["`concat` puts columns side by side"])
    if array.size > MAX_CELLS:
        raise problem("D24", f"column {quoted(name)} has {array.size:,} numbers; at most {MAX_CELLS:,} are read", leaf.span)
    exact = array.dtype.kind == "b" or array.dtype.itemsize <= (4 if array.dtype.kind == "f" else 2)
    values = array.astype(np.float32 if exact else np.float64)
    return cast(Array, values[:, None] if values.ndim == 1 else values)


def _parsed(name: str, texts: Texts, rows: Rows, span: Span) -> Array:
    """Texts that spell numbers, as scores before a sentence do."""
    values, wrong = parse_numbers(texts, frozenset())
    if wrong is not None:
        message = f"column {quoted(name)} holds {quoted(texts[wrong])}, which is not a number"
        hint = f'make indices of it: `…["{name}"] |> words`, or labels: `y[B]: K = …["{name}"]`'
        raise problem("D17", message, span, notes=[f"it is on {rows.place(wrong)}"], hints=[hint])
    return values


def _categories(leaf: CategoryColumns, rows: Rows) -> tuple[Categories, ...]:
    for name in leaf.columns:
        column = rows.others.get(name)
        if isinstance(column, Tokens) or (isinstance(column, np.ndarray) and column.ndim > 1):
            raise problem("D05", f"`one_hot` takes one text a row, and column {quoted(name)} has several", leaf.span)
    return tuple(rows.labels(name) for name in leaf.columns)


def _labels(leaf: Labels, rows: Rows) -> Indices | Ragged:
    """The position of every label among the classes, in the rows of the column."""
    codes, column = _label_codes(leaf, rows), rows.others.get(leaf.column)
    if isinstance(column, Tokens):
        return Ragged(codes, column.offsets)
    return codes.reshape(column.shape) if isinstance(column, np.ndarray) else codes


def _label_codes(leaf: Labels, rows: Rows) -> Indices:
    column = rows.labels(leaf.column)
    missing = np.flatnonzero(column.codes < 0)
    if len(missing):
        hint = "leave such rows out of the file, or make it a label of its own: `csv(…, missing=[])`"
        raise ArchError(_missing(leaf.column, missing, rows, leaf.span, hint))
    codes = look_up(column, leaf.classes)
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        text = column.values[column.codes[unknown[0]]]
        message = f"label {quoted(text)} of column {quoted(leaf.column)} did not occur in training"
        raise problem("D19", message, leaf.span, notes=[f"it is on {rows.place_of(leaf.column, int(unknown[0]))}"])
    return codes


def _alike(inputs: list[Columns]) -> list[Columns]:
    """A number beside float32 is float32, so that images stay as small as they are."""
    if not any(isinstance(x, np.ndarray) and x.dtype == np.float32 for x in inputs):
        return inputs
    return [cast(Array, x.astype(np.float32)) if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs]


# --- checks ------------------------------------------------------------------------------------------------------


def _check_counts(recipe: Apply, inputs: Sequence[Array]) -> None:
    counts = [x.shape[1] for x in inputs if x.ndim == 2]
    if len(set(counts)) > 1:
        sides = " and ".join(counted(count, "column") for count in counts)
        hint = "both sides need as many columns, or one of them is a number"
        raise problem("D07", f"{_shown(recipe)} of {sides}", recipe.span, hints=[hint])


def _check_arrays(recipe: Apply, inputs: Sequence[Columns]) -> None:
    """What has more axes than a table goes through cell by cell, beside numbers and its like."""
    shapes = {x.shape[1:] for x in inputs if isinstance(x, np.ndarray) and x.ndim > 0}
    if all(len(shape) <= 1 for shape in shapes):
        return
    transform = TRANSFORMS.get(recipe.transform)
    if transform is not None and (transform.fit or transform.width):
        hint = "with numbers it can be said: `(x - 0.5) / 0.25`"
        raise problem("D07", f"{_shown(recipe)} takes columns, not arrays of several axes", recipe.span, hints=[hint])
    if len(shapes) > 1:
        sides = " and ".join(sorted(f"[{', '.join(map(str, shape))}]" for shape in shapes))
        raise problem("D07", f"{_shown(recipe)} of rows of the shapes {sides}", recipe.span)


def _check_size(recipe: Apply, transform: Transform, inputs: Sequence[Columns], state: State) -> None:
    """Before the memory is asked for."""
    if transform.width is None:
        return
    columns = transform.width(*inputs, *state)
    first = inputs[0]
    rows = len(first[0].codes) if isinstance(first, tuple) else len(first)
    if rows * columns > MAX_CELLS:
        raise problem("D24", f"{_shown(recipe)} makes {columns:,} columns of {rows:,} rows: too large", recipe.span)


def _check_finite(recipe: Apply, values: Array, inputs: Sequence[Array], sources: Sources) -> None:
    """A missing cell may go through a step; a cell that had a value must keep one."""
    if np.isfinite(values).all():
        return
    known = np.ones(values.shape, bool)
    for x in inputs:
        known &= ~np.isnan(x)
    wrong = np.argwhere(known & ~np.isfinite(values))
    if not len(wrong):
        return
    row, column, *_ = (int(index) for index in wrong[0])
    cells = [np.broadcast_to(x, values.shape)[tuple(wrong[0])] for x in inputs]
    place = sources[next(leaves(recipe)).source].place(row)
    message = f"{_shown(recipe)} has no finite result for {counted(len(wrong), 'cell')}"
    shown = " and ".join(f"{cell:g}" for cell in cells)
    names = feature_names(recipe)
    note = f"the first is {quoted(names[column] if column < len(names) else names[0])} on {place}, for {shown}"
    raise problem("D23", message, recipe.span, notes=[note])


def _check_complete(recipe: Recipe, values: Array, sources: Sources) -> None:
    """No missing cell may reach a field."""
    if not np.isnan(values).any():
        return
    found = []
    for leaf in _unfilled(recipe):
        for name in leaf.columns:
            empty = np.flatnonzero(np.isnan(sources[leaf.source].numbers[name].values))
            if len(empty):
                hint = '`fill(…, "median")` puts a number in their place'
                found.append(_missing(name, empty, sources[leaf.source], leaf.span, hint))
    raise ArchError(found)


def _unfilled(recipe: Recipe) -> Iterator[NumberColumns]:
    """The leaves whose missing cells no `fill` takes care of."""
    if isinstance(recipe, NumberColumns):
        yield recipe
    elif isinstance(recipe, Apply) and recipe.transform != "fill":
        for part in recipe.inputs:
            yield from _unfilled(part)


def _missing(name: str, rows: Indices, source: Rows, span: Span, hint: str) -> Diagnostic:
    message = f"column {quoted(name)} has {counted(len(rows), 'missing cell')}"
    notes = (f"the first is on {source.place(int(rows[0]))}",)
    return Diagnostic("D18", message, span, "", notes, (hint,))


# --- names -------------------------------------------------------------------------------------------------------


def feature_names(recipe: Recipe) -> tuple[str, ...]:
    """A name for each column that a fitted recipe gives, after the column of the file that it comes from."""
    match recipe:
        case NumberColumns() | CategoryColumns():
            return recipe.columns
        case Labels() | Encoded():
            return (recipe.column,)
        case Constant():
            return ()
        case Apply(transform="concat"):
            return tuple(name for part in recipe.inputs for name in feature_names(part))
        case Apply(transform="one_hot"):
            known = cast(tuple[tuple[str, ...], ...], recipe.state[0])
            columns = feature_names(recipe.inputs[0])
            return tuple(f"{column}={name}" for column, names in zip(columns, known, strict=True) for name in names)
    return next(names for part in recipe.inputs if (names := feature_names(part)))


def _shown(recipe: Apply) -> str:
    return "`-`" if recipe.transform == "negate" else quoted(recipe.transform)
