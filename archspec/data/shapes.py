"""The rows of a field as its axes say: dense, or ragged along the second axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from archspec.data.dataset import Field
from archspec.data.fields import FieldDraft
from archspec.data.fit import Values, feature_names
from archspec.data.problems import Problems, counted, listed, problem, quoted
from archspec.data.ragged import Ragged, offsets_of
from archspec.data.recipe import Encoded, Recipe, leaves
from archspec.data.tables import Rows


def shaped_as(draft: FieldDraft, recipe: Recipe, values: Values | Ragged, sources: Mapping[str, Rows]) -> Values | Ragged:
    """The values in the form that the axes of the field ask for."""
    is_ragged = len(draft.axes) > 1 and draft.axes[1].ragged
    if isinstance(values, Ragged):
        _check_count(draft, 1 + values.values.ndim)
        return values if is_ragged else _dense(draft, values, sources)
    if values.ndim == 2 and values.shape[1] == 1 and len(draft.axes) == 1:
        values = values[:, 0].copy()
    elif values.ndim == 2 and len(draft.axes) == 1 and draft.of is None:
        _fail_columns(draft, recipe, values.shape[1])
    _check_count(draft, values.ndim)
    return _as_ragged(draft, recipe, values) if is_ragged else values


def _check_count(draft: FieldDraft, axes: int) -> None:
    if len(draft.axes) == axes:
        return
    names = ",".join(axis.name for axis in draft.axes)
    message = f"`{draft.name}[{names}]` has {counted(len(draft.axes), 'axis')}, but its rows need {axes}"
    example = ",".join([draft.axes[0].name, *("TUVWXYZ" if draft.of else "IJCDEFG")[: axes - 1]])
    one = f"`{draft.name}[{draft.axes[0].name}]`"
    hint = f"name one for each: such as `{draft.name}[{example}]`" if axes > 1 else f"one number for each row: {one}"
    raise problem("D08", message, draft.span, hints=[hint])


def _fail_columns(draft: FieldDraft, recipe: Recipe, columns: int) -> None:
    batch = draft.axes[0].name
    message = f"`{draft.name}[{batch}]` is one number for each row, but there are {columns:,} columns"
    hint = f"name the axis of the columns: `{draft.name}[{batch},F]`"
    raise problem("D08", message, draft.span, notes=[f"the columns: {listed(feature_names(recipe))}"], hints=[hint])


def _dense(draft: FieldDraft, rows: Ragged, sources: Mapping[str, Rows]) -> Values:
    """Rows of one length as an array; no copy."""
    lengths = rows.lengths
    other = np.flatnonzero(lengths != lengths[0])
    if len(other):
        axis, row = draft.axes[1].name, int(other[0])
        message = f"the rows of {quoted(draft.name)} differ in length along {quoted(axis)}, which is not ragged"
        place = sources[next(leaves(draft.recipe)).source].place
        note = f"{lengths[0]:,} on {place(0)}, {lengths[row]:,} on {place(row)}"
        hints = [f"declare it so: `dim {axis}?`"] if not axis.isdigit() else ["name the axis, and declare it: `dim T?`"]
        raise problem("D26", message, draft.axes[1].span, notes=[note], hints=hints)
    return rows.values.reshape(len(rows), int(lengths[0]), *rows.values.shape[1:])


def _as_ragged(draft: FieldDraft, recipe: Recipe, values: Values) -> Ragged:
    if isinstance(recipe, Encoded):
        axis = draft.axes[1].name
        message = f"windows are of one length, and {quoted(axis)} is ragged"
        raise problem("D26", message, draft.axes[1].span, hints=[f"declare it without the mark: `dim {axis}`"])
    rows, length = values.shape[:2]
    flat = values.reshape(-1, *values.shape[2:])
    return Ragged(flat, offsets_of(np.full(rows, length, np.int64)))


def check_lengths(
    drafts: Sequence[FieldDraft], fields: Sequence[Field], sources: Mapping[str, Rows], problems: Problems
) -> None:
    """Fields over one ragged axis have rows of one length."""
    by_name = {draft.name: draft for draft in drafts}
    first: dict[str, Field] = {}
    for field in fields:
        if isinstance(field.array, Ragged):
            with problems.collecting():
                _check_alike(first.setdefault(field.axes[1], field), field, by_name[field.name], sources)


def _check_alike(first: Field, field: Field, draft: FieldDraft, sources: Mapping[str, Rows]) -> None:
    if not isinstance(first.array, Ragged) or not isinstance(field.array, Ragged) or first is field:
        return
    a, b = first.array.lengths, field.array.lengths
    other = np.flatnonzero(a != b) if len(a) == len(b) else np.zeros(0, np.int64)
    if not len(other):
        return
    row, axis = int(other[0]), draft.axes[1]
    message = f"the rows of {quoted(first.name)} and {quoted(field.name)} differ in length along {quoted(axis.name)}"
    place = sources[next(leaves(draft.recipe)).source].place(row)
    notes = [f"{a[row]:,} and {b[row]:,} on {place}; so in {counted(len(other), 'row')}"]
    raise problem("D26", message, axis.span, notes=notes, hints=["give them axes of their own"])
