"""What a model's result says in the terms of its data: a label with its probability, a number in the units of the file.

Which result is compared with what is read off the loss: `cross_entropy(z, y)` makes of z scores whose softmax are the
probabilities of the labels of y.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archspec.data import Dataset, Field
from archspec.data.readable import cells
from archspec.frontend import syntax
from archspec.lower.files import SpecFile
from archspec.pipeline import Stages
from archspec.records import fields, is_record, record
from archspec.trained.examples import Example

Array = NDArray[Any]
CLASSES, BINARY, NUMBERS, SCORES = "classes", "binary", "numbers", "scores"
LOSSES = {"cross_entropy": CLASSES, "binary_cross_entropy": BINARY, "mse": NUMBERS, "mae": NUMBERS, "huber": NUMBERS}


@record
class Target:
    """A result of the model and what it is compared with.

    kind    classes: scores of labels; binary: a score whose sigmoid is a probability; numbers; scores: of labels, but
            the loss does not say that their softmax are probabilities
    field   the field of the data that it is compared with, where there is one
    labels  the names of what a score belongs to
    """

    result: str
    kind: str
    field: Field | None = None
    labels: tuple[str, ...] = ()


@record
class Prediction:
    """What a result says about one row.

    labels         a label, or one for each place of the row
    probabilities  (places, labels): of each label
    numbers        named numbers, where the result holds no labels
    """

    target: Target
    labels: tuple[str, ...] = ()
    probabilities: Array | None = None
    numbers: tuple[tuple[str, float | str], ...] = ()


def targets(file: SpecFile, stages: Stages, data: Dataset) -> tuple[Target, ...]:
    """What the loss compares the model's results with; where it does not say so, what its axes do."""
    known = {f.name: f for f in data.fields}
    found: dict[str, Target] = {}
    for loss, result, compared in _comparisons(file):
        if result in stages.lowered.results and compared in known and loss not in file.blocks:
            found.setdefault(result, _target(stages, result, LOSSES[loss], known[compared], data))
    if not found:
        result = stages.lowered.results[0]
        found[result] = _guessed(stages, result, data)
    return tuple(found.values())


def _comparisons(file: SpecFile) -> Iterator[tuple[str, str, str]]:
    """Loss, result and field of each comparison in `loss = …`, such as those of cross_entropy(z, y)."""
    section = file.sections.get("train")
    for item in section.body if section else ():
        if isinstance(item, syntax.Assign) and item.targets[0].name == "loss":
            for call, fed in _calls(item.value):
                given = [*fed, *(a.value for a in call.arguments if a.name is None)]
                names = [n.id for n in given if isinstance(n, syntax.Name)]
                if isinstance(call.function, syntax.Name) and call.function.id in LOSSES and len(names) >= 2:
                    yield call.function.id, names[0], names[1]


def _calls(node: Any) -> Iterator[tuple[syntax.Call, tuple[syntax.Expression, ...]]]:
    if isinstance(node, syntax.Pipe) and isinstance(node.stage, syntax.Call):
        yield node.stage, (node.value,)
    elif isinstance(node, syntax.Call):
        yield node, ()
    if is_record(node):
        for f in fields(node):
            if f.name != "span":
                yield from _calls(getattr(node, f.name))
    elif isinstance(node, tuple):
        for inner in node:
            yield from _calls(inner)


def _target(stages: Stages, result: str, kind: str, compared: Field, data: Dataset) -> Target:
    labels = _labels(stages, result, data) if kind == CLASSES else data.classes.get(compared.of or "", ())
    return Target(result, kind, compared, labels)


def _labels(stages: Stages, result: str, data: Dataset) -> tuple[str, ...]:
    """The names along a result's last axis; numbers where the data give none."""
    graph = stages.graph
    axes = graph.nodes[graph.outputs[result]].axes
    size = graph.size(axes[-1]) if axes else 1
    return data.classes.get(str(axes[-1]) if axes else "") or tuple(map(str, range(size or 0)))


def _guessed(stages: Stages, result: str, data: Dataset) -> Target:
    axes = stages.graph.nodes[stages.graph.outputs[result]].axes
    compared = next((f for f in data.fields if axes and f.of == str(axes[-1]) and f.name not in stages.lowered.inputs), None)
    if compared is None:
        return Target(result, NUMBERS)
    return Target(result, SCORES, compared, _labels(stages, result, data))


# --- one row -----------------------------------------------------------------------------------------------------


def predicted(target: Target, values: Array) -> Prediction:
    """What a result says about one row.

    values  the result without the axis of the rows
    """
    scores = np.asarray(values, np.float64)
    if target.kind in (CLASSES, SCORES) and scores.ndim and scores.shape[-1] == len(target.labels):
        table = scores.reshape(-1, scores.shape[-1])
        labels = tuple(target.labels[k] for k in table.argmax(axis=1).tolist())
        return Prediction(target, labels, _softmax(table) if target.kind == CLASSES else None)
    if target.kind == BINARY:
        return _binary(target, scores)
    return Prediction(target, numbers=tuple(_numbers(target, scores.reshape(-1))))


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Array = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _binary(target: Target, scores: Array) -> Prediction:
    """The probability of 1, and whether it is above a half."""
    p = 0.5 * (1.0 + np.tanh(0.5 * scores.reshape(-1)))
    names = target.labels if len(target.labels) == 2 else ("0", "1")
    labels = tuple(names[int(share > 0.5)] for share in p.tolist())
    return Prediction(Target(target.result, target.kind, target.field, names), labels, np.stack([1 - p, p], axis=1))


def _numbers(target: Target, values: Array) -> list[tuple[str, float | str]]:
    """In the units of the file, where the field's steps can be undone."""
    if target.field is not None and len(target.field.axes) <= 2:
        try:
            return cells(target.field.recipe, values)
        except (ValueError, IndexError, TypeError):
            pass
    name = target.result
    return [(name if values.size == 1 else f"{name}[{k}]", value) for k, value in enumerate(values.tolist())]


def actual(target: Target, row: Array) -> Prediction:
    """What the data say about one row, in the same form.

    row  the target's field without the axis of the rows
    """
    values = np.asarray(row)
    if target.kind in (CLASSES, SCORES) and target.labels:
        return Prediction(target, tuple(target.labels[k] for k in values.reshape(-1).tolist()))
    if target.kind == BINARY:
        names = target.labels if len(target.labels) == 2 else ("0", "1")
        return Prediction(target, tuple(names[int(v > 0.5)] for v in values.reshape(-1).tolist()))
    return Prediction(target, numbers=tuple(_numbers(target, values.astype(np.float64).reshape(-1))))


def said_or_predicted(target: Target, example: Example, whole: Example, values: Array) -> Prediction:
    """What a model has said by itself to complete an example; else what its result says."""
    if len(whole.arrays) == len(example.arrays):
        return predicted(target, np.atleast_1d(values)[0])
    axis = next(axis for axis in whole.said if axis not in example.labels)
    return Prediction(target, whole.said[axis])
