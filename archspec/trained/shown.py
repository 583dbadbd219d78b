"""Predictions as text and as JSON."""

from __future__ import annotations

from typing import Any

from archspec.data.encode import END
from archspec.data.recipe import Encoded
from archspec.trained.examples import joined
from archspec.trained.predictions import Prediction

MOST_LABELS = 5  # of the probabilities that text shows


def number_text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def prediction_text(prediction: Prediction) -> str:
    """One line: `good 0.98, bad 0.02`; labels along a row; named numbers."""
    if prediction.labels and prediction.probabilities is not None and (len(prediction.labels) == 1 or _is_next(prediction)):
        return ("next: " if _is_next(prediction) else "") + _likeliest(prediction, -1)
    if prediction.labels:
        return sequence_text(prediction)
    if len(prediction.numbers) == 1:
        return number_text(prediction.numbers[0][1])
    return ", ".join(f"{name} {number_text(value)}" for name, value in prediction.numbers)


def _is_next(prediction: Prediction) -> bool:
    """Whether the labels are entries one place later, as in a language model: the last one is what comes next."""
    recipe = prediction.target.field.recipe if prediction.target.field is not None else None
    return isinstance(recipe, Encoded) and recipe.arrangement == "windows"


def _likeliest(prediction: Prediction, place: int) -> str:
    assert prediction.probabilities is not None
    shares = prediction.probabilities[place]
    order = sorted(range(len(shares)), key=lambda k: -shares[k])[:MOST_LABELS]
    names = [prediction.target.labels[k].replace(" ", "␣").replace("\n", "⏎") for k in order]
    return ", ".join(f"{name} {shares[k]:.4f}" for name, k in zip(names, order, strict=True))


def sequence_text(prediction: Prediction) -> str:
    """The labels along a row, without the mark of their end."""
    f = prediction.target.field
    if f is None or not isinstance(f.recipe, Encoded):
        return " ".join(prediction.labels)
    return joined(f, [label for label in prediction.labels if label != END])


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """The prediction with all of its probabilities."""
    if not prediction.labels:
        return {"numbers": dict(prediction.numbers)}
    labels: Any = prediction.labels[0] if len(prediction.labels) == 1 else list(prediction.labels)
    found: dict[str, Any] = {"prediction": labels}
    if prediction.probabilities is not None:
        names = prediction.target.labels
        tables = [dict(zip(names, row, strict=True)) for row in prediction.probabilities.tolist()]
        found["probabilities"] = tables[0] if len(tables) == 1 else tables
    return found
