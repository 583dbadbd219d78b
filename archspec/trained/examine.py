"""What a run looks at once it is trained: which labels it confuses, the rows that it is worst at, its watched tensors.

All of it is of rows that it did not learn from, where the data have such a part, and is kept as examples.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archspec.data import Dataset, Field, Ragged
from archspec.data.readable import Cell, cells, picture
from archspec.lower.files import SpecFile
from archspec.lower.watched import PREFIX
from archspec.pipeline import Stages
from archspec.trained.examples import entries_of, is_text, joined, row_example, shifts
from archspec.trained.predictions import CLASSES, SCORES, Prediction, Target, actual, predicted, targets
from archspec.trained.watch import see, seen_json

if TYPE_CHECKING:
    from archspec.runtime.program import Program
    from archspec.viz.heatmap import Seen

MOST_EXAMINED = 1000  # rows whose loss is taken one by one
LEAST_EXAMINED = 50
SHARE_EXAMINED = 20  # one row for so many that training has seen
MOST_COUNTED = 50_000  # rows of a confusion matrix
MOST_AT_ONCE = 256
WORST = 12
LARGEST_MATRIX = 40  # labels; of more the most frequent confusions are kept
MOST_PAIRS = 20
SEEN_ROWS = 3
MOST_CELLS = 30_000  # of all pictures of watched tensors
MOST_PLACES = 48
MOST_SHOWN = 200  # words or cells of one row
LARGEST_PICTURE = 64

Indices = NDArray[np.int64]


def examined_outputs(stages: Stages, file: SpecFile, data: Dataset) -> tuple[tuple[str, ...], ...]:
    """The sets of outputs that `examine` asks a program for, so that they can be compiled with all else."""
    result = targets(file, stages, data)[0].result
    names = tuple(name for name in stages.graph.outputs if name.startswith(PREFIX))
    return ((result, "loss"), *([(result, *names)] if names else []))


def examine(program: Program, stages: Stages, file: SpecFile, data: Dataset, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The record of examples.json.

    arrays  all rows of each input and target, as `Program.check_arrays` makes them
    """
    part = next(name for name in ("test", "validation", "train") if len(data.parts.get(name, ())))
    rows = data.parts[part]
    target = targets(file, stages, data)[0]
    record: dict[str, Any] = {"part": part, "rows": len(rows)}
    if target.kind in (CLASSES, SCORES) and target.labels and target.field is not None and target.field.name in arrays:
        record["confusion"] = _confusion(program, target, arrays, rows[:MOST_COUNTED])
    budget = max(LEAST_EXAMINED, program.steps_done * stages.training.batch // SHARE_EXAMINED)
    picked = _spread(rows, min(MOST_EXAMINED, budget))
    record["examined"] = len(picked)
    record["worst"] = _worst(program, stages, data, target, arrays, picked)
    names = tuple(name for name in stages.graph.outputs if name.startswith(PREFIX))
    if names:
        record["watched"] = _watched(program, stages, data, target, rows, names)
    return record


def _spread(rows: Indices, count: int) -> Indices:
    """At most `count` rows, evenly apart."""
    return rows if len(rows) <= count else rows[np.arange(count) * len(rows) // count]


# --- what is confused --------------------------------------------------------------------------------------------


def _confusion(program: Program, target: Target, arrays: Mapping[str, Any], rows: Indices) -> dict[str, Any]:
    """How often each label was predicted for each: (actual, predicted)."""
    assert target.field is not None
    size = len(target.labels)
    counts: dict[int, int] = {}
    for start in range(0, len(rows), MOST_AT_ONCE):
        piece = rows[start : start + MOST_AT_ONCE]
        found = program.outputs_rows((target.result, "loss"), arrays, piece)[target.result].argmax(axis=-1)
        right = arrays[target.field.name]
        codes = _flat(right, piece) * size + _inside(found, right, piece)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            counts[int(code)] = counts.get(int(code), 0) + int(count)
    if size <= LARGEST_MATRIX:
        table = [[counts.get(i * size + j, 0) for j in range(size)] for i in range(size)]
        return {"labels": list(target.labels), "counts": table}
    wrong = sorted((c for c in counts if c // size != c % size), key=lambda c: (-counts[c], c))[:MOST_PAIRS]
    right_count = sum(count for code, count in counts.items() if code // size == code % size)
    pairs = [[target.labels[c // size], target.labels[c % size], counts[c]] for c in wrong]
    return {"pairs": pairs, "right": right_count, "all": sum(counts.values())}


def _flat(right: Any, rows: Indices) -> Indices:
    return right.take(rows).values if isinstance(right, Ragged) else np.asarray(right[rows]).reshape(-1)  # type: ignore[return-value]


def _inside(found: NDArray[Any], right: Any, rows: Indices) -> Indices:
    """Predictions in one row, those past the ends of ragged rows left out."""
    if not isinstance(right, Ragged):
        return found.reshape(-1)
    return found[np.arange(found.shape[1]) < right.lengths[rows][:, None]]


# --- the worst rows ----------------------------------------------------------------------------------------------


def _worst(
    program: Program, stages: Stages, data: Dataset, target: Target, arrays: Mapping[str, Any], rows: Indices
) -> list[dict[str, Any]]:
    """The rows of the largest loss, each by itself, with what was predicted and what is right."""
    found: list[tuple[float, int, NDArray[Any]]] = []
    for row in rows.tolist():
        values = program.outputs_rows((target.result, "loss"), arrays, np.array([row]))
        loss = float(values["loss"])
        if np.isfinite(loss):
            found = sorted([*found, (-loss, row, values[target.result])], key=lambda one: one[:2])[:WORST]
    return [_row(data, stages, target, row, -loss, values) for loss, row, values in found]


def _row(data: Dataset, stages: Stages, target: Target, row: int, loss: float, values: NDArray[Any]) -> dict[str, Any]:
    given = [f for f in map(data.field, stages.lowered.inputs) if shifts(f) != 0]  # what comes after `<start>` is right
    inputs = [_input(f, _at(f, row)) for f in given]
    record = {"row": row + 1, "loss": loss, "inputs": inputs, "predicted": _said(predicted(target, np.atleast_1d(values)[0]))}
    if target.field is not None:
        record["actual"] = _said(actual(target, _at(target.field, row)))
    return record


def _at(f: Field, row: int) -> NDArray[Any]:
    return np.asarray(f.array.row(row) if isinstance(f.array, Ragged) else f.array[row])


def _input(f: Field, values: NDArray[Any]) -> dict[str, Any]:
    """An input of one row in a form that people read: a text, a picture, cells."""
    if is_text(f) or f.of is not None:
        entries = entries_of(f, values) or tuple(map(str, values.reshape(-1).tolist()))
        return {
            "name": f.name,
            "entries": entries[:MOST_SHOWN],
            "more": max(0, len(entries) - MOST_SHOWN),
            "by": joined(f, ("", "")),
        }
    seen = picture(f.recipe, values)
    if seen is not None and max(seen.shape) <= LARGEST_PICTURE:
        return {"name": f.name, "picture": _rounded(seen)}
    named = _cells(f, values)
    return {"name": f.name, "cells": named[:MOST_SHOWN], "more": max(0, len(named) - MOST_SHOWN)}


def _cells(f: Field, values: NDArray[Any]) -> list[Cell]:
    if values.ndim <= 1:
        return cells(f.recipe, values)
    return [(f"{f.name}[{k}]", value) for k, value in enumerate(values.reshape(-1)[: MOST_SHOWN + 1].tolist())]


def _said(prediction: Prediction) -> dict[str, Any]:
    record: dict[str, Any] = {}
    if prediction.labels:
        record["labels"] = prediction.labels[:MOST_SHOWN]
        if prediction.probabilities is not None:
            record["probabilities"] = prediction.probabilities.max(axis=1)[:MOST_SHOWN].round(6).tolist()
        return record
    f = prediction.target.field
    values = np.array([value for _, value in prediction.numbers if not isinstance(value, str)])
    seen = picture(f.recipe, values) if f is not None and len(values) == len(prediction.numbers) else None
    if seen is not None and max(seen.shape) <= LARGEST_PICTURE:
        return {"picture": _rounded(seen)}
    return {"cells": prediction.numbers[:MOST_SHOWN], "more": max(0, len(prediction.numbers) - MOST_SHOWN)}


def _rounded(table: NDArray[Any]) -> list[list[float]]:
    return [[float(f"{value:.3g}") for value in row] for row in np.asarray(table, np.float64).tolist()]


# --- watched tensors ---------------------------------------------------------------------------------------------


def _watched(
    program: Program, stages: Stages, data: Dataset, target: Target, rows: Indices, names: Sequence[str]
) -> list[dict[str, Any]]:
    """The watched tensors of a few rows, as many as there is room for."""
    inputs = stages.lowered.inputs
    examples = (row_example(data, inputs, row, f"row {row + 1}") for row in rows[:SEEN_ROWS].tolist())
    return list(_within(see(program, stages, data, target, examples, names, MOST_PLACES)))


def _within(every: Iterator[Seen]) -> Iterator[dict[str, Any]]:
    left = MOST_CELLS
    for seen in every:
        kept = []
        for shown in seen.watched:
            left -= sum(len(m.values) * len(m.columns) for m in shown.maps)
            if left >= 0:
                kept.append(shown)
        cut = len(seen.watched) - len(kept)
        notes = (*seen.notes, f"and {cut} more tensors: `archspec watch` shows them") if cut else seen.notes
        if kept:
            yield seen_json(seen.title, notes, kept, digits=4)
