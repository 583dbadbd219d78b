"""The blocks of a model as a tree by their paths, with equal copies of a `repeat` folded into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from archspec.ir.graph import Graph, Node
from archspec.ir.sizes import Size, product
from archspec.records import record, replace
from archspec.viz.cost import operations, total


@record
class Block:
    """A block instance.

    `path`      its names in the spec, `gpt/h/0/encoder_block`
    `times`     how many equal copies it stands for
    `values`    the nodes that it computes itself, by number
    `weights`   its own weights by path
    `children`  the blocks that are called in it
    """

    graph: Graph
    path: str
    values: tuple[int, ...]
    weights: tuple[str, ...]
    children: tuple[Block, ...]
    times: int = 1

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @cached_property
    def inside(self) -> tuple[int, ...]:
        """Its nodes and those of its children, copies left out."""
        return tuple(sorted([*self.values, *(v for child in self.children for v in child.inside)]))

    @cached_property
    def first(self) -> int:
        """Where it begins in the graph."""
        return min([*self.values[:1], *(self.graph.weights[w] for w in self.weights), *(c.first for c in self.children)])

    @property
    def result(self) -> Node | None:
        """The last value that it computes."""
        return self.graph.nodes[self.inside[-1]] if self.inside else None

    @cached_property
    def parameters(self) -> Size:
        """The number of elements of its weights, for one copy."""
        own = total(product(self.graph.specs[path].axes) for path in self.weights)
        return total([own, *(c.parameters * Size.number(c.times) for c in self.children)])

    @cached_property
    def operations(self) -> Size:
        """The operations of its forward pass, for one copy."""
        own = total(operations(self.graph.nodes[v]) for v in self.values)
        return total([own, *(c.operations * Size.number(c.times) for c in self.children)])

    @cached_property
    def signature(self) -> Any:
        """What it computes apart from where it stands: equal copies have equal ones."""
        nodes = tuple((n.op, n.axes, n.reduced, n.dtype) for v in self.values for n in (self.graph.nodes[v],))
        weights = tuple((path.rsplit("/", 1)[-1], self.graph.specs[path].axes) for path in self.weights)
        children = tuple((c.name if not c.name.isdigit() else "", c.times, c.signature) for c in self.children)
        return nodes, weights, children


def block_path(node: Node) -> str:
    """The block that computes a node."""
    if node.op == "weight":
        return str(node.attribute("path")).rpartition("/")[0]
    return node.origin.block or node.origin.path


def block_tree(graph: Graph, values: set[int] | None = None) -> tuple[Block, ...]:
    """The outermost blocks of a graph, of some of its nodes or of all."""
    own: dict[str, list[int]] = {}
    weights: dict[str, list[str]] = {}
    for value, node in graph:
        if node.op == "input" or (values is not None and value not in values):
            continue
        if node.op == "weight":
            weights.setdefault(block_path(node), []).append(node.attribute("path"))
        else:
            own.setdefault(block_path(node), []).append(value)
    names = _tree_of_names([*weights, *own])
    return tuple(_block(graph, name, inner, own, weights) for name, inner in names.items())


Names = dict[str, Any]


def _tree_of_names(paths: list[str]) -> Names:
    root: Names = {}
    for path in paths:
        at = root
        for name in path.split("/"):
            at = at.setdefault(name, {})
    return root


def _block(graph: Graph, path: str, inner: Names, own: Mapping[str, list[int]], weights: Mapping[str, list[str]]) -> Block:
    children = tuple(_block(graph, f"{path}/{name}", below, own, weights) for name, below in inner.items())
    ordered = sorted(children, key=lambda child: child.first)
    return Block(graph, path, tuple(own.get(path, ())), tuple(weights.get(path, ())), tuple(_folded(ordered)))


def _folded(blocks: list[Block]) -> Iterator[Block]:
    """Copies 0, 1, 2, … with one signature as the first of them, counted."""
    last: Block | None = None
    for block in blocks:
        if last is not None and last.name.isdigit() and block.name.isdigit() and last.signature == block.signature:
            last = replace(last, times=last.times + 1)
            continue
        if last is not None:
            yield last
        last = block
    if last is not None:
        yield last
