"""A graph cut into parts that run one after another: straight ones, and loops over time or over slabs of rows.

Only what lies on a circle through a delay has to run step by step. Everything else, `x @ W` for all steps at once and
the sums over time of a gradient, stays outside: before the loop what it reads, after it what reads it.

    level 0: straight   ->   loops that hang on it   ->   level 1: straight   ->   …

A loop's body is a graph of its own that has lost the axis of time; inside of it there may be loops again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from archspec.ir.graph import Graph, Node, Operand, Place
from archspec.ir.sizes import Axis
from archspec.ops import OPS
from archspec.plan.forms import is_leaf, strict_operands, virtual_nodes
from archspec.plan.kernel import Slab
from archspec.plan.storage import claims, sources, view_nodes
from archspec.records import field, record, replace


@record
class Part:
    """A graph that is run as a whole.

    `outer`   for each of its nodes the node of the graph around it
    `dropped` for a loop: for each node the axis of time that it has lost, or of which it has a slab, or None
    `time`    for a loop the axis that it walks
    `last_first`  whether its outputs hang on each other
    `slab`    for a loop over slabs the sizes of one
    `onto`    outputs that are written over inputs, element by element: sums that grow from slab to slab
    """

    graph: Graph
    outer: tuple[int, ...]
    time: Axis | None = None
    reverse: bool = False
    dropped: tuple[int | None, ...] = ()
    last_first: bool = True
    slab: Slab | None = None
    onto: Mapping[int, int] = field(default_factory=dict)


@record(frozen=False)
class Circle:
    """The nodes of one loop, and for each of them which of its axes is time; `body` makes a loop that is none over time."""

    nodes: list[int]
    time: dict[int, int]
    axis: Axis
    reverse: bool
    delays: list[int] = field(default_factory=list)
    columns: Mapping[int, int] = field(default_factory=dict)
    body: Callable[[Division, Circle, frozenset[int]], Local] | None = None

    def sums(self, graph: Graph) -> list[int]:
        """What grows from slab to slab."""
        return [v for v in self.nodes if self.time[v] >= len(graph.nodes[v].axes)]


@record
class Slabs:
    """Loops that are not over time, and nodes that are computed as late as may be."""

    circles: tuple[Circle, ...] = ()
    late: frozenset[int] = frozenset()


NO_SLABS = Slabs()


def divide(graph: Graph, whole: bool = True, slabs: Slabs = NO_SLABS) -> tuple[Part, ...]:
    """The parts of a graph in the order in which they run; `whole` says that it is no part of another one itself."""
    if not graph.links and not slabs.circles:
        return (Part(graph, tuple(range(len(graph.nodes))), last_first=not whole),)
    return Division(graph, slabs).parts()


def circle_nodes(graph: Graph) -> frozenset[int]:
    """The nodes that recurrences are made of."""
    return frozenset(v for nodes in _strongly_connected(graph) for v in nodes)


class Division:
    """The parts of a graph while they are told apart."""

    def __init__(self, graph: Graph, slabs: Slabs = NO_SLABS) -> None:
        self.graph = graph
        self.virtual = virtual_nodes(graph)
        self.claimed = claims(graph)
        self.views = view_nodes(graph)
        self.strict = frozenset(n.operands[k].value for n in graph.nodes for k in strict_operands(n))
        self.circles = [*circles_of(graph), *slabs.circles]
        self.inside = {v: c for c, circle in enumerate(self.circles) for v in circle.nodes}
        self._sink()
        self.levels, self.circle_levels = self._find_levels()
        self._put_off(slabs.late)
        for circle, level in zip(self.circles, self.circle_levels, strict=True):  # first values are made right before
            for delay in circle.delays:
                self.levels[graph.nodes[delay].operands[0].value] = level
        self._delay_to_loops()

    def _sink(self) -> None:
        """Maps that only one loop reads, step by step, are computed in it: what they read is there, what they give is not
        stored for all steps."""
        readers = self.graph.uses
        outputs = set(self.graph.outputs.values())
        for value in range(len(self.graph.nodes) - 1, -1, -1):
            node = self.graph.nodes[value]
            circles = {self.inside.get(r) for r in readers[value]}
            if OPS[node.op].kind != "map" or value in outputs or value in self.inside or len(circles) != 1 or None in circles:
                continue
            c = circles.pop()
            assert c is not None
            circle = self.circles[c]
            if circle.body is not None:
                continue
            times = {t for r in readers[value] for t in _axis_of_operand(self.graph, r, value, circle.time[r])}
            if len(times) == 1 and None not in times and value not in self.virtual:
                self.inside[value] = c
                circle.time[value] = next(t for t in times if t is not None)
                circle.nodes.append(value)

    def _delay_to_loops(self) -> None:
        """Maps that only loops read, as a whole, are computed right before the first of them, so that they live no longer."""
        kept = {*self.graph.outputs.values(), *self.graph.links.values()}
        for value, readers in enumerate(self.graph.uses):
            levels = [self.circle_levels[self.inside[r]] for r in readers if r in self.inside]
            is_map = OPS[self.graph.nodes[value].op].kind == "map" and value not in kept
            if is_map and value in self.levels and levels and len(levels) == len(readers):
                self.levels[value] = max(self.levels[value], min(levels))

    def parts(self) -> tuple[Part, ...]:
        wanted = self._wanted()
        found: list[Part] = []
        top = max([*self.levels.values(), *self.circle_levels], default=0)
        for level in range(top + 1):
            straight = [v for v, at in self.levels.items() if at == level]
            circles = [c for k, c in enumerate(self.circles) if self.circle_levels[k] == level]
            part = _Straight(self, straight, wanted).part([v for c in circles for v in c.sums(self.graph)])
            if part.graph.outputs:
                found.append(part)
            found += [(c.body or _Body)(self, c, wanted).part() for c in circles]
        return tuple(found)

    # --- levels -----------------------------------------------------------------------------------------------

    def _find_levels(self) -> tuple[dict[int, int], list[int]]:
        """How many loops, one after another, come before each node that is in none, and before each loop."""
        levels = {v: 0 for v in range(len(self.graph.nodes)) if v not in self.inside}
        circles = [0] * len(self.circles)
        changed = True
        while changed:
            changed = False
            for value, node in self.graph:
                needed = max((self._after(o.value, levels, circles) for o in node.operands), default=0)
                if value in self.graph.links and value in levels:  # a step back without a circle: read once all is there
                    needed = max(needed, self._after(self.graph.links[value], levels, circles) + 1)
                if value in levels:
                    changed, levels[value] = changed or levels[value] < needed, max(levels[value], needed)
                else:
                    changed = self._raise_circle(value, node, levels, circles) or changed
        return levels, circles

    def _after(self, value: int, levels: Mapping[int, int], circles: list[int]) -> int:
        return levels[value] if value in levels else circles[self.inside[value]] + 1

    def _raise_circle(self, value: int, node: Node, levels: Mapping[int, int], circles: list[int]) -> bool:
        c = self.inside[value]
        outside = [o.value for o in node.operands if self.inside.get(o.value) != c]
        needed = max((self._after(v, levels, circles) for v in outside), default=0)
        higher = needed > circles[c]
        circles[c] = max(circles[c], needed)
        return higher

    def _put_off(self, late: frozenset[int]) -> None:
        """Nodes brought to the first level at which they are read."""
        readers = self.graph.uses
        for value in sorted(late, reverse=True):
            levels = [self.circle_levels[self.inside[r]] if r in self.inside else self.levels[r] for r in readers[value]]
            self.levels[value] = min(levels)

    # --- what is read across parts ------------------------------------------------------------------------------

    def copyable(self, value: int) -> bool:
        """Whether a part makes the value itself instead of reading it: numbers, and cheap maps of numbers and leaves. What must
        lie in memory to be read is made once, ahead of a loop."""
        if value in self.inside or value in self.claimed:
            return False
        node = self.graph.nodes[value]
        if value in self.virtual:
            return True
        cheap = OPS[node.op].kind == "map" and OPS[node.op].cheap and value not in self.strict
        return cheap and all(is_leaf(self.graph.nodes[o.value]) or self.copyable(o.value) for o in node.operands)

    def home(self, value: int) -> object:
        return ("loop", self.inside[value]) if value in self.inside else self.levels[value]

    def _wanted(self) -> frozenset[int]:
        """The values that must lie in memory when their part is done."""
        found: set[int] = set(self.graph.outputs.values())
        for value, node in self.graph:
            for operand in node.operands:
                if self._crosses(value, node, operand):
                    found.add(operand.value)
        found |= set(self.graph.links.values())
        made = {s for v in found for s in sources(self.graph, v)}
        return frozenset(v for v in made if not is_leaf(self.graph.nodes[v]))

    def _crosses(self, value: int, node: Node, operand: Operand) -> bool:
        """Whether a node reads an operand of another part from memory."""
        if self.home(value) == self.home(operand.value):
            return False
        if value not in self.inside:
            return not self.copyable(operand.value)
        circle = self.circles[self.inside[value]]
        step_by_step = circle.body is None and circle.time[value] in operand.index
        return not self.copyable(operand.value) or step_by_step


class Local:
    """A part while it fills."""

    def __init__(self, division: Division, members: Iterable[int], wanted: frozenset[int]) -> None:
        self.division, self.graph, self.wanted = division, division.graph, wanted
        self.members = sorted(members)
        self.inside = set(self.members)
        self.nodes: list[Node] = []
        self.outer: list[int] = []
        self.dropped: list[int | None] = []
        self.local: dict[tuple[int, int | None], int] = {}

    def add(self, key: tuple[int, int | None], node: Node) -> int:
        self.nodes.append(node)
        self.outer.append(key[0])
        self.dropped.append(key[1])
        self.local[key] = len(self.nodes) - 1
        return self.local[key]

    def boundary(self, value: int, time: int | None) -> int:
        """A value that another part has left in memory; `time` is the axis along which it is read step by step."""
        key = (value, time)
        if key in self.local:
            return self.local[key]
        node = self.graph.nodes[value]
        axes = node.axes if time is None else (*node.axes[:time], *node.axes[time + 1 :])
        attributes = node.attributes if is_leaf(node) else (("name", node.origin.name or node.op),)
        op = node.op if is_leaf(node) else "input"
        return self.add(key, Node(op, (), axes, dtype=node.dtype, of=node.of, attributes=attributes, origin=node.origin))

    def copied(self, value: int) -> int:
        key = (value, None)
        if key not in self.local:
            node = self.graph.nodes[value]
            self.add(key, node.reading({o.value: self.whole(o.value) for o in node.operands}))
        return self.local[key]

    def whole(self, value: int) -> int:
        """The local number of a value that is read with all its axes."""
        if (value, None) in self.local:
            return self.local[value, None]
        if self.division.copyable(value):
            return self.copied(value)
        return self.boundary(value, None)

    def made(self, links: Mapping[int, int]) -> Graph:
        outputs = {f"{v}": self.number(v) for v in self.members if v in self.wanted and v not in self.division.views}
        graph = self.graph
        inputs = {f"{i}": i for i, n in enumerate(self.nodes) if n.op == "input"}
        return Graph(tuple(self.nodes), inputs, {}, outputs, {}, graph.sizes, links)

    def number(self, value: int) -> int:
        raise NotImplementedError

    def part(self) -> Part:
        raise NotImplementedError


class _Straight(Local):
    def part(self, cleared: Iterable[int] = ()) -> Part:
        """The part; `cleared` are values that must be zero before the loops that come after it."""
        for value in self.members:
            node = self.graph.nodes[value]
            number = value in self.division.virtual and value not in self.wanted
            if is_leaf(node) or number or node.op == "delay":
                continue
            self.add((value, None), node.reading({o.value: self.whole(o.value) for o in node.operands}))
        graph = self.made({})
        zeros = {f"zero {value}": self._zero(value) for value in cleared}
        return Part(replace(graph, nodes=tuple(self.nodes), outputs={**graph.outputs, **zeros}), tuple(self.outer))

    def _zero(self, value: int) -> int:
        node = self.graph.nodes[value]
        zero = Node("constant", (), (), dtype=node.dtype, attributes=(("value", 0.0),), origin=node.origin)
        operand = Operand(self.add((-1, value), zero), ())
        return self.add((value, None), Node("copy", (operand,), node.axes, dtype=node.dtype, origin=node.origin))

    def number(self, value: int) -> int:
        return self.local[value, None]


class _Body(Local):
    """The body of a loop: its nodes without the axis of time."""

    def __init__(self, division: Division, circle: Circle, wanted: frozenset[int]) -> None:
        super().__init__(division, circle.nodes, wanted)
        self.circle = circle

    def part(self) -> Part:
        for value in self.members:
            if value in self.circle.delays:
                self.boundary(value, self.circle.time[value])
            else:
                self.add((value, self.circle.time[value]), self._stripped(value, self.graph.nodes[value]))
        links = {
            self.number(delay): self.number(link)
            for delay, link in self.graph.links.items()
            if delay in self.inside and delay not in self.circle.delays
        }
        graph = self.made(links)
        return Part(graph, tuple(self.outer), self.circle.axis, self.circle.reverse, tuple(self.dropped))

    def number(self, value: int) -> int:
        return self.local[value, self.circle.time[value]]

    def _stripped(self, value: int, node: Node) -> Node:
        time = self.circle.time[value]
        operands = tuple(self._operand(o, time, node) for o in node.operands)
        axes = (*node.axes[:time], *node.axes[time + 1 :])
        return replace(node, operands=operands, axes=axes, attributes=self._attributes(value, node, time))

    def _operand(self, operand: Operand, time: int, node: Node) -> Operand:
        v = operand.value
        if v in self.inside:
            lost: int | None = self.circle.time[v]
            number = self.number(v) if (v, lost) in self.local else self.boundary(v, lost)
        elif time in operand.index:
            lost = operand.index.index(time)
            number = self.boundary(v, lost)
        else:
            lost, number = None, self.whole(v)
        index = tuple(i - (i > time) for k, i in enumerate(operand.index) if k != lost)
        return Operand(number, index)

    def _attributes(self, value: int, node: Node, time: int) -> tuple[tuple[str, object], ...]:
        """What an op says of its axes, with the axis of time gone."""
        found = dict(node.attributes)
        for name in ("axis", "along"):
            if name in found:
                found[name] = found[name] - (found[name] > time)
        if "places" in found:
            source = node.operands[0].value
            lost = self.circle.time.get(source)
            found["places"] = tuple(_moved(p, time) for k, p in enumerate(found["places"]) if k != lost)
        return tuple(found.items())


def _moved(place: Place, time: int) -> Place:
    return replace(place, terms=tuple((loop - (loop > time), factor) for loop, factor in place.terms))


# --- circles -------------------------------------------------------------------------------------------------------


def circles_of(graph: Graph) -> list[Circle]:
    """The outermost loops of a graph."""
    return [_circle(graph, nodes) for nodes in _strongly_connected(graph)]


def _reads(graph: Graph, value: int) -> list[int]:
    found = [o.value for o in graph.nodes[value].operands]
    return [*found, graph.links[value]] if value in graph.links else found


def _strongly_connected(graph: Graph) -> list[list[int]]:
    """The circles of the graph: sets of nodes that hang on each other, each through a delay (Tarjan 1972)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[list[int]] = []

    def visit(root: int) -> None:
        work = [(root, iter(_reads(graph, root)))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            value, rest = work[-1]
            for read in rest:
                if read not in order:
                    order[read] = low[read] = len(order)
                    stack.append(read)
                    on_stack.add(read)
                    work.append((read, iter(_reads(graph, read))))
                    break
                if read in on_stack:
                    low[value] = min(low[value], order[read])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[value])
                if low[value] == order[value]:
                    found.append(_popped(stack, on_stack, value))

    for delay in graph.links:
        if delay not in order:
            visit(delay)
    return [sorted(nodes) for nodes in found if len(nodes) > 1]


