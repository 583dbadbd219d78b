"""The names that choose something, and the arguments that each takes: the one table that specs are checked against.

`REQUIRED` marks an argument without a default. Bounds are checked where the spec is read, so that a wrong value has a
place in the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from archspec.records import record

REQUIRED: Final = object()


@record
class Parameter:
    """One argument: its default and the closed interval that it must lie in (open ends where `open_` says so)."""

    default: object
    low: float = -math.inf
    high: float = math.inf
    exclude_low: bool = False
    exclude_high: bool = False
    integer: bool = False

    def refusal(self, value: float) -> str | None:
        """What is wrong with `value`, in words that complete `must be …`; None where it is fine."""
        if self.integer and not (math.isfinite(value) and value == int(value)):
            return "a whole number"
        below = value <= self.low if self.exclude_low else value < self.low
        above = value >= self.high if self.exclude_high else value > self.high
        return self._range() if below or above or math.isnan(value) else None

    def _range(self) -> str:
        low = f"{'above' if self.exclude_low else 'at least'} {self.low:g}"
        high = f"{'below' if self.exclude_high else 'at most'} {self.high:g}"
        return " and ".join(part for part, end in ((low, self.low), (high, self.high)) if not math.isinf(end))


@record
class RecipeType:
    """A name and its arguments in order. `doc` is the line that the reference page shows."""

    kind: str
    name: str
    doc: str
    parameters: Mapping[str, Parameter]


RECIPES: dict[tuple[str, str], RecipeType] = {}


def declare(kind: str, name: str, doc: str, **parameters: Parameter) -> None:
    """Adds a name to the table."""
    if (kind, name) in RECIPES:
        raise ValueError(f"two recipes of kind {kind} are called {name}")
    RECIPES[kind, name] = RecipeType(kind, name, doc, parameters)


def names(kind: str) -> tuple[str, ...]:
    """The names of one kind, in the order of their declaration."""
    return tuple(name for k, name in RECIPES if k == kind)


def positive(default: object = REQUIRED) -> Parameter:
    return Parameter(default, low=0.0, exclude_low=True)


def non_negative(default: object = REQUIRED) -> Parameter:
    return Parameter(default, low=0.0)


def fraction(default: object = REQUIRED) -> Parameter:
    """A number in [0, 1)."""
    return Parameter(default, low=0.0, high=1.0, exclude_high=True)


def count(default: object = REQUIRED, low: float = 0, high: float = math.inf) -> Parameter:
    return Parameter(default, low=low, high=high, integer=True)


def flag(default: bool) -> Parameter:
    return Parameter(default)


declare("clipping", "norm", "scales the whole gradient so that its 2-norm is at most `limit`", limit=positive())
declare("clipping", "value", "limits every element of the gradient to [-limit, limit]", limit=positive())
declare(
    "stopping rule",
    "early",
    "ends when `figure` has not improved by more than `delta` for `patience` epochs, and keeps the best weights",
    figure=Parameter(REQUIRED),
    patience=count(5, low=1),
    delta=non_negative(0.0),
)
