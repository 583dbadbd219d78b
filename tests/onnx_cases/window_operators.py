"""Operators that multiply and sum: products, convolutions, pooling."""

from __future__ import annotations

import math

from reduction_operators import along
from translation import Node, Result, Tensor, Text, Untranslatable, operator


@operator("MatMul")
def matmul(node: Node) -> Result:
    x, y, text = node.x(0), node.x(1), node.text
    if x.rank == 1 and y.rank == 1:
        return Tensor(text.let(f"sum[k]({x.name}[k] * {y.name}[k + 0])"), (), ())
    lead = max(x.rank, y.rank) - 2
    outer = text.common(*(Tensor("", t.axes[:-2], t.shape[:-2]) for t in (x, y) if t.rank > 2)) if lead > 0 else ()
    rows = [x.axes[-2]] if x.rank > 1 else []
    axes = [*outer, *rows, *([text.dim(y.shape[-1])] if y.rank > 1 else [])]

    def places(t: Tensor, own: list[str]) -> list[str]:
        return [*(text.at(t, k, lead - t.rank + 2 + k, axes) for k in range(t.rank - 2)), *own]

    left = places(x, [f"i{len(outer)}", "k"] if x.rank > 1 else ["k"])
    right = places(y, ["k + 0", f"i{len(axes) - 1} + 0"] if y.rank > 1 else ["k + 0"])
    return text.equation(axes, f"sum[k in {x.axes[-1]}]({text.read(x, left)} * {text.read(y, right)})")


@operator("Gemm")
def gemm(node: Node) -> Result:
    x, y, text = node.x(0), node.x(1), node.text
    turned, other = node.attribute("transA", 0), node.attribute("transB", 0)
    axes = (x.axes[1 if turned else 0], y.axes[0 if other else 1])
    left = text.read(x, ["k", "i0"] if turned else ["i0", "k"])
    right = text.read(y, ["i1", "k + 0"] if other else ["k + 0", "i1"])
    whole = f"{node.attribute('alpha', 1.0)!r} * sum[k in {x.axes[0 if turned else 1]}]({left} * {right})"
    if node.has(2):
        whole += f" + {node.attribute('beta', 1.0)!r} * {text.spread(node.x(2), axes)}"
    return text.equation(axes, whole)


@operator("Einsum")
def einsum(node: Node) -> Result:
    equation = node.attribute("equation").replace(" ", "")
    if "..." in equation or "->" not in equation:
        raise Untranslatable("axes that a formula leaves out")
    given, result = equation.split("->")
    text, loops, reads = node.text, {}, []
    for k, letters in enumerate(given.split(",")):
        x = node.x(k)
        for at, letter in enumerate(letters):
            loops.setdefault(letter, x.axes[at])
        reads.append((x, letters))
    names = {letter: f"i{result.index(letter)}" if letter in result else f"n{letter}" for letter in loops}
    parts = [
        text.read(x, [names[c] if loops[c] == x.axes[k] else f"{names[c]} + 0" for k, c in enumerate(letters)])
        for x, letters in reads
    ]
    summed = [f"{names[c]} in {loops[c]}" for c in loops if c not in result]
    whole = f"sum[{', '.join(summed)}]({' * '.join(parts)})" if summed else " * ".join(parts)
    axes = [loops[c] for c in result]
    return text.equation(axes, whole) if axes else Tensor(text.let(whole), (), ())


# --- windows -----------------------------------------------------------------------------------------------------------


class Window:
    """Where the windows of an operator begin and how far their points are apart, for each axis of points."""

    def __init__(self, node: Node, points: tuple[int, ...], kernel: tuple[int, ...], result: tuple[int, ...]) -> None:
        n = len(points)
        self.kernel = kernel
        self.strides = list(node.attribute("strides", [1] * n))
        self.dilations = list(node.attribute("dilations", [1] * n))
        pads = list(node.attribute("pads", [0] * (2 * n)))
        self.before, self.after = pads[:n], pads[n:]
        self.axes = [str(k) for k in kernel]  # along which the points of a window run
        auto = node.attribute("auto_pad", "NOTSET")
        if auto.startswith("SAME"):
            spans = [d * (k - 1) + 1 for d, k in zip(self.dilations, kernel, strict=True)]
            total = [max((r - 1) * s + k - p, 0) for r, s, k, p in zip(result, self.strides, spans, points, strict=True)]
            self.before = [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in total]
            self.after = [t - b for t, b in zip(total, self.before, strict=True)]

    def place(self, axis: int, loop: int) -> str:
        return f"{self.strides[axis]} * i{loop} + {self.dilations[axis]} * u{axis} - {self.before[axis]}"

    def over(self) -> str:
        return ", ".join(f"u{k} in {n}" for k, n in enumerate(self.axes))

    def inside(self, points: tuple[int, ...], padded: bool = False) -> str:
        """The points of windows that lie on the input or, where `padded`, on its padding."""
        conditions = []
        for k, n in enumerate(points):
            low, high = (-self.before[k], n + self.after[k]) if padded else (0, n)
            place = self.place(k, k + 2)
            conditions += [f"{place} >= {low}", f"{place} < {high}"]
        return " and ".join(conditions)