def _popped(stack: list[int], on_stack: set[int], last: int) -> list[int]:
    nodes = []
    while True:
        value = stack.pop()
        on_stack.discard(value)
        nodes.append(value)
        if value == last:
            return nodes


def _circle(graph: Graph, nodes: list[int]) -> Circle:
    """The outermost loop of a circle: the delay whose axis of time all nodes of the circle have."""
    for delay in (v for v in nodes if v in graph.links):
        node = graph.nodes[delay]
        time = _times(graph, nodes, delay, node.attribute("along"))
        if time is not None:
            delays = [v for v in nodes if v in graph.links and graph.nodes[v].attribute("along") == time[v]]
            return Circle(nodes, time, node.axes[node.attribute("along")], node.attribute("reverse"), delays)
    raise AssertionError("a circle without an axis of time")


def _times(graph: Graph, nodes: list[int], delay: int, along: int) -> dict[int, int] | None:
    """For each node of a circle which of its axes is the delay's axis of time; None where one has it not."""
    inside = set(nodes)
    time = {delay: along}
    stack = [delay]
    readers: dict[int, list[int]] = {v: [] for v in nodes}
    for v in nodes:
        for read in _reads(graph, v):
            if read in inside:
                readers[read].append(v)

    def tell(value: int, axis: int | None) -> bool:
        if axis is None or axis >= len(graph.nodes[value].axes):
            return False
        if value not in time:
            time[value] = axis
            stack.append(value)
        return time[value] == axis

    while stack:
        value = stack.pop()
        for read in (r for r in _reads(graph, value) if r in inside):
            if not all(tell(read, axis) for axis in _axis_of_operand(graph, value, read, time[value])):
                return None
        for reader in readers[value]:
            if not all(tell(reader, axis) for axis in _axis_of_reader(graph, reader, value, time[value])):
                return None
    return time if len(time) == len(nodes) else None


def _axis_of_operand(graph: Graph, value: int, read: int, time: int) -> Iterable[int | None]:
    """Along which axis of what it reads a node walks with its axis `time`."""
    node = graph.nodes[value]
    if graph.links.get(value) == read:
        yield time
    for operand in (o for o in node.operands if o.value == read):
        if node.op == "window":
            yield next((k for k, p in enumerate(node.attribute("places")) if p.plain == time), None)
        elif node.op in ("concat", "reshape"):
            yield time
        else:
            yield operand.index.index(time) if time in operand.index else None


def _axis_of_reader(graph: Graph, reader: int, value: int, time: int) -> Iterable[int | None]:
    """Which axis of a node walks along the axis `time` of what it reads."""
    node = graph.nodes[reader]
    if graph.links.get(reader) == value:
        yield time
    for operand in (o for o in node.operands if o.value == value):
        if node.op == "window":
            yield node.attribute("places")[time].plain
        elif node.op in ("concat", "reshape"):
            yield time
        else:
            yield operand.index[time]
