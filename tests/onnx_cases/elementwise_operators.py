"""Operators that work element by element."""

from __future__ import annotations

import numpy as np
from translation import Node, Result, Tensor, Untranslatable, operator

WHOLE = "iu"

UNARY = {
    "Abs": "abs({0})",
    "Ceil": "-floor(-{0})",
    "Celu": "celu({0}, alpha={alpha:1.0})",
    "Cos": "cos({0})",
    "Cosh": "(exp({0}) + exp(-{0})) / 2",
    "Elu": "elu({0}, alpha={alpha:1.0})",
    "Erf": "erf({0})",
    "Exp": "exp({0})",
    "Floor": "floor({0})",
    "HardSigmoid": "min(max({alpha:0.2} * {0} + {beta:0.5}, 0), 1)",
    "HardSwish": "hard_swish({0})",
    "Identity": "{0} + 0",
    "LeakyRelu": "leaky_relu({0}, slope={alpha:0.01})",
    "Log": "log({0})",
    "Mish": "mish({0})",
    "Neg": "-{0}",
    "Reciprocal": "1 / {0}",
    "Relu": "relu({0})",
    "Round": "where(abs({0} - floor({0}) - 0.5) == 0, 2 * floor({0} / 2 + 0.5), floor({0} + 0.5))",
    "Selu": "{gamma:1.0507010221481323} * where({0} > 0, {0}, {alpha:1.6732631921768188} * (exp({0}) - 1))",
    "Shrink": "where({0} < -{lambd:0.5}, {0} + {bias:0.0}, where({0} > {lambd:0.5}, {0} - {bias:0.0}, 0))",
    "Sigmoid": "sigmoid({0})",
    "Sign": "sign({0})",
    "Sin": "sin({0})",
    "Sinh": "(exp({0}) - exp(-{0})) / 2",
    "Softplus": "softplus({0})",
    "Softsign": "softsign({0})",
    "Sqrt": "sqrt({0})",
    "Swish": "swish({0}, beta={alpha:1.0})",
    "Tan": "sin({0}) / cos({0})",
    "Tanh": "tanh({0})",
    "ThresholdedRelu": "where({0} > {alpha:1.0}, {0}, 0)",
}


class Filled(dict):
    """Fills `{alpha:1.0}` with the attribute or what stands behind the colon."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __missing__(self, name: str) -> Setting:
        return Setting(self.node.attribute(name))


class Setting:
    def __init__(self, value: float | None) -> None:
        self.value = value

    def __format__(self, default: str) -> str:
        return repr(float(default if self.value is None else self.value))


def text_of(pattern: str, node: Node, *names: str) -> str:
    for k, name in enumerate(names):
        pattern = pattern.replace(f"{{{k}}}", name)
    return pattern.format_map(Filled(node))


@operator(*UNARY)
def unary(node: Node) -> Result:
    x = node.x()
    if x.kind == "truth":
        return node.text.map(f"{x.name} and true" if not x.axes else f"not not {x.name}", x, "truth")
    return node.text.map(text_of(UNARY[node.op], node, x.name), x)


@operator("Gelu")
def gelu(node: Node) -> Result:
    name = "gelu_tanh" if node.attribute("approximate", "none") == "tanh" else "gelu"
    return node.text.map(f"{name}({node.x().name})", node.x())


@operator("Not")
def negated(node: Node) -> Result:
    return node.text.map(f"not {node.x().name}", node.x(), "truth")


@operator("IsNaN")
def is_nan(node: Node) -> Result:
    return node.text.map(f"{node.x().name} != {node.x().name}", node.x(), "truth")


@operator("IsInf")
def is_infinite(node: Node) -> Result:
    x = node.x().name
    parts = [f"{x} > 1.7e308"] * bool(node.attribute("detect_positive", 1))
    parts += [f"{x} < -1.7e308"] * bool(node.attribute("detect_negative", 1))
    return node.text.map(" or ".join(parts), node.x(), "truth")


@operator("Clip")
def clip(node: Node) -> Result:
    x = node.x()
    low = node.x(1).name if node.has(1) else None
    high = node.x(2).name if node.has(2) else None
    y = f"max({x.name}, {low})" if low else x.name
    return node.text.map(f"min({y}, {high})" if high else f"{y} + 0", x)


BINARY = {
    "Add": "{0} + {1}",
    "Sub": "{0} - {1}",
    "Mul": "{0} * {1}",
    "Div": "{0} / {1}",
    "PRelu": "where({0} > 0, {0}, {1} * {0})",
    "Equal": "{0} == {1}",
    "Greater": "{0} > {1}",
    "GreaterOrEqual": "{0} >= {1}",
    "Less": "{0} < {1}",
    "LessOrEqual": "{0} <= {1}",
    "And": "{0} and {1}",
    "Or": "{0} or {1}",
    "Xor": "({0} or {1}) and not ({0} and {1})",
}
TRUTHS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"}


@operator(*BINARY)
def binary(node: Node) -> Result:
    if node.op == "Div" and node.array(0).dtype.kind in WHOLE:
        raise Untranslatable("whole numbers are divided with a remainder")
    return joined(node, BINARY[node.op], "truth" if node.op in TRUTHS else "number")


def joined(node: Node, pattern: str, kind: str = "number") -> Tensor:
    x, y = node.x(0), node.x(1)
    if "truth" in (x.kind, y.kind) and node.op == "Equal":
        pattern = "({0} and {1}) or not ({0} or {1})"
    axes = node.text.common(x, y)
    left, right = node.text.spread(x, axes), node.text.spread(y, axes)
    return node.text.equation(axes, text_of(pattern, node, left, right), kind)


@operator("Pow")
def power(node: Node) -> Result:
    if (node.array(1).dtype.kind in WHOLE and node.array(1).size > 1) or (node.array(0) < 0).any():
        raise Untranslatable("powers of a tensor of whole numbers")
    return joined(node, "{0} ^ {1}")


@operator("Mod")
def remainder(node: Node) -> Result:
    if node.attribute("fmod", 0):
        quotient = "({0} / {1})"
        return joined(node, f"{{0}} - {{1}} * sign{quotient} * floor(abs{quotient})")
    if not np.isfinite(node.array(0)).all() or not node.array(1).all():
        raise Untranslatable("remainders of what is not finite")
    return joined(node, "{0} - {1} * floor({0} / {1})")


VARIADIC = {"Max": "max({0}, {1})", "Min": "min({0}, {1})", "Sum": "{0} + {1}", "Mean": "{0} + {1}"}


@operator(*VARIADIC)
def variadic(node: Node) -> Result:
    tensors = [node.x(k) for k in range(len(node.arrays))]
    axes = node.text.common(*tensors)
    parts = [node.text.spread(x, axes) for x in tensors]
    whole = parts[0] if len(parts) > 1 else f"{parts[0]} + 0"
    for part in parts[1:]:
        whole = VARIADIC[node.op].format(whole, part)
    return node.text.equation(axes, f"({whole}) / {len(parts)}" if node.op == "Mean" else whole)


@operator("Where")
def where(node: Node) -> Result:
    tensors = [node.x(k) for k in range(3)]
    axes = node.text.common(*tensors)
    return node.text.equation(axes, f"where({', '.join(node.text.spread(x, axes) for x in tensors)})")
