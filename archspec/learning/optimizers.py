"""Optimisers: each one the update rule of its paper, written as graph terms over a flat run of weights.

`w`, `g` and the states are terms of equal shape; `lr` and `decay` are the rule's own scalars; `at` holds the scalars
that hang on the number t of the update, counted from 1, and are computed once per step in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from archspec.ir.build import Term
from archspec.learning.recipes import declare, flag, fraction, non_negative, positive
from archspec.records import record

Arguments = Mapping[str, float]
States = Mapping[str, Term]
Update = Callable[[Term, Term, States, Term, "Term | None", States, Arguments], tuple[Term, dict[str, Term]]]


@record
class Optimizer:
    """`states` maps a name to its first value; `scalars(arguments, t)` gives what `update` reads in `at`."""

    name: str
    states: Callable[[Arguments], Mapping[str, float]]
    update: Update
    scalars: Callable[[Arguments, int], Mapping[str, float]] = lambda arguments, t: {}


OPTIMIZERS: dict[str, Optimizer] = {}


def _add(optimizer: Optimizer) -> None:
    OPTIMIZERS[optimizer.name] = optimizer


def _decayed(g: Term, w: Term, decay: Term | None) -> Term:
    """The gradient of loss + decay/2 |w|^2."""
    return g if decay is None else g + decay * w


def _sgd(
    w: Term, g: Term, states: States, lr: Term, decay: Term | None, at: States, a: Arguments
) -> tuple[Term, dict[str, Term]]:
    """Heavy ball (Polyak 1964), v' = mu v + g; Nesterov's form looks ahead: g + mu v' (Sutskever et al. 2013)."""
    g = _decayed(g, w, decay)
    if not a["momentum"]:
        return w - lr * g, {}
    v = states["velocity"] * a["momentum"] + g
    return w - lr * (g + v * a["momentum"] if a["nesterov"] else v), {"velocity": v}


def _moments(g: Term, states: States, a: Arguments) -> tuple[Term, Term]:
    m = states["m"] * a["beta1"] + g * (1.0 - a["beta1"])
    v = states["v"] * a["beta2"] + g * g * (1.0 - a["beta2"])
    return m, v


def _adam_direction(m: Term, v: Term, at: States, a: Arguments) -> Term:
    return m * at["m_unbias"] / (v.apply("sqrt") * at["v_unbias"] + a["eps"])


def _adam_scalars(a: Arguments, t: int) -> Mapping[str, float]:
    """The bias corrections 1 / (1 - beta1^t) and 1 / sqrt(1 - beta2^t)."""
    return {"m_unbias": 1.0 / (1.0 - a["beta1"] ** t), "v_unbias": 1.0 / math.sqrt(1.0 - a["beta2"] ** t)}


def _adam(
    w: Term, g: Term, states: States, lr: Term, decay: Term | None, at: States, a: Arguments
) -> tuple[Term, dict[str, Term]]:
    """Kingma & Ba 2015, algorithm 1; decay is part of the gradient."""
    m, v = _moments(_decayed(g, w, decay), states, a)
    return w - lr * _adam_direction(m, v, at, a), {"m": m, "v": v}


def _adamw(
    w: Term, g: Term, states: States, lr: Term, decay: Term | None, at: States, a: Arguments
) -> tuple[Term, dict[str, Term]]:
    """Loshchilov & Hutter 2019, algorithm 2: the decay acts on the weight, past the moments."""
    m, v = _moments(g, states, a)
    kept = w if decay is None else w - lr * decay * w
    return kept - lr * _adam_direction(m, v, at, a), {"m": m, "v": v}


def _rmsprop(
    w: Term, g: Term, states: States, lr: Term, decay: Term | None, at: States, a: Arguments
) -> tuple[Term, dict[str, Term]]:
    """Tieleman & Hinton 2012, lecture 6.5; `centered` divides by the deviation (Graves 2013, eq. 38-45)."""
    g = _decayed(g, w, decay)
    new = {"v": states["v"] * a["rho"] + g * g * (1.0 - a["rho"])}
    spread = new["v"]
    if a["centered"]:
        new["mean"] = states["mean"] * a["rho"] + g * (1.0 - a["rho"])
        # The difference of two equal numbers may round to less than 0.
        spread = (spread - new["mean"] * new["mean"]).apply("maximum", w.loops.number(0.0))
    direction = g / (spread.apply("sqrt") + a["eps"])
    if a["momentum"]:
        direction = new["velocity"] = states["velocity"] * a["momentum"] + direction
    return w - lr * direction, new


def _adagrad(
    w: Term, g: Term, states: States, lr: Term, decay: Term | None, at: States, a: Arguments
) -> tuple[Term, dict[str, Term]]:
    """Duchi, Hazan & Singer 2011, the diagonal form."""
    g = _decayed(g, w, decay)
    total = states["total"] + g * g
    return w - lr * (g / (total.apply("sqrt") + a["eps"])), {"total": total}


_add(Optimizer("sgd", lambda a: {"velocity": 0.0} if a["momentum"] else {}, _sgd))
_add(Optimizer("adam", lambda a: {"m": 0.0, "v": 0.0}, _adam, _adam_scalars))
_add(Optimizer("adamw", lambda a: {"m": 0.0, "v": 0.0}, _adamw, _adam_scalars))
_add(
    Optimizer(
        "rmsprop",
        lambda a: {"v": 0.0} | ({"mean": 0.0} if a["centered"] else {}) | ({"velocity": 0.0} if a["momentum"] else {}),
        _rmsprop,
    )
)
_add(Optimizer("adagrad", lambda a: {"total": a["initial"]}, _adagrad))

KIND = "optimizer"
_ADAM = {
    "lr": positive(1e-3),
    "beta1": fraction(0.9),
    "beta2": fraction(0.999),
    "eps": positive(1e-8),
}
declare(
    KIND,
    "sgd",
    "w - lr g, with momentum and Nesterov's look-ahead on request",
    lr=positive(1e-2),
    momentum=fraction(0.0),
    nesterov=flag(False),
    decay=non_negative(0.0),
)
declare(
    KIND,
    "adam",
    "steps by the ratio of the two moments; decay is added to the gradient",
    **_ADAM,
    decay=non_negative(0.0),
)
declare(KIND, "adamw", "adam with the decay taken off the weight itself", **_ADAM, decay=non_negative(1e-2))
declare(
    KIND,
    "rmsprop",
    "steps by the gradient over its running root mean square",
    lr=positive(1e-2),
    rho=fraction(0.99),
    eps=positive(1e-8),
    momentum=fraction(0.0),
    centered=flag(False),
    decay=non_negative(0.0),
)
declare(
    KIND,
    "adagrad",
    "steps by the gradient over the root of the sum of its squares",
    lr=positive(1e-2),
    eps=positive(1e-10),
    initial=non_negative(0.0),
    decay=non_negative(0.0),
)
