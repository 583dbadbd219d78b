"""Operators that move elements, pick them, or make them of nothing."""

from __future__ import annotations

import math

import numpy as np
from translation import Node, Result, Tensor, Text, Untranslatable, operator


def moved(text: Text, x: Tensor, axes: list[str], places: list[str]) -> Tensor:
    expression = text.read(x, places)
    return text.equation(axes, expression if x.kind == "truth" else f"{expression} + 0", x.kind)


def flat(text: Text, x: Tensor) -> Tensor:
    """All elements along one axis."""
    if x.rank == 0:
        raise Untranslatable("a tensor without axes gets one")
    if x.rank == 1:
        return x
    name = text.let(f"flatten[{', '.join(x.axes)}]({x.name})")
    return Tensor(name, (" * ".join(x.axes),), (math.prod(x.shape),), x.kind)


def reshaped(text: Text, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    if x.kind == "truth" or not shape:
        raise Untranslatable("truth values are flattened, or all axes taken away")
    line = flat(text, x)
    axes = tuple(text.dim(n) for n in shape)
    if len(axes) == 1 and x.rank > 1:
        return text.equation(axes, f"{line.name}[i0 + 0]")
    return Tensor(text.let(f"unflatten[{line.axes[0]}]({line.name}, {', '.join(axes)})"), axes, shape)


@operator("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(node: Node) -> Result:
    return reshaped(node.text, node.x(), node.outputs[0].shape)


@operator("Transpose")
def transpose(node: Node) -> Result:
    x = node.x()
    order = node.attribute("perm", list(range(x.rank))[::-1])
    return moved(node.text, x, [x.axes[k] for k in order], [f"i{list(order).index(k)}" for k in range(x.rank)])


@operator("Expand")
def expand(node: Node) -> Result:
    x, text = node.x(), node.text
    axes = [text.dim(n) for n in node.outputs[0].shape]
    return text.equation(axes, text.spread(x, axes) + " + 0")


@operator("Tile")
def tile(node: Node) -> Result:
    """Each copy, then copies and points as one axis."""
    x, text = node.x(), node.text
    times = [text.dim(int(n)) for n in node.array(1)]
    axes = [a for pair in zip(times, x.axes, strict=True) for a in pair]
    copies = text.equation(axes, text.read(x, [f"i{2 * k + 1}" for k in range(x.rank)]) + " + 0")
    return reshaped(text, copies, node.outputs[0].shape)


@operator("Concat")
def concat(node: Node) -> Result:
    text, parts = node.text, [node.x(k) for k in range(len(node.arrays))]
    first = parts[0]
    axis = node.attribute("axis") % first.rank
    named = [first]
    for part in parts[1:]:
        axes = [a if k == axis else first.axes[k] for k, a in enumerate(part.axes)]
        named.append(moved(text, part, axes, [f"i{k}" if k == axis else f"i{k} + 0" for k in range(part.rank)]))
    over = ", ".join(p.axes[axis] for p in named)
    name = text.let(f"concat[{over}]({', '.join(p.name for p in named)})")
    axes = tuple(" + ".join(p.axes[axis] for p in named) if k == axis else a for k, a in enumerate(first.axes))
    return Tensor(name, axes, node.outputs[0].shape)


@operator("Split")
def split(node: Node) -> Result:
    x, text = node.x(), node.text
    axis, start, parts = node.attribute("axis", 0) % x.rank, 0, []
    sizes = [out.shape[axis] for out in node.outputs]
    if len(set(sizes)) == 1 and len(sizes) > 1:
        names = [text.fresh("s") for _ in sizes]
        text.lines.append(f"{', '.join(names)} = split[{x.axes[axis]}]({x.name}, {len(sizes)})")
        part = f"{x.axes[axis]} / {len(sizes)}"
        axes = tuple(part if k == axis else a for k, a in enumerate(x.axes))
        return [Tensor(name, axes, node.outputs[0].shape) for name in names]
    for size in sizes:
        axes = [text.dim(size) if k == axis else a for k, a in enumerate(x.axes)]
        parts.append(moved(text, x, axes, [f"i{k} + {start}" if k == axis else f"i{k}" for k in range(x.rank)]))
        start += size
    return parts


@operator("Slice")
def slice_of(node: Node) -> Result:
    x, text = node.x(), node.text
    starts, ends = node.array(1), node.array(2)
    over = node.array(3) if node.has(3) else np.arange(len(starts))
    steps = node.array(4) if node.has(4) else np.ones(len(starts), int)
    places = [f"i{k} + 0" for k in range(x.rank)]
    for start, end, axis, step in zip(starts, ends, over, steps, strict=True):
        found = range(x.shape[axis])[slice(int(start), int(end), int(step))]
        places[axis % x.rank] = f"{found.step} * i{axis % x.rank} + {found.start}"
    return moved(text, x, [text.dim(n) for n in node.outputs[0].shape], places)


@operator("Pad")
def pad(node: Node) -> Result:
    x, text, mode = node.x(), node.text, node.attribute("mode", "constant")
    if mode != "constant":
        raise Untranslatable("padding other than by a constant")
    over = [int(a) % x.rank for a in node.array(3)] if node.has(3) else list(range(x.rank))
    pads = node.array(1)
    before = {axis: int(pads[k]) for k, axis in enumerate(over)}
    axes = [text.dim(n) for n in node.outputs[0].shape]
    places = [f"i{k} - {before.get(k, 0)}" for k in range(x.rank)]
    inside = [f"i{k} >= {before[k]} and i{k} < {before[k] + x.shape[k]}" for k in before]
    fill = f"{node.x(2).name}" if node.has(2) else "0"
    return text.equation(axes, f"where({' and '.join(inside)}, {text.read(x, places)}, {fill})")


@operator("Gather")
def gather(node: Node) -> Result:
    x, text = node.x(), node.text
    axis = node.attribute("axis", 0) % x.rank
    ids = text.indices(node.array(1), x.axes[axis], x.shape[axis])
    axes = [*x.axes[:axis], *ids.axes, *x.axes[axis + 1 :]]
    at = text.read(ids, [f"i{axis + k}" for k in range(ids.rank)])
    places = [f"i{k}" if k < axis else at if k == axis else f"i{k + ids.rank - 1}" for k in range(x.rank)]
    return moved(text, x, axes, places)


@operator("GatherElements")
def gather_elements(node: Node) -> Result:
    x, text = node.x(), node.text
    axis = node.attribute("axis", 0) % x.rank
    ids = text.indices(node.array(1), x.axes[axis], x.shape[axis])
    own = text.read(ids, [f"i{k}" for k in range(x.rank)])
    places = [own if k == axis else f"i{k} + 0" for k in range(x.rank)]
    return moved(text, x, list(ids.axes), places)


@operator("OneHot")
def one_hot(node: Node) -> Result:
    depth, text = int(np.ravel(node.array(1))[0]), node.text
    size = text.dim(depth)
    ids = text.indices(node.array(0).astype(np.int64), size, depth)
    axis = node.attribute("axis", -1) % (ids.rank + 1)
    axes = [*ids.axes[:axis], size, *ids.axes[axis:]]
    hot = text.let(f"one_hot({ids.name})")
    read = ", ".join([f"i{k}" for k in range(ids.rank + 1) if k != axis] + [f"i{axis}"])
    values = node.x(2)
    off, on = (text.read(values, [str(k)]) for k in (0, 1))
    return text.equation(axes, f"{off} + ({on} - {off}) * {hot}[{read}]")


@operator("DepthToSpace", "SpaceToDepth")
def blocks(node: Node) -> Result:
    x, text, size = node.x(), node.text, node.attribute("blocksize")
    b, c, h, w = x.shape
    if node.op == "SpaceToDepth":
        parts = (b, c, h // size, size, w // size, size)
        order = (0, 3, 5, 1, 2, 4) if node.attribute("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    elif node.attribute("mode", "DCR") == "DCR":
        parts, order = (b, size, size, c // size**2, h, w), (0, 3, 4, 1, 5, 2)
    else:
        parts, order = (b, c // size**2, size, size, h, w), (0, 1, 4, 2, 5, 3)
    cut = reshaped(text, x, parts)
    turned = moved(text, cut, [cut.axes[k] for k in order], [f"i{order.index(k)}" for k in range(6)])
    return reshaped(text, turned, node.outputs[0].shape)


@operator("Trilu")
def triangle(node: Node) -> Result:
    if not node.outputs[0].size:
        raise Untranslatable("an axis has at least one point")
    x, text = node.x(), node.text
    k = int(np.ravel(node.array(1))[0]) if node.has(1) else 0
    row, column = f"i{x.rank - 2}", f"i{x.rank - 1}"
    condition = f"{column} - {row} {'>=' if node.attribute('upper', 1) else '<='} {k}"
    return text.equation(x.axes, f"where({condition}, {text.spread(x, x.axes)}, 0)")


@operator("EyeLike")
def eye(node: Node) -> Result:
    axes = [node.text.dim(n) for n in node.array(0).shape]
    return node.text.equation(axes, f"number(i1 - i0 == {node.attribute('k', 0)})")


@operator("CumSum")
def running_sum(node: Node) -> Result:
    x, text = node.x(), node.text
    axis = int(np.ravel(node.array(1))[0]) % x.rank
    sign = ">" if node.attribute("reverse", 0) else "<"
    condition = f"n {sign}{'' if node.attribute('exclusive', 0) else '='} i{axis}"
    places = ["n" if k == axis else f"i{k}" for k in range(x.rank)]
    return text.equation(x.axes, f"sum[n where {condition}]({text.read(x, places)})")


@operator("Range")
def counting(node: Node) -> Result:
    start, _, step = (node.array(k).item() for k in range(3))
    axis = node.text.dim(node.outputs[0].shape[0])
    return node.text.equation([axis], f"{start!r} + {step!r} * i0")


@operator("ConstantOfShape", "Constant")
def constant(node: Node) -> Result:
    value = node.outputs[0]
    if node.op == "Constant" or not value.shape:
        raise Untranslatable("a tensor written into the graph")
    axes = [node.text.dim(n) for n in value.shape]
    return node.text.equation(axes, f"{value.ravel()[0].item()!r} + 0 * i0")


@operator("ReverseSequence")
def reverse_sequence(node: Node) -> Result:
    raise Untranslatable("rows of different lengths along the first axis, or lengths that are no part of the data")


@operator("Dropout")
def dropout(node: Node) -> Result:
    if node.has(2) and bool(node.array(2)):
        raise Untranslatable("outputs in training: they are those of `step`")
    if len(node.outputs) > 1:
        raise Untranslatable("masks of dropout are no tensors of the language")
    return node.text.map(f"dropout({node.x().name}, 0.5)", node.x())