@operator("Conv", "ConvTranspose")
def convolution(node: Node) -> Result:
    """b, o and the points; with groups b, g, o of the group and the points first, then g and o as one axis."""
    x, w, text, groups = node.x(0), node.x(1), node.text, node.attribute("group", 1)
    back = node.op == "ConvTranspose"
    result, n = node.outputs[0].shape[2:], x.rank - 2
    taken, given = (w.shape[0] // groups, w.shape[1]) if back else (w.shape[1], w.shape[0] // groups)
    window = Window(node, x.shape[2:], w.shape[2:], result)
    window.axes = list(w.axes[2:])
    first = 3 if groups > 1 else 2
    places = reversed_places(node, window, first) if back else [window.place(k, k + first) for k in range(n)]
    points = [f"u{k}" for k in range(n)]
    if groups == 1:
        axes = [x.axes[0], w.axes[1 if back else 0], *(text.dim(r) for r in result)]
        sides = (["i0", "c + 0", *places], [*(["c", "i1"] if back else ["i1", "c"]), *points])
        over = w.axes[0 if back else 1]
    else:
        axes = [x.axes[0], text.dim(groups), text.dim(given), *(text.dim(r) for r in result)]
        channels = [f"c + {taken} * i1", "i2 + 0"] if back else [f"i2 + {given} * i1", "c + 0"]
        sides = (["i0", f"c + {taken} * i1", *places], [*channels, *points])
        over = str(taken)
    product = f"{text.read(x, sides[0])} * {text.read(w, sides[1])}"
    y = text.equation(axes, f"sum[c in {over}, {window.over()}]({product})")
    if groups > 1:
        y = joined_groups(text, y, given, text.dim(groups * given), n)
    return text.equation(y.axes, f"{text.spread(y, y.axes)} + {along(node, 2, y.axes, 1)}") if node.has(2) else y


def joined_groups(text: Text, parts: Tensor, own: int, channels: str, points: int) -> Tensor:
    """(b, g, o, points) with groups and their channels as one axis."""
    read = text.read(parts, ["i0", "g", f"i1 - {own} * g", *(f"i{k + 2}" for k in range(points))])
    return text.equation([parts.axes[0], channels, *parts.axes[3:]], f"sum[g]({read})")


def reversed_places(node: Node, window: Window, first: int) -> list[str]:
    """Where the points of the result come from in a transposed convolution."""
    x, n = node.array(0), len(window.kernel)
    result, extra = node.outputs[0].shape[2:], list(node.attribute("output_padding", [0] * n))
    pads, auto = window.before, node.attribute("auto_pad", "NOTSET")
    if node.attribute("output_shape") is not None or auto.startswith("SAME"):
        spans = [d * (k - 1) + 1 for d, k in zip(window.dilations, window.kernel, strict=True)]
        whole = [window.strides[k] * (x.shape[k + 2] - 1) + extra[k] + spans[k] - result[k] for k in range(n)]
        pads = [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in whole]
    return [f"(i{k + first} + {pads[k]} - {window.dilations[k]} * u{k}) / {window.strides[k]}" for k in range(n)]


POOLS = {"MaxPool": "max", "AveragePool": "mean", "LpPool": "sum"}


@operator(*POOLS)
def pooling(node: Node) -> Result:
    x, text = node.x(), node.text
    if len(node.outputs) > 1:
        raise Untranslatable("places of extrema inside of windows")
    points = x.shape[2:]
    window = Window(node, points, tuple(node.attribute("kernel_shape")), node.outputs[0].shape[2:])
    axes = [*x.axes[:2], *(text.dim(n) for n in node.outputs[0].shape[2:])]
    read = text.read(x, ["i0", "i1", *(window.place(k, k + 2) for k in range(len(points)))])
    if node.op == "LpPool":
        p = node.attribute("p", 2)
        return text.equation(axes, f"sum[{window.over()}](abs({read}) ^ {p}) ^ {1 / p!r}")
    padded = node.op == "AveragePool" and bool(node.attribute("count_include_pad", 0))
    return text.equation(axes, f"{POOLS[node.op]}[{window.over()} where {window.inside(points, padded)}]({read})")


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pooling(node: Node) -> Result:
    x, text = node.x(), node.text
    name = "mean" if node.op == "GlobalAveragePool" else "max"
    over = [f"n{k}" for k in range(x.rank - 2)]
    axes = [*x.axes[:2], *(text.dim(1) for _ in over)]
    return text.equation(axes, f"{name}[{', '.join(over)}]({text.read(x, ['i0', 'i1', *over])})")


@operator("Upsample", "Resize")
def resize(node: Node) -> Result:
    x, text, shape = node.x(), node.text, node.outputs[0].shape
    factors = [b / a for a, b in zip(x.shape, shape, strict=False)]
    plain = node.attribute("mode", "nearest") == "nearest" and len(shape) == x.rank
    options = {"coordinate_transformation_mode", "nearest_mode", "axes", "keep_aspect_ratio_policy", "antialias"}
    if not plain or options & node.attributes.keys() or any(f < 1 or f % 1 for f in factors):
        raise Untranslatable("interpolation between points")
    times = [text.dim(int(f)) for f in factors]
    parts = [a for pair in zip(x.axes, times, strict=True) for a in pair]
    copies = text.equation(parts, text.read(x, [f"i{2 * k}" for k in range(x.rank)]) + " + 0")
    flat = text.let(f"flatten[{', '.join(parts)}]({copies.name})")
    axes = tuple(text.dim(n) for n in shape)
    assert math.prod(shape) == math.prod(text.dims[a] for a in parts)
    return Tensor(text.let(f"unflatten[{' * '.join(parts)}]({flat}, {', '.join(axes)})"), axes, shape)
