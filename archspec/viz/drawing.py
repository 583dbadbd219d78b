"""What is drawn, before any format is chosen: nested boxes, nodes in them, edges between nodes, buffers in memory.

Every text in a drawing is plain: what would steer a terminal, a page or the direction of letters is spelled out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from archspec.records import as_dict, field, fields, record


@record
class Box:
    """A block. `times` counts the equal copies that it stands for; `parent` is "" for the outermost."""

    id: str
    label: str
    parent: str
    times: int = 1
    line: str = ""


@record
class Node:
    """A value or a kernel.

    `kind`       input, weight, forward, backward or kernel
    `order`      its place in the order in which things are computed
    `times`      how many of the program's it stands for; the figures are those of all of them
    `equations`  what it computes; `gradient` those of its gradient
    `code`       the name of its kernel among the drawing's sources
    `copies`     which of the copies around it have it, () for all; they are numbered, the innermost repeat fastest
    `orders`     its place in each of its copies, where there are several
    `threads`    how its kernel is shared among threads
    `seconds`    its time in a step, where it was measured; `floor` the least that its kernel could take
    """

    id: str
    label: str
    parent: str
    kind: str
    order: int
    shape: str = ""
    sizes: str = ""
    times: int = 1
    line: str = ""
    equations: tuple[str, ...] = ()
    gradient: tuple[str, ...] = ()
    code: str = ""
    parameters: int = 0
    flops: int = 0
    nbytes: int = 0
    copies: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()
    threads: str = ""
    seconds: float = 0.0
    floor: float = 0.0


@record
class Edge:
    """A value on its way: `label` is its shape. `copies` are the pairs of copies that it goes between, see `Copies.of_edge`;
    `across`: always from one copy to another of what is drawn once. `aside`: it says how long rows are, and has no say in
    where things stand."""

    source: str
    target: str
    label: str = ""
    copies: tuple[tuple[int, ...], ...] = ()
    across: bool = False
    aside: bool = False


@record
class View:
    """One way to look at the program."""

    name: str
    title: str
    boxes: tuple[Box, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@record
class Bar:
    """A buffer: alive from item `first` to `last` of the plan, at `offset` bytes of the arena."""

    label: str
    first: int
    last: int
    offset: int
    nbytes: int
    role: str


@record
class Arena:
    """The memory of a step at given sizes."""

    total: int
    lower_bound: int
    items: tuple[str, ...]
    bars: tuple[Bar, ...]
    sizes: Mapping[str, int]


@record
class Drawing:
    """Everything that a page shows. `sources` has the code of each kernel by name, `step` the parts of a step in seconds."""

    title: str
    sizes: Mapping[str, int]
    views: tuple[View, ...]
    arena: Arena | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    step: Mapping[str, float] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """The drawing as JSON holds it, with fields that say nothing left out."""
        maps = {"sizes": dict(self.sizes), "sources": dict(self.sources), "step": dict(self.step)}
        made: dict[str, Any] = _plain({**_fields(self), **maps})
        return made


def _fields(drawing: Drawing) -> dict[str, Any]:
    parts = ("boxes", "nodes", "edges")
    views = [{"name": v.name, "title": v.title, **{part: _all(getattr(v, part)) for part in parts}} for v in drawing.views]
    arena = None if drawing.arena is None else {**as_dict(drawing.arena), "sizes": dict(drawing.arena.sizes)}
    return {"title": drawing.title, "views": views, "arena": arena}


def _all(items: tuple[Box, ...] | tuple[Node, ...] | tuple[Edge, ...]) -> list[dict[str, Any]]:
    return [
        {f.name: v for f in fields(item) if (v := getattr(item, f.name)) or f.name in ("parent", "order")} for item in items
    ]


def plain(text: str) -> str:
    """`text` with control and direction characters spelled out: U+202E becomes `\\u{202e}`."""
    if text.isprintable() or text.replace("\n", " ").replace("\t", " ").isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _STEERING else f"\\u{{{ord(c):x}}}" for c in text)


_STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(str(k)): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
