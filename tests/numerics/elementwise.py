"""Every elementwise function of one tensor that a spec can call, with the formula it must equal."""

from __future__ import annotations

import math

import numpy as np
from numerics_helpers import compiled

N = 20011


def _erf(x):
    return np.vectorize(math.erf, otypes=[float])(x)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _expm1_below(x):
    return np.expm1(np.minimum(x, 0))


def _hard(x):
    return np.clip(x / 6 + 0.5, 0, 1)


OPS_OF_ONE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
    "sqrt": np.sqrt,
    "square": lambda x: x * x,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "stop_gradient": lambda x: x,
}
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, _expm1_below(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * _expm1_below(x)),
    "celu": lambda x: np.where(x > 0, x, _expm1_below(x)),
    "gelu": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))),
    "silu": lambda x: x * _sigmoid(x),
    "swish": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "log_sigmoid": lambda x: -np.logaddexp(0, -x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": _hard,
    "hard_swish": lambda x: x * _hard(x),
}
CUSTOM = {  # label -> the call with other settings, and its formula
    "leaky_relu_2": ("leaky_relu({}, slope=0.2)", lambda x: np.where(x > 0, x, 0.2 * x)),
    "elu_2": ("elu({}, alpha=0.7)", lambda x: np.where(x > 0, x, 0.7 * _expm1_below(x))),
    "celu_2": ("celu({}, alpha=2)", lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0) / 2))),
    "swish_2": ("swish({}, beta=1.7)", lambda x: x * _sigmoid(1.7 * x)),
    "hard_tanh_2": ("hard_tanh({}, low=-0.5, high=2)", lambda x: np.clip(x, -0.5, 2)),
    "sigmoid_of_negative": ("1 - sigmoid(-{})", _sigmoid),
}
POWERS = {  # label -> exponent; only 1.5, 2.5 and -3 are not rewritten as products and roots
    "power_m1": -1,
    "power_mhalf": -0.5,
    "power_half": 0.5,
    "power_1": 1,
    "power_1_5": 1.5,
    "power_2": 2,
    "power_2_5": 2.5,
    "power_3": 3,
    "power_4": 4,
    "power_m3": -3,
}
CALLS = {
    **{name: f"{name}({{}})" for name in (*OPS_OF_ONE, *ACTIVATIONS)},
    **{label: call for label, (call, _) in CUSTOM.items()},
    **{label: f"{{}} ^ ({exponent})" for label, exponent in POWERS.items()},
    "negate": "-{}",
}
FORMULAS = {
    **OPS_OF_ONE,
    **ACTIVATIONS,
    **{label: formula for label, (_, formula) in CUSTOM.items()},
    **{label: (lambda x, e=float(exponent): x**e) for label, exponent in POWERS.items()},
    "negate": lambda x: -x,
}
# With w = 0 the gradient of sum(f(x + w)) by w is f'(x), element by element.
TEXT = """
dim N
model m(x[N]) -> {results} {{
{lines}
}}
train {{ loss = {loss} }}
""".format(
    results=", ".join(f"y_{label}[N]" for label in CALLS),
    lines="\n".join(f"  weight w_{k}[N] ~ zeros\n  y_{k} = {call.format(f'(x + w_{k})')}" for k, call in CALLS.items()),
    loss=" + ".join(f"sum(y_{label})" for label in CALLS),
)


def padded(points):
    """`points` repeated up to N elements."""
    return np.resize(np.asarray(points, float), N)


def values(points, precision="f64"):
    """label -> f(x), for N points x."""
    outputs = compiled(TEXT, precision, N=N).forward(x=points)
    return {label: outputs[f"y_{label}"] for label in CALLS}


def slopes(points, precision="f64"):
    """label -> f'(x), for N points x."""
    _, gradient = compiled(TEXT, precision, N=N).gradient(x=points)
    return {label: gradient[f"m/w_{label}"] for label in CALLS}


def expected(points):
    with np.errstate(all="ignore"):
        return {label: formula(np.asarray(points, float)) for label, formula in FORMULAS.items()}
