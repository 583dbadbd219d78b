"""Values that span two long axes, and which of these is cut into slabs so that they never lie in memory as a whole.

    s[i,j] = sum[c](q[i,c] * k[j,c]),  a[i,j] = softmax[j](s),  o[i,c] = sum[j](a[i,j] * v[j,c])

for 64 rows of i after another:  s, a of [64, j], and o[i,c] of these rows

The axes i and j meet at a node: one of its operands has i and not j, another one j and not i. From there on everything that has
both, in forward and in backward, is one family. A slab holds whole rows, so a softmax along j is computed as always; sums over
i grow from slab to slab (`plan/slab_body.py`). Which families are worth it hangs on their sizes alone, and not on the batch,
whose rows would otherwise have other bits in a larger one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from archspec.ir.graph import IMPLICIT, Graph, Node
from archspec.ir.sizes import Axis, Size
from archspec.ops import OPS
from archspec.plan.forms import is_leaf, virtual_nodes
from archspec.plan.storage import claims
from archspec.records import record

SLAB = 64  # rows: many enough for the register tiles of a product, few enough that a slab stays in the cache
LEAST = 1 << 20  # points that two axes span, 4 MiB for each head in float32: less is stored, and nothing computed twice
CUT = frozenset({"map", "reduce", "contract", "read", "scatter"})


Pair = tuple[Size, Size]


@record
class Crossing:
    """A node at which two axes meet, which of its own they are, and their sizes."""

    value: int
    first: int
    second: int
    pair: Pair


@record
class Family:
    """Nodes that are computed slab by slab along an axis.

    `loops`  for each of them which of its loops walks along the axis; that of a sum over the axis is one of its reduced ones
    `wide`   those that have both of the long axes, and which of theirs is the other one
    """

    axis: Axis
    loops: Mapping[int, int]
    wide: Mapping[int, int]

    def is_sum(self, graph: Graph, value: int) -> bool:
        """Whether a node has its value only after the last slab."""
        return self.loops[value] >= len(graph.nodes[value].axes)


def crossings(graph: Graph) -> tuple[Crossing, ...]:
    """Where two axes of what hangs on the inputs meet; in backward only those that meet in forward too."""
    fed = _fed(graph)
    found: list[Crossing] = []
    pairs: set[frozenset[Size]] = set()
    for value, node in graph:
        for crossing in _crossings_at(value, node, fed):
            if node.origin.role == "forward" or frozenset(crossing.pair) in pairs:
                pairs.add(frozenset(crossing.pair))
                found.append(crossing)
    return tuple(found)


def _fed(graph: Graph) -> frozenset[int]:
    """The nodes that hang on what is fed, rather than on weights and numbers alone."""
    found: set[int] = set()
    for value, node in graph:
        if node.op in ("input", "delay") or not found.isdisjoint([v for v, _ in node.operands]):
            found.add(value)
    return frozenset(found)


def _crossings_at(value: int, node: Node, fed: frozenset[int]) -> Iterator[Crossing]:
    if len(node.axes) < 2 or OPS[node.op].kind not in ("map", "contract"):
        return
    whole = frozenset(range(len(node.axes)))
    read = [index for o in node.operands if o.value in fed and not (index := frozenset(o.index)) >= whole]
    if len(read) < 2:
        return
    for first, second in combinations(range(len(node.axes)), 2):
        alone = any(first in index and second not in index for index in read)
        if alone and any(second in index and first not in index for index in read):
            yield Crossing(value, first, second, (node.axes[first].size, node.axes[second].size))


def long_pairs(pairs: Iterable[Pair], sizes: Mapping[str, int]) -> frozenset[Pair]:
    """The pairs of axes that are so long that one of them is cut."""
    return frozenset(pair for pair in pairs if _is_long(*(size.evaluate(sizes) for size in pair)))


def _is_long(first: int | None, second: int | None) -> bool:
    return first is not None and second is not None and first * second >= LEAST and min(first, second) >= 2 * SLAB


def families(graph: Graph, found: Sequence[Crossing], circles: Iterable[int]) -> list[Family]:
    """The families of some crossings. `circles` are nodes of recurrences, which nothing else can take apart."""
    search = _Search(graph, frozenset(circles))
    made: list[Family] = []
    for crossing in found:
        if not any(crossing.value in family.wide for family in made):
            family = search.family(crossing, frozenset(v for f in made for v in f.loops))
            made += [family] if family is not None else []
    return made


class _Search:
    def __init__(self, graph: Graph, circles: frozenset[int]) -> None:
        self.graph, self.uses = graph, graph.uses
        into = {v for v, (owner, _) in claims(graph).items() if graph.nodes[owner].op == "delay"}
        self.barred = circles | into | virtual_nodes(graph)

    def family(self, crossing: Crossing, taken: frozenset[int]) -> Family | None:
        """What is cut along that of the two axes along which fewer reductions run: a softmax needs whole rows."""
        ways = [self._wide(crossing.value, a, b, taken) for a, b in self._both(crossing)]
        ways = [wide for wide in ways if wide]
        if not ways:
            return None
        wide = min(ways, key=self._reductions)
        loops = {value: i for value, (i, _) in wide.items()}
        loops |= self._beside(dict(loops), taken)
        axis = self.graph.nodes[crossing.value].axes[wide[crossing.value][0]]
        return Family(axis, loops, {value: j for value, (_, j) in wide.items()})

    def _both(self, crossing: Crossing) -> tuple[tuple[int, int], tuple[int, int]]:
        return (crossing.first, crossing.second), (crossing.second, crossing.first)

    def _reductions(self, wide: Mapping[int, tuple[int, int]]) -> int:
        """How many reductions run along the axis that would be cut."""
        count = 0
        for value, (i, _) in wide.items():
            for reader in self.uses[value]:
                node = self.graph.nodes[reader]
                loops = [loop_along(node, k, i) for k, o in enumerate(node.operands) if o.value == value]
                count += OPS[node.op].kind == "reduce" and any(n is not None and n >= len(node.axes) for n in loops)
        return count

    def _wide(self, value: int, i: int, j: int, taken: frozenset[int]) -> dict[int, tuple[int, int]]:
        """The nodes around one that have both of its axes i and j, and which of theirs these are."""
        if not self._may_cut(value, i, taken):
            return {}
        found = {value: (i, j)}
        stack = [value]
        while stack:
            for near, axes in self._neighbours(stack.pop(), found):
                if near not in found and self._may_cut(near, axes[0], taken):
                    found[near] = axes
                    stack.append(near)
        return found

    def _neighbours(self, value: int, found: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, tuple[int, int]]]:
        """What a node reads and what reads it along both axes."""
        node, (i, j) = self.graph.nodes[value], found[value]
        for k, operand in enumerate(node.operands):
            axes = axis_along(node, k, i), axis_along(node, k, j)
            if axes[0] is not None and axes[1] is not None:
                yield operand.value, (axes[0], axes[1])
        for reader in self.uses[value]:
            other = self.graph.nodes[reader]
            for k, operand in enumerate(other.operands):
                loops = (loop_along(other, k, i), loop_along(other, k, j)) if operand.value == value else (None, None)
                if loops[0] is not None and loops[1] is not None and max(loops[0], loops[1]) < len(other.axes):
                    yield reader, (loops[0], loops[1])

    def _may_cut(self, value: int, loop: int, taken: frozenset[int]) -> bool:
        """Whether a node can be computed for a slab of its loop: over that one it may only sum."""
        node = self.graph.nodes[value]
        if is_leaf(node) or value in self.barred or value in taken or OPS[node.op].kind not in CUT:
            return False
        if any(o.index.count(loop) > 1 for o in node.operands):
            return False
        sums = loop >= len(node.axes)
        return sums == (node.op == "scatter") or node.op in ("sum", "contract")

    def _beside(self, wide: Mapping[int, int], taken: frozenset[int]) -> dict[int, int]:
        """What reads wide nodes, and the maps and reductions of rows through which wide nodes hang on wide ones."""
        direct = {r: at for value, axis in wide.items() for r, at in self._readers(value, axis, wide, taken)}
        rows = {v: at for v, at in direct.items() if self._is_of_rows(v, at)}
        stack = list(rows.items())
        while stack:
            for reader, at in self._readers(*stack.pop(), wide, taken):
                if reader not in rows and self._is_of_rows(reader, at):
                    rows[reader] = at
                    stack.append((reader, at))
        leading: set[int] = set()
        for value in sorted(rows, reverse=True):  # what reads a node comes after it
            if any(reader in wide or reader in leading for reader in self.uses[value]):
                leading.add(value)
        return {v: at for v, at in {**rows, **direct}.items() if v in direct or v in leading}

    def _is_of_rows(self, value: int, loop: int) -> bool:
        node = self.graph.nodes[value]
        return OPS[node.op].kind in ("map", "reduce") and loop < len(node.axes)

    def _readers(self, value: int, axis: int, wide: Mapping[int, int], taken: frozenset[int]) -> Iterator[tuple[int, int]]:
        """What beside the wide nodes reads a value row by row along an axis, and the loop of it that walks there."""
        if axis >= len(self.graph.nodes[value].axes):
            return
        for reader in self.uses[value]:
            node = self.graph.nodes[reader]
            loops = {loop_along(node, k, axis) for k, o in enumerate(node.operands) if o.value == value}
            loop = next(iter(loops))
            if reader not in wide and len(loops) == 1 and loop is not None and self._may_cut(reader, loop, taken):
                yield reader, loop


def loop_along(node: Node, operand: int, axis: int) -> int | None:
    """Which loop of a node walks from end to end along an axis of one of its operands; None where none does alone."""
    if node.op == "window":
        loop: int | None = node.attribute("places")[axis].plain
        return loop
    if node.op in IMPLICIT:
        return None
    index = node.operands[operand].index
    return index[axis] if index.count(index[axis]) == 1 else None


def axis_along(node: Node, operand: int, loop: int) -> int | None:
    """Along which axis of one of its operands a loop of a node walks; None where along none, or along several."""
    if node.op == "window":
        axes = [k for k, place in enumerate(node.attribute("places")) if place.plain == loop]
        return axes[0] if len(axes) == 1 else None
    if node.op in IMPLICIT:
        return None
    index = node.operands[operand].index
    return index.index(loop) if index.count(loop) == 1 else None
