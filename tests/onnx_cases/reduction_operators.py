"""Operators that reduce: sums and their kin, extrema, softmax, normalisation, losses."""

from __future__ import annotations

import numpy as np
from translation import Node, Result, Tensor, Untranslatable, operator

REDUCTIONS = {
    "ReduceSum": "sum{a}({0})",
    "ReduceMean": "mean{a}({0})",
    "ReduceMax": "max{a}({0})",
    "ReduceMin": "min{a}({0})",
    "ReduceL1": "sum{a}(abs({0}))",
    "ReduceL2": "sqrt(sum{a}({0}^2))",
    "ReduceLogSum": "log(sum{a}({0}))",
    "ReduceLogSumExp": "log(sum{a}(exp({0})))",
    "ReduceSumSquare": "sum{a}({0}^2)",
}


def positive(axes: list[int], rank: int) -> list[int]:
    return [a % rank for a in axes]


def bracket(axes: list[str]) -> str:
    return f"[{', '.join(axes)}]"


@operator(*REDUCTIONS)
def reduction(node: Node) -> Result:
    x, axes = node.x(), node.numbers("axes", 1)
    if not axes and node.attribute("noop_with_empty_axes", 0):
        axes, over = [], ""
    else:
        axes = positive(axes, x.rank) if axes else list(range(x.rank))
        over = bracket([x.axes[a] for a in axes]) if axes else ""
    pattern = REDUCTIONS[node.op]
    if not axes and x.axes:  # over nothing at all
        inner = pattern.replace("sum{a}", "").replace("mean{a}", "").replace("max{a}", "").replace("min{a}", "")
        return node.text.map(inner.format(x.name) + " + 0", x)
    rest = tuple(a for k, a in enumerate(x.axes) if k not in axes)
    truth = x.kind == "truth"
    given = f"number({x.name})" if truth else x.name
    line = pattern.replace("{a}", over).format(given)
    y = Tensor(node.text.let(f"{line} > 0.5" if truth else line), rest, tuple(node.text.dims[a] for a in rest))
    y = Tensor(y.name, y.axes, y.shape, x.kind)
    return kept(node, y, x, axes) if node.attribute("keepdims", 1) else y


def kept(node: Node, y: Tensor, x: Tensor, axes: list[int]) -> Tensor:
    """The result with axes of one point where it was reduced."""
    whole = [node.text.dim(1) if k in axes else a for k, a in enumerate(x.axes)]
    read = [f"i{k}" for k in range(x.rank) if k not in axes]
    return node.text.equation(whole, node.text.read(y, read) + ("" if y.kind == "truth" else " + 0"), y.kind)


@operator("ArgMax", "ArgMin")
def place_of_extreme(node: Node) -> Result:
    x = node.x()
    axis, text = node.attribute("axis", 0) % x.rank, node.text
    sign, late = "-" if node.op == "ArgMin" else "", node.attribute("select_last_index", 0)
    name = x.axes[axis]
    given = text.let(f"{sign}{x.name}" if not late else f"flip[{name}]({sign}{x.name})")
    found = text.let(f"number(argmax[{name}]({given}))")
    if late:
        found = text.let(f"{x.shape[axis] - 1} - {found}")
    rest = tuple(a for k, a in enumerate(x.axes) if k != axis)
    y = Tensor(found, rest, tuple(text.dims[a] for a in rest))
    return kept(node, y, x, [axis]) if node.attribute("keepdims", 1) else y


@operator("Softmax", "LogSoftmax")
def softmax(node: Node) -> Result:
    x = node.x()
    axis = x.axes[node.attribute("axis", -1) % x.rank]
    return node.text.map(f"{'softmax' if node.op == 'Softmax' else 'log_softmax'}[{axis}]({x.name})", x)


@operator("Hardmax")
def hardmax(node: Node) -> Result:
    x = node.x()
    at = node.attribute("axis", -1) % x.rank
    hot = node.text.let(f"one_hot(argmax[{x.axes[at]}]({x.name}))")
    read = [f"i{k}" for k in range(x.rank) if k != at] + [f"i{at}"]
    return node.text.equation(x.axes, f"{hot}[{', '.join(read)}] + 0")


# --- normalisation -----------------------------------------------------------------------------------------------------


@operator("LayerNormalization", "RMSNormalization")
def layer_normalization(node: Node) -> Result:
    x, text = node.x(), node.text
    axis, eps = node.attribute("axis", -1) % x.rank, node.attribute("epsilon", 1e-5)
    over = bracket(list(x.axes[axis:]))
    reduced = list(range(axis, x.rank))
    mean = text.let(f"mean{over}({x.name})") if node.op == "LayerNormalization" else ""
    u = text.let(f"{x.name} - {mean}") if mean else x.name
    rest = tuple(x.axes[:axis])
    spread = text.let(f"1 / sqrt(mean{over}({u}^2) + {eps!r})")
    v = Tensor(text.let(f"{u} * {spread}"), x.axes, x.shape)
    scaled = f"{text.spread(v, x.axes)} * {text.spread(node.x(1), x.axes)}"
    y = text.equation(x.axes, scaled + (f" + {text.spread(node.x(2), x.axes)}" if node.has(2) else ""))
    shape = x.shape[:axis]
    extra = [kept(node, Tensor(name, rest, shape), x, reduced) for name in (mean, spread) if name]
    return [y, *extra][: len(node.outputs)]


