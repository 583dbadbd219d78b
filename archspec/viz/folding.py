"""Equal copies of a `repeat` drawn once: what a path and a node of a later copy are in the first one.

gpt/h/0/norm/y, gpt/h/1/norm/y, gpt/h/2/norm/y   ->   gpt/h/0/norm/y, 3 times
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

from archspec.ir.graph import Node as Value
from archspec.records import field, record
from archspec.viz.blocks import Block
from archspec.viz.drawing import Box, Edge
from archspec.viz.table import source_line


@record(frozen=False)
class Folding:
    """`copies` maps the path of a later copy, in terms of first ones, to the first copy's; `times` counts those of each first
    one."""

    copies: dict[str, str] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def path(self, path: str) -> str:
        """The path in the first copies."""
        if path not in self.known:
            around, _, name = path.rpartition("/")
            whole = f"{self.path(around)}/{name}" if around else name
            self.known[path] = self.copies.get(whole, whole)
        return self.known[path]

    def number(self, path: str) -> int:
        """Which of all the copies a path lies in: those of the repeats around it counted from 0, the innermost fastest."""
        if path not in self.numbers:
            around, _, name = path.rpartition("/")
            outer = self.number(around) if around else 0
            first = self.path(path)
            times = self.times.get(first, 1)
            own = int(name) - int(first.rpartition("/")[2]) if times > 1 else 0
            self.numbers[path] = outer * times + own
        return self.numbers[path]

    def count(self, path: str) -> int:
        """How many copies there are of a path."""
        parts = self.path(path).split("/")
        return prod(self.times.get("/".join(parts[: k + 1]), 1) for k in range(len(parts)))


def folding(blocks: Iterable[Block]) -> Folding:
    """What the blocks of a model fold."""
    found = Folding()
    for block in _all_blocks(blocks):
        around, _, name = block.path.rpartition("/")
        if block.times > 1:
            found.times[block.path] = block.times
        for k in range(1, block.times):
            found.copies[f"{around}/{int(name) + k}"] = block.path
    return found


def _all_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        yield from _all_blocks(block.children)


def boxes_of(paths: Iterable[str], blocks: Iterable[Block]) -> tuple[Box, ...]:
    """The boxes around some folded paths, from the outermost in."""
    known = {block.path: block for block in _all_blocks(blocks)}
    wanted: dict[str, None] = {}
    for path in paths:
        names = path.split("/")
        wanted.update(dict.fromkeys("/".join(names[: k + 1]) for k in range(len(names)) if path))
    return tuple(_box(path, known.get(path)) for path in sorted(wanted, key=lambda p: p.count("/")))


def _box(path: str, block: Block | None) -> Box:
    around, _, name = path.rpartition("/")
    times = block.times if block is not None else 1
    label = f"{around.rpartition('/')[2]} ×{times}" if times > 1 else name
    return Box(path, label, around, times, source_line(block) if block is not None else "")


@record(frozen=False)
class Copies:
    """In which copies the nodes and the edges of a view occur."""

    fold: Folding
    nodes: dict[str, tuple[str, set[int]]] = field(default_factory=dict)
    edges: dict[tuple[str, str], set[tuple[int, int]]] = field(default_factory=dict)
    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    within: set[tuple[str, str]] = field(default_factory=set)
    aside: set[tuple[str, str]] = field(default_factory=set)

    def node(self, id: str, path: str) -> None:
        """A node of a view stands for a value or kernel in the block `path`."""
        self.nodes.setdefault(id, (path, set()))[1].add(self.fold.number(path))

    def edge(self, ends: tuple[str, str], source: str, target: str, value: Value, aside: bool = False) -> None:
        """An edge of a view stands for a value on its way from the block `source` to the block `target`."""
        if aside:
            self.aside.add(ends)
        if ends not in self.labels:
            self.labels[ends] = value.shape
            self.edges[ends] = set()
        self.edges[ends].add((self.fold.number(source), self.fold.number(target)))
        if ends not in self.within and not self._across(source, target):
            self.within.add(ends)

    def _across(self, source: str, target: str) -> bool:
        """Whether two blocks lie in different copies of what is drawn once."""
        around = ""
        for left, right in zip(source.split("/"), target.split("/"), strict=False):
            if left != right:
                return self.fold.path(f"{around}{left}") == self.fold.path(f"{around}{right}")
            around += f"{left}/"
        return False

    def drawn(self) -> tuple[Edge, ...]:
        """The edges of the view."""
        return tuple(self._edge(ends) for ends in self.edges)

    def _edge(self, ends: tuple[str, str]) -> Edge:
        return Edge(*ends, self.labels[ends], self.of_edge(ends), ends not in self.within, ends in self.aside)

    def of_node(self, id: str) -> tuple[int, ...]:
        """The copies that a node occurs in, () for all."""
        path, found = self.nodes[id]
        return () if len(found) == self.fold.count(path) else tuple(sorted(found))

    def of_edge(self, ends: tuple[str, str]) -> tuple[tuple[int, ...], ...]:
        """The pairs of copies that an edge goes between, as runs (from, to, step of each, length); () for all to themselves."""
        source, target = (self.nodes[id][0] for id in ends)
        pairs = sorted(self.edges[ends])
        if self.fold.count(source) == self.fold.count(target) == len(pairs) and all(a == b for a, b in pairs):
            return ()
        return tuple(_runs(pairs))


def _runs(pairs: list[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """(0, 1), (1, 2), (2, 3)  ->  (0, 1, 1, 1, 3): evenly spaced pairs by the first, the steps and how many there are."""
    at = 0
    while at < len(pairs):
        (a, b), end = pairs[at], at + 1
        step = (pairs[end][0] - a, pairs[end][1] - b) if end < len(pairs) else (0, 0)
        while end < len(pairs) and pairs[end] == (a + step[0] * (end - at), b + step[1] * (end - at)):
            end += 1
        yield a, b, *step, end - at
        at = end
