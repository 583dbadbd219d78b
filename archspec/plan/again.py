"""Graph to graph: what is computed in slabs put into loops that can run one after another.

A loop reads only what is there when it begins, so backward's loop cannot read slabs of forward's:

    s, a for 64 rows, o                               s, a for 64 rows, o
    …                                      ->         …
    da, ds for 64 rows, which read s and a            s, a, da, ds for 64 rows

Of forward only products with one long axis are stored. The largest value of a row is found again, so that it is one of the
values that are computed again, to the bit. Maps between the loops that backward reads are computed again too, as within one
part of a plan (`plan/groups.py`), down to the products that are stored anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.ir.graph import Graph, Node, Operand
from archspec.ir.sizes import Axis
from archspec.ops import OPS
from archspec.plan.forms import strict_operands, virtual_nodes
from archspec.plan.past import Past
from archspec.plan.slabs import Family, axis_along
from archspec.records import field, record, replace

Version = tuple[int, int]  # a node, and the number of the loop that it is computed again for; -1 for the node itself
ITSELF = -1


@record
class Region:
    """The nodes of one loop over slabs along `axis`, and for each the loop of its own that is cut. `columns` has the other axis
    of those that have both, where a slab needs no more of it than there are rows up to its last one."""

    axis: Axis
    loops: Mapping[int, int]
    columns: Mapping[int, int] = field(default_factory=dict)


def apart(graph: Graph, families: Sequence[Family]) -> tuple[Graph, tuple[Region, ...], frozenset[int]]:
    """The graph in which no loop needs another one's slabs, its loops, and what is computed again outside of them."""
    return _Again(graph, families).run()


class _Again:
    def __init__(self, graph: Graph, families: Sequence[Family]) -> None:
        self.graph, self.families = graph, families
        self.family = {v: f for f, family in enumerate(families) for v in family.loops}
        self.virtual = virtual_nodes(graph)
        self.turn = self._turns()
        self.stored = self._stored()

    def run(self) -> tuple[Graph, tuple[Region, ...], frozenset[int]]:
        needed = sorted(self._needed())
        new = {version: number for number, version in enumerate(needed)}
        nodes = [self._node(version, new) for version in needed]
        regions: dict[tuple[int, int], list[Version]] = {}
        for version in needed:
            if version[0] in self.family:
                regions.setdefault((self.family[version[0]], self._turn(version)), []).append(version)
        graph = replace(
            self.graph,
            nodes=tuple(nodes),
            **{k: {n: new[v, ITSELF] for n, v in getattr(self.graph, k).items()} for k in ("inputs", "weights", "outputs")},
            links={new[d, ITSELF]: new[v, ITSELF] for d, v in self.graph.links.items() if (d, ITSELF) in new},
        )
        again = frozenset(number for (value, turn), number in new.items() if turn != ITSELF and value not in self.family)
        made = (self._region(graph, self.families[f], inside, new) for (f, _), inside in sorted(regions.items()))
        return graph, tuple(made), again

    def _region(self, graph: Graph, family: Family, inside: Sequence[Version], new: Mapping[Version, int]) -> Region:
        loops = {new[version]: family.loops[version[0]] for version in inside}
        columns = {new[version]: family.wide[version[0]] for version in inside if version[0] in family.wide}
        outside = frozenset(v for v in columns if any(r not in loops for r in graph.uses[v]))
        outside |= frozenset(graph.outputs.values()) & columns.keys()
        enough = Past(graph, loops, columns).is_enough(outside)
        return Region(family.axis, loops, columns if enough else {})

    def _needed(self) -> set[Version]:
        """The versions of nodes that the outputs hang on."""
        graph = self.graph
        found: set[Version] = set()
        stack = [(v, ITSELF) for t in (graph.outputs, graph.inputs, graph.weights) for v in t.values()]
        while stack:
            version = stack.pop()
            if version in found:
                continue
            found.add(version)
            value, _ = version
            stack += [self._read(version, k) for k in range(len(graph.nodes[value].operands))]
            stack += [(graph.links[value], ITSELF)] if value in graph.links else []
        return found

    def _node(self, version: Version, new: Mapping[Version, int]) -> Node:
        node = self.graph.nodes[version[0]]
        operands = (Operand(new[self._read(version, k)], o.index) for k, o in enumerate(node.operands))
        return replace(node, operands=tuple(operands))

    # --- when a node can be computed ----------------------------------------------------------------------------------

    def _turns(self) -> list[int]:
        """For a node of a family the number of its loop, those that must come before it having lower ones; for any other the
        last loop that it hangs on, -1 without one."""
        turn = [-1] * len(self.graph.nodes)
        changed = True
        while changed:
            changed = False
            for value, node in self.graph:
                least = max((self._after(value, k, turn) for k in range(len(node.operands))), default=-1)
                if value in self.graph.links:
                    least = max(least, turn[self.graph.links[value]])
                if value in self.family:
                    least = max(least, 0)
                changed, turn[value] = changed or least > turn[value], max(least, turn[value])
        return turn

    def _after(self, value: int, k: int, turn: Sequence[int]) -> int:
        operand = self.graph.nodes[value].operands[k].value
        together = value not in self.family or self._is_slab_by_slab(value, k)
        return turn[operand] if together else turn[operand] + 1

    def _is_slab_by_slab(self, value: int, k: int) -> bool:
        """Whether a node of a family reads an operand of the same one at the rows that it is at itself."""
        node = self.graph.nodes[value]
        operand = node.operands[k].value
        family = self.families[self.family[value]]
        if self.family.get(operand) != self.family[value] or family.is_sum(self.graph, operand):
            return False
        return axis_along(node, k, family.loops[value]) == family.loops[operand]

    def _turn(self, version: Version) -> int:
        value, again = version
        return self.turn[value] if again == ITSELF else again

    # --- which version is read ------------------------------------------------------------------------------------------

    def _read(self, version: Version, k: int) -> Version:
        value, again = version
        operand = self.graph.nodes[value].operands[k].value
        turn = self._turn(version)
        if self.turn[operand] >= turn:
            return operand, ITSELF
        if value in self.family:
            return operand, turn if self._is_slab_by_slab(value, k) and self._is_of_rows(operand) else ITSELF
        backward = again != ITSELF or self.graph.nodes[value].origin.role == "backward"
        return operand, turn if backward and self._is_cheap(operand) else ITSELF

    def _is_of_rows(self, value: int) -> bool:
        """Whether a slab has all that a value is made of: not what a product makes of its rows, which is stored."""
        wide = value in self.families[self.family[value]].wide
        return wide or OPS[self.graph.nodes[value].op].kind in ("map", "reduce")

    def _is_cheap(self, value: int) -> bool:
        """Whether backward computes a forward map again: none that is stored anyway, as the first one on a product is."""
        node = self.graph.nodes[value]
        if value in self.family or value in self.virtual or value in self.stored or node.origin.role != "forward":
            return False
        first = any(self.graph.nodes[o.value].op == "contract" for o in node.operands)
        return OPS[node.op].kind == "map" and not first

    def _stored(self) -> frozenset[int]:
        """What lies in memory anyway: it is read there, by another part of forward, or as a whole."""
        found = {*self.graph.outputs.values(), *self.graph.links.values()}
        for value, node in self.graph:
            strict = strict_operands(node)
            for k, operand in enumerate(node.operands):
                later = node.origin.role == "forward" and self.turn[operand.value] < self.turn[value]
                if k in strict or later or value in self.family:
                    found.add(operand.value)
        return frozenset(found)
