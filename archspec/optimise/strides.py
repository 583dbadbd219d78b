"""Windows that divide, as those of a transposed convolution and of the gradient of one with a stride: products as plain ones.

y[t,o] = sum u,c: x[(t+p-u)/s, c] * W[u,c,o]     ->  z[q,r,o] = sum k,c: x[q-k, c] * V[k,r,c,o],  V[k,r] = W[s*k + r];
                                                     y[t] = z[q,r] where s*q + r = t + p
dW[u,c,o] = sum t: x[(t+p-u)/s, c] * dy[t,o]     ->  dW[u,c,o] = sum i: x[i,c] * dy[s*i-p+u, o]
dx[t,c] = sum u: w[(t+p-u)/s, u, c]              ->  z[q,r,c] = sum k: w[q-k, s*k+r, c];  dx[t] = z[q,r] as above

The first makes the s points of y between two of x at once, as channels of a convolution without a stride (Shi et al. 2016,
section 3). The second walks the points of x instead of those of y, of which only each s-th one meets one. The third is the
gradient of a pooling whose windows overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import Graph, Node, Operand, Place
from archspec.ir.sizes import ONE, ZERO, Axis, Size
from archspec.records import record, replace

MINUS = Size.number(-1)


def multiply_without_division(graph: Graph) -> Graph:
    """Products of windows that divide in the first two forms above; the third is for what is no product."""
    if not any(node.op == "window" and _divides(node) for node in graph.nodes):
        return graph

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op != "contract" or any(len(set(o.index)) != len(o.index) for o in node.operands):
            return None
        for left, right in (node.operands, node.operands[::-1]):
            window = builder.node(left.value)
            if window.op == "window" and _divides(window) and window.attribute("fill") == 0.0:
                made = _walked_by_the_operand(builder, node, left, right) or between_points(builder, node, left, right)
                if made is not None:
                    return made
        return None

    return rebuild(graph, rewrite)


def _divides(window: Node) -> bool:
    return any(place.divisor != ONE for place in window.attribute("places"))


# --- sums over what is divided ---------------------------------------------------------------------------------------


def _walked_by_the_operand(builder: Builder, node: Node, left: Operand, right: Operand) -> int | None:
    """The second form: each place that divides is solved for a loop that is summed over."""
    window = builder.node(left.value)
    places: Sequence[Place] = window.attribute("places")
    source = builder.node(window.operands[0].value)
    solved = {axis: _summed(node, places, axis, left, right) for axis, p in enumerate(places) if p.divisor != ONE}
    if any(loop is None for loop in solved.values()) or len(set(solved.values())) != len(solved):
        return None
    old = {axis: loop for axis, loop in solved.items() if loop is not None}
    axes, moved = list(window.axes), list(places)
    reads = {loop: Place.loop(k) for k, loop in enumerate(right.index)}  # the places on the right side, in its new loops
    inner = list(right.index)
    for axis, loop in old.items():
        others = [(left.index[i], f) for i, f in places[axis].terms if i != loop]
        inner += [i for i, _ in others if i not in inner]
        at = left.index[loop]
        terms = tuple((inner.index(i), f * MINUS) for i, f in others)
        reads[at] = Place(((inner.index(at), places[axis].divisor), *terms), places[axis].offset * MINUS)
        axes[loop], moved[axis] = source.axes[axis], Place.loop(loop)
    loops = list(node.loops)
    for axis, loop in old.items():
        loops[left.index[loop]] = source.axes[axis]
    there = builder.window(right.value, [loops[i] for i in inner], [reads[i] for i in right.index])
    here, index = _without_idle(builder, window, axes, moved, left.index)
    operands = (Operand(here, index), Operand(there, tuple(inner)))
    return builder.add(replace(node, operands=operands, reduced=tuple(loops[len(node.axes) :])))


def _summed(node: Node, places: Sequence[Place], axis: int, left: Operand, right: Operand) -> int | None:
    """The window's loop that the product sums over and the right side walks, where nothing but this place hangs on it."""
    for loop, factor in places[axis].terms:
        elsewhere = any(i == loop for k, p in enumerate(places) if k != axis for i, _ in p.terms)
        at = left.index[loop]
        if factor == ONE and at >= len(node.axes) and at in right.index and not elsewhere:
            return loop
    return None


def _without_idle(
    builder: Builder, window: Node, axes: Sequence[Axis], places: Sequence[Place], index: Sequence[int]
) -> tuple[int, tuple[int, ...]]:
    """A window without the loops that no place hangs on any more, and the loops that walk the others."""
    walked = [i for i in range(len(axes)) if any(i == loop for place in places for loop, _ in place.terms)]
    number = {loop: k for k, loop in enumerate(walked)}
    moved = [replace(p, terms=tuple((number[loop], f) for loop, f in p.terms)) for p in places]
    value = builder.window(window.operands[0].value, [axes[i] for i in walked], moved)
    return value, tuple(index[i] for i in walked)


