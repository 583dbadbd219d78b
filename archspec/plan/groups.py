"""Fusion: which nodes are computed together in one kernel.

A group walks one space of loops once. Its kinds:

    rows      the space is outer loops (rows, independent) and inner ones (along a row). Maps, and reductions over
              exactly the inner loops: softmax, layer norm, cross-entropy and their gradients.
    columns   a reduction over leading loops, kept along trailing ones: bias gradients, batch statistics.
    product   a contraction and the maps on its result: bias, activation, residual.
    scatter   rows added up by integers.

Views (parts of tensors, joins) are computed by nobody: who reads one waits for what it is made of. Windows and gathers are
computed like maps, but what they read at computed places must lie in memory first.

Maps wait until somebody needs them and then join the latest group that may compute them, so a mask goes to where it is
used and a bias to the product that it follows. What a backward kernel reads of a forward one is computed again where
that takes only maps on what is stored anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

from archspec.ir.build import COMPARISONS
from archspec.ir.graph import Graph, Node
from archspec.ir.sizes import Axis
from archspec.ops import OPS
from archspec.plan.forms import is_leaf, is_row_reduction, is_single, loose_operands, own_loops, strict_operands, virtual_nodes
from archspec.plan.storage import view_nodes
from archspec.records import field, record

ROWS, COLUMNS, PRODUCT, SCATTER = "rows", "columns", "product", "scatter"


@record(frozen=False)
class Group:
    """One kernel to be.

    `space`   its loops; for rows the last `inner` of them run along the row, for columns the `inner` ones after the
              first `outer` are reduced and the rest are the columns
    `place`   for each node computed here, the space's loop for each of the node's loops
    `saved`   the nodes whose values other kernels or the caller read
    """

    number: int
    kind: str
    space: tuple[Axis, ...]
    outer: int
    inner: int
    place: dict[int, tuple[int, ...]] = field(default_factory=dict)
    saved: set[int] = field(default_factory=set)
    root: int | None = None

    @property
    def outer_loops(self) -> range:
        return range(self.outer)

    @property
    def inner_loops(self) -> range:
        return range(self.outer, self.outer + self.inner)

    @property
    def kept_loops(self) -> tuple[int, ...]:
        """The loops that a saved result may span."""
        if self.kind == COLUMNS:
            return (*self.outer_loops, *range(self.outer + self.inner, len(self.space)))
        return tuple(range(len(self.space)))


def fuse(graph: Graph, last_first: bool = False) -> tuple[Group, ...]:
    """The groups of a graph in an order in which each reads only what earlier ones save.

    `last_first` where the outputs hang on each other: the last one then brings the others into its kernel.
    """
    return _Fusion(graph).run(last_first)


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.virtual = virtual_nodes(graph)
        self.uses = graph.uses
        self.views = view_nodes(graph)
        self.loose = [loose_operands(node) for node in graph.nodes]
        self.fixed = [self._fixed_of(node) for node in graph.nodes]
        self.readers: dict[int, list[Group]] = {}
        self.groups: list[Group] = []
        self.home: dict[int, Group] = {}
        self.last_chain: tuple[int, int, list[int]] = (-1, -1, [])

    def run(self, last_first: bool) -> tuple[Group, ...]:
        for value, node in self.graph:
            kind = OPS[node.op].kind
            if kind == "reduce":
                self._reduce(value, node)
            elif kind == "contract":
                self._contract(value, node)
            elif kind == "scatter":
                self._scatter(value, node)
        outputs = list(self.graph.outputs.values())
        for value in sorted(outputs, reverse=True) if last_first else outputs:
            self._demand(value)
        return tuple(group for group in self.groups if group.saved)  # what nobody reads is dropped

    # --- what must be in memory -------------------------------------------------------------------------------

    def _stored(self, value: int) -> bool:
        if value in self.views:
            return all(self._stored(o.value) for o in self.graph.nodes[value].operands)
        return is_leaf(self.graph.nodes[value]) or (value in self.home and value in self.home[value].saved)

    def _demand(self, value: int) -> None:
        """Makes sure that `value` lies in memory."""
        if self._stored(value):
            return
        if value in self.views:
            for operand in self.graph.nodes[value].operands:
                self._demand(operand.value)
            return
        if value not in self.home:
            chain = self._chain(value)
            self._settle(chain)
            if not any(self._join(group, chain, value) for group in self._candidates(chain)):
                self._new_rows(value, chain)
        self.home[value].saved.add(value)

    def _chain(self, value: int) -> list[int]:
        """`value` and the maps before it that no group computes yet, in order."""
        known, homes, chain = self.last_chain
        if known != value or homes != len(self.home):  # a chain grows shorter when a group takes a part of it in
            chain = self._new_chain(value)
            self.last_chain = value, len(self.home), chain
        return chain

    def _new_chain(self, value: int) -> list[int]:
        nodes, home, virtual, views = self.graph.nodes, self.home, self.virtual, self.views
        found: set[int] = set()
        stack = [value]
        while stack:
            v = stack.pop()
            if v in found or v in home or v in views or (v in virtual and v != value) or is_leaf(nodes[v]):
                continue
            found.add(v)
            stack += [below for below, _ in self.loose[v]]
        return sorted(found)

    def _settle(self, chain: Iterable[int]) -> None:
        """Brings to memory what the chain reads at other points than it is at, and the parts of the views that it reads."""
        for value in self._fixed(chain):
            self._demand(value)

    def _fixed(self, chain: Iterable[int]) -> list[int]:
        """What must lie in memory before a kernel can compute the chain."""
        return list(dict.fromkeys([below for v in chain for below in self.fixed[v]]))

    def _fixed_of(self, node: Node) -> tuple[int, ...]:
        """What must lie in memory before a kernel can compute a node."""
        strict = strict_operands(node)
        return tuple([v for k, (v, _) in enumerate(node.operands) if k in strict or v in self.views])

    def _written_by(self, value: int) -> int:
        """The number of the last group that must have run before `value` lies in memory."""
        if value in self.views:
            return max((self._written_by(o.value) for o in self.graph.nodes[value].operands), default=-1)
        return self.home[value].number if value in self.home else -1

    def _candidates(self, chain: Iterable[int]) -> list[Group]:
        """The groups that compute what the chain reads, or read the same, the latest first."""
        chain = list(chain)
        read = self._read(chain)
        numbers = {self.home[v].number for v in read if v in self.home}
        views = [v for v in self._fixed(chain) if v in self.views]
        numbers |= {g.number for v in (*read, *views) for g in self.readers.get(v, ()) if g.kind == ROWS}
        return [self.groups[n] for n in sorted(numbers, reverse=True)]

    def _read(self, chain: Iterable[int]) -> list[int]:
        """What the chain reads from outside of itself, but for virtual nodes."""
        inside, views, virtual = set(chain), self.views, self.virtual
        values = dict.fromkeys([below for v in chain for below, _ in self.loose[v]])
        return [v for v in values if v not in inside and v not in views and v not in virtual]

    # --- joining ----------------------------------------------------------------------------------------------

    def _join(self, group: Group, chain: list[int], last: int) -> bool:
        """Computes `chain` in `group` if that is possible; `last` is the one that others will read."""
        if any(v in self.home and self.home[v].number > group.number for v in self._read(chain)):
            return False
        if any(self._written_by(v) >= group.number for v in self._fixed(chain)):
            return False
        places = self._places(group, chain, {})
        if places is None or not self._may_hold(group, places, last):
            return False
        self._enter(group, chain, places)
        return True

    def _may_hold(self, group: Group, places: dict[int, tuple[int, ...]], last: int) -> bool:
        loops = set(places[last])
        if group.kind == SCATTER:
            return False
        if OPS[self.graph.nodes[last].op].kind == "reduce":
            return self._reduces_rows(group, last, places[last])
        if group.kind == COLUMNS:
            return all(set(p) <= set(group.kept_loops) for p in places.values()) and loops == set(group.kept_loops)
        if group.kind == PRODUCT:
            return loops == set(range(len(group.space)))
        return set(group.outer_loops) <= loops and (loops >= set(group.inner_loops) or not loops & set(group.inner_loops))

    def _reduces_rows(self, group: Group, value: int, place: tuple[int, ...]) -> bool:
        rank = len(self.graph.nodes[value].axes)
        return (
            group.kind == ROWS and set(place[:rank]) == set(group.outer_loops) and set(place[rank:]) == set(group.inner_loops)
        )

    def _enter(self, group: Group, chain: list[int], places: dict[int, tuple[int, ...]]) -> None:
        for v in chain:
            group.place[v] = places[v]
            if v not in self.virtual:
                self.home[v] = group
        for v in chain:
            for operand in self.loose[v]:
                self._fetch(group, operand.value, tuple(group.place[v][i] for i in operand.index))

    def _fetch(self, group: Group, value: int, place: tuple[int, ...]) -> None:
        """Lets `group` read `value`: from memory, or computed again where that takes only maps."""
        if value in group.place or value in self.virtual:
            return
        self.readers.setdefault(value, []).append(group)
        if self._stored(value) or value in self.views:
            return
        if value in self.home and self.home[value] is group:
            return
        if self._cheap_again(group, value):
            group.place[value] = place
            for operand in self.loose[value]:
                self._fetch(group, operand.value, tuple(place[i] for i in operand.index))
        else:
            self._demand(value)

    def _cheap_again(self, group: Group, value: int) -> bool:
        """Whether a backward group computes a forward map again: not the first map on a product, which is stored. Any group
        compares again what is stored, instead of reading what came out."""
        node = self.graph.nodes[value]
        if OPS[node.op].kind != "map" or value not in self.home:
            return False
        if self._is_mask(value):
            return True
        crosses = self._role(group) == "backward" and node.origin.role == "forward"
        return crosses and not any(self.graph.nodes[o.value].op == "contract" for o in node.operands)

    def _is_mask(self, value: int) -> bool:
        """Whether a value is a comparison of stored values, or that as a number."""
        node = self.graph.nodes[value]
        if node.op == "number":
            return self._is_mask(node.operands[0].value)
        return node.op in COMPARISONS and all(self._stored(o.value) or o.value in self.virtual for o in node.operands)

    def _role(self, group: Group) -> str:
        root = group.root if group.root is not None else max(group.place, default=None)
        return self.graph.nodes[root].origin.role if root is not None else "forward"

    # --- how a node's loops lie in a space ------------------------------------------------------------------------

    def _places(self, group: Group, chain: list[int], known: dict[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]] | None:
        """For each node of the chain its loops in the group's space; None where they do not fit."""
        partial: dict[int, dict[int, int]] = {v: dict(enumerate(known.get(v, ()))) for v in chain}
        if not self._spread_places(group, chain, partial):
            return None
        for v in reversed(chain):
            before = len(partial[v])
            if not self._complete(group, own_loops(self.graph.nodes[v]), partial[v]):
                return None
            if len(partial[v]) > before and not self._spread_places(group, chain, partial):
                return None
        return {v: tuple(partial[v][i] for i in range(len(own_loops(self.graph.nodes[v])))) for v in chain}

    def _spread_places(self, group: Group, chain: list[int], partial: dict[int, dict[int, int]]) -> bool:
        """Carries what is known along operands, both ways, until nothing changes; False on a contradiction."""
        tied = [
            (partial[v], index, below)
            for v in chain
            for value, index in self.loose[v]
            if (below := self._known(group, value, partial)) is not None
        ]
        changed = True
        while changed:
            changed = False
            for above, index, below in tied:
                for k, loop in enumerate(index):
                    if loop in above and k in below:
                        if above[loop] != below[k]:
                            return False
                    elif k in below:
                        above[loop], changed = below[k], True
                    elif loop in above:
                        below[k], changed = above[loop], True
        return True

    def _known(self, group: Group, value: int, partial: dict[int, dict[int, int]]) -> dict[int, int] | None:
        """The loops along the axes of what a node of the chain reads, as far as they are known; None where they are free."""
        if value in partial:
            return partial[value]
        return dict(enumerate(group.place[value])) if value in group.place and value not in self.virtual else None

    def _complete(self, group: Group, loops: tuple[Axis, ...], places: dict[int, int]) -> bool:
        """Gives the loops that are still open the space's unused loops with the same axis, in order."""
        for loop, axis in enumerate(loops):
            if loop in places:
                continue
            free = [d for d, a in enumerate(group.space) if a == axis and d not in places.values()]
            if not free:
                return False
            places[loop] = free[0]
        return len(set(places.values())) == len(places)

    # --- new groups ---------------------------------------------------------------------------------------------

    def _group(self, kind: str, space: tuple[Axis, ...], outer: int, inner: int, root: int) -> Group:
        group = Group(len(self.groups), kind, space, outer, inner, root=root)
        self.groups.append(group)
        return group

    def _new_rows(self, value: int, chain: list[int]) -> None:
        axes = self.graph.nodes[value].axes
        inner = min(1, len(axes))
        group = self._group(ROWS, axes, len(axes) - inner, inner, value)
        self._fill(group, chain, value, tuple(range(len(axes))))

    def _fill(self, group: Group, chain: list[int], root: int, place: tuple[int, ...]) -> None:
        places = self._places(group, chain, {root: place})
        if places is None:  # something is read along two loops at once: it goes to memory first
            chain, places = [root], {root: place}
            self._swap_last(group, lambda: self._demand_operands(root))
        self._enter_new(group, chain, places)

    def _demand_operands(self, value: int) -> None:
        for operand in self.graph.nodes[value].operands:
            if operand.value not in self.virtual:
                self._demand(operand.value)

    def _enter_new(self, group: Group, chain: list[int], places: dict[int, tuple[int, ...]]) -> None:
        """Enters a chain into a group made for it, after storing what would be computed too often in it."""
        outer = set(group.outer_loops)
        for v in list(chain[:-1]):
            again = outer - set(places[v]) and not OPS[self.graph.nodes[v].op].cheap
            if again and not self.virtual & {v}:
                self._swap_last(group, lambda v=v: self._demand(v))
        self._enter(group, [v for v in chain if v not in self.home], places)

    def _swap_last(self, group: Group, make: object) -> None:
        """Lets `make` add groups before `group`, which is the last one: they compute what it reads."""
        self.groups.pop()
        make()  # type: ignore[operator]
        group.number = len(self.groups)
        self.groups.append(group)

    def _contract(self, value: int, node: Node) -> None:
        for operand in node.operands:
            self._demand(operand.value)
        group = self._group(PRODUCT, node.axes, len(node.axes), 0, value)
        group.place[value] = tuple(range(len(node.axes)))
        self.home[value] = group

    def _scatter(self, value: int, node: Node) -> None:
        for operand in node.operands:
            self._demand(operand.value)
        group = self._group(SCATTER, node.loops, len(node.loops), 0, value)
        group.place[value] = tuple(range(len(node.loops)))
        self.home[value] = group

    def _reduce(self, value: int, node: Node) -> None:
        operand = node.operands[0]
        self._settle([*self._chain(operand.value), value])
        self._finish_products(self._chain(operand.value))
        if self._worth_storing(operand.value, node):
            self._demand(operand.value)
        chain = [*self._chain(operand.value), value]
        if is_row_reduction(node, self.graph.sizes):
            if any(self._join(g, chain, value) for g in self._row_candidates(chain, node)):
                return
            inner = len(node.reduced)
            group = self._group(ROWS, node.loops, len(node.axes), inner, value)
            self._fill(group, chain, value, tuple(range(len(node.loops))))
        else:
            self._new_columns(value, node, chain)

    def _worth_storing(self, value: int, node: Node) -> bool:
        """Whether the operand goes to memory first: others read it anyway, or it is a number a row of its own group."""
        chain = self._chain(value)
        candidates = self._candidates(chain) if chain else []
        if not candidates:
            return False
        group = candidates[0]
        if not is_row_reduction(node, self.graph.sizes):
            return len(self.uses[value]) > 1
        return not node.axes and group.kind == ROWS and group.outer == len(self.graph.nodes[value].axes)

    def _row_candidates(self, chain: list[int], node: Node) -> list[Group]:
        """Row groups that the reduction may join; one without reductions takes the reduction's own split."""
        found = []
        for group in self._candidates(chain):
            if group.kind != ROWS:
                continue
            free = all(OPS[self.graph.nodes[v].op].kind == "map" for v in group.place)
            split = len(group.space) - len(node.reduced)
            if free and group.space[split:] == node.reduced:
                group.outer, group.inner = split, len(node.reduced)
            found.append(group)
        return found

    def _finish_products(self, chain: list[int]) -> None:
        """Maps on a product join it before a reduction reads them, so that the product is not stored bare; a cheap one on
        what is stored in any case is left to its readers."""
        for v in chain:
            node = self.graph.nodes[v]
            if OPS[node.op].kind != "map":
                continue
            homes = [self.home[o.value] for o in node.operands if o.value in self.home]
            products = [g for g in homes if g.kind == PRODUCT and self._role(g) == node.origin.role]
            latest = max(products, key=lambda g: g.number, default=None)
            if latest is None or (OPS[node.op].cheap and self._kept_anyway(latest, node)):
                continue
            if all(o.value not in chain or o.value in self.home for o in node.operands):
                self._join(latest, [v], v)

    def _kept_anyway(self, group: Group, node: Node) -> bool:
        """Whether others too read what a map reads of a group, so that joining it would only store one thing more."""
        read = [o.value for o in node.operands if o.value in group.place]
        return all(len(self.uses[v]) > 1 or v in group.saved for v in read)

    def _new_columns(self, value: int, node: Node, chain: list[int]) -> None:
        """Reduced loops side by side, what stands before them outside, what stands behind them as columns. Loops of one point
        may stand anywhere."""
        index, rank = node.operands[0].index, len(node.axes)
        reduced = [loop for loop in index if loop >= rank]
        last = max(k for k, loop in enumerate(index) if loop >= rank and not is_single(node.loops[loop], self.graph.sizes))
        outer, columns = ([loop for loop in part if loop < rank] for part in (index[:last], index[last:]))
        order = [*outer, *reduced, *columns]
        group = self._group(COLUMNS, tuple(node.loops[i] for i in order), len(outer), len(reduced), value)
        place = tuple(order.index(loop) for loop in range(len(node.loops)))
        self._fill(group, chain, value, place)
