"""Learning-rate schedules: phases one after another, each a curve that starts where the one before it ended.

A phase of n steps is asked at its steps k = 1 … n. Its curve is a factor on the level at its start; `to` is a learning
rate. A phase with `steps` lasts so long; the last one, and any without `steps`, lasts to the end of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from archspec.learning.recipes import Parameter, count, declare, non_negative, positive
from archspec.records import record

KIND = "schedule"
Arguments = Mapping[str, float]
Curve = Callable[[Arguments, int, int, float, int], float]


@record
class Phase:
    """`curve(arguments, k, n, level, before)`: the factor at step k of n; `level` is the learning rate at the start,
    `before` the number of steps that went before."""

    curve: Curve
    needs_length: bool = False


def _progress(k: int, n: int) -> float:
    """0 at the first step of a phase, 1 at its last."""
    return min(1.0, (k - 1) / max(1, n - 1))


def _target(a: Arguments, level: float) -> float:
    return a["to"] / level if level else 0.0


def _linear(a: Arguments, k: int, n: int, level: float, before: int) -> float:
    return 1.0 + (_target(a, level) - 1.0) * _progress(k, n)


def _cosine(a: Arguments, k: int, n: int, level: float, before: int) -> float:
    """Loshchilov & Hutter 2017, eq. 5, without restarts."""
    to = _target(a, level)
    return to + (1.0 - to) * 0.5 * (1.0 + math.cos(math.pi * _progress(k, n)))


def _inverse_sqrt(a: Arguments, k: int, n: int, level: float, before: int) -> float:
    """Vaswani et al. 2017, section 5.3: proportional to t^-0.5 from where the phase starts."""
    start = max(1, before)
    return math.sqrt(start / (start + k - 1))


PHASES: dict[str, Phase] = {
    "constant": Phase(lambda a, k, n, level, before: 1.0),
    "warmup": Phase(lambda a, k, n, level, before: min(1.0, k / a["steps"])),
    "linear": Phase(_linear, needs_length=True),
    "cosine": Phase(_cosine, needs_length=True),
    "step": Phase(lambda a, k, n, level, before: a["factor"] ** ((k - 1) // int(a["every"]))),
    "exponential": Phase(lambda a, k, n, level, before: a["factor"] ** ((k - 1) / a["every"])),
    "inverse_sqrt": Phase(_inverse_sqrt),
}

_STEPS = count(0)
declare(KIND, "constant", "stays", steps=_STEPS)
declare(KIND, "warmup", "rises in a straight line from lr/steps to lr", steps=count(low=1))
declare(KIND, "linear", "falls in a straight line to `to`", to=non_negative(0.0), steps=_STEPS)
declare(KIND, "cosine", "falls along half a cosine to `to`", to=non_negative(0.0), steps=_STEPS)
_FACTOR = Parameter(0.1, low=0.0, high=1.0, exclude_low=True)
declare(KIND, "step", "is multiplied by `factor` every `every` steps", every=count(low=1), factor=_FACTOR, steps=_STEPS)
declare(
    KIND,
    "exponential",
    "decays smoothly by `factor` over every `every` steps",
    factor=_FACTOR,
    every=positive(1.0),
    steps=_STEPS,
)
declare(KIND, "inverse_sqrt", "falls as one over the root of the step", steps=_STEPS)


def needs_length(phases: tuple[tuple[str, Arguments], ...]) -> bool:
    """Whether the curve hangs on how many steps the run takes in all."""
    return any(PHASES[name].needs_length and not a.get("steps") for name, a in phases)


def is_constant(phases: tuple[tuple[str, Arguments], ...]) -> bool:
    """Whether the learning rate stays what it is."""
    return all(name == "constant" for name, _ in phases)


def learning_rate(phases: tuple[tuple[str, Arguments], ...], lr: float, t: int, total: int) -> float:
    """The learning rate of update t = 1, 2, …, of `total`."""
    level, before = lr, 0
    for i, (name, a) in enumerate(phases):
        last = i == len(phases) - 1
        length = int(a.get("steps") or 0) or max(1, total - before)
        k = t - before
        inside = last or k <= length
        value = level * PHASES[name].curve(a, k if inside else length, length, level, before)
        if inside:
            return value
        level, before = value, before + length
    return level
