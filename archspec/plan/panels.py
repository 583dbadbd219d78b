"""Calls to calls: what every step of a loop multiplies by, laid out in panels ahead of the loop.

for t: z[t] = … h[t-1] @ U   ->   V = U, panel by panel;  for t: z[t] = … h[t-1] @ V

A product has few rows in one step, so it reads its right side from far away again and again. A panel is what a tile reads, in
the order in which it does, so it streams; where it lies its rows may be whole pages apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.ir.graph import Node
from archspec.ir.sizes import Axis, Size
from archspec.plan.emission import Emitter
from archspec.plan.forms import is_leaf
from archspec.plan.kernel import LEAST_TURNS, Buffer, Call, Item, Kernel, Pack, Panels, Product
from archspec.plan.layout import strides
from archspec.plan.parts import Part
from archspec.plan.scalars import NOTHING_STILL, Still
from archspec.records import replace


def still_in(part: Part, turns: Size) -> Still:
    """What no step of a loop changes: what it reads as a whole, where it has steps enough."""
    if turns.constant is not None and turns.constant < LEAST_TURNS:
        return NOTHING_STILL
    return Still(frozenset([v for v, node in part.graph if is_leaf(node) and part.dropped[v] is None]), turns)


def lay_out_panels(
    items: Sequence[Item], emitter: Emitter, room: Callable[[Node], int]
) -> tuple[tuple[Call, ...], tuple[Item, ...]]:
    """The calls that lay out panels, and the items of a loop, which read them."""
    made: dict[object, Call] = {}

    def with_panels(call: Call) -> Call:
        side = next((a.of for a in call.arguments if isinstance(a, Panels)), None)
        if side is None:
            return call
        kernel = emitter.shared(_pack_kernel(call), lambda: call.kernel.equation.partition("\n\n")[0])
        key = side, kernel.structure
        if key not in made:
            made[key] = _pack(call, kernel, side, room)
        [panels] = [a for a in made[key].arguments if isinstance(a, Buffer) and a.value in made[key].writes]
        arguments = tuple(panels if isinstance(a, Panels) else a for a in call.arguments)
        return replace(call, arguments=arguments, reads=(*call.reads, panels.value))

    found = tuple([with_panels(item) if isinstance(item, Call) else item for item in items])
    return tuple(made.values()), found


def _pack_kernel(call: Call) -> Kernel:
    """The kernel that lays out the right side of a call's product."""
    [p] = [s for s in call.kernel.body if isinstance(s, Product)]
    assert p.ahead is not None
    pack = Pack(p.right, p.right_strides, p.right_offset, p.batch, p.batch_split, p.m[1], p.n[1], p.k, p.ahead)
    split = p.batch_split.extents if p.batch_split is not None else ()
    sizes = (*p.right_strides, *(stride for _, stride in p.right_offset.terms), p.batch[1], p.n[1], p.k, *split)
    named = {p.right, p.ahead.laid, p.ahead.turns}.union(*(size.symbols for size in sizes))
    return Kernel(f"{p.right}_panels", tuple(q for q in call.kernel.parameters if q.name in named), (pack,))


def _pack(call: Call, kernel: Kernel, side: Buffer, room: Callable[[Node], int]) -> Call:
    """Lays out the right side of a call's product in a room of its own."""
    given = {p.name: (p, a) for p, a in zip(call.kernel.parameters, call.arguments, strict=True)}
    [panels] = [p for p, a in given.values() if isinstance(a, Panels)]
    copy = Node("copy", (), tuple([Axis(size) for size in panels.shape]), origin=call.origin)
    place = Buffer(room(copy), strides=strides(copy.axes, {}))
    arguments = tuple([place if p == panels else given[p.name][1] for p in kernel.parameters])
    return Call(kernel, arguments, (side.value,), (place.value,), call.origin, (copy,))
