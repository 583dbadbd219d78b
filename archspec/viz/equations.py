"""A graph as the equations that a person would write: the forward pass, then the gradients that were derived from it.

A value that has a name in the spec, or is read more than once, gets an equation; all others are written where they are
read. Every loop has a letter, and the gradient of `x` is `dx`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

from archspec.ir.graph import BOOL, IMPLICIT, Graph, Node, Place
from archspec.ir.sizes import ONE as ONE_SIZE
from archspec.ir.sizes import Axis
from archspec.ops import OPS
from archspec.records import field, record
from archspec.viz.blocks import block_path
from archspec.viz.notation import PRODUCT, SUM, ZERO, Apply, Expression, Name, Read, Reduce, Text, apply, arch, latex

INLINE = frozenset({"constant", "size", "position", "delay"})
READ = frozenset({"copy", "stop_gradient", "number"})


@record
class Equation:
    """`left = right`. `value` is its node, `reads` are the named values on the right, `inside` the other nodes there.

    The sides are written when they are first asked for: of equal copies a drawing writes one.
    """

    value: int
    name: Name
    write: Callable[[], tuple[Read, Expression]] = field(repr=False)
    reads: tuple[int, ...] = ()
    inside: tuple[int, ...] = ()

    @cached_property
    def sides(self) -> tuple[Read, Expression]:
        return self.write()

    @property
    def left(self) -> Read:
        return self.sides[0]

    @property
    def right(self) -> Expression:
        return self.sides[1]


def equations(graph: Graph) -> list[Equation]:
    """An equation for each value that has a name, in order."""
    return list(_Writer(graph).equations())


def equations_text(graph: Graph) -> str:
    """The equations as in a spec, under the block that each belongs to."""
    lines: list[str] = []
    for role in ("forward", "backward"):
        block = ""
        found = [e for e in equations(graph) if graph.nodes[e.value].origin.role == role]
        lines += [f"# {role}"] if found else []
        for equation in found:
            here = block_path(graph.nodes[equation.value])
            lines += ["", f"# {here}{_line(graph.nodes[equation.value])}"] if here != block else []
            block = here
            lines.append(f"{arch(equation.left)} = {arch(equation.right)}")
        lines.append("")
    return "\n".join(lines).strip()


def equations_latex(graph: Graph) -> str:
    """The same for a document that uses amsmath."""
    rows = [rf"  {latex(e.left)} &= {latex(e.right)}" for e in equations(graph)]
    return "\n".join([r"\allowdisplaybreaks", r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"])


def _line(node: Node) -> str:
    span = node.origin.span
    return f"   {span.source.path}:{span.line}" if span is not None else ""


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.live = graph.reached(graph.outputs.values())
        self.named = self._named()
        self.names = _names(graph, sorted(self.named))

    def _named(self) -> set[int]:
        """The values that get a name."""
        graph, nodes = self.graph, self.graph.nodes
        passed = [_passes(node) for node in nodes]
        readers = self._readers(passed)
        found = {*graph.outputs.values(), *graph.inputs.values(), *graph.weights.values(), *graph.links.values()}
        for value, node in graph:
            kind = OPS[node.op].kind
            if node.op in IMPLICIT or kind in ("read", "scatter"):
                found.update(v for v, _ in node.operands if nodes[v].op != "position")
            if not passed[value]:
                spoken = node.origin.name and node.origin.role == "forward"
                if spoken or readers[value] > 1 or kind == "scatter":
                    found.add(value)
        return {v for v in found if v in self.live and nodes[v].op != "delay"}

    def _readers(self, passed: Sequence[bool]) -> list[int]:
        """How often each value is read, through what is `passed`: written where it is read."""
        nodes = self.graph.nodes
        counts = [0] * len(nodes)
        for value in range(len(nodes) - 1, -1, -1):
            if value in self.live:
                times = counts[value] if passed[value] else 1
                for below in {v for v, _ in nodes[value].operands}:
                    counts[below] += times
        return counts

    def equations(self) -> Iterator[Equation]:
        for value in sorted(self.named):
            node = self.graph.nodes[value]
            if node.op in ("input", "weight"):
                continue
            yield Equation(value, self.names[value], partial(self._sides, value), *self._below(value))
        yield from self._first_values()

    def _sides(self, value: int) -> tuple[Read, Expression]:
        letters = _letters(self.graph.nodes[value].axes)
        at = tuple(Text(letter) for letter in letters)
        return Read(self.names[value], at), self._body(value, at, letters)

    def _below(self, value: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The named values that a value is made of, and the nodes between."""
        reads: dict[int, None] = {}
        inside: dict[int, None] = {value: None}
        stack = [value]
        while stack:
            at = stack.pop()
            below = [o.value for o in self.graph.nodes[at].operands]
            for v in below if at not in self.graph.links else [*below, self.graph.links[at]]:
                if v in self.named:
                    reads[v] = None
                elif v not in inside:
                    inside[v] = None
                    stack.append(v)
        return tuple(reads), tuple(inside)

    def _first_values(self) -> Iterator[Equation]:
        """What a recurrence finds before its first step, where that is not 0."""
        for delay, link in self.graph.links.items():
            node = self.graph.nodes[delay]
            start = node.operands[0]
            if delay not in self.live or self.graph.nodes[start.value].op == "constant":
                continue
            yield Equation(link, self.names[link], partial(self._first_sides, delay, link))

    def _first_sides(self, delay: int, link: int) -> tuple[Read, Expression]:
        node = self.graph.nodes[delay]
        start, along = node.operands[0], node.attribute("along")
        letters = _letters(node.axes)
        at = [Text(letter) for letter in letters]
        before = str(node.axes[along]) if node.attribute("reverse") else "-1"
        left = tuple(Text(before) if k == along else t for k, t in enumerate(at))
        return Read(self.names[link], left), self._at(start.value, [at[i] for i in start.index], letters)

    # --- expressions ------------------------------------------------------------------------------------------

    def _at(self, value: int, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        """The element of a value at some indices; `taken` letters are in use around it."""
        if value in self.named:
            return Read(self.names[value], tuple(indices))
        return self._body(value, indices, taken)

    def _body(self, value: int, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        node = self.graph.nodes[value]
        special = {"constant": self._constant, "size": self._size, "window": self._window, "concat": self._whole}
        special |= {"reshape": self._whole, "delay": self._delay, "gather": self._gather, "scatter": self._scatter}
        if node.op == "position":
            return indices[0]
        if node.op in special:
            return special[node.op](value, node, indices, taken)
        letters = _letters(node.reduced, taken)
        around = [*taken, *letters]
        at = [*indices, *(Text(letter) for letter in letters)]
        parts = [self._at(o.value, [at[i] for i in o.index], around) for o in node.operands]
        if node.op == "contract":
            return Reduce("sum", tuple(letters), apply("multiply", *parts))
        if node.reduced:
            return Reduce(node.op, tuple(letters), parts[0])
        index = node.op == "number" and isinstance(parts[0], Text)
        return parts[0] if index or node.op in ("copy", "stop_gradient") else apply(node.op, *parts)

    def _constant(self, value: int, node: Node, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        number = float(node.attribute("value"))
        return Text(f"{number:g}", PRODUCT + 1 if number < 0 else PRODUCT + 3)

    def _size(self, value: int, node: Node, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        size = node.attribute("size")
        return Text(str(size), SUM if len(size.terms) > 1 else PRODUCT if "*" in str(size) else PRODUCT + 3)

    def _window(self, value: int, node: Node, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        places = tuple(Text(_place(p, [arch(i) for i in indices])) for p in node.attribute("places"))
        return Read(self.names[node.operands[0].value], places)

    def _whole(self, value: int, node: Node, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        """What moves whole tensors has no indices."""
        return Apply(node.op, tuple(Read(self.names[o.value], ()) for o in node.operands))

    def _delay(self, value: int, node: Node, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        step = "+1" if node.attribute("reverse") else "-1"
        along = node.attribute("along")
        at = tuple(Text(f"{arch(i)}{step}") if k == along else i for k, i in enumerate(indices))
        return Read(self.names[self.graph.links[value]], at)

    def _gather(self, value: int, node: Node, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        ids, rows = node.operands
        picked = self._at(ids.value, [indices[i] for i in ids.index], taken)
        at = [*indices, picked]
        return self._at(rows.value, [at[i] for i in rows.index], taken)

    def _scatter(self, value: int, node: Node, indices: Sequence[Expression], taken: Sequence[str]) -> Expression:
        letters = _letters(node.reduced, taken)
        at = [*indices, *(Text(letter) for letter in letters)]
        ids, source = (self._at(o.value, [at[i] for i in o.index], [*taken, *letters]) for o in node.operands)
        here = Apply("where", (Apply("equal", (ids, indices[node.attribute("axis")])), source, ZERO))
        return Reduce("sum", tuple(letters), here)


def _passes(node: Node) -> bool:
    """What is written where it is read: plain reads, and conditions, which say more than their names would."""
    unnamed = not node.origin.name or node.origin.role == "backward"
    return node.op in INLINE or (unnamed and (node.op in READ or node.dtype == BOOL))


def _place(place: Place, letters: Sequence[str]) -> str:
    terms = [letters[i] if f == ONE_SIZE else f"{f}*{letters[i]}" for i, f in place.terms]
    text = "+".join([*terms, *([str(place.offset)] if place.offset.terms or not terms else [])]).replace("+-", "-")
    return text if place.divisor == ONE_SIZE else f"({text})/{place.divisor}"


# --- names and letters -----------------------------------------------------------------------------------------------


def _letters(axes: Sequence[Axis], taken: Sequence[str] = ()) -> list[str]:
    """A letter for each loop, that of its axis where it is free."""
    found: list[str] = []
    for axis in axes:
        name = str(axis)
        first = name[0].lower() if name[0].isalpha() else "i"
        free = (f"{first}{n or ''}" for n in range(len(taken) + len(axes) + 1))
        found.append(next(letter for letter in free if letter not in taken and letter not in found))
    return found


def _names(graph: Graph, values: Sequence[int]) -> dict[int, Name]:
    """Names as short as they can be: the end of the path that no other value shares."""
    seen: dict[tuple[str, ...], int] = {}
    full: dict[int, tuple[str, ...]] = {}
    for value in values:
        path = _path(graph, value)
        seen[path] = seen.get(path, 0) + 1
        full[value] = path if seen[path] == 1 else (*path[:-1], f"{path[-1]}{seen[path]}")
    lengths = _lengths(list(full.values()))
    return {v: _name(graph.nodes[v], path[-n:]) for (v, path), n in zip(full.items(), lengths, strict=True)}


def _lengths(paths: Sequence[tuple[str, ...]]) -> list[int]:
    """For each path how many of its last names tell it from all others, all of them where none do.

    Ends are told apart one name more at a time; an end is a number, that of its last names and the one before.
    """
    left = [(number, path, -1) for number, path in enumerate(paths)]
    found = [len(path) for _, path, _ in left]
    length = 1
    while left:
        ends: dict[tuple[int, str], list[tuple[int, tuple[str, ...]]]] = {}
        for number, path, end in left:
            if length <= len(path):
                ends.setdefault((end, path[-length]), []).append((number, path))
        left = []
        for end, alike in enumerate(ends.values()):
            if len(alike) == 1:
                found[alike[0][0]] = length
            else:
                left += [(number, path, end) for number, path in alike]
        length += 1
    return found


def _name(node: Node, path: tuple[str, ...]) -> Name:
    adjoint = node.origin.role == "backward" and path[-1].startswith("d") and len(path[-1]) > 1
    return Name(path[:-1], path[-1][1:] if adjoint else path[-1], adjoint)


def _path(graph: Graph, value: int) -> tuple[str, ...]:
    node = graph.nodes[value]
    if node.op == "input":
        return tuple(str(node.attribute("name")).replace("carry:", "carried/").split("/"))
    if node.op == "weight":
        return tuple(str(node.attribute("path")).split("/"))
    last = node.origin.name or (f"d{node.op}" if node.origin.role == "backward" else node.op)
    return (*node.origin.path.split("/"), last) if node.origin.path else (last,)