# --- points between points -------------------------------------------------------------------------------------------


@record
class _Stretch:
    """A place (t - u + offset) / step of a window, all of it known: `outer` and `inner` are t and u as loops of the product."""

    outer: int
    inner: int
    step: int
    offset: int
    points: int
    taps: int

    @property
    def turns(self) -> int:
        """How many places there are, from the first that is read for a point of t to the last."""
        return (self.points - 1 + self.start) // self.step + 1

    @property
    def depth(self) -> int:
        """How many taps one point of t meets at most."""
        return -(-self.taps // self.step)

    @property
    def start(self) -> int:
        return self.offset % self.step


def between_points(builder: Builder, node: Node, left: Operand, right: Operand) -> int | None:
    """The first form, along all axes at once."""
    window = builder.node(left.value)
    places: Sequence[Place] = window.attribute("places")
    found = {k: _stretch(builder, node, places, k, left) for k, p in enumerate(places) if p.divisor != ONE}
    known = {axis: stretch for axis, stretch in found.items() if stretch is not None}
    alone = all(
        s.outer not in right.index and s.inner in right.index and _times(places, left, s) == (1, 1) for s in known.values()
    )
    if len(known) < len(found) or not alone or any(s.taps <= s.step // 2 for s in known.values()):
        return None  # with fewer taps than points most of what is multiplied would be zeros
    wide = _numbers(node, known)
    operands = (_convolved(builder, node, left, known, wide), _by_phases(builder, right, known, wide))
    return _between(builder, node, known, operands)


def sum_between_points(builder: Builder, node: Node) -> int | None:
    """The third form, along all axes at once."""
    left = node.operands[0]
    window = builder.node(left.value)
    if window.op != "window":
        return None
    places: Sequence[Place] = window.attribute("places")
    if not _divides(window) or window.attribute("fill") != 0.0 or len(set(left.index)) != len(left.index):
        return None
    found = {k: _stretch(builder, node, places, k, left) for k, p in enumerate(places) if p.divisor != ONE}
    known = {axis: stretch for axis, stretch in found.items() if stretch is not None}
    taps = [_tap_axis(builder, window, left, s) for s in known.values()]
    if len(known) < len(found) or None in taps or any(_times(places, left, s) != (1, 2) for s in known.values()):
        return None
    return _between(
        builder, node, known, (_read_by_phases(builder, node, known, dict(zip(taps, known.values(), strict=True))),)
    )


def _times(places: Sequence[Place], left: Operand, s: _Stretch) -> tuple[int, int]:
    """How often t and u are in the places of a window."""
    loops = [left.index[i] for place in places for i, _ in place.terms]
    return loops.count(s.outer), loops.count(s.inner)


def _tap_axis(builder: Builder, window: Node, left: Operand, s: _Stretch) -> int | None:
    """The axis that u walks from end to end."""
    axes = builder.node(window.operands[0].value).axes
    plain = ((k, p.plain) for k, p in enumerate(window.attribute("places")) if p.plain is not None)
    return next((k for k, i in plain if left.index[i] == s.inner and window.axes[i] == axes[k]), None)


def _read_by_phases(
    builder: Builder, node: Node, known: Mapping[int, _Stretch], taps: Mapping[int | None, _Stretch]
) -> Operand:
    """The window w[q-k, s*k+r] in place of w[(t+p-u)/s, u]."""
    left, wide = node.operands[0], _numbers(node, known)
    window = builder.node(left.value)
    outer, inner = {s.outer: s for s in known.values()}, {s.inner: s for s in known.values()}
    axes: list[Axis] = []
    index: list[int] = []
    number: dict[int, int] = {}  # of each loop of the product, where it is among those of the window
    for old, loop in zip(window.axes, left.index, strict=True):
        number[loop] = len(axes)
        parts = _parted(old, outer.get(loop)) if loop not in inner else (Axis(Size.number(inner[loop].depth)),)
        axes += parts
        index += [wide[loop] + k for k in range(len(parts))]
    places = [replace(p, terms=tuple((number[left.index[i]], f) for i, f in p.terms)) for p in window.attribute("places")]
    for axis, s in known.items():
        places[axis] = replace(places[axis], offset=Size.number(s.offset // s.step), divisor=ONE)
    for tap_axis, s in taps.items():
        assert tap_axis is not None
        places[tap_axis] = Place(((number[s.inner], Size.number(s.step)), (number[s.outer] + 1, ONE)))
    return Operand(builder.window(window.operands[0].value, axes, places), tuple(index))


def _numbers(node: Node, known: Mapping[int, _Stretch]) -> list[int]:
    """Each loop's number once every t is a q and an r."""
    outer = {s.outer for s in known.values()}
    return list(accumulate((1 + (i in outer) for i in range(len(node.loops))), initial=0))


def _between(builder: Builder, node: Node, known: Mapping[int, _Stretch], operands: tuple[Operand, ...]) -> int:
    """The node over the loops q, r and k instead of t and u, and the points of t from it."""
    outer = {s.outer: s for s in known.values()}
    axes = tuple(a for i, axis in enumerate(node.axes) for a in _parted(axis, outer.get(i)))
    inner = {s.inner: Axis(Size.number(s.depth)) for s in known.values()}
    reduced = tuple(inner.get(i, node.loops[i]) for i in range(len(node.axes), len(node.loops)))
    made = builder.add(replace(node, operands=operands, axes=axes, reduced=reduced))
    return _put_together(builder, made, node, outer)


def _stretch(builder: Builder, node: Node, places: Sequence[Place], axis: int, left: Operand) -> _Stretch | None:
    place, rank = places[axis], len(node.axes)
    kept = [i for i, factor in place.terms if factor == ONE and left.index[i] < rank]
    summed = [i for i, factor in place.terms if factor == MINUS and left.index[i] >= rank]
    if len(place.terms) != 2 or len(kept) != 1 or len(summed) != 1:
        return None
    t, u = left.index[kept[0]], left.index[summed[0]]
    sizes = (place.divisor, place.offset, node.loops[t].size, node.loops[u].size)
    step, offset, points, taps = (size.evaluate(builder.sizes) for size in sizes)
    if step is None or offset is None or points is None or taps is None or step < 1:
        return None
    return _Stretch(t, u, step, offset, points, taps)


def _parted(axis: Axis, stretch: _Stretch | None) -> tuple[Axis, ...]:
    if stretch is None:
        return (axis,)
    return Axis(Size.number(stretch.turns)), Axis(Size.number(stretch.step))


def _convolved(builder: Builder, node: Node, left: Operand, known: Mapping[int, _Stretch], wide: Sequence[int]) -> Operand:
    """The window x[q-k] in place of x[(t+p-u)/s]."""
    window = builder.node(left.value)
    places, axes = list(window.attribute("places")), list(window.axes)
    for axis, s in known.items():
        places[axis] = replace(places[axis], offset=Size.number(s.offset // s.step), divisor=ONE)
        axes[left.index.index(s.outer)] = Axis(Size.number(s.turns))
        axes[left.index.index(s.inner)] = Axis(Size.number(s.depth))
    value = builder.window(window.operands[0].value, axes, places)
    return Operand(value, tuple(wide[i] for i in left.index))


def _by_phases(builder: Builder, right: Operand, known: Mapping[int, _Stretch], wide: Sequence[int]) -> Operand:
    """V[k,r] = W[s*k + r], zero beyond the taps."""
    inner = {s.inner: s for s in known.values()}
    axes = builder.node(right.value).axes
    whole = [
        Axis(Size.number(inner[i].depth * inner[i].step)) if i in inner else a for i, a in zip(right.index, axes, strict=True)
    ]
    if [a.size.known(builder.sizes) for a in whole] == [a.size.known(builder.sizes) for a in axes]:
        whole = list(axes)
    value = builder.window(right.value, whole, [Place.loop(k) for k in range(len(axes))])
    parted, index = [], []
    for i, axis in zip(right.index, whole, strict=True):
        s = inner.get(i)
        parted += [axis] if s is None else [Axis(Size.number(s.depth)), Axis(Size.number(s.step))]
        index += [wide[i]] if s is None else [wide[i], wide[s.outer] + 1]
    return Operand(builder.reshape(value, parted), tuple(index))


def _put_together(builder: Builder, value: int, node: Node, outer: Mapping[int, _Stretch]) -> int:
    """z[q,r] as z[s*q + r], and of that the part which is the result."""
    whole = [Axis(Size.number(outer[i].turns * outer[i].step)) if i in outer else a for i, a in enumerate(node.axes)]
    fits = all(s.start == 0 and s.turns * s.step == s.points for s in outer.values())
    starts = [Size.number(outer[i].start) if i in outer else ZERO for i in range(len(node.axes))]
    joined = builder.reshape(value, node.axes if fits else whole)
    if fits:
        return joined
    return builder.window(joined, node.axes, [replace(Place.loop(i), offset=start) for i, start in enumerate(starts)])