def normalised(node: Node, x: Tensor, over: list[int], eps: float) -> Tensor:
    text, names = node.text, bracket([x.axes[k] for k in over])
    u = text.let(f"{x.name} - mean{names}({x.name})")
    return text.map(f"{u} / sqrt(mean{names}({u}^2) + {eps!r})", x)


def along(node: Node, k: int, axes: tuple[str, ...], loop: int) -> str:
    """A tensor of one axis, read along a loop."""
    x = node.x(k)
    return node.text.read(x, [node.text.at(x, 0, loop, axes)])


@operator("InstanceNormalization")
def instance_normalization(node: Node) -> Result:
    x = node.x()
    u = normalised(node, x, list(range(2, x.rank)), node.attribute("epsilon", 1e-5))
    scale, shift = (along(node, k, x.axes, 1) for k in (1, 2))
    return node.text.equation(x.axes, f"{node.text.spread(u, x.axes)} * {scale} + {shift}")


@operator("GroupNormalization")
def group_normalization(node: Node) -> Result:
    """By the library's block, whose channels come last."""
    x, text, groups = node.x(), node.text, node.attribute("num_groups")
    order = [0, *range(2, x.rank), 1]
    axes = [x.axes[k] for k in order]
    last = text.equation(axes, text.read(x, [f"i{order.index(k)}" for k in range(x.rank)]) + " + 0")
    name = text.fresh("n")
    path = f"{name}/groupnorm"
    text.lines.append(f"{name} = {last.name} |> groupnorm({groups}, eps={node.attribute('epsilon', 1e-5)!r})")
    text.weights[f"{path}/g"], text.weights[f"{path}/b"] = (node.array(k).astype(float) for k in (1, 2))
    return text.equation(x.axes, f"{name}[{', '.join(f'i{k}' for k in order)}] + 0")


@operator("BatchNormalization")
def batch_normalization(node: Node) -> Result:
    if node.attribute("training_mode", 0):
        raise Untranslatable("outputs in training: they are those of `step`")
    x, text = node.x(), node.text
    scale, shift, mean, variance = (along(node, k, x.axes, 1) for k in (1, 2, 3, 4))
    u = f"({text.spread(x, x.axes)} - {mean}) / sqrt({variance} + {node.attribute('epsilon', 1e-5)!r})"
    return text.equation(x.axes, f"{u} * {scale} + {shift}")


@operator("MeanVarianceNormalization")
def mean_variance_normalization(node: Node) -> Result:
    return normalised(node, node.x(), list(node.attribute("axes", [0, 2, 3])), 1e-18)


@operator("LpNormalization")
def lp_normalization(node: Node) -> Result:
    x, p = node.x(), node.attribute("p", 2)
    axis = x.axes[node.attribute("axis", -1) % x.rank]
    norm = f"sum[{axis}](abs({x.name}))" if p == 1 else f"sqrt(sum[{axis}]({x.name}^2))"
    length = node.text.let(norm)
    return node.text.map(f"{x.name} * where({length} > 0, 1 / max({length}, 1e-300), 0)", x)


@operator("LRN")
def local_response(node: Node) -> Result:
    x, text, size = node.x(), node.text, node.attribute("size")
    alpha, beta, bias = (node.attribute(n, d) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    places = [f"i{k}" if k != 1 else f"i1 + n - {(size - 1) // 2}" for k in range(x.rank)]
    near = f"sum[n in {size}]({text.read(x, places)}^2)"
    return text.equation(x.axes, f"{text.spread(x, x.axes)} / ({bias!r} + {alpha / size!r} * {near}) ^ {beta!r}")


# --- losses ------------------------------------------------------------------------------------------------------------


@operator("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def likelihood(node: Node) -> Result:
    """The batch is the first axis; what is to be ignored has weight 0."""
    text, scores, labels = node.text, node.array(0), node.array(1)
    classes, ignored = scores.shape[1], node.attribute("ignore_index")
    x = text.batch(scores)
    y = text.indices(np.where(labels == ignored, 0, labels), x.axes[1], classes)
    z = text.let(f"log_softmax[{x.axes[1]}]({x.name})") if node.op == "SoftmaxCrossEntropyLoss" else x.name
    log = Tensor(z, x.axes, x.shape)
    weights = node.x(2) if node.has(2) else None
    axes = ("B", *y.axes[1:])
    own = [f"i{k}" for k in range(y.rank)]
    there = [own[0], "k", *(text.at(x, k + 1, k, axes) for k in range(1, y.rank))]
    at = f"number({text.read(y, own)} == k)"
    kept_rows = text.batch((labels != ignored).astype(float)) if ignored is not None else None
    share = "1"
    if weights is not None:
        share = f"sum[k in {x.axes[1]}]({at} * {text.read(weights, ['k + 0'])})"
    if kept_rows is not None:
        share = f"{share} * {text.read(kept_rows, [text.at(kept_rows, k, k, axes) for k in range(y.rank)])}"
    w = text.equation(axes, f"{share} + 0 * i0")
    picked = text.equation(axes, f"-sum[k]({at} * {text.read(log, there)}) * {text.read(w, own)}")
    return [reduced_loss(node, picked, w), log][: len(node.outputs)]


def reduced_loss(node: Node, losses: Tensor, weights: Tensor) -> Tensor:
    how = node.attribute("reduction", "mean")
    if how == "none":
        return losses
    whole = f"sum({losses.name}) / sum({weights.name})" if how == "mean" else f"sum({losses.name})"
    return Tensor(node.text.let(whole), (), ())
